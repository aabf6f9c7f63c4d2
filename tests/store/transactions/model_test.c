/* SPDX-License-Identifier: MIT */
/*
 * Transactions against a model of them: some requests at a time, whose calls come in any order, do
 * random things to a few keys. The model is two arrays: what is committed, with the number of the
 * commit that wrote it last, and what each request saw at its first call. It says what each call is
 * answered, and which commits are in conflict. MAYFLY_TEST_SEED repeats a run.
 */
#include "tests/store/transactions/desk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define KEYS   12u
#define TABLES 2u
#define ALL    (KEYS * TABLES)

struct cell {
	int64_t value; /* 0: there is none */
	uint64_t commit;
};

struct request {
	bool begun;
	uint64_t commit;  /* that it sees */
	int64_t now[ALL]; /* with its own writes */
	bool read[ALL];
	bool wrote[ALL];
};

static struct cell cells[ALL];
static struct request requests[DESK_CHANNELS];
static uint64_t commits = 1;
static struct desk desk;
static uint64_t dice;
static unsigned int conflicts;
static unsigned int good_commits;

static uint64_t roll(uint64_t below)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return dice % below;
}

static const char *const tables[TABLES] = {"one", "two"};

static const char *key_of(unsigned int cell)
{
	static char name[4][8];
	static unsigned int next;
	char *at = name[next++ % 4];

	snprintf(at, 8, "k%02u", cell % KEYS);
	return at;
}

static bool wrong(const char *what, unsigned int channel, unsigned int cell, int got, int wanted)
{
	printf("      %s of request %u, cell %u: is %d, should be %d\n", what, channel, cell, got,
	       wanted);
	return false;
}

static struct request *sees(unsigned int channel)
{
	struct request *request = &requests[channel];

	if (request->begun)
		return request;
	*request = (struct request){.begun = true, .commit = commits};
	for (unsigned int i = 0; i < ALL; i++)
		request->now[i] = cells[i].value;
	return request;
}

static void reads(struct request *request, unsigned int cell)
{
	/* What it wrote itself it does not read from others. */
	request->read[cell] |= !request->wrote[cell];
}

static void writes(struct request *request, unsigned int cell, int64_t value)
{
	request->now[cell] = value;
	request->wrote[cell] = true;
}

static struct desk_call call_of(uint32_t function, unsigned int cell)
{
	return (struct desk_call){
		.function = function, .table = tables[cell / KEYS], .key = key_of(cell)};
}

static bool do_get(unsigned int channel, unsigned int cell)
{
	struct desk_call call = call_of(MF_KV_GET, cell);
	struct request *request = sees(channel);
	int status = desk_do(&desk, channel, &call);
	int64_t value = 0;

	reads(request, cell);
	if (!status)
		memcpy(&value, desk.reply.data, sizeof(value));
	return value == request->now[cell] ||
	       wrong("a get", channel, cell, (int)value, (int)request->now[cell]);
}

static bool do_put(unsigned int channel, unsigned int cell)
{
	int64_t value = (int64_t)roll(1000000) + 1;
	struct desk_call call = call_of(MF_KV_PUT, cell);
	int status;

	call.value = &value;
	call.value_bytes = sizeof(value);
	writes(sees(channel), cell, value);
	status = desk_do(&desk, channel, &call);
	return !status || wrong("a put", channel, cell, status, 0);
}

static bool do_delete(unsigned int channel, unsigned int cell)
{
	struct desk_call call = call_of(MF_KV_DELETE, cell);
	struct request *request = sees(channel);
	int wanted = request->now[cell] ? 0 : -ENOENT;
	int status = desk_do(&desk, channel, &call);

	reads(request, cell);
	if (!wanted)
		writes(request, cell, 0);
	return status == wanted || wrong("a delete", channel, cell, status, wanted);
}

