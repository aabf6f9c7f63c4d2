/* SPDX-License-Identifier: MIT */
#include "bench/world.h"

#include <mayfly/abi/ring.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Beside the filled memory: the program itself, the request buffer, room to breathe. */
#define SPARE_BYTES (16ull << 20)

static const char *no_env[] = {NULL};

/* The last image is kept: cases follow each other by size, and 4 GiB take most of a minute to fill.
 */
static struct bench_world *kept;

static void set_options(struct bench_world *world, unsigned int mib)
{
	snprintf(world->guest, sizeof(world->guest), "%s", bench_path("bench-guest"));
	snprintf(world->mib, sizeof(world->mib), "%u", mib);
	world->argv[0] = world->guest;
	world->argv[1] = world->mib;
	world->options = (struct mf_program_options){
		.argv = world->argv,
		.env = no_env,
		.memory_bytes = ((uint64_t)mib << 20) + SPARE_BYTES,
		.boot_deadline_ns = 600000000000ull,
	};
}

uint64_t bench_channel_bytes;

static int build(struct bench_world *world, struct mf_error *err)
{
	struct mf_watchdog *dog;
	int ret = mf_watchdog_create(&dog, 1, err);

	if (ret)
		return ret;
	if (bench_channel_bytes)
		world->program.policy.windows[0] =
			(struct mf_window){MF_CHANNEL_VA, bench_channel_bytes, -1, 0, false};
	ret = mf_program_build(&world->program, mf_watchdog_worker(dog, 0), &world->image,
			       &world->ready, err);
	mf_watchdog_destroy(dog);
	return ret;
}

/* As it was built: what earlier cases taught it is forgotten. */
static void forget(struct mf_image *image)
{
	size_t pages = (image->backing.arena_bytes + image->backing.limit_bytes) / MF_PAGE;
	size_t words = (pages + 63) / 64;

	memset(image->hits, 0, pages);
	memset(image->learned, 0, words * sizeof(*image->learned));
	memset(image->touched, 0, words * sizeof(*image->touched));
	image->learned_pages = 0;
}

static void finish(struct bench_world *world)
{
	mf_process_image_finish(&world->image);
	mf_program_close(&world->program);
	free(world);
}

static struct bench_world *take_kept(unsigned int mib)
{
	struct bench_world *world = kept;

	kept = NULL;
	if (world && strtoul(world->mib, NULL, 10) == mib) {
		forget(&world->image);
		return world;
	}
	if (world)
		finish(world);
	return NULL;
}

int bench_world_open(struct bench_world **out, const struct bench_case *self, unsigned int mib)
{
	double need = ((double)mib * 1.25 + 512) * 1048576;
	struct mf_error err = {0};
	struct bench_world *world;
	int ret;

	*out = take_kept(mib);
	if (*out)
		return 0;
	if (bench_available_bytes() < need)
		return bench_skip(
			self, "an image of %u MiB needs %.1f GiB of free memory, there are %.1f",
			mib, need / (1 << 30), bench_available_bytes() / (1 << 30));
	world = calloc(1, sizeof(*world));
	if (!world)
		return bench_fail(self, "no memory");
	set_options(world, mib);
	ret = mf_program_open(&world->program, &world->options, &err);
	if (!ret) {
		ret = build(world, &err);
		if (ret)
			mf_program_close(&world->program);
	}
	if (ret) {
		free(world);
		return bench_fail(self, "%s", err.text);
	}
	*out = world;
	return 0;
}

void bench_world_close(struct bench_world *world)
{
	if (!world)
		return;
	if (kept)
		finish(kept);
	kept = world;
}

static struct mf_abi_slice put(struct bench_request *request, const char *text)
{
	struct mf_abi_slice slice = {(uint32_t)request->size, (uint32_t)strlen(text)};

	memcpy(request->bytes + request->size, text, slice.length + 1);
	request->size += slice.length + 1;
	return slice;
}

void bench_request_make(struct bench_request *request, const char *target, size_t times)
{
	struct mf_abi_request abi = {.version = MF_ABI_VERSION, .id = 1};
	char body[24];

	memset(request, 0, sizeof(*request));
	request->size = sizeof(abi);
	snprintf(body, sizeof(body), "%zu", times);
	abi.method = put(request, "GET");
	abi.target = put(request, target);
	abi.body = put(request, body);
	abi.headers_offset = (uint32_t)sizeof(abi);
	abi.size_bytes = (uint32_t)request->size;
	memcpy(request->bytes, &abi, sizeof(abi));
}

int bench_serve(struct bench_world *world, struct mf_process *vm,
		const struct bench_request *request)
{
	struct mf_function_response response;
	struct mf_exit exit;
	int status;
	int ret = mf_function_deliver(vm, &world->ready, request->bytes, request->size);

	if (ret)
		return ret;
	mf_process_run(vm, &exit);
	if (exit.kind != MF_EXIT_READY)
		return -ECHILD;
	ret = mf_function_response(vm, &exit, &response);
	if (ret)
		return ret;
	status = response.status;
	mf_function_response_finish(&response);
	return status == 200 ? 0 : -EBADMSG;
}

int bench_fork(struct bench_world *world, struct mf_process *vm)
{
	struct mf_error err = {0};
	int ret = mf_process_fork(vm, &world->image, &world->program.policy, &err);

	if (ret)
		printf("fork: %s\n", err.text);
	return ret;
}

int bench_fork_warm(struct bench_world *world, struct mf_process *vm,
		    const struct bench_request *request)
{
	int ret = bench_fork(world, vm);
	int i;

	if (ret)
		return ret;
	for (i = 0; i < 4 && !ret; i++) {
		ret = bench_serve(world, vm, request);
		if (!ret)
			ret = mf_process_reset(vm);
	}
	if (ret)
		mf_process_finish(vm);
	return ret;
}

void bench_tally(const struct mf_process *vm, struct bench_tally *tally)
{
	const struct mf_kvm_vm *kvm = &vm->vm.kvm;
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	tally->user_exits = kvm->user_exits;
	tally->page_faults = mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
	tally->minor_faults = (uint64_t)usage.ru_minflt;
}

void bench_tally_counts(struct bench_report *report, const struct bench_tally *before,
			const struct bench_tally *after, double rounds)
{
	bench_count(report, "user_exits",
		    (double)(after->user_exits - before->user_exits) / rounds);
	bench_count(report, "page_faults",
		    (double)(after->page_faults - before->page_faults) / rounds);
	bench_count(report, "minor_faults",
		    (double)(after->minor_faults - before->minor_faults) / rounds);
}
