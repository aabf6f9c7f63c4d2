/* SPDX-License-Identifier: MIT */
/*
 * The memory of channels: how it is made, and that a wipe leaves no byte of whoever wrote it,
 * wherever and by whatever mapping. "The guest" here is a second mapping of the memfd that moves no
 * index.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mayfly/abi/ring_ops.h>

#include "ipc/ring/area.h"

#define RING (256u << 10) /* 129 pages in all: more than are kept */
#define PAGE 4096u

static struct mf_channels channels;
static uint8_t *guest; /* of channel 1 */

static void open_area(void)
{
	struct mf_error err = {""};

	cr_assert_eq(mf_channels_create(&channels, 3, RING, &err), 0, "%s", err.text);
	guest = mmap(NULL, channels.window_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
		     channels.memfd, (off_t)mf_channels_offset(&channels, 1));
	cr_assert_neq(guest, MAP_FAILED);
	mf_channel_format(&channels, 1, 0, 0);
}

static void close_area(void)
{
	munmap(guest, channels.window_bytes);
	mf_channels_destroy(&channels);
}

TestSuite(area, .init = open_area, .fini = close_area, .timeout = 60);

static size_t allocated_pages(void)
{
	struct stat st;

	cr_assert_eq(fstat(channels.memfd, &st), 0);
	return (size_t)st.st_blocks / 8;
}

/* By read, which allocates nothing. */
static void all_zero(unsigned int i)
{
	uint8_t page[PAGE];
	size_t at;
	size_t k;

	for (at = 0; at < channels.window_bytes; at += PAGE) {
		cr_assert_eq(pread(channels.memfd, page, PAGE,
				   (off_t)(mf_channels_offset(&channels, i) + at)),
			     PAGE);
		for (k = 0; k < PAGE; k++)
			cr_assert_eq(page[k], 0, "byte 0x%zx of channel %u", at + k, i);
	}
}

static void wipe(bool may_have_grown)
{
	cr_assert_eq(mf_channel_wipe(&channels, 1, may_have_grown), 0);
	all_zero(1);
}

