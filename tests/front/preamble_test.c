// SPDX-License-Identifier: MIT
/* What proxies say first: what is one, what is none, and that the verdict never depends on the
 * split. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "request-vm/front/preamble.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IN_BYTES  "\x0a\1\2\3\x0a\0\0\1\x30\x39\x00\x50"
#define BINARY(command, family, length, rest) \
	SIGNATURE command family length rest, sizeof(SIGNATURE command family length rest) - 1
#define LINE(text) text "\r\n", sizeof(text) + 1

struct row {
	const char *bytes;
	size_t size;
	const char *from; /* "": it says nothing; NULL: it is none */
};

/* As text: ADDRESS PORT, or a path. */
static void tell(const struct mf_preamble *preamble, char *text, size_t room)
{
	const struct sockaddr_in6 *in6 = (const void *)&preamble->from;
	const struct sockaddr_in *in = (const void *)&preamble->from;
	const struct sockaddr_un *un = (const void *)&preamble->from;
	char address[INET6_ADDRSTRLEN];

	text[0] = '\0';
	if (!preamble->from_bytes)
		return;
	if (preamble->from.ss_family == AF_UNIX)
		snprintf(text, room, "%.*s",
			 (int)(preamble->from_bytes - offsetof(struct sockaddr_un, sun_path)),
			 un->sun_path);
	else if (preamble->from.ss_family == AF_INET)
		snprintf(text, room, "%s %u",
			 inet_ntop(AF_INET, &in->sin_addr, address, sizeof(address)),
			 ntohs(in->sin_port));
	else
		snprintf(text, room, "%s %u",
			 inet_ntop(AF_INET6, &in6->sin6_addr, address, sizeof(address)),
			 ntohs(in6->sin6_port));
}

/* The verdict, and how many bytes it took; fed in two pieces and then byte by byte. */
static enum mf_preamble_state feed(struct mf_preamble *preamble, const char *bytes, size_t size,
				   size_t cut, size_t *taken)
{
	enum mf_preamble_state state = MF_PREAMBLE_MORE;
	size_t used, step;

	*preamble = (struct mf_preamble){0};
	for (*taken = 0; *taken < size && state == MF_PREAMBLE_MORE; *taken += used) {
		step = *taken < cut ? cut - *taken : cut == size ? size : 1;
		state = mf_preamble_feed(preamble, bytes + *taken, step, &used);
		cr_assert(used <= step && (used == step || state != MF_PREAMBLE_MORE));
	}
	return state;
}

#define NINETY                                                                                     \
	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
	"xx"

