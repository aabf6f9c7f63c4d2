/* SPDX-License-Identifier: MIT */
/* Blocks of records, read and put together. */
#include "cli/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void set_record(struct store_record *record, const uint8_t *key, size_t key_bytes,
		       const uint8_t *whole, size_t bytes)
{
	uint64_t word;

	record->key = key;
	record->key_bytes = key_bytes;
	memcpy(&word, whole, sizeof(word));
	record->expires_ms = word & ((1ull << 48) - 1);
	record->kind = (uint8_t)(word >> 48);
	record->value = whole + sizeof(word);
	record->value_bytes = bytes - sizeof(word);
}

/* A record that comes in parts. */
static struct {
	uint8_t *bytes;
	uint64_t have;
} large;

/* 1: the part was the last one, and `record` is whole; until the next one comes. */
static int take_part(struct store_record *record, const struct mf_abi_admin_part *part,
		     const uint8_t *at, const struct mf_abi_kv_entry *entry)
{
	if (!part->offset) {
		free(large.bytes);
		large.have = 0;
		large.bytes = malloc(part->bytes);
		if (!large.bytes)
			return -ENOMEM;
	}
	if (!large.bytes || part->offset != large.have || part->bytes < sizeof(uint64_t) ||
	    entry->value_bytes > part->bytes - large.have)
		return -EPROTO;
	memcpy(large.bytes + large.have, at + entry->key_bytes, entry->value_bytes);
	large.have += entry->value_bytes;
	set_record(record, at, entry->key_bytes, large.bytes, part->bytes);
	return large.have == part->bytes;
}

/* A whole record, or a part of one. 1: `record` is one. */
static int take_next(struct store_record *record, const struct mf_abi_admin_part *part,
		     const uint8_t *at, const struct mf_abi_kv_entry *entry)
{
	if (part->bytes)
		return take_part(record, part, at, entry);
	if (entry->value_bytes < sizeof(uint64_t))
		return -EPROTO;
	set_record(record, at, entry->key_bytes, at + entry->key_bytes, entry->value_bytes);
	return 1;
}

/* The head, the name and what there is of parts. Where the records begin; 0: it is no block. */
static size_t open_block(const uint8_t *block, size_t bytes, struct mf_abi_admin_block *head,
			 char table[MF_KV_TABLE_MAX_BYTES + 1], struct mf_abi_admin_part *part)
{
	size_t at = sizeof(*head);

	*part = (struct mf_abi_admin_part){0};
	if (bytes < at)
		return 0;
	memcpy(head, block, sizeof(*head));
	if (head->table_bytes > MF_KV_TABLE_MAX_BYTES || head->table_bytes > bytes - at)
		return 0;
	memcpy(table, block + at, head->table_bytes);
	table[head->table_bytes] = 0;
	at += head->table_bytes;
	if (!(head->flags & MF_ADMIN_PART))
		return at;
	if (bytes - at < sizeof(*part))
		return 0;
	memcpy(part, block + at, sizeof(*part));
	return part->bytes ? at + sizeof(*part) : 0;
}

uint32_t store_records(const uint8_t *block, size_t bytes)
{
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	struct mf_abi_admin_block head;
	struct mf_abi_admin_part part;
	struct mf_abi_kv_entry entry;
	size_t at = open_block(block, bytes, &head, table, &part);

	if (!at || !part.bytes)
		return at ? head.records : 0;
	if (bytes - at < sizeof(entry))
		return 0;
	memcpy(&entry, block + at, sizeof(entry));
	return part.offset + entry.value_bytes == part.bytes;
}

int store_each(const uint8_t *block, size_t bytes,
	       int (*take)(void *arg, const struct store_record *record), void *arg)
{
	char table[MF_KV_TABLE_MAX_BYTES + 1];
	struct store_record record = {.table = table};
	struct mf_abi_admin_block head;
	struct mf_abi_admin_part part;
	size_t at = open_block(block, bytes, &head, table, &part);
	int ret = at ? 0 : -EPROTO;

	for (uint32_t i = 0; !ret && i < head.records; i++) {
		struct mf_abi_kv_entry entry;

		if (bytes - at < sizeof(entry))
			return -EPROTO;
		memcpy(&entry, block + at, sizeof(entry));
		at += sizeof(entry);
		if (bytes - at < (size_t)entry.key_bytes + entry.value_bytes)
			return -EPROTO;
		ret = take_next(&record, &part, block + at, &entry);
		at += (size_t)entry.key_bytes + entry.value_bytes;
		ret = ret > 0 ? take(arg, &record) : ret;
	}
	return ret ? ret : at == bytes ? 0 : -EPROTO;
}

