/* SPDX-License-Identifier: MIT */
/* Records in memory alone: a sorted array, and what is to be undone. */
#include "memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest/store/redis/records.h"

struct entry {
	uint8_t key[RECORD_KEY_MAX];
	size_t key_bytes;
	struct record record; /* its value is owned */
};

/* What a key had before a write. */
struct undo {
	struct entry old;
	int had;
};

static struct entry *entries;
static size_t count, room;
static struct undo *undos;
static size_t undo_count, undo_room;
static size_t marks[16];
static size_t mark_count;
static size_t most = SIZE_MAX;
static size_t writes;

static int order(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
	size_t both = a_bytes < b_bytes ? a_bytes : b_bytes;
	int found = both ? memcmp(a, b, both) : 0;

	return found ? found : (a_bytes > b_bytes) - (a_bytes < b_bytes);
}

/* The first entry that is not before the key. */
static size_t find(const uint8_t *key, size_t bytes, int *same)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (order(entries[middle].key, entries[middle].key_bytes, key, bytes) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*same = low < count && !order(entries[low].key, entries[low].key_bytes, key, bytes);
	return low;
}

int64_t records_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int is_over(const struct entry *entry)
{
	return entry->record.expires_ms && entry->record.expires_ms <= records_now_ms();
}

int records_get(struct mf_bytes key, struct record *record)
{
	int same;
	size_t i = find(key.data, key.length, &same);

	if (!same || is_over(&entries[i]))
		return -ENOENT;
	*record = entries[i].record;
	return 0;
}

static void remember(size_t i, int had, const uint8_t *key, size_t bytes)
{
	if (!mark_count) {
		if (had)
			free((void *)entries[i].record.value.data);
		return;
	}
	if (undo_count == undo_room) {
		undo_room = undo_room ? 2 * undo_room : 64;
		undos = realloc(undos, undo_room * sizeof(*undos));
	}
	undos[undo_count].had = had;
	if (had)
		undos[undo_count].old = entries[i];
	memcpy(undos[undo_count].old.key, key, bytes);
	undos[undo_count++].old.key_bytes = bytes;
}

static void cut(size_t i)
{
	memmove(&entries[i], &entries[i + 1], (count - i - 1) * sizeof(*entries));
	count--;
}

static struct entry *make(size_t i)
{
	if (count == room) {
		room = room ? 2 * room : 64;
		entries = realloc(entries, room * sizeof(*entries));
	}
	memmove(&entries[i + 1], &entries[i], (count - i) * sizeof(*entries));
	count++;
	return &entries[i];
}

int records_put(struct mf_bytes key, const struct record *record)
{
	uint8_t *value = malloc(record->value.length + 1);
	int same;
	size_t i;

	if (key.length > RECORD_KEY_MAX || !key.length)
		abort();
	if (++writes > most) {
		free(value);
		return -ENOSPC;
	}
	if (record->value.length)
		memcpy(value, record->value.data, record->value.length);
	i = find(key.data, key.length, &same);
	remember(i, same, key.data, key.length);
	if (!same)
		make(i);
	memcpy(entries[i].key, key.data, key.length);
	entries[i].key_bytes = key.length;
	entries[i].record = *record;
	entries[i].record.value.data = value;
	return 0;
}

int records_delete(struct mf_bytes key)
{
	int same;
	size_t i = find(key.data, key.length, &same);

	if (!same)
		return 0;
	remember(i, 1, key.data, key.length);
	cut(i);
	return 0;
}

int records_next(struct mf_bytes prefix, struct mf_bytes after, uint8_t *key, size_t *key_bytes,
		 struct record *record)
{
	int same;
	size_t i = after.length ? find(after.data, after.length, &same)
				: find(prefix.data, prefix.length, &same);

	if (after.length && same)
		i++;
	while (i < count && is_over(&entries[i]))
		i++;
	if (i == count || entries[i].key_bytes < prefix.length ||
	    (prefix.length && memcmp(entries[i].key, prefix.data, prefix.length) != 0))
		return -ENOENT;
	memcpy(key, entries[i].key, entries[i].key_bytes);
	*key_bytes = entries[i].key_bytes;
	*record = entries[i].record;
	return 0;
}

int records_save(void)
{
	if (mark_count == sizeof(marks) / sizeof(marks[0]))
		abort();
	marks[mark_count++] = undo_count;
	return 0;
}

int records_keep(void)
{
	if (--mark_count)
		return 0;
	while (undo_count)
		if (undos[--undo_count].had)
			free((void *)undos[undo_count].old.record.value.data);
	return 0;
}

void records_undo(void)
{
	size_t to = marks[--mark_count];

	while (undo_count > to) {
		struct undo *undo = &undos[--undo_count];
		int same;
		size_t i = find(undo->old.key, undo->old.key_bytes, &same);

		if (same)
			free((void *)entries[i].record.value.data);
		if (same && !undo->had)
			cut(i);
		else if (undo->had)
			*(same ? &entries[i] : make(i)) = undo->old;
	}
}

size_t memory_records(void)
{
	return count;
}

void memory_full_after(size_t puts)
{
	most = puts;
	writes = 0;
}

void memory_clear(void)
{
	while (count)
		free((void *)entries[--count].record.value.data);
	free(entries);
	free(undos);
	entries = NULL;
	undos = NULL;
	room = undo_room = undo_count = mark_count = 0;
	most = SIZE_MAX;
}
