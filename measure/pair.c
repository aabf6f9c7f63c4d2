/* SPDX-License-Identifier: MIT */
#include "measure/pair.h"

#include "engine/mem/pt.h"

#include <mayfly/abi/ring.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_BYTES (4ull << 20) /* of the store's file, at most */

static void wake(struct mf_waiter *waiter)
{
	struct mf_pair *pair =
		(struct mf_pair *)((char *)waiter - offsetof(struct mf_pair, waiter));

	sem_post(&pair->woken);
}

static int open_store(struct mf_pair *pair, struct mf_cpus cpus, enum mf_store_wait wait,
		      struct mf_error *err)
{
	struct mf_tenant_store_options options = {
		.folder = pair->folder,
		.size_bytes = 64ull << 20,
		.memory_bytes = 64ull << 20,
		.window_bytes = WINDOW_BYTES,
		.wait = wait,
		.call_limit_ns = 10000000000ull,
		.boot_limit_ns = 60000000000ull,
		.quiet = true,
	};
	int ret = mf_tenant_store_open(&pair->store, &options, &pair->world->program.kvm,
				       MF_PAIR_CHANNELS, err);

	if (ret)
		return ret;
	mf_pin(cpus.first); /* its thread inherits that */
	ret = mf_tenant_store_start(&pair->store, pair->dog, 1, err);
	mf_pin(cpus.last);
	return ret;
}

static int open_request_vm(struct mf_pair *pair, struct mf_error *err)
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
	mf_place_init(&pair->place, &pair->vm.vm.mem, pair->peer, 0);
	return mf_mem_open_window(&pair->vm.vm.mem, gpa, fd, offset);
}

static int make_folder(struct mf_pair *pair, struct mf_error *err)
{
	const char *where = getenv("TMPDIR");
	int length = snprintf(pair->folder, sizeof(pair->folder), "%s/mayfly-measure-XXXXXX",
			      where && *where ? where : "/tmp");

	if (length >= (int)sizeof(pair->folder) || !mkdtemp(pair->folder)) {
		pair->folder[0] = '\0';
		return mf_error_set(err, -errno, "cannot make a folder in %s: %s",
				    where && *where ? where : "/tmp", strerror(errno));
	}
	return 0;
}

int mf_pair_open(struct mf_pair *pair, struct mf_cpus cpus, enum mf_store_wait wait,
		 struct mf_error *err)
{
	const struct mf_world_options world = {.channel_bytes = MF_CHANNEL_HEAD_BYTES +
								2ull * MF_RING_BYTES_DEFAULT,
					       .place_bytes = WINDOW_BYTES};
	int ret;

	memset(pair, 0, sizeof(*pair));
	pair->store.lock_fd = -1;
	pair->waiter = (struct mf_waiter){.wake = wake};
	sem_init(&pair->woken, 0, 0);
	ret = make_folder(pair, err);
	if (!ret)
		ret = mf_world_open(&pair->world, &world, err);
	if (!ret)
		ret = mf_watchdog_create(&pair->dog, 2, err);
	if (!ret) {
		pair->watch = mf_watchdog_worker(pair->dog, 0);
		ret = open_store(pair, cpus, wait, err);
	}
	return ret ? ret : open_request_vm(pair, err);
}

/* With whatever files a store keeps in it. */
static void remove_folder(const char *folder)
{
	DIR *list = opendir(folder);
	struct dirent *entry;

	while (list && (entry = readdir(list)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(list), entry->d_name, 0);
	if (list)
		closedir(list);
	rmdir(folder);
}

void mf_pair_close(struct mf_pair *pair)
{
	if (pair->vm.vm.mem.base)
		mf_process_finish(&pair->vm);
	mf_tenant_store_close(&pair->store);
	if (pair->dog)
		mf_watchdog_destroy(pair->dog);
	mf_world_close(pair->world);
	if (pair->folder[0])
		remove_folder(pair->folder);
	sem_destroy(&pair->woken);
}

/* Run until the response, waiting at the channel on the way. */
static int run(struct mf_pair *pair, struct mf_exit *exit)
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

static int take_response(struct mf_pair *pair, const struct mf_exit *exit, void *body, size_t room)
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

static uint32_t ring_bytes(const struct mf_pair *pair)
{
	const struct mf_abi_channel *channel = mf_store_window(pair->store.store, 0);

	return channel->request_tail.at;
}

int mf_pair_serve(struct mf_pair *pair, const struct mf_world_request *request, void *body,
		  size_t room, double *served_ns)
{
	uint64_t faults = mf_kvm_vm_stat(&pair->vm.vm.kvm, pair->vm.vm.kvm.kvm->stat_pf_taken);
	uint64_t start = mf_now_ns();
	struct mf_exit exit;
	int ret;

	if (pair->in_place)
		mf_place_grow(&pair->place, &pair->vm.vm.mem, pair->peer, 0);
	pair->peer->begin(pair->peer, 0, pair->in_place);
	ret = mf_function_deliver(&pair->vm, &pair->world->ready, request->bytes, request->size);
	if (!ret)
		ret = run(pair, &exit);
	if (!ret)
		ret = take_response(pair, &exit, body, room);
	*served_ns = (double)(mf_now_ns() - start);
	faults -= mf_kvm_vm_stat(&pair->vm.vm.kvm, pair->vm.vm.kvm.kvm->stat_pf_taken);
	pair->ring_bytes += ring_bytes(pair);
	while (pair->peer->end(pair->peer, 0, faults) == -EBUSY)
		sched_yield();
	return ret ? ret : mf_process_reset(&pair->vm);
}
