/* SPDX-License-Identifier: MIT */
/*
 * Commands as clients send them: arrays of bulk strings of the Redis protocol, or a line of words.
 * Bytes come in any pieces; what was looked at is not looked at again. Pure: memory and nothing
 * else.
 */
#ifndef MF_GUEST_STORE_REDIS_PARSE_H
#define MF_GUEST_STORE_REDIS_PARSE_H

#include <mayfly/store.h>

#include "guest/store/redis/buffer.h"

#define PARSE_BULK_MAX    ((size_t)64 << 20)                   /* of one argument */
#define PARSE_COMMAND_MAX (PARSE_BULK_MAX + ((size_t)1 << 20)) /* of a command as it is sent */
#define PARSE_ARGS_MAX    (1024 * 1024)
#define PARSE_LINE_MAX    65536u

struct parse_span {
	size_t at; /* from the buffer's start */
	size_t count;
};

/* Zeroed at first. */
struct parser {
	struct buffer input;
	size_t at;    /* looked at, from the buffer's start */
	int64_t left; /* arguments still to come */
	int64_t bulk; /* bytes of the argument under way; -1: its length has not come yet */
	struct parse_span *spans; /* owned */
	struct mf_bytes *args;    /* owned */
	uint32_t count;
	uint32_t room; /* of spans and args */
};

enum parsed {
	PARSED_NONE, /* it takes more bytes */
	PARSED_COMMAND,
	PARSED_ERROR, /* the rest means nothing */
};

/* More bytes. False: no memory for them. */
bool parser_feed(struct parser *parser, const void *bytes, size_t count);

/*
 * The next command: `args`, `count` (may be 0: an empty line) are valid until parser_done.
 * PARSED_ERROR: why, as Redis says it; static.
 */
enum parsed parser_next(struct parser *parser, const char **why);

/* Done with the command that parser_next has returned. */
void parser_done(struct parser *parser);

void parser_finish(struct parser *parser);

#endif
