/* SPDX-License-Identifier: MIT */
/*
 * A channel with 64 calls in flight, renewed as soon as they are answered, and one that now and
 * then has a single call: how many of the former's calls are served before it, and before it is
 * woken. The look of guest/sdk/storage.c natively, over channels that lie where the guest has them.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <setjmp.h>
#include <sys/mman.h>

#include <mayfly/abi/call.h>
#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>
#include <mayfly/storage.h>

#include "ipc/ring/area.h"

#define FUNCTION  7u
#define IN_FLIGHT 64u
#define EVERY     997u /* calls of the flood between two single ones */
#define ROUNDS    50u
#define A_LOOK    16u /* calls of a channel that one look takes */

static struct mf_channels channels;
static struct mf_abi_store_control *control;
static struct mf_ring requests[2];
static struct mf_ring replies[2];
static uint32_t flooder;
static uint64_t served;     /* of the flood */
static uint64_t asked_at;   /* `served` then; UINT64_MAX: no single call is under way */
static uint64_t called_at;  /* likewise, when it was served */
static uint64_t called_max; /* of the flood before it was served */
static uint64_t woken_max;  /* and from then until it was woken */
static unsigned int rounds;
static uint64_t now_ns;
static jmp_buf over;

static uint32_t single(void)
{
	return 1 - flooder;
}

static void ask(uint32_t channel)
{
	cr_assert_eq(mf_ring_put(&requests[channel], FUNCTION, 1, 0, NULL, 0), 0);
}

/* Whoever has a reply takes it. */
static bool hear(uint32_t channel)
{
	struct mf_abi_message message;

	if (mf_ring_peek(&replies[channel], &message) != 1)
		return false;
	mf_ring_next(&replies[channel], message.size_bytes);
	return true;
}

static void ask_once(void)
{
	MF_STORE_CHANNEL(control, single())->parked = 1;
	asked_at = served;
	called_at = UINT64_MAX;
	ask(single());
}

static int call(struct mf_storage_call *call, void *arg)
{
	(void)arg;
	if (call->channel == single()) {
		called_at = served;
		called_max = served - asked_at > called_max ? served - asked_at : called_max;
		return 0;
	}
	served++;
	if (hear(flooder))
		ask(flooder);
	if (asked_at == UINT64_MAX && served % EVERY == 0)
		ask_once();
	cr_assert(asked_at == UINT64_MAX || served - asked_at < 100 * A_LOOK, "it is forgotten");
	return 0;
}

long mf_sdk_exit(unsigned long number, const void *a, unsigned long b, unsigned long c)
{
	(void)a, (void)b, (void)c;
	if (number != MF_CALL_CHANNEL_WAKE || called_at == UINT64_MAX || asked_at == UINT64_MAX)
		return 0;
	cr_assert(hear(single()));
	woken_max = served - called_at > woken_max ? served - called_at : woken_max;
	asked_at = UINT64_MAX;
	if (++rounds == ROUNDS)
		longjmp(over, 1);
	return 0;
}

bool mf_inside(void)
{
	return true;
}

uint64_t mf_clock_ns(void)
{
	return now_ns += 1000;
}

static void lay_out(uint32_t poll_ns)
{
	struct mf_error err = {""};
	void *at;

	at = mmap((void *)MF_STORE_CONTROL_VA, 1 << 20, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	cr_assert_eq(at, (void *)MF_STORE_CONTROL_VA);
	control = at;
	cr_assert_eq(mf_channels_create(&channels, 2, MF_RING_BYTES_DEFAULT, &err), 0, "%s",
		     err.text);
	at = mmap((void *)MF_STORE_CHANNELS_VA, 2 * channels.window_bytes, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_FIXED_NOREPLACE, channels.memfd, 0);
	cr_assert_eq(at, (void *)MF_STORE_CHANNELS_VA);
	control->magic = MF_STORE_MAGIC;
	control->version = MF_STORE_VERSION;
	control->channels = 2;
	control->ring_bytes = MF_RING_BYTES_DEFAULT;
	control->window_bytes = channels.window_bytes;
	control->poll_ns = poll_ns;
	control->active[0] = 3;
}

static void flood(uint32_t channel, uint32_t poll_ns)
{
	struct mf_storage_function function = {.number = FUNCTION, .call = call};
	unsigned int i;

	flooder = channel;
	asked_at = called_at = UINT64_MAX;
	lay_out(poll_ns);
	for (i = 0; i < 2; i++) {
		mf_channel_format(&channels, i, 0, 0);
		cr_assert_eq(mf_channel_open(mf_channels_window(&channels, i),
					     channels.window_bytes, &requests[i], &replies[i]),
			     0);
	}
	for (i = 0; i < IN_FLIGHT; i++)
		ask(flooder);
	cr_assert_eq(mf_storage_declare(&function), 0);
	if (!setjmp(over))
		cr_assert_eq(mf_storage_serve(NULL), 0);
	cr_expect_leq(called_max, A_LOOK, "%lu calls of the flood came before",
		      (unsigned long)called_max);
	cr_expect_leq(woken_max, 2 * A_LOOK, "%lu calls of the flood came before it was woken",
		      (unsigned long)woken_max);
}

Test(fair, a_flood_in_front_delays_a_single_call_by_a_look)
{
	flood(0, 0);
}

Test(fair, a_flood_behind_it_does)
{
	flood(1, 0);
}

Test(fair, so_it_does_while_polling)
{
	flood(0, 100000000);
}
