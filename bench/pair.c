/* SPDX-License-Identifier: MIT */
#include "bench/pair.h"

#include "engine/mem/pt.h"

#include <mayfly/abi/ring.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void wake(struct mf_waiter *waiter)
{
	struct bench_pair *pair =
		(struct bench_pair *)((char *)waiter - offsetof(struct bench_pair, waiter));

	sem_post(&pair->woken);
}

static int open_store(struct bench_pair *pair, const struct mf_kvm *kvm, enum mf_store_wait wait,
		      struct mf_error *err)
{
	struct mf_tenant_store_options options = {
		.folder = pair->folder,
		.size_bytes = 64ull << 20,
		.memory_bytes = 64ull << 20,
		.wait = wait,
		.call_limit_ns = 10000000000ull,
		.boot_limit_ns = 60000000000ull,
		.quiet = true,
	};
	int ret = mf_tenant_store_open(&pair->store, &options, kvm, BENCH_CHANNELS, err);

	if (ret)
		return ret;
	bench_pin(bench.first_cpu); /* its thread inherits that */
	ret = mf_tenant_store_start(&pair->store, pair->dog, 1, err);
	bench_pin(bench.last_cpu);
	return ret;
}

static int open_request_vm(struct bench_pair *pair, struct mf_error *err)
{
	struct mf_gpa gpa;
	uint64_t offset;
	int fd;
	int ret =
		mf_process_fork(&pair->vm, &pair->world->image, &pair->world->program.policy, err);

	if (ret)
		return ret;
	pair->peer = mf_store_peer(pair->store.store);
	pair->peer->window(pair->peer, 0, &fd, &offset);
	if (!mf_pt_lookup(&pair->vm.vm.mem, MF_GVA(MF_CHANNEL_VA), &gpa))
		return mf_error_set(err, -ENXIO, "the image has no place for a channel");
	return mf_mem_open_window(&pair->vm.vm.mem, gpa, fd, offset);
}

int bench_pair_open(struct bench_pair *pair, const struct bench_case *self, enum mf_store_wait wait)
{
	struct mf_error err = {0};
	int ret;

	memset(pair, 0, sizeof(*pair));
	pair->store.lock_fd = -1;
	pair->waiter = (struct mf_waiter){.wake = wake};
	sem_init(&pair->woken, 0, 0);
	snprintf(pair->folder, sizeof(pair->folder), "/tmp/bench-store-XXXXXX");
	if (!mkdtemp(pair->folder))
		return bench_fail(self, "cannot make a folder in /tmp: %s", strerror(errno));
	bench_channel_bytes = MF_CHANNEL_HEAD_BYTES + 2ull * MF_RING_BYTES_DEFAULT;
	ret = bench_world_open(&pair->world, self, 0);
	if (ret)
		return ret;
	ret = mf_watchdog_create(&pair->dog, 2, &err);
	if (!ret) {
		pair->watch = mf_watchdog_worker(pair->dog, 0);
		ret = open_store(pair, &pair->world->program.kvm, wait, &err);
	}
	if (!ret)
		ret = open_request_vm(pair, &err);
	return ret ? bench_fail(self, "%s", err.text) : 0;
}

static void remove_folder(const char *folder)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/data.mdb", folder);
	unlink(path);
	rmdir(folder);
}

void bench_pair_close(struct bench_pair *pair)
{
	if (pair->vm.vm.mem.base)
		mf_process_finish(&pair->vm);
	mf_tenant_store_close(&pair->store);
	if (pair->dog)
		mf_watchdog_destroy(pair->dog);
	bench_world_close(pair->world);
	remove_folder(pair->folder);
	sem_destroy(&pair->woken);
}

/* Run until the response, waiting at the channel on the way. */
static int run(struct bench_pair *pair, struct mf_exit *exit)
{
	struct mf_watch_limits limits = {.deadline_ns = mf_now_ns() + 20000000000ull};

	for (;;) {
		mf_watch_enter(pair->watch, &pair->vm.vm, &limits);
		mf_process_run(&pair->vm, exit);
		mf_watch_leave(pair->watch);
		if (exit->kind != MF_EXIT_CHANNEL_WAIT)
			return exit->kind == MF_EXIT_READY ? 0 : -ECHILD;
		mf_vm_answer(&pair->vm.vm, 0);
		switch (pair->peer->wait(pair->peer, &pair->waiter, pair->watch)) {
		case MF_PEER_GO_ON:
			break;
		case MF_PEER_PARKED:
			pair->parks++;
			sem_wait(&pair->woken);
			break;
		default:
			return -EPROTO;
		}
	}
}

static int take_response(struct bench_pair *pair, const struct mf_exit *exit, void *body,
			 size_t room)
{
	struct mf_function_response response;
	int ret = mf_function_response(&pair->vm, exit, &response);

	if (ret)
		return ret;
	if (response.status != 200)
		ret = -EBADMSG;
	else if (room)
		memcpy(body, response.body,
		       response.body_bytes < room ? response.body_bytes : room);
	mf_function_response_finish(&response);
	return ret;
}

int bench_pair_serve(struct bench_pair *pair, const struct bench_request *request, void *body,
		     size_t room, double *served_ns)
{
	uint64_t faults = mf_kvm_vm_stat(&pair->vm.vm.kvm, pair->vm.vm.kvm.kvm->stat_pf_taken);
	uint64_t start = bench_now_ns();
	struct mf_exit exit;
	int ret;

	pair->peer->begin(pair->peer, 0, false);
	ret = mf_function_deliver(&pair->vm, &pair->world->ready, request->bytes, request->size);
	if (!ret)
		ret = run(pair, &exit);
	if (!ret)
		ret = take_response(pair, &exit, body, room);
	*served_ns = (double)(bench_now_ns() - start);
	faults -= mf_kvm_vm_stat(&pair->vm.vm.kvm, pair->vm.vm.kvm.kvm->stat_pf_taken);
	while (pair->peer->end(pair->peer, 0, faults) == -EBUSY)
		sched_yield();
	return ret ? ret : mf_process_reset(&pair->vm);
}
