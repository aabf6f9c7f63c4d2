/* SPDX-License-Identifier: MIT */
/* What a transaction has read. Beyond a bound everything counts as read: more conflicts, no wrong
 * ones. */
#include "txn_own.h"

#include <errno.h>

#define READS_MAX_BYTES (1u << 20)

/* Behind every table: no name is so long. */
static const uint8_t very_end[MF_KV_TABLE_MAX_BYTES + 1] = {[0 ... MF_KV_TABLE_MAX_BYTES] = 0xff};

int kv_reads_add(struct kv_reads *reads, struct kv_bytes full)
{
	if (!reads->kept || reads->bytes > READS_MAX_BYTES)
		return 0;
	if (!kv_tree_add(&reads->keys, full))
		return -ENOMEM;
	if (reads->bytes + reads->keys.bytes <= READS_MAX_BYTES)
		return 0;
	return kv_reads_add_range(reads, (struct kv_bytes){"", 0},
				  (struct kv_bytes){very_end, sizeof(very_end)});
}

int kv_reads_add_range(struct kv_reads *reads, struct kv_bytes begin, struct kv_bytes end)
{
	size_t bytes = sizeof(struct kv_span) + begin.bytes + end.bytes;
	struct kv_span *span;

	if (!reads->kept || reads->bytes > READS_MAX_BYTES || kv_compare(begin, end) >= 0)
		return 0;
	if (reads->bytes + bytes + reads->keys.bytes > READS_MAX_BYTES) {
		begin = (struct kv_bytes){"", 0};
		end = (struct kv_bytes){very_end, sizeof(very_end)};
		bytes = READS_MAX_BYTES + 1;
	}
	span = malloc(sizeof(*span) + begin.bytes + end.bytes);
	if (!span)
		return -ENOMEM;
	*span = (struct kv_span){reads->spans, begin.bytes, end.bytes};
	if (begin.bytes)
		memcpy(span->at, begin.data, begin.bytes);
	memcpy(span->at + begin.bytes, end.data, end.bytes);
	reads->spans = span;
	reads->bytes += bytes;
	return 0;
}

bool kv_reads_conflict(const struct kv_reads *reads, uint64_t version)
{
	for (const struct kv_node *at = reads->keys.first[0]; at; at = kv_node_next(at))
		if (kv_recent_wrote(kv_node_key(at), version))
			return true;
	for (const struct kv_span *at = reads->spans; at; at = at->next)
		if (kv_recent_wrote_range(
			    (struct kv_bytes){at->at, at->begin_bytes},
			    (struct kv_bytes){at->at + at->begin_bytes, at->end_bytes}, version))
			return true;
	return false;
}

void kv_reads_clear(struct kv_reads *reads)
{
	while (reads->spans) {
		struct kv_span *next = reads->spans->next;

		free(reads->spans);
		reads->spans = next;
	}
	kv_tree_clear(&reads->keys, NULL);
	*reads = (struct kv_reads){.kept = reads->kept};
}
