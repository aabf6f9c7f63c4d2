/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect. */
#include "engine/linux/memory.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"
#include "engine/mem/frames.h"

#include <errno.h>

/* Read-only file mappings from this size on are the page cache itself, not a copy. */
#define FILE_MAP_BYTES (256u << 10)
#define HUGE_BYTES     (2ull << 20)
#define TOP_32BIT      (1ull << 31)

/* Fill a private file mapping: the pages are the program's own copy. */
static int fill_from_file(struct mf_process *process, uint64_t start, uint64_t bytes, uint64_t fd,
			  uint64_t offset)
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa gpa;

	for (; bytes; bytes -= MF_PAGE, start += MF_PAGE, offset += MF_PAGE) {
		uint8_t *at;
		ssize_t got;

		if (!mf_pt_lookup(mem, MF_GVA(start), &gpa))
			continue;
		at = mem->guest + gpa.at;
		mf_mem_mark(mem, at, MF_PAGE);
		got = mf_fd_pread(process, fd, at, MF_PAGE, offset);
		if (got < 0)
			return (int)got;
		if (got < (ssize_t)MF_PAGE)
			break;
	}
	return 0;
}

static int64_t fixed_address(struct mf_process *process, uint64_t at, uint64_t bytes,
			     uint64_t flags)
{
	if (at % MF_PAGE)
		return -EINVAL;
	if (!mf_memory_is_user_range(at, bytes))
		return at < MF_USER_TOP && bytes <= MF_USER_TOP ? -EPERM : -ENOMEM;
	if (flags & MAP_FIXED_NOREPLACE && mf_vma_overlaps(process, at, at + bytes))
		return -EEXIST;
	return mf_memory_unmap(process, at, bytes) ? -ENOMEM : (int64_t)at;
}

/* Large ranges begin where a large page could: once they do, they may consist of some. */
static uint64_t free_place(struct mf_process *process, uint64_t bytes, uint64_t flags)
{
	uint64_t place;

	if (flags & MAP_32BIT)
		return mf_vma_gap_below(process, bytes, TOP_32BIT);
	place = bytes >= HUGE_BYTES ? mf_vma_gap(process, bytes + HUGE_BYTES - MF_PAGE) : 0;
	if (place)
		return (place + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	return mf_vma_gap(process, bytes);
}

static int64_t choose_address(struct mf_process *process, uint64_t hint, uint64_t bytes,
			      uint64_t flags)
{
	uint64_t place;

	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return fixed_address(process, hint, bytes, flags);
	hint = mf_memory_round_up(hint);
	if (hint && mf_memory_is_user_range(hint, bytes) &&
	    hint + bytes <= mf_linux(process)->stack_end - MF_PAGE &&
	    !mf_vma_overlaps(process, hint, hint + bytes))
		return (int64_t)hint;
	place = free_place(process, bytes, flags);
	return place ? (int64_t)place : -ENOMEM;
}

static int check_mmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t flags = arg[3];
	uint64_t type = flags & MAP_TYPE;

	if (!arg[1] || arg[5] % MF_PAGE || arg[2] & ~(uint64_t)MF_PROT_ALL)
		return -EINVAL;
	if (arg[1] > MF_USER_TOP)
		return -ENOMEM;
	if (type != MAP_PRIVATE && type != MAP_SHARED)
		return -EINVAL;
	if (flags & (MAP_HUGETLB | MAP_GROWSDOWN))
		return -EINVAL;
	if (flags & MAP_ANONYMOUS)
		return 0;
	if (!mf_fd_get(process, arg[4]))
		return -EBADF;
	/* Writing back through the page cache is not there: say so instead of pretending. */
	return type == MAP_SHARED && arg[2] & PROT_WRITE ? -ENODEV : 0;
}

static struct mf_vma range_of(uint64_t start, uint64_t bytes, const uint64_t arg[6])
{
	uint64_t flags = arg[3];
	struct mf_vma vma = {
		.start = start, .end = start + bytes, .prot = (uint8_t)arg[2], .kind = MF_VMA_MMAP};

