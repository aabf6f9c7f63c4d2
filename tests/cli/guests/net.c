/* SPDX-License-Identifier: MIT */
/*
 * A program that tries to reach out: each call that could is made, and its errno printed, a line a
 * call. Arguments: what to do, a port of 127.0.0.1, a path.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TRY(expression)                                                                          \
	do {                                                                                     \
		errno = 0;                                                                       \
		printf("%s %s\n", (expression) < 0 ? strerrorname_np(errno) : "0", #expression); \
	} while (0)

static struct sockaddr_in internet;
static struct sockaddr_in6 mapped;
static struct sockaddr_un local;
static struct sockaddr_un hidden = {AF_UNIX, "\0mayfly-test"};
static socklen_t hidden_bytes = offsetof(struct sockaddr_un, sun_path) + 12;

static long send_message(int fd, void *name, socklen_t bytes)
{
	struct iovec piece = {"x", 1};
	struct msghdr message = {name, bytes, &piece, 1, NULL, 0, 0};

	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static long send_messages(int fd, void *name, socklen_t bytes)
{
	struct iovec piece = {"x", 1};
	struct mmsghdr message = {{name, bytes, &piece, 1, NULL, 0, 0}, 0};

	return sendmmsg(fd, &message, 1, MSG_NOSIGNAL);
}

static void families(void)
{
	TRY(socket(AF_INET, SOCK_STREAM, 0));
	TRY(socket(AF_INET, SOCK_DGRAM, 0));
	TRY(socket(AF_INET6, SOCK_STREAM, 0));
	TRY(socket(AF_INET6, SOCK_DGRAM, 0));
	TRY(socket(AF_UNIX, SOCK_STREAM, 0));
	TRY(socket(AF_UNIX, SOCK_DGRAM, 0));
	TRY(socket(AF_NETLINK, SOCK_RAW, 0));
	TRY(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	TRY(socket(AF_PACKET, SOCK_RAW, 0));
	TRY(socket(AF_VSOCK, SOCK_STREAM, 0));
}

/* A pair needs no permission: its ends reach nobody else. */
static void pairs(void)
{
	struct ifreq about = {.ifr_name = "lo"};
	int fds[2];

	TRY(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds));
	TRY(connect(fds[0], (void *)&local, sizeof(local)));
	TRY(sendto(fds[0], "x", 1, 0, (void *)&local, sizeof(local)));
	TRY(send_message(fds[0], &local, sizeof(local)));
	TRY(send_messages(fds[0], &local, sizeof(local)));
	TRY(bind(fds[0], (void *)&local, sizeof(local)));
	TRY(bind(fds[0], (void *)&hidden, hidden_bytes));
	TRY(bind(fds[0], (void *)&hidden, sizeof(sa_family_t)));
	TRY(connect(fds[0], (void *)&hidden, hidden_bytes));
	TRY(ioctl(fds[0], SIOCGIFFLAGS, &about));
}

static void streams(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	TRY(connect(fd, (void *)&internet, sizeof(internet)));
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	TRY(connect(fd, (void *)&mapped, sizeof(mapped)));
	fd = socket(AF_INET, SOCK_STREAM, 0);
	TRY(sendto(fd, "x", 1, MSG_FASTOPEN, (void *)&internet, sizeof(internet)));
	internet.sin_port = 0;
	TRY(bind(fd, (void *)&internet, sizeof(internet)));
	TRY(listen(fd, 1));
}

static void datagrams(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ip_mreq group = {{htonl(0xe0000002)}, {htonl(INADDR_LOOPBACK)}};

	TRY(sendto(fd, "x", 1, 0, (void *)&internet, sizeof(internet)));
	TRY(send_message(fd, &internet, sizeof(internet)));
	TRY(send_messages(fd, &internet, sizeof(internet)));
	internet.sin_family = AF_UNSPEC;
	TRY(sendto(fd, "x", 1, 0, (void *)&internet, sizeof(internet)));
	internet.sin_family = AF_INET;
	TRY(connect(fd, (void *)&internet, sizeof(internet)));
	TRY(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
	TRY(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, "\x83\x07\x04\x7f\x00\x00\x01", 8));
	TRY(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo\0", 4));
	TRY(setsockopt(fd, SOL_SOCKET, SO_MARK, &group, 4));
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	TRY(sendto(fd, "x", 1, 0, (void *)&mapped, sizeof(mapped)));
	TRY(sendto(fd, "x", 1, 0, (void *)&internet, sizeof(internet)));
}

static void unix_streams(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	TRY(connect(fd, (void *)&local, sizeof(local)));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	TRY(connect(fd, (void *)&hidden, hidden_bytes));
	TRY(bind(fd, (void *)&hidden, hidden_bytes));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcat(local.sun_path, ".new");
	TRY(bind(fd, (void *)&local, sizeof(local)));
}

/* Everything that comes, back; to the end. */
static void echo(void)
{
	static char buffer[100000];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t got, put;

	if (connect(fd, (void *)&internet, sizeof(internet)))
		exit(1);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0) {
		put = write(fd, buffer, (size_t)got);
		if (put != got)
			exit(2);
	}
}

static void names(void)
{
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;

	printf("%d\n", getaddrinfo("localhost", "80", &hints, &found));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} runs[] = {{"families", families},   {"pairs", pairs},       {"streams", streams},
		    {"datagrams", datagrams}, {"unix", unix_streams}, {"echo", echo},
		    {"names", names}};
	size_t i;

	internet.sin_family = AF_INET;
	internet.sin_port = htons((uint16_t)atoi(argv[2]));
	internet.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	mapped.sin6_family = AF_INET6;
	mapped.sin6_port = internet.sin_port;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	local.sun_family = AF_UNIX;
	strcpy(local.sun_path, argv[3]);
	for (i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		if (argc > 3 && !strcmp(runs[i].name, argv[1]))
			runs[i].run();
	return 0;
}
