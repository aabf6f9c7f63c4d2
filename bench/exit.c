/* SPDX-License-Identifier: MIT */
/*
 * Exits: the round trip by ring-3 `out`, an empty request, and calls that the guest answers itself.
 * The yardsticks stand beside each round: what the same process pays its own kernel.
 */
#include "bench/world.h"

#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Another process on the same CPU that sends back each byte. */
struct echo {
	pid_t pid;
	int to;
	int from;
};

static void echo_child(int in, int out)
{
	char byte;

	while (read(in, &byte, 1) == 1 && write(out, &byte, 1) == 1)
		;
	_exit(0);
}

static bool echo_open(struct echo *echo)
{
	int there[2];
	int back[2];

	if (pipe(there) || pipe(back))
		return false;
	echo->pid = fork();
	if (!echo->pid) {
		close(there[1]);
		close(back[0]);
		echo_child(there[0], back[1]);
	}
	close(there[0]);
	close(back[1]);
	echo->to = there[1];
	echo->from = back[0];
	return echo->pid > 0;
}

static void echo_close(struct echo *echo)
{
	close(echo->to);
	close(echo->from);
	waitpid(echo->pid, NULL, 0);
}

static double time_echo(struct echo *echo)
{
	uint64_t start = bench_now_ns();
	char byte = 0;

	if (write(echo->to, &byte, 1) != 1 || read(echo->from, &byte, 1) != 1)
		return 0;
	return (double)(bench_now_ns() - start);
}

static double time_getppid(void)
{
	uint64_t start = bench_now_ns();
	int i;

	for (i = 0; i < 100; i++)
		syscall(SYS_getppid);
	return (double)(bench_now_ns() - start) / 100;
}

static int log_rounds(struct bench_report *report, struct mf_process *vm, struct mf_loop *loop)
{
	struct mf_exit exit;

	mf_process_run(vm, &exit);
	while (bench_next(loop)) {
		uint64_t start = bench_now_ns();
		uint64_t end;

		mf_vm_answer(&vm->vm, 0);
		mf_process_run(vm, &exit);
		end = bench_now_ns();
		if (exit.kind != MF_EXIT_LOG)
			return 1;
		if (!bench_measured(loop))
			continue;
		mf_samples_add(&report->samples, (double)(end - start));
		mf_samples_add(&report->yard, time_getppid());
	}
	return 0;
}

static int exit_log(const struct bench_case *self)
{
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "getppid"};
	struct mf_loop loop = {.rounds = 20000, .seconds = 5};
	struct mf_tally before;
	struct mf_tally after;
	struct mf_world_request request;
	struct mf_world *world;
	struct mf_process vm;
	int ret = bench_world_open(&world, self, 0);

	if (ret)
		return ret;
	mf_world_request_make(&request, "/log", 1000000);
	ret = bench_fork(world, &vm);
	if (!ret) {
		mf_function_deliver(&vm, &world->ready, request.bytes, request.size);
		mf_tally_read(&vm, &before);
		before.user_exits++; /* the way to the first of them */
		ret = log_rounds(&report, &vm, &loop);
		mf_tally_read(&vm, &after);
		bench_tally_counts(&report, &before, &after, (double)loop.done);
		mf_process_finish(&vm);
	}
	if (!ret)
		bench_print(&report);
	bench_world_close(world);
	return ret ? bench_fail(self, "the guest did not leave as asked") : 0;
}

static int empty_rounds(struct bench_report *report, struct mf_world *world, struct mf_process *vm)
{
	struct mf_loop loop = {.rounds = 10000, .seconds = 5};
	struct mf_world_request request;
	struct mf_tally before;
	struct mf_tally after;
	struct echo echo;

	if (!echo_open(&echo))
		return 1;
	mf_world_request_make(&request, "/hello", 0);
	mf_tally_read(vm, &before);
	while (bench_next(&loop)) {
		uint64_t start = bench_now_ns();
		uint64_t end;

		if (mf_world_serve(world, vm, &request))
			return 1;
		end = bench_now_ns();
		if (!bench_measured(&loop))
			continue;
		mf_samples_add(&report->samples, (double)(end - start));
		mf_samples_add(&report->yard, time_echo(&echo));
	}
	mf_tally_read(vm, &after);
	bench_tally_counts(report, &before, &after, (double)loop.done);
	echo_close(&echo);
	return 0;
}

/* A request that does nothing, without a reset: in, answer, out. */
static int exit_request(const struct bench_case *self)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = "pipe round trip"};
	struct mf_world *world;
	struct mf_process vm;
	int ret = bench_world_open(&world, self, 0);

	if (ret)
		return ret;
	ret = bench_fork(world, &vm);
	if (!ret) {
		ret = empty_rounds(&report, world, &vm);
		mf_process_finish(&vm);
	}
	bench_world_close(world);
	if (ret)
		return bench_fail(self, "a request failed");
	bench_print(&report);
	return 0;
}

static double native_calls(bool clock, unsigned int times)
{
	uint64_t start = bench_now_ns();
	struct timespec now;
	unsigned int i;

	for (i = 0; i < times; i++) {
		if (clock)
			clock_gettime(CLOCK_MONOTONIC, &now);
		else
			syscall(SYS_getpid);
	}
	return (double)(bench_now_ns() - start) / times;
}

/* Many calls in one request with one exit, so that a call's share of the exit is nothing. */
static int call_rounds(struct bench_report *report, struct mf_world *world, struct mf_process *vm,
		       const struct bench_case *self, bool clock)
{
	struct mf_loop loop = {.rounds = 200, .seconds = 5};
	struct mf_world_request request;
	struct mf_tally before;
	struct mf_tally after;

	mf_world_request_make(&request, clock ? "/clock" : "/getpid", self->arg);
	mf_tally_read(vm, &before);
	while (bench_next(&loop)) {
		uint64_t start = bench_now_ns();
		uint64_t end;

		if (mf_world_serve(world, vm, &request))
			return 1;
		end = bench_now_ns();
		if (!bench_measured(&loop))
			continue;
		mf_samples_add(&report->samples, (double)(end - start) / self->arg);
		mf_samples_add(&report->yard, native_calls(clock, self->arg));
	}
	mf_tally_read(vm, &after);
	bench_tally_counts(report, &before, &after, (double)loop.done);
	bench_count(report, "calls", self->arg);
	return 0;
}

static int answered_inside(const struct bench_case *self, bool clock)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = clock ? "clock_gettime" : "getpid"};
	struct mf_world *world;
	struct mf_process vm;
	int ret = bench_world_open(&world, self, 0);

	if (ret)
		return ret;
	ret = bench_fork(world, &vm);
	if (!ret) {
		ret = call_rounds(&report, world, &vm, self, clock);
		mf_process_finish(&vm);
	}
	bench_world_close(world);
	if (ret)
		return bench_fail(self, "a request failed");
	bench_print(&report);
	return 0;
}

static int call_getpid(const struct bench_case *self)
{
	return answered_inside(self, false);
}

static int call_clock(const struct bench_case *self)
{
	return answered_inside(self, true);
}

const struct bench_case bench_cases[] = {
	{.name = "exit/log", .run = exit_log, .quick = true},
	{.name = "exit/request", .run = exit_request, .quick = true},
	{.name = "call/getpid", .run = call_getpid, .arg = 1000, .quick = true},
	{.name = "call/clock", .run = call_clock, .arg = 100000, .quick = true},
	{0},
};
