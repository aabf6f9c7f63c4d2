/* SPDX-License-Identifier: MIT */
/* Accepting, reading, writing and closing connections whose bytes are in the area. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "guest/fast/fast.h"

#define NAME_BYTES sizeof(((struct mf_fast_fd *)0)->name)

#define PIECES 16u /* longer lists are the engine's */

#define READABLE (POLLIN | POLLRDNORM)

/* The connection that has waited for the listener longest, or NULL. */
static struct mf_fast_fd *waiting(const struct mf_fast_fd *listener)
{
	uint32_t i;

	for (i = 0; i < MF_FAST_FDS; i++)
		if (area->fds[i].kind == MF_FAST_CONNECTION && area->fds[i].fd < 0 &&
		    area->fds[i].parent == listener->fd)
			return &area->fds[i];
	return NULL;
}

uint32_t fast_poll(const struct mf_fast_fd *fd)
{
	uint32_t readable = 0;

	if (fd->kind == MF_FAST_CONNECTION) {
		if (fd->input != fd->input_end || fd->flags & (MF_FAST_END | MF_FAST_MORE))
			readable = READABLE;
		return (fd->poll & ~(uint32_t)READABLE) | readable;
	}
	if (fd->kind != MF_FAST_LISTENER)
		return fd->poll;
	/* MORE: one waits that is not in the area. */
	if (fd->flags & MF_FAST_MORE || waiting(fd))
		readable = READABLE;
	return (fd->poll & ~(uint32_t)READABLE) | readable;
}

/* An address, as far as there is room; how much there is of it. */
static bool tell_name(const uint8_t *name, uint32_t bytes, uint64_t to, uint64_t bytes_at)
{
	int32_t room;

	if (!is_user(bytes_at, sizeof(room)))
		return false;
	copy(&room, (const void *)bytes_at, sizeof(room));
	if (room < 0 || bytes > NAME_BYTES)
		return false;
	if ((uint32_t)room > bytes)
		room = (int32_t)bytes;
	if (!is_user(to, (uint32_t)room))
		return false;
	copy((void *)to, name, (uint32_t)room);
	copy((void *)bytes_at, &bytes, sizeof(bytes));
	return true;
}

int64_t fast_name(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);
	bool done;

	if (!fd)
		return MF_FAST_NOT_HERE;
	done = call->rax == SYS_getsockname
		       ? tell_name(fd->own, fd->own_bytes, call->rsi, call->rdx)
		       : tell_name(fd->name, fd->name_bytes, call->rsi, call->rdx);
	return done ? 0 : MF_FAST_NOT_HERE;
}

static int32_t take_number(void)
{
	int32_t number = area->free[0];
	uint32_t i;

	for (i = 1; i < MF_FAST_FREE; i++)
		area->free[i - 1] = area->free[i];
	area->free_count--;
	return number;
}

/* The lowest comes first. */
static void give_number(int32_t number)
{
	uint32_t i = area->free_count < MF_FAST_FREE ? area->free_count++ : MF_FAST_FREE - 1;

	for (; i && area->free[i - 1] > number; i--)
		area->free[i] = area->free[i - 1];
	area->free[i] = number;
}

int64_t fast_accept(const struct call *call)
{
	struct mf_fast_fd *listener = fast_find(call->rdi, MF_FAST_LISTENER);
	uint64_t flags = call->rax == SYS_accept4 ? call->r10 : 0;
	struct mf_fast_entry *entry = fast_entry();
	struct mf_fast_fd *fd;

	if (!listener || !entry || flags & ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC))
		return MF_FAST_NOT_HERE;
	fd = waiting(listener);
	if (!fd)
		return listener->flags & MF_FAST_NONBLOCK && !(listener->flags & MF_FAST_MORE)
			       ? -EAGAIN
			       : MF_FAST_NOT_HERE;
	if (!area->free_count || area->free_count > MF_FAST_FREE ||
	    (call->rsi && !tell_name(fd->name, fd->name_bytes, call->rsi, call->rdx)))
		return MF_FAST_NOT_HERE;
	fd->fd = take_number();
	fd->parent = -1;
	fd->flags |= (uint16_t)((flags & SOCK_NONBLOCK ? MF_FAST_NONBLOCK : 0) |
				(flags & SOCK_CLOEXEC ? MF_FAST_CLOEXEC : 0));
	fast_logged(entry, SYS_accept4, fd->fd, call->rdi, 0, 0, flags);
	return fd->fd;
}