static const struct row rows[] = {
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443"), "192.0.2.1 56324"},
	{LINE("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), "255.255.255.255 65535"},
	{LINE("PROXY TCP6 2001:db8::1 ::1 1 0"), "2001:db8::1 1"},
	{LINE("PROXY UNKNOWN"), ""},
	{LINE("PROXY UNKNOWN whatever \t follows"), ""},
	{LINE("PROXY UNKNOWN " NINETY "x"), ""}, /* 107 bytes */
	{LINE("PROXY UNKNOWN " NINETY "xx"), NULL},
	{LINE("PROXY"), NULL},
	{LINE("PROXY "), NULL},
	{LINE("PROXY UDP4 192.0.2.1 192.0.2.2 1 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 1"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 "), NULL},
	{LINE("PROXY TCP4  192.0.2.1 192.0.2.2 1 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 99999999999 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 01 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 -1 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.256 192.0.2.2 1 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.01 192.0.2.2 1 2"), NULL},
	{LINE("PROXY TCP4 ::1 ::1 1 2"), NULL},
	{LINE("PROXY TCP6 192.0.2.1 192.0.2.2 1 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 localhost 1 2"), NULL},
	{LINE("proxy TCP4 192.0.2.1 192.0.2.2 1 2"), NULL},
	{LINE("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\0 3"), NULL},
	{"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", 35, NULL},
	{"PROXY UNKNOWN\n", 14, NULL},
	{LINE("GET / HTTP/1.1"), NULL},
	{BINARY("\x21", "\x11", "\0\x0c", IN_BYTES), "10.1.2.3 12345"},
	{BINARY("\x21", "\x11", "\0\x10", IN_BYTES "\4\0\1x"), "10.1.2.3 12345"},
	{BINARY("\x21", "\x11", "\0\x0f", IN_BYTES "\x4e\0\0"), "10.1.2.3 12345"},
	{BINARY("\x21", "\x11", "\0\x10", IN_BYTES "\4\0\2x"), NULL},
	{BINARY("\x21", "\x11", "\0\x0e", IN_BYTES "\4\0"), NULL},
	{BINARY("\x21", "\x11", "\0\x0b", IN_BYTES), NULL},
	{BINARY("\x21", "\x21", "\0\x24",
		"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
		"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
		"\1\0\0\1"),
	 "2001:db8::1 256"},
	{BINARY("\x20", "\0", "\0\0", ""), ""},
	{BINARY("\x20", "\x11", "\0\x0c", IN_BYTES), ""}, /* the proxy's own: it says nothing */
	{BINARY("\x20", "\xff", "\0\1", "x"), ""},
	{BINARY("\x21", "\0", "\0\3", "any"), ""},
	{BINARY("\x22", "\x11", "\0\x0c", IN_BYTES), NULL},
	{BINARY("\x11", "\x11", "\0\x0c", IN_BYTES), NULL},
	{BINARY("\x21", "\x12", "\0\x0c", IN_BYTES), NULL}, /* datagrams */
	{BINARY("\x21", "\x10", "\0\x0c", IN_BYTES), NULL},
	{BINARY("\x21", "\x41", "\0\x0c", IN_BYTES), NULL},
	{BINARY("\x20", "\0", "\x07\xf1", ""), NULL}, /* 2,049 bytes */
	{"\r\n\r\nGET / HTTP/1.1\r\n", 20, NULL},
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void expect(const struct row *row, const char *bytes, size_t size, size_t cut, size_t i)
{
	struct mf_preamble preamble;
	char text[256];
	size_t taken;
	enum mf_preamble_state state = feed(&preamble, bytes, size, cut, &taken);

	if (!row->from) {
		cr_assert_eq(state, MF_PREAMBLE_BAD, "row %zu, cut at %zu", i, cut);
		return;
	}
	tell(&preamble, text, sizeof(text));
	cr_assert_eq(state, MF_PREAMBLE_DONE, "row %zu, cut at %zu", i, cut);
	cr_assert_str_eq(text, row->from, "row %zu, cut at %zu", i, cut);
	cr_assert_eq(taken, row->size, "row %zu, cut at %zu: %zu bytes taken", i, cut, taken);
}

Test(preamble, what_proxies_say_is_read_however_it_is_split_and_nothing_behind_it)
{
	char bytes[512];

	for (size_t i = 0; i < ROWS; i++) {
		memcpy(bytes, rows[i].bytes, rows[i].size);
		memcpy(bytes + rows[i].size, "GET / HTTP/1.1\r\n", 16);
		for (size_t cut = 0; cut <= rows[i].size; cut++)
			expect(&rows[i], bytes, rows[i].size + 16, cut, i);
		expect(&rows[i], bytes, rows[i].size + 16, rows[i].size + 16, i);
	}
}

Test(preamble, clients_of_unix_sockets_have_paths_or_nothing)
{
	static const struct row named = {.size = 16 + 216, .from = "/run/client"};
	static const struct row unnamed = {.size = 16 + 216, .from = ""};
	char bytes[16 + 216] = SIGNATURE "\x21\x31\0\xd8";

	strcpy(bytes + 16, "/run/client");
	strcpy(bytes + 16 + 108, "/run/server");
	expect(&named, bytes, sizeof(bytes), 20, 0);
	bytes[16] = '\0';
	expect(&unnamed, bytes, sizeof(bytes), 20, 1);
}

Test(preamble, one_of_the_largest_size_is_read_and_no_larger_one)
{
	static const struct row largest = {.size = MF_PREAMBLE_MAX, .from = "10.1.2.3 12345"};
	static char bytes[MF_PREAMBLE_MAX] = SIGNATURE "\x21\x11\x07\xf0" IN_BYTES;
	size_t field = sizeof(bytes) - 16 - 12 - 3;

	bytes[28] = 4;
	bytes[29] = (char)(field >> 8);
	bytes[30] = (char)field;
	expect(&largest, bytes, sizeof(bytes), sizeof(bytes), 0);
	expect(&largest, bytes, sizeof(bytes), 17, 0);
}

/* A byte of one of the rows, changed, taken out or put in; or a row's length. */
static size_t mutate(char *bytes, size_t size, unsigned int *seed)
{
	size_t at = (size_t)rand_r(seed) % size;

	switch (rand_r(seed) % 4) {
	case 0:
		bytes[at] = (char)rand_r(seed);
		return size;
	case 1:
		memmove(bytes + at, bytes + at + 1, size - at - 1);
		return size > 1 ? size - 1 : size;
	case 2:
		memmove(bytes + at + 1, bytes + at, size - at);
		bytes[at] = " \r\n\0:.0123456789P\x11\x21"[rand_r(seed) % 20];
		return size + 1;
	default:
		bytes[at] ^= (char)(1 << rand_r(seed) % 8);
		return size;
	}
}

Test(preamble, mutated_ones_are_judged_the_same_however_split)
{
	const char *given = getenv("MAYFLY_SEED");
	unsigned int first = given ? (unsigned int)strtoul(given, NULL, 10)
				   : (unsigned int)getpid(),
		     seed = first;
	size_t rounds = getenv("MAYFLY_TEST_LONG") ? 2000000 : 50000;

	printf("seed %u\n", first);
	for (size_t round = 0; round < rounds; round++) {
		const struct row *row = &rows[(size_t)rand_r(&seed) % ROWS];
		struct mf_preamble whole, pieces;
		size_t size = row->size, taken, taken_in_pieces;
		char bytes[512];
		enum mf_preamble_state state;

		memcpy(bytes, row->bytes, size);
		for (int changes = rand_r(&seed) % 4; changes >= 0; changes--)
			size = mutate(bytes, size, &seed);
		state = feed(&whole, bytes, size, size, &taken);
		cr_assert_eq(
			state,
			feed(&pieces, bytes, size, (size_t)rand_r(&seed) % size, &taken_in_pieces),
			"seed %u", first);
		cr_assert_eq(taken, taken_in_pieces, "seed %u", first);
		cr_assert(state == MF_PREAMBLE_BAD ||
				  (whole.from_bytes == pieces.from_bytes &&
				   !memcmp(&whole.from, &pieces.from, whole.from_bytes)),
			  "seed %u", first);
		cr_assert(state != MF_PREAMBLE_MORE || taken == size, "seed %u", first);
	}
}
