/* SPDX-License-Identifier: MIT */
/*
 * A VM's memory: one host mapping [arena | guest-physical memory], its memslots, and the working
 * set (the pages of which this VM holds a private copy). Blank memory is a shared memfd in which an
 * image is built; forked memory maps a sealed image MAP_PRIVATE and grows by anonymous pages. Knows
 * no registers and no Linux. One thread at a time per object.
 */
#ifndef MF_ENGINE_MEM_MEM_H
#define MF_ENGINE_MEM_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/kvm/kvm.h"
#include "engine/mem/arena.h"
#include "engine/mem/ws.h"

/*
 * A piece of a file that is guest memory straight from the page cache: never copied, never in the
 * image, a slot of its own. Guest-physical addresses of such pieces lie above the frames.
 * Read-only, or shared with the file and whoever else has it (a program's writable MAP_SHARED). A
 * window is such a place, kept free for memory that each VM shares, read and write, with somebody
 * else: it is filled VM by VM (mf_mem_open_window) and no part of image, delta or reset.
 */
struct mf_file_map {
	int fd; /* owned; -1: a window */
	bool writable;
	uint64_t offset;
	uint64_t bytes; /* 0: a free entry */
	uint64_t gpa;
	uint64_t pages; /* that are mapped in the guest; none left: it is taken away */
};

#define MF_FILE_MAPS 256u

/* What forks map: owned by engine/image, immutable, shared by threads. */
struct mf_backing {
	int memfd;          /* sealed, or a file that its owner keeps as it is */
	uint64_t offset;    /* of the memory in it */
	const uint8_t *map; /* the whole file, read-only */
	size_t bytes;       /* arena + guest memory in use at the freeze, whole pages */
	size_t arena_bytes;
	size_t limit_bytes; /* guest memory that a fork may have */
	size_t huge_pages;  /* pieces of the file that the host has as one page each */
	size_t file_count;
	struct mf_file_map files[MF_FILE_MAPS];
};

struct mf_mem;

/* Somebody wants to reach `va` (`want`: enum mf_prot) and the tables do not allow it: true when
 * they do now. */
typedef bool mf_mem_touch_fn(struct mf_mem *mem, struct mf_gva va, int want);

/* What KVM may still have below the shadow of a page-table entry (engine/mem/flush.c). */
struct mf_lead {
	uint64_t entry; /* gpa */
	uint64_t to;
};
#define MF_LEADS 128u

struct mf_mem {
	struct mf_kvm_vm *vm;
	mf_mem_touch_fn *touch; /* NULL: nothing comes at a touch */
	uint8_t *base;          /* the arena */
	uint8_t *guest;         /* guest-physical 0 */
	size_t arena_bytes;
	size_t reserved_bytes; /* address space held: arena + limit + room for file maps */
	size_t limit_bytes;    /* of guest frames */
	size_t kept;           /* free frames of plain memory that were not given back */
	uint64_t frames_cap;   /* frames that may be in use; at most the arena's limit */
	size_t guest_bytes;    /* of guest memory mapped and in slots */
	int memfd;             /* while an image is built, else -1 (also of plain memory) */
	const struct mf_backing *backing; /* NULL while an image is built */
	uint32_t slots;
	uint32_t slot_moves;       /* position of the dummy slot that flushes translations */
	size_t file_count;         /* entries, those of the backing first */
	struct mf_file_map *files; /* owned; those that the backing has not */
	uint32_t windows_open;     /* one bit a file map */
	uint32_t views_open;       /* likewise: those that are open for reading only */
	bool broken;        /* the host refused a flush or a scan: this VM must not serve again */
	bool flush_pending; /* hardware: the next entry must reload CR3 */
	uint32_t lead_count;
	struct mf_lead leads[MF_LEADS]; /* software: entries that lead nowhere, and did */
	struct mf_ws ws;
};