/* A buffer, or a list of them. */
struct pieces {
	struct iovec list[PIECES];
	uint32_t count;
	uint64_t bytes;
};

static bool one_piece(struct pieces *pieces, uint64_t at, uint64_t bytes)
{
	pieces->list[0] = (struct iovec){(void *)at, bytes};
	pieces->count = 1;
	pieces->bytes = bytes;
	return is_user(at, bytes);
}

static bool take_pieces(struct pieces *pieces, uint64_t at, uint64_t count)
{
	uint32_t i;

	if (count > PIECES || !is_user(at, count * sizeof(struct iovec)))
		return false;
	copy(pieces->list, (const void *)at, count * sizeof(struct iovec));
	pieces->count = (uint32_t)count;
	pieces->bytes = 0;
	for (i = 0; i < count; i++) {
		if (!is_user((uint64_t)pieces->list[i].iov_base, pieces->list[i].iov_len) ||
		    pieces->list[i].iov_len > 1u << 30)
			return false;
		pieces->bytes += pieces->list[i].iov_len;
	}
	return true;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int64_t receive(uint64_t number, const struct pieces *pieces, uint32_t flags)
{
	struct mf_fast_fd *fd = fast_find(number, MF_FAST_CONNECTION);
	struct mf_fast_entry *entry = fast_entry();
	uint64_t there, done = 0;
	uint32_t i;

	if (!fd || !entry || !pieces->bytes || flags & ~(uint32_t)(MSG_DONTWAIT | MSG_PEEK) ||
	    fd->input_end > MF_FAST_IN || fd->input > fd->input_end)
		return MF_FAST_NOT_HERE;
	there = fd->input_end - fd->input;
	if (!there && fd->flags & MF_FAST_MORE)
		return MF_FAST_NOT_HERE;
	if (!there && fd->flags & MF_FAST_END)
		return 0;
	if (!there)
		return fd->flags & MF_FAST_NONBLOCK || flags & MSG_DONTWAIT ? -EAGAIN
									    : MF_FAST_NOT_HERE;
	/* What goes beyond the area's part of the input is the engine's. */
	if (pieces->bytes > there && fd->flags & MF_FAST_MORE)
		return MF_FAST_NOT_HERE;
	for (i = 0; i < pieces->count && done < there; i++) {
		uint64_t bytes = least(pieces->list[i].iov_len, there - done);

		copy(pieces->list[i].iov_base, mf_fast_area.in + fd->input + done, bytes);
		done += bytes;
	}
	if (!(flags & MSG_PEEK)) {
		fd->input += (uint32_t)done;
		fast_logged(entry, SYS_read, (int64_t)done, number, 0, done, 0);
	}
	return (int64_t)done;
}

static int64_t transmit(struct mf_fast_fd *fd, const struct pieces *pieces, uint32_t flags)
{
	struct mf_fast_entry *entry = fast_entry();
	uint32_t at = area->out_bytes;
	uint32_t from = at;
	uint32_t i;

	if (!fd || !entry || fd->flags & MF_FAST_MUTE || !pieces->bytes ||
	    flags & ~(uint32_t)(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) || at > MF_FAST_OUT ||
	    pieces->bytes > MF_FAST_OUT - at || pieces->bytes > fd->room)
		return MF_FAST_NOT_HERE;
	for (i = 0; i < pieces->count; i++) {
		uint64_t bytes = pieces->list[i].iov_len;

		copy(mf_fast_area.out + at, pieces->list[i].iov_base, bytes);
		at += (uint32_t)bytes;
	}
	area->out_bytes = at;
	fd->room -= at - from;
	fast_logged(entry, SYS_write, at - from, (uint64_t)(uint32_t)fd->fd,
		    MF_FAST_AREA_VA + offsetof(struct mf_fast_area, out) + from, at - from, 0);
	return at - from;
}

/* What write() takes: standard streams as well. */
static struct mf_fast_fd *writable(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);

	return fd ? fd : fast_find(call->rdi, MF_FAST_OUTPUT);
}

