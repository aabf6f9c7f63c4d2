/* SPDX-License-Identifier: MIT */
#include "engine/linux/memory.h"
#include "engine/image/layout.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"
#include "engine/mem/frames.h"

#include <errno.h>
#include <sys/mman.h>

#define STACK_STEP (128u * 1024)
#define LOWEST     0x10000ull
#define PROT_ALL   (PROT_READ | PROT_WRITE | PROT_EXEC)
/* Page-table frames that a mapping may need on top of its pages. */
#define TABLES_SPARE 4u
/* Read-only file mappings from this size on are the page cache itself, not a copy. */
#define FILE_MAP_BYTES (256u << 10)

static uint64_t round_up(uint64_t bytes)
{
	return (bytes + MF_PAGE - 1) & ~(uint64_t)(MF_PAGE - 1);
}

static bool is_user_range(uint64_t start, uint64_t bytes)
{
	return bytes && start >= LOWEST && start <= MF_USER_TOP && bytes <= MF_USER_TOP - start;
}

int mf_memory_prot(uint32_t prot)
{
	return (prot & PROT_READ ? MF_READ : 0) | (prot & PROT_WRITE ? MF_READ | MF_WRITE : 0) |
	       (prot & PROT_EXEC ? MF_READ | MF_EXEC : 0);
}

/* The absent pages that follow `at`, at most `pages`; 0 when `at` itself is there. */
static size_t absent_run(const struct mf_mem *mem, uint64_t at, size_t pages)
{
	struct mf_gpa gpa;
	size_t count = 0;

	while (count < pages && !mf_pt_lookup(mem, MF_GVA(at + count * MF_PAGE), &gpa))
		count++;
	return count;
}

static bool has_room(struct mf_process *process, uint64_t start, size_t pages)
{
	const struct mf_mem *mem = &process->vm.mem;
	uint64_t left = mf_frames_left(mem);
	size_t needed = 0;
	size_t i = 0;

	/* More pages than the VM can have at all: do not even count them. */
	if (pages > (mem->reserved_bytes / MF_PAGE)) {
		process->out_of_memory = true;
		return false;
	}
	while (i < pages) {
		size_t run = absent_run(mem, start + i * MF_PAGE, pages - i);

		needed += run;
		i += run ? run : 1;
	}
	if (!needed || left >= needed + needed / 512 + TABLES_SPARE)
		return true;
	process->out_of_memory = true;
	return false;
}

/* Give every absent page of the range a frame. A range without access gets none: it costs nothing.
 */
static int back_range(struct mf_process *process, uint64_t start, uint64_t bytes, uint32_t prot)
{
	struct mf_mem *mem = &process->vm.mem;
	size_t pages = bytes / MF_PAGE;
	uint64_t at = start;
	struct mf_gpa gpa;

	if (!(prot & PROT_ALL))
		return 0;
	if (!has_room(process, start, pages))
		return -ENOMEM;
	while (pages) {
		size_t got = absent_run(mem, at, pages);

		if (!got) {
			at += MF_PAGE;
			pages--;
			continue;
		}
		got = mf_frames_take(mem, got, &gpa);
		if (!got || mf_pt_map(mem, MF_GVA(at), gpa, got, mf_memory_prot(prot))) {
			if (got)
				mf_frames_give(mem, gpa, got);
			return -ENOMEM;
		}
		at += got * MF_PAGE;
		pages -= got;
	}
	return 0;
}

int mf_memory_map(struct mf_process *process, uint64_t start, uint64_t bytes, uint32_t prot,
		  enum mf_vma_kind kind)
{
	struct mf_vma vma = {start, start + bytes, prot, kind};

	if (back_range(process, start, bytes, prot) || mf_vma_add(process, vma)) {
		mf_pt_unmap(&process->vm.mem, MF_GVA(start), bytes / MF_PAGE);
		return -ENOMEM;
	}
	return 0;
}

int mf_memory_add_window(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	struct mf_vma vma = {start, start + bytes, PROT_READ | PROT_WRITE, MF_VMA_WINDOW};
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa gpa;
	int ret = mf_mem_add_window(mem, bytes, &gpa);

	if (!ret)
		ret = mf_pt_map(mem, MF_GVA(start), gpa, bytes / MF_PAGE, MF_WRITE | MF_ENGINE);
	return ret ? ret : mf_vma_add(process, vma);
}

int mf_memory_unmap(struct mf_process *process, uint64_t start, uint64_t bytes)
{
	if (!mf_vma_overlaps(process, start, start + bytes))
		return 0;
	if (mf_vma_has_window(process, start, start + bytes))
		return -EPERM;
	if (mf_vma_remove(process, start, start + bytes))
		return -ENOMEM;
	mf_pt_unmap(&process->vm.mem, MF_GVA(start), bytes / MF_PAGE);
	return 0;
}

/* Page-fault error code bits: Intel SDM vol. 3, 4.7. */
#define PF_PRESENT 1u
#define PF_WRITE   2u
#define PF_FETCH   16u

