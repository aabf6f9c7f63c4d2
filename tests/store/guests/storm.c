/* SPDX-License-Identifier: MIT */
/*
 * Messages of all kinds as fast as they come: "/storm?SEED" fills the request ring again and again
 * with calls of which some bytes are others, writes into what is under way, says indices and sizes
 * that cannot be, and looks at the replies' headers alone. "/resp?SEED" does the like over a
 * connection to the store. "/place?SEED" reads in place while it writes over all that it is told of
 * that and lies about what it has read; now and then it goes where nothing may be read or written,
 * and ends by it. They say how many messages were answered, or reads made, with a status that drops
 * what they wrote.
 */
#include "store_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mayfly/abi/place.h>
#include <mayfly/abi/store.h>
#include <mayfly/abi/store_admin.h>
#include <mayfly/store.h>

#define MESSAGES    60000u /* of a request, at most */
#define ROUND       2000u  /* between two attacks, or none, at most */
#define ATTACK_IN   25u    /* rounds */
#define SPIN_NS     200000ull
#define PATIENCE_NS 20000000ull
#define PAYLOAD_MAX 2048u
#define COMMANDS    400u /* sent at a time */

static struct mf_abi_channel *const header = (void *)MF_CHANNEL_VA;
static uint64_t state;
static struct mf_ring requests, replies;
static unsigned long answered;
static bool broke;   /* what comes from here on may be its own */
static bool commits; /* else it writes, to be dropped, where honest ones do */
static char said[64];

static uint32_t dice(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) * below >> 32);
}

static bool one_in(uint32_t count)
{
	return dice(count) == 0;
}

static void begin(unsigned long seed)
{
	state = seed * 0x9e3779b97f4a7c15ull + 0x2545f4914f6cdd1dull;
	state += !state;
	for (int i = 0; i < 20; i++) /* similar seeds begin alike */
		dice(2);
	commits = seed % 2;
	answered = 0;
	broke = false;
}

static void tell(void)
{
	int bytes = snprintf(said, sizeof(said), "answered %lu", answered);

	mf_respond(500, "text/plain", said, (size_t)bytes);
}

/* ---- calls ---- */

/* A number that is on an edge of something, or none. */
static uint64_t edge(void)
{
	static const uint64_t edges[] = {0,
					 1,
					 7,
					 8,
					 63,
					 64,
					 511,
					 512,
					 10000,
					 10001,
					 0xffff,
					 1u << 20,
					 (1u << 20) + 1,
					 64u << 20,
					 (64u << 20) + 1,
					 0x7fffffff,
					 0x80000000,
					 0xffffffff,
					 1ull << 32,
					 1ull << 63,
					 UINT64_MAX,
					 UINT64_MAX - 7};

	return one_in(4) ? state : edges[dice(sizeof(edges) / sizeof(edges[0]))];
}

static size_t append(uint8_t *to, size_t at, const void *bytes, size_t count)
{
	memcpy(to + at, bytes, count);
	return at + count;
}

/* The payload of a call that could be an honest one's. */
static size_t fill_call(uint8_t *to, uint32_t function)
{
	static const char *const tables[] = {"storm", "other",   "redis",
					     ".none", "honest0", "honest1"};
	const char *table = tables[one_in(4) ? dice(commits ? 4 : 6) : 0];
	struct mf_abi_kv_whole whole = {100, 0};
	struct mf_abi_kv head = {(uint16_t)strlen(table), 2, 0, one_in(8) ? edge() : 1 + dice(20)};
	uint8_t value[128] = "some value";
	uint32_t room = 4096;
	uint8_t key[2] = {'k', (uint8_t)('0' + dice(40))};
	size_t at = sizeof(head);

	if (function == MF_KV_CAS)
		head.number = one_in(3) ? MF_KV_ABSENT : dice(40);
	if (function == MF_KV_SCAN || function == MF_KV_RANGE || function == MF_KV_GET_PART)
		memcpy(value, &room, sizeof(room));
	else if (function == MF_KV_PUT_PART)
		memcpy(value, &whole, sizeof(whole));
	head.value_bytes = function == MF_KV_GET_PART ? sizeof(room) : dice(sizeof(value));
	at = append(to, at, table, head.table_bytes);
	at = append(to, at, key, sizeof(key));
	at = append(to, at, value, head.value_bytes);
	memcpy(to, &head, sizeof(head));
	return at;
}

