/* SPDX-License-Identifier: MIT */
/*
 * What a request VM costs in memory: the fall of MemAvailable for many VMs over one image, each of which
 * has served a request, after five quiet seconds, per VM. In the same run, for as many VMs: the floor
 * (bare VMs that ran once), the slot (KVM's bookkeeping for the image's size) and the working set (private
 * pages). What is left is the engine's own.
 */
#include "bench/floor.h"
#include "bench/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_A_VM 3u
#define SETTLE_S 5u

struct herd {
	struct mf_process *vms;
	size_t count;
};

static double settled(void)
{
	sleep(bench.quick ? 2 : SETTLE_S);
	return bench_available_bytes();
}

static size_t affordable(size_t wanted)
{
	struct rlimit limit;
	size_t most;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	most = limit.rlim_cur > 100 ? (size_t)(limit.rlim_cur - 100) / FILES_A_VM : 0;
	return wanted < most ? wanted : most;
}

static int measure_floor(const struct bench_case *self, const struct mf_kvm *kvm, size_t count, size_t slot_bytes,
			 double *floor_bytes, double *slot_cost)
{
	double before = settled();
	struct bench_floor floor;
	struct mf_error err = {0};
	double running;
	int ret = bench_floor_open(&floor, kvm, count, &err);

	running = settled();
	*floor_bytes = (before - running) / (double)count;
	if (!ret)
		ret = bench_floor_add_slots(&floor, slot_bytes);
	*slot_cost = (running - settled()) / (double)count;
	bench_floor_close(&floor);
	return ret ? bench_fail(self, "the floor could not be measured: %s", err.text) : 0;
}

static int herd_open(struct herd *herd, struct bench_world *world, size_t count)
{
	struct bench_request request;
	int ret = 0;

	bench_request_make(&request, "/hello", 0);
	herd->count = 0;
	herd->vms = calloc(count, sizeof(*herd->vms));
	while (herd->vms && !ret && herd->count < count) {
		struct mf_process *vm = &herd->vms[herd->count];

		ret = bench_fork(world, vm);
		if (ret)
			break;
		herd->count++;
		ret = mf_vm_prepare(&vm->vm);
		if (!ret)
			ret = bench_serve(world, vm, &request);
		if (!ret)
			ret = mf_process_reset(vm);
	}
	return herd->vms ? ret : 1;
}

static double herd_private_bytes(const struct herd *herd)
{
	double pages = 0;
	size_t i;

	for (i = 0; i < herd->count; i++)
		pages += (double)mf_mem_private_pages(&herd->vms[i].vm.mem);
	return pages * MF_PAGE / (double)herd->count;
}

static void herd_close(struct herd *herd)
{
	while (herd->count)
		mf_process_finish(&herd->vms[--herd->count]);
	free(herd->vms);
}

static void print(const struct bench_case *self, double total, double floor, double slot, double working_set,
		  double count)
{
	struct bench_report report = {.name = self->name, .unit = "bytes", .yardstick = "floor"};

	bench_add(&report.samples, total);
	bench_add(&report.yard, floor);
	bench_count(&report, "vms", count);
	bench_count(&report, "working_set", working_set);
	bench_count(&report, "floor", floor);
	bench_count(&report, "slot", slot);
	bench_count(&report, "engine", total - working_set - floor - slot);
	bench_print(&report);
}

static int memory_case(const struct bench_case *self)
{
	size_t count = affordable(bench.quick ? self->arg / 40 : self->arg);
	struct bench_world *world;
	struct herd herd;
	double floor;
	double slot;
	double before;
	double total;
	int ret = bench_world_open(&world, self, self->mib);

	if (ret)
		return ret;
	ret = measure_floor(self, &world->program.kvm, count,
			    world->image.backing.bytes - world->image.backing.arena_bytes, &floor, &slot);
	if (!ret) {
		before = settled();
		if (herd_open(&herd, world, count))
			ret = bench_fail(self, "VM %zu of %zu could not be made or did not serve", herd.count, count);
		total = (before - settled()) / (double)count;
		if (!ret)
			print(self, total, floor, slot, herd_private_bytes(&herd), (double)count);
		herd_close(&herd);
	}
	bench_world_close(world);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "memory/16M", .run = memory_case, .mib = 16, .arg = 2000, .quick = true},
	{.name = "memory/64M", .run = memory_case, .mib = 64, .arg = 2000},
	{.name = "memory/1G", .run = memory_case, .mib = 1024, .arg = 100},
	{.name = "memory/4G", .run = memory_case, .mib = 4096, .arg = 20},
	{0},
};
