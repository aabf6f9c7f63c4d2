/* SPDX-License-Identifier: MIT */
/*
 * The reset cycle: the reset and what the next request pays in faults because of it. A round is a
 * request that writes to N pages and the reset after it; beside it a VM that is never reset serves
 * the same request. Cycle = reset + (request after a reset - request without one). The yardstick is
 * a memcpy of as many pages, in the same places of buffers as large, in the same round.
 */
#include "bench/count.h"
#include "bench/world.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define FIXED_NS    15000.0 /* what a reset may cost beside its copying */
#define MAX_SECONDS 6

/* Pages that are copied to measure memcpy. */
struct copy {
	uint8_t *from;
	uint8_t *to;
	size_t bytes;
	size_t pages;
	size_t stride;
};

static uint8_t *buffer(size_t bytes)
{
	uint8_t *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, bytes, MADV_NOHUGEPAGE);
	return at;
}

static void copy_once(const struct copy *copy)
{
	size_t i;

	if (copy->stride == 1) {
		memcpy(copy->to, copy->from, copy->pages * MF_PAGE);
		return;
	}
	for (i = 0; i < copy->pages; i++)
		memcpy(copy->to + i * copy->stride * MF_PAGE,
		       copy->from + i * copy->stride * MF_PAGE, MF_PAGE);
}

static int copy_open(struct copy *copy, unsigned int mib, size_t pages, bool spread)
{
	size_t i;

	copy->pages = pages;
	copy->stride = spread && pages ? (size_t)mib * 256 / pages : 1;
	copy->bytes = (pages * copy->stride + 1) * MF_PAGE;
	copy->from = buffer(copy->bytes);
	copy->to = buffer(copy->bytes);
	if (!copy->from || !copy->to)
		return 1;
	/* The pages between are resident too, as they are in an image: caches see the same
	 * addresses. */
	for (i = 0; i < copy->bytes; i += MF_PAGE)
		copy->from[i] = copy->to[i] = 1;
	return 0;
}

static void copy_close(struct copy *copy)
{
	if (copy->from)
		munmap(copy->from, copy->bytes);
	if (copy->to)
		munmap(copy->to, copy->bytes);
}

/* The two VMs over one image, and the samples of their rounds. */
struct pair {
	struct mf_world *world;
	struct mf_world_request request;
	struct mf_process reset; /* put back after every request */
	struct mf_process kept;  /* never */
	bool forked[2];
	struct mf_samples reset_ns;
	struct mf_samples after_ns; /* the request after a reset */
	struct mf_samples kept_ns;  /* the request without one */
};

static int pair_open(struct pair *pair, const struct bench_case *self, unsigned int mib,
		     size_t pages, bool spread)
{
	int ret;

	memset(pair, 0, sizeof(*pair));
	ret = bench_world_open(&pair->world, self, mib);
	if (ret)
		return ret;
	mf_world_request_make(&pair->request, spread ? "/spread" : "/dirty", pages);
	/* Two VMs that wrote to a page: the image has learned it, as it would in any pool. */
	pair->forked[0] = !bench_fork_warm(pair->world, &pair->kept, &pair->request);
	if (pair->forked[0])
		pair->forked[1] = !bench_fork_warm(pair->world, &pair->reset, &pair->request);
	return pair->forked[1] ? 0 : bench_fail(self, "a request of the warm-up failed");
}

static void pair_close(struct pair *pair)
{
	if (pair->forked[0])
		mf_process_finish(&pair->kept);
	if (pair->forked[1])
		mf_process_finish(&pair->reset);
	bench_world_close(pair->world);
	mf_samples_free(&pair->reset_ns);
	mf_samples_free(&pair->after_ns);
	mf_samples_free(&pair->kept_ns);
}

