/* SPDX-License-Identifier: MIT */
/*
 * Sending and receiving one message. The bytes go straight between guest memory and the host's
 * socket, but for a datagram whose buffers are too many pieces. A stream that found room or bytes
 * for a part of a blocking call remembers how much (call_done), and goes on from there.
 */
#include "engine/linux/listener.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define SEND_FLAGS    (MSG_OOB | MSG_DONTROUTE | MSG_EOR | MSG_MORE | MSG_CONFIRM)
#define RECEIVE_FLAGS (MSG_OOB | MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE)
/* No datagram is longer: the most that SO_SNDBUF can be where anybody has raised its limit. */
#define DATAGRAM_MAX (16u << 20)
#define PART_BYTES   32768u

static bool is_stream(const struct mf_fd *entry)
{
	return mf_socket_type(entry) == SOCK_STREAM;
}

/* SIGPIPE, if the guest did not ask to be spared; only streams send it. */
static int64_t broken(struct mf_process *process, const struct mf_fd *entry, int flags)
{
	return is_stream(entry) && !(flags & MSG_NOSIGNAL) ? mf_fd_broken_pipe(process) : -EPIPE;
}

static struct msghdr host_message(const struct mf_socket_message *message, struct iovec *pieces,
				  int count)
{
	struct msghdr host = {.msg_iov = pieces, .msg_iovlen = (size_t)count};

	if (message->name.bytes) {
		host.msg_name = (void *)&message->name.storage;
		host.msg_namelen = message->name.bytes;
	}
	if (message->control_bytes) {
		host.msg_control = message->control;
		host.msg_controllen = message->control_bytes;
	}
	return host;
}

/* What a stream's call returns that ends with `error` after `done` bytes in all its tries. */
static int64_t stream_end(struct mf_process *process, const struct mf_fd *entry, uint64_t done,
			  int error, int flags)
{
	if (error == EPIPE && !done)
		return broken(process, entry, flags);
	return done ? (int64_t)done : -error;
}

/* No room, or no bytes: what was done is remembered while the call waits. */
static int64_t stream_block(struct mf_process *process, const struct mf_fd *entry, uint64_t done,
			    short events, bool nonblock)
{
	int64_t ret = mf_socket_block(process, entry, events,
				      events == POLLOUT ? SO_SNDTIMEO : SO_RCVTIMEO, nonblock);

	if (ret == -EAGAIN && done)
		return (int64_t)done;
	if (ret == MF_SYS_WAIT && done != mf_thread(process)->call_done)
		MF_THREAD_DIRTY(process, call_done) = done;
	return ret;
}

/* The bytes that go with this try: the last ones alone are urgent, and end a record. */
static int flags_of_part(const struct mf_cursor *cursor, size_t bytes, int flags)
{
	int host = (flags & SEND_FLAGS) | MSG_DONTWAIT | MSG_NOSIGNAL;

	return bytes < cursor->left ? host & ~(MSG_OOB | MSG_EOR) : host;
}

/* As Linux: bytes go in parts of this size at most, and one that meets a bad address not at all. */
static bool meets_hole(const struct mf_cursor *cursor, size_t bytes, int count)
{
	return bytes < cursor->left && count < MF_PIECES && bytes < PART_BYTES;
}

static int64_t send_stream(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor, const struct mf_socket_message *message,
			   int flags)
{
	uint64_t done = mf_thread(process)->call_done;
	struct iovec pieces[MF_PIECES];
	int host = mf_socket_host(process, entry);

	mf_cursor_skip(cursor, done);
	for (;;) {
		struct msghdr head;
		size_t bytes;
		ssize_t got;
		int count;

		bytes = mf_cursor_pieces(cursor, pieces, &count);
		if (meets_hole(cursor, bytes, count))
			return done ? (int64_t)done : -EFAULT;
		head = host_message(message, pieces, count);
		if (done)
			head.msg_controllen = 0; /* it went with the first part */
		got = sendmsg(host, &head, flags_of_part(cursor, bytes, flags));
		if (got < 0 && errno == EAGAIN)
			return stream_block(process, entry, done, POLLOUT, flags & MSG_DONTWAIT);
		if (got < 0)
			return stream_end(process, entry, done, errno, flags);
		mf_cursor_advance(cursor, pieces, (size_t)got);
		done += (uint64_t)got;
		if (!cursor->left)
			return (int64_t)done;
	}
}

/* The whole of a datagram in the host's memory: the caller's to free, or NULL with the error. */
static uint8_t *gather(struct mf_cursor *cursor, int *error)
{
	size_t bytes = cursor->left;
	uint8_t *copy = bytes <= DATAGRAM_MAX ? malloc(bytes ? bytes : 1) : NULL;

	*error = bytes > DATAGRAM_MAX ? -EMSGSIZE : -ENOMEM;
	if (copy && mf_cursor_get(cursor, copy, bytes) < bytes) {
		free(copy);
		*error = -EFAULT;
		return NULL;
	}
	return copy;
}

