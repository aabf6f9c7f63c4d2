/* SPDX-License-Identifier: MIT */
/*
 * What a request VM costs in memory: the fall of MemAvailable for many VMs over one image, each of
 * which has served a request, once it stands still, per VM. In the same run, for as many VMs: the
 * floor (bare VMs that ran once), the slot (KVM's bookkeeping for the image's size) and the working
 * set (private pages). What is left is the engine's own.
 */
#include "bench/floor.h"
#include "bench/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_A_VM    3u
#define SETTLE_S      5
#define SETTLE_MAX_S  40
#define SETTLED_BYTES (1 << 20)

struct herd {
	struct mf_process *vms;
	size_t count;
};

/* MemAvailable when it has stood still: what KVM frees comes back over many seconds. */
static double settled(void)
{
	double before = bench_available_bytes();
	int left = SETTLE_MAX_S;
	double now;

	sleep(bench.quick ? 1 : SETTLE_S);
	while (sleep(1), now = bench_available_bytes(), left-- > 0) {
		if (now - before < SETTLED_BYTES && before - now < SETTLED_BYTES)
			break;
		before = now;
	}
	return now;
}

static size_t affordable(size_t wanted)
{
	struct rlimit limit;
	size_t most;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	most = limit.rlim_cur > 100 ? (size_t)(limit.rlim_cur - 100) / (2 * FILES_A_VM) : 0;
	return wanted < most ? wanted : most;
}

struct costs {
	double floor;
	double slot;
	double total;
	double working_set;
};

/* The bare VMs stay until the end: what they free would be handed to the next and be missed there.
 */
static int measure_floor(struct bench_floor *floor, const struct mf_kvm *kvm, size_t count,
			 size_t slot_bytes, struct costs *costs, struct mf_error *err)
{
	double before = settled();
	double running;
	int ret = bench_floor_open(floor, kvm, count, err);

	if (ret)
		return ret;
	running = settled();
	costs->floor = (before - running) / (double)count;
	ret = bench_floor_add_slots(floor, slot_bytes);
	if (ret)
		return mf_error_set(err, ret, "a bare VM took no slot of %zu bytes", slot_bytes);
	costs->slot = (running - settled()) / (double)count;
	return 0;
}

static int herd_open(struct herd *herd, struct mf_world *world, size_t count)
{
	struct mf_world_request request;
	int ret = 0;

	mf_world_request_make(&request, "/hello", 0);
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
			ret = mf_world_serve(world, vm, &request);
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

static int measure_herd(struct mf_world *world, size_t count, struct costs *costs,
			struct mf_error *err)
{
	double before = settled();
	struct herd herd;
	int ret = herd_open(&herd, world, count);

	if (ret) {
		mf_error_set(err, ret, "VM %zu of %zu could not be made or did not serve",
			     herd.count, count);
	} else {
		costs->total = (before - settled()) / (double)count;
		costs->working_set = herd_private_bytes(&herd);
	}
	herd_close(&herd);
	return ret;
}

static void print(const struct bench_case *self, const struct costs *costs, size_t count)
{
	struct bench_report report = {.name = self->name, .unit = "bytes", .yardstick = "floor"};

	mf_samples_add(&report.samples, costs->total);
	mf_samples_add(&report.yard, costs->floor);
	bench_count(&report, "vms", (double)count);
	bench_count(&report, "working_set", costs->working_set);
	bench_count(&report, "floor", costs->floor);
	bench_count(&report, "slot", costs->slot);
	bench_count(&report, "engine",
		    costs->total - costs->working_set - costs->floor - costs->slot);
	bench_print(&report);
}

static int memory_case(const struct bench_case *self)
{
	size_t count = affordable(bench.quick ? self->arg / 40 : self->arg);
	struct mf_error err = {0};
	struct mf_world *world;
	struct bench_floor floor;
	struct costs costs = {0};
	int ret = bench_world_open(&world, self, self->mib);

	if (ret)
		return ret;
	ret = measure_floor(&floor, &world->program.kvm, count,
			    world->image.backing.bytes - world->image.backing.arena_bytes, &costs,
			    &err);
	if (!ret)
		ret = measure_herd(world, count, &costs, &err);
	if (ret)
		bench_fail(self, "%s", err.text);
	else
		print(self, &costs, count);
	bench_floor_close(&floor);
	bench_world_close(world);
	return ret;
}

const struct bench_case bench_cases[] = {
	{.name = "memory/64M", .run = memory_case, .mib = 64, .arg = 2000, .quick = true},
	{.name = "memory/1G", .run = memory_case, .mib = 1024, .arg = 100},
	{.name = "memory/4G", .run = memory_case, .mib = 4096, .arg = 100},
	{0},
};
