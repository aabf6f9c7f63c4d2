/* SPDX-License-Identifier: MIT */
/*
 * A cache whose every request has a VM of its own (examples/cache.c behind `mayfly serve`, durable
 * later) beside redis-server on a Unix socket, and beside LMDB within an HTTP server's own process:
 * the same gets and puts by the same clients, in turns. And synced commits of a crowd beside those
 * of one client. Servers on the last CPU, clients on the first.
 */
#include "bench/redis.h"
#include "bench/status.h"
#include "bench/traffic.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BURST   256u /* requests of all clients in a turn */
#define COUNTED 1000u

enum { MAYFLY, REDIS, LMDB, KINDS };

static const char *const suffix[KINDS] = {"", "/redis", "/lmdb"};

struct world {
	struct bench_traffic traffic[KINDS];
	bool has[KINDS];
	pid_t pids[KINDS];
	struct bench_redis redis;
	char folder[64];
	char address[KINDS][128];
	char control[128];
};

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
	(void)stat, (void)type, (void)walk;
	return remove(path);
}

static bool make_folders(struct world *world)
{
	char path[96];

	snprintf(world->folder, sizeof(world->folder), "/tmp/bench-cache-XXXXXX");
	if (!mkdtemp(world->folder))
		return false;
	snprintf(path, sizeof(path), "%s/store", world->folder);
	if (mkdir(path, 0700))
		return false;
	snprintf(path, sizeof(path), "%s/lmdb", world->folder);
	return !mkdir(path, 0700);
}

static void start_mayfly(struct world *world, const char *durability, const char *vms)
{
	char mayfly[4096];
	char cache[4096];
	char store[96];
	char *argv[] = {mayfly,
			"serve",
			"--listen",
			world->address[MAYFLY],
			"--control",
			world->control,
			"--workers",
			"1",
			"--vms",
			(char *)vms,
			"--memory",
			"64M",
			"--store",
			store,
			"--store-size",
			"256M",
			"--durability",
			(char *)durability,
			"--",
			cache,
			NULL};

	snprintf(mayfly, sizeof(mayfly), "%s", bench_path("../cli/mayfly"));
	snprintf(cache, sizeof(cache), "%s", bench_path("../examples/cache"));
	snprintf(store, sizeof(store), "%s/store", world->folder);
	snprintf(world->address[MAYFLY], 128, "unix:%s/mayfly", world->folder);
	snprintf(world->control, sizeof(world->control), "unix:%s/control", world->folder);
	world->pids[MAYFLY] = bench_spawn(argv, bench.last_cpu);
	world->has[MAYFLY] = world->pids[MAYFLY] > 0;
}

static void start_lmdb(struct world *world)
{
	char lmdb[4096];
	char folder[96];
	char *argv[] = {lmdb, folder, world->address[LMDB], NULL};

	snprintf(lmdb, sizeof(lmdb), "%s", bench_path("bench-lmdb"));
	snprintf(folder, sizeof(folder), "%s/lmdb", world->folder);
	snprintf(world->address[LMDB], 128, "unix:%s/http", world->folder);
	world->pids[LMDB] = bench_spawn(argv, bench.last_cpu);
	world->has[LMDB] = world->pids[LMDB] > 0;
}

static void start_redis(struct world *world)
{
	world->has[REDIS] = bench_redis_open(&world->redis, bench.last_cpu);
	snprintf(world->address[REDIS], 128, "unix:%s", world->redis.socket);
	world->traffic[REDIS].is_redis = true;
}

