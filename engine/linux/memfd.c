/* SPDX-License-Identifier: MIT */
#include "engine/linux/memfd.h"
#include "engine/linux/guestmem.h"
#include "engine/mem/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC        16u
#endif

#define NAME_BYTES  250u /* as Linux: NAME_MAX less "memfd:", with the NUL */
#define KNOWN_FLAGS (MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC)

static bool is_memfd(const struct mf_fd *entry)
{
	return entry->kind == MF_FD_FILE && entry->marks & MF_FD_IS_MEMFD;
}

static uint64_t pages_of(uint64_t bytes)
{
	return bytes / MF_PAGE + (bytes % MF_PAGE != 0);
}

/* The description that a file in memory is counted with. */
static const struct mf_fd *account_of(const struct mf_process *process, const struct mf_fd *entry)
{
	return entry->marks & MF_FD_IS_SHM ? mf_fd_at(process, entry->object) : entry;
}

/* The pages that it is counted with, in entry->object; used frames are the VM's account. */
static void charge(struct mf_process *process, const struct mf_fd *entry, uint64_t pages)
{
	struct mf_arena *arena = mf_mem_arena_rw(&process->vm.mem);

	arena->frames_used = arena->frames_used - entry->object + pages;
	mf_fd_rw(process, entry)->object = (uint32_t)pages;
}

int mf_memfd_grow(struct mf_process *process, const struct mf_fd *entry, uint64_t end)
{
	uint64_t pages = pages_of(end);

	if (!is_memfd(entry))
		return 0;
	entry = account_of(process, entry);
	if (pages <= entry->object)
		return 0;
	if (pages - entry->object > mf_frames_left(&process->vm.mem)) {
		process->out_of_memory = true;
		return -ENOSPC;
	}
	charge(process, entry, pages);
	return 0;
}

void mf_memfd_settle(struct mf_process *process, const struct mf_fd *entry)
{
	struct stat st;

	if (is_memfd(entry) && !fstat(entry->host, &st))
		charge(process, account_of(process, entry), pages_of((uint64_t)st.st_size));
}

void mf_memfd_close(struct mf_process *process, const struct mf_fd *entry)
{
	if (is_memfd(entry) && entry->marks & MF_FD_IS_SHM)
		mf_fd_drop(process, account_of(process, entry));
	else if (is_memfd(entry))
		charge(process, entry, 0);
}

int mf_memfd_freeze(const struct mf_process *process, const struct mf_fd *entry,
		    struct mf_error *err)
{
	(void)process;
	if (!is_memfd(entry))
		return 0;
	return mf_error_set(
		err, -EBUSY,
		"the program holds a file in memory (memfd_create, or a name in /dev/shm) "
		"at its ready point, and forks cannot have one of their own: close it, or "
		"remove the name, before");
}

/* -EFAULT, or -EINVAL when it is too long. */
static int check_name(struct mf_process *process, uint64_t va)
{
	char name[NAME_BYTES];
	int64_t got = mf_guest_string(process, va, name, sizeof(name));

	return got == -ENAMETOOLONG ? -EINVAL : got < 0 ? (int)got : 0;
}

/* The guest's name is for /proc/self/maps and the like, which is not the host's to show. */
int64_t mf_memfd_make(struct mf_process *process, uint32_t flags)
{
	struct mf_fd entry = {.kind = MF_FD_FILE, .marks = MF_FD_IS_MEMFD, .flags = O_RDWR};
	int64_t fd;

	entry.host = memfd_create("guest", flags | MFD_CLOEXEC);
	if (entry.host < 0)
		return -errno;
	if (flags & MFD_CLOEXEC)
		entry.flags |= O_CLOEXEC;
	fd = mf_fd_install(process, &entry, 0);
	if (fd < 0)
		close(entry.host);
	return fd;
}

int64_t mf_sys_memfd_create(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t flags = (uint32_t)arg[1];
	int ret;

	if (flags & MFD_HUGETLB)
		return -ENOSYS; /* as a kernel without huge pages of that kind */
	if (flags & ~KNOWN_FLAGS || (flags & MFD_EXEC && flags & MFD_NOEXEC_SEAL))
		return -EINVAL;
	ret = check_name(process, arg[0]);
	return ret ? ret : mf_memfd_make(process, flags);
}
