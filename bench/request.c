/* SPDX-License-Identifier: MIT */
/*
 * Requests through the front door: `mayfly serve` and two native servers, the same clients, in
 * turns. Servers run on the last CPU, the clients on the first, so that each pays the same
 * wake-ups.
 */
#include "bench/client.h"
#include "bench/count.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BURST     50u
#define GUEST_MIB "16"
#define COUNTED   200u

enum { MAYFLY, EPOLL, FORK, SERVERS };

static void address_of(char *to, size_t room, bool tcp, unsigned int index)
{
	if (tcp)
		snprintf(to, room, "127.0.0.1:%u",
			 20000 + (unsigned int)getpid() % 4000 * 3 + index);
	else
		snprintf(to, room, "unix:/tmp/bench-%d-%u.sock", (int)getpid(), index);
}

static bool start_mayfly(struct bench_server *server, char *address, unsigned int clients)
{
	char mayfly[4096];
	char guest[4096];
	char *argv[] = {mayfly, "serve",    "--listen", address, "--workers", "1",       "--vms",
			"16",   "--memory", "64M",      "--",    guest,       GUEST_MIB, NULL};

	snprintf(mayfly, sizeof(mayfly), "%s", bench_path("../cli/mayfly"));
	snprintf(guest, sizeof(guest), "%s", bench_path("../guest/measure/measure-guest"));
	return bench_server_start(server, address, argv, bench.last_cpu, clients);
}

static bool start_native(struct bench_server *server, char *address, char *mode,
			 unsigned int clients)
{
	char path[4096];
	char *argv[] = {path, mode, address, GUEST_MIB, NULL};

	snprintf(path, sizeof(path), "%s", bench_path("bench-server"));
	return bench_server_start(server, address, argv, bench.last_cpu, clients);
}

static int start_all(const struct bench_case *self, struct bench_server *servers, bool tcp)
{
	char address[128];

	memset(servers, 0, SERVERS * sizeof(*servers));
	address_of(address, sizeof(address), tcp, MAYFLY);
	if (!start_mayfly(&servers[MAYFLY], address, self->arg))
		return bench_fail(self, "mayfly serve did not come up on %s", address);
	address_of(address, sizeof(address), tcp, EPOLL);
	if (!start_native(&servers[EPOLL], address, "epoll", self->arg))
		return bench_fail(self, "the native server did not come up on %s", address);
	address_of(address, sizeof(address), tcp, FORK);
	if (!start_native(&servers[FORK], address, "fork", self->arg))
		return bench_fail(self, "the forking server did not come up on %s", address);
	return 0;
}

static int measure(const struct bench_case *self, struct bench_server *servers)
{
	struct mf_loop loop = {.rounds = 60, .seconds = 10};
	int i;

	while (bench_next(&loop))
		for (i = 0; i < SERVERS; i++)
			if (!bench_burst(&servers[i], BURST, bench_measured(&loop)))
				return bench_fail(self, "an answer was not 200");
	return 0;
}

/* Counts per request in all threads of a server; a pass of its own. */
static void count_event(struct bench_report *report, struct bench_server *server, const char *name,
			const char *event)
{
	struct bench_counter counter;
	uint64_t before;

	if (!bench_counter_open(&counter, event, server->pid))
		return;
	before = bench_counter_read(&counter);
	if (bench_burst(server, COUNTED, false))
		bench_count(report, name,
			    (double)(bench_counter_read(&counter) - before) /
				    (COUNTED * server->client_count));
	bench_counter_close(&counter);
}

static void print(const char *name, struct bench_server *server, struct bench_server *yard,
		  bool exits)
{
	struct bench_report report = {.name = name, .unit = "ns", .yardstick = "epoll server"};

	report.samples = mf_samples_copy(&server->samples);
	report.yard = mf_samples_copy(&yard->samples);
	bench_count(&report, "requests_per_second",
		    (double)server->samples.count / server->busy_ns * 1e9);
	bench_count(&report, "yardstick_per_second",
		    (double)yard->samples.count / yard->busy_ns * 1e9);
	if (exits)
		count_event(&report, server, "user_exits", BENCH_EVENT_USER_EXITS);
	count_event(&report, server, "syscalls", BENCH_EVENT_SYSCALLS);
	bench_print(&report);
}

static int request_case(const struct bench_case *self)
{
	struct bench_server servers[SERVERS];
	char name[96];
	int ret;
	int i;

	bench_pin(bench.first_cpu);
	ret = start_all(self, servers, strstr(self->name, "tcp"));
	if (!ret)
		ret = measure(self, servers);
	if (!ret) {
		print(self->name, &servers[MAYFLY], &servers[EPOLL], true);
		snprintf(name, sizeof(name), "%s/native-fork", self->name);
		print(name, &servers[FORK], &servers[EPOLL], false);
	}
	for (i = 0; i < SERVERS; i++)
		bench_server_stop(&servers[i]);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "request/unix/1", .run = request_case, .arg = 1, .quick = true},
	{.name = "request/unix/4", .run = request_case, .arg = 4},
	{.name = "request/tcp/1", .run = request_case, .arg = 1},
	{.name = "request/tcp/4", .run = request_case, .arg = 4},
	{0},
};
