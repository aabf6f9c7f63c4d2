/* SPDX-License-Identifier: MIT */
/*
 * The reader of the store's pages in request VMs, beside LMDB: databases with random records are
 * made by LMDB, and each key is looked for by both. Then pages are spoilt at random: whatever they
 * are, a look ends, and what it gives lies in the memory that it was given (which is exactly as
 * large as said: the sanitized build sees who reads behind it).
 */
#include "guest/sdk/tree.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TABLES  5u
#define KEY_MAX 511u

struct world {
	char folder[64];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi tables[TABLES];
	uint64_t dice;
	uint8_t *file;
	struct tree tree;
};

static uint64_t roll(struct world *world)
{
	world->dice ^= world->dice << 13;
	world->dice ^= world->dice >> 7;
	world->dice ^= world->dice << 17;
	return world->dice * 2685821657736338717ull;
}

static uint64_t seed(void)
{
	const char *given = getenv("SEED");
	struct timespec now;
	uint64_t number;

	clock_gettime(CLOCK_REALTIME, &now);
	number = given ? strtoull(given, NULL, 0)
		       : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)getpid();
	cr_log_info("SEED=%llu", (unsigned long long)number);
	fprintf(stderr, "SEED=%llu\n", (unsigned long long)number);
	return number;
}

static const char *name_of(unsigned int table, char at[64])
{
	snprintf(at, 64, table % 2 ? "table-%u" : "t%u-with-a-name-that-is-longer-than-others",
		 table);
	return at;
}

/* Few bytes and few of them, so that keys are alike, or many. */
static size_t random_key(struct world *world, uint8_t key[KEY_MAX])
{
	size_t bytes = roll(world) % 8 ? 1 + roll(world) % 12 : 1 + roll(world) % KEY_MAX;
	unsigned int alphabet = roll(world) % 2 ? 3 : 256;

	for (size_t i = 0; i < bytes; i++)
		key[i] = (uint8_t)(roll(world) % alphabet);
	return bytes;
}

static size_t random_size(struct world *world)
{
	switch (roll(world) % 16) {
	case 0:
		return 0;
	case 1:
		return 1500 + roll(world) % 1200;
	case 2:
		return 3900 + roll(world) % 300;
	case 3:
		return roll(world) % 70000;
	default:
		return roll(world) % 200;
	}
}

static void put_some(struct world *world, MDB_txn *txn, unsigned int table, unsigned int count)
{
	static uint8_t value[70000];
	uint8_t key[KEY_MAX];

	while (count--) {
		MDB_val name = {random_key(world, key), key};
		MDB_val data = {random_size(world), value};

		if (roll(world) % 4 == 0) {
			mdb_del(txn, world->tables[table], &name, NULL);
			continue;
		}
		memset(value, (int)roll(world), data.mv_size);
		cr_assert_eq(mdb_put(txn, world->tables[table], &name, &data, 0), 0);
	}
}

/* Several transactions, so that pages are used again. Some tables stay empty, or small. */
static void fill(struct world *world, unsigned int records)
{
	for (unsigned int i = 0; i < 4; i++) {
		MDB_txn *txn;
		char name[64];

		cr_assert_eq(mdb_txn_begin(world->env, NULL, 0, &txn), 0);
		for (unsigned int table = 0; table < TABLES; table++) {
			cr_assert_eq(mdb_dbi_open(txn, name_of(table, name), MDB_CREATE,
						  &world->tables[table]),
				     0);
			put_some(world, txn, table, table ? records >> 2 * table : 0);
		}
		cr_assert_eq(mdb_txn_commit(txn), 0);
	}
}

/* The newest head page says where the tree of tables begins. */
static void find_root(struct world *world)
{
	uint64_t best = 0;

	for (unsigned int i = 0; i < 2; i++) {
		const uint8_t *meta = world->file + i * world->tree.page_bytes + 16;
		uint64_t number;

		memcpy(&number, meta + 128, sizeof(number));
		if (i && number < best)
			continue;
		best = number;
		memcpy(&world->tree.root, meta + 24 + 48 + 40, sizeof(uint64_t));
		memcpy(&world->tree.pages, meta + 120, sizeof(uint64_t));
		world->tree.pages++;
	}
}

static void load(struct world *world)
{
	char path[80];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/data.mdb", world->folder);
	fd = open(path, O_RDONLY);
	cr_assert(fd >= 0 && !fstat(fd, &st));
	world->file = malloc((size_t)st.st_size);
	cr_assert_eq(read(fd, world->file, (size_t)st.st_size), st.st_size);
	close(fd);
	world->tree.base = world->file;
	world->tree.bytes = (uint64_t)st.st_size;
	world->tree.page_bytes = 4096;
	find_root(world);
}

static void begin(struct world *world, unsigned int records)
{
	*world = (struct world){.folder = "/tmp/mayfly-tree-XXXXXX", .dice = seed() | 1};
	cr_assert(mkdtemp(world->folder));
	cr_assert_eq(mdb_env_create(&world->env), 0);
	mdb_env_set_maxdbs(world->env, TABLES);
	mdb_env_set_mapsize(world->env, 1ul << 30);
	cr_assert_eq(mdb_env_open(world->env, world->folder, MDB_NOSYNC | MDB_NOTLS, 0600), 0);
	fill(world, records);
	load(world);
	cr_assert_eq(mdb_txn_begin(world->env, NULL, MDB_RDONLY, &world->txn), 0);
}

