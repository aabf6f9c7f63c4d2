/* SPDX-License-Identifier: MIT */
/*
 * Calls to the storage VM. A call as the guest sees it while the storage VM polls on another core,
 * beside the bare ring; whole requests with one GET or PUT, waiting in each of the ways there are,
 * beside redis-server on a Unix socket and a bare fdatasync; and what a channel that floods costs
 * another.
 */
#include "bench/harness.h"
#include "bench/redis.h"
#include "bench/trips.h"
#include "measure/pair.h"

#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct mf_pair pair;

struct tally {
	uint64_t request_exits;
	uint64_t store_exits;
	uint64_t parks;
	uint64_t commits;
	uint64_t ring_bytes;
	uint64_t in_place;
};

static struct tally tally_now(void)
{
	struct mf_store_stats stats;

	mf_store_stats(pair.store.store, &stats);
	return (struct tally){
		pair.vm.vm.kvm.user_exits, stats.user_exits, pair.parks, stats.commits,
		pair.ring_bytes,           stats.in_place};
}

static void count(struct bench_report *report, const struct tally *before, double rounds)
{
	struct tally after = tally_now();

	bench_count(report, "request_vm_exits",
		    (double)(after.request_exits - before->request_exits) / rounds);
	bench_count(report, "storage_vm_exits",
		    (double)(after.store_exits - before->store_exits) / rounds);
	bench_count(report, "parks", (double)(after.parks - before->parks) / rounds);
	bench_count(report, "commits", (double)(after.commits - before->commits) / rounds);
	bench_count(report, "ring_bytes", (double)(after.ring_bytes - before->ring_bytes) / rounds);
	bench_count(report, "in_place", (double)(after.in_place - before->in_place) / rounds);
}

/* A key to get. */
static int prepare(void)
{
	struct mf_world_request request;
	uint64_t took;
	double ns;

	mf_world_request_make(&request, "/put", 1);
	return mf_pair_serve(&pair, &request, &took, sizeof(took), &ns);
}

static int open_pair(const struct bench_case *self, enum mf_store_wait wait)
{
	const struct mf_cpus cpus = {bench.first_cpu, bench.last_cpu};
	struct mf_error err = {0};

	if (mf_pair_open(&pair, cpus, wait, &err))
		return bench_fail(self, "%s", err.text);
	return prepare() ? bench_fail(self, "the first call to the store failed") : 0;
}

/* ---- calls within one running request ---- */

#define CALLS      500u
#define CALLS_YARD 100u

/* What each of them took; *redis, unless it is NULL, gets in between. */
static int calls(struct bench_report *report, struct bench_redis *redis)
{
	struct mf_loop loop = {.rounds = 60, .seconds = 8};
	static uint64_t took[CALLS];
	struct mf_world_request request;
	struct tally before = {0};
	size_t rounds = 0;
	double ns;
	size_t i;

	mf_world_request_make(&request, "/get", CALLS);
	while (bench_next(&loop)) {
		bool measured = bench_measured(&loop);

		if (measured && !rounds++)
			before = tally_now();
		if (mf_pair_serve(&pair, &request, took, sizeof(took), &ns))
			return 1;
		for (i = 0; i < CALLS && measured; i++)
			mf_samples_add(&report->samples, (double)took[i]);
		for (i = 0; i < CALLS_YARD && redis && redis->pid; i++) {
			ns = bench_redis_get(redis);
			if (measured && ns > 0)
				mf_samples_add(&report->yard, ns);
		}
	}
	count(report, &before, (double)rounds * CALLS);
	return 0;
}

/* While the storage VM polls, beside the bare ring. */
static int call_poll(const struct bench_case *self)
{
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "bare ring"};
	struct mf_samples futex = {0};
	int ret;

	if (bench.first_cpu == bench.last_cpu)
		return bench_skip(self, "polling needs a second CPU");
	ret = open_pair(self, MF_STORE_POLL);
	if (!ret && calls(&report, NULL))
		ret = bench_fail(self, "a call failed");
	mf_pair_close(&pair);
	if (!ret && bench_trips(&report.yard, &futex))
		ret = bench_fail(self, "a message did not come back");
	mf_samples_free(&futex);
	if (!ret)
		bench_print(&report);
	return ret;
}