bool mf_memory_fault(struct mf_process *process, uint64_t address, uint64_t error_code)
{
	const struct mf_linux *lx = mf_linux(process);
	int want = (error_code & PF_WRITE ? MF_WRITE : MF_READ) |
		   (error_code & PF_FETCH ? MF_EXEC : 0);
	uint64_t low = (address & ~(uint64_t)(MF_PAGE - 1)) - STACK_STEP + MF_PAGE;
	const struct mf_vma *vma;
	struct mf_gpa gpa;

	/* The tables allow it: a cached translation was older than an edit that gave a right. */
	if (mf_pt_translate(&process->vm.mem, MF_GVA(address), want, &gpa))
		return mf_mem_at(&process->vm.mem, gpa, 1) != NULL;
	if (error_code & PF_PRESENT || address < lx->stack_end || address >= lx->stack_low)
		return false;
	if (low < lx->stack_end)
		low = lx->stack_end;
	/* The program may have put a mapping of its own where the stack would grow. */
	if (mf_vma_overlaps(process, low, lx->stack_low))
		low = address & ~(uint64_t)(MF_PAGE - 1);
	if (mf_vma_overlaps(process, low, lx->stack_low))
		return false;
	vma = mf_vma_find(process, lx->stack_low);
	if (!vma || mf_memory_map(process, low, lx->stack_low - low, vma->prot, MF_VMA_STACK))
		return false;
	MF_DIRTY(process, stack_low) = low;
	return true;
}

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

static int64_t choose_address(struct mf_process *process, uint64_t hint, uint64_t bytes,
			      uint64_t flags)
{
	uint64_t place;

	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (hint % MF_PAGE || !is_user_range(hint, bytes))
			return hint % MF_PAGE ? -EINVAL : -ENOMEM;
		if (flags & MAP_FIXED_NOREPLACE && mf_vma_overlaps(process, hint, hint + bytes))
			return -EEXIST;
		if (mf_memory_unmap(process, hint, bytes))
			return -ENOMEM;
		return (int64_t)hint;
	}
	hint = round_up(hint);
	if (hint && is_user_range(hint, bytes) &&
	    hint + bytes <= mf_linux(process)->stack_end - MF_PAGE &&
	    !mf_vma_overlaps(process, hint, hint + bytes))
		return (int64_t)hint;
	place = mf_vma_gap(process, bytes);
	return place ? (int64_t)place : -ENOMEM;
}

static int check_mmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t flags = arg[3];
	uint64_t type = flags & MAP_TYPE;

	if (!arg[1] || arg[5] % MF_PAGE || arg[2] & ~(uint64_t)PROT_ALL)
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

/*
 * Map a file's pages themselves, read-only. 1: not for this mapping (small, writable, a fork, no
 * room): copy it. Touching what lies behind the end of the file ends the program; a shared mapping
 * has room for what the file may still grow by.
 */
static int map_file_itself(struct mf_process *process, uint64_t start, uint64_t bytes,
			   const uint64_t arg[6])
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_vma vma = {start, start + bytes, (uint32_t)arg[2], MF_VMA_FILE};
	uint64_t size;
	uint64_t inside;
	bool shared;
	struct mf_gpa gpa;
	int host = mf_fd_file(process, arg[4], &size);

	if (host < 0)
		return host;
	shared = (arg[3] & MAP_TYPE) == MAP_SHARED;
	inside = size > arg[5] ? round_up(size - arg[5]) : 0;
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

/* A mapping of the program's own: fresh memory, with a copy of the file where there is one. */
static int map_own(struct mf_process *process, uint64_t start, uint64_t bytes,
		   const uint64_t arg[6])
{
	int ret = mf_memory_map(process, start, bytes, (uint32_t)arg[2], MF_VMA_MMAP);

	if (ret || arg[3] & MAP_ANONYMOUS)
		return ret;
	/* A mapping without access still has the file's bytes once it is given access. */
	if (!(arg[2] & PROT_ALL))
		ret = back_range(process, start, bytes, PROT_READ);
	if (!ret)
		ret = fill_from_file(process, start, bytes, arg[4], arg[5]);
	if (!ret && !(arg[2] & PROT_ALL))
		mf_pt_protect(&process->vm.mem, MF_GVA(start), bytes / MF_PAGE, 0);
	if (ret)
		mf_memory_unmap(process, start, bytes);
	return ret;
}

int64_t mf_sys_mmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = round_up(arg[1]);
	int64_t start;
	int ret = check_mmap(process, arg);

	if (ret)
		return ret;
	start = choose_address(process, arg[0], bytes, arg[3]);
	if (start < 0)
		return start;
	ret = arg[3] & MAP_ANONYMOUS ? 1 : map_file_itself(process, (uint64_t)start, bytes, arg);
	/* A copy is no shared mapping: it would not see what others write. */
	if (ret == 1 && (arg[3] & (MAP_TYPE | MAP_ANONYMOUS)) == MAP_SHARED)
		ret = -ENODEV;
	if (ret == 1)
		ret = map_own(process, (uint64_t)start, bytes, arg);
	return ret ? ret : start;
}

