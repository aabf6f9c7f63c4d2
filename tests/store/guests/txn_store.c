/* SPDX-License-Identifier: MIT */
/*
 * A storage program that obeys the words of a request's transaction (mayfly/abi/store.h), small and
 * in memory: one thread answers calls, another one takes orders and writes a line of a log for each
 * group of them, with a sync. A table of versioned values; a request's writes lie aside until they
 * are ordered. The file "how" of its folder, looked at with each order, says what the commits do:
 * "slow MS", "fail ERRNO", "conflict", "die", "forget"; "hold", "spin": rest, or compute, until it
 * says something else.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>

#define KEYS    4096u
#define OPS     64u
#define VALUE   256u
#define CHANNEL 256u

struct value {
	uint32_t bytes; /* UINT32_MAX: not there */
	uint8_t data[VALUE];
};

struct record {
	uint32_t key_bytes;
	uint8_t key[64];
	uint64_t version;
	struct value value;
};

struct write {
	unsigned int record;
	struct value value;
};

struct txn {
	uint32_t request;
	bool open;
	bool handed; /* the other thread has it */
	uint64_t snapshot;
	unsigned int reads, writes;
	unsigned int read[OPS];
	struct write write[OPS];
	bool too_many;
};

static struct mf_abi_store_control *const control = (void *)MF_STORE_CONTROL_VA;
static struct record records[KEYS];
static unsigned int record_count;
static struct txn txns[CHANNEL];
static uint64_t version = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int handed_count;
static bool computes; /* the other thread does */
static bool wake_somebody;
static int journal;
static uint8_t buffer[1u << 16];

static struct mf_abi_channel *window_of(uint32_t channel)
{
	return (void *)(MF_STORE_CHANNELS_VA + channel * control->window_bytes);
}

static unsigned int find(const uint8_t *key, uint32_t bytes)
{
	unsigned int i;

	for (i = 0; i < record_count; i++)
		if (records[i].key_bytes == bytes && !memcmp(records[i].key, key, bytes))
			return i;
	if (i == KEYS || bytes > sizeof(records[i].key))
		exit(9);
	records[i].key_bytes = bytes;
	memcpy(records[i].key, key, bytes);
	records[i].value.bytes = UINT32_MAX;
	record_count++;
	return i;
}

/* What the transaction sees; noted as read unless it is its own. */
static const struct value *see(struct txn *txn, unsigned int record)
{
	for (unsigned int i = txn->writes; i-- > 0;)
		if (txn->write[i].record == record)
			return &txn->write[i].value;
	if (txn->reads == OPS)
		txn->too_many = true;
	else
		txn->read[txn->reads++] = record;
	return &records[record].value;
}

static int set(struct txn *txn, unsigned int record, const void *data, uint32_t bytes)
{
	struct write *write = &txn->write[txn->writes];

	if (txn->writes == OPS || (bytes != UINT32_MAX && bytes > VALUE))
		return -E2BIG;
	write->record = record;
	write->value.bytes = bytes;
	if (bytes != UINT32_MAX)
		memcpy(write->value.data, data, bytes);
	txn->writes++;
	return 0;
}

static int add(struct txn *txn, unsigned int record, int64_t number, int64_t *now)
{
	const struct value *value = see(txn, record);

	*now = number;
	if (value->bytes == sizeof(*now)) {
		memcpy(now, value->data, sizeof(*now));
		*now += number;
	}
	return set(txn, record, now, sizeof(*now));
}

/* One call, under the lock. *out: bytes of reply. */
static int call(struct txn *txn, uint32_t function, const uint8_t *in, uint32_t bytes,
		uint32_t *out)
{
	struct mf_abi_kv head;
	const uint8_t *key;
	const struct value *value;
	unsigned int record;

	*out = 0;
	if (bytes < sizeof(head))
		return -EINVAL;
	memcpy(&head, in, sizeof(head));
	key = in + sizeof(head);
	if (bytes != sizeof(head) + head.table_bytes + head.key_bytes + head.value_bytes ||
	    head.table_bytes + head.key_bytes > 64)
		return -EINVAL;
	record = find(key, (uint32_t)head.table_bytes + head.key_bytes);
	switch (function) {
	case MF_KV_GET:
		value = see(txn, record);
		if (value->bytes == UINT32_MAX)
			return -ENOENT;
		memcpy(buffer, value->data, value->bytes);
		*out = value->bytes;
		return 0;
	case MF_KV_PUT:
		return set(txn, record, key + head.table_bytes + head.key_bytes, head.value_bytes);
	case MF_KV_DELETE:
		return set(txn, record, NULL, UINT32_MAX);
	case MF_KV_ADD:
		*out = 8;
		return add(txn, record, (int64_t)head.number, (int64_t *)buffer);
	default:
		return -ENOSYS;
	}
}

