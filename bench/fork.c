/* SPDX-License-Identifier: MIT */
/*
 * Forks: a new VM up to the answer of its first request, and the first request of one that was
 * prepared before. The yardstick is what a process with as much resident memory pays for fork(),
 * _exit() in the child and wait(). Preparing and finishing are reported as counts, in ns.
 */
#include "bench/world.h"
#include "measure/forker.h"

#include <string.h>

struct parts {
	struct mf_samples fork_ns;
	struct mf_samples prepare_ns;
	struct mf_samples request_ns;
	struct mf_samples finish_ns;
	double user_exits;
	double page_faults;
	double rounds;
};

static void add_part(struct mf_samples *samples, bool measured, uint64_t from, uint64_t to)
{
	if (measured)
		mf_samples_add(samples, (double)(to - from));
}

/* One fork's life. Returns what counts for the case, in ns; negative when something failed. */
static double one_life(struct mf_world *world, const struct mf_world_request *request, bool pooled,
		       bool measured, struct parts *parts)
{
	struct mf_tally before = {0};
	struct mf_tally after;
	struct mf_process vm;
	uint64_t at[5];
	int ret;

	at[0] = bench_now_ns();
	if (bench_fork(world, &vm))
		return -1;
	at[1] = bench_now_ns();
	ret = pooled ? mf_vm_prepare(&vm.vm) : 0;
	if (pooled)
		mf_tally_read(&vm, &before);
	at[2] = bench_now_ns();
	if (!ret)
		ret = mf_world_serve(world, &vm, request);
	at[3] = bench_now_ns();
	mf_tally_read(&vm, &after);
	parts->user_exits += (double)(after.user_exits - before.user_exits);
	parts->page_faults += (double)(after.page_faults - before.page_faults);
	parts->rounds++;
	mf_process_finish(&vm);
	at[4] = bench_now_ns();
	add_part(&parts->fork_ns, measured, at[0], at[1]);
	add_part(&parts->prepare_ns, measured, at[1], at[2]);
	add_part(&parts->request_ns, measured, at[2], at[3]);
	add_part(&parts->finish_ns, measured, at[3], at[4]);
	if (ret)
		return -1;
	return (double)(pooled ? at[3] - at[2] : at[3] - at[0]);
}

static void count_parts(struct bench_report *report, struct parts *parts, struct mf_world *world,
			bool pooled)
{
	bench_count(report, "user_exits", parts->user_exits / parts->rounds);
	bench_count(report, "page_faults", parts->page_faults / parts->rounds);
	bench_count(report, "fork_p50", mf_samples_percentile(&parts->fork_ns, 0.5));
	if (pooled)
		bench_count(report, "prepare_p50", mf_samples_percentile(&parts->prepare_ns, 0.5));
	bench_count(report, "request_p50", mf_samples_percentile(&parts->request_ns, 0.5));
	bench_count(report, "finish_p50", mf_samples_percentile(&parts->finish_ns, 0.5));
	bench_count(report, "learned_pages", (double)world->image.learned_pages);
	mf_samples_free(&parts->fork_ns);
	mf_samples_free(&parts->prepare_ns);
	mf_samples_free(&parts->request_ns);
	mf_samples_free(&parts->finish_ns);
}

/* Teach the image what requests write, as a pool's first VMs do. */
static int teach(struct mf_world *world, const struct mf_world_request *request)
{
	struct mf_process vm[2];
	int ret = bench_fork_warm(world, &vm[0], request);

	if (ret)
		return ret;
	ret = bench_fork_warm(world, &vm[1], request);
	if (!ret)
		mf_process_finish(&vm[1]);
	mf_process_finish(&vm[0]);
	return ret;
}

static int measure(const struct bench_case *self, struct mf_world *world,
		   const struct mf_forker *forker)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = "fork+exit+wait"};
	struct mf_loop loop = {.rounds = 1000, .seconds = 5};
	struct mf_world_request request;
	struct parts parts = {0};
	bool pooled = self->arg;

	mf_world_request_make(&request, "/dirty", 8);
	if (teach(world, &request))
		return bench_fail(self, "a request of the warm-up failed");
	while (bench_next(&loop)) {
		bool measured = bench_measured(&loop);
		double took = one_life(world, &request, pooled, measured, &parts);

		if (took < 0)
			return bench_fail(self, "a fork or its first request failed");
		if (!measured)
			continue;
		mf_samples_add(&report.samples, took);
		mf_samples_add(&report.yard, mf_forker_time(forker));
	}
	count_parts(&report, &parts, world, pooled);
	bench_print(&report);
	return 0;
}

static int fork_case(const struct bench_case *self)
{
	struct mf_world *world;
	struct mf_forker forker;
	int ret;

	/* Before there is any VM: the forking process shall have nothing of one. */
	if (!mf_forker_open(&forker, self->mib))
		return bench_fail(self, "cannot start the process to compare with");
	ret = bench_world_open(&world, self, self->mib);
	if (!ret)
		ret = measure(self, world, &forker);
	bench_world_close(world);
	mf_forker_close(&forker);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "fork/cold/16M", .run = fork_case, .mib = 16, .arg = 0, .quick = true},
	{.name = "fork/pooled/16M", .run = fork_case, .mib = 16, .arg = 1, .quick = true},
	{.name = "fork/cold/256M", .run = fork_case, .mib = 256, .arg = 0},
	{.name = "fork/pooled/256M", .run = fork_case, .mib = 256, .arg = 1},
	{.name = "fork/cold/1G", .run = fork_case, .mib = 1024, .arg = 0},
	{.name = "fork/pooled/1G", .run = fork_case, .mib = 1024, .arg = 1},
	{0},
};