static int64_t datagram_sent(struct mf_process *process, const struct mf_fd *entry, ssize_t got,
			     bool to_name, int flags)
{
	if (got >= 0)
		return got;
	/* The queue of a Unix socket that this one is not connected to: readiness tells nothing of
	 * it. */
	if (errno == EAGAIN && to_name && mf_socket_domain(entry) == AF_UNIX)
		return mf_socket_again(process, entry, SO_SNDTIMEO, flags & MSG_DONTWAIT);
	if (errno == EAGAIN)
		return mf_socket_block(process, entry, POLLOUT, SO_SNDTIMEO, flags & MSG_DONTWAIT);
	return errno == EPIPE ? broken(process, entry, flags) : -errno;
}

static int64_t send_datagram(struct mf_process *process, const struct mf_fd *entry,
			     struct mf_cursor *cursor, const struct mf_socket_message *message,
			     int flags)
{
	int host_flags = (flags & SEND_FLAGS) | MSG_DONTWAIT | MSG_NOSIGNAL;
	struct iovec pieces[MF_PIECES];
	uint8_t *copy = NULL;
	struct msghdr head;
	int count, error;
	ssize_t got;

	if (mf_cursor_pieces(cursor, pieces, &count) < cursor->left) {
		pieces[0].iov_len = cursor->left;
		copy = gather(cursor, &error);
		if (!copy)
			return error;
		pieces[0].iov_base = copy;
		count = 1;
	}
	head = host_message(message, pieces, count);
	got = sendmsg(mf_socket_host(process, entry), &head, host_flags);
	free(copy);
	return datagram_sent(process, entry, got, message->name.bytes, flags);
}

int64_t mf_socket_send(struct mf_process *process, const struct mf_fd *entry,
		       struct mf_cursor *cursor, const struct mf_socket_message *message, int flags)
{
	int host;

	if (entry->kind == MF_FD_CONNECTION)
		return mf_connection_send(process, entry, cursor, flags);
	if (entry->kind == MF_FD_LISTENER)
		return mf_socket_domain(entry) == AF_UNIX ? -ENOTCONN
							  : broken(process, entry, flags);
	host = mf_socket_host(process, entry);
	if (host < 0)
		return host;
	if (mf_socket_domain(entry) == AF_NETLINK)
		return mf_netlink_send(process, entry, cursor);
	if (flags & MSG_FASTOPEN && mf_socket_domain(entry) != AF_UNIX)
		return -EOPNOTSUPP;
	return is_stream(entry) ? send_stream(process, entry, cursor, message, flags)
				: send_datagram(process, entry, cursor, message, flags);
}