	if ((flags & MAP_TYPE) == MAP_SHARED)
		vma.flags |= MF_VMA_IS_SHARED;
	/* Of a stack nobody knows how much will be used: it is no promise either. */
	if (flags & (MAP_NORESERVE | MAP_STACK))
		vma.flags |= MF_VMA_IS_NORESERVE;
	return vma;
}

/*
 * Map a file's pages themselves, read-only. 1: not for this mapping (small, writable, a fork, no
 * room): copy it. Touching what lies behind the end of the file ends the program; a shared mapping
 * has room for what the file may still grow by.
 */
static int map_file_itself(struct mf_process *process, uint64_t start, uint64_t bytes,
			   const uint64_t arg[6])
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_vma vma = range_of(start, bytes, arg);
	uint64_t size;
	uint64_t inside;
	bool shared;
	struct mf_gpa gpa;
	int host = mf_fd_file(process, arg[4], &size);

	vma.kind = MF_VMA_FILE;
	if (host < 0)
		return host;
	shared = (arg[3] & MAP_TYPE) == MAP_SHARED;
	inside = size > arg[5] ? mf_memory_round_up(size - arg[5]) : 0;
	inside = inside < bytes && !shared ? inside : bytes;
	if (mem->backing || arg[2] & PROT_WRITE || (inside < FILE_MAP_BYTES && !shared) ||
	    mf_mem_map_file(mem, host, arg[5], inside, &gpa))
		return 1;
	if (mf_pt_map(mem, MF_GVA(start), gpa, inside / MF_PAGE,
		      mf_memory_prot((uint32_t)arg[2]) | MF_ENGINE) ||
	    mf_vma_add(process, vma)) {
		mf_pt_unmap(mem, MF_GVA(start), bytes / MF_PAGE);
		return -ENOMEM;
	}
	return 0;
}

/* Give pages that are a file's own a frame and a copy each, because they are to become writable. */
static int copy_file_pages(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	struct mf_mem *mem = &process->vm.mem;
	uint64_t at;

	for (at = start; at < start + bytes; at += MF_PAGE) {
		struct mf_gpa file;
		struct mf_gpa copy;

		if (!mf_pt_lookup(mem, MF_GVA(at), &file) || !mf_mem_is_file(mem, file))
			continue;
		if (!mf_frames_left(mem) || !mf_frames_take(mem, 1, &copy)) {
			process->out_of_memory = true;
			return -ENOMEM;
		}
		mf_mem_mark(mem, mem->guest + copy.at, MF_PAGE);
		__builtin_memcpy(mem->guest + copy.at, mf_mem_at(mem, file, MF_PAGE), MF_PAGE);
		mf_pt_unmap(mem, MF_GVA(at), 1);
		if (mf_pt_map(mem, MF_GVA(at), copy, 1, MF_READ))
			return -ENOMEM;
	}
	return 0;
}

/* Small and promised ranges are backed now; the others when they are touched. */
static int back_or_promise(struct mf_process *process, uint64_t start, uint64_t bytes,
			   uint64_t flags)
{
	const struct mf_vma *vma = mf_vma_find(process, start);

	if (!vma || !(vma->prot & MF_PROT_ALL))
		return 0;
	if (flags & (MAP_POPULATE | MAP_LOCKED))
		return mf_memory_may_promise(process, bytes) ? mf_memory_back(process, start, bytes)
							     : -ENOMEM;
	return bytes <= MF_EAGER_BYTES ? mf_memory_back(process, start, bytes) : 0;
}

static int map_anonymous(struct mf_process *process, uint64_t start, uint64_t bytes,
			 const uint64_t arg[6])
{
	struct mf_vma vma = range_of(start, bytes, arg);
	int ret;

	if (bytes > MF_EAGER_BYTES && vma.prot & PROT_WRITE && !(vma.flags & MF_VMA_IS_NORESERVE) &&
	    !mf_memory_may_promise(process, bytes))
		return -ENOMEM;
	ret = mf_memory_add(process, vma);
	if (!ret)
		ret = back_or_promise(process, start, bytes, arg[3]);
	return ret;
}

