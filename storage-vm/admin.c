/* SPDX-License-Identifier: MIT */
#include "storage-vm/admin.h"
#include "storage-vm/internal.h"

#include <mayfly/abi/ring_ops.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Before a channel is asked again to end, that the program is still at. */
#define END_AGAIN_NS 1000000l

/* For an answer: longer than any call takes, and than a program that died needs to begin again. */
#define WAIT_S 60

struct mf_store_admin {
	struct mf_waiter waiter; /* first */
	struct mf_store *store;
	unsigned int channel;
	pthread_mutex_t one; /* call at a time */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool woken;
	bool stopped;
	uint64_t id;
};

/* One call's view of the channel. */
struct line {
	struct mf_ring requests;
	struct mf_ring replies;
	const struct mf_abi_channel *window;
	uint32_t lost;
};

static void wake(struct mf_waiter *waiter)
{
	struct mf_store_admin *admin = (struct mf_store_admin *)waiter;

	pthread_mutex_lock(&admin->lock);
	admin->woken = true;
	pthread_cond_signal(&admin->changed);
	pthread_mutex_unlock(&admin->lock);
}

int mf_store_admin_create(struct mf_store_admin **out, struct mf_store *store)
{
	pthread_condattr_t attributes;
	struct mf_store_admin *admin;

	if (!store->control->admin)
		return -EINVAL;
	admin = calloc(1, sizeof(*admin));
	if (!admin)
		return -ENOMEM;
	admin->store = store;
	admin->channel = store->control->admin - 1;
	pthread_mutex_init(&admin->one, NULL);
	pthread_mutex_init(&admin->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&admin->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	*out = admin;
	return 0;
}

void mf_store_admin_destroy(struct mf_store_admin *admin)
{
	if (!admin)
		return;
	pthread_mutex_destroy(&admin->one);
	pthread_mutex_destroy(&admin->lock);
	pthread_cond_destroy(&admin->changed);
	free(admin);
}

void mf_store_admin_stop(struct mf_store_admin *admin)
{
	pthread_mutex_lock(&admin->lock);
	admin->stopped = true;
	pthread_cond_signal(&admin->changed);
	pthread_mutex_unlock(&admin->lock);
}

/* Until woken. -ESHUTDOWN; -ETIMEDOUT. */
static int sleep_until_woken(struct mf_store_admin *admin, const struct timespec *until)
{
	int ret = 0;

	pthread_mutex_lock(&admin->lock);
	while (!admin->woken && !admin->stopped && !ret)
		ret = -pthread_cond_timedwait(&admin->changed, &admin->lock, until);
	ret = admin->stopped ? -ESHUTDOWN : admin->woken ? 0 : ret;
	admin->woken = false;
	pthread_mutex_unlock(&admin->lock);
	return ret;
}

static bool is_stopped(struct mf_store_admin *admin)
{
	bool stopped;

	pthread_mutex_lock(&admin->lock);
	stopped = admin->stopped;
	pthread_mutex_unlock(&admin->lock);
	return stopped;
}

/* The channel is this call's own from its beginning to its end, as a request's. */
static int begin(struct mf_store_admin *admin, struct line *line)
{
	struct mf_peer *peer = mf_store_peer(admin->store);
	void *window = mf_store_window(admin->store, admin->channel);

	admin->waiter = (struct mf_waiter){.wake = wake, .channel = admin->channel};
	admin->woken = false;
	peer->begin(peer, admin->channel, false);
	line->window = window;
	line->lost = mf_load_acquire(&line->window->lost);
	return mf_channel_open(window, mf_store_window_bytes(admin->store), &line->requests,
			       &line->replies);
}

static void end(struct mf_store_admin *admin)
{
	struct mf_peer *peer = mf_store_peer(admin->store);
	const struct timespec again = {.tv_nsec = END_AGAIN_NS};

	peer->cancel(peer, &admin->waiter);
	while (peer->end(peer, admin->channel, true) == -EBUSY && !is_stopped(admin))
		nanosleep(&again, NULL);
}

static int await(struct mf_store_admin *admin, struct line *line, struct mf_abi_message *message)
{
	struct mf_peer *peer = mf_store_peer(admin->store);
	struct timespec until;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WAIT_S;
	for (;;) {
		int found = mf_ring_peek(&line->replies, message);

		if (found)
			return found < 0 ? found : 0;
		if (mf_load_acquire(&line->window->lost) != line->lost)
			return -ECONNRESET;
		switch (peer->wait(peer, &admin->waiter, NULL)) {
		case MF_PEER_BROKEN:
			return -EPROTO;
		case MF_PEER_PARKED:
			ret = sleep_until_woken(admin, &until);
			if (ret)
				return ret;
			break;
		default:
			if (is_stopped(admin))
				return -ESHUTDOWN;
		}
	}
}

static int take(const struct line *line, const struct mf_abi_message *message, void *reply,
		size_t *reply_bytes)
{
	uint32_t bytes = message->size_bytes - (uint32_t)sizeof(*message);

	if (bytes > *reply_bytes)
		return -ENOBUFS;
	mf_ring_read(&line->replies, 0, reply, bytes);
	*reply_bytes = bytes;
	return message->status > 0 ? -EPROTO : message->status;
}

static int call(struct mf_store_admin *admin, uint32_t function, const struct mf_piece *payload,
		void *reply, size_t *reply_bytes)
{
	struct mf_abi_message message;
	struct line line;
	int ret = begin(admin, &line);

	if (!ret)
		ret = mf_ring_put(&line.requests, function, ++admin->id, 0, payload, 1);
	if (!ret)
		ret = await(admin, &line, &message);
	if (!ret && (message.id != admin->id || message.function != function))
		ret = -EPROTO;
	if (ret)
		*reply_bytes = 0;
	else
		ret = take(&line, &message, reply, reply_bytes);
	end(admin);
	return ret;
}

int mf_store_admin_call(struct mf_store_admin *admin, uint32_t function, const void *payload,
			size_t bytes, void *reply, size_t *reply_bytes)
{
	struct mf_piece piece = {payload, (uint32_t)bytes};
	int ret;

	if (bytes > MF_RING_BYTES_MAX)
		return -EMSGSIZE;
	pthread_mutex_lock(&admin->one);
	ret = is_stopped(admin) ? -ESHUTDOWN : call(admin, function, &piece, reply, reply_bytes);
	pthread_mutex_unlock(&admin->one);
	return ret;
}
