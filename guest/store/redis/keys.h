/* SPDX-License-Identifier: MIT */
/*
 * Keys, what they hold and how long. A string is one record. A hash is a record that says so and
 * one for each field, so that who writes one field is in conflict with nobody who writes another;
 * all of them have the hash's time. What has expired is not there.
 */
#ifndef MF_GUEST_STORE_REDIS_KEYS_H
#define MF_GUEST_STORE_REDIS_KEYS_H

#include "guest/store/redis/redis.h"

enum kind {
	KIND_NONE = 0,
	KIND_STRING = 's',
	KIND_HASH = 'h',
};

/* What the names of their records begin with. */
#define KEY_MARK   'k'
#define FIELD_MARK 'f'

/* Of a key alone; of a key and a field together. */
#define KEY_MAX   (RECORD_KEY_MAX - 1u)
#define FIELD_MAX (RECORD_KEY_MAX - 3u)

#define VALUE_MAX PARSE_BULK_MAX

struct key {
	enum kind kind;        /* KIND_NONE: not there */
	int64_t expires_ms;    /* 0: never */
	struct mf_bytes value; /* of a string */
};

/* Look at it. False: the store failed, call->error says how. */
bool key_get(struct call *call, struct mf_bytes name, struct key *key);

/* The same for a command of one kind: false, too, when it holds another, which was replied. */
bool key_get_kind(struct call *call, struct mf_bytes name, enum kind kind, struct key *key);

/* Write a string; whatever was there is gone. `key` is what key_get told. */
bool key_put_string(struct call *call, struct mf_bytes name, const struct key *key,
		    struct mf_bytes value, int64_t expires_ms);

/* Where to put together a string of so many bytes. NULL: no memory, which call->error says. */
uint8_t *key_value_room(struct call *call, size_t bytes);

/* Set the time of one that is there; 0: for ever. */
bool key_set_time(struct call *call, struct mf_bytes name, const struct key *key,
		  int64_t expires_ms);

/* It is gone with all of it. True: done; whether it was there says `key`. */
bool key_delete(struct call *call, struct mf_bytes name, const struct key *key);

/* That record was written: whoever watches its key is told, if it is a key's. */
void key_touch(struct call *call, struct mf_bytes record);

/* A name of a key or field that was come by; no bytes at first. */
struct place {
	bool any;
	size_t bytes;
	uint8_t at[RECORD_KEY_MAX];
};

static inline struct mf_bytes place_name(const struct place *place)
{
	return (struct mf_bytes){place->at, place->bytes};
}

/* Keys in their order: the next one behind `place`. False: there is none, or the store failed. */
bool key_next(struct call *call, struct place *place, struct key *key);

/* ---- hashes ---- */

bool field_get(struct call *call, struct mf_bytes name, struct mf_bytes field, bool *found,
	       struct mf_bytes *value);
/* Into a hash that may not be there yet: `key` is what key_get told, and is it afterwards. */
bool field_put(struct call *call, struct mf_bytes name, struct key *key, struct mf_bytes field,
	       struct mf_bytes value);
bool field_delete(struct call *call, struct mf_bytes name, struct mf_bytes field, bool *found);
/* Fields in their order, as key_next. */
bool field_next(struct call *call, struct mf_bytes name, struct place *place,
		struct mf_bytes *value);

#endif