static uint32_t choose(void)
{
	static const uint32_t common[] = {
		MF_KV_GET,    MF_KV_GET,     MF_KV_PUT,      MF_KV_DELETE,
		MF_KV_SCAN,   MF_KV_CAS,     MF_KV_ADD,      MF_KV_GET,
		MF_KV_EXPIRE, MF_KV_EXPIRES, MF_KV_PUT_PART, MF_KV_GET_PART,
		MF_KV_RANGE,  MF_KV_GET,     MF_KV_BATCH,    MF_STORE_RESOLVE};
	static const uint32_t rare[] = {
		MF_KV_BEGIN, MF_KV_ROLLBACK, MF_KV_DURABILITY, MF_KV_STREAM, 18, 31, 33};

	if (one_in(4000)) /* waits for the disk, or looks at every table */
		return commits ? MF_KV_COMMIT : MF_KV_STAT;
	if (one_in(500))
		return MF_ADMIN_STAT + dice(10);
	if (one_in(200))
		return (uint32_t)state | 64;
	return one_in(30) ? rare[dice(7)] : common[dice(16)];
}

static size_t fill_batch(uint8_t *to)
{
	uint32_t count = 1 + dice(4);
	size_t at = 0;

	while (count--) {
		struct mf_abi_kv_one one = {.function = choose()};

		if (one.function == MF_KV_COMMIT)
			one.function = MF_KV_GET;
		one.bytes = (uint32_t)fill_call(to + at + sizeof(one), one.function);
		memcpy(to + at, &one, sizeof(one));
		at = (at + sizeof(one) + one.bytes + 7) & ~(size_t)7;
	}
	return at;
}

/* Some bytes are others, more, or gone. */
static size_t change(uint8_t *to, size_t bytes)
{
	uint32_t left = 1 + dice(3);

	while (left--) {
		uint64_t value = edge();
		size_t at = dice(one_in(2) ? sizeof(struct mf_abi_kv) : PAYLOAD_MAX - 8);

		if (one_in(4))
			bytes = dice(one_in(4) ? PAYLOAD_MAX : 64);
		else
			memcpy(to + at, &value, (size_t)1 << dice(4));
	}
	return bytes;
}

static int ask_something(void)
{
	static uint8_t payload[PAYLOAD_MAX];
	uint32_t function = choose();
	struct mf_piece piece = {payload, 0};
	size_t bytes = function == MF_KV_BATCH ? fill_batch(payload) : fill_call(payload, function);

	if (one_in(2))
		bytes = change(payload, bytes);
	piece.bytes = (uint32_t)bytes;
	return mf_ring_put(&requests, function, state, (int32_t)dice(2), &piece, 1);
}

/* ---- what is no call ---- */

/* Into what is under way, as it is read: headers and payloads. */
static void rewrite(void)
{
	uint32_t left = 1 + dice(16);

	while (left--) {
		uint32_t at = requests.mine - dice(requests.mask + 1) % 32768;
		uint64_t value = one_in(3) ? edge() : dice(300);

		memcpy(requests.bytes + (at & requests.mask & ~7u), &value, one_in(2) ? 8 : 4);
	}
}

/* What the rules forbid: the channel is lost by it. */
static void break_a_rule(void)
{
	uint32_t value = (uint32_t)edge();

	broke = true;
	switch (dice(4)) {
	case 0:
		(&header->request_tail)[dice(4)].at = value;
		break;
	case 1:
		header->reply_head.at += one_in(2) ? 8 * dice(1000) : dice(8);
		break;
	case 2:
		header->request_tail.at = requests.mine + (one_in(2) ? 8 * dice(400000) : dice(8));
		break;
	default:
		ask_something();
		memcpy(requests.bytes + (requests.mine & requests.mask), &value, sizeof(value));
		header->request_tail.at = requests.mine + 8 * (1 + dice(4));
	}
}

/* ---- the ring, over and over ---- */

static bool take_replies(void)
{
	struct mf_abi_message message;
	bool some = false;

	while (mf_ring_peek(&replies, &message) == 1) {
		mf_ring_next(&replies, message.size_bytes);
		answered += !broke;
		some = true;
	}
	return some;
}

/* Bytes that nobody has taken yet. */
static uint32_t waiting(void)
{
	return requests.mine - mf_load_acquire(&header->request_head.at);
}

/* The views see what this program itself wrote where it should not. */
static bool is_lost(void)
{
	return requests.broken || replies.broken;
}

/* Until no more than `most` wait. False: nothing moves any more. */
static bool await(uint32_t most, bool patient)
{
	uint64_t span = patient ? SPIN_NS : PATIENCE_NS;
	uint64_t end = mf_clock_ns() + span;

	for (;;) {
		bool some = take_replies();

		if (waiting() <= most || is_lost())
			return !is_lost();
		mf_relax();
		if (some)
			end = mf_clock_ns() + span;
		if (mf_clock_ns() < end)
			continue;
		if (!patient)
			return false;
		mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
		end = mf_clock_ns() + span;
	}
}

