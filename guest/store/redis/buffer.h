/* SPDX-License-Identifier: MIT */
/*
 * Growing bytes, with one bound for all large ones together: what clients send and do not finish,
 * or ask for and do not take, must not use up the storage VM's memory. Small ones are always to be
 * had, so that clients who ask for little do not suffer from others.
 */
#ifndef MF_GUEST_STORE_REDIS_BUFFER_H
#define MF_GUEST_STORE_REDIS_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer {
	uint8_t *at;  /* owned; NULL while there is no room */
	size_t start; /* bytes before it are done with */
	size_t end;
	size_t room;
};

/* Of all large buffers together. */
#define BUFFERS_MAX ((size_t)160 << 20)

static inline size_t buffer_bytes(const struct buffer *buffer)
{
	return buffer->end - buffer->start;
}

static inline const uint8_t *buffer_data(const struct buffer *buffer)
{
	return buffer->at + buffer->start;
}

/* Room for so many more behind the end, which is returned; NULL: there is not that much memory, and
 * nothing has changed. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t bytes);

/* False: as above. */
bool buffer_add(struct buffer *buffer, const void *bytes, size_t count);

/* Done with so many at the beginning; an empty one begins anew, and a large one is given back. */
void buffer_drop(struct buffer *buffer, size_t bytes);

void buffer_finish(struct buffer *buffer);

#endif