static int pair_round(struct pair *pair, bool measured)
{
	uint64_t at[5];

	at[0] = bench_now_ns();
	if (mf_world_serve(pair->world, &pair->reset, &pair->request))
		return 1;
	at[1] = bench_now_ns();
	if (mf_process_reset(&pair->reset))
		return 1;
	at[2] = bench_now_ns();
	if (mf_world_serve(pair->world, &pair->kept, &pair->request))
		return 1;
	at[3] = bench_now_ns();
	if (measured) {
		mf_samples_add(&pair->after_ns, (double)(at[1] - at[0]));
		mf_samples_add(&pair->reset_ns, (double)(at[2] - at[1]));
		mf_samples_add(&pair->kept_ns, (double)(at[3] - at[2]));
	}
	return 0;
}

/* Samples of whole cycles; before any percentile sorts the parts. */
static void pair_cycles(struct pair *pair, struct mf_samples *cycles)
{
	struct mf_samples kept = {0};
	double usual;
	size_t i;

	for (i = 0; i < pair->kept_ns.count; i++)
		mf_samples_add(&kept, pair->kept_ns.at[i]);
	usual = mf_samples_percentile(&kept, 0.5);
	mf_samples_free(&kept);
	for (i = 0; i < pair->reset_ns.count; i++) {
		double cycle = pair->reset_ns.at[i] + pair->after_ns.at[i] - usual;

		mf_samples_add(cycles, cycle > 0 ? cycle : 0);
	}
}

static void count_parts(struct bench_report *report, struct pair *pair)
{
	double pages = (double)pair->reset.vm.mem.ws.run_pages;

	bench_count(report, "pages_copied", pages);
	bench_count(report, "bytes_copied", pages * MF_PAGE);
	bench_count(report, "runs", (double)pair->reset.vm.mem.ws.run_count);
	bench_count(report, "reset_p50", mf_samples_percentile(&pair->reset_ns, 0.5));
	bench_count(report, "reset_p99", mf_samples_percentile(&pair->reset_ns, 0.99));
	bench_count(report, "request_p50", mf_samples_percentile(&pair->after_ns, 0.5));
	bench_count(report, "request_unreset_p50", mf_samples_percentile(&pair->kept_ns, 0.5));
}

/* A pass that is not timed: what one request and its reset cost in counts. */
static int count_pass(struct bench_report *report, struct pair *pair)
{
	struct mf_tally before;
	struct mf_tally after;
	struct bench_counter calls;
	bool counted = bench_counter_open(&calls, BENCH_EVENT_SYSCALLS, 0);
	uint64_t first = counted ? bench_counter_read(&calls) : 0;
	int ret = 0;
	int i;

	for (i = 0; i < 8 && !ret; i++) {
		ret = mf_world_serve(pair->world, &pair->reset, &pair->request);
		if (!ret)
			ret = mf_process_reset(&pair->reset);
	}
	if (counted) {
		/* One of them is the read of the counter. */
		bench_count(report, "syscalls",
			    (double)(bench_counter_read(&calls) - first - 1) / 8);
		bench_counter_close(&calls);
	}
	mf_tally_read(&pair->reset, &before);
	for (i = 0; i < 8 && !ret; i++) {
		ret = mf_world_serve(pair->world, &pair->reset, &pair->request);
		if (!ret)
			ret = mf_process_reset(&pair->reset);
	}
	mf_tally_read(&pair->reset, &after);
	bench_tally_counts(report, &before, &after, 8);
	return ret;
}

static void print_ratio(const char *name, const char *what, double ratio)
{
	char text[96];

	snprintf(text, sizeof(text), "%s/%s", name, what);
	bench_print_value(text, "ratio", ratio);
}

static int measure(struct pair *pair, const struct copy *copy, struct bench_report *report)
{
	struct mf_loop loop = {.rounds = 2000, .seconds = MAX_SECONDS};

	while (bench_next(&loop)) {
		bool measured = bench_measured(&loop);
		uint64_t start;

		if (pair_round(pair, measured))
			return 1;
		start = bench_now_ns();
		copy_once(copy);
		if (measured)
			mf_samples_add(&report->yard, (double)(bench_now_ns() - start));
	}
	pair_cycles(pair, &report->samples);
	return count_pass(report, pair);
}

