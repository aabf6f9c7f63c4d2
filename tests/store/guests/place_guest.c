/* SPDX-License-Identifier: MIT */
/*
 * A served program that reads its store in place: targets are /NAME?NUMBER. All keys that "fill"
 * writes have one version, so that a request that sees two of them has seen no snapshot.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mayfly/abi/place.h>
#include <mayfly/abi/ring_ops.h>
#include <mayfly/abi/store.h>
#include <mayfly/sdk.h>
#include <mayfly/store.h>

#define KEYS       64u
#define LARGE_LINE 6000u

static const struct mf_abi_channel *const channel = (void *)MF_CHANNEL_VA;
static struct mf_abi_place *const place = (void *)(MF_CHANNEL_VA + MF_PLACE_OFFSET);
static char text[512];
static uint64_t value[1024];

static void say(const char *what)
{
	mf_respond(200, "text/plain", what, strlen(what));
}

static struct mf_bytes key_of(unsigned long number, char at[32])
{
	return (struct mf_bytes){at, (size_t)snprintf(at, 32, "key-%06lu", number)};
}

/* Some are so long that they have pages of their own. */
static size_t words_of(unsigned long key)
{
	return key % 8 ? 4 + key : LARGE_LINE / 8;
}

static void fill(unsigned long version)
{
	int ret = 0;

	for (unsigned long key = 0; key < KEYS && !ret; key++) {
		char at[32];

		for (size_t i = 0; i < words_of(key); i++)
			value[i] = version;
		ret = mf_store_put("t", key_of(key, at),
				   (struct mf_bytes){value, 8 * words_of(key)});
	}
	say(ret ? strerror(-ret) : "filled");
}

/* Values of many keys, to make the file as large as is wanted: MiB. */
static void grow(unsigned long number)
{
	static char large[1 << 20];
	char at[32];
	int ret;

	memset(large, 'x', sizeof(large));
	ret = mf_store_put("large", key_of(number, at), (struct mf_bytes){large, sizeof(large)});
	say(ret ? strerror(-ret) : "grown");
}

/* Its first and last byte; 0: another. *in_place: it was. */
static int look_at_large(unsigned long number, bool *in_place)
{
	static char large[1 << 20];
	struct mf_bytes found;
	char at[32];
	size_t bytes = 0;
	int ret = mf_store_view("large", key_of(number, at), &found);

	*in_place = !ret;
	if (ret == -EOPNOTSUPP) {
		ret = mf_store_get("large", key_of(number, at), large, sizeof(large), &bytes);
		found = (struct mf_bytes){large, bytes};
	}
	if (ret)
		return ret;
	return found.length == sizeof(large) && ((const char *)found.data)[0] == 'x' &&
			       ((const char *)found.data)[sizeof(large) - 1] == 'x'
		       ? 0
		       : -EBADMSG;
}

/* Of so many large values: how many were found in place. */
static void large(unsigned long count)
{
	unsigned int found = 0;
	int ret = 0;

	for (unsigned long i = 0; i < count && !ret; i++) {
		bool in_place;

		ret = look_at_large(i, &in_place);
		found += in_place;
	}
	snprintf(text, sizeof(text), "%d %u", ret, found);
	say(text);
}

static uint64_t version_of(const struct mf_bytes *found, unsigned long key, bool *torn)
{
	const uint64_t *words = found->data;

	*torn |= found->length != 8 * words_of(key);
	for (size_t i = 1; i < found->length / 8; i++)
		*torn |= words[i] != words[0];
	return words[0];
}