/* Beside a native process that gets from redis-server over a Unix socket. */
static int beside_redis(const struct bench_case *self)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = "redis-server"};
	struct bench_redis redis;
	int ret = 0;

	if (!bench_redis_open(&redis, bench.first_cpu))
		report.yardstick = NULL;
	if (calls(&report, &redis))
		ret = bench_fail(self, "a call failed");
	bench_redis_close(&redis);
	if (!ret)
		bench_print(&report);
	return ret;
}

static int inside(const struct bench_case *self)
{
	int ret;

	if (self->arg == MF_STORE_POLL && bench.first_cpu == bench.last_cpu)
		return bench_skip(self, "polling needs a second CPU");
	ret = open_pair(self, (enum mf_store_wait)self->arg);
	if (!ret)
		ret = beside_redis(self);
	mf_pair_close(&pair);
	return ret;
}

static int inside_in_place(const struct bench_case *self)
{
	int ret = open_pair(self, MF_STORE_HAND_OFF);

	pair.in_place = true;
	if (!ret)
		ret = beside_redis(self);
	mf_pair_close(&pair);
	return ret;
}

/* ---- whole requests with one call ---- */

static double time_fdatasync(int fd)
{
	static const char page[4096];
	uint64_t start = bench_now_ns();

	if (pwrite(fd, page, sizeof(page), 0) < 0 || fdatasync(fd))
		return 0;
	return (double)(bench_now_ns() - start);
}

struct yard {
	struct bench_redis redis;
	bool has_redis;
	int file;
};

static void open_yard(struct yard *yard, bool put)
{
	char path[sizeof(pair.folder) + 8];

	memset(yard, 0, sizeof(*yard));
	yard->file = -1;
	if (!put) {
		yard->has_redis = bench_redis_open(&yard->redis, bench.first_cpu);
		return;
	}
	snprintf(path, sizeof(path), "%s/yard", pair.folder);
	yard->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	unlink(path);
}

static void close_yard(struct yard *yard)
{
	if (yard->has_redis)
		bench_redis_close(&yard->redis);
	if (yard->file >= 0)
		close(yard->file);
}

static double time_yard(struct yard *yard)
{
	if (yard->file >= 0)
		return time_fdatasync(yard->file);
	return yard->has_redis ? bench_redis_get(&yard->redis) : 0;
}

static int requests(struct bench_report *report, struct yard *yard, bool put)
{
	struct mf_loop loop = {.rounds = put ? 300 : 5000, .seconds = 5};
	struct mf_world_request request;
	struct tally before = {0};
	size_t rounds = 0;
	uint64_t took;

	mf_world_request_make(&request, put ? "/put" : "/get", 1);
	while (bench_next(&loop)) {
		double other;
		double ns;

		if (bench_measured(&loop) && !rounds++)
			before = tally_now();
		if (mf_pair_serve(&pair, &request, &took, sizeof(took), &ns))
			return 1;
		other = time_yard(yard);
		if (!bench_measured(&loop))
			continue;
		mf_samples_add(&report->samples, ns);
		if (other > 0)
			mf_samples_add(&report->yard, other);
	}
	count(report, &before, (double)rounds);
	return 0;
}

static int request_case(const struct bench_case *self)
{
	bool put = !strncmp(self->name, "store/put", 9);
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = put ? "fdatasync" : "redis-server"};
	struct yard yard;
	int ret;

	if (self->arg == MF_STORE_POLL && bench.first_cpu == bench.last_cpu)
		return bench_skip(self, "polling needs a second CPU");
	ret = open_pair(self, (enum mf_store_wait)self->arg);
	if (!ret) {
		open_yard(&yard, put);
		if (!put && !yard.has_redis)
			report.yardstick = NULL;
		if (requests(&report, &yard, put))
			ret = bench_fail(self, "a call failed");
		close_yard(&yard);
	}
	mf_pair_close(&pair);
	if (!ret)
		bench_print(&report);
	return ret;
}

