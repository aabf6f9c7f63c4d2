/* SPDX-License-Identifier: MIT */
/* What transactions promise, one case each; model_test.c has all of it at random. */
#include "tests/store/claims.h"
#include "tests/store/transactions/desk.h"

#include "storage-vm/internal.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static struct desk desk;
static char why[300];

static bool is(const char *what, long long got, long long wanted)
{
	if (got != wanted)
		snprintf(why, sizeof(why), "%s: is %lld, should be %lld", what, got, wanted);
	return got == wanted;
}

static int put(unsigned int channel, const char *key, const char *value)
{
	return desk_do(&desk, channel,
		       &(struct desk_call){MF_KV_PUT, "t", key, value, strlen(value), 0});
}

static int delete (unsigned int channel, const char *key)
{
	return desk_do(&desk, channel, &(struct desk_call){MF_KV_DELETE, "t", key, NULL, 0, 0});
}

/* The value as text; "" when there is none. */
static const char *get(unsigned int channel, const char *key)
{
	int status = desk_do(&desk, channel, &(struct desk_call){MF_KV_GET, "t", key, NULL, 0, 0});

	desk.reply.data[status ? 0 : desk.reply.bytes] = 0;
	return (const char *)desk.reply.data;
}

static bool holds(unsigned int channel, const char *key, const char *value)
{
	const char *got = get(channel, key);

	if (strcmp(got, value))
		snprintf(why, sizeof(why), "request %u finds \"%.40s\" at %s, should be \"%s\"",
			 channel, got, key, value);
	return !strcmp(got, value);
}

static size_t count_records(unsigned int channel, const char *prefix)
{
	uint32_t fits = 1 << 20;
	size_t count = 0;

	desk_do(&desk, channel,
		&(struct desk_call){MF_KV_SCAN, "t", prefix, &fits, sizeof(fits), 1000});
	for (size_t at = 0; at < desk.reply.bytes; count++) {
		struct mf_abi_kv_entry entry;

		memcpy(&entry, desk.reply.data + at, sizeof(entry));
		at += sizeof(entry) + entry.key_bytes + entry.value_bytes;
	}
	return count;
}

static void begin(unsigned int requests)
{
	for (unsigned int i = 0; i < DESK_CHANNELS; i++) {
		desk_end(&desk, i);
		if (i < requests)
			desk_begin(&desk, i, true);
	}
}

/* What is there at first: each key of the list has its own name for value. */
static bool with(const char *const *keys)
{
	desk_begin(&desk, 5, false);
	for (; *keys; keys++)
		if (!is("a put", put(5, *keys, *keys), 0))
			return false;
	desk_end(&desk, 5);
	return true;
}

/* ---- isolation ---- */

static bool a_request_sees_the_store_as_it_was_at_its_first_call(void)
{
	begin(2);
	if (!with((const char *const[]){"a", "b", NULL}) || !holds(0, "a", "a"))
		return false;
	return is("a put", put(1, "b", "new"), 0) && is("a commit", desk_commit(&desk, 1), 0) &&
	       holds(0, "b", "b") && is("records", (long long)count_records(0, ""), 2);
}

static bool a_request_sees_what_it_wrote_and_nobody_else_does(void)
{
	begin(2);
	return is("a put", put(0, "mine", "x"), 0) && holds(0, "mine", "x") &&
	       holds(1, "mine", "") && is("pending", desk_is_pending(&desk, 0), 1) &&
	       is("pending", desk_is_pending(&desk, 1), 0);
}

static bool what_is_not_ordered_leaves_no_trace(void)
{
	begin(1);
	if (!is("a put", put(0, "dropped", "x"), 0))
		return false;
	begin(1);
	return holds(0, "dropped", "");
}

static bool a_lost_update_is_a_conflict(void)
{
	begin(2);
	return with((const char *const[]){"n", NULL}) && holds(0, "n", "n") && holds(1, "n", "n") &&
	       !put(0, "n", "0") && !put(1, "n", "1") && is("first", desk_commit(&desk, 0), 0) &&
	       is("second", desk_commit(&desk, 1), -EAGAIN);
}

