/* SPDX-License-Identifier: MIT */
/*
 * Unmodified servers: each natively, and behind `mayfly serve` with a fresh VM for every request;
 * the C server also with a process for every request. The same clients, in turns; the servers on
 * the last CPU, the clients on the first. `close`: a connection for each request; `keep`: one for
 * all; the number is that of the clients.
 */
#include "bench/client.h"
#include "bench/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BURST   30u
#define COUNTED 100u

#define ADDRESS "{address}" /* in a command: where the server is to listen */
#define HERE    "{here}"    /* the folder of this build's benchmarks */
#define SCRIPTS "{scripts}" /* the folder of the servers in other languages */

#define WARM_UP "GET:/hello*50"

#define ARGS_MAX 6u

struct program {
	const char *name;
	const char *memory; /* --memory */
	bool closes;        /* it keeps no connection */
	const char *argv[ARGS_MAX];
	const char *fork[ARGS_MAX]; /* with a process for each request; empty: has no such mode */
};

static const struct program programs[] = {
	{"c-epoll",
	 "64M",
	 false,
	 {HERE "/bench-server", "epoll", ADDRESS, "16"},
	 {HERE "/bench-server", "fork", ADDRESS, "16"}},
	{"c-epoll-64M",
	 "128M",
	 false,
	 {HERE "/bench-server", "epoll", ADDRESS, "64"},
	 {HERE "/bench-server", "fork", ADDRESS, "64"}},
	{"python-http",
	 "256M",
	 false,
	 {"/usr/bin/python3", SCRIPTS "/http_server.py", ADDRESS},
	 {0}},
	{"python-wsgiref", "256M", true, {"/usr/bin/python3", SCRIPTS "/wsgi.py", ADDRESS}, {0}},
	{"python-asyncio", "256M", false, {"/usr/bin/python3", SCRIPTS "/aio.py", ADDRESS}, {0}},
	{"node-http", "1G", false, {"/usr/bin/node", SCRIPTS "/hello.js", ADDRESS}, {0}},
	{"node-react", "1G", false, {"/usr/bin/node", SCRIPTS "/react.js", ADDRESS}, {0}},
	{"go-http", "512M", false, {HERE "/bench-hello-go", ADDRESS}, {0}},
};

enum { MAYFLY, NATIVE, FORK, KINDS };

struct world {
	const struct program *program;
	struct bench_server servers[KINDS];
	bool has[KINDS];
	char control[64];
};

/* `text` with its words in braces replaced; malloc'ed. */
static char *expand(const char *text, const char *address)
{
	char *out = NULL;

	if (!strcmp(text, ADDRESS))
		out = strdup(address);
	else if (!strncmp(text, HERE, strlen(HERE)))
		out = asprintf(&out, "%s%s", bench_path("."), text + strlen(HERE)) < 0 ? NULL : out;
	else if (!strncmp(text, SCRIPTS, strlen(SCRIPTS)))
		out = asprintf(&out, "%s%s", BENCH_SCRIPTS, text + strlen(SCRIPTS)) < 0 ? NULL
											: out;
	else
		out = strdup(text);
	if (!out)
		abort();
	return out;
}

static size_t append(char **argv, size_t count, const char *const *more, const char *address)
{
	size_t i;

	for (i = 0; i < ARGS_MAX && more[i]; i++)
		argv[count++] = expand(more[i], address);
	argv[count] = NULL;
	return count;
}

static bool start(struct world *world, int kind)
{
	const struct program *program = world->program;
	const char *const *argv = kind == FORK ? program->fork : program->argv;
	char *all[32] = {NULL};
	char address[64];
	size_t count = 0;
	bool good;

	snprintf(address, sizeof(address), "127.0.0.1:%d", 20000 + getpid() % 4000 * 3 + kind);
	if (kind == MAYFLY) {
		const char *const front[] = {HERE "/../cli/mayfly", "serve", "--listen", address,
					     "--workers",           "1"};
		const char *const more[] = {"--vms",         "16",        "--memory",
					    program->memory, "--control", world->control};
		const char *const last[ARGS_MAX] = {"--allow-read", "--warmup", WARM_UP, "--"};

		count = append(all, count, front, address);
		count = append(all, count, more, address);
		count = append(all, count, last, address);
	}
	count = append(all, count, argv, kind == MAYFLY ? "127.0.0.1:8000" : address);
	good = bench_server_start(&world->servers[kind], address, all, bench.last_cpu, 1);
	while (count)
		free(all[--count]);
	return good;
}

/* Memory that belongs to this process alone, in KiB; -1 when it cannot be read. */
static double private_kib(pid_t pid)
{
	char path[64];
	char line[256];
	double sum = 0;
	double value;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	file = fopen(path, "re");
	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "Private_Clean: %lf", &value) == 1 ||
		    sscanf(line, "Private_Dirty: %lf", &value) == 1)
			sum += value;
	fclose(file);
	return sum;
}

