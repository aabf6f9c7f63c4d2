/* SPDX-License-Identifier: MIT */
/*
 * What the store should hold: random calls, their effects, and a sum that says whether a store
 * holds exactly that. Values say themselves what they are: key, sequence and length are in every
 * byte.
 */
#ifndef TESTS_STORE_DURABILITY_REPLAY_MODEL_H
#define TESTS_STORE_DURABILITY_REPLAY_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_TABLES 5u  /* the last holds counters */
#define MODEL_KEYS   48u /* of each table */
#define COUNTERS     (MODEL_TABLES - 1)
#define VALUE_MAX    70000u

/* A record; sequence 0: it is not there. */
struct record {
	uint64_t sequence; /* of a counter: its value plus 1 */
	uint32_t bytes;
};

struct model {
	struct record records[MODEL_TABLES][MODEL_KEYS];
	uint64_t sum;
};

struct call {
	uint32_t function; /* MF_KV_* */
	unsigned int channel;
	unsigned int table;
	unsigned int key;
	struct record expected; /* of a swap */
	struct record value;    /* to put */
	uint64_t number;        /* to add */
	/* the reply */
	bool answered;
	int status;
	uint8_t *reply;
	size_t reply_bytes;
};

/* A call that makes some sense after what the model holds. */
void model_plan(const struct model *model, struct call *call, uint64_t sequence, uint64_t *dice);

/* The call's payload, to be freed. */
uint8_t *model_payload(const struct call *call, size_t *bytes);

/* What the call is answered with after that. */
int model_status(const struct model *model, const struct call *call);

/* Is the reply what this model would say? Nothing changes. */
bool model_agrees(const struct model *model, const struct call *call);

/* The effect of a call that succeeded. */
void model_apply(struct model *model, const struct call *call);

/* A table's name, and a key's: at most 40 bytes with their end. */
void model_table_name(unsigned int table, char name[40]);
void model_key_name(unsigned int table, unsigned int key, char name[40]);

/* What a record adds to the sum. */
uint64_t model_weight(const char *table, const void *key, size_t key_bytes, const void *value,
		      size_t value_bytes);

/* Is that value one that was written as a whole, under this key? */
bool model_is_whole(const char *table, const void *key, size_t key_bytes, const void *value,
		    size_t value_bytes);

#endif
