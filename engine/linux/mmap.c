/* SPDX-License-Identifier: MIT */
/* mmap and munmap. */
#include "engine/linux/fd.h"
#include "engine/linux/filemap.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/space.h"
#include "engine/linux/syscall.h"
#include "engine/linux/vma.h"

#include <errno.h>
#include <fcntl.h>

#define HUGE_BYTES (2ull << 20)
#define TOP_32BIT  (1ull << 31)
/* Private file mappings up to this size are copied at once. */
#define COPY_BYTES (256u << 10)

/* What MAP_SHARED_VALIDATE lets through: LEGACY_MAP_MASK of Linux' include/linux/mman.h. */
#define MAP_KNOWN                                                                                \
	(MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | MAP_EXECUTABLE | \
	 MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE | MAP_NONBLOCK | MAP_STACK |  \
	 MAP_HUGETLB | MAP_32BIT | MAP_FIXED_NOREPLACE | (63u << MAP_HUGE_SHIFT))

static int64_t fixed_address(struct mf_process *process, uint64_t at, uint64_t bytes,
			     uint64_t flags)
{
	if (at % MF_PAGE)
		return -EINVAL;
	if (bytes > MF_USER_TOP || at > MF_USER_TOP - bytes)
		return -ENOMEM;
	if (!mf_memory_is_user_range(at, bytes))
		return -EPERM;
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

int64_t mf_memory_place(struct mf_process *process, uint64_t hint, uint64_t bytes, uint64_t flags)
{
	uint64_t place;

	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
		return fixed_address(process, hint, bytes, flags);
	hint &= ~(uint64_t)(MF_PAGE - 1);
	if (hint && mf_memory_is_user_range(hint, bytes) &&
	    hint + bytes <= mf_linux(process)->stack_end - MF_PAGE &&
	    (!(flags & MAP_32BIT) || hint + bytes <= TOP_32BIT) &&
	    !mf_vma_overlaps(process, hint, hint + bytes))
		return (int64_t)hint;
	place = free_place(process, bytes, flags);
	return place ? (int64_t)place : -ENOMEM;
}

/* What an anonymous mapping may be: do_mmap() of Linux' mm/mmap.c. */
static int check_anonymous(uint64_t flags)
{
	uint64_t type = flags & MAP_TYPE;

	if (flags & MAP_HUGETLB) {
		uint64_t size = flags >> MAP_HUGE_SHIFT & 63;

		/* As on a host that has set no page aside for it. */
		return !size || size == 21 || size == 30 ? -ENOMEM : -EINVAL;
	}
	if (type == MAP_SHARED)
		return flags & MAP_GROWSDOWN ? -EINVAL : 0;
	return type == MAP_PRIVATE ? 0 : -EINVAL;
}

static int check_rights(const struct mf_fd *entry, uint64_t type, uint64_t prot)
{
	uint32_t mode = entry->flags & O_ACCMODE;

	if (type != MAP_PRIVATE && prot & PROT_WRITE && mode == O_RDONLY)
		return -EACCES;
	return mode == O_WRONLY ? -EACCES : 0;
}

static int check_file(const struct mf_fd *entry, uint64_t prot, uint64_t flags)
{
	uint64_t type = flags & MAP_TYPE;
	int ret;

	if (flags & MAP_HUGETLB)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && flags & ~(uint64_t)MAP_KNOWN)
		return -EOPNOTSUPP;
	if (type != MAP_SHARED && type != MAP_SHARED_VALIDATE && type != MAP_PRIVATE)
		return -EINVAL;
	ret = check_rights(entry, type, prot);
	if (ret)
		return ret;
	if (entry->kind != MF_FD_FILE)
		return -ENODEV;
	return flags & MAP_GROWSDOWN ? -EINVAL : 0;
}

static bool is_zero_device(const struct mf_fd *entry)
{
	return entry->kind == MF_FD_CHAR && entry->host == MF_CHAR_ZERO;
}

/* What is mapped: `entry` is NULL for anonymous memory. */
static int check_mmap(struct mf_process *process, const uint64_t arg[6], const struct mf_fd **entry)
{
	uint64_t bytes = mf_memory_round_up(arg[1]);

	*entry = NULL;
	if (arg[5] % MF_PAGE)
		return -EINVAL;
	if (!(arg[3] & MAP_ANONYMOUS)) {
		*entry = mf_fd_get(process, arg[4]);
		if (!*entry || (*entry)->flags & O_PATH)
			return -EBADF;
	}
	if (!arg[1])
		return -EINVAL;
	if (!bytes || bytes > MF_USER_TOP)
		return -ENOMEM;
	if (*entry && (arg[5] + bytes < arg[5] || arg[5] + bytes > INT64_MAX))
		return -EOVERFLOW;
	if (*entry && !is_zero_device(*entry))
		return check_file(*entry, arg[2], arg[3]);
	*entry = NULL;
	return check_anonymous(arg[3]);
}

