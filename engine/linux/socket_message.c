/* SPDX-License-Identifier: MIT */
/* The calls that send and receive: sendto, sendmsg, sendmmsg and their counterparts. */
#include "engine/linux/socket.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_MAX 20480u /* net.core.optmem_max as most kernels have it */
#define MESSAGES    1024u  /* UIO_MAXIOV: the most that one call of sendmmsg or recvmmsg takes */
#define DONE_SHIFT  40u    /* call_done of sendmmsg and recvmmsg: messages, and bytes of the next */
#define SECOND_NS   1000000000ull
#define DONE_BYTES  ((1ull << DONE_SHIFT) - 1)

/* struct msghdr as the guest has it. */
struct guest_message {
	uint64_t name;
	uint32_t name_bytes;
	uint32_t reserved;
	uint64_t iov;
	uint64_t iov_count;
	uint64_t control;
	uint64_t control_bytes;
	uint32_t flags;
	uint32_t reserved2;
};

struct guest_mmessage {
	struct guest_message message;
	uint32_t bytes;
	uint32_t reserved;
};

_Static_assert(sizeof(struct guest_message) == sizeof(struct msghdr), "the kernel's layout");
_Static_assert(sizeof(struct guest_mmessage) == sizeof(struct mmsghdr), "the kernel's layout");