/* A copy of the file, with zeros behind its end. */
static int map_copy(struct mf_process *process, uint64_t start, uint64_t bytes,
		    const uint64_t arg[6])
{
	struct mf_vma vma = range_of(start, bytes, arg);
	int ret;

	vma.prot |= PROT_READ;
	ret = mf_memory_add(process, vma);
	if (!ret)
		ret = mf_memory_back(process, start, bytes);
	if (!ret)
		ret = fill_from_file(process, start, bytes, arg[4], arg[5]);
	if (ret || arg[2] & MF_PROT_ALL)
		return ret;
	mf_pt_protect(&process->vm.mem, MF_GVA(start), bytes / MF_PAGE, 0);
	return mf_vma_protect(process, start, start + bytes, 0);
}

static int map_file(struct mf_process *process, uint64_t start, uint64_t bytes,
		    const uint64_t arg[6])
{
	int ret = map_file_itself(process, start, bytes, arg);

	/* A copy is no shared mapping: it would not see what others write. */
	if (ret == 1 && (arg[3] & MAP_TYPE) == MAP_SHARED)
		return -ENODEV;
	return ret == 1 ? map_copy(process, start, bytes, arg) : ret;
}

int64_t mf_sys_mmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);
	int64_t start;
	int ret = check_mmap(process, arg);

	if (ret)
		return ret;
	start = choose_address(process, arg[0], bytes, arg[3]);
	if (start < 0)
		return start;
	ret = arg[3] & MAP_ANONYMOUS ? map_anonymous(process, (uint64_t)start, bytes, arg)
				     : map_file(process, (uint64_t)start, bytes, arg);
	if (!ret)
		return start;
	mf_memory_unmap(process, (uint64_t)start, bytes);
	return ret;
}

int64_t mf_sys_munmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);

	if (arg[0] % MF_PAGE || !bytes || arg[0] > MF_USER_TOP || bytes > MF_USER_TOP - arg[0])
		return -EINVAL;
	return mf_memory_unmap(process, arg[0], bytes);
}

/* What gains an access for the first time gets its frames, or the promise of them. */
static int back_for_access(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	if (bytes <= MF_EAGER_BYTES)
		return mf_memory_back(process, start, bytes);
	return 0;
}

static int promise_for_write(struct mf_process *process, uint64_t start, uint64_t end)
{
	uint64_t more = 0;

	while (start < end) {
		const struct mf_vma *vma = mf_vma_from(process, start);
		uint64_t to = vma && vma->end < end ? vma->end : end;

		if (vma && !(vma->prot & PROT_WRITE) && !(vma->flags & MF_VMA_IS_NORESERVE))
			more += to - start;
		start = to;
	}
	return more <= MF_EAGER_BYTES || mf_memory_may_promise(process, more) ? 0 : -ENOMEM;
}

int64_t mf_sys_mprotect(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);
	uint32_t prot = (uint32_t)arg[2];
	uint64_t end = arg[0] + bytes;

	if (arg[0] % MF_PAGE || arg[2] & ~(uint64_t)MF_PROT_ALL)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (!mf_memory_is_user_range(arg[0], bytes) || !mf_vma_covers(process, arg[0], end))
		return -ENOMEM;
	if (mf_vma_has_window(process, arg[0], end))
		return -EPERM;
	if ((prot & PROT_WRITE && (promise_for_write(process, arg[0], end) ||
				   copy_file_pages(process, arg[0], bytes))) ||
	    mf_vma_protect(process, arg[0], end, prot))
		return -ENOMEM;
	mf_pt_protect(&process->vm.mem, MF_GVA(arg[0]), bytes / MF_PAGE, mf_memory_prot(prot));
	return back_for_access(process, arg[0], bytes);
}
