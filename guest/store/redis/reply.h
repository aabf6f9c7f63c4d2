/* SPDX-License-Identifier: MIT */
/* Replies, in the form of the protocol's version that the client has chosen. */
#ifndef MF_GUEST_STORE_REDIS_REPLY_H
#define MF_GUEST_STORE_REDIS_REPLY_H

#include <string.h>

#include <mayfly/store.h>

#include "guest/store/redis/buffer.h"

/* What one command may answer at most; a longer answer becomes an error. */
#define REPLY_MAX ((size_t)128 << 20)

struct reply {
	struct buffer out;
	int protocol; /* 2 or 3 */
	bool failed;  /* there was no memory: what is there is not whole */
};

void reply_status(struct reply *reply, const char *text);
/* `text` begins with the error's code; line ends in it become blanks. */
void reply_error(struct reply *reply, const char *text);
void reply_errorf(struct reply *reply, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void reply_number(struct reply *reply, int64_t number);
void reply_bulk(struct reply *reply, struct mf_bytes bytes);
void reply_text(struct reply *reply, const char *text);
/* Text for people: verbatim in version 3. */
void reply_verbatim(struct reply *reply, struct mf_bytes text);
void reply_null(struct reply *reply);
void reply_null_array(struct reply *reply);
/* So many replies follow; of a map: pairs. */
void reply_array(struct reply *reply, size_t count);
void reply_map(struct reply *reply, size_t pairs);
void reply_set(struct reply *reply, size_t count);

/*
 * An array whose length is known when it is over: begin it, add to it, end it. One at a time; the
 * reply's bytes may move.
 */
size_t reply_later(struct reply *reply);
void reply_later_is(struct reply *reply, size_t where, char kind, size_t count);

/* All of another, which is finished by it. */
void reply_part(struct reply *reply, struct reply *part);

static inline struct mf_bytes bytes_of(const char *text)
{
	return (struct mf_bytes){text, strlen(text)};
}

#endif