/* ---- orders ---- */

static bool conflicts(const struct txn *txn)
{
	for (unsigned int i = 0; i < txn->reads; i++)
		if (records[txn->read[i]].version > txn->snapshot)
			return true;
	return txn->too_many;
}

static int apply(struct txn *txn)
{
	if (conflicts(txn))
		return -EAGAIN;
	version++;
	for (unsigned int i = 0; i < txn->writes; i++) {
		records[txn->write[i].record].value = txn->write[i].value;
		records[txn->write[i].record].version = version;
	}
	return 0;
}

static void spend(long ms)
{
	uint64_t end = mf_clock_ns() + (uint64_t)ms * 1000000;

	while (mf_clock_ns() < end)
		;
}

static void rest(long ms)
{
	struct timespec span = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&span, NULL);
}

/* The first word of the file that says what orders meet, and its number. */
static int read_how(char word[32])
{
	char text[64] = "";
	int number = 0;
	int fd = open("how", O_RDONLY);

	word[0] = 0;
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	sscanf(text, "%31s %d", word, &number);
	return number;
}

/* What it says is done now; an errno that all orders get, or 0. */
static int how(void)
{
	char word[32];
	int number;

	for (;;) {
		number = read_how(word);
		if (!strcmp(word, "hold"))
			rest(10);
		else if (!strcmp(word, "spin"))
			spend(100);
		else
			break;
	}
	if (!strcmp(word, "die"))
		abort();
	while (!strcmp(word, "forget"))
		pause();
	if (!strcmp(word, "slow"))
		rest(number);
	if (!strcmp(word, "conflict"))
		return -EAGAIN;
	return !strcmp(word, "fail") ? -number : 0;
}

static void say(uint32_t channel, int status)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);

	txns[channel].open = txns[channel].handed = false;
	state->status = status;
	mf_store_release(&state->verdict, 1);
	mf_fence();
	if (mf_load_acquire(&state->parked))
		wake_somebody = true;
}

static void carry_out(void)
{
	int status[CHANNEL];
	bool mine[CHANNEL] = {false};
	int all;

	for (uint32_t i = 0; i < control->channels; i++)
		mine[i] = txns[i].handed;
	pthread_mutex_unlock(&lock);
	all = how();
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < control->channels; i++)
		if (mine[i])
			status[i] = all ? all : apply(&txns[i]);
	pthread_mutex_unlock(&lock);
	__atomic_store_n(&computes, false, __ATOMIC_SEQ_CST);
	if (write(journal, "commit\n", 7) != 7 || fdatasync(journal))
		all = -EIO;
	__atomic_store_n(&computes, true, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&lock);
	control->commits++;
	for (uint32_t i = 0; i < control->channels; i++)
		if (mine[i])
			say(i, status[i]);
}

static void *orders(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!handed_count) {
			__atomic_store_n(&computes, false, __ATOMIC_SEQ_CST);
			pthread_cond_wait(&changed, &lock);
		}
		handed_count = 0;
		carry_out();
		if (wake_somebody) {
			wake_somebody = false;
			pthread_mutex_unlock(&lock);
			mf_sdk_exit(MF_CALL_CHANNEL_WAKE, NULL, 0, 0);
			pthread_mutex_lock(&lock);
		}
	}
	return NULL;
}

/* ---- calls ---- */

static struct txn *txn_of(uint32_t channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);
	struct txn *txn = &txns[channel];
	uint32_t request = mf_load_acquire(&state->request);

	if (txn->open && txn->request == request)
		return txn;
	if (txn->handed)
		return NULL;
	*txn = (struct txn){.request = request, .open = true, .snapshot = version};
	return txn;
}

