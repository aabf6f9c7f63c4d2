/* SPDX-License-Identifier: MIT */
/*
 * What else says who the program is: capabilities, its session, the machine's name. It leads a
 * session and a process group of its own, without a terminal, and has no children.
 */
#include "engine/linux/identity.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/image/guest.h"

void mf_identity_name(struct utsname *name)
{
	*name = (struct utsname){.sysname = "Linux",
				 .nodename = "mayfly",
				 .release = "6.1.0-mayfly",
				 .version = "#1",
				 .machine = "x86_64",
				 .domainname = "(none)"};
}

int64_t mf_sys_uname(struct mf_process *process, const uint64_t arg[6])
{
	struct utsname name;

	mf_identity_name(&name);
	return mf_guest_write(process, arg[0], &name, sizeof(name));
}

static bool is_self(uint64_t pid)
{
	return !(uint32_t)pid || (uint32_t)pid == MF_GUEST_PID;
}

int64_t mf_sys_getpgrp(struct mf_process *process, const uint64_t arg[6])
{
	return MF_GUEST_PID;
}

int64_t mf_sys_getpgid(struct mf_process *process, const uint64_t arg[6])
{
	return is_self(arg[0]) ? (int64_t)MF_GUEST_PID : -ESRCH;
}

/* A leader of a session moves to no other group, and starts no other session (setpgid(2)). */
int64_t mf_sys_setpgid(struct mf_process *process, const uint64_t arg[6])
{
	if ((int32_t)arg[1] < 0)
		return -EINVAL;
	return is_self(arg[0]) ? -EPERM : -ESRCH;
}

int64_t mf_sys_setsid(struct mf_process *process, const uint64_t arg[6])
{
	return -EPERM;
}

/* Capabilities: see credentials.c. */
static int64_t capability_words(struct mf_process *process, uint64_t va,
				struct __user_cap_header_struct *header)
{
	uint32_t version = _LINUX_CAPABILITY_VERSION_3;

	if (mf_guest_read(process, va, header, sizeof(*header)))
		return -EFAULT;
	if (header->version == _LINUX_CAPABILITY_VERSION_1)
		return 1;
	if (header->version == _LINUX_CAPABILITY_VERSION_2 || header->version == version)
		return 2;
	return mf_guest_write(process, va, &version, sizeof(version)) ? -EFAULT : -EINVAL;
}

int64_t mf_sys_capget(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_ids *ids = &mf_linux(process)->ids;
	struct __user_cap_data_struct data[2] = {
		{.effective = ids->effective, .permitted = ids->permitted}};
	struct __user_cap_header_struct header;
	int64_t words = capability_words(process, arg[0], &header);

	if (words < 0) /* with no place for the answer it was the version that was asked for */
		return words == -EINVAL && !arg[1] ? 0 : words;
	if (header.pid < 0)
		return -EINVAL;
	if (!is_self((uint32_t)header.pid))
		return -ESRCH;
	if (!arg[1])
		return 0;
	return mf_guest_write(process, arg[1], data, (size_t)words * sizeof(data[0]));
}

/* They can only become fewer; what a new program would inherit is none. */
int64_t mf_sys_capset(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_ids *ids = &mf_linux(process)->ids;
	struct __user_cap_data_struct data[2] = {{0}};
	struct __user_cap_header_struct header;
	int64_t words = capability_words(process, arg[0], &header);

	if (words < 0)
		return words;
	if (!is_self((uint32_t)header.pid))
		return -EPERM;
	if (mf_guest_read(process, arg[1], data, (size_t)words * sizeof(data[0])))
		return -EFAULT;
	if (data[0].inheritable || data[1].effective || data[1].permitted || data[1].inheritable ||
	    data[0].permitted & ~ids->permitted || data[0].effective & ~data[0].permitted)
		return -EPERM;
	MF_DIRTY(process, ids.permitted) = data[0].permitted;
	MF_DIRTY(process, ids.effective) = data[0].effective;
	return 0;
}

/* There are no children. */
int64_t mf_sys_wait4(struct mf_process *process, const uint64_t arg[6])
{
	if ((uint32_t)arg[2] &
	    ~(uint32_t)(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL))
		return -EINVAL;
	return (int32_t)arg[0] == INT32_MIN ? -ESRCH : -ECHILD;
}

int64_t mf_sys_waitid(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t options = (uint32_t)arg[3];

	if (options & ~(uint32_t)(WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED |
				  __WNOTHREAD | __WCLONE | __WALL) ||
	    !(options & (WEXITED | WSTOPPED | WCONTINUED)))
		return -EINVAL;
	switch ((int)arg[0]) {
	case P_ALL:
		return -ECHILD;
	case P_PID:
		return (int32_t)arg[1] <= 0 ? -EINVAL : -ECHILD;
	case P_PGID:
		return (int32_t)arg[1] < 0 ? -EINVAL : -ECHILD;
	case P_PIDFD:
		return (int32_t)arg[1] < 0 ? -EINVAL : -EBADF;
	default:
		return -EINVAL;
	}
}

/* Which binaries it runs is fixed: PER_LINUX, without options. */
int64_t mf_sys_personality(struct mf_process *process, const uint64_t arg[6])
{
	return (uint32_t)arg[0] && (uint32_t)arg[0] != 0xffffffffu ? -EINVAL : 0;
}
