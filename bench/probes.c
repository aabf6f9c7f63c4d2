/* SPDX-License-Identifier: MIT */
/*
 * What being measured costs: a user exit and a reset with the probes of `mayfly stat` attached; the
 * yardstick is the same VM without them, in turns. A bystander is a process that is not measured
 * while another one is. A request is one of `mayfly serve`, on a connection that is kept, with the
 * probes at the server.
 */
#include "bench/client.h"
#include "bench/world.h"

#include "bpf/probes.h"

#include <stdio.h>
#include <unistd.h>

#define TURNS 5

enum { OF_THIS_PROCESS, OF_ANOTHER };

/* One block of rounds into `samples`; the first tenth warms up. */
typedef int block_fn(struct mf_samples *samples, struct mf_world *world, struct mf_process *vm,
		     unsigned int rounds);

static int exits(struct mf_samples *samples, struct mf_world *world, struct mf_process *vm,
		 unsigned int rounds)
{
	struct mf_exit exit;
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		uint64_t start = bench_now_ns();
		uint64_t end;

		mf_vm_answer(&vm->vm, 0);
		mf_process_run(vm, &exit);
		end = bench_now_ns();
		if (exit.kind != MF_EXIT_LOG)
			return 1;
		if (i >= rounds / 10)
			mf_samples_add(samples, (double)(end - start));
	}
	return 0;
}

static int resets(struct mf_samples *samples, struct mf_world *world, struct mf_process *vm,
		  unsigned int rounds)
{
	struct mf_world_request request;
	unsigned int i;

	mf_world_request_make(&request, "/hello", 0);
	for (i = 0; i < rounds; i++) {
		uint64_t start;

		if (mf_world_serve(world, vm, &request))
			return 1;
		start = bench_now_ns();
		if (mf_process_reset(vm))
			return 1;
		if (i >= rounds / 10)
			mf_samples_add(samples, (double)(bench_now_ns() - start));
	}
	return 0;
}

static struct mf_probes *open_probes(pid_t pid, const char *file, struct mf_error *err)
{
	struct mf_probes_options options = {.pid = pid, .files = {file}, .file_count = 1};
	struct mf_probes *probes = NULL;

	mf_probes_open(&probes, &options, err);
	return probes;
}

/* Without the probes, then with them, in turns. */
static int take_turns(const struct bench_case *self, struct bench_report *report, block_fn *block,
		      struct mf_world *world, struct mf_process *vm)
{
	unsigned int rounds = bench.quick ? 200 : 4000;
	pid_t pid = self->arg == OF_ANOTHER ? getppid() : getpid();
	struct mf_error err = {0};
	unsigned int i;
	int ret = 0;

	for (i = 0; i < TURNS && !ret; i++) {
		struct mf_probes *probes;

		ret = block(&report->yard, world, vm, rounds);
		probes = open_probes(pid, "/proc/self/exe", &err);
		if (!probes)
			return bench_skip(self, "%s", err.text);
		if (!ret)
			ret = block(&report->samples, world, vm, rounds);
		mf_probes_close(probes);
	}
	return ret ? bench_fail(self, "a request failed") : 0;
}

static int with_probes(const struct bench_case *self, block_fn *block, const char *target)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = "without probes"};
	struct mf_world_request request;
	struct mf_world *world;
	struct mf_process vm;
	struct mf_exit exit;
	int ret = bench_world_open(&world, self, 0);

	if (ret)
		return ret;
	ret = bench_fork(world, &vm);
	if (!ret && target) {
		mf_world_request_make(&request, target, 1000000);
		mf_function_deliver(&vm, &world->ready, request.bytes, request.size);
		mf_process_run(&vm, &exit);
	}
	if (!ret) {
		ret = take_turns(self, &report, block, world, &vm);
		mf_process_finish(&vm);
	}
	bench_world_close(world);
	if (!ret) {
		bench_count(&report, "added_p50",
			    mf_samples_percentile(&report.samples, 0.5) -
				    mf_samples_percentile(&report.yard, 0.5));
		bench_print(&report);
	}
	return ret;
}

static int probes_exit(const struct bench_case *self)
{
	return with_probes(self, exits, "/log");
}

static int probes_reset(const struct bench_case *self)
{
	return with_probes(self, resets, NULL);
}

/* Bursts without the probes, then with them, in turns. */
static int request_turns(const struct bench_case *self, struct bench_report *report,
			 struct bench_server *server)
{
	unsigned int requests = bench.quick ? 100 : 1000;
	struct mf_samples without = {0};
	struct mf_error err = {0};
	char exe[32];
	bool good = true;
	unsigned int i;

	snprintf(exe, sizeof(exe), "/proc/%d/exe", (int)server->pid);
	for (i = 0; i < TURNS && good; i++) {
		struct mf_samples with = server->samples;
		struct mf_probes *probes;

		server->samples = without;
		good = bench_burst(server, requests / 10, false) &&
		       bench_burst(server, requests, true);
		without = server->samples;
		server->samples = with;
		probes = open_probes(server->pid, exe, &err);
		if (!probes)
			return bench_skip(self, "%s", err.text);
		good = good && bench_burst(server, requests / 10, false) &&
		       bench_burst(server, requests, true);
		mf_probes_close(probes);
	}
	report->yard = without;
	report->samples = mf_samples_copy(&server->samples);
	return good ? 0 : bench_fail(self, "an answer was not 200");
}

static int probes_request(const struct bench_case *self)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = "without probes"};
	struct bench_server server = {0};
	char address[128];
	char mayfly[4096];
	char guest[4096];
	char *argv[] = {mayfly, "serve",    "--listen", address, "--workers", "1",  "--vms",
			"16",   "--memory", "64M",      "--",    guest,       "16", NULL};
	int ret;

	bench_pin(bench.first_cpu);
	snprintf(address, sizeof(address), "unix:/tmp/bench-%d-probes.sock", (int)getpid());
	snprintf(mayfly, sizeof(mayfly), "%s", bench_path("../cli/mayfly"));
	snprintf(guest, sizeof(guest), "%s", bench_path("../guest/measure/measure-guest"));
	if (!bench_server_start(&server, address, argv, bench.last_cpu, 1))
		return bench_fail(self, "mayfly serve did not come up on %s", address);
	ret = request_turns(self, &report, &server);
	if (!ret) {
		bench_count(&report, "added_p50",
			    mf_samples_percentile(&report.samples, 0.5) -
				    mf_samples_percentile(&report.yard, 0.5));
		bench_print(&report);
	}
	bench_server_stop(&server);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "probes/request", .run = probes_request},
	{.name = "probes/exit", .run = probes_exit, .quick = true},
	{.name = "probes/exit/bystander", .run = probes_exit, .arg = OF_ANOTHER},
	{.name = "probes/reset", .run = probes_reset},
	{.name = "probes/reset/bystander", .run = probes_reset, .arg = OF_ANOTHER},
	{0},
};