int64_t mf_sys_munmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = round_up(arg[1]);

	if (arg[0] % MF_PAGE || !is_user_range(arg[0], bytes))
		return -EINVAL;
	return mf_memory_unmap(process, arg[0], bytes);
}

int64_t mf_sys_mprotect(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = round_up(arg[1]);
	uint32_t prot = (uint32_t)arg[2];

	if (arg[0] % MF_PAGE || arg[2] & ~(uint64_t)PROT_ALL)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (!is_user_range(arg[0], bytes) || !mf_vma_covers(process, arg[0], arg[0] + bytes))
		return -ENOMEM;
	if (mf_vma_has_window(process, arg[0], arg[0] + bytes))
		return -EPERM;
	if (back_range(process, arg[0], bytes, prot) ||
	    (prot & PROT_WRITE && copy_file_pages(process, arg[0], bytes)) ||
	    mf_vma_protect(process, arg[0], arg[0] + bytes, prot))
		return -ENOMEM;
	mf_pt_protect(&process->vm.mem, MF_GVA(arg[0]), bytes / MF_PAGE, mf_memory_prot(prot));
	return 0;
}

static int64_t move_mapping(struct mf_process *process, uint64_t from, uint64_t old, uint64_t new,
			    struct mf_vma vma)
{
	struct mf_mem *mem = &process->vm.mem;
	uint64_t to = mf_vma_gap(process, new);
	int ret;

	if (!to)
		return -ENOMEM;
	ret = mf_memory_map(process, to + old, new - old, vma.prot, vma.kind);
	if (!ret)
		ret = mf_pt_prepare(mem, MF_GVA(to), old / MF_PAGE);
	if (!ret)
		ret = mf_vma_add(process, (struct mf_vma){to, to + old, vma.prot, vma.kind});
	if (ret) {
		mf_memory_unmap(process, to, new);
		return -ENOMEM;
	}
	mf_pt_move(mem, MF_GVA(from), MF_GVA(to), old / MF_PAGE);
	return mf_vma_remove(process, from, from + old) ? -ENOMEM : (int64_t)to;
}

int64_t mf_sys_mremap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t from = arg[0];
	uint64_t old = round_up(arg[1]);
	uint64_t new = round_up(arg[2]);
	const struct mf_vma *vma = mf_vma_find(process, from);
	struct mf_vma copy;

	if (from % MF_PAGE || !old || !new || arg[3] & ~(uint64_t)MREMAP_MAYMOVE)
		return -EINVAL;
	if (!vma || old > MF_USER_TOP || vma->end < from + old || new > MF_USER_TOP)
		return -EFAULT;
	if (vma->kind == MF_VMA_WINDOW)
		return -EPERM;
	if (new <= old)
		return new == old || !mf_memory_unmap(process, from + new, old - new)
			       ? (int64_t)from
			       : -ENOMEM;
	copy = *vma;
	if (is_user_range(from, new) && from + new <= mf_linux(process)->stack_end - MF_PAGE &&
	    !mf_vma_overlaps(process, from + old, from + new))
		return mf_memory_map(process, from + old, new - old, copy.prot, copy.kind)
			       ? -ENOMEM
			       : (int64_t)from;
	if (!(arg[3] & MREMAP_MAYMOVE))
		return -ENOMEM;
	return move_mapping(process, from, old, new, copy);
}

int64_t mf_sys_madvise(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = round_up(arg[1]);

	if (arg[0] % MF_PAGE)
		return -EINVAL;
	if (!bytes)
		return 0;
	if (!is_user_range(arg[0], bytes) || !mf_vma_covers(process, arg[0], arg[0] + bytes))
		return -ENOMEM;
	switch (arg[2]) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_FREE: /* may keep the bytes: Linux gives them back only when it is short of memory
			 */
		return 0;
	case MADV_DONTNEED: /* the bytes must read as zero */
		mf_pt_zero(&process->vm.mem, MF_GVA(arg[0]), bytes / MF_PAGE);
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t mf_sys_brk(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t now = round_up(lx->brk);
	uint64_t then = round_up(arg[0]);

	if (arg[0] < lx->brk_start || arg[0] >= lx->stack_end)
		return (int64_t)lx->brk;
	if (then > now &&
	    (mf_vma_overlaps(process, now, then + MF_PAGE) ||
	     mf_memory_map(process, now, then - now, PROT_READ | PROT_WRITE, MF_VMA_HEAP)))
		return (int64_t)lx->brk;
	if (then < now && mf_memory_unmap(process, then, now - then))
		return (int64_t)lx->brk;
	MF_DIRTY(process, brk) = arg[0];
	return (int64_t)arg[0];
}