static int reset_case(const struct bench_case *self, bool spread)
{
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "memcpy"};
	struct copy copy = {0};
	struct pair pair;
	double ratio;
	int ret = pair_open(&pair, self, self->mib, self->arg, spread);

	if (!ret &&
	    (copy_open(&copy, self->mib, self->arg, spread) || measure(&pair, &copy, &report)))
		ret = bench_fail(self, "a request or a reset failed");
	if (!ret) {
		count_parts(&report, &pair);
		ratio = mf_samples_percentile(&report.samples, 0.5) /
			(mf_samples_percentile(&report.yard, 0.5) + FIXED_NS);
		bench_print(&report);
		print_ratio(self->name, "over-memcpy+15us", ratio);
	}
	copy_close(&copy);
	pair_close(&pair);
	return ret;
}

static int reset_dense(const struct bench_case *self)
{
	return reset_case(self, false);
}

static int reset_spread(const struct bench_case *self)
{
	return reset_case(self, true);
}

/* Does the size of the image matter? The same work over two images, round by round. */
static int reset_paired(const struct bench_case *self)
{
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "16M"};
	struct mf_loop loop = {.rounds = 2000, .seconds = MAX_SECONDS};
	struct pair small;
	struct pair large;
	double ratio;
	int ret = pair_open(&large, self, self->mib, self->arg, false);

	if (ret) {
		pair_close(&large);
		return ret;
	}
	ret = pair_open(&small, self, 16, self->arg, false);
	while (!ret && bench_next(&loop))
		if (pair_round(&small, bench_measured(&loop)) ||
		    pair_round(&large, bench_measured(&loop)))
			ret = bench_fail(self, "a request or a reset failed");
	if (!ret) {
		pair_cycles(&large, &report.samples);
		pair_cycles(&small, &report.yard);
		ratio = mf_samples_percentile(&report.samples, 0.5) /
			mf_samples_percentile(&report.yard, 0.5);
		bench_print(&report);
		print_ratio(self->name, "over-16M", ratio);
	}
	pair_close(&small);
	pair_close(&large);
	return ret;
}

#define SIZE(name_, mib_, quick_)                                                               \
	{.name = "reset/0/" name_, .run = reset_dense, .mib = mib_, .arg = 0, .quick = quick_}, \
		{.name = "reset/10/" name_,                                                     \
		 .run = reset_dense,                                                            \
		 .mib = mib_,                                                                   \
		 .arg = 10,                                                                     \
		 .quick = quick_},                                                              \
		{.name = "reset/100/" name_,                                                    \
		 .run = reset_dense,                                                            \
		 .mib = mib_,                                                                   \
		 .arg = 100,                                                                    \
		 .quick = quick_},                                                              \
	{                                                                                       \
		.name = "reset/1000/" name_, .run = reset_dense, .mib = mib_, .arg = 1000       \
	}

const struct bench_case bench_cases[] = {
	SIZE("16M", 16, true),
	{.name = "reset/spread/100/16M", .run = reset_spread, .mib = 16, .arg = 100},
	{.name = "reset/spread/1000/16M", .run = reset_spread, .mib = 16, .arg = 1000},
	SIZE("256M", 256, false),
	{.name = "reset/spread/1000/256M", .run = reset_spread, .mib = 256, .arg = 1000},
	SIZE("1G", 1024, false),
	{.name = "reset/65000/1G", .run = reset_dense, .mib = 1024, .arg = 65000},
	SIZE("4G", 4096, false),
	{.name = "reset/65000/4G", .run = reset_dense, .mib = 4096, .arg = 65000},
	{.name = "reset/paired/100/4G", .run = reset_paired, .mib = 4096, .arg = 100},
	{0},
};
