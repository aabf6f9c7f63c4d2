/* SPDX-License-Identifier: MIT */
#include "guest/store/redis/keys.h"

#include <errno.h>
#include <stdlib.h>

#define ROOM_KEPT 65536u

/* False: the store failed, and not with "there is none". */
static bool went_well(struct call *call, int ret)
{
	if (ret && ret != -ENOENT)
		call->error = ret;
	return !ret || ret == -ENOENT;
}

/* ---- names of records ---- */

struct record_name {
	uint8_t bytes[RECORD_KEY_MAX];
	size_t count;
};

static struct mf_bytes name_of(const struct record_name *name)
{
	return (struct mf_bytes){name->bytes, name->count};
}

static void append(struct record_name *to, struct mf_bytes bytes)
{
	if (bytes.length)
		memcpy(to->bytes + to->count, bytes.data, bytes.length);
	to->count += bytes.length;
}

/* False: longer than any that there is. */
static bool key_name(struct mf_bytes key, struct record_name *to)
{
	to->bytes[0] = KEY_MARK;
	to->count = 1;
	if (key.length > KEY_MAX)
		return false;
	append(to, key);
	return true;
}

/* Of all fields of a key. */
static bool fields_name(struct mf_bytes key, struct record_name *to)
{
	to->bytes[0] = FIELD_MARK;
	to->bytes[1] = (uint8_t)(key.length >> 8);
	to->bytes[2] = (uint8_t)key.length;
	to->count = 3;
	if (key.length > FIELD_MAX)
		return false;
	append(to, key);
	return true;
}

static bool field_name(struct mf_bytes key, struct mf_bytes field, struct record_name *to)
{
	if (!fields_name(key, to) || field.length > RECORD_KEY_MAX - to->count)
		return false;
	append(to, field);
	return true;
}

static bool too_long(struct call *call)
{
	reply_errorf(call->reply, "ERR a key has at most %u bytes, with a field at most %u",
		     KEY_MAX, FIELD_MAX);
	return false;
}

/* ---- keys ---- */

static void take(const struct record *record, struct key *key)
{
	key->kind = record->kind == KIND_HASH ? KIND_HASH : KIND_STRING;
	key->expires_ms = record->expires_ms;
	key->value = record->value;
}

bool key_get(struct call *call, struct mf_bytes name, struct key *key)
{
	struct record_name at;
	struct record record;
	int ret;

	*key = (struct key){.kind = KIND_NONE};
	if (!key_name(name, &at))
		return true;
	ret = records_get(name_of(&at), &record);
	if (!ret)
		take(&record, key);
	return went_well(call, ret);
}

bool key_get_kind(struct call *call, struct mf_bytes name, enum kind kind, struct key *key)
{
	if (!key_get(call, name, key))
		return false;
	if (!key->kind || key->kind == kind)
		return true;
	reply_error(call->reply, ERROR_TYPE);
	return false;
}

/* Its fields, one after the other. */
static bool drop_fields(struct call *call, struct mf_bytes name)
{
	struct record_name fields, field;
	struct record record;
	int ret = -ENOENT;

	if (!fields_name(name, &fields))
		return true;
	field.count = 0;
	do {
		ret = records_next(name_of(&fields), name_of(&field), field.bytes, &field.count,
				   &record);
		if (!ret)
			ret = records_delete(name_of(&field));
	} while (!ret);
	return went_well(call, ret);
}

static uint8_t *room_at;
static size_t room_bytes;

uint8_t *key_value_room(struct call *call, size_t bytes)
{
	if (!room_at || bytes > room_bytes || (bytes <= ROOM_KEPT && room_bytes > ROOM_KEPT)) {
		free(room_at);
		room_bytes = bytes < ROOM_KEPT ? ROOM_KEPT : bytes;
		room_at = malloc(room_bytes);
	}
	if (room_at)
		return room_at;
	room_bytes = 0;
	call->error = -ENOMEM;
	return NULL;
}

static bool put(struct call *call, struct mf_bytes name, const struct record *record)
{
	struct record_name at;

	if (!key_name(name, &at) || (record->kind == KIND_HASH && name.length > FIELD_MAX))
		return too_long(call);
	call->error = records_put(name_of(&at), record);
	if (!call->error)
		multi_touch(call->client->request, name);
	return !call->error;
}

bool key_put_string(struct call *call, struct mf_bytes name, const struct key *key,
		    struct mf_bytes value, int64_t expires_ms)
{
	struct record record = {.kind = KIND_STRING, .value = value, .expires_ms = expires_ms};

	return (key->kind != KIND_HASH || drop_fields(call, name)) && put(call, name, &record);
}

