/* SPDX-License-Identifier: MIT */
/* The Redis protocol as anybody may send it: whole, in pieces, cut, changed at random. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest/store/redis/redis.h"

#include "memory.h"

#define PIECES_MAX 64u

static unsigned int dice_state;

static unsigned int dice(unsigned int below)
{
	dice_state = dice_state * 1103515245u + 12345u;
	return (dice_state >> 16) % below;
}

static unsigned int seed(void)
{
	const char *given = getenv("SEED");
	unsigned int from =
		given ? (unsigned int)strtoul(given, NULL, 10) : (unsigned int)time(NULL);

	printf("SEED=%u\n", from);
	dice_state = from;
	return from;
}

/* What a client is answered that sends this, in pieces of that many bytes at most. */
static struct mf_bytes answer(struct client *client, const void *bytes, size_t count, size_t piece)
{
	const uint8_t *at = bytes;

	while (count) {
		size_t now = count < piece ? count : piece;

		cr_assert(client_feed(client, at, now));
		client_work(client);
		at += now;
		count -= now;
	}
	return (struct mf_bytes){buffer_data(&client->reply.out), buffer_bytes(&client->reply.out)};
}

static void expect(const char *sent, const char *said)
{
	size_t piece;

	for (piece = 1; piece <= strlen(sent); piece++) {
		struct client client;
		struct mf_bytes got;

		client_init(&client, 1, 2);
		got = answer(&client, sent, strlen(sent), piece);
		cr_assert(got.length == strlen(said) && !memcmp(got.data, said, got.length),
			  "'%s' in pieces of %zu: '%.*s', not '%s'", sent, piece, (int)got.length,
			  (const char *)got.data, said);
		client_finish(&client);
		memory_clear();
	}
}