int store_block_init(struct store_block *block)
{
	*block = (struct store_block){.bytes = malloc(MF_ADMIN_BLOCK_MAX_BYTES)};
	return block->bytes ? 0 : -ENOMEM;
}

void store_block_finish(struct store_block *block)
{
	free(block->bytes);
	block->bytes = NULL;
}

void store_block_clear(struct store_block *block)
{
	block->used = 0;
	block->records = 0;
}

static void append(struct store_block *block, const void *from, size_t bytes)
{
	if (bytes)
		memcpy(block->bytes + block->used, from, bytes);
	block->used += bytes;
}

bool store_block_add(struct store_block *block, const struct store_record *record)
{
	struct mf_abi_admin_block head = {.table_bytes = (uint16_t)strlen(record->table)};
	struct mf_abi_kv_entry entry = {(uint32_t)record->key_bytes,
					(uint32_t)(sizeof(uint64_t) + record->value_bytes)};
	uint64_t word = record->expires_ms | (uint64_t)record->kind << 48;

	if (block->records && strcmp(block->table, record->table))
		return false;
	if (!block->records) {
		block->used = 0;
		snprintf(block->table, sizeof(block->table), "%s", record->table);
		append(block, &head, sizeof(head));
		append(block, record->table, head.table_bytes);
	}
	if (block->used + sizeof(entry) + record->key_bytes + entry.value_bytes >
	    MF_ADMIN_BLOCK_MAX_BYTES)
		return false;
	append(block, &entry, sizeof(entry));
	append(block, record->key, record->key_bytes);
	append(block, &word, sizeof(word));
	append(block, record->value, record->value_bytes);
	head.records = ++block->records;
	memcpy(block->bytes, &head, sizeof(head));
	return true;
}

/* One part, as a block. */
static int put_part(struct store_job *job, const struct store_record *record, const uint8_t *whole,
		    const struct mf_abi_admin_part *part, size_t bytes, struct store_block *block)
{
	struct mf_abi_admin_block head = {.records = 1,
					  .table_bytes = (uint16_t)strlen(record->table),
					  .flags = MF_ADMIN_PART};
	struct mf_abi_kv_entry entry = {(uint32_t)record->key_bytes, (uint32_t)bytes};

	block->used = 0;
	append(block, &head, sizeof(head));
	append(block, record->table, head.table_bytes);
	append(block, part, sizeof(*part));
	append(block, &entry, sizeof(entry));
	append(block, record->key, record->key_bytes);
	append(block, whole + part->offset, bytes);
	return store_call(job, MF_ADMIN_PUT, block->bytes, block->used);
}

int store_put_large(struct store_job *job, const struct store_record *record)
{
	uint64_t word = record->expires_ms | (uint64_t)record->kind << 48;
	struct mf_abi_admin_part part = {.bytes = sizeof(word) + record->value_bytes};
	struct store_block block = {.bytes = NULL};
	uint8_t *whole = malloc(part.bytes);
	int ret = whole && !store_block_init(&block) ? 0 : -ENOMEM;

	if (!ret) {
		memcpy(whole, &word, sizeof(word));
		memcpy(whole + sizeof(word), record->value, record->value_bytes);
	}
	while (!ret && part.offset < part.bytes) {
		size_t left = part.bytes - part.offset;
		size_t bytes = left < MF_KV_PART_MAX_BYTES ? left : MF_KV_PART_MAX_BYTES;

		ret = put_part(job, record, whole, &part, bytes, &block);
		part.offset += bytes;
	}
	store_block_finish(&block);
	free(whole);
	return ret;
}
