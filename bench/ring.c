/* SPDX-License-Identifier: MIT */
/*
 * Rings without a VM: a request and its reply between two threads on two CPUs, once by rings and
 * once by futexes, in turns; and what wiping a channel between two requests takes.
 */
#include "bench/harness.h"
#include "bench/trips.h"

#include <string.h>

#include "ipc/ring/area.h"

static int round_trip(const struct bench_case *self, bool futex)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = futex ? "ring" : "futex"};
	int ret;

	if (bench.first_cpu == bench.last_cpu)
		return bench_skip(self, "two threads need two CPUs");
	ret = futex ? bench_trips(&report.yard, &report.samples)
		    : bench_trips(&report.samples, &report.yard);
	if (ret)
		return bench_fail(self, "a message did not come back");
	bench_count(&report, "payload_bytes", futex ? 0 : MF_TRIP_BYTES);
	bench_print(&report);
	return 0;
}

static int ring_threads(const struct bench_case *self)
{
	return round_trip(self, false);
}

static int ring_futex(const struct bench_case *self)
{
	return round_trip(self, true);
}

/* What a request of few calls leaves: the header and the first pages of both rings. */
static void soil(struct mf_channels *area, unsigned int pages)
{
	uint8_t *window = mf_channels_window(area, 0);
	size_t replies = MF_CHANNEL_HEAD_BYTES + area->ring_bytes;
	unsigned int i;

	for (i = 0; i < pages; i++)
		window[(i & 1 ? replies + i / 2 * 4096 : i / 2 * 4096) + 100] = 1;
}

static double time_memset(uint8_t *to, size_t bytes)
{
	uint64_t start = bench_now_ns();

	memset(to, 0, bytes);
	__asm__ volatile("" : : "r"(to) : "memory");
	return (double)(bench_now_ns() - start);
}

static int wipes(struct bench_report *report, struct mf_channels *area, unsigned int pages,
		 bool may_have_grown)
{
	struct mf_loop loop = {.rounds = 20000, .seconds = 5};
	uint8_t *yard = mf_channels_window(area, 1);

	soil(area, pages);
	if (mf_channel_wipe(area, 0, true))
		return 1;
	while (bench_next(&loop)) {
		uint64_t start;
		double took;

		soil(area, pages);
		start = bench_now_ns();
		if (mf_channel_wipe(area, 0, may_have_grown))
			return 1;
		took = (double)(bench_now_ns() - start);
		yard[0] = 1;
		if (!bench_measured(&loop))
			continue;
		mf_samples_add(&report->samples, took);
		mf_samples_add(&report->yard, time_memset(yard, pages * 4096));
	}
	bench_count(report, "pages", pages);
	return 0;
}

static int wipe(const struct bench_case *self, bool may_have_grown)
{
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "memset"};
	struct mf_channels area;
	int ret;

	if (mf_channels_create(&area, 2, MF_RING_BYTES_DEFAULT, NULL))
		return bench_fail(self, "no memory for two channels");
	ret = wipes(&report, &area, self->arg, may_have_grown);
	mf_channels_destroy(&area);
	if (ret)
		return bench_fail(self, "a wipe failed");
	bench_print(&report);
	return 0;
}

static int ring_wipe(const struct bench_case *self)
{
	return wipe(self, false);
}

static int ring_wipe_grown(const struct bench_case *self)
{
	return wipe(self, true);
}

const struct bench_case bench_cases[] = {
	{.name = "ring/threads", .run = ring_threads, .quick = true},
	{.name = "ring/futex", .run = ring_futex, .quick = true},
	{.name = "ring/wipe/4", .run = ring_wipe, .arg = 4, .quick = true},
	{.name = "ring/wipe/64", .run = ring_wipe, .arg = 64},
	{.name = "ring/wipe-grown/4", .run = ring_wipe_grown, .arg = 4, .quick = true},
	{0},
};
