/* SPDX-License-Identifier: MIT */
/* The cases of one VM: exit, call, fault, fork, reset. */
#include "measure/forker.h"
#include "measure/host.h"
#include "measure/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IMAGE_MIB   16u
#define FAULT_PAGES 64u
#define YARD_CALLS  200u

static void count_tally(struct mf_host_result *result, const struct mf_tally *before,
			const struct mf_tally *after, double by)
{
	mf_host_count(result, "user_exits", (double)(after->user_exits - before->user_exits) / by);
	mf_host_count(result, "page_faults",
		      (double)(after->page_faults - before->page_faults) / by);
}

/* A world and a fork of it; what failed is said. */
static int open_one(struct mf_world **world, struct mf_process *vm,
		    const struct mf_world_options *options, struct mf_error *err)
{
	int ret = mf_world_open(world, options, err);

	if (!ret)
		ret = mf_world_fork(*world, vm, err);
	if (ret) {
		mf_world_close(*world);
		*world = NULL;
	}
	return ret;
}

static void close_one(struct mf_world *world, struct mf_process *vm)
{
	mf_process_finish(vm);
	mf_world_close(world);
}

/* ---- exit ---- */

static double time_calls(long number, unsigned int times)
{
	uint64_t start = mf_now_ns();
	unsigned int i;

	for (i = 0; i < times; i++)
		syscall(number);
	return (double)(mf_now_ns() - start) / times;
}

static int exits(const struct mf_host *host, struct mf_process *vm, struct mf_host_result *result)
{
	struct mf_loop loop = mf_host_loop(host, 20000, 4);
	struct mf_tally before;
	struct mf_tally after;
	struct mf_exit exit;

	mf_process_run(vm, &exit); /* the way to the first of them */
	mf_tally_read(vm, &before);
	while (mf_loop_next(&loop)) {
		uint64_t start = mf_now_ns();
		uint64_t end;

		mf_vm_answer(&vm->vm, 0);
		mf_process_run(vm, &exit);
		end = mf_now_ns();
		if (exit.kind != MF_EXIT_LOG)
			return -EPROTO;
		if (!mf_loop_measured(&loop))
			continue;
		mf_samples_add(&result->samples, (double)(end - start));
		mf_samples_add(&result->yard, time_calls(SYS_getppid, 100));
	}
	mf_tally_read(vm, &after);
	result->warmup = loop.warmup;
	count_tally(result, &before, &after, loop.done ? (double)loop.done : 1);
	return 0;
}

int mf_host_exit(const struct mf_host *host, const struct mf_host_case *self,
		 struct mf_host_result *result, struct mf_error *err)
{
	const struct mf_world_options options = {0};
	struct mf_world_request request;
	struct mf_world *world;
	struct mf_process vm;
	int ret = open_one(&world, &vm, &options, err);

	if (ret)
		return ret;
	mf_world_request_make(&request, "/log", 10000000);
	ret = mf_function_deliver(&vm, &world->ready, request.bytes, request.size);
	if (!ret)
		ret = exits(host, &vm, result);
	close_one(world, &vm);
	return mf_host_failed(err, ret, "the guest did not leave as it was asked to");
}

/* ---- a system call inside ---- */

/* Many of them for one exit, whose share of a call is then nothing. */
static int calls(const struct mf_host *host, struct mf_world *world, struct mf_process *vm,
		 unsigned int times, struct mf_host_result *result)
{
	struct mf_loop loop = mf_host_loop(host, 1000, 4);
	struct mf_world_request request;
	struct mf_tally before;
	struct mf_tally after;
	int ret = 0;

	mf_world_request_make(&request, "/getpid", times);
	mf_tally_read(vm, &before);
	while (!ret && mf_loop_next(&loop)) {
		uint64_t start = mf_now_ns();
		uint64_t end;

		ret = mf_world_serve(world, vm, &request);
		end = mf_now_ns();
		if (ret || !mf_loop_measured(&loop))
			continue;
		mf_samples_add(&result->samples, (double)(end - start) / times);
		mf_samples_add(&result->yard, time_calls(SYS_getpid, YARD_CALLS));
	}
	mf_tally_read(vm, &after);
	result->warmup = loop.warmup;
	count_tally(result, &before, &after, loop.done ? (double)loop.done : 1);
	mf_host_count(result, "calls", times);
	return ret;
}

int mf_host_call(const struct mf_host *host, const struct mf_host_case *self,
		 struct mf_host_result *result, struct mf_error *err)
{
	const struct mf_world_options options = {.no_patch = !self->arg};
	struct mf_world *world;
	struct mf_process vm;
	int ret = open_one(&world, &vm, &options, err);

	if (ret)
		return ret;
	ret = calls(host, world, &vm, self->arg ? 200000 : 2000, result);
	close_one(world, &vm);
	return mf_host_failed(err, ret, "a request failed");
}

