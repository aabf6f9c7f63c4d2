/* SPDX-License-Identifier: MIT */
#include "ipc/socket/handoff.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC 0x3146484du /* "MHF1" */

struct head {
	uint32_t magic;
	uint32_t origin;
	uint32_t scope_bytes;
	uint32_t first_bytes;
};
_Static_assert(sizeof(struct head) == 16, "no padding");

/* Room for one descriptor. */
union rights {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

int mf_handoff_send(int socket, int fd, const struct mf_handoff *handoff)
{
	struct head head = {MAGIC, handoff->origin, handoff->scope_bytes, handoff->first_bytes};
	struct iovec parts[] = {{&head, sizeof(head)},
				{(void *)(uintptr_t)handoff->scope, handoff->scope_bytes},
				{(void *)(uintptr_t)handoff->first, handoff->first_bytes}};
	union rights rights = {{0}};
	struct msghdr message = {.msg_iov = parts,
				 .msg_iovlen = 3,
				 .msg_control = rights.bytes,
				 .msg_controllen = sizeof(rights.bytes)};
	struct cmsghdr *control = CMSG_FIRSTHDR(&message);

	if (handoff->scope_bytes > MF_HANDOFF_SCOPE_MAX ||
	    handoff->first_bytes > MF_HANDOFF_FIRST_MAX)
		return -EMSGSIZE;
	*control = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(control), &fd, sizeof(fd));
	if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	return errno == ECONNREFUSED || errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

/* The one descriptor of a message, -1 when there is none or more; those are closed. */
static int take_fd(struct msghdr *message)
{
	struct cmsghdr *control;
	int taken = -1;

	for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		size_t bytes = control->cmsg_len - CMSG_LEN(0);
		int fd;

		if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(fd) <= bytes; at += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(control) + at, sizeof(fd));
			if (taken >= 0)
				close(taken);
			taken = fd;
		}
	}
	return taken;
}

static int check(const char *buffer, size_t bytes, struct mf_handoff *handoff)
{
	struct head head;

	if (bytes < sizeof(head))
		return -EPROTO;
	memcpy(&head, buffer, sizeof(head));
	if (head.magic != MAGIC || head.scope_bytes > MF_HANDOFF_SCOPE_MAX ||
	    head.first_bytes > MF_HANDOFF_FIRST_MAX ||
	    sizeof(head) + head.scope_bytes + head.first_bytes != bytes)
		return -EPROTO;
	handoff->origin = head.origin;
	handoff->scope_bytes = head.scope_bytes;
	handoff->first_bytes = head.first_bytes;
	handoff->scope = buffer + sizeof(head);
	handoff->first = handoff->scope + head.scope_bytes;
	return 0;
}

int mf_handoff_receive(int socket, char *buffer, struct mf_handoff *handoff)
{
	struct iovec room = {buffer, MF_HANDOFF_MAX};
	union rights rights;
	struct msghdr message = {.msg_iov = &room,
				 .msg_iovlen = 1,
				 .msg_control = rights.bytes,
				 .msg_controllen = sizeof(rights.bytes)};
	ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd;

	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (got == 0 && !message.msg_controllen)
		return -EPIPE;
	fd = take_fd(&message);
	if (fd < 0 || (message.msg_flags & MSG_TRUNC) || check(buffer, (size_t)got, handoff)) {
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	return fd;
}
