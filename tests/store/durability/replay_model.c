/* SPDX-License-Identifier: MIT */
#include "tests/store/durability/replay_model.h"
#include "tests/store/durability/replay_disk.h"

#include <mayfly/abi/store.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD 16u /* sequence, then a check of sequence, key and length */

static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) * 0xff51afd7ed558ccdull;
	return sum ^ sum >> 32;
}

static uint64_t hash(uint64_t sum, const void *bytes, size_t count)
{
	const uint8_t *at = bytes;
	uint64_t word = 0;

	sum = mix(sum, count);
	for (; count >= sizeof(word); at += sizeof(word), count -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum = mix(sum, word);
	}
	word = 0;
	memcpy(&word, at, count);
	return mix(sum, word);
}

void model_table_name(unsigned int table, char name[40])
{
	snprintf(name, 40, "%s%u", table == COUNTERS ? "counters" : "table", table);
}

void model_key_name(unsigned int table, unsigned int key, char name[40])
{
	snprintf(name, 40, "%.*skey%u", (int)(key % 20), "--------------------", key * 7 + table);
}

uint64_t model_weight(const char *table, const void *key, size_t key_bytes, const void *value,
		      size_t value_bytes)
{
	return hash(hash(hash(1, table, strlen(table)), key, key_bytes), value, value_bytes);
}

static uint64_t check_of(const char *table, const void *key, size_t key_bytes, uint64_t sequence,
			 size_t value_bytes)
{
	return mix(mix(hash(hash(2, table, strlen(table)), key, key_bytes), sequence), value_bytes);
}

/* The bytes of a value; the head is cut where it is shorter. */
static void form_value(const char *table, const char *key, struct record record, uint8_t *to)
{
	uint64_t words[2] = {record.sequence,
			     check_of(table, key, strlen(key), record.sequence, record.bytes)};
	uint64_t dice = words[1] | 1;

	memcpy(to, words, HEAD);
	for (size_t at = HEAD; at < record.bytes; at += sizeof(dice)) {
		size_t left = record.bytes - at;

		roll(&dice);
		memcpy(to + at, &dice, left < sizeof(dice) ? left : sizeof(dice));
	}
}

bool model_is_whole(const char *table, const void *key, size_t key_bytes, const void *value,
		    size_t value_bytes)
{
	uint8_t wanted[VALUE_MAX];
	struct record record = {.bytes = (uint32_t)value_bytes};
	char name[40] = "";

	if (!strncmp(table, "counters", 8))
		return value_bytes == sizeof(uint64_t);
	if (value_bytes < HEAD || value_bytes > VALUE_MAX || key_bytes >= sizeof(name))
		return false;
	memcpy(name, key, key_bytes);
	memcpy(&record.sequence, value, sizeof(record.sequence));
	form_value(table, name, record, wanted);
	return !memcmp(wanted, value, value_bytes);
}

static size_t value_of(unsigned int table, unsigned int key, struct record record,
		       uint8_t value[VALUE_MAX])
{
	char table_name[40];
	char key_name[40];
	uint64_t number = record.sequence - 1;

	if (!record.sequence)
		return 0;
	model_table_name(table, table_name);
	model_key_name(table, key, key_name);
	if (table == COUNTERS)
		memcpy(value, &number, sizeof(number));
	else
		form_value(table_name, key_name, record, value);
	return record.bytes;
}

static uint64_t weight_of(unsigned int table, unsigned int key, struct record record)
{
	uint8_t value[VALUE_MAX];
	char table_name[40];
	char key_name[40];
	size_t bytes = value_of(table, key, record, value);

	if (!record.sequence)
		return 0;
	model_table_name(table, table_name);
	model_key_name(table, key, key_name);
	return model_weight(table_name, key_name, strlen(key_name), value, bytes);
}

static uint32_t random_size(uint64_t *dice)
{
	uint64_t kind = roll(dice) % 20;

	if (!kind)
		return (uint32_t)(4096 + roll(dice) % (VALUE_MAX - 4096));
	return (uint32_t)(HEAD + roll(dice) % (kind < 6 ? 4096 : 200));
}