static bool write_skew_is_a_conflict(void)
{
	begin(2);
	return with((const char *const[]){"x", "y", NULL}) && holds(0, "x", "x") &&
	       holds(1, "y", "y") && !put(0, "y", "0") && !put(1, "x", "1") &&
	       is("first", desk_commit(&desk, 0), 0) &&
	       is("second", desk_commit(&desk, 1), -EAGAIN);
}

static bool a_phantom_is_a_conflict(void)
{
	begin(2);
	return is("records", (long long)count_records(0, "ph"), 0) && !put(0, "sum", "0") &&
	       !put(1, "ph1", "x") && is("first", desk_commit(&desk, 1), 0) &&
	       is("second", desk_commit(&desk, 0), -EAGAIN);
}

static bool what_is_written_blindly_is_in_no_conflict(void)
{
	begin(2);
	return holds(0, "other", "") && !put(0, "blind", "0") && !put(1, "blind", "1") &&
	       is("first", desk_commit(&desk, 0), 0) && is("second", desk_commit(&desk, 1), 0);
}

static bool a_delete_that_finds_nothing_has_read(void)
{
	begin(2);
	return is("a delete", delete (0, "nothing"), -ENOENT) && !put(0, "s", "0") &&
	       !put(1, "nothing", "x") && is("first", desk_commit(&desk, 1), 0) &&
	       is("second", desk_commit(&desk, 0), -EAGAIN);
}

/* ---- commits ---- */

static bool orders_that_come_together_are_one_sync(void)
{
	struct mf_store_stats before;
	struct mf_store_stats after;
	char key[8];

	begin(DESK_CHANNELS);
	for (unsigned int i = 0; i < DESK_CHANNELS; i++) {
		snprintf(key, sizeof(key), "g%u", i);
		if (!is("a put", put(i, key, "x"), 0))
			return false;
	}
	mf_store_stats(desk.store, &before);
	for (unsigned int i = 0; i < DESK_CHANNELS; i++)
		desk_order(&desk, i);
	for (unsigned int i = 0; i < DESK_CHANNELS; i++)
		if (!is("a verdict", desk_verdict(&desk, i), 0))
			return false;
	mf_store_stats(desk.store, &after);
	return is("commits", (long long)(after.commits - before.commits), 1);
}

static bool calls_that_are_in_flight_are_all_answered_by_one_sync(void)
{
	struct mf_store_stats before;
	struct mf_store_stats after;
	uint64_t ids[12];
	bool good = true;

	begin(0);
	desk_begin(&desk, 0, false);
	mf_store_stats(desk.store, &before);
	for (unsigned int i = 0; i < 12; i++)
		ids[i] = desk_submit(&desk, 0,
				     &(struct desk_call){i == 11 ? MF_KV_GET : MF_KV_ADD, "t",
							 "flights", NULL, 0, i == 11 ? 0 : 1});
	for (unsigned int i = 0; i < 12 && good; i++)
		good = is("a status", desk_collect(&desk, 0), 0) &&
		       is("an id", (long long)desk.reply.id, (long long)ids[i]) &&
		       is("a sum", desk.reply.data[0], i == 11 ? 11 : i + 1);
	mf_store_stats(desk.store, &after);
	return good && is("commits", (long long)(after.commits - before.commits), 1);
}

static int ask(unsigned int channel, uint32_t durability)
{
	desk_submit_bytes(&desk, channel, MF_KV_DURABILITY, &durability, sizeof(durability));
	return desk_collect(&desk, channel);
}

static bool what_is_committed_async_is_seen_by_others(void)
{
	for (unsigned int i = 0; i < 20; i++) {
		char value[8];

		snprintf(value, sizeof(value), "%u", i);
		begin(2);
		if (!is("durability", ask(0, MF_STORE_ASYNC), 0) || put(0, "async", value) ||
		    !is("a commit", desk_commit(&desk, 0), 0) || !holds(1, "async", value))
			return false;
	}
	desk_stop(&desk);
	desk_start(&desk, "67108864");
	begin(1);
	return strlen(get(0, "async")) > 0 || is("after a start", 0, 1);
}

