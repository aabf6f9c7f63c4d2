/* SPDX-License-Identifier: MIT */
#include "bench/client.h"
#include "bench/socket.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static bool send_request(const struct bench_server *server, int fd)
{
	char request[256];
	int bytes = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n",
			     server->target ? server->target : "/hello");

	return write(fd, request, (size_t)bytes) == bytes;
}

/* Read one whole answer; true when it is a 200. */
static bool read_answer(int fd)
{
	char buffer[16384];
	size_t have = 0;

	while (have < sizeof(buffer) - 1) {
		ssize_t got = read(fd, buffer + have, sizeof(buffer) - 1 - have);
		const char *length;
		const char *end;

		if (got <= 0)
			return false;
		have += (size_t)got;
		buffer[have] = '\0';
		end = strstr(buffer, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(buffer, "\r\nContent-Length:");
		if (!length || length > end)
			return false;
		if (have >= (size_t)(end + 4 - buffer) + strtoul(length + 17, NULL, 10))
			return !strncmp(buffer, "HTTP/1.", 7) && !strncmp(buffer + 8, " 200", 4);
	}
	return false;
}

/* Up to a minute, and in the emulated machine it can take one. */
static bool wait_until_up(struct bench_server *server)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int i;

	for (i = 0; i < 3000; i++) {
		int fd = bench_connect(server->address);
		bool good = fd >= 0 && send_request(server, fd) && read_answer(fd);

		if (fd >= 0)
			close(fd);
		if (good)
			return true;
		if (waitpid(server->pid, NULL, WNOHANG) == server->pid) {
			server->pid = 0;
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return false;
}

static void disconnect(struct bench_server *server)
{
	while (server->client_count)
		if (server->clients[--server->client_count] >= 0)
			close(server->clients[server->client_count]);
}

bool bench_server_connect(struct bench_server *server, unsigned int clients, bool reconnect)
{
	disconnect(server);
	mf_samples_free(&server->samples);
	server->busy_ns = 0;
	server->reconnect = reconnect;
	while (server->client_count < clients) {
		int fd = reconnect ? -1 : bench_connect(server->address);

		if (fd < 0 && !reconnect)
			return false;
		server->clients[server->client_count++] = fd;
	}
	return true;
}

bool bench_server_start(struct bench_server *server, const char *address, char *const *argv,
			int cpu, unsigned int clients)
{
	*server = (struct bench_server){0};
	snprintf(server->address, sizeof(server->address), "%s", address);
	server->pid = bench_spawn(argv, cpu);
	if (server->pid < 0 || !wait_until_up(server))
		return false;
	return bench_server_connect(server, clients, false);
}

void bench_server_stop(struct bench_server *server)
{
	disconnect(server);
	if (server->pid > 0) {
		kill(server->pid, SIGTERM);
		waitpid(server->pid, NULL, 0);
	}
	server->pid = 0;
	if (!strncmp(server->address, "unix:", 5))
		unlink(server->address + 5);
	mf_samples_free(&server->samples);
}

static bool ask(struct bench_server *server, unsigned int client)
{
	if (server->reconnect)
		server->clients[client] = bench_connect(server->address);
	return server->clients[client] >= 0 && send_request(server, server->clients[client]);
}

static bool hear(struct bench_server *server, unsigned int client)
{
	bool good = read_answer(server->clients[client]);

	if (server->reconnect) {
		close(server->clients[client]);
		server->clients[client] = -1;
	}
	return good;
}

static bool burst_one(struct bench_server *server, unsigned int requests, bool measured)
{
	while (requests--) {
		uint64_t start = bench_now_ns();

		if (!ask(server, 0) || !hear(server, 0))
			return false;
		if (measured)
			mf_samples_add(&server->samples, (double)(bench_now_ns() - start));
	}
	return true;
}

struct crowd {
	struct bench_server *server;
	unsigned int left[BENCH_CLIENTS_MAX];
	uint64_t start_ns[BENCH_CLIENTS_MAX];
	unsigned int waiting;
	bool measured;
};

static bool crowd_send(struct crowd *crowd, unsigned int client)
{
	crowd->start_ns[client] = bench_now_ns();
	return ask(crowd->server, client);
}

static bool crowd_answered(struct crowd *crowd, unsigned int client)
{
	if (!hear(crowd->server, client))
		return false;
	if (crowd->measured)
		mf_samples_add(&crowd->server->samples,
			       (double)(bench_now_ns() - crowd->start_ns[client]));
	if (--crowd->left[client])
		return crowd_send(crowd, client);
	crowd->waiting--;
	return true;
}

static bool crowd_run(struct crowd *crowd)
{
	struct pollfd fds[BENCH_CLIENTS_MAX];
	unsigned int i;

	for (i = 0; i < crowd->waiting; i++)
		if (!crowd_send(crowd, i))
			return false;
	while (crowd->waiting) {
		for (i = 0; i < crowd->server->client_count; i++)
			fds[i] = (struct pollfd){.fd = crowd->left[i] ? crowd->server->clients[i]
								      : -1,
						 .events = POLLIN};
		if (poll(fds, crowd->server->client_count, 60000) <= 0)
			return false;
		for (i = 0; i < crowd->server->client_count; i++)
			if (fds[i].revents && !crowd_answered(crowd, i))
				return false;
	}
	return true;
}

bool bench_burst(struct bench_server *server, unsigned int requests, bool measured)
{
	struct crowd crowd = {
		.server = server, .waiting = server->client_count, .measured = measured};
	uint64_t start = bench_now_ns();
	unsigned int i;
	bool good;

	for (i = 0; i < server->client_count; i++)
		crowd.left[i] = requests;
	if (server->client_count == 1)
		good = burst_one(server, requests, measured);
	else
		good = crowd_run(&crowd);
	if (measured)
		server->busy_ns += (double)(bench_now_ns() - start);
	return good;
}