static int flags_of(const struct mf_fd *entry, uint64_t flags)
{
	return (int)flags | (entry->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

/*
 * Send with everything but the bytes decided: `given` is a name to send to, if any. A stream that
 * is connected does not look at one (tcp_sendmsg), a Unix one says so.
 */
static int64_t send_to(struct mf_process *process, const struct mf_fd *entry,
		       struct mf_cursor *cursor, const struct mf_address *given,
		       struct mf_socket_message *message, int flags)
{
	bool stream = mf_socket_type(entry) == SOCK_STREAM;
	int opened = -1;
	int64_t ret = 0;

	if (given->bytes && stream && mf_socket_domain(entry) == AF_UNIX) {
		struct mf_address peer = {.bytes = sizeof(peer.storage)};

		if (entry->host < 0)
			return entry->kind == MF_FD_CONNECTION ? -EISCONN : -EOPNOTSUPP;
		return getpeername(entry->host, &peer.any, &peer.bytes) ? -EOPNOTSUPP : -EISCONN;
	}
	if (given->bytes && !stream)
		ret = mf_address_check(process, entry, MF_NET_CONNECT, given, &message->name,
				       &opened);
	if (!ret)
		ret = mf_socket_send(process, entry, cursor, message, flags);
	if (opened >= 0)
		close(opened);
	return ret;
}

int64_t mf_sys_sendto(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_socket_message message = {.flags = 0};
	struct mf_address given = {.bytes = 0};
	struct mf_guest_iov one;
	struct mf_cursor cursor;
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	if (arg[4])
		ret = mf_address_get(process, arg[4], arg[5], &given);
	if (ret)
		return ret;
	mf_cursor_one(&cursor, process, &one, arg[1], arg[2], MF_READ);
	return send_to(process, entry, &cursor, &given, &message, flags_of(entry, arg[3]));
}

/* Copy a guest's message in: its header, and its buffers into iov[MF_IOVS]. */
static int get_message(struct mf_process *process, uint64_t va, int prot,
		       struct guest_message *guest, struct mf_guest_iov *iov,
		       struct mf_cursor *cursor)
{
	int ret;

	if (mf_guest_read(process, va, guest, sizeof(*guest)))
		return -EFAULT;
	if (guest->iov_count > MF_IOVS)
		return -EMSGSIZE;
	ret = mf_cursor_list(cursor, process, iov, guest->iov, guest->iov_count, prot);
	if (ret)
		return ret;
	if (!guest->name)
		guest->name_bytes = 0;
	/* As Linux: a longer name is cut off, a negative length is none. */
	if ((int)guest->name_bytes < 0)
		return -EINVAL;
	if (guest->name_bytes > sizeof(struct sockaddr_storage))
		guest->name_bytes = sizeof(struct sockaddr_storage);
	return 0;
}

/* The control messages for the host, the caller's to free. */
static int get_control(struct mf_process *process, const struct mf_fd *entry,
		       const struct guest_message *guest, struct mf_socket_message *message)
{
	/* It went with the first part of a stream's bytes. */
	if (!guest->control || !guest->control_bytes || mf_thread(process)->call_done)
		return 0;
	if (guest->control_bytes > CONTROL_MAX)
		return -ENOBUFS;
	message->control = malloc(guest->control_bytes);
	if (!message->control)
		return -ENOMEM;
	message->control_bytes = guest->control_bytes;
	if (mf_guest_read(process, guest->control, message->control, guest->control_bytes))
		return -EFAULT;
	return mf_control_to_host(process, entry, message);
}

/* Is something of the message on its way, and so what goes with it? A stream takes no empty one. */
static bool went(const struct mf_process *process, const struct mf_fd *entry, int64_t ret)
{
	if (ret == MF_SYS_WAIT)
		return mf_thread(process)->call_done;
	return ret > 0 || (!ret && mf_socket_type(entry) != SOCK_STREAM);
}

static int64_t send_message(struct mf_process *process, const struct mf_fd *entry, uint64_t va,
			    int flags)
{
	struct mf_socket_message message = {.flags = 0};
	struct mf_guest_iov iov[MF_IOVS];
	struct mf_address given = {.bytes = 0};
	struct guest_message guest;
	struct mf_cursor cursor;
	int64_t ret = get_message(process, va, MF_READ, &guest, iov, &cursor);

	if (!ret && guest.name_bytes)
		ret = mf_address_get(process, guest.name, guest.name_bytes, &given);
	if (!ret)
		ret = get_control(process, entry, &guest, &message);
	if (!ret)
		ret = send_to(process, entry, &cursor, &given, &message, flags);
	mf_control_done(process, &message, went(process, entry, ret));
	free(message.control);
	return ret;
}

int64_t mf_sys_sendmsg(struct mf_process *process, const uint64_t arg[6])
{
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	return entry ? send_message(process, entry, arg[1], flags_of(entry, arg[2])) : ret;
}

int64_t mf_sys_recvfrom(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_socket_message message = {.wants_name = arg[4]};
	struct mf_guest_iov one;
	struct mf_cursor cursor;
	int64_t ret, put = 0;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	mf_cursor_one(&cursor, process, &one, arg[1], arg[2], MF_WRITE);
	ret = mf_socket_receive(process, entry, &cursor, &message, flags_of(entry, arg[3]));
	if (ret < 0 || !arg[4])
		return ret;
	mf_address_to_guest(process, &message.name);
	put = mf_address_put(process, &message.name, arg[4], arg[5]);
	return put ? put : ret;
}

/* What a message says besides its bytes: name, control messages and flags, into guest memory. */
static int put_message(struct mf_process *process, uint64_t va, const struct guest_message *guest,
		       struct mf_socket_message *message, int flags)
{
	struct guest_message out = *guest;
	uint32_t room =
		guest->name_bytes < message->name.bytes ? guest->name_bytes : message->name.bytes;

	mf_control_to_guest(process, message, flags);
	out.name_bytes = message->name.bytes;
	out.control_bytes = message->control_bytes;
	out.flags = (uint32_t)((message->flags & ~MSG_CMSG_CLOEXEC) | (flags & MSG_CMSG_CLOEXEC));
	if (room && mf_guest_write(process, guest->name, &message->name.storage, room))
		return -EFAULT;
	if (message->control_bytes &&
	    mf_guest_write(process, guest->control, message->control, message->control_bytes))
		return -EFAULT;
	if (guest->name && mf_guest_write(process, va + offsetof(struct guest_message, name_bytes),
					  &out.name_bytes, sizeof(out.name_bytes)))
		return -EFAULT;
	if (mf_guest_write(process, va + offsetof(struct guest_message, control_bytes),
			   &out.control_bytes, sizeof(out.control_bytes)))
		return -EFAULT;
	return mf_guest_write(process, va + offsetof(struct guest_message, flags), &out.flags,
			      sizeof(out.flags));
}

static int64_t receive_message(struct mf_process *process, const struct mf_fd *entry, uint64_t va,
			       int flags)
{
	struct mf_socket_message message = {.flags = 0};
	struct mf_guest_iov iov[MF_IOVS];
	struct guest_message guest;
	struct mf_cursor cursor;
	int64_t ret = get_message(process, va, MF_WRITE, &guest, iov, &cursor);
	int put = 0;

	if (ret)
		return ret;
	message.wants_name = guest.name;
	message.control_bytes = !guest.control                      ? 0
				: guest.control_bytes < CONTROL_MAX ? guest.control_bytes
								    : CONTROL_MAX;
	message.control = message.control_bytes ? malloc(message.control_bytes) : NULL;
	if (message.control_bytes && !message.control)
		return -ENOMEM;
	ret = mf_socket_receive(process, entry, &cursor, &message, flags);
	if (ret >= 0) {
		mf_address_to_guest(process, &message.name);
		put = put_message(process, va, &guest, &message, flags);
	}
	free(message.control);
	return put ? put : ret;
}

int64_t mf_sys_recvmsg(struct mf_process *process, const uint64_t arg[6])
{
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	return entry ? receive_message(process, entry, arg[1], flags_of(entry, arg[2])) : ret;
}

typedef int64_t message_fn(struct mf_process *process, const struct mf_fd *entry, uint64_t va,
			   int flags);

/*
 * Message by message; `count` of them were done in earlier tries of the call. What one says of
 * itself while it waits is kept below the count.
 */
static int64_t each_message(struct mf_process *process, const uint64_t arg[6], int flags,
			    uint64_t until, message_fn *fn)
{
	uint64_t count = mf_thread(process)->call_done >> DONE_SHIFT;
	uint64_t end = (uint32_t)arg[2] < MESSAGES ? (uint32_t)arg[2] : MESSAGES;
	int64_t ret = 0;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	flags |= flags_of(entry, arg[3]);

	if (mf_thread(process)->call_done)
		MF_THREAD_DIRTY(process, call_done) = mf_thread(process)->call_done & DONE_BYTES;
	for (; count < end && !(count && mf_vm_now_ns(&process->vm) >= until); count++) {
		uint64_t at = arg[1] + count * sizeof(struct guest_mmessage);
		uint32_t bytes;

		ret = fn(process, entry, at,
			 count && flags & MSG_WAITFORONE ? flags | MSG_DONTWAIT : flags);
		if (ret < 0)
			break;
		if (mf_thread(process)->call_done)
			MF_THREAD_DIRTY(process, call_done) = 0;
		bytes = (uint32_t)ret;
		ret = mf_guest_write(process, at + offsetof(struct guest_mmessage, bytes), &bytes,
				     sizeof(bytes));
		if (ret)
			break;
	}
	if (ret == MF_SYS_WAIT && count)
		MF_THREAD_DIRTY(process, call_done) =
			count << DONE_SHIFT | mf_thread(process)->call_done;
	if (ret == MF_SYS_WAIT || ret == MF_SYS_EXIT)
		return ret;
	return count ? (int64_t)count : ret;
}

int64_t mf_socket_messages_done(struct mf_process *process, uint64_t va)
{
	uint64_t count = mf_thread(process)->call_done >> DONE_SHIFT;
	uint32_t bytes = (uint32_t)(mf_thread(process)->call_done & DONE_BYTES);

	if (bytes && !mf_guest_write(process,
				     va + count * sizeof(struct guest_mmessage) +
					     offsetof(struct guest_mmessage, bytes),
				     &bytes, sizeof(bytes)))
		count++;
	return (int64_t)count;
}

int64_t mf_sys_sendmmsg(struct mf_process *process, const uint64_t arg[6])
{
	return each_message(process, arg, 0, MF_FOREVER, send_message);
}

/* The time that is left, as ppoll tells it. */
static int put_left(struct mf_process *process, uint64_t va, uint64_t until)
{
	uint64_t now = mf_vm_now_ns(&process->vm);
	uint64_t left = now < until ? until - now : 0;
	int64_t span[2] = {(int64_t)(left / SECOND_NS), (int64_t)(left % SECOND_NS)};

	return mf_guest_write(process, va, span, sizeof(span));
}

/* Linux looks at the time between messages only and may wait for ever; here it ends the call. */
int64_t mf_sys_recvmmsg(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t until = MF_FOREVER;
	int64_t span[2];
	int64_t ret;

	if (arg[4]) {
		if (mf_guest_read(process, arg[4], span, sizeof(span)))
			return -EFAULT;
		if (span[0] < 0 || (uint64_t)span[1] >= SECOND_NS)
			return -EINVAL;
		until = (uint64_t)span[0] < MF_FOREVER / SECOND_NS / 4
				? (uint64_t)span[0] * SECOND_NS + (uint64_t)span[1]
				: MF_FOREVER;
		until = mf_wait_deadline(process, until);
	}
	ret = each_message(process, arg, 0, until, receive_message);
	if (arg[4] && ret >= 0 && put_left(process, arg[4], until))
		return -EFAULT;
	return ret;
}