/* ---- a page fault ---- */

/* What a write to each page of a private file mapping costs this process. */
static double native_fault(int file)
{
	size_t bytes = FAULT_PAGES * MF_PAGE;
	volatile uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	uint64_t start = mf_now_ns();
	uint64_t end;
	size_t i;

	if (at == MAP_FAILED)
		return 0;
	for (i = 0; i < bytes; i += MF_PAGE)
		at[i] = 1;
	end = mf_now_ns();
	munmap((void *)at, bytes);
	return (double)(end - start) / FAULT_PAGES;
}

static int serve_timed(struct mf_world *world, struct mf_process *vm,
		       const struct mf_world_request *request, double *ns)
{
	uint64_t start = mf_now_ns();
	int ret = mf_world_serve(world, vm, request);

	*ns = (double)(mf_now_ns() - start);
	return ret;
}

/* A new fork writes to pages that are the image's, then again to what is its own. */
static int one_fault(struct mf_world *world, double *ns, double *faults, struct mf_error *err)
{
	struct mf_world_request hello;
	struct mf_world_request dirty;
	struct mf_tally before = {0};
	struct mf_tally after = {0};
	struct mf_process vm;
	double first = 0;
	double again = 0;
	int ret = mf_world_fork(world, &vm, err);

	if (ret)
		return ret;
	mf_world_request_make(&hello, "/dirty", 0);
	mf_world_request_make(&dirty, "/dirty", FAULT_PAGES);
	ret = mf_world_serve(world, &vm, &hello);
	mf_tally_read(&vm, &before);
	if (!ret)
		ret = serve_timed(world, &vm, &dirty, &first);
	mf_tally_read(&vm, &after);
	if (!ret)
		ret = serve_timed(world, &vm, &dirty, &again);
	mf_process_finish(&vm);
	*ns = first > again ? (first - again) / FAULT_PAGES : 0;
	*faults = (double)(after.page_faults - before.page_faults) / FAULT_PAGES;
	return ret;
}

int mf_host_fault(const struct mf_host *host, const struct mf_host_case *self,
		  struct mf_host_result *result, struct mf_error *err)
{
	const struct mf_world_options options = {.mib = IMAGE_MIB};
	struct mf_loop loop = mf_host_loop(host, 500, 4);
	int file = memfd_create("pages", MFD_CLOEXEC);
	struct mf_world *world;
	double faults = 0;
	int ret = mf_world_open(&world, &options, err);

	if (!ret && (file < 0 || ftruncate(file, FAULT_PAGES * MF_PAGE)))
		ret = -errno;
	while (!ret && mf_loop_next(&loop)) {
		double native = native_fault(file);
		double ns;

		ret = one_fault(world, &ns, &faults, err);
		if (ret || !mf_loop_measured(&loop))
			continue;
		mf_samples_add(&result->samples, ns);
		mf_samples_add(&result->yard, native);
	}
	result->warmup = loop.warmup;
	mf_host_count(result, "page_faults", faults);
	mf_host_count(result, "pages", FAULT_PAGES);
	mf_world_close(world);
	if (file >= 0)
		close(file);
	return mf_host_failed(err, ret, "a request failed");
}

/* ---- a fork ---- */

static int one_fork(struct mf_world *world, double *ns, struct mf_error *err)
{
	struct mf_world_request request;
	uint64_t start = mf_now_ns();
	struct mf_process vm;
	int ret = mf_world_fork(world, &vm, err);

	if (ret)
		return ret;
	mf_world_request_make(&request, "/hello", 0);
	ret = mf_world_serve(world, &vm, &request);
	*ns = (double)(mf_now_ns() - start);
	mf_process_finish(&vm);
	return ret;
}

static int forks(const struct mf_host *host, struct mf_world *world, const struct mf_forker *forker,
		 struct mf_host_result *result, struct mf_error *err)
{
	struct mf_loop loop = mf_host_loop(host, 2000, 4);
	int ret = 0;

	while (!ret && mf_loop_next(&loop)) {
		double native = mf_forker_time(forker);
		double ns;

		ret = one_fork(world, &ns, err);
		if (ret || !mf_loop_measured(&loop))
			continue;
		mf_samples_add(&result->samples, ns);
		mf_samples_add(&result->yard, native);
	}
	result->warmup = loop.warmup;
	return ret;
}

int mf_host_fork(const struct mf_host *host, const struct mf_host_case *self,
		 struct mf_host_result *result, struct mf_error *err)
{
	const struct mf_world_options options = {.mib = IMAGE_MIB};
	struct mf_forker forker;
	struct mf_world *world;
	int ret;