/* So many reads, in place and over the ring (`ring`: every so many), of one version. */
static void reads(unsigned long count, unsigned long ring)
{
	unsigned long in_place = 0;
	uint64_t first = 0;
	bool torn = false;
	int ret = 0;

	for (unsigned long i = 0; i < count && !ret && !torn; i++) {
		unsigned long key = (i * 2654435761u >> 7) % KEYS;
		struct mf_bytes found = {value, 0};
		uint64_t version;
		char at[32];

		ret = ring && i % ring == ring - 1 ? -EOPNOTSUPP
						   : mf_store_view("t", key_of(key, at), &found);
		in_place += !ret;
		if (ret == -EOPNOTSUPP) {
			struct mf_abi_kv head = {1, 10, 0, 0};
			struct mf_bytes in[] = {{&head, sizeof(head)}, {"t", 1}, key_of(key, at)};

			ret = mf_store_call(MF_KV_GET, in, 3, value, sizeof(value), &found.length);
		}
		if (ret)
			break;
		version = version_of(&found, key, &torn);
		torn |= i && version != first;
		first = version;
	}
	snprintf(text, sizeof(text), "%d %d %lu %lu", ret, torn, in_place, (unsigned long)first);
	say(text);
}

static unsigned int newer_bits(void)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < MF_PLACE_NEWER_WORDS; i++)
		bits += (unsigned int)__builtin_popcountll(place->newer[i]);
	return bits;
}

/* Of what "fill" wrote; and whether the request began while something was not on the disk. */
static void newer(unsigned long count)
{
	unsigned int bits = newer_bits();

	reads(count, 0);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), " %u %u", place->state, bits);
	say(text);
}

