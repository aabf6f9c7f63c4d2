/* SPDX-License-Identifier: MIT */
/* What a server sets on a new connection before it uses it. */
#include <asm/ioctls.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "guest/fast/fast.h"

#define KEEP_MOST 127 /* MAX_TCP_KEEPCNT; the others may be more */

static uint64_t status_flags(const struct mf_fast_fd *fd)
{
	return O_RDWR | (fd->flags & MF_FAST_NONBLOCK ? O_NONBLOCK : 0);
}

static int64_t set_nonblock(struct mf_fast_fd *fd, bool on)
{
	struct mf_fast_entry *entry = fast_entry();

	if (!entry)
		return MF_FAST_NOT_HERE;
	fd->flags = (uint16_t)(on ? fd->flags | MF_FAST_NONBLOCK : fd->flags & ~MF_FAST_NONBLOCK);
	fast_logged(entry, SYS_fcntl, 0, (uint64_t)(uint32_t)fd->fd, F_SETFL, status_flags(fd), 0);
	return 0;
}

static int64_t set_cloexec(struct mf_fast_fd *fd, bool on)
{
	struct mf_fast_entry *entry = fast_entry();

	if (!entry)
		return MF_FAST_NOT_HERE;
	fd->flags = (uint16_t)(on ? fd->flags | MF_FAST_CLOEXEC : fd->flags & ~MF_FAST_CLOEXEC);
	fast_logged(entry, SYS_fcntl, 0, (uint64_t)(uint32_t)fd->fd, F_SETFD, on ? FD_CLOEXEC : 0,
		    0);
	return 0;
}

int64_t fast_fcntl(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);

	if (!fd)
		return MF_FAST_NOT_HERE;
	switch ((uint32_t)call->rsi) {
	case F_GETFL:
		return (int64_t)status_flags(fd);
	case F_GETFD:
		return fd->flags & MF_FAST_CLOEXEC ? FD_CLOEXEC : 0;
	case F_SETFL:
		return call->rdx & ~(uint64_t)(O_ACCMODE | O_NONBLOCK)
			       ? MF_FAST_NOT_HERE
			       : set_nonblock(fd, call->rdx & O_NONBLOCK);
	case F_SETFD:
		return set_cloexec(fd, call->rdx & FD_CLOEXEC);
	default:
		return MF_FAST_NOT_HERE;
	}
}

int64_t fast_ioctl(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);
	uint32_t on;

	if (!fd || (uint32_t)call->rsi != FIONBIO || !is_user(call->rdx, sizeof(on)))
		return MF_FAST_NOT_HERE;
	copy(&on, (const void *)call->rdx, sizeof(on));
	return set_nonblock(fd, on);
}

/* Those that say how, and are taken with any such value. */
static bool is_harmless(const struct mf_fast_fd *fd, uint64_t level, uint64_t option,
			uint32_t value)
{
	if (!(fd->flags & MF_FAST_SETS))
		return false;
	if (level == SOL_SOCKET)
		return option == SO_KEEPALIVE || option == SO_REUSEADDR;
	if (level != IPPROTO_TCP || !(fd->flags & MF_FAST_INET))
		return false;
	return option == TCP_NODELAY || option == TCP_QUICKACK ||
	       ((option == TCP_KEEPIDLE || option == TCP_KEEPINTVL || option == TCP_KEEPCNT) &&
		value >= 1 && value <= KEEP_MOST);
}

int64_t fast_setsockopt(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);
	struct mf_fast_entry *entry = fast_entry();
	uint32_t value;

	if (!fd || !entry || (uint32_t)call->r8 != sizeof(value) ||
	    !is_user(call->r10, sizeof(value)))
		return MF_FAST_NOT_HERE;
	copy(&value, (const void *)call->r10, sizeof(value));
	if (!is_harmless(fd, (uint32_t)call->rsi, (uint32_t)call->rdx, value))
		return MF_FAST_NOT_HERE;
	copy(entry->bytes, &value, sizeof(value));
	fast_logged(entry, SYS_setsockopt, 0, call->rdi, (uint32_t)call->rsi, (uint32_t)call->rdx,
		    0);
	return 0;
}