/* The ring is full most of the time: neither side waits for the other. */
static void one_round(void)
{
	uint32_t count = 1 + dice(ROUND);

	while (count--) {
		while (ask_something())
			if (!await(requests.mask / 2, true))
				return;
		if (count % 16 == 0)
			take_replies();
	}
}

/* False: the channel is likely lost. */
static bool one_attack(void)
{
	if (one_in(2)) {
		rewrite();
		return await(0, false);
	}
	await(0, true); /* what was sent counts */
	break_a_rule();
	ask_something(); /* its reply needs what was broken */
	await(0, false);
	return false;
}

static void storm(const struct mf_request *request, unsigned long seed)
{
	begin(seed);
	if (mf_channel_open(header, mf_channel_bytes(header->ring_bytes), &requests, &replies))
		abort();
	do
		one_round();
	while (answered < MESSAGES && !is_lost() && (!one_in(ATTACK_IN) || one_attack()));
	if (!broke)
		await(0, false);
	tell();
}

/* ---- the same over a connection ---- */

static const char *const words[] = {
	"a",       "b",       "h",       "f",         "1",  "-1",  "0",    "9223372036854775807",
	"*",       "MATCH",   "COUNT",   "EX",        "PX", "NX",  "XX",   "GET",
	"KEEPTTL", "3.5e300", "inf",     "[a-",       "\\", "nan", "1000", "\xff",
	"",        "x",       "PERSIST", "WITHVALUES"};
static const char *const commands[] = {
	"GET",    "SET",        "SETRANGE", "GETRANGE", "APPEND",  "INCRBY",  "INCRBYFLOAT",
	"MGET",   "MSET",       "HSET",     "HGET",     "HGETALL", "HINCRBY", "HDEL",
	"HSCAN",  "SCAN",       "DEL",      "EXISTS",   "EXPIRE",  "TTL",     "TYPE",
	"RENAME", "COPY",       "KEYS",     "MULTI",    "EXEC",    "DISCARD", "WATCH",
	"PING",   "ECHO",       "HELLO",    "CLIENT",   "OBJECT",  "GETEX",   "STRLEN",
	"NOSUCH", "HRANDFIELD", "DBSIZE",   "COMMAND",  "SELECT"};

static size_t fill_command(char *to, size_t room)
{
	uint32_t count = dice(5);
	const char *name = commands[dice(sizeof(commands) / sizeof(commands[0]))];
	size_t at =
		(size_t)snprintf(to, room, "*%u\r\n$%zu\r\n%s\r\n", count + 1, strlen(name), name);

	while (count--) {
		const char *word = words[dice(sizeof(words) / sizeof(words[0]))];

		at += (size_t)snprintf(to + at, room - at, "$%zu\r\n%s\r\n", strlen(word), word);
	}
	return at;
}

/* Now and then bytes of it are others: the connection is lost by most of that. */
static void spoil(char *text, size_t bytes)
{
	static const char special[] = "\r\n*$-0123456789\0\xff\"' ";
	uint32_t left = 1 + dice(8);

	while (left--)
		text[dice((uint32_t)bytes)] = special[dice(sizeof(special) - 1)];
}

/* Send all of it and take what comes, until `mark` ends what came. False: the connection ended. */
static bool talk(int fd, const char *text, size_t bytes, const char *mark)
{
	static char got[65536];
	size_t have = 0, mark_bytes = strlen(mark);
	struct pollfd wait = {.fd = fd};

	for (;;) {
		ssize_t count = bytes ? send(fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

		if (count > 0)
			text += count, bytes -= (size_t)count;
		if (count < 0 && errno != EAGAIN)
			return false;
		count = recv(fd, got + have, sizeof(got) - have, MSG_DONTWAIT);
		if (!count || (count < 0 && errno != EAGAIN))
			return false;
		if (count > 0) {
			have += (size_t)count;
			if (have >= mark_bytes &&
			    !memcmp(got + have - mark_bytes, mark, mark_bytes))
				return true;
			if (have > sizeof(got) / 2) {
				memmove(got, got + have - mark_bytes, mark_bytes);
				have = mark_bytes;
			}
			continue;
		}
		wait.events = (short)(POLLIN | (bytes ? POLLOUT : 0));
		poll(&wait, 1, -1);
	}
}

static int dial(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX, .sun_path = "/run/mayfly/redis.sock"};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)))
		abort();
	return fd;
}

