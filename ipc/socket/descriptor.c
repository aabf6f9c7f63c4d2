/* SPDX-License-Identifier: MIT */
#include "ipc/socket/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor. */
union rights {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

int mf_descriptor_send(int socket, struct iovec *parts, size_t count, int fd, int flags)
{
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
	union rights rights = {{0}};

	if (fd >= 0) {
		message.msg_control = rights.bytes;
		message.msg_controllen = sizeof(rights.bytes);
		rights.aligned = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&rights.aligned), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, flags | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

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

ssize_t mf_descriptor_receive(int socket, void *buffer, size_t room, int *fd)
{
	struct iovec part = {buffer, room};
	union rights rights;
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = rights.bytes,
				 .msg_controllen = sizeof(rights.bytes)};
	ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	*fd = -1;
	if (got < 0)
		return -errno;
	*fd = take_fd(&message);
	return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : got;
}
