/* SPDX-License-Identifier: MIT */
/*
 * A fresh secret goes into a request's header and body, and the program copies it into stack, heap,
 * data, mappings, a file, a pipe, the environment, names and every vector register. After the reset
 * it is looked for in all private memory of the VM (the engine's account of it too) and in all
 * registers; then the next request looks from inside. One find fails the test.
 */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET 16
#define PLACES 9

static char folder[64];
static struct lab lab;
static struct guest guest;

struct search {
	const uint8_t *base;
	const uint8_t *secret;
	const char *where;
	size_t found;
};

static bool contains(const void *at, size_t bytes, const void *secret, size_t part)
{
	return memmem(at, bytes, secret, part) != NULL;
}

static void search_run(void *cookie, size_t first, size_t count)
{
	struct search *search = cookie;

	search->found +=
		contains(search->base + first * MF_PAGE, count * MF_PAGE, search->secret, SECRET);
}

/* As text the secret is a name: the engine's account of directories must not have it either. */
static size_t in_memory(const uint8_t *secret, size_t bytes)
{
	struct mf_mem *mem = &guest.process.vm.mem;
	struct search search = {.base = mem->base, .secret = secret};
	int ret = mf_private_scan(lab.kvm.pagemap_fd, false, mem->base,
				  (mem->arena_bytes + mem->guest_bytes) / MF_PAGE, search_run,
				  &search);

	cr_assert_eq(ret, 0);
	return search.found;
}

/* Half of it in a register is a find, too. */
static bool in_registers(const uint8_t *secret)
{
	struct mf_cpu_state state;
	const struct kvm_run *run = guest.process.vm.kvm.run;

	if (run->kvm_dirty_regs)
		cr_assert_eq(mf_kvm_vm_drain(&guest.process.vm.kvm), 0);
	cr_assert_eq(mf_vm_save_cpu(&guest.process.vm, &state), 0);
	return contains(&state, sizeof(state), secret, SECRET / 2) ||
	       contains(&state, sizeof(state), secret + SECRET / 2, SECRET / 2) ||
	       contains(&run->s.regs, sizeof(run->s.regs), secret, SECRET / 2);
}

static void fresh_secret(uint8_t secret[SECRET + 2])
{
	uint64_t words[3] = {random_u64(), random_u64(), random_u64()};

	memcpy(secret, words, SECRET + 2);
	secret[0] |= 1; /* not a byte that ends text */
}

static void put(uint8_t secret[SECRET + 2])
{
	guest_ask(&guest, "/put", secret, SECRET + 2);
	cr_assert_str_eq(guest.answer, "put");
}

static void name_of(const uint8_t *secret, uint8_t name[2 * SECRET + 1])
{
	int i;

	for (i = 0; i < SECRET; i++)
		snprintf((char *)name + 2 * i, 3, "%02x", secret[i]);
}

static void look_from_outside(const uint8_t *secret)
{
	uint8_t name[2 * SECRET + 1];

	name_of(secret, name);
	cr_assert_eq(in_memory(secret, SECRET), 0,
		     "the secret is in the VM's memory after the reset");
	cr_assert_eq(in_memory(name, SECRET), 0, "a name is in the VM's memory after the reset");
	cr_assert_not(in_registers(secret), "the secret is in a register after the reset");
}

static void look_from_inside(const uint8_t *secret)
{
	uint8_t complement[SECRET + 2] = {0};
	int i;

	for (i = 0; i < SECRET; i++)
		complement[i] = (uint8_t)~secret[i];
	guest_ask(&guest, "/find", complement, sizeof(complement));
	cr_assert_str_eq(guest.answer, "found 0", "the next request: %s", guest.answer);
}

static void start(void)
{
	struct lab_options options = {.folder = folder, .memory_bytes = 16u << 20};

	strcpy(folder, "/tmp/mayfly-taint-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	lab_open(&lab, "taint", &options);
	guest_fork(&guest, &lab);
}

static void stop(void)
{
	char command[128];

	guest_finish(&guest);
	lab_close(&lab);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_expect_eq(system(command), 0);
}

/* The search must find what is there, from outside and from inside, or it proves nothing. */
Test(taint, search_finds_a_secret_before_the_reset, .timeout = 60)
{
	uint8_t secret[SECRET + 2];
	uint8_t complement[SECRET + 2] = {0};
	int place;
	int i;

	start();
	for (place = 0; place < PLACES; place++) {
		fresh_secret(secret);
		secret[SECRET] = (uint8_t)(1u << place);
		secret[SECRET + 1] = (uint8_t)(1u << place >> 8);
		put(secret);
		cr_expect(in_memory(secret, SECRET), "place %d", place);
		if (place == 8)
			cr_expect(in_registers(secret));
		for (i = 0; i < SECRET; i++)
			complement[i] = (uint8_t)~secret[i];
		guest_ask(&guest, "/find", complement, sizeof(complement)); /* without a reset */
		/* File, pipe and names are the engine's: the program has no copy. */
		cr_expect(place == 4 || place == 5 || place == 7 || strcmp(guest.answer, "found 0"),
			  "place %d", place);
		guest_reset(&guest);
		look_from_outside(secret);
	}
	stop();
}

Test(taint, secret_of_a_request_is_gone_after_the_reset, .timeout = 3000)
{
	unsigned int count = rounds(25, 2000, 100000);
	uint8_t secret[SECRET + 2];
	unsigned int i;

	start();
	for (i = 0; i < count; i++) {
		fresh_secret(secret);
		put(secret);
		guest_reset(&guest);
		look_from_outside(secret);
		look_from_inside(secret);
		if (random_below(4))
			guest_reset(&guest);
		else
			guest_reset_and_audit(&guest, "a search");
	}
	stop();
}
