/* SPDX-License-Identifier: MIT */
#include "tests/store/says.h"
#include "tests/store/transactions/desk.h"

#include "engine/linux/permit.h"
#include "guest/store/blob.h"
#include "ipc/ring/area.h"
#include "storage-vm/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MAX_S 60

static pthread_mutex_t wake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake_cond = PTHREAD_COND_INITIALIZER;
static bool woken;

static void wake(struct mf_waiter *waiter)
{
	(void)waiter;
	pthread_mutex_lock(&wake_lock);
	woken = true;
	pthread_cond_signal(&wake_cond);
	pthread_mutex_unlock(&wake_lock);
}

static void sleep_until_woken(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MAX_S;
	pthread_mutex_lock(&wake_lock);
	while (!woken)
		if (pthread_cond_timedwait(&wake_cond, &wake_lock, &until))
			die("a call", "it is not answered");
	woken = false;
	pthread_mutex_unlock(&wake_lock);
}

/* ---- life ---- */

bool desk_init(struct desk *desk)
{
	const char *paths[] = {desk->folder};
	struct mf_permit_paths list = {false, paths, 1};
	struct mf_error err = {0};
	int ret;

	*desk = (struct desk){.last_id = 0};
	ret = mf_kvm_open(&desk->kvm, NULL, &err);
	if (ret == -ENOENT || ret == -EACCES)
		return false;
	if (ret)
		die("KVM", err.text);
	snprintf(desk->folder, sizeof(desk->folder), "/tmp/mayfly-desk-XXXXXX");
	if (!mkdtemp(desk->folder))
		die(desk->folder, strerror(errno));
	if (mf_permit_create(&desk->permit, &list, &list, &err))
		die(desk->folder, err.text);
	if (mf_watchdog_create(&desk->watchdog, 2, &err))
		die("the watchdog", err.text);
	desk->watch = mf_watchdog_worker(desk->watchdog, 0);
	return true;
}

void desk_finish(struct desk *desk)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/data.mdb", desk->folder);
	unlink(path);
	rmdir(desk->folder);
	mf_watchdog_destroy(desk->watchdog);
	mf_permit_destroy(desk->permit);
	mf_kvm_close(&desk->kvm);
}

static void open_line(struct desk *desk, unsigned int channel)
{
	struct desk_line *line = &desk->lines[channel];
	void *window = mf_store_window(desk->store, channel);

	line->waiter = (struct mf_waiter){.wake = wake, .channel = channel};
	if (mf_channel_open(window, mf_store_window_bytes(desk->store), &line->requests,
			    &line->replies))
		die("a channel", "it cannot be opened");
}

void desk_start(struct desk *desk, const char *store_bytes)
{
	static char *envp[] = {NULL};
	char *argv[] = {"store", desk->folder, (char *)store_bytes, NULL};
	struct mf_error err = {0};
	struct mf_store_settings settings = {
		.channels = DESK_CHANNELS,
		.ring_bytes = 2u << 20,
		.wait = MF_STORE_HAND_OFF,
		.kvm = &desk->kvm,
		.exec = {.elf = mf_store_program,
			 .elf_bytes = (size_t)(mf_store_program_end - mf_store_program),
			 .exec_name = "store",
			 .argv = argv,
			 .envp = envp,
			 .cwd = desk->folder,
			 .limit_bytes = 512u << 20},
		.policy = {.permit = desk->permit, .stdin_fd = -1, .output = print},
		.say = say,
	};

	if (mf_store_create(&desk->store, &settings, &err) ||
	    mf_store_start(desk->store, desk->watchdog, 1, &err))
		die("the store", err.text);
}

void desk_stop(struct desk *desk)
{
	for (unsigned int i = 0; i < DESK_CHANNELS; i++)
		desk_end(desk, i);
	mf_store_stop(desk->store);
	mf_store_destroy(desk->store);
	desk->store = NULL;
}

static struct mf_abi_store_channel *state_of(struct desk *desk, unsigned int channel)
{
	return MF_STORE_CHANNEL(desk->store->control, channel);
}

void desk_begin(struct desk *desk, unsigned int channel, bool bound)
{
	struct mf_abi_store_channel *state = state_of(desk, channel);

	desk_end(desk, channel);
	state->bound = bound;
	state->order = state->pending = state->verdict = 0;
	mf_store_release(&state->request, state->request + 1);
	mf_channel_format(&desk->store->channels, channel, 0, desk->store->lost_count);
	__atomic_fetch_or(&desk->store->control->active[channel / 64], 1ull << (channel % 64),
			  __ATOMIC_SEQ_CST);
	open_line(desk, channel);
	desk->lines[channel].begun = true;
}