Test(area, is_sealed_named_and_closed_on_exec)
{
	char path[64];
	char name[64] = "";
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

	cr_assert_eq(fcntl(channels.memfd, F_GET_SEALS), seals);
	cr_assert_eq(ftruncate(channels.memfd, 0), -1);
	cr_assert_eq(fcntl(channels.memfd, F_GETFD), FD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", channels.memfd);
	cr_assert_gt(readlink(path, name, sizeof(name) - 1), 0);
	cr_assert(strstr(name, "mayfly-channels"), "%s", name);
}

Test(area, windows_follow_each_other_in_whole_pages)
{
	unsigned int i;

	cr_assert_eq(channels.window_bytes % PAGE, 0);
	cr_assert_geq(channels.window_bytes, mf_channel_bytes(RING));
	for (i = 0; i < 3; i++) {
		cr_assert_eq(mf_channels_offset(&channels, i), i * channels.window_bytes);
		cr_assert_eq((uint8_t *)mf_channels_window(&channels, i),
			     channels.base + i * channels.window_bytes);
	}
}

Test(area, a_channel_leads_nowhere_before_it_is_formatted_and_after_a_wipe)
{
	struct mf_ring requests;
	struct mf_ring replies;
	void *window = mf_channels_window(&channels, 2);

	cr_assert_eq(mf_channel_open(window, channels.window_bytes, &requests, &replies), -ENXIO);
	mf_channel_format(&channels, 2, 77, 3);
	cr_assert_eq(mf_channel_open(window, channels.window_bytes, &requests, &replies), 0);
	cr_assert_eq(requests.mask, RING - 1);
	cr_assert_eq(((struct mf_abi_channel *)window)->poll_ns, 77);
	cr_assert_eq(((struct mf_abi_channel *)window)->lost, 3);
	cr_assert_eq(mf_channel_wipe(&channels, 2, false), 0);
	cr_assert_eq(mf_channel_open(window, channels.window_bytes, &requests, &replies), -ENXIO);
	all_zero(2);
}

Test(area, creating_allocates_nothing)
{
	cr_assert_eq(allocated_pages(), 1, "the page of the one header");
}

Test(area, a_wipe_finds_a_page_that_no_index_covers)
{
	size_t page;

	for (page = 0; page < channels.window_bytes / PAGE; page++) {
		guest[page * PAGE + 4095 - page % 64] = 0x55;
		wipe(true);
	}
}

Test(area, a_wipe_clears_what_the_guest_wrote_anywhere)
{
	unsigned int round;
	size_t at;

	srand(1);
	for (round = 0; round < 30; round++) {
		for (at = 0; at < channels.window_bytes; at += PAGE)
			if (rand() % (1 + round % 5) == 0)
				guest[at + (size_t)rand() % PAGE] = 1;
		wipe(true);
		cr_assert_leq(allocated_pages(), 64, "pages that are not used again go back");
	}
	memset(guest, 0xff, channels.window_bytes);
	wipe(true);
}

Test(area, known_pages_are_wiped_without_a_system_call)
{
	const size_t used[] = {0, 1, 2, 7, 31, 65, 66, 70, 96}; /* 65 is the reply ring's first */
	int memfd = channels.memfd;
	int round;
	size_t i;

	for (i = 0; i < sizeof(used) / sizeof(used[0]); i++)
		guest[used[i] * PAGE] = 1;
	wipe(true);
	cr_assert_eq(allocated_pages(), sizeof(used) / sizeof(used[0]));
	for (round = 0; round < 3; round++) {
		for (i = 0; i < sizeof(used) / sizeof(used[0]); i++)
			memset(guest + used[i] * PAGE, 0xee, PAGE);
		channels.memfd = -1; /* every call on it would fail */
		cr_assert_eq(mf_channel_wipe(&channels, 1, false), 0);
		channels.memfd = memfd;
		all_zero(1);
	}
	cr_assert_eq(allocated_pages(), sizeof(used) / sizeof(used[0]));
}

Test(area, a_wipe_leaves_the_neighbours_alone)
{
	uint8_t *before = mf_channels_window(&channels, 0);
	uint8_t *after = mf_channels_window(&channels, 2);

	before[channels.window_bytes - 1] = 0x11;
	after[0] = 0x22;
	memset(guest, 0xff, channels.window_bytes);
	wipe(true);
	wipe(false);
	cr_assert_eq(before[channels.window_bytes - 1], 0x11);
	cr_assert_eq(after[0], 0x22);
}

Test(area, a_wipe_that_cannot_look_says_so)
{
	int memfd = channels.memfd;

	guest[100 * PAGE] = 1;
	channels.memfd = -1;
	cr_assert_eq(mf_channel_wipe(&channels, 1, true), -EBADF);
	channels.memfd = memfd;
	wipe(true);
}

Test(area, small_rings_are_wiped_to_their_end)
{
	struct mf_channels small;
	uint32_t ring_bytes;

	for (ring_bytes = MF_RING_BYTES_MIN; ring_bytes <= 64 * PAGE; ring_bytes *= 2) {
		size_t at;

		cr_assert_eq(mf_channels_create(&small, 2, ring_bytes, NULL), 0);
		memset(small.base, 0x77, 2 * small.window_bytes);
		cr_assert_eq(mf_channel_wipe(&small, 0, true), 0);
		cr_assert_eq(mf_channel_wipe(&small, 1, true), 0);
		for (at = 0; at < 2 * small.window_bytes; at++)
			cr_assert_eq(small.base[at], 0);
		mf_channels_destroy(&small);
	}
}

static unsigned int open_files(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	cr_assert(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void refused(unsigned int count, uint32_t ring_bytes, int code, const char *word)
{
	struct mf_channels none;
	struct mf_error err = {""};
	unsigned int files = open_files();

	cr_assert_eq(mf_channels_create(&none, count, ring_bytes, &err), code);
	cr_assert(strstr(err.text, word), "%s", err.text);
	cr_assert_eq(open_files(), files, "nothing is left behind");
	mf_channels_destroy(&none);
	cr_assert_eq(open_files(), files);
}

Test(create, what_cannot_be_is_refused_with_a_sentence, .timeout = 30)
{
	refused(0, 4096, -EINVAL, "at least one");
	refused(1, 0, -EINVAL, "power of two");
	refused(1, 2048, -EINVAL, "power of two");
	refused(1, 4096 * 3, -EINVAL, "power of two");
	refused(1, 128u << 20, -EINVAL, "power of two");
}

Test(create, without_memory_or_descriptors_nothing_is_left_behind, .timeout = 30)
{
	struct rlimit usual;
	struct rlimit none;
	struct mf_channels area;
	struct mf_error err = {""};

	refused(1u << 20, MF_RING_BYTES_MAX, -ENOMEM, "lower the number"); /* 128 TiB */
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &usual), 0);
	none = (struct rlimit){0, usual.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	cr_assert_eq(mf_channels_create(&area, 1, 4096, &err), -EMFILE);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &usual), 0); /* a sanitizer wants to look */
	cr_assert(strstr(err.text, "ulimit"), "%s", err.text);
}

Test(create, destroying_what_was_never_made_is_fine)
{
	struct mf_channels area = {0};

	mf_channels_destroy(&area);
	mf_channels_destroy(&area);
	cr_assert_neq(fcntl(0, F_GETFD), -1, "descriptor 0 is not ours");
}