static bool a_caller_commits_and_takes_back_itself(void)
{
	begin(0);
	desk_begin(&desk, 0, false);
	desk_begin(&desk, 1, false);
	desk_submit_bytes(&desk, 0, MF_KV_BEGIN, NULL, 0);
	if (!is("begin", desk_collect(&desk, 0), 0) || put(0, "own", "1") || !holds(1, "own", ""))
		return false;
	desk_submit_bytes(&desk, 0, MF_KV_BEGIN, NULL, 0);
	if (!is("begin again", desk_collect(&desk, 0), -EALREADY))
		return false;
	desk_submit_bytes(&desk, 0, MF_KV_COMMIT, NULL, 0);
	if (!is("commit", desk_collect(&desk, 0), 0) || !holds(1, "own", "1"))
		return false;
	desk_submit_bytes(&desk, 0, MF_KV_BEGIN, NULL, 0);
	desk_collect(&desk, 0);
	put(0, "own", "2");
	desk_submit_bytes(&desk, 0, MF_KV_ROLLBACK, NULL, 0);
	return is("rollback", desk_collect(&desk, 0), 0) && holds(0, "own", "1");
}

/* Its writes are kept in memory until the request's number becomes larger. */
static bool a_store_of_a_vm_is_never_committed(void)
{
	bool good;

	begin(2);
	desk.store->control->scope = MF_STORE_OF_VM;
	good = is("a put", put(0, "vm", "x"), 0);
	desk_submit_bytes(&desk, 0, MF_KV_COMMIT, NULL, 0);
	good = good && is("a commit", desk_collect(&desk, 0), -EROFS) && holds(0, "vm", "x") &&
	       holds(1, "vm", "");
	begin(2);
	good = good && holds(0, "vm", "");
	desk.store->control->scope = MF_STORE_OF_TENANT;
	begin(0);
	return good;
}

/* ---- values ---- */

static int part(unsigned int channel, uint64_t offset, const struct mf_abi_kv_whole *whole,
		size_t bytes)
{
	static uint8_t value[sizeof(*whole) + MF_KV_PART_MAX_BYTES];

	memcpy(value, whole, sizeof(*whole));
	for (size_t i = 0; i < bytes; i++)
		value[sizeof(*whole) + i] = (uint8_t)((offset + i) * 31 >> 3);
	return desk_do(&desk, channel,
		       &(struct desk_call){MF_KV_PUT_PART, "t", "large", value,
					   sizeof(*whole) + bytes, offset});
}

static bool a_value_in_parts_is_as_it_was(void)
{
	struct mf_abi_kv_whole whole = {5u * MF_KV_PART_MAX_BYTES + 12345, 0};
	uint32_t fits = MF_KV_PART_MAX_BYTES;
	uint64_t at;

	begin(0);
	desk_begin(&desk, 0, false);
	for (at = 0; at < whole.bytes; at += MF_KV_PART_MAX_BYTES)
		if (!is("a part",
			part(0, at, &whole,
			     whole.bytes - at < MF_KV_PART_MAX_BYTES ? whole.bytes - at
								     : MF_KV_PART_MAX_BYTES),
			0))
			return false;
	if (!is("a get of all",
		desk_do(&desk, 0, &(struct desk_call){MF_KV_GET, "t", "large", NULL, 0, 0}),
		-EOVERFLOW))
		return false;
	for (at = 0; at < whole.bytes; at += desk.reply.bytes - sizeof(whole)) {
		struct mf_abi_kv_whole said;

		if (!is("a part",
			desk_do(&desk, 0,
				&(struct desk_call){MF_KV_GET_PART, "t", "large", &fits,
						    sizeof(fits), at}),
			0))
			return false;
		memcpy(&said, desk.reply.data, sizeof(said));
		if (!is("its length", (long long)said.bytes, (long long)whole.bytes))
			return false;
		for (size_t i = 0; i < desk.reply.bytes - sizeof(said); i++)
			if (desk.reply.data[sizeof(said) + i] != (uint8_t)((at + i) * 31 >> 3))
				return is("a byte of it", (long long)(at + i), -1);
	}
	return is("a part that does not follow", part(0, 7, &whole, 10), -EINVAL);
}