static void end(struct world *world)
{
	char path[80];

	mdb_txn_abort(world->txn);
	mdb_env_close(world->env);
	free(world->file);
	snprintf(path, sizeof(path), "%s/data.mdb", world->folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock.mdb", world->folder);
	unlink(path);
	rmdir(world->folder);
}

static int look(const struct world *world, unsigned int table, const MDB_val *key, MDB_val *value)
{
	char name[64];
	const uint8_t *at = NULL;
	int ret;

	name_of(table, name);
	ret = tree_find(&world->tree, name, strlen(name), key->mv_data, key->mv_size, &at,
			&value->mv_size);
	value->mv_data = (void *)at;
	return ret;
}

static void compare(const struct world *world, unsigned int table, MDB_val *key)
{
	MDB_val wanted = {0};
	MDB_val got = {0};
	int code = mdb_get(world->txn, world->tables[table], key, &wanted);
	int ret = look(world, table, key, &got);

	cr_assert_eq(ret, code ? -ENOENT : 0, "%d is not %d", ret, code);
	if (!code)
		cr_assert(got.mv_size == wanted.mv_size &&
			  !memcmp(got.mv_data, wanted.mv_data, wanted.mv_size));
}

static void compare_all(struct world *world)
{
	for (unsigned int table = 0; table < TABLES; table++) {
		MDB_cursor *cursor;
		MDB_val key;
		uint8_t other[KEY_MAX];

		cr_assert_eq(mdb_cursor_open(world->txn, world->tables[table], &cursor), 0);
		while (!mdb_cursor_get(cursor, &key, NULL, MDB_NEXT))
			compare(world, table, &key);
		mdb_cursor_close(cursor);
		for (unsigned int i = 0; i < 500; i++) {
			key = (MDB_val){random_key(world, other), other};
			compare(world, table, &key);
		}
	}
}

Test(tree, finds_what_lmdb_finds)
{
	unsigned int records = getenv("RECORDS") ? (unsigned int)atoi(getenv("RECORDS")) : 4000;
	struct world world;

	begin(&world, records);
	compare_all(&world);
	end(&world);
}

Test(tree, of_an_empty_database_and_of_no_table_there_is_nothing)
{
	MDB_val key = {1, (void *)"k"};
	MDB_val value;
	struct world world;

	begin(&world, 0);
	compare_all(&world);
	cr_assert_eq(look(&world, 999, &key, &value), -ENOENT);
	world.tree.root = UINT64_MAX;
	cr_assert_eq(look(&world, 1, &key, &value), -ENOENT);
	end(&world);
}

/* What lies behind the end of what is mapped is said to do so. */
Test(tree, a_page_that_is_not_there_is_said)
{
	unsigned int beyond = 0;
	struct world world;
	MDB_cursor *cursor;
	MDB_val key, data;

	begin(&world, 2000);
	world.tree.bytes = world.tree.bytes / 8192 * 4096;
	cr_assert_eq(mdb_cursor_open(world.txn, world.tables[1], &cursor), 0);
	while (!mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
		MDB_val got;
		int ret = look(&world, 1, &key, &got);

		cr_assert(ret == -ERANGE || (!ret && got.mv_size == data.mv_size &&
					     !memcmp(got.mv_data, data.mv_data, data.mv_size)));
		beyond += ret != 0;
	}
	cr_assert(beyond);
	mdb_cursor_close(cursor);
	end(&world);
}

static void check_any(struct world *world)
{
	uint8_t name[KEY_MAX];
	MDB_val key = {random_key(world, name), name};
	MDB_val got = {0};
	int ret = look(world, (unsigned int)(roll(world) % TABLES), &key, &got);
	const uint8_t *at = got.mv_data;

	cr_assert(!ret || ret == -ENOENT || ret == -ERANGE || ret == -EILSEQ, "%d", ret);
	if (!ret)
		cr_assert(at >= world->tree.base &&
			  got.mv_size <= world->tree.bytes - (uint64_t)(at - world->tree.base));
}

/* Bytes of the heads of pages and of their places, mostly: there is what a reader goes by. */
static void spoil(struct world *world)
{
	uint64_t page = roll(world) % (world->tree.bytes / 4096) * 4096;
	uint64_t at = page + (roll(world) % 4 ? roll(world) % 64 : roll(world) % 4096);

	switch (roll(world) % 3) {
	case 0:
		world->file[at] = (uint8_t)roll(world);
		break;
	case 1:
		world->file[at] ^= (uint8_t)(1u << roll(world) % 8);
		break;
	default: /* another page's bytes, so that there are ways round in a circle */
		memcpy(world->file + page,
		       world->file + roll(world) % (world->tree.bytes / 4096) * 4096, 4096);
		memcpy(world->file + page, &(uint64_t){page / 4096}, 8);
	}
}

Test(tree, of_spoilt_pages_every_look_ends_and_stays_within)
{
	unsigned int rounds = getenv("ROUNDS") ? (unsigned int)atoi(getenv("ROUNDS")) : 200000;
	struct world world;

	begin(&world, 1500);
	for (unsigned int i = 0; i < rounds; i++) {
		spoil(&world);
		check_any(&world);
	}
	end(&world);
}

Test(tree, of_wild_numbers_every_look_ends)
{
	struct world world;

	begin(&world, 500);
	for (unsigned int i = 0; i < 20000; i++) {
		struct tree was = world.tree;

		world.tree.pages = roll(&world) % 2 ? roll(&world) : was.pages;
		world.tree.root = roll(&world) % 2 ? roll(&world) : roll(&world) % was.pages;
		world.tree.page_bytes = roll(&world) % 4 ? 4096 : (uint32_t)roll(&world);
		check_any(&world);
		world.tree = was;
	}
	end(&world);
}
