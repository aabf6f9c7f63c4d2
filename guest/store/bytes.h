/* SPDX-License-Identifier: MIT */
/* Bytes with a length, and what a record is: of the store's files all know these, and no more. */
#ifndef MF_GUEST_STORE_BYTES_H
#define MF_GUEST_STORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <mayfly/abi/store.h>

struct kv_bytes {
	const void *data;
	size_t bytes;
};

/*
 * A full key: the table's name, a zero, the key. No name has a zero, so full keys are in the order
 * of their tables and within one in that of its keys, as bytes.
 */
#define KV_NAME_MAX (MF_KV_TABLE_MAX_BYTES + 1u + MF_KV_KEY_MAX_BYTES + 1u)

struct kv_name {
	size_t bytes;
	size_t table_bytes;
	uint8_t at[KV_NAME_MAX];
};

/* The bytes of `key` are at most MF_KV_KEY_MAX_BYTES; `table` is a name that may be one. */
static inline void kv_name_set(struct kv_name *name, const char *table, struct kv_bytes key)
{
	name->table_bytes = strlen(table);
	name->bytes = name->table_bytes + 1 + key.bytes;
	memcpy(name->at, table, name->table_bytes + 1);
	if (key.bytes)
		memcpy(name->at + name->table_bytes + 1, key.data, key.bytes);
}

/* What comes behind every key of the table. */
static inline void kv_name_set_end(struct kv_name *name, const char *table)
{
	kv_name_set(name, table, (struct kv_bytes){NULL, 0});
	name->at[name->table_bytes] = 1;
}

static inline struct kv_bytes kv_name_all(const struct kv_name *name)
{
	return (struct kv_bytes){name->at, name->bytes};
}

/* A full key's parts. */
static inline const char *kv_table_of(struct kv_bytes full)
{
	return full.data;
}

static inline struct kv_bytes kv_key_of(struct kv_bytes full)
{
	size_t table = strlen(full.data) + 1;

	return (struct kv_bytes){(const uint8_t *)full.data + table, full.bytes - table};
}

/* The order of keys: as bytes, the shorter one first. */
static inline int kv_compare(struct kv_bytes a, struct kv_bytes b)
{
	size_t both = a.bytes < b.bytes ? a.bytes : b.bytes;
	int order = both ? memcmp(a.data, b.data, both) : 0;

	return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static inline bool kv_same(struct kv_bytes a, struct kv_bytes b)
{
	return a.bytes == b.bytes && (!a.bytes || !memcmp(a.data, b.data, a.bytes));
}

/*
 * A record's value in the store (format 2): this head, then the bytes, without a gap. A value that
 * has pages of its own (more than some 2000 bytes) has its bytes at a multiple of 8.
 */
struct kv_record {
	uint64_t word; /* bits 0..47: when it expires, in ms since 1970, 0: never; 48..55: kind */
	uint8_t data[];
};

#define KV_EXPIRES_MAX ((1ull << 48) - 1)

static inline uint64_t kv_word(uint64_t expires_ms, uint8_t kind)
{
	return (expires_ms & KV_EXPIRES_MAX) | (uint64_t)kind << 48;
}

/* A value as it is read. Valid until the transaction's next write or its end. */
struct kv_value {
	const void *data;
	size_t bytes;
	uint64_t expires_ms; /* since 1970; 0: never */
	uint8_t kind;        /* what the writer said that it is; 0 for bytes */
};

/* What is in a record. False: it has expired by then. */
static inline bool kv_value_of(struct kv_bytes record, uint64_t now_ms, struct kv_value *value)
{
	const uint8_t *at = record.data;
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	*value = (struct kv_value){at + sizeof(word), record.bytes - sizeof(word),
				   word & KV_EXPIRES_MAX, (uint8_t)(word >> 48)};
	return !value->expires_ms || value->expires_ms > now_ms;
}

#endif