	if (!mf_forker_open(&forker, IMAGE_MIB))
		return mf_error_set(err, -errno, "no process that forks: %s", strerror(errno));
	ret = mf_world_open(&world, &options, err);
	if (!ret)
		ret = forks(host, world, &forker, result, err);
	mf_world_close(world);
	mf_forker_close(&forker);
	return mf_host_failed(err, ret, "a request failed");
}

/* ---- a reset ---- */

/* Two VMs serve the same: one is reset after each request, the other never. */
struct cycle {
	struct mf_world *world;
	struct mf_process vms[2];
	unsigned int forked;
	struct mf_world_request request;
	struct mf_samples reset_ns;
	struct mf_samples after_ns; /* the request after a reset */
	struct mf_samples kept_ns;  /* the request without one */
	uint8_t *copy;
};

static int open_cycle(struct cycle *cycle, unsigned int pages, struct mf_error *err)
{
	const struct mf_world_options options = {.mib = IMAGE_MIB};
	int ret = mf_world_open(&cycle->world, &options, err);

	mf_world_request_make(&cycle->request, "/dirty", pages);
	while (!ret && cycle->forked < 2) {
		ret = mf_world_fork_warm(cycle->world, &cycle->vms[cycle->forked], &cycle->request,
					 err);
		cycle->forked += !ret;
	}
	cycle->copy = calloc(2 * pages, MF_PAGE);
	if (!cycle->copy)
		return -ENOMEM;
	memset(cycle->copy, 1, 2 * pages * MF_PAGE);
	return ret;
}

static void close_cycle(struct cycle *cycle)
{
	while (cycle->forked)
		mf_process_finish(&cycle->vms[--cycle->forked]);
	mf_world_close(cycle->world);
	mf_samples_free(&cycle->reset_ns);
	mf_samples_free(&cycle->after_ns);
	mf_samples_free(&cycle->kept_ns);
	free(cycle->copy);
}

static int one_cycle(struct cycle *cycle, bool measured)
{
	double kept = 0;
	double after = 0;
	uint64_t start;
	double reset;
	int ret = serve_timed(cycle->world, &cycle->vms[0], &cycle->request, &after);

	start = mf_now_ns();
	if (!ret)
		ret = mf_process_reset(&cycle->vms[0]);
	reset = (double)(mf_now_ns() - start);
	if (!ret)
		ret = serve_timed(cycle->world, &cycle->vms[1], &cycle->request, &kept);
	if (ret || !measured)
		return ret;
	mf_samples_add(&cycle->after_ns, after);
	mf_samples_add(&cycle->reset_ns, reset);
	mf_samples_add(&cycle->kept_ns, kept);
	return 0;
}

static int cycles(const struct mf_host *host, struct cycle *cycle, size_t bytes,
		  struct mf_host_result *result)
{
	struct mf_loop loop = mf_host_loop(host, 3000, 4);
	struct mf_tally before;
	struct mf_tally after;
	int ret = 0;

	mf_tally_read(&cycle->vms[0], &before);
	while (!ret && mf_loop_next(&loop)) {
		bool measured = mf_loop_measured(&loop);
		uint64_t start;

		ret = one_cycle(cycle, measured);
		start = mf_now_ns();
		memcpy(cycle->copy, cycle->copy + bytes, bytes);
		if (measured && !ret)
			mf_samples_add(&result->yard, (double)(mf_now_ns() - start));
	}
	mf_tally_read(&cycle->vms[0], &after);
	result->warmup = loop.warmup;
	count_tally(result, &before, &after, loop.done ? (double)loop.done : 1);
	return ret;
}

/* The reset, and how much longer the request after it takes than one without. */
static void add_cycles(struct cycle *cycle, struct mf_host_result *result)
{
	double usual = mf_samples_percentile(&cycle->kept_ns, 0.5);
	size_t i;

	for (i = 0; i < cycle->reset_ns.count; i++) {
		double whole = cycle->reset_ns.at[i] + cycle->after_ns.at[i] - usual;

		mf_samples_add(&result->samples, whole > 0 ? whole : 0);
	}
	mf_host_count(result, "pages_copied", (double)cycle->vms[0].vm.mem.ws.run_pages);
	mf_host_count(result, "reset_p50", mf_samples_percentile(&cycle->reset_ns, 0.5));
	mf_host_count(result, "request_p50", mf_samples_percentile(&cycle->after_ns, 0.5));
	mf_host_count(result, "request_unreset_p50", usual);
}

int mf_host_reset(const struct mf_host *host, const struct mf_host_case *self,
		  struct mf_host_result *result, struct mf_error *err)
{
	struct cycle cycle = {0};
	int ret = open_cycle(&cycle, self->arg, err);

	if (!ret)
		ret = cycles(host, &cycle, self->arg * MF_PAGE, result);
	if (!ret)
		add_cycles(&cycle, result);
	close_cycle(&cycle);
	return mf_host_failed(err, ret, "a request or a reset failed");
}