/* Commands, and one whose reply shows that all of them were answered. */
static bool converse(int fd, unsigned long number)
{
	static char text[COMMANDS * 256];
	char mark[64], word[32];
	uint32_t count = 1 + dice(COMMANDS), i;
	size_t bytes = 0;

	for (i = 0; i < count; i++)
		bytes += fill_command(text + bytes, sizeof(text) - bytes);
	if (one_in(4))
		spoil(text, bytes);
	snprintf(word, sizeof(word), "mark%016lx", number);
	bytes += (size_t)snprintf(text + bytes, sizeof(text) - bytes,
				  "*1\r\n$7\r\nDISCARD\r\n*2\r\n$4\r\nECHO\r\n$20\r\n%s\r\n", word);
	snprintf(mark, sizeof(mark), "$20\r\n%s\r\n", word);
	if (!talk(fd, text, bytes, mark))
		return false;
	answered += count + 2;
	return true;
}

static void resp(const struct mf_request *request, unsigned long seed)
{
	unsigned long number = 0;
	uint32_t left = 12;

	begin(seed);
	while (left--) {
		int fd = dial();

		while (answered < MESSAGES && converse(fd, ++number))
			;
		close(fd);
	}
	tell();
}

/* ---- the store's file ---- */

#define LOOKS 5000u /* of a request */
#define FATAL \
	20000u /* looks, of which one goes where nothing is, or where nothing may be written */
#define OUTSIDE 5000u /* words written over, of which one says how much is mapped */

static struct mf_abi_place *const place = (void *)(MF_CHANNEL_VA + MF_PLACE_OFFSET);

static void look_in_place(void)
{
	static const char *const tables[] = {"storm", "honest0", "honest1", "other", ".mayfly"};
	static uint8_t value[65536];
	const char *table = tables[dice(5)];
	char key[8];
	struct mf_bytes found = {key, (size_t)snprintf(key, sizeof(key), "%u", dice(50))};
	size_t bytes;

	if (one_in(200))
		mf_store_get(table, found, value, sizeof(value), &bytes);
	else if (one_in(500))
		mf_store_put("storm", found, MF_STRING("a value"));
	else if (!mf_store_view(table, found, &found) && found.length)
		*(volatile uint8_t *)value = ((const uint8_t *)found.data)[found.length - 1];
	answered++;
}

/* What it is told about the place, and what it says itself; and what a look comes to then. */
static void write_over_place(const struct mf_abi_place *told)
{
	uint32_t left = 1 + dice(4);

	while (left--) {
		uint64_t value = one_in(2) ? edge() : dice(2000);

		memcpy((uint8_t *)place + 4 * dice(sizeof(*place) / 4 - 1), &value,
		       one_in(2) ? 8 : 4);
	}
	if (!one_in(OUTSIDE)) { /* behind that it ends by its own fault */
		place->pages = told->pages;
		place->bytes = told->bytes;
		place->page_bytes = told->page_bytes;
	}
	look_in_place();
	if (!one_in(4))
		memcpy(place, told, offsetof(struct mf_abi_place, log_bytes));
}

static void go_outside(void)
{
	volatile uint8_t *at = (volatile uint8_t *)MF_PLACE_VA;

	if (one_in(2))
		at[state % place->bytes] = 1;
	else
		at[place->bytes + state % (16ull << 30)] += 1;
}

/* About what it has read, when it is asked for that. */
static void lie(void)
{
	uint32_t count = dice(MF_PLACE_LOG_BYTES / 4), i;

	for (i = 0; i < count; i++) {
		uint32_t word = one_in(4) ? (uint32_t)edge() : dice(64);

		memcpy(place->log + dice(MF_PLACE_LOG_BYTES - 4), &word, sizeof(word));
	}
	for (i = 0; i < MF_PLACE_USED; i++)
		place->used[i] = (uint32_t)state * i;
	place->used_count = (uint32_t)edge();
	place->hits = (uint32_t)edge();
	mf_store_release(&place->log_bytes,
			 one_in(2) ? (uint32_t)edge() : dice(MF_PLACE_LOG_BYTES + 8));
}

static void in_place(const struct mf_request *request, unsigned long seed)
{
	struct mf_abi_place told;

	begin(seed);
	memcpy(&told, place, sizeof(told));
	while (answered < LOOKS) {
		if (one_in(FATAL))
			go_outside();
		else if (one_in(3))
			write_over_place(&told);
		else
			look_in_place();
	}
	memcpy(place, &told, offsetof(struct mf_abi_place, log_bytes));
	mf_store_put("storm", MF_STRING("k"), MF_STRING("v"));
	lie();
	if (commits)
		mf_store_commit();
	lie();
	tell();
}

const struct target storm_targets[] = {
	{"storm", storm},
	{"resp", resp},
	{"place", in_place},
	{NULL, NULL},
};