static bool do_add(unsigned int channel, unsigned int cell)
{
	struct desk_call call = call_of(MF_KV_ADD, cell);
	struct request *request = sees(channel);
	int64_t sum = 0;
	int status;

	call.number = 1 + roll(100);
	status = desk_do(&desk, channel, &call);
	reads(request, cell);
	writes(request, cell, request->now[cell] + (int64_t)call.number);
	memcpy(&sum, desk.reply.data, sizeof(sum));
	return (!status && sum == request->now[cell]) ||
	       wrong("a sum", channel, cell, (int)sum, (int)request->now[cell]);
}

static bool do_swap(unsigned int channel, unsigned int cell)
{
	struct desk_call call = call_of(MF_KV_CAS, cell);
	struct request *request = sees(channel);
	bool right = roll(3);
	int64_t values[2] = {right ? request->now[cell] : -77, (int64_t)roll(1000000) + 1};
	bool absent = right && !request->now[cell];
	int wanted = right ? 0 : request->now[cell] ? -EAGAIN : -ENOENT;
	int status;

	call.value = absent ? &values[1] : values;
	call.value_bytes = absent ? 8 : 16;
	call.number = absent ? MF_KV_ABSENT : 8;
	status = desk_do(&desk, channel, &call);
	reads(request, cell);
	if (!wanted)
		writes(request, cell, values[1]);
	return status == wanted || wrong("a swap", channel, cell, status, wanted);
}

/* The records that came, against those that should, from `cell` on in the direction. */
static bool check_records(unsigned int channel, unsigned int first, unsigned int last, bool reverse,
			  unsigned int limit)
{
	struct request *request = &requests[channel];
	size_t at = 0;

	for (unsigned int i = 0; i <= last - first && limit; i++) {
		unsigned int cell = reverse ? last - i : first + i;
		const uint8_t *from = desk.reply.data + at;

		request->read[cell] = true;
		if (!request->now[cell])
			continue;
		limit--;
		if (desk.reply.bytes < at + 8 + 3 + 8 || memcmp(from + 8, key_of(cell), 3) ||
		    memcmp(from + 11, &request->now[cell], 8))
			return wrong("a scan", channel, cell, (int)desk.reply.bytes, (int)at);
		at += 8 + 3 + 8;
	}
	return at == desk.reply.bytes ||
	       wrong("the end of a scan", channel, last, (int)desk.reply.bytes, (int)at);
}

static bool do_range(unsigned int channel, unsigned int table)
{
	unsigned int first = (unsigned int)roll(KEYS);
	unsigned int last = first + (unsigned int)roll(KEYS - first);
	unsigned int limit = 1 + (unsigned int)roll(roll(2) ? 3 : 100);
	bool reverse = roll(2);
	uint32_t fits = 1 << 20;
	uint8_t value[sizeof(fits) + 4];
	struct desk_call call = call_of(MF_KV_RANGE, table * KEYS + first);
	int status;

	sees(channel);
	memcpy(value, &fits, sizeof(fits));
	memcpy(value + sizeof(fits), key_of(last), 4); /* with a zero: just behind it */
	call.value = value;
	call.value_bytes = sizeof(value);
	call.number = limit | (reverse ? MF_KV_REVERSE : 0);
	status = desk_do(&desk, channel, &call);
	if (status)
		return wrong("a range", channel, first, status, 0);
	return check_records(channel, table * KEYS + first, table * KEYS + last, reverse, limit);
}

/* ---- ends ---- */

static bool conflicts_now(const struct request *request)
{
	for (unsigned int i = 0; i < ALL; i++)
		if (request->read[i] && cells[i].commit > request->commit)
			return true;
	return false;
}

static bool has_written(const struct request *request)
{
	for (unsigned int i = 0; i < ALL; i++)
		if (request->wrote[i])
			return true;
	return false;
}

static void apply(const struct request *request)
{
	if (!has_written(request))
		return;
	commits++;
	good_commits++;
	for (unsigned int i = 0; i < ALL; i++)
		if (request->wrote[i])
			cells[i] = (struct cell){request->now[i], commits};
}