void desk_end(struct desk *desk, unsigned int channel)
{
	struct mf_peer *peer = mf_store_peer(desk->store);
	int ret = 0;

	if (!desk->lines[channel].begun)
		return;
	while ((ret = peer->end(peer, channel, true)) == -EBUSY)
		usleep(1000);
	if (ret)
		die("a channel", "it does not end");
	desk->lines[channel].begun = false;
}

/* ---- calls ---- */

uint64_t desk_submit_bytes(struct desk *desk, unsigned int channel, uint32_t function,
			   const void *bytes, size_t count)
{
	struct mf_piece piece = {bytes, (uint32_t)count};

	if (mf_ring_put(&desk->lines[channel].requests, function, ++desk->last_id, 0, &piece,
			count ? 1 : 0))
		die("a call", "it does not fit into the ring");
	return desk->last_id;
}

uint64_t desk_submit(struct desk *desk, unsigned int channel, const struct desk_call *call)
{
	struct mf_abi_kv head = {.table_bytes = (uint16_t)strlen(call->table),
				 .key_bytes = (uint16_t)strlen(call->key),
				 .value_bytes = (uint32_t)call->value_bytes,
				 .number = call->number};
	size_t bytes = sizeof(head) + head.table_bytes + head.key_bytes + call->value_bytes;
	uint8_t *payload = malloc(bytes);
	uint64_t id;

	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), call->table, head.table_bytes);
	memcpy(payload + sizeof(head) + head.table_bytes, call->key, head.key_bytes);
	if (call->value_bytes)
		memcpy(payload + bytes - call->value_bytes, call->value, call->value_bytes);
	id = desk_submit_bytes(desk, channel, call->function, payload, bytes);
	free(payload);
	return id;
}

static void await(struct desk *desk, unsigned int channel)
{
	struct mf_peer *peer = mf_store_peer(desk->store);
	struct mf_waiter *waiter = &desk->lines[channel].waiter;

	switch (peer->wait(peer, waiter, desk->watch)) {
	case MF_PEER_PARKED:
		sleep_until_woken();
		peer->cancel(peer, waiter);
		break;
	case MF_PEER_BROKEN:
		die("a channel", "it is broken");
		break;
	default:
		break;
	}
}

int desk_collect(struct desk *desk, unsigned int channel)
{
	struct mf_ring *replies = &desk->lines[channel].replies;
	struct mf_abi_message message;

	while (mf_ring_peek(replies, &message) != 1)
		await(desk, channel);
	desk->reply.id = message.id;
	desk->reply.status = message.status;
	desk->reply.bytes = message.size_bytes - sizeof(message);
	mf_ring_read(replies, 0, desk->reply.data, (uint32_t)desk->reply.bytes);
	mf_ring_next(replies, message.size_bytes);
	return message.status;
}

int desk_do(struct desk *desk, unsigned int channel, const struct desk_call *call)
{
	uint64_t id = desk_submit(desk, channel, call);
	int status = desk_collect(desk, channel);

	if (desk->reply.id != id)
		die("a reply", "it is another call's");
	return status;
}

bool desk_is_pending(struct desk *desk, unsigned int channel)
{
	return mf_load_acquire(&state_of(desk, channel)->pending);
}

void desk_order(struct desk *desk, unsigned int channel)
{
	__atomic_store_n(&state_of(desk, channel)->order, MF_STORE_ORDER_COMMIT, __ATOMIC_SEQ_CST);
}

int desk_verdict(struct desk *desk, unsigned int channel)
{
	struct mf_peer *peer = mf_store_peer(desk->store);
	struct mf_waiter *waiter = &desk->lines[channel].waiter;

	for (int i = 0; !mf_load_acquire(&state_of(desk, channel)->verdict); i++) {
		if (i == WAIT_MAX_S * 1000)
			die("an order", "it is not carried out");
		if (peer->wait(peer, waiter, desk->watch) == MF_PEER_PARKED) {
			usleep(1000);
			peer->cancel(peer, waiter);
		}
	}
	return state_of(desk, channel)->status;
}

int desk_commit(struct desk *desk, unsigned int channel)
{
	desk_order(desk, channel);
	return desk_verdict(desk, channel);
}

void desk_set_quota(struct desk *desk, uint64_t bytes, bool evicts)
{
	desk->store->control->evicts = evicts;
	desk->store->control->quota_bytes = bytes;
}

uint64_t desk_stat(struct desk *desk, unsigned int channel, const char *name)
{
	const struct mf_abi_kv_stat *stats = (const void *)desk->reply.data;

	desk_submit_bytes(desk, channel, MF_KV_STAT, NULL, 0);
	if (desk_collect(desk, channel))
		die("the figures", strerror(-desk->reply.status));
	for (size_t i = 0; i < desk->reply.bytes / sizeof(*stats); i++)
		if (!strcmp(stats[i].name, name))
			return stats[i].value;
	return UINT64_MAX;
}
