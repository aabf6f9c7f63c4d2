/* SPDX-License-Identifier: MIT */
/*
 * The store's Redis commands natively, over memory: what is compared with a real server must not
 * take a VM each time. usage: redis-native PATH (of a Unix socket)
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest/store/redis/redis.h"

#define CLIENTS 16

static struct pollfd fds[1 + CLIENTS];
static struct client clients[1 + CLIENTS];

static void hang_up(int i)
{
	close(fds[i].fd);
	fds[i].fd = -1;
	client_finish(&clients[i]);
}

static void welcome(void)
{
	int fd = accept(fds[0].fd, NULL, NULL);
	int i;

	for (i = 1; i <= CLIENTS && fds[i].fd >= 0; i++)
		;
	if (i > CLIENTS || fd < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	fds[i].fd = fd;
	client_init(&clients[i], 1, 2);
}

static void answer(int i)
{
	struct client *client = &clients[i];

	do {
		client_work(client);
		while (buffer_bytes(&client->reply.out)) {
			ssize_t put = send(fds[i].fd, buffer_data(&client->reply.out),
					   buffer_bytes(&client->reply.out), MSG_NOSIGNAL);

			if (put <= 0) {
				hang_up(i);
				return;
			}
			buffer_drop(&client->reply.out, (size_t)put);
		}
	} while (client_has_more(client));
	if (client->closing)
		hang_up(i);
}

static void serve(int i)
{
	static char bytes[65536];
	ssize_t got = read(fds[i].fd, bytes, sizeof(bytes));

	if (got <= 0 || !client_feed(&clients[i], bytes, (size_t)got))
		hang_up(i);
	else
		answer(i);
}

int main(int argc, char **argv)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int i;

	if (argc != 2 || strlen(argv[1]) >= sizeof(at.sun_path))
		return 2;
	strcpy(at.sun_path, argv[1]);
	for (i = 0; i <= CLIENTS; i++)
		fds[i] = (struct pollfd){-1, POLLIN, 0};
	fds[0].fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (bind(fds[0].fd, (struct sockaddr *)&at, sizeof(at)) || listen(fds[0].fd, CLIENTS)) {
		perror(argv[1]);
		return 1;
	}
	while (poll(fds, 1 + CLIENTS, -1) >= 0) {
		if (fds[0].revents)
			welcome();
		for (i = 1; i <= CLIENTS; i++)
			if (fds[i].fd >= 0 && fds[i].revents)
				serve(i);
	}
	return 1;
}