static bool end_by(unsigned int channel, int status, const char *how)
{
	struct request *request = sees(channel);
	int wanted = has_written(request) && conflicts_now(request) ? -EAGAIN : 0;

	if (!wanted)
		apply(request);
	conflicts += wanted != 0;
	request->begun = false;
	return status == wanted || wrong(how, channel, 0, status, wanted);
}

static bool do_order(unsigned int channel)
{
	bool pending = has_written(sees(channel));
	int status;

	if (desk_is_pending(&desk, channel) != pending)
		return wrong("pending", channel, 0, !pending, pending);
	status = desk_commit(&desk, channel);
	if (!end_by(channel, status, "an order"))
		return false;
	desk_begin(&desk, channel, true);
	return true;
}

static bool do_own(unsigned int channel, uint32_t function)
{
	int status;

	desk_submit_bytes(&desk, channel, function, NULL, 0);
	status = desk_collect(&desk, channel);
	if (function == MF_KV_COMMIT)
		return end_by(channel, status, "a commit");
	requests[channel].begun = false;
	return !status || wrong("a rollback", channel, 0, status, 0);
}

static bool do_drop(unsigned int channel)
{
	requests[channel].begun = false;
	desk_begin(&desk, channel, true);
	return true;
}

static bool step(unsigned int channel)
{
	unsigned int cell = (unsigned int)roll(ALL);

	switch (roll(24)) {
	case 0:
	case 1:
	case 2:
	case 3:
		return do_put(channel, cell);
	case 4:
	case 5:
		return do_delete(channel, cell);
	case 6:
	case 7:
		return do_add(channel, cell);
	case 8:
	case 9:
		return do_swap(channel, cell);
	case 10:
	case 11:
	case 12:
		return do_range(channel, cell / KEYS);
	case 13:
	case 14:
	case 15:
		return do_order(channel);
	case 16:
		return do_own(channel, roll(2) ? MF_KV_COMMIT : MF_KV_ROLLBACK);
	case 17:
		return !roll(3) ? do_drop(channel) : true;
	default:
		return do_get(channel, cell);
	}
}

/* All that is there, by a new request. */
static bool is_all_there(void)
{
	desk_begin(&desk, 0, true);
	requests[0].begun = false;
	for (unsigned int i = 0; i < ALL; i++)
		if (!do_get(0, i))
			return false;
	desk_end(&desk, 0);
	requests[0].begun = false;
	return true;
}

static bool run(unsigned int steps)
{
	bool good = true;

	for (unsigned int i = 0; i < DESK_CHANNELS; i++)
		desk_begin(&desk, i, true);
	while (good && steps--)
		good = step((unsigned int)roll(DESK_CHANNELS));
	for (unsigned int i = 0; i < DESK_CHANNELS; i++) {
		desk_end(&desk, i);
		requests[i].begun = false;
	}
	return good && is_all_there();
}

int main(void)
{
	const char *text = getenv("MAYFLY_TEST_SEED");
	unsigned int steps = getenv("MAYFLY_TEST_LONG")  ? 200000
			     : getenv("MAYFLY_EMULATED") ? 60
							 : 2500;
	bool good;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (text)
		dice = strtoull(text, NULL, 0);
	else if (getrandom(&dice, sizeof(dice), 0) != sizeof(dice))
		abort();
	printf("MAYFLY_TEST_SEED=%#llx\n", (unsigned long long)dice);
	dice |= 1;
	if (!desk_init(&desk)) {
		printf("SKIP transactions: no /dev/kvm\n");
		return 0;
	}
	desk_start(&desk, "33554432");
	good = run(steps);
	desk_stop(&desk);
	desk_start(&desk, "33554432"); /* the same after a start */
	good = good && is_all_there();
	desk_stop(&desk);
	desk_finish(&desk);
	printf("      %u commits, %u conflicts\n", good_commits, conflicts);
	printf("%u passed, %u failed\n", good, !good);
	return good ? 0 : 1;
}