/* A key that expires, in ms. */
static void expiring(unsigned long ms)
{
	struct timespec now;
	int ret;

	clock_gettime(CLOCK_REALTIME, &now);
	ret = mf_store_put("t", MF_STRING("expires"), MF_STRING("soon"));
	ret = ret ? ret
		  : mf_store_expire("t", MF_STRING("expires"),
				    (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 +
					    ms);
	say(ret ? strerror(-ret) : "done");
}

static void expired(unsigned long number)
{
	struct mf_bytes found = {"", 0};
	size_t bytes = 0;
	int first = mf_store_view("t", MF_STRING("expires"), &found);
	int ret = mf_store_get("t", MF_STRING("expires"), value, sizeof(value), &bytes);

	snprintf(text, sizeof(text), "%d %d %zu", first, ret, bytes);
	say(text);
}

/* So many keys of "fill", and those again. */
static void wide(unsigned long count)
{
	unsigned int in_place = 0;
	struct mf_bytes found;
	char at[32];

	for (unsigned long i = 0; i < 2 * count; i++)
		in_place += !mf_store_view("t", key_of(i % count, at), &found);
	snprintf(text, sizeof(text), "%u %u %u", in_place, place->used_count, place->misses);
	say(text);
}

/* What a hot GET costs: so many, all of one key after the first. */
static void hot(unsigned long count)
{
	unsigned long sum = 0;
	uint64_t begin, end, copied;
	struct mf_bytes found;
	size_t bytes;
	int ret = mf_store_view("t", MF_STRING("key-000001"), &found);

	begin = mf_clock_ns();
	for (unsigned long i = 0; i < count && !ret; i++) {
		ret = mf_store_view("t", MF_STRING("key-000001"), &found);
		sum += ret ? 0 : found.length;
	}
	end = mf_clock_ns();
	for (unsigned long i = 0; i < count && !ret; i++)
		ret = mf_store_get("t", MF_STRING("key-000001"), value, sizeof(value), &bytes);
	copied = mf_clock_ns();
	snprintf(text, sizeof(text), "%d %lu %u %u %lu %lu", ret, sum, place->hits,
		 channel->request_tail.at, count ? (unsigned long)(end - begin) / count : 0,
		 count ? (unsigned long)(copied - end) / count : 0);
	say(text);
}

/* Two doctors on call: one may go when the other stays. Write skew, unless reads count. */
static void skew(unsigned long who)
{
	struct mf_bytes found[2];
	char sum = 0;
	int ret = 0;

	for (unsigned int i = 0; i < 2 && !ret; i++) {
		ret = mf_store_view("t", i ? MF_STRING("on-1") : MF_STRING("on-0"), &found[i]);
		if (!ret && found[i].length == 1)
			sum = (char)(sum + *(const char *)found[i].data);
	}
	if (!ret && sum == 2) {
		nanosleep(&(struct timespec){0, 50000000}, NULL);
		ret = mf_store_put("t", who ? MF_STRING("on-1") : MF_STRING("on-0"),
				   (struct mf_bytes){"\0", 1});
	}
	snprintf(text, sizeof(text), "%d %d", ret, sum);
	say(text);
}

static void on_call(unsigned long number)
{
	int ret = mf_store_put("t", MF_STRING("on-0"), (struct mf_bytes){"\1", 1});

	ret = ret ? ret : mf_store_put("t", MF_STRING("on-1"), (struct mf_bytes){"\1", 1});
	say(ret ? strerror(-ret) : "done");
}

/* Its own write, behind a read in place. */
static void own(unsigned long number)
{
	struct mf_bytes found = {"", 0};
	uint64_t got = 0;
	size_t bytes = 0;
	int first = mf_store_view("t", MF_STRING("key-000001"), &found);
	int ret = mf_store_put("t", MF_STRING("key-000001"), (struct mf_bytes){&number, 8});
	int second = mf_store_view("t", MF_STRING("key-000001"), &found);

	if (!ret)
		ret = mf_store_get("t", MF_STRING("key-000001"), &got, sizeof(got), &bytes);
	snprintf(text, sizeof(text), "%d %d %d %lu", first, second, ret, (unsigned long)got);
	/* A failure: nothing of it lasts. */
	mf_respond(500, "text/plain", text, strlen(text));
}

/* It sees one version all the time that it naps, ms. */
static void hold(unsigned long ms)
{
	struct mf_bytes found;
	uint64_t before, after = 0;
	bool torn = false;
	int ret = mf_store_view("t", MF_STRING("key-000008"), &found);

	before = ret ? 0 : version_of(&found, 8, &torn);
	nanosleep(&(struct timespec){(time_t)(ms / 1000), (long)(ms % 1000) * 1000000}, NULL);
	after = ret ? 0 : version_of(&found, 8, &torn);
	snprintf(text, sizeof(text), "%d %d", ret, torn || before != after);
	say(text);
}

static void spin(unsigned long number)
{
	struct mf_bytes found;

	mf_store_view("t", MF_STRING("key-000001"), &found);
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void crash(unsigned long number)
{
	struct mf_bytes found;

	mf_store_view("t", MF_STRING("key-000001"), &found);
	abort();
}

/* The engine takes the answer's body from where it lies. */
static void body(unsigned long number)
{
	struct mf_bytes found;
	int ret = mf_store_view("t", MF_STRING("key-000008"), &found);

	if (ret)
		say(strerror(-ret));
	else
		mf_respond(200, NULL, found.data, found.length);
}

static void write_to(unsigned long page)
{
	((volatile char *)MF_PLACE_VA)[page * 4096 + 100] = 1;
	say("written");
}

static void read_at(unsigned long page)
{
	snprintf(text, sizeof(text), "%d", ((volatile char *)MF_PLACE_VA)[page * 4096]);
	say(text);
}

/* How often a word is found in all that is mapped of the store. */
static void search(unsigned long word)
{
	unsigned long found = 0;

	for (size_t i = 0; i < place->pages * place->page_bytes / 8; i++)
		found += ((volatile uint64_t *)MF_PLACE_VA)[i] == word;
	snprintf(text, sizeof(text), "%lu %lu", (unsigned long)place->bytes, found);
	say(text);
}

static void state(unsigned long number)
{
	snprintf(text, sizeof(text), "%u %lu %lu", place->state, (unsigned long)place->bytes,
		 (unsigned long)place->pages);
	say(text);
}

/* Everything that it is told about the place is somebody else's. */
static void scribble(unsigned long seed)
{
	uint64_t dice = seed * 2654435761u + 88172645463325252ull;
	unsigned char *at = (unsigned char *)place;
	struct mf_bytes found;
	char key[32];

	for (unsigned int i = 0; i < 2000; i++) {
		dice ^= dice << 13;
		dice ^= dice >> 7;
		dice ^= dice << 17;
		/* What is mapped stays as it is: behind that it would be a fault of its own. */
		if (dice % 3)
			at[8 + dice / 3 % 24] = (unsigned char)(dice >> 40);
		else
			at[48 + dice / 3 % (sizeof(*place) - 48)] = (unsigned char)(dice >> 40);
		place->page_bytes = 4096;
		mf_store_view("t", key_of(dice % KEYS, key), &found);
		if (i % 64 == 0)
			mf_store_put("scribbled", key_of(i, key), MF_STRING("x"));
	}
	say("scribbled");
}

/* ---- puts that nobody waits for ---- */

static int put_number(unsigned long key, uint64_t number)
{
	char at[32];

	return mf_store_put("p", key_of(key, at), (struct mf_bytes){&number, sizeof(number)});
}

/* How many of the keys from 0 on have their own number. */
static unsigned long count_numbers(unsigned long most)
{
	unsigned long key = 0;
	char at[32];

	for (; key < most; key++) {
		uint64_t number = 0;

		if (mf_store_get("p", key_of(key, at), &number, sizeof(number), NULL) ||
		    number != key)
			break;
	}
	return key;
}

static void put_numbers(unsigned long count, int status, bool looks)
{
	unsigned long found = 0;
	int ret = 0;

	for (unsigned long key = 0; key < count && !ret; key++)
		ret = put_number(key, key);
	if (looks)
		found = count_numbers(count);
	mf_respond(status, "text/plain", text,
		   (size_t)snprintf(text, sizeof(text), "%d %lu", ret, found));
}

static void post(unsigned long count)
{
	put_numbers(count, 200, false);
}

static void post_and_look(unsigned long count)
{
	put_numbers(count, 200, true);
}

static void post_and_fail(unsigned long count)
{
	put_numbers(count, 500, false);
}

static void say_numbers(unsigned long most)
{
	snprintf(text, sizeof(text), "%lu", count_numbers(most));
	say(text);
}

/* An answer that says that it failed takes what was written before it along, and nothing else. */
static void fail_and_go_on(unsigned long number)
{
	put_number(1, 1);
	mf_respond(500, "text/plain", "failed", 6);
	mf_done();
	put_number(0, 0);
}

/* One that the store refuses, between two that it takes. */
static void post_nonsense(unsigned long number)
{
	struct mf_abi_kv head = {.table_bytes = 2, .key_bytes = 1};
	struct mf_bytes in[] = {{&head, sizeof(head)}, {".xk", 3}};
	uint64_t id;
	int ret = put_number(0, 0);

	if (!ret)
		ret = mf_store_submit(MF_KV_POST, in, 2, &id);
	say(ret ? strerror(-ret) : "posted");
}

static const struct {
	const char *name;
	void (*serve)(unsigned long number);
} targets[] = {{"fill", fill},
	       {"grow", grow},
	       {"large", large},
	       {"hot", hot},
	       {"skew", skew},
	       {"oncall", on_call},
	       {"own", own},
	       {"hold", hold},
	       {"spin", spin},
	       {"crash", crash},
	       {"body", body},
	       {"write", write_to},
	       {"read", read_at},
	       {"state", state},
	       {"scribble", scribble},
	       {"search", search},
	       {"newer", newer},
	       {"expiring", expiring},
	       {"expired", expired},
	       {"wide", wide},
	       {"post", post},
	       {"look", post_and_look},
	       {"fail", post_and_fail},
	       {"goon", fail_and_go_on},
	       {"nonsense", post_nonsense},
	       {"posted", say_numbers}};

static void serve(const struct mf_request *request)
{
	const char *name = mf_request_target(request).data + 1;
	size_t length = strcspn(name, "? ");
	unsigned long number = name[length] == '?' ? strtoul(name + length + 1, NULL, 10) : 0;

	if (length == 5 && !memcmp(name, "reads", 5)) {
		reads(number, 0);
		return;
	}
	if (length == 5 && !memcmp(name, "mixed", 5)) {
		reads(number, 97);
		return;
	}
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (strlen(targets[i].name) == length && !memcmp(targets[i].name, name, length)) {
			targets[i].serve(number);
			return;
		}
	mf_respond(404, NULL, "", 0);
}

int main(void)
{
	const struct mf_request *request;

	while ((request = mf_wait()))
		serve(request);
	return 1;
}
