/* SPDX-License-Identifier: MIT */
#include "ipc/socket/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* "/path", or "@name" for an abstract socket; 0 when it is neither. */
static socklen_t address_of(struct sockaddr_un *address, const char *name)
{
	size_t bytes = strlen(name);

	if (bytes < 2 || bytes >= sizeof(address->sun_path) || (*name != '/' && *name != '@'))
		return 0;
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(address->sun_path, name, bytes);
	if (*name == '@')
		address->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + (*name == '/'));
}

int mf_notify_open(void)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t bytes = name ? address_of(&address, name) : 0;
	int fd = bytes ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, bytes)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

void mf_notify_say(int fd, const char *text)
{
	/* Nobody can be told that it could not be told. */
	if (fd >= 0 && send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
}

uint64_t mf_notify_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	const char *interval = getenv("WATCHDOG_USEC");

	if (!interval || (pid && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
		return 0;
	return strtoull(interval, NULL, 10) / 2000;
}

int mf_notify_bind(const char *path)
{
	struct sockaddr_un address;
	socklen_t bytes = address_of(&address, path);
	const int on = 1;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || !bytes || bind(fd, (struct sockaddr *)&address, bytes) ||
	    setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on))) {
		int code = bytes ? -errno : -EINVAL;

		if (fd >= 0)
			close(fd);
		return code;
	}
	return fd;
}

bool mf_notify_receive(int fd, char text[MF_NOTIFY_MAX], pid_t *pid)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(sizeof(int) * 8)];
		struct cmsghdr aligned;
	} room;
	struct iovec part = {text, MF_NOTIFY_MAX - 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = room.bytes,
				 .msg_controllen = sizeof(room.bytes)};
	ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *control;

	if (got < 0)
		return false;
	text[got] = '\0';
	*pid = 0;
	for (control = CMSG_FIRSTHDR(&message); control; control = CMSG_NXTHDR(&message, control)) {
		struct ucred sender;

		if (control->cmsg_level != SOL_SOCKET)
			continue;
		if (control->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&sender, CMSG_DATA(control), sizeof(sender));
			*pid = sender.pid;
		} else if (control->cmsg_type == SCM_RIGHTS) {
			/* unasked for */
			for (size_t at = 0; at + sizeof(int) <= control->cmsg_len - CMSG_LEN(0);
			     at += sizeof(int)) {
				int extra;

				memcpy(&extra, CMSG_DATA(control) + at, sizeof(extra));
				close(extra);
			}
		}
	}
	return true;
}

bool mf_notify_has(const char *text, const char *line)
{
	size_t bytes = strlen(line);

	for (; text; text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL)
		if (!strncmp(text, line, bytes) && (!text[bytes] || text[bytes] == '\n'))
			return true;
	return false;
}