static int answer(uint32_t channel, const struct mf_abi_message *message, uint32_t *out)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);
	uint32_t bytes = message->size_bytes - (uint32_t)sizeof(*message);
	struct txn *txn = txn_of(channel);
	int status;

	*out = 0;
	if (!txn || txn->handed)
		return -ECANCELED;
	if (mf_load_acquire(&state->order) == MF_STORE_ORDER_LOST)
		return -ECONNRESET;
	status = call(txn, message->function, buffer, bytes, out);
	if (!state->bound) {
		status = status ? status : apply(txn);
		txn->open = false;
	} else if (txn->writes) {
		mf_store_release(&state->pending, 1);
	}
	return status;
}

static void take(uint32_t channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);
	struct mf_abi_channel *window = window_of(channel);
	struct mf_abi_message message;
	struct mf_ring ring;
	struct mf_piece piece = {buffer, 0};
	int status;

	mf_ring_init(&ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES, control->ring_bytes,
		     &window->request_tail, &window->request_head);
	ring.mine = ring.seen = state->request_head;
	if (mf_ring_peek(&ring, &message) != 1 || message.size_bytes > sizeof(buffer))
		return;
	mf_ring_read(&ring, 0, buffer, message.size_bytes - (uint32_t)sizeof(message));
	mf_ring_next(&ring, message.size_bytes);
	state->request_head = ring.mine;
	status = answer(channel, &message, &piece.bytes);
	state->wrote = 1;
	mf_ring_init(&ring, (uint8_t *)window + MF_CHANNEL_HEAD_BYTES + control->ring_bytes,
		     control->ring_bytes, &window->reply_tail, &window->reply_head);
	ring.mine = state->reply_tail;
	ring.seen = mf_load_acquire(&window->reply_head.at);
	state->reply_tail = ring.mine + mf_ring_padded((uint32_t)sizeof(message) + piece.bytes);
	mf_ring_put(&ring, message.function, message.id, status, &piece, 1);
	control->calls++;
}

static bool visit(uint32_t channel)
{
	struct mf_abi_store_channel *state = MF_STORE_CHANNEL(control, channel);
	bool worked = false;

	if (mf_load_acquire(&state->order) == MF_STORE_ORDER_COMMIT && !state->verdict &&
	    !txns[channel].handed) {
		if (txns[channel].open && txns[channel].request == state->request) {
			txns[channel].handed = true;
			handed_count++;
			__atomic_store_n(&computes, true, __ATOMIC_SEQ_CST);
			pthread_cond_signal(&changed);
		} else {
			say(channel, -ECONNRESET);
		}
		worked = true;
	}
	if (mf_load_acquire(&window_of(channel)->request_tail.at) == state->request_head)
		return worked;
	__atomic_store_n(&state->busy, 1, __ATOMIC_RELAXED);
	mf_fence();
	if (control->active[channel / 64] >> (channel % 64) & 1)
		take(channel);
	mf_fence();
	if (mf_load_acquire(&state->parked))
		wake_somebody = true;
	mf_store_release(&state->busy, 0);
	return true;
}

static bool look(void)
{
	bool worked = false;
	bool wake;

	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < control->channels; i++)
		if (__atomic_load_n(&control->active[i / 64], __ATOMIC_ACQUIRE) >> (i % 64) & 1)
			worked |= visit(i);
	wake = wake_somebody;
	wake_somebody = false;
	control->turns++;
	pthread_mutex_unlock(&lock);
	if (wake)
		mf_sdk_exit(MF_CALL_CHANNEL_WAKE, NULL, 0, 0);
	return worked;
}

/* Not while the other thread has something to compute: it is on the same vCPU. */
static bool poll_channels(void)
{
	uint32_t poll_ns = mf_load_acquire(&control->poll_ns);
	uint64_t end = mf_clock_ns() + poll_ns;

	while (poll_ns && !__atomic_load_n(&computes, __ATOMIC_SEQ_CST) && mf_clock_ns() < end) {
		if (look())
			return true;
		mf_relax();
	}
	return false;
}

int main(void)
{
	pthread_t thread;

	if (!mf_inside() || control->magic != MF_STORE_MAGIC || control->channels > CHANNEL)
		return 2;
	journal = open("journal", O_WRONLY | O_CREAT | O_APPEND, 0600);
	if (journal < 0 || pthread_create(&thread, NULL, orders, NULL))
		return 3;
	mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
	for (;;)
		if (!look() && !poll_channels())
			mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
}
