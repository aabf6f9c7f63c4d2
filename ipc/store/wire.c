/* SPDX-License-Identifier: MIT */
#include "ipc/store/wire.h"

#include <errno.h>
#include <sys/socket.h>

int mf_store_wire_read(int fd, void *to, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = recv(fd, (char *)to + done, bytes - done, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? -errno : -ECONNRESET;
		done += (size_t)got;
	}
	return 0;
}

int mf_store_wire_write(int fd, const void *from, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t put = send(fd, (const char *)from + done, bytes - done, MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		done += (size_t)put;
	}
	return 0;
}
