/* SPDX-License-Identifier: MIT */
#include "ipc/socket/handoff.h"

#include "ipc/socket/descriptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC 0x3146484du /* "MHF1" */

struct head {
	uint32_t magic;
	uint32_t origin;
	uint32_t scope_bytes;
	uint32_t first_bytes;
};
_Static_assert(sizeof(struct head) == 16, "no padding");

int mf_handoff_send(int socket, int fd, const struct mf_handoff *handoff)
{
	struct head head = {MAGIC, handoff->origin, handoff->scope_bytes, handoff->first_bytes};
	struct iovec parts[] = {{&head, sizeof(head)},
				{(void *)(uintptr_t)handoff->scope, handoff->scope_bytes},
				{(void *)(uintptr_t)handoff->first, handoff->first_bytes}};
	int ret;

	if (handoff->scope_bytes > MF_HANDOFF_SCOPE_MAX ||
	    handoff->first_bytes > MF_HANDOFF_FIRST_MAX)
		return -EMSGSIZE;
	ret = mf_descriptor_send(socket, parts, 3, fd, MSG_DONTWAIT);
	return ret == -ECONNREFUSED || ret == -ECONNRESET || ret == -ENOTCONN ? -EPIPE : ret;
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
	int fd;
	ssize_t got = mf_descriptor_receive(socket, buffer, MF_HANDOFF_MAX, &fd);

	if (got < 0 && got != -EMSGSIZE)
		return got == -ECONNRESET ? -EPIPE : (int)got;
	if (got == 0 && fd < 0)
		return -EPIPE;
	if (fd < 0 || got < 0 || check(buffer, (size_t)got, handoff)) {
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
	return fd;
}
