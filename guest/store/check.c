/* SPDX-License-Identifier: MIT */
/* The head pages, the tables one after another, and the account of all pages. */
#include "check.h"
#include "check_own.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LMDB_MAGIC   0xbeefc0deu
#define LMDB_VERSION 1u
#define HEAD_PAGES   2u
#define AHEAD_BYTES  (128u << 10)
#define TOLD_MAX     50u /* faults; more are counted */

void kv_check_fault(struct kv_check *check, const char *format, ...)
{
	size_t room = sizeof(check->text) - check->text_bytes;
	va_list list;
	int put;

	if (++check->found > TOLD_MAX)
		return;
	va_start(list, format);
	put = vsnprintf(check->text + check->text_bytes, room, format, list);
	va_end(list);
	if (put < 0 || (size_t)put + 1 >= room)
		return;
	check->text_bytes += (size_t)put;
	check->text[check->text_bytes++] = '\n';
}

const char *kv_check_where(const struct kv_check *check)
{
	static char text[sizeof(check->tables->name) + 16];

	if (check->table < 2)
		return check->table ? "the list of tables" : "the list of free pages";
	snprintf(text, sizeof(text), "table %s", check->tables[check->table - 2].name);
	return text;
}

/* Bytes there, at most `bytes`. */
static size_t read_file(const struct kv_check *check, uint64_t at, void *to, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(check->fd, (char *)to + done, bytes - done, (off_t)(at + done));

		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

static bool is_ahead(const struct kv_check *check, uint64_t at, size_t bytes)
{
	return at >= check->ahead_at && at - check->ahead_at + bytes <= check->ahead_bytes;
}

/* Trees that grew at their end lie one page behind the other. */
bool kv_check_read(struct kv_check *check, uint64_t page, void *to, size_t bytes)
{
	uint64_t at = page * check->page_bytes;

	if (!check->ahead || bytes > AHEAD_BYTES)
		return read_file(check, at, to, bytes) == bytes;
	if (!is_ahead(check, at, bytes)) {
		check->ahead_at = at;
		check->ahead_bytes = read_file(check, at, check->ahead, AHEAD_BYTES);
	}
	if (!is_ahead(check, at, bytes))
		return false;
	memcpy(to, check->ahead + (at - check->ahead_at), bytes);
	return true;
}

bool kv_check_mark(struct kv_check *check, uint64_t page, uint64_t count)
{
	for (uint64_t i = page; i < page + count; i++) {
		if (i < HEAD_PAGES || i > check->last_page) {
			kv_check_fault(check, "%s: refers to page %llu, of %llu",
				       kv_check_where(check), (unsigned long long)i,
				       (unsigned long long)check->last_page + 1);
			return false;
		}
		if (check->seen[i / 8] >> (i % 8) & 1) {
			kv_check_fault(check, "%s: page %llu is in use twice",
				       kv_check_where(check), (unsigned long long)i);
			return false;
		}
		check->seen[i / 8] |= (uint8_t)(1u << (i % 8));
	}
	check->pages += count;
	return true;
}

/* ---- head pages ---- */

static bool read_head(struct kv_check *check, unsigned int which, struct kv_disk_meta *meta)
{
	uint8_t bytes[sizeof(struct kv_disk_page) + sizeof(*meta)];
	struct kv_disk_page page;

	if (!kv_check_read(check, which, bytes, sizeof(bytes)))
		return false;
	memcpy(&page, bytes, sizeof(page));
	memcpy(meta, bytes + sizeof(page), sizeof(*meta));
	return page.flags & KV_PAGE_META && meta->magic == LMDB_MAGIC &&
	       meta->version == LMDB_VERSION;
}

static bool is_page_size(uint64_t bytes)
{
	return bytes >= 512 && bytes <= 65536 && !(bytes & (bytes - 1));
}

/* Which sizes may be; the second head page lies behind the first. */
static bool find_page_size(struct kv_check *check)
{
	struct kv_disk_meta meta;

	check->page_bytes = 4096;
	if (read_head(check, 0, &meta) && is_page_size(meta.dbs[0].pad))
		check->page_bytes = meta.dbs[0].pad;
	return check->file_bytes >= HEAD_PAGES * check->page_bytes;
}

static bool is_wanted(const struct kv_disk_meta *meta, uint64_t txn_id)
{
	return txn_id == UINT64_MAX || meta->txn_id == txn_id;
}

/* *good: how many of the two can be what they are. */
static const struct kv_disk_meta *choose(struct kv_check *check, struct kv_disk_meta metas[2],
					 uint64_t txn_id, unsigned int *good)
{
	const struct kv_disk_meta *best = NULL;

	*good = 0;
	for (unsigned int i = 0; i < HEAD_PAGES; i++) {
		if (!read_head(check, i, &metas[i]) || metas[i].dbs[0].pad != check->page_bytes) {
			kv_check_fault(check, "head page %u is none of LMDB's", i);
			continue;
		}
		++*good;
		if (is_wanted(&metas[i], txn_id) && (!best || metas[i].txn_id > best->txn_id))
			best = &metas[i];
	}
	return best;
}

static int take_head(struct kv_check *check, const struct kv_disk_meta *meta)
{
	uint64_t pages = (check->file_bytes + check->page_bytes - 1) / check->page_bytes;

	memcpy(check->roots, meta->dbs, sizeof(check->roots));
	check->last_page = meta->last_page;
	check->txn_id = meta->txn_id;
	if (meta->last_page < HEAD_PAGES - 1 || meta->last_page > UINT32_MAX ||
	    meta->last_page / 64 > pages + 1024) {
		kv_check_fault(check,
			       "the head page says that there are %llu pages; the file has "
			       "%llu",
			       (unsigned long long)meta->last_page + 1, (unsigned long long)pages);
		check->over = true;
		return 0;
	}
	check->seen = calloc(1, meta->last_page / 8 + 1);
	check->tables = calloc(KV_CHECK_TABLES, sizeof(*check->tables));
	check->ahead = malloc(AHEAD_BYTES); /* without it, it only takes longer */
	if (!check->seen || !check->tables)
		return -ENOMEM;
	check->seen[0] = 3;
	check->pages = HEAD_PAGES;
	return 0;
}

static void no_way_on(struct kv_check *check, const char *why)
{
	if (why)
		kv_check_fault(check, "%s", why);
	check->over = true;
}

int kv_check_begin(struct kv_check *check, int fd, uint64_t txn_id)
{
	const struct kv_disk_meta *meta;
	struct kv_disk_meta metas[2];
	unsigned int good;
	struct stat st;

	*check = (struct kv_check){.fd = fd};
	if (fstat(fd, &st))
		return -errno;
	check->file_bytes = (uint64_t)st.st_size;
	if (!find_page_size(check)) {
		no_way_on(check, "the file is shorter than its two head pages");
		return 0;
	}
	meta = choose(check, metas, txn_id, &good);
	if (!meta && good == 2)
		return -EAGAIN;
	if (!meta) {
		no_way_on(check, NULL);
		return 0;
	}
	return take_head(check, meta);
}

void kv_check_end(struct kv_check *check)
{
	for (unsigned int i = 0; i < KV_CHECK_DEPTH; i++)
		free(check->levels[i].bytes);
	free(check->ahead);
	free(check->seen);
	check->ahead = NULL;
	free(check->tables);
	check->seen = NULL;
	check->tables = NULL;
	memset(check->levels, 0, sizeof(check->levels));
}

/* ---- tables ---- */

static const struct kv_disk_db *said(const struct kv_check *check)
{
	return check->table < 2 ? &check->roots[check->table] : &check->tables[check->table - 2].db;
}

static void compare_count(struct kv_check *check, const char *what, uint64_t counted, uint64_t told)
{
	if (counted != told)
		kv_check_fault(check, "%s: %llu %s, where LMDB's count says %llu",
			       kv_check_where(check), (unsigned long long)counted, what,
			       (unsigned long long)told);
}

/* The store's own table says of which format the others are. */
static void put_own_first(struct kv_check *check)
{
	struct kv_check_table *tables = check->tables;

	for (unsigned int i = 0; i < check->table_count; i++)
		if (!strcmp(tables[i].name, KV_CHECK_OWN)) {
			struct kv_check_table own = tables[i];

			tables[i] = tables[0];
			tables[0] = own;
			check->format = UINT64_MAX;
		}
	if (!check->format)
		kv_check_fault(check, "the store's own table is not there");
}

static void end_table(struct kv_check *check)
{
	const struct kv_disk_db *db = said(check);

	compare_count(check, "records", check->now.entries, db->entries);
	compare_count(check, "branch pages", check->now.branch_pages, db->branch_pages);
	compare_count(check, "leaf pages", check->now.leaf_pages, db->leaf_pages);
	compare_count(check, "pages of large values", check->now.overflow_pages,
		      db->overflow_pages);
	if (check->table > 2)
		check->records += check->now.entries;
	if (check->table == 1)
		put_own_first(check);
	if (check->table == 2 && check->format == UINT64_MAX)
		kv_check_fault(check, "the store's own table says no format");
	else if (check->table == 2 && check->format > KV_CHECK_FORMAT)
		check->over = check->is_newer = true;
	check->table++;
	check->depth = 0;
	check->has_last = check->has_least = false;
	check->now = (struct kv_disk_db){0};
}

static int descend_from_root(struct kv_check *check, uint64_t root)
{
	int ret = kv_check_descend(check, root);

	if (!ret && !check->depth)
		end_table(check);
	return ret;
}

static int begin_table(struct kv_check *check)
{
	const struct kv_disk_db *db = said(check);
	/* LMDB keeps flags of the whole environment with those of its first table. */
	unsigned int allowed = check->table ? 0 : 0xff00u | KV_TABLE_INTEGER;

	if (db->flags & ~allowed || db->depth > KV_CHECK_DEPTH) {
		kv_check_fault(check, "%s: its head is none of a table of this store's",
			       kv_check_where(check));
		end_table(check);
		return 0;
	}
	if (db->root == UINT64_MAX) {
		end_table(check);
		return 0;
	}
	return descend_from_root(check, db->root);
}

/* Every page is a table's, or free. */
static void account(struct kv_check *check)
{
	uint64_t lost = 0;
	uint64_t first = 0;

	for (uint64_t i = 0; i <= check->last_page; i++) {
		if (check->seen[i / 8] >> (i % 8) & 1)
			continue;
		first = lost++ ? first : i;
	}
	if (lost)
		kv_check_fault(check, "%llu pages are neither in use nor free; the first is %llu",
			       (unsigned long long)lost, (unsigned long long)first);
}

int kv_check_step(struct kv_check *check, unsigned int pages)
{
	uint64_t until = check->pages + pages;
	int ret = 0;

	while (!ret && !check->over && check->pages < until) {
		if (check->table == check->table_count + 2) {
			/* After a fault whole trees may not have been looked at. */
			if (!check->found)
				account(check);
			check->over = true;
		} else if (!check->depth) {
			ret = begin_table(check);
		} else {
			ret = kv_check_node(check);
			if (!check->depth)
				end_table(check);
		}
	}
	return ret;
}
