/* SPDX-License-Identifier: MIT */
/* What a program says and asks about its memory: madvise, msync, mincore. */
#include "engine/linux/fd.h"
#include "engine/linux/filemap.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Newer than Debian 12's headers, or only there with newer features. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

/* Pages that come back with the same touch that would take them anew are kept and zeroed. Of a
 * plain VM that has enough, as many as a mapping has from the start: what is used again costs no
 * exit. */
#define KEEP_BYTES       (64u << 10)
#define KEEP_BYTES_PLAIN MF_EAGER_BYTES

/* A part of one range. */
struct part {
	struct mf_vma vma;
	uint64_t start;
	uint64_t end;
};

typedef int advice_fn(struct mf_process *process, const struct part *part);

/*
 * Range by range. Holes are passed over, and told at the end (ENOMEM), as Linux does it.
 */
static int each_part(struct mf_process *process, uint64_t start, uint64_t end, advice_fn *fn)
{
	bool holes = false;
	int ret = 0;

	while (start < end && !ret) {
		const struct mf_vma *vma = mf_vma_from(process, start);
		struct part part;

		if (!vma || vma->start >= end)
			return -ENOMEM;
		holes |= vma->start > start;
		part.vma = *vma;
		part.start = vma->start > start ? vma->start : start;
		part.end = vma->end < end ? vma->end : end;
		start = part.end;
		ret = fn(process, &part);
	}
	return ret ? ret : holes ? -ENOMEM : 0;
}

static int nothing(struct mf_process *process, const struct part *part)
{
	(void)process;
	(void)part;
	return 0;
}

static bool keeps(const struct mf_mem *mem, uint64_t bytes)
{
	bool plain = !mem->backing && mem->memfd < 0;

	return bytes < KEEP_BYTES || (plain && bytes <= KEEP_BYTES_PLAIN &&
				      mf_frames_left(mem) > mf_mem_arena(mem)->frames_limit / 2);
}

static int drop_pages(struct mf_process *process, const struct part *part)
{
	struct mf_mem *mem = &process->vm.mem;
	uint64_t pages = (part->end - part->start) / MF_PAGE;

	if (part->vma.flags & MF_VMA_IS_LOCKED || part->vma.kind == MF_VMA_WINDOW)
		return -EINVAL;
	/* Shared memory keeps its content: of a file in the file, of others nowhere else. */
	if (part->vma.flags & MF_VMA_IS_SHARED)
		return 0;
	if (part->vma.slot || part->vma.file || !keeps(mem, part->end - part->start))
		mf_pt_unmap(mem, MF_GVA(part->start), pages);
	else
		mf_pt_zero(mem, MF_GVA(part->start), pages);
	return 0;
}

/* Linux takes them when it is short of memory; here it is at once. */
static int free_pages(struct mf_process *process, const struct part *part)
{
	if (part->vma.flags & MF_VMA_IS_SHARED || part->vma.file)
		return -EINVAL;
	return drop_pages(process, part);
}

static int punch_hole(struct mf_process *process, const struct part *part)
{
	struct mf_mem *mem = &process->vm.mem;
	const struct mf_fd *entry = mf_filemap_fd(process, &part->vma);
	uint64_t offset = part->vma.offset + (part->start - part->vma.start);

	if (part->vma.flags & MF_VMA_IS_LOCKED || part->vma.kind == MF_VMA_WINDOW)
		return -EINVAL;
	if (!entry && !(part->vma.flags & MF_VMA_IS_SHARED))
		return -EINVAL;
	if (!entry) {
		mf_pt_unmap(mem, MF_GVA(part->start), (part->end - part->start) / MF_PAGE);
		return 0;
	}
	if (!(part->vma.flags & MF_VMA_IS_SHARED) || !(part->vma.flags & MF_VMA_MAY_WRITE))
		return -EACCES;
	return fallocate(entry->host, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)(part->end - part->start))
		       ? -errno
		       : 0;
}

