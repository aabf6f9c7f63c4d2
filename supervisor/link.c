/* SPDX-License-Identifier: MIT */
#include "supervisor/link.h"

#include "ipc/socket/descriptor.h"

#include <errno.h>
#include <unistd.h>

int mf_link_send(int socket, const struct mf_router_link *link, const void *bytes, int fd)
{
	struct iovec parts[] = {{(void *)(uintptr_t)link, sizeof(*link)},
				{(void *)(uintptr_t)bytes, link->bytes}};

	return mf_descriptor_send(socket, parts, 2, fd, 0);
}

int mf_link_receive(int socket, char *buffer, int *fd)
{
	const struct mf_router_link *link = (const struct mf_router_link *)buffer;
	ssize_t got = mf_descriptor_receive(socket, buffer, MF_LINK_MAX, fd);

	if (got <= 0 && *fd < 0)
		return got ? (int)got : -EPIPE;
	if (got < (ssize_t)sizeof(*link) || sizeof(*link) + link->bytes != (size_t)got) {
		if (*fd >= 0)
			close(*fd);
		return -EPROTO;
	}
	return 0;
}
