/* SPDX-License-Identifier: MIT */
#include "guest/store/redis/buffer.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_MIN   512u
#define EXACT_FROM ((size_t)1 << 20)
#define ROOM_SMALL 65536u /* an empty buffer keeps so much at most; it does not count */

static size_t in_use; /* by large buffers */

static size_t counted(size_t room)
{
	return room > ROOM_SMALL ? room : 0;
}

static bool resize(struct buffer *buffer, size_t room)
{
	uint8_t *at;

	if (counted(room) > counted(buffer->room) &&
	    counted(room) - counted(buffer->room) > BUFFERS_MAX - in_use)
		return false;
	at = realloc(buffer->at, room);
	if (!at)
		return false;
	in_use += counted(room) - counted(buffer->room);
	buffer->at = at;
	buffer->room = room;
	return true;
}

/* What is done with goes away when that is worth the copy. */
static void shift(struct buffer *buffer)
{
	if (!buffer->start || buffer->start < buffer_bytes(buffer))
		return;
	memmove(buffer->at, buffer_data(buffer), buffer_bytes(buffer));
	buffer->end -= buffer->start;
	buffer->start = 0;
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t bytes)
{
	size_t room = buffer->room < ROOM_MIN ? ROOM_MIN : buffer->room;

	shift(buffer);
	if (bytes > BUFFERS_MAX)
		return NULL;
	while (room < buffer->end + bytes && bytes < EXACT_FROM)
		room += room / 2;
	if (room < buffer->end + bytes) /* who asks for so much knows how much it will be */
		room = buffer->end + bytes;
	if (room > buffer->room && !resize(buffer, room) && !resize(buffer, buffer->end + bytes))
		return NULL;
	return buffer->at + buffer->end;
}

bool buffer_add(struct buffer *buffer, const void *bytes, size_t count)
{
	uint8_t *to = buffer_reserve(buffer, count);

	if (!to)
		return false;
	if (count)
		memcpy(to, bytes, count);
	buffer->end += count;
	return true;
}

void buffer_drop(struct buffer *buffer, size_t bytes)
{
	buffer->start += bytes;
	if (buffer->start < buffer->end)
		return;
	buffer->start = buffer->end = 0;
	if (buffer->room > ROOM_SMALL)
		buffer_finish(buffer);
}

void buffer_finish(struct buffer *buffer)
{
	in_use -= counted(buffer->room);
	free(buffer->at);
	*buffer = (struct buffer){0};
}