/* ---- beside a channel that floods ---- */

static uint32_t flood_stop;
static bool flood_puts;

/* A client of channel 1 that calls as fast as the ring takes it and reads no reply. */
static void *flood(void *arg)
{
	struct mf_peer *peer = arg;
	struct mf_abi_kv head = {
		.table_bytes = 5, .key_bytes = 5, .value_bytes = flood_puts ? 5 : 0};
	struct mf_piece pieces[] = {
		{&head, sizeof(head)}, {"bench", 5}, {"flood", 5}, {"value", head.value_bytes}};
	struct mf_ring rings[2];
	uint64_t offset;
	int fd;

	bench_pin(bench.first_cpu);
	peer->window(peer, 1, &fd, &offset);
	peer->begin(peer, 1, false);
	if (mf_channel_open(mf_store_window(pair.store.store, 1),
			    mf_store_window_bytes(pair.store.store), &rings[0], &rings[1]))
		return NULL;
	while (!__atomic_load_n(&flood_stop, __ATOMIC_RELAXED))
		if (mf_ring_put(&rings[0], flood_puts ? MF_KV_PUT : MF_KV_GET, 1, 0, pieces, 4))
			usleep(100);
	while (peer->end(peer, 1, true) == -EBUSY)
		usleep(100);
	return NULL;
}

static int gets(struct mf_samples *samples)
{
	struct mf_loop loop = {.rounds = 1000, .seconds = 3};
	struct mf_world_request request;
	uint64_t took;
	double ns;

	mf_world_request_make(&request, "/get", 1);
	while (bench_next(&loop)) {
		if (mf_pair_serve(&pair, &request, &took, sizeof(took), &ns))
			return 1;
		if (bench_measured(&loop))
			mf_samples_add(samples, ns);
	}
	return 0;
}

static int beside_flood(const struct bench_case *self)
{
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "alone"};
	pthread_t thread;
	int ret = open_pair(self, (enum mf_store_wait)self->arg);

	if (!ret && gets(&report.yard))
		ret = bench_fail(self, "a call failed");
	flood_stop = 0;
	flood_puts = strstr(self->name, "flood-put");
	if (!ret && pthread_create(&thread, NULL, flood, pair.peer))
		ret = bench_fail(self, "no thread");
	else if (!ret) {
		if (gets(&report.samples))
			ret = bench_fail(self, "a call failed");
		__atomic_store_n(&flood_stop, 1, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);
	}
	mf_pair_close(&pair);
	if (!ret)
		bench_print(&report);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "store/call/poll", .run = call_poll},
	{.name = "store/inside/place", .run = inside_in_place},
	{.name = "store/inside/poll", .run = inside, .arg = MF_STORE_POLL},
	{.name = "store/inside/hand-off", .run = inside, .arg = MF_STORE_HAND_OFF},
	{.name = "store/inside/wake", .run = inside, .arg = MF_STORE_WAKE},
	{.name = "store/get/hand-off",
	 .run = request_case,
	 .arg = MF_STORE_HAND_OFF,
	 .quick = true},
	{.name = "store/get/poll", .run = request_case, .arg = MF_STORE_POLL},
	{.name = "store/get/wake", .run = request_case, .arg = MF_STORE_WAKE, .quick = true},
	{.name = "store/get/auto", .run = request_case, .arg = MF_STORE_AUTO},
	{.name = "store/put/hand-off",
	 .run = request_case,
	 .arg = MF_STORE_HAND_OFF,
	 .quick = true},
	{.name = "store/put/poll", .run = request_case, .arg = MF_STORE_POLL},
	{.name = "store/flood/hand-off", .run = beside_flood, .arg = MF_STORE_HAND_OFF},
	{.name = "store/flood/poll", .run = beside_flood, .arg = MF_STORE_POLL},
	{.name = "store/flood-put/hand-off", .run = beside_flood, .arg = MF_STORE_HAND_OFF},
	{.name = "store/flood-put/poll", .run = beside_flood, .arg = MF_STORE_POLL},
	{0},
};