Test(parse, takes_commands_in_any_pieces)
{
	expect("*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
	expect("*2\r\n$4\r\nECHO\r\n$5\r\na\r\nb\xff\r\n", "$5\r\na\r\nb\xff\r\n");
	expect("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n+PONG\r\n");
	expect("*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n", "+PONG\r\n");
	expect("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n",
	       "+OK\r\n$0\r\n\r\n");
}

Test(parse, takes_lines_of_words)
{
	expect("PING\r\n", "+PONG\r\n");
	expect("PING\n", "+PONG\r\n");
	expect("\r\n  \r\nping  hi \r\n", "$2\r\nhi\r\n");
	expect("ECHO \"a b\\x41\\n\"\r\n", "$5\r\na bA\n\r\n");
	expect("ECHO 'it\\'s'\r\n", "$4\r\nit's\r\n");
	expect("ECHO \"open\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n");
	expect("ECHO \"a\"b\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n");
}

Test(parse, refuses_what_is_no_command)
{
	expect("*x\r\nPING\r\n", "-ERR Protocol error: invalid multibulk length\r\n");
	expect("*1048577\r\n", "-ERR Protocol error: invalid multibulk length\r\n");
	expect("*99999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n");
	expect("*1\r\nPING\r\n", "-ERR Protocol error: expected '$', got 'P'\r\n");
	expect("*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n");
	expect("*1\r\n$67108865\r\n", "-ERR Protocol error: invalid bulk length\r\n");
	expect("*1\r\n$9223372036854775807\r\n", "-ERR Protocol error: invalid bulk length\r\n");
	expect("*1\r\n$ 4\r\nPING\r\n", "-ERR Protocol error: invalid bulk length\r\n");
}

static void expect_refusal_of_flood(char first, const char *said)
{
	static char flood[PARSE_LINE_MAX + 2];
	struct client client;
	struct mf_bytes got;

	memset(flood, '1', sizeof(flood));
	flood[0] = first;
	client_init(&client, 1, 2);
	got = answer(&client, flood, sizeof(flood), 4096);
	cr_assert(got.length > strlen(said) && !memcmp(got.data, said, strlen(said)), "%.*s",
		  (int)got.length, (const char *)got.data);
	cr_assert(client.closing);
	client_finish(&client);
}

Test(parse, refuses_a_line_without_end)
{
	expect_refusal_of_flood('*', "-ERR Protocol error: too big mbulk count string");
	expect_refusal_of_flood('P', "-ERR Protocol error: too big inline request");
}

static const char promise[] = "*2\r\n$4\r\nECHO\r\n$67108864\r\n";

/* Send some of what was promised. */
static void send_some(struct client *client, size_t bytes)
{
	static uint8_t part[65536];

	for (; bytes && !client->closing; bytes -= sizeof(part)) {
		if (!client_feed(client, part, sizeof(part)))
			client->closing = true;
		client_work(client);
	}
}

Test(parse, large_commands_under_way_leave_room_for_small_ones)
{
	static struct client clients[8];
	unsigned int refused = 0;
	struct client other;
	struct mf_bytes got;
	size_t i;

	for (i = 0; i < 8; i++) {
		client_init(&clients[i], 1, 2);
		answer(&clients[i], promise, strlen(promise), 100);
		cr_assert(!clients[i].closing, "a promise alone takes nothing");
	}
	for (i = 0; i < 8; i++) {
		send_some(&clients[i], 32u << 20);
		refused += clients[i].closing;
	}
	cr_assert(refused && refused < 8, "%u of 8 were refused", refused);
	client_init(&other, 2, 2);
	got = answer(&other, "PING\r\n", 6, 6);
	cr_assert_eq(got.length, 7);
	client_finish(&other);
	for (i = 0; i < 8; i++)
		client_finish(&clients[i]);
}

Test(store, a_full_store_undoes_the_command_that_met_it)
{
	static const char sent[] =
		"*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n";
	struct client client;
	struct mf_bytes got;

	client_init(&client, 1, 2);
	memory_full_after(1);
	got = answer(&client, sent, strlen(sent), 1000);
	cr_assert(got.length > 4 && !memcmp(got.data, "-OOM", 4));
	cr_assert_eq(memory_records(), 0);
	client_finish(&client);
	memory_clear();
}

Test(store, a_full_store_undoes_all_of_exec)
{
	static const char sent[] = "MULTI\r\nSET a 1\r\nSET b 2\r\nEXEC\r\nGET a\r\n";
	static const char said[] = "+OK\r\n+QUEUED\r\n+QUEUED\r\n-OOM ";
	struct client client;
	struct mf_bytes got;

	client_init(&client, 1, 2);
	memory_full_after(1);
	got = answer(&client, sent, strlen(sent), 1000);
	cr_assert(got.length > strlen(said) && !memcmp(got.data, said, strlen(said)));
	cr_assert(!memcmp((const char *)got.data + got.length - 5, "$-1\r\n", 5));
	cr_assert_eq(memory_records(), 0);
	client_finish(&client);
	memory_clear();
}

static const char *const good[] = {
	"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n",
	"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
	"*6\r\n$4\r\nHSET\r\n$1\r\nh\r\n$1\r\nf\r\n$1\r\n1\r\n$1\r\ng\r\n$2\r\n22\r\n",
	"*2\r\n$7\r\nHGETALL\r\n$1\r\nh\r\n",
	"*4\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nMATCH\r\n$3\r\n*a*\r\n",
	"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n",
	"*1\r\n$5\r\nMULTI\r\n",
	"*1\r\n$4\r\nEXEC\r\n",
	"*2\r\n$5\r\nWATCH\r\n$1\r\na\r\n",
	"*3\r\n$6\r\nAPPEND\r\n$1\r\na\r\n$3\r\nxyz\r\n",
	"*4\r\n$8\r\nSETRANGE\r\n$1\r\na\r\n$2\r\n10\r\n$1\r\n!\r\n",
	"*5\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n1\r\n$2\r\nEX\r\n$3\r\n100\r\n",
	"*3\r\n$4\r\nCOPY\r\n$1\r\nh\r\n$1\r\nb\r\n",
	"*1\r\n$7\r\nCOMMAND\r\n",
	"KEYS *\r\n",
	"INCRBYFLOAT n 1.5\r\n",
	"*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$1\r\nx\r\n",
};

/* Some good commands, one after the other, of which some bytes are others, gone, or there twice. */
static size_t make_message(uint8_t *to, size_t room)
{
	unsigned int commands = 1 + dice(4), changes = dice(6);
	size_t count = 0;

	while (commands--) {
		const char *one = good[dice(sizeof(good) / sizeof(good[0]))];

		if (count + strlen(one) > room / 2)
			break;
		memcpy(to + count, one, strlen(one));
		count += strlen(one);
	}
	for (; changes && count; changes--) {
		static const char special[] = "\r\n*$-0123456789\0\xff\"'\\ ";
		size_t at = dice((unsigned int)count);
		size_t span = 1 + dice(8);

		span = span < count - at ? span : count - at;
		if (dice(3) == 0) {
			to[at] = (uint8_t)special[dice(sizeof(special) - 1)];
		} else if (dice(2)) {
			memmove(to + at, to + at + span, count - at - span);
			count -= span;
		} else {
			memmove(to + at + span, to + at, count - at);
			count += span;
		}
	}
	return count;
}

/* The reply's bytes are whole replies, as far as a line tells. */
static void check_reply(struct mf_bytes reply, unsigned int from)
{
	const char *at = reply.data;

	if (!reply.length)
		return;
	cr_assert(strchr("+-:$*%~_=", at[0]), "SEED=%u", from);
	cr_assert(!memcmp(at + reply.length - 2, "\r\n", 2), "SEED=%u", from);
}

Test(parse, survives_messages_that_were_changed_at_random, .timeout = 600)
{
	const char *given = getenv("MESSAGES");
	unsigned long left = given ? strtoul(given, NULL, 10) : 60000;
	unsigned int from = seed();
	static uint8_t message[4096];
	struct client clients[4];
	size_t i;

	for (i = 0; i < 4; i++)
		client_init(&clients[i], 1, 2);
	while (left--) {
		struct client *client = &clients[dice(4)];
		size_t count = make_message(message, sizeof(message));
		struct mf_bytes got = answer(client, message, count, 1 + dice(PIECES_MAX));

		check_reply(got, from);
		buffer_drop(&client->reply.out, got.length);
		if (client->closing || !dice(50)) {
			client_finish(client);
			client_init(client, 1, dice(2) ? 3 : 2);
		}
		if (memory_records() > 500)
			memory_clear();
	}
	for (i = 0; i < 4; i++)
		client_finish(&clients[i]);
	memory_clear();
}