void model_plan(const struct model *model, struct call *call, uint64_t sequence, uint64_t *dice)
{
	static const uint32_t functions[] = {MF_KV_PUT, MF_KV_PUT, MF_KV_PUT,   MF_KV_CAS,
					     MF_KV_CAS, MF_KV_GET, MF_KV_DELETE};
	const struct record *now;

	*call = (struct call){.table = (unsigned int)(roll(dice) % MODEL_TABLES),
			      .key = (unsigned int)(roll(dice) % MODEL_KEYS),
			      .function = functions[roll(dice) % 7],
			      .number = roll(dice) % 1000,
			      .value = {sequence, random_size(dice)}};
	if (call->table == COUNTERS && call->function != MF_KV_GET)
		call->function = roll(dice) % 8 ? MF_KV_ADD : MF_KV_DELETE;
	now = &model->records[call->table][call->key];
	call->expected = *now;
	if (call->function == MF_KV_CAS && !(roll(dice) & 7))
		call->expected = (struct record){sequence + 1000000, HEAD};
}

uint8_t *model_payload(const struct call *call, size_t *bytes)
{
	struct mf_abi_kv head = {.number = call->function == MF_KV_ADD ? call->number : 0};
	uint8_t *payload = malloc(sizeof(head) + 80 + 2 * VALUE_MAX);
	uint8_t *at = payload + sizeof(head);
	char table[40];
	char key[40];

	if (!payload)
		abort();
	model_table_name(call->table, table);
	model_key_name(call->table, call->key, key);
	head.table_bytes = (uint16_t)strlen(table);
	head.key_bytes = (uint16_t)strlen(key);
	memcpy(at, table, head.table_bytes);
	memcpy(at + head.table_bytes, key, head.key_bytes);
	at += head.table_bytes + head.key_bytes;
	if (call->function == MF_KV_CAS) {
		size_t expected = value_of(call->table, call->key, call->expected, at);

		head.number = call->expected.sequence ? expected : MF_KV_ABSENT;
		head.value_bytes = (uint32_t)expected;
	}
	if (call->function == MF_KV_CAS || call->function == MF_KV_PUT)
		head.value_bytes += (uint32_t)value_of(call->table, call->key, call->value,
						       at + head.value_bytes);
	memcpy(payload, &head, sizeof(head));
	*bytes = (size_t)(at - payload) + head.value_bytes;
	return payload;
}

static bool is_record(const struct record *a, const struct record *b)
{
	return a->sequence == b->sequence && (!a->sequence || a->bytes == b->bytes);
}

int model_status(const struct model *model, const struct call *call)
{
	const struct record *now = &model->records[call->table][call->key];
	bool absent = !now->sequence;

	switch (call->function) {
	case MF_KV_GET:
	case MF_KV_DELETE:
		return absent ? -ENOENT : 0;
	case MF_KV_CAS:
		if (is_record(now, &call->expected))
			return 0;
		return absent ? -ENOENT : -EAGAIN;
	default:
		return 0;
	}
}

bool model_agrees(const struct model *model, const struct call *call)
{
	struct record now = model->records[call->table][call->key];
	uint8_t value[VALUE_MAX];
	size_t bytes = 0;

	if (model_status(model, call) != call->status)
		return false;
	if (call->function == MF_KV_ADD)
		now = (struct record){(now.sequence ? now.sequence : 1) + call->number, 8};
	if (call->function == MF_KV_GET || call->function == MF_KV_ADD || call->status == -EAGAIN)
		bytes = value_of(call->table, call->key, now, value);
	return bytes == call->reply_bytes && !memcmp(value, call->reply, bytes);
}

void model_apply(struct model *model, const struct call *call)
{
	struct record *now = &model->records[call->table][call->key];

	if (call->function == MF_KV_GET)
		return;
	model->sum -= weight_of(call->table, call->key, *now);
	if (call->function == MF_KV_DELETE)
		*now = (struct record){0};
	else if (call->function == MF_KV_ADD)
		*now = (struct record){(now->sequence ? now->sequence : 1) + call->number, 8};
	else
		*now = call->value;
	model->sum += weight_of(call->table, call->key, *now);
}