static void close_world(struct world *world)
{
	int i;

	for (i = 0; i < KINDS; i++) {
		bench_traffic_close(&world->traffic[i]);
		if (world->pids[i] <= 0)
			continue;
		kill(world->pids[i], SIGTERM);
		waitpid(world->pids[i], NULL, 0);
	}
	if (world->has[REDIS])
		bench_redis_close(&world->redis);
	if (world->folder[0])
		nftw(world->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* What one request costs exactly: a pass of its own, which nobody times. */
static void count_requests(struct world *world, struct bench_traffic *traffic,
			   const struct bench_mix *mix, struct bench_report *report)
{
	double exits = bench_status(world->control, "costs", "user_exits");
	double store = bench_status(world->control, "store", "user_exits");
	double pages = bench_status(world->control, "resets", "pages_copied");
	double commits = bench_status(world->control, "store", "commits");
	unsigned int each = COUNTED / traffic->count;
	double done = each * traffic->count;

	if (exits < 0 || !bench_traffic_burst(traffic, mix, each, false))
		return;
	exits = bench_status(world->control, "costs", "user_exits") - exits;
	store = bench_status(world->control, "store", "user_exits") - store;
	pages = bench_status(world->control, "resets", "pages_copied") - pages;
	commits = bench_status(world->control, "store", "commits") - commits;
	bench_count(report, "request_vm_exits", exits / done);
	bench_count(report, "storage_vm_exits", store / done);
	bench_count(report, "reset_bytes", pages / done * 4096);
	bench_count(report, "commits", commits / done);
}

static double per_second(const struct bench_traffic *traffic)
{
	return traffic->busy_ns > 0 ? (double)traffic->samples.count / traffic->busy_ns * 1e9 : 0;
}

static void print(struct world *world, const char *name, const struct bench_mix *mix, int kind)
{
	struct bench_traffic *traffic = &world->traffic[kind];
	struct bench_report report = {.unit = "ns"};
	char full[96];

	snprintf(full, sizeof(full), "%s%s", name, suffix[kind]);
	report.name = full;
	if (kind == MAYFLY && world->has[REDIS]) {
		report.yardstick = "redis-server";
		report.yard = mf_samples_copy(&world->traffic[REDIS].samples);
	}
	report.samples = mf_samples_copy(&traffic->samples);
	bench_count(&report, "requests_per_second", per_second(traffic));
	if (kind == MAYFLY)
		count_requests(world, traffic, mix, &report);
	bench_print(&report);
}

static int measure(const struct bench_case *self, struct world *world, const struct bench_mix *mix,
		   unsigned int clients)
{
	struct mf_loop loop = {.rounds = 40, .seconds = 5};
	char name[64];
	int i;

	for (i = 0; i < KINDS; i++)
		if (world->has[i] && !bench_traffic_open(&world->traffic[i], clients))
			return bench_fail(self, "cannot connect");
	while (bench_next(&loop))
		for (i = 0; i < KINDS; i++)
			if (world->has[i] &&
			    !bench_traffic_burst(&world->traffic[i], mix, BURST / clients,
						 bench_measured(&loop)))
				return bench_fail(self, "an answer%s was wrong", suffix[i]);
	snprintf(name, sizeof(name), "%s/%u", self->name, clients);
	for (i = 0; i < KINDS; i++)
		if (world->has[i])
			print(world, name, mix, i);
	return 0;
}

static int fill(const struct bench_case *self, struct world *world, const struct bench_mix *mix)
{
	int i;

	for (i = 0; i < KINDS; i++) {
		struct bench_traffic *traffic = &world->traffic[i];

		traffic->address = world->address[i];
		if (world->has[i] &&
		    (!bench_traffic_open(traffic, 1) || !bench_traffic_fill(traffic, mix)))
			return bench_fail(self, "the server%s does not keep values", suffix[i]);
	}
	return 0;
}

static int cache_case(const struct bench_case *self)
{
	static const unsigned int crowds[] = {1, 8, 64};
	struct bench_mix mix = {.value_bytes = self->mib, .gets = self->arg};
	static struct world world;
	unsigned int i;
	int ret = 0;

	memset(&world, 0, sizeof(world));
	bench_pin(bench.first_cpu);
	if (!make_folders(&world))
		ret = bench_fail(self, "no folder in /tmp: %s", strerror(errno));
	if (!ret) {
		start_mayfly(&world, "async", "64");
		start_redis(&world);
		start_lmdb(&world);
		ret = fill(self, &world, &mix);
	}
	for (i = 0; i < sizeof(crowds) / sizeof(crowds[0]) && !ret; i++)
		ret = measure(self, &world, &mix, crowds[i]);
	close_world(&world);
	return ret;
}

/* ---- synced commits ---- */

static void print_commits(const struct bench_case *self, struct world *world,
			  const struct bench_traffic *one, const struct bench_mix *mix)
{
	struct bench_traffic *many = &world->traffic[MAYFLY];
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "one client"};

	report.samples = mf_samples_copy(&many->samples);
	report.yard = mf_samples_copy(&one->samples);
	bench_count(&report, "puts_per_second", per_second(many));
	bench_count(&report, "one_client_per_second", per_second(one));
	bench_count(&report, "ratio", per_second(many) / per_second(one));
	count_requests(world, many, mix, &report);
	bench_print(&report);
}

/* In turns: a crowd, and one client. */
static int commits_in_turns(const struct bench_case *self, struct world *world,
			    struct bench_traffic *one)
{
	const struct bench_mix mix = {.value_bytes = 100};
	struct mf_loop loop = {.rounds = 60, .seconds = 10};

	while (bench_next(&loop)) {
		bool measured = bench_measured(&loop);

		if (!bench_traffic_burst(&world->traffic[MAYFLY], &mix, 8, measured) ||
		    !bench_traffic_burst(one, &mix, 8, measured))
			return bench_fail(self, "an answer was wrong");
	}
	print_commits(self, world, one, &mix);
	return 0;
}

static int commit_case(const struct bench_case *self)
{
	struct bench_traffic one = {0};
	static struct world world;
	char vms[16];
	int ret = 0;

	memset(&world, 0, sizeof(world));
	bench_pin(bench.first_cpu);
	snprintf(vms, sizeof(vms), "%u", self->arg);
	if (!make_folders(&world))
		ret = bench_fail(self, "no folder in /tmp: %s", strerror(errno));
	if (!ret) {
		start_mayfly(&world, "durable", vms);
		one.address = world.traffic[MAYFLY].address = world.address[MAYFLY];
		if (!bench_traffic_open(&world.traffic[MAYFLY], self->arg) ||
		    !bench_traffic_open(&one, 1))
			ret = bench_fail(self, "cannot connect");
		else
			ret = commits_in_turns(self, &world, &one);
	}
	bench_traffic_close(&one);
	close_world(&world);
	return ret;
}

/* mib: bytes of a value; arg: gets of 100 requests, or clients. */
const struct bench_case bench_cases[] = {
	{.name = "cache/100/100", .run = cache_case, .mib = 100, .arg = 100},
	{.name = "cache/100/95", .run = cache_case, .mib = 100, .arg = 95},
	{.name = "cache/100/50", .run = cache_case, .mib = 100, .arg = 50},
	{.name = "cache/4096/100", .run = cache_case, .mib = 4096, .arg = 100},
	{.name = "cache/4096/95", .run = cache_case, .mib = 4096, .arg = 95},
	{.name = "cache/4096/50", .run = cache_case, .mib = 4096, .arg = 50},
	{.name = "cache/commit/64", .run = commit_case, .arg = 64},
	{.name = "cache/commit/256", .run = commit_case, .arg = 256},
	{0},
};