static uint64_t time_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool what_has_expired_is_not_there(void)
{
	uint64_t past = time_ms() - 60000;
	uint64_t future = time_ms() + 3600000;
	struct desk_call call = {MF_KV_PUT, "t", "ttl-past", "x", 1, past};

	begin(0);
	desk_begin(&desk, 0, false);
	if (!is("a put", desk_do(&desk, 0, &call), 0) || !holds(0, "ttl-past", ""))
		return false;
	call = (struct desk_call){MF_KV_PUT, "t", "ttl-future", "y", 1, future};
	if (!is("a put", desk_do(&desk, 0, &call), 0) || !holds(0, "ttl-future", "y") ||
	    !is("records", (long long)count_records(0, "ttl-"), 1))
		return false;
	call = (struct desk_call){MF_KV_EXPIRES, "t", "ttl-future", NULL, 0, 0};
	if (!is("an answer", desk_do(&desk, 0, &call), 0) ||
	    !is("its end", (long long)*(uint64_t *)(void *)desk.reply.data, (long long)future))
		return false;
	call = (struct desk_call){MF_KV_EXPIRE, "t", "ttl-future", NULL, 0, past};
	return is("an end", desk_do(&desk, 0, &call), 0) && holds(0, "ttl-future", "");
}

static bool a_batch_is_one_transaction_and_each_call_has_its_status(void)
{
	uint8_t in[256] = {0};
	size_t at = 0;
	struct mf_abi_kv_one one;
	static const struct {
		uint32_t function;
		const char *key;
		int status;
	} calls[] = {{MF_KV_PUT, "b1", 0},
		     {MF_KV_GET, "b1", 0},
		     {MF_KV_DELETE, "none", -ENOENT},
		     {99, "x", -ENOSYS}};

	begin(0);
	desk_begin(&desk, 0, false);
	for (size_t i = 0; i < 4; i++) {
		bool puts = calls[i].function == MF_KV_PUT;
		size_t key = strlen(calls[i].key);
		struct mf_abi_kv head = {1, (uint16_t)key, puts, 0};

		one = (struct mf_abi_kv_one){calls[i].function,
					     (uint32_t)(sizeof(head) + 1 + key + puts), 0, 0};
		memcpy(in + at, &one, sizeof(one));
		memcpy(in + at + 16, &head, sizeof(head));
		in[at + 32] = 't';
		memcpy(in + at + 33, calls[i].key, key);
		in[at + 33 + key] = puts ? 'v' : 0;
		at += 16 + ((one.bytes + 7) & ~7u);
	}
	desk_submit_bytes(&desk, 0, MF_KV_BATCH, in, at);
	if (!is("a batch", desk_collect(&desk, 0), 0))
		return false;
	at = 0;
	for (size_t i = 0; i < 4; i++) {
		memcpy(&one, desk.reply.data + at, sizeof(one));
		if (!is("a status", one.status, calls[i].status) ||
		    !is("a function", one.function, calls[i].function))
			return false;
		at += 16 + ((one.bytes + 7) & ~7u);
	}
	return is("its end", (long long)desk.reply.bytes, (long long)at) && holds(0, "b1", "v");
}

/* ---- room ---- */

static int put_many(unsigned int from, unsigned int to, const char *hot)
{
	static char value[2000];
	char key[16];
	int status = 0;

	for (unsigned int i = from; i < to && !status; i++) {
		struct desk_call call = {MF_KV_PUT, "cache", key, value, sizeof(value), 0};

		snprintf(key, sizeof(key), "c%05u", i);
		status = desk_do(&desk, 0, &call);
		call = (struct desk_call){MF_KV_GET, "cache", hot, NULL, 0, 0};
		if (!status && desk_do(&desk, 0, &call))
			return 1;
	}
	return status;
}