/*
 * Blank memory for at most limit_bytes of guest memory, with linux_bytes of zeroed Linux state in
 * the arena. `plain`: it will never be frozen, so it is anonymous memory, of huge pages where the
 * host has them. -ENOMEM and the like with a sentence; nothing is left behind on failure.
 */
int mf_mem_create_blank(struct mf_mem *mem, struct mf_kvm_vm *vm, bool plain, size_t limit_bytes,
			size_t linux_bytes, struct mf_error *err);

/* Memory over a sealed image. `backing` must outlive it. */
int mf_mem_create_fork(struct mf_mem *mem, struct mf_kvm_vm *vm, const struct mf_backing *backing,
		       struct mf_error *err);

void mf_mem_destroy(struct mf_mem *mem);

/*
 * End the building: unmap, cut the file to what is in use, seal it, map it read-only. The memory is
 * destroyed either way; its vCPU must not run again. On success the caller owns `backing`
 * (mf_backing_finish).
 */
int mf_mem_freeze(struct mf_mem *mem, struct mf_backing *backing, struct mf_error *err);
void mf_backing_finish(struct mf_backing *backing);

/* Let the host have the 2 MiB at gpa as one page, if no part of them is a hole. False: it cannot,
 * or not here. Takes some 2 ms. */
bool mf_backing_collapse(struct mf_backing *backing, struct mf_gpa gpa);

/*
 * Make a piece of a file guest memory (whole pages), read-only, all of which the caller maps then.
 * Takes its own reference to fd. -ENOSPC: no room for another; -ENOMEM; what mmap and KVM say.
 */
int mf_mem_map_file(struct mf_mem *mem, int fd, uint64_t offset, size_t bytes, struct mf_gpa *gpa);

/* The same, shared for reading and writing; fd is open for both. */
int mf_mem_share_file(struct mf_mem *mem, int fd, uint64_t offset, size_t bytes,
		      struct mf_gpa *gpa);

/* The number of the file map that holds gpa. */
uint32_t mf_mem_file_index(const struct mf_mem *mem, struct mf_gpa gpa);

/* NULL when there is none. */
const struct mf_file_map *mf_mem_file(const struct mf_mem *mem, uint32_t index);

/* `pages` pages of it are mapped no more, their translations flushed. One that the image has not
 * goes with its last page. */
void mf_mem_unmap_file(struct mf_mem *mem, uint32_t index, size_t pages);

/* Take away all file maps that the image has not. Tables must have been reset before. */
void mf_mem_forget_files(struct mf_mem *mem);

/* May the host write where gpa is? */
bool mf_mem_is_writable(const struct mf_mem *mem, struct mf_gpa gpa);

/*
 * Keep a place for a window, while an image is built. -ENOSPC, -ENOMEM, -ENOTSUP (in a fork). As
 * long as it is not open it is no memory.
 */
int mf_mem_add_window(struct mf_mem *mem, size_t bytes, struct mf_gpa *gpa);

/*
 * Fill the window at gpa with that part of fd, shared: whole pages, as many as it has. `fd` stays
 * the caller's. -EINVAL: no window is there; -EBUSY: it is open; what mmap and KVM say.
 */
int mf_mem_open_window(struct mf_mem *mem, struct mf_gpa gpa, int fd, uint64_t offset);

/* The same of a file that is open for reading: nobody writes to it here, whatever the guest's
 * tables say. It may be shorter: behind its end there is nothing, until it has grown. */
int mf_mem_open_view(struct mf_mem *mem, struct mf_gpa gpa, int fd, uint64_t offset);

/* Whether gpa is a file's or a window's and not a frame's. */
static inline bool mf_mem_is_file(const struct mf_mem *mem, struct mf_gpa gpa)
{
	return gpa.at >= mem->limit_bytes;
}

