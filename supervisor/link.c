/* SPDX-License-Identifier: MIT */
#include "supervisor/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

union rights {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

int mf_link_send(int socket, const struct mf_router_link *link, const void *bytes, int fd)
{
	struct iovec parts[] = {{(void *)(uintptr_t)link, sizeof(*link)},
				{(void *)(uintptr_t)bytes, link->bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	union rights rights = {{0}};

	if (fd >= 0) {
		message.msg_control = rights.bytes;
		message.msg_controllen = sizeof(rights.bytes);
		rights.aligned = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&rights.aligned), &fd, sizeof(fd));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int mf_link_receive(int socket, char *buffer, int *fd)
{
	struct mf_router_link *link = (struct mf_router_link *)buffer;
	struct iovec room = {buffer, MF_LINK_MAX};
	union rights rights;
	struct msghdr message = {.msg_iov = &room,
				 .msg_iovlen = 1,
				 .msg_control = rights.bytes,
				 .msg_controllen = sizeof(rights.bytes)};
	ssize_t got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *control;

	*fd = -1;
	if (got <= 0)
		return got ? -errno : -EPIPE;
	control = CMSG_FIRSTHDR(&message);
	if (control && control->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(control), sizeof(*fd));
	if ((size_t)got < sizeof(*link) || sizeof(*link) + link->bytes != (size_t)got) {
		if (*fd >= 0)
			close(*fd);
		return -EPROTO;
	}
	return 0;
}