static int populate(struct mf_process *process, const struct part *part, int want)
{
	uint64_t at;

	for (at = part->start; at < part->end; at += MF_PAGE) {
		switch (mf_memory_touch(process, at, want)) {
		case MF_TOUCH_OK:
			break;
		case MF_TOUCH_NO_MEMORY:
			return -ENOMEM;
		case MF_TOUCH_DENIED:
			return -EINVAL;
		default:
			return -EFAULT;
		}
	}
	return 0;
}

static int populate_read(struct mf_process *process, const struct part *part)
{
	return populate(process, part, MF_READ);
}

static int populate_write(struct mf_process *process, const struct part *part)
{
	return populate(process, part, MF_WRITE);
}

static int of_anonymous(struct mf_process *process, const struct part *part)
{
	(void)process;
	return part->vma.file || part->vma.flags & MF_VMA_IS_SHARED ? -EINVAL : 0;
}

static advice_fn *advice_of(uint64_t advice)
{
	switch ((int)advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_KEEPONFORK:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_COLD:
	case MADV_PAGEOUT:
		return nothing;
	case MADV_WIPEONFORK:
		return of_anonymous;
	case MADV_DONTNEED:
		return drop_pages;
	case MADV_FREE:
		return free_pages;
	case MADV_REMOVE:
		return punch_hole;
	case MADV_POPULATE_READ:
		return populate_read;
	case MADV_POPULATE_WRITE:
		return populate_write;
	default:
		return NULL;
	}
}

int64_t mf_sys_madvise(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);
	advice_fn *fn = advice_of(arg[2]);

	if (!fn || arg[0] % MF_PAGE || (arg[1] && !bytes) || arg[0] + bytes < arg[0])
		return -EINVAL;
	return bytes ? each_part(process, arg[0], arg[0] + bytes, fn) : 0;
}

/* The host writes back what is shared with a file; all else has nowhere to go. */
static int sync_part(struct mf_process *process, const struct part *part)
{
	struct mf_gpa gpa;

	if (part->vma.kind != MF_VMA_SHARED ||
	    !mf_filemap_gpa(process, &part->vma, part->start, &gpa))
		return 0;
	return msync(process->vm.mem.guest + gpa.at, part->end - part->start, MS_SYNC) ? -errno : 0;
}

static int is_locked(struct mf_process *process, const struct part *part)
{
	(void)process;
	return part->vma.flags & MF_VMA_IS_LOCKED ? -EBUSY : 0;
}

int64_t mf_sys_msync(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);
	uint64_t flags = arg[2];
	uint64_t end = arg[0] + bytes;
	int ret = 0;

	if (flags & ~(uint64_t)(MS_ASYNC | MS_INVALIDATE | MS_SYNC) || arg[0] % MF_PAGE ||
	    (flags & MS_ASYNC && flags & MS_SYNC))
		return -EINVAL;
	if (end < arg[0])
		return -ENOMEM;
	if (flags & MS_INVALIDATE)
		ret = each_part(process, arg[0], end, is_locked);
	if (!ret || ret == -ENOMEM)
		ret = each_part(process, arg[0], end, flags & MS_SYNC ? sync_part : nothing);
	return ret;
}

/* Is the page at hand without a fault that reads or takes anything? */
static uint8_t is_resident(const struct mf_process *process, const struct mf_vma *vma, uint64_t at)
{
	struct mf_gpa gpa;

	return vma->file || mf_pt_lookup(&process->vm.mem, MF_GVA(at), &gpa);
}

int64_t mf_sys_mincore(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t end = arg[0] + mf_memory_round_up(arg[1]);
	uint64_t at = arg[0];
	uint64_t out = arg[2];
	uint8_t bits[256];

	if (at % MF_PAGE)
		return -EINVAL;
	if (end < at || end > MF_USER_TOP)
		return -ENOMEM;
	while (at < end) {
		size_t count = 0;

		for (; at < end && count < sizeof(bits); at += MF_PAGE, count++) {
			const struct mf_vma *vma = mf_vma_find(process, at);

			if (!vma)
				return -ENOMEM;
			bits[count] = is_resident(process, vma, at);
		}
		if (mf_guest_write(process, out, bits, count))
			return -EFAULT;
		out += count;
	}
	return 0;
}
