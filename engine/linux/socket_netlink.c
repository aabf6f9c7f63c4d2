/* SPDX-License-Identifier: MIT */
/*
 * NETLINK_ROUTE, as far as C libraries and runtimes ask it which interfaces and addresses there
 * are: questions to the kernel, and its answers. Nothing can be changed, and nobody else is
 * reached.
 */
#include "engine/linux/socket.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define REQUEST_BYTES 4096u

int mf_netlink_address(const struct mf_address *address)
{
	struct sockaddr_nl name;

	if (address->bytes < sizeof(name))
		return -EINVAL;
	memcpy(&name, &address->storage, sizeof(name));
	if (name.nl_family != AF_NETLINK)
		return -EINVAL;
	return name.nl_pid || name.nl_groups ? -EPERM : 0;
}

static bool is_question(const struct nlmsghdr *message)
{
	return message->nlmsg_type == RTM_GETLINK || message->nlmsg_type == RTM_GETADDR ||
	       message->nlmsg_type == RTM_GETROUTE;
}

/* Each message of what is to be sent: 0, -EPERM, or -EINVAL for what is none. */
static int check(const uint8_t *request, size_t bytes)
{
	size_t at = 0;

	while (bytes - at >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr message;

		memcpy(&message, request + at, sizeof(message));
		if (message.nlmsg_len < sizeof(message) || message.nlmsg_len > bytes - at)
			return -EINVAL;
		if (!is_question(&message))
			return -EPERM;
		at += NLMSG_ALIGN(message.nlmsg_len);
		if (at > bytes)
			return 0;
	}
	return 0;
}

int64_t mf_netlink_send(struct mf_process *process, const struct mf_fd *entry,
			struct mf_cursor *cursor)
{
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	uint8_t request[REQUEST_BYTES];
	struct iovec piece = {request, cursor->left};
	struct msghdr head = {.msg_name = &kernel,
			      .msg_namelen = sizeof(kernel),
			      .msg_iov = &piece,
			      .msg_iovlen = 1};
	ssize_t got;
	int ret;

	if (cursor->left > sizeof(request))
		return -EMSGSIZE;
	if (mf_cursor_get(cursor, request, piece.iov_len) < piece.iov_len)
		return -EFAULT;
	ret = check(request, piece.iov_len);
	if (ret)
		return ret;
	got = sendmsg(mf_socket_host(process, entry), &head, MSG_DONTWAIT | MSG_NOSIGNAL);
	return got < 0 ? -errno : got;
}