/* One message from the host, into these pieces. */
static ssize_t receive_host(int host, struct mf_socket_message *message, struct iovec *pieces,
			    int count, int flags)
{
	struct msghdr head;
	ssize_t got;

	message->name.bytes = message->wants_name ? sizeof(message->name.storage) : 0;
	head = host_message(message, pieces, count);
	got = recvmsg(host, &head, (flags & RECEIVE_FLAGS) | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (got < 0)
		return got;
	message->name.bytes = message->wants_name ? head.msg_namelen : 0;
	message->control_bytes = head.msg_control ? head.msg_controllen : 0;
	message->flags = head.msg_flags;
	return got;
}

static int64_t receive_copy(struct mf_process *process, const struct mf_fd *entry,
			    struct mf_cursor *cursor, struct mf_socket_message *message, int flags)
{
	size_t room = cursor->left < DATAGRAM_MAX ? cursor->left : DATAGRAM_MAX;
	struct iovec piece = {malloc(room), room};
	size_t there;
	ssize_t got;

	if (!piece.iov_base)
		return -ENOMEM;
	got = receive_host(mf_socket_host(process, entry), message, &piece, 1, flags);
	there = got > 0 && (size_t)got < room ? (size_t)got : got > 0 ? room : 0;
	/* As Linux: a bad address loses the datagram. */
	if (got > 0 && mf_cursor_put(cursor, piece.iov_base, there) < there) {
		got = -1;
		errno = EFAULT;
	}
	free(piece.iov_base);
	return got < 0 ? -errno : got;
}

/*
 * Is there more to do for a stream's call, behind `got` bytes in pieces of `bytes`? What is there
 * already belongs to it; what is not, only when it wants to have all.
 */
static bool goes_on(const struct mf_cursor *cursor, const struct mf_socket_message *message,
		    ssize_t got, size_t bytes, int flags)
{
	if (got <= 0 || !cursor->left || message->control_bytes ||
	    flags & (MSG_PEEK | MSG_OOB | MSG_ERRQUEUE))
		return false;
	return flags & MSG_WAITALL || (size_t)got == bytes;
}

/* Looking at more bytes than there are yet: readiness does not tell of those. */
static int64_t peek_all(struct mf_process *process, const struct mf_fd *entry, int64_t got,
			int flags)
{
	int64_t ret = mf_socket_again(process, entry, SO_RCVTIMEO, flags & MSG_DONTWAIT);

	return ret == -EAGAIN ? got : ret;
}

/* The end of the stream is near: nothing more will come. */
static bool is_ending(int host)
{
	struct pollfd pollfd = {.fd = host, .events = POLLRDHUP};

	return poll(&pollfd, 1, 0) > 0 && pollfd.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* What must come of one call of the host's: it would begin anew, or belongs to these bytes alone.
 */
static bool is_whole(const struct mf_socket_message *message, int flags)
{
	return message->control_bytes || message->wants_name || flags & MSG_PEEK;
}

/* Is there more than `bytes` to read? */
static bool reaches(int host, size_t bytes)
{
	int there = 0;

	return ioctl(host, FIONREAD, &there) || (size_t)there > bytes;
}

/* One try: bytes, which *room of would have been taken, or -errno. */
static int64_t receive_part(struct mf_process *process, const struct mf_fd *entry,
			    struct mf_cursor *cursor, struct mf_socket_message *message, int flags,
			    size_t *room)
{
	struct iovec pieces[MF_PIECES];
	ssize_t got;
	int count;

	*room = mf_cursor_pieces(cursor, pieces, &count);
	if (meets_hole(cursor, *room, count) && reaches(entry->host, *room))
		return -EFAULT;
	if (*room < cursor->left && count == MF_PIECES && is_whole(message, flags))
		return receive_copy(process, entry, cursor, message, flags);
	got = receive_host(entry->host, message, pieces, count, flags);
	if (got < 0)
		return -errno;
	/* Bytes that TCP throws away (MSG_TRUNC) are not in memory. */
	mf_cursor_advance(cursor, pieces, (size_t)got < cursor->left ? (size_t)got : cursor->left);
	return got;
}

static int64_t receive_stream(struct mf_process *process, const struct mf_fd *entry,
			      struct mf_cursor *cursor, struct mf_socket_message *message,
			      int flags)
{
	uint64_t done = mf_thread(process)->call_done;
	size_t control_room = message->control_bytes;
	int64_t got;
	size_t room;

	mf_cursor_skip(cursor, done);
	do {
		message->control_bytes = control_room;
		got = receive_part(process, entry, cursor, message, flags, &room);
		if (got == -EAGAIN && done && !(flags & MSG_WAITALL))
			return (int64_t)done;
		if (got == -EAGAIN)
			return stream_block(process, entry, done, POLLIN, flags & MSG_DONTWAIT);
		if (got < 0)
			return stream_end(process, entry, done, (int)-got, MSG_NOSIGNAL);
		done += (uint64_t)got;
		if (flags & MSG_PEEK && flags & MSG_WAITALL && got > 0 && cursor->left &&
		    !is_ending(entry->host))
			return peek_all(process, entry, got, flags);
	} while (goes_on(cursor, message, got, room, flags));
	return (int64_t)done;
}

static int64_t receive_datagram(struct mf_process *process, const struct mf_fd *entry,
				struct mf_cursor *cursor, struct mf_socket_message *message,
				int flags)
{
	struct iovec pieces[MF_PIECES];
	int64_t got;
	int count;

	if (mf_cursor_pieces(cursor, pieces, &count) < cursor->left) {
		got = receive_copy(process, entry, cursor, message, flags);
	} else {
		got = receive_host(mf_socket_host(process, entry), message, pieces, count, flags);
		got = got < 0 ? -errno : got;
		if (got > 0)
			mf_cursor_advance(cursor, pieces,
					  (size_t)got < cursor->left ? (size_t)got : cursor->left);
	}
	if (got == -EAGAIN)
		return mf_socket_block(process, entry, POLLIN, SO_RCVTIMEO, flags & MSG_DONTWAIT);
	return got;
}

int64_t mf_socket_receive(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, struct mf_socket_message *message, int flags)
{
	bool block = flags & (MSG_OOB | MSG_ERRQUEUE);
	int host;

	if (entry->kind == MF_FD_CONNECTION) {
		message->control_bytes = 0;
		/* A Unix stream gives its bytes, whatever MSG_TRUNC says. */
		if (mf_socket_domain(entry) == AF_UNIX)
			flags &= ~MSG_TRUNC;
		return mf_connection_receive(process, entry, cursor, flags);
	}
	if (entry->kind == MF_FD_LISTENER)
		return mf_socket_domain(entry) == AF_UNIX ? -EINVAL : -ENOTCONN;
	host = mf_socket_host(process, entry);
	if (host < 0)
		return host;
	/* Neither urgent bytes nor errors are waited for. */
	if (block)
		flags |= MSG_DONTWAIT;
	return is_stream(entry) ? receive_stream(process, entry, cursor, message, flags)
				: receive_datagram(process, entry, cursor, message, flags);
}