/* What one request costs exactly: a pass of its own, which nobody times. */
static void count_requests(struct world *world, struct bench_report *report)
{
	struct bench_server *server = &world->servers[MAYFLY];
	double exits = bench_status(world->control, "costs", "user_exits");
	double faults = bench_status(world->control, "costs", "page_faults");
	double pages = bench_status(world->control, "resets", "pages_copied");
	double time = bench_status(world->control, "resets", "time_us");
	double done = COUNTED * server->client_count;

	if (exits < 0 || !bench_burst(server, COUNTED, false))
		return;
	bench_count(report, "user_exits",
		    (bench_status(world->control, "costs", "user_exits") - exits) / done);
	bench_count(report, "page_faults",
		    (bench_status(world->control, "costs", "page_faults") - faults) / done);
	bench_count(report, "reset_pages",
		    (bench_status(world->control, "resets", "pages_copied") - pages) / done);
	bench_count(report, "reset_us",
		    (bench_status(world->control, "resets", "time_us") - time) / done);
	bench_count(report, "private_kib_of_all_vms", private_kib(server->pid));
}

static void print(struct world *world, const char *name, int kind)
{
	static const char *const suffix[KINDS] = {"", "/native", "/native-fork"};
	struct bench_server *server = &world->servers[kind];
	struct bench_server *native = &world->servers[NATIVE];
	struct bench_report report = {.unit = "ns", .yardstick = "native"};
	char full[96];

	snprintf(full, sizeof(full), "%s%s", name, suffix[kind]);
	report.name = full;
	report.samples = mf_samples_copy(&server->samples);
	report.yard = mf_samples_copy(&native->samples);
	bench_count(&report, "requests_per_second",
		    (double)server->samples.count / server->busy_ns * 1e9);
	bench_count(&report, "yardstick_per_second",
		    (double)native->samples.count / native->busy_ns * 1e9);
	if (kind == MAYFLY)
		count_requests(world, &report);
	bench_print(&report);
}

static int measure(const struct bench_case *self, struct world *world, bool reconnect,
		   unsigned int clients)
{
	struct mf_loop loop = {.rounds = 60, .seconds = 6};
	char name[64];
	int i;

	for (i = 0; i < KINDS; i++)
		if (world->has[i] && !bench_server_connect(&world->servers[i], clients, reconnect))
			return bench_fail(self, "cannot connect");
	while (bench_next(&loop))
		for (i = 0; i < KINDS; i++)
			if (world->has[i] &&
			    !bench_burst(&world->servers[i], BURST, bench_measured(&loop)))
				return bench_fail(self, "an answer was not 200");
	snprintf(name, sizeof(name), "%s/%s/%u", self->name, reconnect ? "close" : "keep", clients);
	for (i = 0; i < KINDS; i++)
		if (world->has[i] && i != NATIVE)
			print(world, name, i);
	return 0;
}

static int start_all(const struct bench_case *self, struct world *world)
{
	static const char *const what[KINDS] = {"mayfly serve", "the server", "the forking server"};
	int i;

	for (i = 0; i < KINDS; i++) {
		if (i == FORK && !world->program->fork[0])
			continue;
		if (!start(world, i))
			return bench_fail(self, "%s did not come up", what[i]);
		world->has[i] = true;
	}
	return 0;
}

static int serve_case(const struct bench_case *self)
{
	struct world world = {.program = &programs[self->arg]};
	char *binary = expand(world.program->argv[0], "");
	int ret = 0;
	int i;

	if (access(binary, X_OK))
		ret = bench_skip(self, "%s is not installed", binary);
	free(binary);
	if (ret)
		return ret;
	bench_pin(bench.first_cpu);
	snprintf(world.control, sizeof(world.control), "unix:/tmp/bench-%d.control", (int)getpid());
	ret = start_all(self, &world);
	if (!ret)
		ret = measure(self, &world, true, 1);
	if (!ret)
		ret = measure(self, &world, true, 8);
	if (!ret && !world.program->closes)
		ret = measure(self, &world, false, 1);
	for (i = 0; i < KINDS; i++)
		bench_server_stop(&world.servers[i]);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "serve/c-epoll", .run = serve_case, .arg = 0, .quick = true},
	{.name = "serve/c-epoll-64M", .run = serve_case, .arg = 1},
	{.name = "serve/python-http", .run = serve_case, .arg = 2},
	{.name = "serve/python-wsgiref", .run = serve_case, .arg = 3},
	{.name = "serve/python-asyncio", .run = serve_case, .arg = 4},
	{.name = "serve/node-http", .run = serve_case, .arg = 5},
	{.name = "serve/node-react", .run = serve_case, .arg = 6},
	{.name = "serve/go-http", .run = serve_case, .arg = 7},
	{0},
};
