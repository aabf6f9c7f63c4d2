/* SPDX-License-Identifier: MIT */
/*
 * Mayfly as a library: load a program, warm it, fork VMs of it, call a function in them, reset.
 *	cc -static -o embed-guest embed-guest.c
 *	cc -o embed embed.c $(pkg-config --cflags --libs mayfly) && ./embed ./embed-guest
 */
#include <stdio.h>
#include <string.h>

#include <mayfly/mayfly.h>

#define DEADLINE_NS 1000000000u

static int call_once(struct mf_vm *vm, uint64_t function, const char *text, struct mf_error *err)
{
	uint64_t args[2] = {0, strlen(text)};
	uint64_t sum;
	int ret = mf_vm_push(vm, text, strlen(text), &args[0], err);

	if (!ret)
		ret = mf_vm_call(vm, function, args, 2, DEADLINE_NS, &sum, err);
	if (!ret)
		printf("add_up(\"%s\") = %llu\n", text, (unsigned long long)sum);
	return ret ? ret : mf_vm_reset_to_image(vm, err);
}

int main(int argc, char **argv)
{
	struct mf_error err = {{0}};
	struct mf_image_settings settings;
	struct mf_host *host = NULL;
	struct mf_image *image = NULL;
	struct mf_vm *vm = NULL;
	uint64_t function;
	int ret, i;

	mf_image_settings_default(&settings);
	settings.ready = MF_READY_AT_EXIT; /* frozen when main() has returned */
	ret = mf_host_open(&host, &err);
	if (!ret)
		ret = mf_image_load(host, argc > 1 ? argv[1] : "./embed-guest", &settings, &image,
				    &err);
	if (!ret)
		ret = mf_image_symbol(image, "add_up", &function, &err);
	/* Two VMs show the image what a call writes; those forked after them are warm. */
	for (i = 0; !ret && i < 3; i++) {
		mf_vm_destroy(vm);
		vm = NULL;
		ret = mf_image_fork(image, &vm, &err);
		if (!ret)
			ret = call_once(vm, function, i < 2 ? "warm" : "mayfly", &err);
	}
	mf_vm_destroy(vm);
	mf_image_destroy(image);
	mf_host_close(host);
	if (ret)
		fprintf(stderr, "embed: %s\n", err.text);
	return ret ? 1 : 0;
}