/* Whether what is touched first of 2 MiB costs the host a huge page, and no more faults. */
static inline bool mf_mem_has_huge_pages(const struct mf_mem *mem)
{
	return !mem->backing && mem->memfd < 0 && mem->vm->kvm->traits.huge_pages;
}

/* Make the first `frames` frames present (mapped, in a slot). -ENOMEM at the limit or the host's
 * end. */
int mf_mem_grow(struct mf_mem *mem, uint64_t frames);

static inline struct mf_arena *mf_mem_arena(const struct mf_mem *mem)
{
	return (struct mf_arena *)mem->base;
}

static inline void *mf_mem_linux(const struct mf_mem *mem)
{
	return mem->base + mf_mem_arena(mem)->linux_offset;
}

static inline uint64_t *mf_mem_map(const struct mf_mem *mem, enum mf_frame_map map)
{
	return (uint64_t *)(mem->base + mf_mem_arena(mem)->map_offset[map]);
}

/* The same map as the image had it; forks only. */
static inline const uint64_t *mf_mem_image_map(const struct mf_mem *mem, enum mf_frame_map map)
{
	const struct mf_arena *image = (const struct mf_arena *)mem->backing->map;

	return (const uint64_t *)(mem->backing->map + image->map_offset[map]);
}

/*
 * The engine is about to write [at, at+bytes) of this mapping: reset will restore those pages.
 * Every engine write goes through here or through a function that calls it; page tables are the
 * exception (engine/mem/pt.c keeps its own account).
 */
void mf_mem_mark(struct mf_mem *mem, const void *at, size_t bytes);

/* The arena for writing: header marked. */
struct mf_arena *mf_mem_arena_rw(struct mf_mem *mem);

/* Host pointer of guest-physical [gpa, gpa+bytes), or NULL where that is not memory of the VM's own
 * (a window is not: what the engine does there for a guest would escape the window's owner; one
 * that is open for reading is like a file map). Of a file map it is for this thread, until it asks
 * for another VM's (mf_mem_guard_files). */
void *mf_mem_at(const struct mf_mem *mem, struct mf_gpa gpa, size_t bytes);

/* Pages of which this VM holds a copy that it may have changed, right now. Costs a scan. */
long mf_mem_private_pages(struct mf_mem *mem);

/* Find out what became private since the last time. False, and nearly free, when the vCPU met no
 * fault. When the host cannot tell, the memory is `broken`. */
bool mf_mem_learn(struct mf_mem *mem);

/*
 * This thread is about to read file maps of `mem`: a file that is cut short under us then reads as
 * zero instead of ending the engine (SIGBUS). Cheap; holds until the next call.
 */
void mf_mem_guard_files(const struct mf_mem *mem);

/* The same for `bytes` bytes of a file that this thread has mapped at `at`, privately, and reads
 * now. */
void mf_mem_guard_bytes(const void *at, size_t bytes);

/* Add to `pages` (one bit a page of the mapping, atomic) every page that was ever read or written.
 * True when that was any new one. */
bool mf_mem_touched(struct mf_mem *mem, uint64_t *pages);

/* Put every page of the working set back to the image; page tables must have been reset before. */
void mf_mem_copy_back(struct mf_mem *mem);

/*
 * The same, looking first: pages that equal the image anyway were not used. Those that were not
 * used the last time either are given back to the host, unless their bit is set in `keep`.
 */
void mf_mem_copy_back_and_trim(struct mf_mem *mem, const uint64_t *keep);

/* Does a page of the mapping have the image's bytes? */
bool mf_mem_equals_image(const struct mf_mem *mem, size_t page);

/* Make the pages whose bit is set (one bit a page of the mapping) private now: no fault later. */
void mf_mem_populate(struct mf_mem *mem, const uint64_t *pages);

/* Give the working set back to the host, but page tables and pages whose bit is set in `keep` (may
 * be NULL): they read as the image again, and fault when they are used. */
void mf_mem_drop(struct mf_mem *mem, const uint64_t *keep);

#endif