static bool beyond_its_bound_a_cache_drops_what_is_not_used(void)
{
	const uint64_t bound = 1 << 20;
	bool good;

	begin(0);
	desk_begin(&desk, 0, false);
	delete (0, "large"); /* another case's */
	desk_set_quota(&desk, desk_stat(&desk, 0, "kept.bytes") + bound, true);
	good = is("the first", put_many(0, 1, "c00000"), 0) &&
	       is("the hot one is kept, and room is found", put_many(1, 2000, "c00000"), 0) &&
	       is("evictions", desk_stat(&desk, 0, "evictions") > 500, 1) &&
	       is("the bound holds",
		  desk_stat(&desk, 0, "kept.bytes") < desk.store->control->quota_bytes + bound / 2,
		  1);
	desk_set_quota(&desk, 0, false);
	return good;
}

static bool beyond_a_quota_puts_are_enospc_and_deletes_are_not(void)
{
	bool good;

	begin(0);
	desk_begin(&desk, 0, false);
	if (put(0, "quota", "x"))
		return false;
	desk_set_quota(&desk, 4096, false);
	good = is("a put", put(0, "more", "x"), -ENOSPC) &&
	       is("a delete", delete (0, "quota"), 0) && holds(0, "more", "");
	desk_set_quota(&desk, 0, false);
	return good && is("a put without", put(0, "more", "x"), 0);
}

/* Each put is a commit, after which some records are looked at. */
static bool what_has_expired_is_removed_by_and_by(void)
{
	uint64_t past = time_ms() - 1000;
	struct desk_call call = {MF_KV_PUT, "ttl", "gone", "x", 1, past};

	begin(0);
	desk_begin(&desk, 0, false);
	if (!is("a put", desk_do(&desk, 0, &call), 0))
		return false;
	for (int i = 0; i < 3000 && desk_stat(&desk, 0, "table.ttl.entries"); i++) {
		nanosleep(&(struct timespec){0, 5000000}, NULL);
		put(0, "tick", "x");
	}
	return is("entries", (long long)desk_stat(&desk, 0, "table.ttl.entries"), 0);
}

/* ---- figures and formats ---- */

static bool the_figures_say_what_is_there(void)
{
	begin(0);
	desk_begin(&desk, 0, false);
	if (put(0, "figure", "x"))
		return false;
	return is("the map", (long long)desk_stat(&desk, 0, "map.bytes"), 67108864) &&
	       is("the format", (long long)desk_stat(&desk, 0, "format"), 2) &&
	       is("conflicts", desk_stat(&desk, 0, "conflicts") != UINT64_MAX, 1) &&
	       is("entries", desk_stat(&desk, 0, "table.t.entries") > 0, 1) &&
	       is("waiting", (long long)desk_stat(&desk, 0, "waiting"), 0);
}

/* The first of them have heads already: the upgrade was interrupted there. */
static int write_old(MDB_env *env, const char *path, unsigned int records, unsigned int done)
{
	uint64_t words[2] = {done ? 2 : 1, 7};
	static char data[5008];
	MDB_val key = {6, "format"};
	MDB_val value = {8, &words[0]};
	MDB_txn *txn;
	MDB_dbi head;
	MDB_dbi table;
	char name[16];
	int code = mdb_env_set_mapsize(env, 64u << 20) || mdb_env_set_maxdbs(env, 4) ||
		   mdb_env_open(env, path, MDB_NOLOCK, 0600) || mdb_txn_begin(env, NULL, 0, &txn) ||
		   mdb_dbi_open(txn, ".mayfly", MDB_CREATE, &head) ||
		   mdb_dbi_open(txn, "t", MDB_CREATE, &table) ||
		   mdb_put(txn, head, &key, &value, 0);

	key = (MDB_val){5, "epoch"};
	value.mv_data = &words[1];
	code = code || mdb_put(txn, head, &key, &value, 0);
	for (unsigned int i = 0; i < records && !code; i++) {
		snprintf(name, sizeof(name), "old%05u", i);
		key = (MDB_val){8, name};
		memset(data + 8, 'a' + (int)(i % 26), sizeof(data) - 8);
		value = (MDB_val){i % 5000 + (i < done ? 8 : 0), i < done ? data : data + 8};
		code = mdb_put(txn, table, &key, &value, 0);
	}
	if (done && !code) {
		uint8_t place[] = "t\0old00000";

		snprintf((char *)place + 2, 9, "old%05u", done - 1);
		key = (MDB_val){7, "upgrade"};
		value = (MDB_val){10, place};
		code = mdb_put(txn, head, &key, &value, 0);
	}
	return code || mdb_txn_commit(txn);
}

