/* SPDX-License-Identifier: MIT */
#include "engine/mem/frames.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define KEPT_MAX 4096u /* free pages that a plain VM holds on to */
/* So many at once are memory that a fork does not keep for its next request. */
#define GIVE_BACK_PAGES 2048u

static bool test(const uint64_t *map, uint64_t frame)
{
	return map[frame / 64] >> (frame % 64) & 1;
}

/* Set or clear [frame, frame+count) and mark the arena pages that hold those bits. */
static void put(struct mf_mem *mem, enum mf_frame_map which, uint64_t frame, size_t count,
		bool value)
{
	uint64_t *map = mf_mem_map(mem, which);
	uint64_t last = frame + count - 1;

	mf_mem_mark(mem, &map[frame / 64], (last / 64 - frame / 64 + 1) * 8);
	for (; count; frame++, count--) {
		if (value)
			map[frame / 64] |= 1ull << (frame % 64);
		else
			map[frame / 64] &= ~(1ull << (frame % 64));
	}
}

bool mf_frames_test(const struct mf_mem *mem, enum mf_frame_map map, struct mf_gpa gpa)
{
	return test(mf_mem_map(mem, map), gpa.at / MF_PAGE);
}

void mf_frames_set(struct mf_mem *mem, enum mf_frame_map map, struct mf_gpa gpa, bool value)
{
	if (mf_frames_test(mem, map, gpa) != value)
		put(mem, map, gpa.at / MF_PAGE, 1, value);
}

/* The lowest free run of at most `want` frames; 0 when there is none. */
static size_t find_run(const struct mf_mem *mem, size_t want, uint64_t *first)
{
	const struct mf_arena *arena = mf_mem_arena(mem);
	const uint64_t *used = mf_mem_map(mem, MF_FRAMES_USED);
	uint64_t frame = arena->frames_lowest;
	size_t count = 0;

	while (frame < arena->frames_limit && test(used, frame)) {
		if (frame % 64 == 0 && used[frame / 64] == ~0ull)
			frame += 64;
		else
			frame++;
	}
	*first = frame;
	while (count < want && frame + count < arena->frames_limit && !test(used, frame + count))
		count++;
	return frame < arena->frames_limit ? count : 0;
}

/* Zero what a former owner left in [first, first+count). */
static void scrub(struct mf_mem *mem, uint64_t first, size_t count)
{
	const uint64_t *soiled = mf_mem_map(mem, MF_FRAMES_SOILED);
	uint64_t frame;

	for (frame = first; frame < first + count; frame++) {
		uint8_t *at = mem->guest + frame * MF_PAGE;

		if (!test(soiled, frame))
			continue;
		mf_mem_mark(mem, at, MF_PAGE);
		memset(at, 0, MF_PAGE);
		put(mem, MF_FRAMES_SOILED, frame, 1, false);
		mem->kept -= mem->kept != 0;
	}
}

static bool take(struct mf_mem *mem, uint64_t frame, size_t count)
{
	struct mf_arena *arena;

	if (!count || mf_mem_grow(mem, frame + count))
		return false;
	arena = mf_mem_arena_rw(mem);
	put(mem, MF_FRAMES_USED, frame, count, true);
	scrub(mem, frame, count);
	arena->frames_used += count;
	if (arena->frames_high < frame + count)
		arena->frames_high = frame + count;
	return true;
}

size_t mf_frames_take(struct mf_mem *mem, size_t want, struct mf_gpa *first)
{
	uint64_t frame;
	uint64_t left = mf_frames_left(mem);
	size_t count = find_run(mem, want < left ? want : left, &frame);

	if (!take(mem, frame, count))
		return 0;
	mf_mem_arena_rw(mem)->frames_lowest = frame + count;
	*first = MF_GPA(frame * MF_PAGE);
	return count;
}

/* Whether the aligned frames from `frame` on are all free. */
static bool is_huge_run(const struct mf_mem *mem, uint64_t frame)
{
	const uint64_t *used = mf_mem_map(mem, MF_FRAMES_USED) + frame / 64;
	uint64_t any = 0;
	unsigned int word;

	for (word = 0; word < MF_HUGE_PAGES / 64; word++)
		any |= used[word];
	return !any;
}