/* Of all fields: read and written again, for the time is a record's. */
static bool set_fields_time(struct call *call, struct mf_bytes name, int64_t expires_ms)
{
	struct record_name fields, field = {.count = 0};
	struct record record;
	int ret = -ENOENT;

	if (!fields_name(name, &fields))
		return true;
	do {
		uint8_t *copy;

		ret = records_next(name_of(&fields), name_of(&field), field.bytes, &field.count,
				   &record);
		if (ret)
			break;
		copy = key_value_room(call, record.value.length);
		if (!copy)
			return false;
		if (record.value.length)
			memcpy(copy, record.value.data, record.value.length);
		record.value.data = copy;
		record.expires_ms = expires_ms;
		ret = records_put(name_of(&field), &record);
	} while (!ret);
	return went_well(call, ret);
}

bool key_set_time(struct call *call, struct mf_bytes name, const struct key *key,
		  int64_t expires_ms)
{
	struct record record = {.kind = (uint8_t)key->kind, .expires_ms = expires_ms};
	uint8_t *copy = key_value_room(call, key->value.length);

	if (!copy)
		return false;
	if (key->value.length)
		memcpy(copy, key->value.data, key->value.length);
	record.value = (struct mf_bytes){copy, key->value.length};
	return put(call, name, &record) &&
	       (key->kind != KIND_HASH || set_fields_time(call, name, expires_ms));
}

bool key_delete(struct call *call, struct mf_bytes name, const struct key *key)
{
	struct record_name at;

	if (!key->kind || !key_name(name, &at))
		return true;
	if (key->kind == KIND_HASH && !drop_fields(call, name))
		return false;
	call->error = records_delete(name_of(&at));
	multi_touch(call->client->request, name);
	return !call->error;
}

void key_touch(struct call *call, struct mf_bytes record)
{
	const uint8_t *at = record.data;

	if (record.length && at[0] == KEY_MARK)
		multi_touch(call->client->request, (struct mf_bytes){at + 1, record.length - 1});
}

/* The record behind the place, among those with this prefix. */
static bool next(struct call *call, const struct record_name *prefix, struct place *place,
		 struct record *record)
{
	struct record_name at = {.count = 0};
	int ret;

	if (place->any) {
		at = *prefix;
		append(&at, place_name(place));
	}
	ret = records_next(name_of(prefix), name_of(&at), at.bytes, &at.count, record);
	if (ret) {
		went_well(call, ret);
		return false;
	}
	place->any = true;
	place->bytes = at.count - prefix->count;
	memcpy(place->at, at.bytes + prefix->count, place->bytes);
	return true;
}

bool key_next(struct call *call, struct place *place, struct key *key)
{
	struct record_name prefix;
	struct record record;

	key_name((struct mf_bytes){0}, &prefix);
	if (!next(call, &prefix, place, &record))
		return false;
	take(&record, key);
	return true;
}

/* ---- hashes ---- */

bool field_get(struct call *call, struct mf_bytes name, struct mf_bytes field, bool *found,
	       struct mf_bytes *value)
{
	struct record_name at;
	struct record record = {.kind = KIND_NONE};
	int ret = -ENOENT;

	if (field_name(name, field, &at))
		ret = records_get(name_of(&at), &record);
	*found = !ret;
	*value = record.value;
	return went_well(call, ret);
}

bool field_put(struct call *call, struct mf_bytes name, struct key *key, struct mf_bytes field,
	       struct mf_bytes value)
{
	struct record hash = {.kind = KIND_HASH};
	struct record record = {.value = value, .expires_ms = key->expires_ms};
	struct record_name at;

	if (!field_name(name, field, &at))
		return too_long(call);
	if (!key->kind && !put(call, name, &hash))
		return false;
	key->kind = KIND_HASH;
	call->error = records_put(name_of(&at), &record);
	if (!call->error)
		multi_touch(call->client->request, name);
	return !call->error;
}

bool field_delete(struct call *call, struct mf_bytes name, struct mf_bytes field, bool *found)
{
	struct record_name at;
	struct mf_bytes value;

	if (!field_get(call, name, field, found, &value))
		return false;
	if (!*found)
		return true;
	field_name(name, field, &at);
	call->error = records_delete(name_of(&at));
	multi_touch(call->client->request, name);
	return !call->error;
}

bool field_next(struct call *call, struct mf_bytes name, struct place *place,
		struct mf_bytes *value)
{
	struct record_name prefix;
	struct record record;

	if (!fields_name(name, &prefix) || !next(call, &prefix, place, &record))
		return false;
	*value = record.value;
	return true;
}
