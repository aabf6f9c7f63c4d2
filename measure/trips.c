/* SPDX-License-Identifier: MIT */
#include "measure/trips.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mayfly/abi/ring_ops.h>

#include "engine/image/watchdog.h"
#include "ipc/ring/area.h"

#define PAYLOAD    MF_TRIP_BYTES
#define RING_TRIPS 16 /* for each trip by futex; the first is not timed */

/* Both ends; `ping` and `pong` count trips by futex. */
struct pair {
	struct mf_channels area;
	struct mf_ring requests[2]; /* of the caller, of the echo */
	struct mf_ring replies[2];
	_Alignas(64) uint32_t ping;
	_Alignas(64) uint32_t pong;
	uint32_t stop;
	int echo_cpu;
	pthread_t echo;
};

static void futex_wake(uint32_t *word)
{
	mf_store_release(word, *word + 1);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void futex_wait(uint32_t *word, uint32_t value)
{
	while (mf_load_acquire(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/* Spins for a message and takes it; false when `stop` says so. */
static bool receive(struct mf_ring *ring, struct mf_abi_message *message, const uint32_t *stop)
{
	uint8_t payload[PAYLOAD];
	int ret;

	while (!(ret = mf_ring_peek(ring, message))) {
		if (__atomic_load_n(stop, __ATOMIC_RELAXED))
			return false;
		mf_relax();
	}
	if (ret < 0 || message->size_bytes != sizeof(*message) + PAYLOAD)
		return false;
	mf_ring_read(ring, 0, payload, PAYLOAD);
	mf_ring_next(ring, message->size_bytes);
	return true;
}

static bool transmit(struct mf_ring *ring, uint64_t id)
{
	static const uint8_t payload[PAYLOAD];
	struct mf_piece piece = {payload, PAYLOAD};

	return !mf_ring_put(ring, 1, id, 0, &piece, 1);
}

static void *echo(void *arg)
{
	struct pair *pair = arg;
	uint32_t ping = 0;

	mf_pin(pair->echo_cpu);
	for (;;) {
		struct mf_abi_message message;
		int i;

		for (i = 0; i < RING_TRIPS; i++)
			if (!receive(&pair->requests[1], &message, &pair->stop) ||
			    !transmit(&pair->replies[1], message.id))
				return NULL;
		futex_wait(&pair->ping, ping++);
		futex_wake(&pair->pong);
	}
}

static int pair_open(struct pair *pair, int echo_cpu)
{
	void *window;
	int i;

	memset(pair, 0, sizeof(*pair));
	pair->echo_cpu = echo_cpu;
	if (mf_channels_create(&pair->area, 1, MF_RING_BYTES_DEFAULT, NULL))
		return 1;
	mf_channel_format(&pair->area, 0, 0, 0);
	window = mf_channels_window(&pair->area, 0);
	for (i = 0; i < 2; i++)
		mf_channel_open(window, pair->area.window_bytes, &pair->requests[i],
				&pair->replies[i]);
	if (!pthread_create(&pair->echo, NULL, echo, pair))
		return 0;
	mf_channels_destroy(&pair->area);
	return 1;
}

static void pair_close(struct pair *pair)
{
	__atomic_store_n(&pair->stop, 1, __ATOMIC_RELAXED);
	pthread_join(pair->echo, NULL);
	mf_channels_destroy(&pair->area);
}

static int ring_trips(struct pair *pair, struct mf_samples *samples)
{
	struct mf_abi_message message;
	uint64_t i;

	for (i = 0; i < RING_TRIPS; i++) {
		uint64_t start = mf_now_ns();

		if (!transmit(&pair->requests[0], i) ||
		    !receive(&pair->replies[0], &message, &pair->stop) || message.id != i)
			return 1;
		if (i && samples)
			mf_samples_add(samples, (double)(mf_now_ns() - start));
	}
	return 0;
}

/* Long enough for the echo to be asleep: a wake that finds nobody is no yardstick. */
static void pause_ns(uint64_t ns)
{
	uint64_t start = mf_now_ns();

	while (mf_now_ns() - start < ns)
		mf_relax();
}

static void futex_trip(struct pair *pair, struct mf_samples *samples)
{
	uint32_t pong = pair->pong;
	uint64_t start;

	pause_ns(50000);
	start = mf_now_ns();
	futex_wake(&pair->ping);
	futex_wait(&pair->pong, pong);
	if (samples)
		mf_samples_add(samples, (double)(mf_now_ns() - start));
}

int mf_trips(struct mf_loop *loop, int echo_cpu, struct mf_samples *by_ring,
	     struct mf_samples *by_futex)
{
	static struct pair pair;
	int ret = 0;

	if (pair_open(&pair, echo_cpu))
		return 1;
	while (!ret && mf_loop_next(loop)) {
		bool measured = mf_loop_measured(loop);

		ret = ring_trips(&pair, measured ? by_ring : NULL);
		if (!ret)
			futex_trip(&pair, measured ? by_futex : NULL);
	}
	pair_close(&pair);
	return ret;
}
