/* SPDX-License-Identifier: MIT */
/*
 * What taint_test.py believes in, with the wipe left out or done by halves: then the secret of one
 * life of a channel is found in the next. The two VMs are two mappings of the channel's memory.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mayfly/abi/ring_ops.h>

#include "ipc/ring/area.h"

#define PAGE   4096u
#define SECRET "sixteen of bytes"

enum wipe { LEFT_OUT, WITHOUT_A_LOOK, WHOLE };

static struct mf_channels channels;
static uint8_t *request_vm;

static void open_area(void)
{
	struct mf_error err = {""};

	cr_assert_eq(mf_channels_create(&channels, 2, MF_RING_BYTES_DEFAULT, &err), 0, "%s",
		     err.text);
	request_vm = mmap(NULL, channels.window_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  channels.memfd, 0);
	cr_assert_neq(request_vm, MAP_FAILED);
}

static void close_area(void)
{
	munmap(request_vm, channels.window_bytes);
	mf_channels_destroy(&channels);
}

TestSuite(wipe, .init = open_area, .fini = close_area, .timeout = 120);

static void end_life(enum wipe how)
{
	if (how != LEFT_OUT)
		cr_assert_eq(mf_channel_wipe(&channels, 0, how == WHOLE), 0);
}

static bool next_life_finds_it(void)
{
	mf_channel_format(&channels, 0, 0, 0);
	return memmem(request_vm, channels.window_bytes, SECRET, strlen(SECRET)) != NULL;
}

/* Forget what the test did, so that the next one begins with a channel that knows no page. */
static void begin_anew(void)
{
	cr_assert_eq(madvise(request_vm, channels.window_bytes, MADV_REMOVE), 0);
	end_life(WHOLE);
	mf_channel_format(&channels, 0, 0, 0);
}

Test(wipe, a_secret_on_any_page_is_found_unless_the_wipe_is_whole)
{
	size_t page;

	for (page = 1; page < channels.window_bytes / PAGE; page += 61) {
		uint8_t *at = request_vm + page * PAGE + 100;

		begin_anew();
		memcpy(at, SECRET, strlen(SECRET));
		end_life(LEFT_OUT);
		cr_expect(next_life_finds_it(), "page %zu, left out", page);
		end_life(WITHOUT_A_LOOK);
		cr_expect(next_life_finds_it(), "page %zu, without a look", page);
		end_life(WHOLE);
		cr_expect_not(next_life_finds_it(), "page %zu, whole", page);
	}
}

/* A call and its reply that nobody reads, as the SDK of either side puts them. */
static void call_and_answer(void)
{
	static uint8_t value[300000];
	struct mf_ring requests, replies, their_requests, their_replies;
	struct mf_piece secret = {SECRET, sizeof(SECRET)};
	struct mf_piece much[] = {{value, sizeof(value)}, secret};
	struct mf_abi_message message;

	cr_assert_eq(mf_channel_open(request_vm, channels.window_bytes, &requests, &replies), 0);
	cr_assert_eq(mf_channel_open(channels.base, channels.window_bytes, &their_requests,
				     &their_replies),
		     0);
	cr_assert_eq(mf_ring_put(&requests, 1, 1, 0, &secret, 1), 0);
	cr_assert_eq(mf_ring_peek(&their_requests, &message), 1);
	mf_ring_next(&their_requests, message.size_bytes);
	cr_assert_eq(mf_ring_put(&their_replies, 1, 1, 0, much, 2), 0);
}

Test(wipe, a_call_is_found_unless_the_wipe_is_whole)
{
	begin_anew();
	call_and_answer();
	end_life(LEFT_OUT);
	cr_expect(next_life_finds_it());
	end_life(WITHOUT_A_LOOK);
	cr_expect(next_life_finds_it());
	end_life(WHOLE);
	cr_expect_not(next_life_finds_it());
}