int64_t fast_read(const struct call *call)
{
	struct pieces pieces;

	return one_piece(&pieces, call->rsi, call->rdx) ? receive(call->rdi, &pieces, 0)
							: MF_FAST_NOT_HERE;
}

int64_t fast_readv(const struct call *call)
{
	struct pieces pieces;

	return take_pieces(&pieces, call->rsi, call->rdx) ? receive(call->rdi, &pieces, 0)
							  : MF_FAST_NOT_HERE;
}

int64_t fast_recvfrom(const struct call *call)
{
	struct pieces pieces;

	if (call->r8 || !one_piece(&pieces, call->rsi, call->rdx))
		return MF_FAST_NOT_HERE;
	return receive(call->rdi, &pieces, (uint32_t)call->r10);
}

int64_t fast_write(const struct call *call)
{
	struct pieces pieces;

	return one_piece(&pieces, call->rsi, call->rdx) ? transmit(writable(call), &pieces, 0)
							: MF_FAST_NOT_HERE;
}

int64_t fast_writev(const struct call *call)
{
	struct pieces pieces;

	return take_pieces(&pieces, call->rsi, call->rdx) ? transmit(writable(call), &pieces, 0)
							  : MF_FAST_NOT_HERE;
}

int64_t fast_sendto(const struct call *call)
{
	struct pieces pieces;

	if (call->r8 || !one_piece(&pieces, call->rsi, call->rdx))
		return MF_FAST_NOT_HERE;
	return transmit(fast_find(call->rdi, MF_FAST_CONNECTION), &pieces, (uint32_t)call->r10);
}

/* With neither name nor control data. */
static bool take_message(const struct call *call, struct pieces *pieces)
{
	struct msghdr message;

	if (!is_user(call->rsi, sizeof(message)))
		return false;
	copy(&message, (const void *)call->rsi, sizeof(message));
	return !message.msg_name && !message.msg_control && !message.msg_controllen &&
	       take_pieces(pieces, (uint64_t)message.msg_iov, message.msg_iovlen);
}

int64_t fast_sendmsg(const struct call *call)
{
	struct pieces pieces;

	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);

	if (!fd || !take_message(call, &pieces))
		return MF_FAST_NOT_HERE;
	return transmit(fd, &pieces, (uint32_t)call->rdx);
}

/* The message has no flags, which is written behind what was received; that it can be is known
 * before. */
int64_t fast_recvmsg(const struct call *call)
{
	struct msghdr *to = (struct msghdr *)call->rsi;
	struct pieces pieces;
	uint32_t flags;
	int64_t got;

	if (!fast_find(call->rdi, MF_FAST_CONNECTION) || !take_message(call, &pieces))
		return MF_FAST_NOT_HERE;
	copy(&flags, &to->msg_flags, sizeof(flags));
	copy(&to->msg_flags, &flags, sizeof(flags));
	got = receive(call->rdi, &pieces, (uint32_t)call->rdx);
	flags = 0;
	if (got >= 0)
		copy(&to->msg_flags, &flags, sizeof(flags));
	return got;
}

int64_t fast_close(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);
	struct mf_fast_entry *entry = fast_entry();

	if (!fd || !entry)
		return MF_FAST_NOT_HERE;
	fast_epoll_forget(fd->fd);
	give_number(fd->fd);
	fd->kind = MF_FAST_NONE;
	fast_logged(entry, SYS_close, 0, call->rdi, 0, 0, 0);
	return 0;
}

/* The end of what is sent; who watches it has the engine look. */
int64_t fast_shutdown(const struct call *call)
{
	struct mf_fast_fd *fd = fast_find(call->rdi, MF_FAST_CONNECTION);
	struct mf_fast_entry *entry = fast_entry();
	uint32_t i;

	if (!fd || !entry || fd->flags & MF_FAST_MUTE || (uint32_t)call->rsi != SHUT_WR)
		return MF_FAST_NOT_HERE;
	for (i = 0; i < MF_FAST_ITEMS; i++)
		if (area->items[i].epoll >= 0 && area->items[i].fd == fd->fd)
			return MF_FAST_NOT_HERE;
	fd->flags |= MF_FAST_MUTE;
	fast_logged(entry, SYS_shutdown, 0, call->rdi, SHUT_WR, 0, 0);
	return 0;
}