bool mf_frames_take_huge(struct mf_mem *mem, struct mf_gpa *first)
{
	const struct mf_arena *arena = mf_mem_arena(mem);
	uint64_t frame = arena->huge_lowest;

	while (frame + MF_HUGE_PAGES <= arena->frames_limit && !is_huge_run(mem, frame))
		frame += MF_HUGE_PAGES;
	/* One more for the table that an entry of 2 MiB may need one day. */
	if (frame + MF_HUGE_PAGES > arena->frames_limit || mf_frames_left(mem) <= MF_HUGE_PAGES ||
	    !take(mem, frame, MF_HUGE_PAGES))
		return false;
	mf_mem_arena_rw(mem)->huge_lowest = frame + MF_HUGE_PAGES;
	*first = MF_GPA(frame * MF_PAGE);
	return true;
}

struct soil {
	struct mf_mem *mem;
	uint64_t first_frame;
};

static void soil_run(void *cookie, size_t first, size_t count)
{
	struct soil *soil = cookie;

	put(soil->mem, MF_FRAMES_SOILED, soil->first_frame + first, count, true);
}

/* Give freed frames of a blank VM back to the host: they read as zero then. */
static int drop(struct mf_mem *mem, uint64_t frame, size_t count)
{
	uint8_t *at = mem->guest + frame * MF_PAGE;

	if (mem->memfd < 0) {
		/* There may be huge pages again: see engine/mem/flush.c. */
		if (count >= MF_HUGE_PAGES)
			madvise(at, count * MF_PAGE, MADV_DODUMP);
		return madvise(at, count * MF_PAGE, MADV_DONTNEED);
	}
	return fallocate(mem->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(mem->arena_bytes + frame * MF_PAGE), (off_t)(count * MF_PAGE));
}

/* In a plain VM a few pages are kept: zeroing one costs a hundredth of a fault. */
static bool keeps(struct mf_mem *mem, size_t count)
{
	if (mem->memfd >= 0 || count >= MF_HUGE_PAGES || mem->kept + count > KEPT_MAX)
		return false;
	mem->kept += count;
	return true;
}

/* What is kept costs the host memory, what is given back the next user a fault a page. */
static bool give_back(struct mf_mem *mem, uint64_t frame, size_t count)
{
	if (madvise(mem->guest + frame * MF_PAGE, count * MF_PAGE, MADV_DONTNEED))
		return false;
	mf_ws_clear(&mem->ws, mem->arena_bytes / MF_PAGE + frame, count);
	return true;
}

/*
 * Which of the freed frames are not zero? In a blank VM the host's pages are dropped. In a fork:
 * those that were in use in the image, and those that became private since.
 */
static void note_soil(struct mf_mem *mem, uint64_t frame, size_t count)
{
	const struct mf_kvm *kvm = mem->vm->kvm;
	const uint64_t *was_used;
	struct soil soil = {mem, frame};
	size_t i;

	if (!mem->backing) {
		if (keeps(mem, count) || drop(mem, frame, count))
			put(mem, MF_FRAMES_SOILED, frame, count, true);
		return;
	}
	was_used = mf_mem_image_map(mem, MF_FRAMES_USED);
	for (i = 0; i < count; i++)
		if (test(was_used, frame + i))
			put(mem, MF_FRAMES_SOILED, frame + i, 1, true);
	if (count >= GIVE_BACK_PAGES && give_back(mem, frame, count))
		return;
	if (mf_private_scan(kvm->pagemap_fd, kvm->traits.pagemap_scan, mem->guest + frame * MF_PAGE,
			    count, soil_run, &soil))
		put(mem, MF_FRAMES_SOILED, frame, count, true);
}

void mf_frames_give(struct mf_mem *mem, struct mf_gpa first, size_t count)
{
	struct mf_arena *arena = mf_mem_arena_rw(mem);
	uint64_t frame = first.at / MF_PAGE;

	put(mem, MF_FRAMES_USED, frame, count, false);
	note_soil(mem, frame, count);
	arena->frames_used -= count;
	if (arena->frames_lowest > frame)
		arena->frames_lowest = frame;
	if (arena->huge_lowest > frame)
		arena->huge_lowest = frame & ~(uint64_t)(MF_HUGE_PAGES - 1);
}

void mf_frames_clean(struct mf_mem *mem)
{
	const uint64_t *used = mf_mem_map(mem, MF_FRAMES_USED);
	uint64_t high = mf_mem_arena(mem)->frames_high;
	struct mf_arena *arena = mf_mem_arena_rw(mem);
	uint64_t frame;

	for (frame = 0; frame < high; frame++)
		if (!test(used, frame))
			scrub(mem, frame, 1);
	while (arena->frames_high && !test(used, arena->frames_high - 1))
		arena->frames_high--;
}