/* More than one part of the upgrade: some 7 MiB. */
static bool is_upgraded(unsigned int done)
{
	struct desk old;
	char name[16];
	MDB_env *env;
	bool good = true;

	if (!desk_init(&old) || mdb_env_create(&env) || write_old(env, old.folder, 3000, done))
		return is("an old store", 0, 1);
	mdb_env_close(env);
	for (unsigned int start = 0; start < 2 && good; start++) {
		desk_start(&old, "67108864");
		desk_begin(&old, 0, false);
		good = is("the format", (long long)desk_stat(&old, 0, "format"), 2) &&
		       is("entries", (long long)desk_stat(&old, 0, "table.t.entries"), 3000) &&
		       is("the epoch", (long long)desk_stat(&old, 0, "epoch"), 8 + start);
		for (unsigned int i = 0; i < 3000 && good; i += 7) {
			struct desk_call call = {MF_KV_GET, "t", name, NULL, 0, 0};

			snprintf(name, sizeof(name), "old%05u", i);
			good = is(name, desk_do(&old, 0, &call), 0) &&
			       is(name, (long long)old.reply.bytes, i) &&
			       (!i || is(name, old.reply.data[i - 1], 'a' + (int)(i % 26)));
		}
		desk_stop(&old);
	}
	desk_finish(&old);
	return good;
}

static bool a_store_of_format_1_is_brought_to_this_one(void)
{
	return is_upgraded(0);
}

static bool an_upgrade_that_was_interrupted_goes_on(void)
{
	return is_upgraded(1) && is_upgraded(1500) && is_upgraded(3000);
}

static const struct claim claims[] = {
	CLAIM(a_request_sees_the_store_as_it_was_at_its_first_call),
	CLAIM(a_request_sees_what_it_wrote_and_nobody_else_does),
	CLAIM(what_is_not_ordered_leaves_no_trace),
	CLAIM(a_lost_update_is_a_conflict),
	CLAIM(write_skew_is_a_conflict),
	CLAIM(a_phantom_is_a_conflict),
	CLAIM(what_is_written_blindly_is_in_no_conflict),
	CLAIM(a_delete_that_finds_nothing_has_read),
	CLAIM(orders_that_come_together_are_one_sync),
	CLAIM(calls_that_are_in_flight_are_all_answered_by_one_sync),
	CLAIM(what_is_committed_async_is_seen_by_others),
	CLAIM(a_caller_commits_and_takes_back_itself),
	CLAIM(a_store_of_a_vm_is_never_committed),
	CLAIM(a_value_in_parts_is_as_it_was),
	CLAIM(what_has_expired_is_not_there),
	CLAIM(a_batch_is_one_transaction_and_each_call_has_its_status),
	CLAIM(beyond_its_bound_a_cache_drops_what_is_not_used),
	CLAIM(beyond_a_quota_puts_are_enospc_and_deletes_are_not),
	CLAIM(what_has_expired_is_removed_by_and_by),
	CLAIM(the_figures_say_what_is_there),
	CLAIM(a_store_of_format_1_is_brought_to_this_one),
	CLAIM(an_upgrade_that_was_interrupted_goes_on),
};

int main(int argc, char **argv)
{
	unsigned int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!desk_init(&desk)) {
		printf("SKIP transactions: no /dev/kvm\n");
		return 0;
	}
	desk_start(&desk, "67108864");
	failed = claims_run(claims, sizeof(claims) / sizeof(claims[0]), argc > 1 ? argv[1] : NULL,
			    why);
	desk_stop(&desk);
	desk_finish(&desk);
	return failed ? 1 : 0;
}
