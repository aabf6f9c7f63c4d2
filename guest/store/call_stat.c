/* SPDX-License-Identifier: MIT */
/* What there is to know about the store, in figures with names. */
#include "call.h"
#include "env.h"
#include "session.h"
#include "sweep.h"
#include "table.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define FIGURES_MAX (32u + 2u * KV_TABLES_MAX)

static void tell(struct mf_storage_call *call, const char *name, uint64_t value)
{
	struct mf_abi_kv_stat figure = {.value = value};

	snprintf(figure.name, sizeof(figure.name), "%s", name);
	kv_give(call, &figure, sizeof(figure));
}

/* Of the free pages that the snapshot's commit left: LMDB's table 0, whose values begin with their
 * number. */
static uint64_t count_free(MDB_txn *txn)
{
	MDB_cursor *cursor;
	uint64_t pages = 0;
	MDB_val key;
	MDB_val value;

	if (mdb_cursor_open(txn, 0, &cursor))
		return 0;
	while (!mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
		pages += *(const size_t *)value.mv_data;
	mdb_cursor_close(cursor);
	return pages;
}

static void tell_tables(struct mf_storage_call *call, MDB_txn *txn)
{
	char name[sizeof(((struct mf_abi_kv_stat *)0)->name)];

	for (unsigned int i = 0; i < kv_table_count(); i++) {
		const struct kv_table *table = kv_table_at(i);
		MDB_stat stat;

		if (!kv_table_is_open(table) || mdb_stat(txn, table->dbi, &stat))
			continue;
		snprintf(name, sizeof(name), "table.%s.entries", table->name);
		tell(call, name, stat.ms_entries);
		snprintf(name, sizeof(name), "table.%s.bytes", table->name);
		tell(call, name,
		     (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
			     stat.ms_psize);
	}
}

/* What each request VM has mapped of the file, when it has all there is. */
static void tell_window(struct mf_storage_call *call)
{
	const struct mf_abi_store_control *area = (const void *)MF_STORE_CONTROL_VA;
	mdb_filehandle_t fd;
	struct stat st;
	unsigned int pieces = 0;

	if (!mdb_env_get_fd(kv_env(), &fd) && !fstat(fd, &st) && st.st_size > 0)
		pieces = mf_place_pieces((uint64_t)st.st_size < area->place_bytes
						 ? (uint64_t)st.st_size
						 : area->place_bytes);
	tell(call, "window.bytes", MF_PLACE_PIECE_AT(pieces));
	tell(call, "window.slots", pieces);
	tell(call, "window.kernel_bytes", MF_PLACE_KERNEL_BYTES(MF_PLACE_PIECE_AT(pieces)));
}

static void tell_reads(struct mf_storage_call *call)
{
	const struct mf_abi_store_control *area = (const void *)MF_STORE_CONTROL_VA;
	const struct kv_session_stats *sessions = kv_session_stats();
	const struct kv_commit_stats *commits = kv_commit_stats();
	const struct kv_read_stats *reads = kv_read_stats();

	tell(call, "commits", commits->commits);
	tell(call, "transactions", commits->transactions);
	tell(call, "waiting", commits->waiting);
	tell(call, "conflicts", sessions->conflicts);
	tell(call, "rollbacks", sessions->rollbacks);
	tell(call, "transactions.open", sessions->open);
	tell(call, "transactions.aged", sessions->aged);
	tell(call, "hits", reads->hits + area->hits);
	tell(call, "misses", reads->misses + area->misses);
	tell(call, "hits.in_place", area->hits);
	tell(call, "expired", reads->expired);
	tell(call, "expired.removed", kv_sweep_stats()->swept);
	tell(call, "evictions", kv_sweep_stats()->evicted);
	tell(call, "kept.bytes", commits->kept_bytes);
	tell(call, "memory.writes", kv_txn_bytes());
	tell(call, "memory.recent", kv_recent_bytes());
}

static int tell_all(struct mf_storage_call *call, struct kv_txn *txn)
{
	MDB_txn *disk = txn->snapshot->txn;
	unsigned int open;
	uint64_t oldest = kv_snapshot_oldest(&open);

	tell(call, "format", KV_FORMAT);
	tell(call, "epoch", kv_epoch());
	tell(call, "commit", txn->snapshot->txn_id);
	tell(call, "map.bytes", kv_map_pages() * kv_page_bytes());
	tell(call, "page.bytes", kv_page_bytes());
	tell(call, "pages.used", kv_commit_stats()->last_page + 1);
	tell(call, "pages.free", count_free(disk));
	tell(call, "snapshots", open);
	tell(call, "snapshots.behind",
	     kv_commit_durable() > oldest ? kv_commit_durable() - oldest : 0);
	tell_reads(call);
	tell_window(call);
	tell_tables(call, disk);
	return 0;
}

int kv_stat_call_declare(void)
{
	static const struct kv_function function = {
		MF_KV_STAT, "kv.stat", 0, FIGURES_MAX * sizeof(struct mf_abi_kv_stat),
		false,      tell_all};

	return kv_declare(&function);
}
