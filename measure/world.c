/* SPDX-License-Identifier: MIT */
#include "measure/world.h"
#include "guest/measure/blob.h"
#include "tenant/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Beside the filled memory: the program itself, the request buffer, room to breathe. */
#define SPARE_BYTES (16ull << 20)

static const char *no_env[] = {NULL};

/* The guest as a file that has no name. */
static int open_guest(struct mf_world *world, struct mf_error *err)
{
	size_t bytes = (size_t)(mf_measure_program_end - mf_measure_program);

	world->file = memfd_create("measure", MFD_CLOEXEC);
	if (world->file < 0 || write(world->file, mf_measure_program, bytes) != (ssize_t)bytes)
		return mf_error_set(err, -ENOMEM, "no memory for a guest of %zu bytes", bytes);
	snprintf(world->guest, sizeof(world->guest), "/proc/self/fd/%d", world->file);
	return 0;
}

static void set_options(struct mf_world *world, const struct mf_world_options *options)
{
	snprintf(world->mib, sizeof(world->mib), "%u", options->mib);
	world->argv[0] = world->guest;
	world->argv[1] = world->mib;
	world->options = (struct mf_program_options){
		.argv = world->argv,
		.env = no_env,
		.memory_bytes = ((uint64_t)options->mib << 20) + SPARE_BYTES,
		.boot_deadline_ns = 600000000000ull,
		.no_patch = options->no_patch,
	};
}

static int build(struct mf_world *world, const struct mf_world_options *options,
		 struct mf_error *err)
{
	struct mf_watchdog *dog;
	int ret = mf_watchdog_create(&dog, 1, err);

	if (ret)
		return ret;
	if (options->channel_bytes)
		mf_tenant_store_set_windows(&world->program.policy, options->channel_bytes,
					    options->place_bytes);
	ret = mf_program_build(&world->program, mf_watchdog_worker(dog, 0), &world->image,
			       &world->ready, err);
	mf_watchdog_destroy(dog);
	return ret;
}

void mf_world_forget(struct mf_world *world)
{
	struct mf_image *image = &world->image;
	size_t pages = (image->backing.arena_bytes + image->backing.limit_bytes) / MF_PAGE;
	size_t words = (pages + 63) / 64;

	memset(image->hits, 0, pages);
	memset(image->learned, 0, words * sizeof(*image->learned));
	memset(image->touched, 0, words * sizeof(*image->touched));
	image->learned_pages = 0;
}

static void finish(struct mf_world *world)
{
	if (world->file >= 0)
		close(world->file);
	free(world);
}

int mf_world_open(struct mf_world **out, const struct mf_world_options *options,
		  struct mf_error *err)
{
	struct mf_world *world = calloc(1, sizeof(*world));
	int ret;

	*out = NULL;
	if (!world)
		return mf_error_set(err, -ENOMEM, "no memory");
	ret = open_guest(world, err);
	set_options(world, options);
	if (!ret)
		ret = mf_program_open(&world->program, &world->options, err);
	if (!ret) {
		ret = build(world, options, err);
		if (ret)
			mf_program_close(&world->program);
	}
	if (ret)
		finish(world);
	else
		*out = world;
	return ret;
}

void mf_world_close(struct mf_world *world)
{
	if (!world)
		return;
	mf_process_image_finish(&world->image);
	mf_program_close(&world->program);
	finish(world);
}

static struct mf_abi_slice put(struct mf_world_request *request, const char *text)
{
	struct mf_abi_slice slice = {(uint32_t)request->size, (uint32_t)strlen(text)};

	memcpy(request->bytes + request->size, text, slice.length + 1);
	request->size += slice.length + 1;
	return slice;
}

void mf_world_request_make(struct mf_world_request *request, const char *target, size_t times)
{
	struct mf_abi_request abi = {.version = MF_ABI_VERSION, .id = 1};
	char body[24];

	memset(request, 0, sizeof(*request));
	request->size = sizeof(abi);
	snprintf(body, sizeof(body), "%zu", times);
	abi.method = put(request, "GET");
	abi.target = put(request, target);
	abi.body = put(request, body);
	abi.headers_offset = (uint32_t)sizeof(abi);
	abi.size_bytes = (uint32_t)request->size;
	memcpy(request->bytes, &abi, sizeof(abi));
}

int mf_world_serve(struct mf_world *world, struct mf_process *vm,
		   const struct mf_world_request *request)
{
	struct mf_function_response response;
	struct mf_exit exit;
	int status;
	int ret = mf_function_deliver(vm, &world->ready, request->bytes, request->size);

	if (ret)
		return ret;
	mf_process_run(vm, &exit);
	if (exit.kind != MF_EXIT_READY)
		return -ECHILD;
	ret = mf_function_response(vm, &exit, &response);
	if (ret)
		return ret;
	status = response.status;
	mf_function_response_finish(&response);
	return status == 200 ? 0 : -EBADMSG;
}

int mf_world_fork(struct mf_world *world, struct mf_process *vm, struct mf_error *err)
{
	return mf_process_fork(vm, &world->image, &world->program.policy, err);
}

int mf_world_fork_warm(struct mf_world *world, struct mf_process *vm,
		       const struct mf_world_request *request, struct mf_error *err)
{
	int ret = mf_world_fork(world, vm, err);
	int i;

	if (ret)
		return ret;
	for (i = 0; i < 4 && !ret; i++) {
		ret = mf_world_serve(world, vm, request);
		if (!ret)
			ret = mf_process_reset(vm);
	}
	if (ret) {
		mf_process_finish(vm);
		mf_error_set(err, ret, "a request of the warm-up failed: %s", strerror(-ret));
	}
	return ret;
}

void mf_tally_read(const struct mf_process *vm, struct mf_tally *tally)
{
	const struct mf_kvm_vm *kvm = &vm->vm.kvm;
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	tally->user_exits = kvm->user_exits;
	tally->page_faults = mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
	tally->minor_faults = (uint64_t)usage.ru_minflt;
}