static struct mf_vma range_of(struct mf_process *process, uint64_t start, const uint64_t arg[6],
			      const struct mf_fd *entry)
{
	uint64_t flags = arg[3];
	struct mf_vma vma = {.start = start,
			     .end = start + mf_memory_round_up(arg[1]),
			     .prot = (uint8_t)(arg[2] & MF_PROT_ALL),
			     .kind = MF_VMA_MMAP};

	if ((flags & MAP_TYPE) != MAP_PRIVATE)
		vma.flags |= MF_VMA_IS_SHARED;
	/* Of a stack nobody knows how much will be used: it is no promise either. */
	if (flags & (MAP_NORESERVE | MAP_STACK | MAP_GROWSDOWN))
		vma.flags |= MF_VMA_IS_NORESERVE;
	if (flags & MAP_GROWSDOWN)
		vma.flags |= MF_VMA_IS_GROWING;
	if (flags & MAP_LOCKED || mf_linux(process)->lock_future)
		vma.flags |= MF_VMA_IS_LOCKED;
	if (entry) {
		vma.file = (uint16_t)(mf_fd_index(process, entry) + 1);
		vma.offset = arg[5];
		if ((entry->flags & O_ACCMODE) == O_RDWR)
			vma.flags |= MF_VMA_MAY_WRITE;
	}
	return vma;
}

/* Add a range whose pages are the program's own, and back what is to be there from the start. */
static int map_own(struct mf_process *process, const struct mf_vma *vma, uint64_t flags)
{
	uint64_t bytes = vma->end - vma->start;
	bool now = flags & MAP_POPULATE || vma->flags & MF_VMA_IS_LOCKED;
	bool counts = vma->prot & PROT_WRITE && !(vma->flags & MF_VMA_IS_NORESERVE);
	bool eager = bytes <= (vma->file ? COPY_BYTES : MF_EAGER_BYTES);
	int ret;

	if (bytes > MF_EAGER_BYTES && (counts || now) && !mf_memory_may_promise(process, bytes))
		return -ENOMEM;
	ret = mf_memory_add(process, *vma);
	return ret || !(eager || now) ? ret : mf_memory_back(process, vma->start, bytes);
}

static int map_file(struct mf_process *process, const struct mf_vma *vma, uint64_t flags)
{
	uint64_t bytes = vma->end - vma->start;
	int ret = -ENOSPC;

	/* What is written must pass the door, if there is one. */
	if (vma->flags & MF_VMA_IS_SHARED && vma->prot & PROT_WRITE && process->policy->disk)
		return -ENODEV;
	if (vma->flags & MF_VMA_IS_SHARED) {
		ret = mf_filemap_itself(process, *vma);
		return ret == -ENOSPC ? -ENOMEM : ret;
	}
	if (!process->vm.mem.backing && !(vma->prot & PROT_WRITE) && bytes >= MF_FILE_ITSELF_BYTES)
		ret = mf_filemap_itself(process, *vma);
	return ret ? map_own(process, vma, flags) : 0;
}

/* RLIMIT_MEMLOCK */
static int check_lock(const struct mf_process *process, uint64_t bytes, uint64_t flags)
{
	if (!(flags & MAP_LOCKED) && !mf_linux(process)->lock_future)
		return 0;
	if (flags & MAP_LOCKED && !mf_limit_soft(process, RLIMIT_MEMLOCK))
		return -EPERM;
	return mf_space_may_lock(process, bytes, 0, 0) ? 0 : -EAGAIN;
}

int64_t mf_sys_mmap(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t bytes = mf_memory_round_up(arg[1]);
	const struct mf_fd *entry;
	struct mf_vma vma;
	int64_t start;
	int ret = check_mmap(process, arg, &entry);

	if (ret)
		return ret;
	if (!mf_space_allows(process, bytes,
			     arg[2] & PROT_WRITE && (arg[3] & MAP_TYPE) == MAP_PRIVATE))
		return -ENOMEM;
	ret = check_lock(process, bytes, arg[3]);
	if (ret)
		return ret;
	start = mf_memory_place(process, arg[0], bytes, arg[3]);
	if (start < 0)
		return start;
	vma = range_of(process, (uint64_t)start, arg, entry);
	ret = entry ? map_file(process, &vma, arg[3]) : map_own(process, &vma, arg[3]);
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
