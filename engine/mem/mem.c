/* SPDX-License-Identifier: MIT */
#include "engine/mem/mem.h"
#include "engine/mem/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Memory grows by at least this much at a time, and doubles what it has grown by: a new slot waits
 * for readers in the kernel, which on a busy machine may take long.
 */
#define GROW_PAGES 512u

/* Address space for file maps: while an image is built, and beyond the image's in a fork. */
#define FILE_ROOM      (64ull << 30)
#define FORK_FILE_ROOM (4ull << 30)

static size_t round_page(size_t bytes)
{
	return (bytes + MF_PAGE - 1) & ~(size_t)(MF_PAGE - 1);
}

static int out_of_memory(struct mf_error *err, const char *what)
{
	return mf_error_set(err, -ENOMEM,
			    "not enough memory for %s; lower --memory or the number of VMs", what);
}

/* Address space, aligned to 2 MiB, as the arena's size is: what is aligned in one of file, host and
 * guest-physical space is so in all, or no huge page could be mapped. */
static uint8_t *reserve_aligned(size_t bytes)
{
	uint8_t *base = mmap(NULL, bytes + MF_HUGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t skip;

	if (base == MAP_FAILED)
		return NULL;
	skip = -(uintptr_t)base & (MF_HUGE - 1);
	if (skip)
		munmap(base, skip);
	munmap(base + skip + bytes, MF_HUGE - skip);
	return base + skip;
}

static int reserve(struct mf_mem *mem, size_t bytes)
{
	mem->base = reserve_aligned(bytes);
	if (!mem->base)
		return -ENOMEM;
	mem->guest = mem->base + mem->arena_bytes;
	mem->reserved_bytes = bytes;
	return 0;
}

static int map_file(struct mf_mem *mem, int memfd, int share, uint64_t offset, size_t from,
		    size_t to)
{
	void *at = mmap(mem->base + from, to - from, PROT_READ | PROT_WRITE,
			share | MAP_FIXED | MAP_NORESERVE, memfd, (off_t)(offset + from));

	return at == MAP_FAILED ? -errno : 0;
}

/* Lay out the arena: header, Linux state, bitmaps; whole pages, so that each is marked alone. */
static size_t layout_arena(struct mf_arena *arena, size_t frames, size_t linux_bytes)
{
	size_t map_bytes = round_page((frames + 63) / 64 * 8);
	size_t at = MF_PAGE;
	unsigned int i;

	memset(arena, 0, sizeof(*arena));
	arena->magic = MF_ARENA_MAGIC;
	arena->frames_limit = frames;
	arena->linux_offset = (uint32_t)at;
	arena->linux_bytes = (uint32_t)linux_bytes;
	at += round_page(linux_bytes);
	for (i = 0; i < MF_FRAME_MAPS; i++) {
		arena->map_offset[i] = (uint32_t)at;
		at += map_bytes;
	}
	return (at + MF_HUGE - 1) & ~(size_t)(MF_HUGE - 1);
}

static int map_anonymous(struct mf_mem *mem, size_t from, size_t to)
{
	void *at = mmap(mem->base + from, to - from, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? -errno : 0;
}

/* The arena of blank memory. */
static int map_arena(struct mf_mem *mem, bool plain)
{
	if (plain)
		return map_anonymous(mem, 0, mem->arena_bytes);
	mem->memfd = memfd_create("mayfly-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (mem->memfd < 0 || ftruncate(mem->memfd, (off_t)mem->arena_bytes))
		return -errno;
	return map_file(mem, mem->memfd, MAP_SHARED, 0, 0, mem->arena_bytes);
}

int mf_mem_create_blank(struct mf_mem *mem, struct mf_kvm_vm *vm, bool plain, size_t limit_bytes,
			size_t linux_bytes, struct mf_error *err)
{
	struct mf_arena arena;
	size_t frames = limit_bytes / MF_PAGE;
	int ret;

	*mem = (struct mf_mem){.vm = vm, .memfd = -1};
	mem->arena_bytes = layout_arena(&arena, frames, linux_bytes);
	mem->limit_bytes = frames * MF_PAGE;
	if (reserve(mem, mem->arena_bytes + mem->limit_bytes + FILE_ROOM))
		return out_of_memory(err, "a VM's address space");
	ret = map_arena(mem, plain);
	if (!ret)
		ret = mf_ws_init(&mem->ws, (mem->arena_bytes + mem->limit_bytes) / MF_PAGE);
	if (ret) {
		mf_mem_destroy(mem);
		return mf_error_set(err, ret, "cannot set up a VM's memory: %s", strerror(-ret));
	}
	memcpy(mem->base, &arena, sizeof(arena));
	mem->frames_cap = arena.frames_limit;
	return 0;
}

int mf_mem_create_fork(struct mf_mem *mem, struct mf_kvm_vm *vm, const struct mf_backing *backing,
		       struct mf_error *err)
{
	int ret;

	*mem = (struct mf_mem){
		.vm = vm,
		.memfd = -1,
		.backing = backing,
		.arena_bytes = backing->arena_bytes,
		.limit_bytes = backing->limit_bytes,
		.file_count = backing->file_count,
	};
	if (reserve(mem, backing->arena_bytes + mf_mem_files_end(mem) + FORK_FILE_ROOM))
		return out_of_memory(err, "a VM's address space");
	ret = map_file(mem, backing->memfd, MAP_PRIVATE, backing->offset, 0, backing->bytes);
	if (!ret)
		ret = mf_ws_init(&mem->ws, (mem->arena_bytes + mem->limit_bytes) / MF_PAGE);
	if (!ret) {
		mem->guest_bytes = backing->bytes - backing->arena_bytes;
		mem->frames_cap = mf_mem_arena(mem)->frames_limit;
		ret = mf_kvm_vm_slot(vm, mem->slots++, 0, mem->guest_bytes, mem->guest);
	}
	if (!ret)
		ret = mf_mem_map_image_files(mem);
	if (ret) {
		mf_mem_destroy(mem);
		return mf_error_set(err, ret, "cannot map the image into a VM: %s", strerror(-ret));
	}
	return 0;
}

void mf_mem_destroy(struct mf_mem *mem)
{
	if (mem->base)
		munmap(mem->base, mem->reserved_bytes);
	if (mem->memfd >= 0)
		close(mem->memfd);
	mf_mem_close_files(mem);
	free(mem->files);
	mf_ws_finish(&mem->ws);
	*mem = (struct mf_mem){.memfd = -1};
}

static int seal(int memfd, size_t bytes, struct mf_backing *backing)
{
	uint8_t *place;
	void *map;

	if (ftruncate(memfd, (off_t)bytes))
		return -errno;
	if (fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return -errno;
	place = reserve_aligned(bytes);
	if (!place)
		return -ENOMEM;
	map = mmap(place, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, memfd, 0);
	if (map == MAP_FAILED) {
		munmap(place, bytes);
		return -ENOMEM;
	}
	backing->memfd = memfd;
	backing->map = map;
	backing->bytes = bytes;
	return 0;
}

int mf_mem_freeze(struct mf_mem *mem, struct mf_backing *backing, struct mf_error *err)
{
	size_t bytes = mem->arena_bytes + mf_mem_arena(mem)->frames_high * MF_PAGE;
	int memfd = mem->memfd;
	int ret;

	if (memfd < 0) {
		*backing = (struct mf_backing){.memfd = -1};
		mf_mem_destroy(mem);
		return mf_error_set(err, -ENOTSUP, "memory that is no file cannot be frozen");
	}
	*backing = (struct mf_backing){
		.memfd = -1,
		.arena_bytes = mem->arena_bytes,
		.limit_bytes = mem->limit_bytes,
	};
	mf_mem_hand_over_files(mem, backing);
	mem->memfd = -1;
	mf_mem_destroy(mem); /* sealing needs every writable shared map gone */
	ret = seal(memfd, bytes, backing);
	if (ret) {
		close(memfd);
		mf_backing_close_files(backing);
		return mf_error_set(err, ret, "cannot seal the image: %s", strerror(-ret));
	}
	return 0;
}

/* MADV_COLLAPSE is Linux 6.1; Debian 12's glibc does not name it yet. */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

bool mf_backing_collapse(struct mf_backing *backing, struct mf_gpa gpa)
{
	size_t at = backing->arena_bytes + gpa.at;

	if (at + MF_HUGE > backing->bytes ||
	    lseek(backing->memfd, (off_t)at, SEEK_HOLE) < (off_t)(at + MF_HUGE) ||
	    madvise((void *)(backing->map + at), MF_HUGE, MADV_COLLAPSE))
		return false;
	backing->huge_pages++;
	return true;
}

void mf_backing_finish(struct mf_backing *backing)
{
	if (backing->map)
		munmap((void *)backing->map, backing->bytes);
	if (backing->memfd >= 0)
		close(backing->memfd);
	mf_backing_close_files(backing);
	*backing = (struct mf_backing){.memfd = -1};
}

static int map_more(struct mf_mem *mem, size_t from, size_t to)
{
	int ret;

	from += mem->arena_bytes;
	to += mem->arena_bytes;
	if (mem->memfd < 0) {
		ret = map_anonymous(mem, from, to);
		/* Should the host not have any just now, it is slower, that is all. */
		if (!ret && mf_mem_has_huge_pages(mem))
			madvise(mem->base + from, to - from, MADV_HUGEPAGE);
		return ret;
	}
	if (ftruncate(mem->memfd, (off_t)to))
		return -errno;
	return map_file(mem, mem->memfd, MAP_SHARED, 0, from, to);
}

int mf_mem_grow(struct mf_mem *mem, uint64_t frames)
{
	uint64_t limit = mf_mem_arena(mem)->frames_limit;
	uint64_t have = mem->guest_bytes / MF_PAGE;
	uint64_t grown =
		mem->backing ? have - (mem->backing->bytes - mem->arena_bytes) / MF_PAGE : have / 4;
	uint64_t want = have + grown;
	int ret;

	if (frames <= have)
		return 0;
	if (frames > limit)
		return -ENOMEM;
	if (want < frames)
		want = frames;
	want = (want + GROW_PAGES - 1) / GROW_PAGES * GROW_PAGES;
	if (want > limit)
		want = limit;
	ret = map_more(mem, mem->guest_bytes, want * MF_PAGE);
	if (!ret)
		ret = mf_kvm_vm_slot(mem->vm, mem->slots, mem->guest_bytes, (want - have) * MF_PAGE,
				     mem->guest + mem->guest_bytes);
	if (ret)
		return ret == -ENOMEM ? ret : -ENOMEM;
	mem->slots++;
	mem->guest_bytes = want * MF_PAGE;
	return 0;
}

void mf_mem_mark(struct mf_mem *mem, const void *at, size_t bytes)
{
	size_t first = (size_t)((const uint8_t *)at - mem->base) / MF_PAGE;
	size_t last = ((size_t)((const uint8_t *)at - mem->base) + bytes - 1) / MF_PAGE;

	/* File maps lie behind what has a working set. */
	if (bytes && first < mem->ws.pages)
		mf_ws_mark(&mem->ws, first, last - first + 1);
}

struct mf_arena *mf_mem_arena_rw(struct mf_mem *mem)
{
	mf_ws_mark(&mem->ws, 0, 1);
	return mf_mem_arena(mem);
}
