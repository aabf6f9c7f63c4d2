/* SPDX-License-Identifier: MIT */
#include "bench/world.h"

#include <stdio.h>
#include <stdlib.h>

/* The last image is kept: cases follow each other by size, and 4 GiB take most of a minute to fill.
 */
static struct mf_world *kept;

static struct mf_world *take_kept(unsigned int mib)
{
	struct mf_world *world = kept;

	kept = NULL;
	if (world && strtoul(world->mib, NULL, 10) == mib) {
		mf_world_forget(world);
		return world;
	}
	mf_world_close(world);
	return NULL;
}

int bench_world_open(struct mf_world **out, const struct bench_case *self, unsigned int mib)
{
	const struct mf_world_options options = {.mib = mib};
	double need = ((double)mib * 1.25 + 512) * 1048576;
	struct mf_error err = {0};

	*out = take_kept(mib);
	if (*out)
		return 0;
	if (bench_available_bytes() < need)
		return bench_skip(
			self, "an image of %u MiB needs %.1f GiB of free memory, there are %.1f",
			mib, need / (1 << 30), bench_available_bytes() / (1 << 30));
	return mf_world_open(out, &options, &err) ? bench_fail(self, "%s", err.text) : 0;
}

void bench_world_close(struct mf_world *world)
{
	if (!world)
		return;
	mf_world_close(kept);
	kept = world;
}

static int say(int ret, const struct mf_error *err)
{
	if (ret)
		printf("fork: %s\n", err->text);
	return ret;
}

int bench_fork(struct mf_world *world, struct mf_process *vm)
{
	struct mf_error err = {0};

	return say(mf_world_fork(world, vm, &err), &err);
}

int bench_fork_warm(struct mf_world *world, struct mf_process *vm,
		    const struct mf_world_request *request)
{
	struct mf_error err = {0};

	return say(mf_world_fork_warm(world, vm, request, &err), &err);
}

void bench_tally_counts(struct bench_report *report, const struct mf_tally *before,
			const struct mf_tally *after, double rounds)
{
	bench_count(report, "user_exits",
		    (double)(after->user_exits - before->user_exits) / rounds);
	bench_count(report, "page_faults",
		    (double)(after->page_faults - before->page_faults) / rounds);
	bench_count(report, "minor_faults",
		    (double)(after->minor_faults - before->minor_faults) / rounds);
}
