/* SPDX-License-Identifier: MIT */
#include "tests/store/durability/replay_disk.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORD 8u

/* What becomes of a write. */
enum fate { KEPT, DROPPED, TORN_BY_SECTORS, TORN_BY_WORDS, CUT_OFF, FATES };

uint64_t roll(uint64_t *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return *dice * 0x2545f4914f6cdd1dull >> 16;
}

void disk_init(struct disk *disk, const struct log *log, uint64_t file, uint64_t room)
{
	*disk = (struct disk){.log = log, .file = file, .room = room};
	disk->base = mmap(NULL, room, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	disk->fd = memfd_create("crashed", MFD_CLOEXEC);
	if (disk->base == MAP_FAILED || disk->fd < 0 || ftruncate(disk->fd, (off_t)room))
		abort();
	disk->image = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_SHARED, disk->fd, 0);
	if (disk->image == MAP_FAILED)
		abort();
}

void disk_finish(struct disk *disk)
{
	munmap(disk->base, disk->room);
	munmap(disk->image, disk->room);
	close(disk->fd);
	free(disk->pending);
	free(disk->dirty);
}

static const struct event *event_of(const struct disk *disk, const struct pending *pending)
{
	return &disk->log->events[pending->event];
}

static void note_dirty(struct disk *disk, uint64_t from, uint64_t to)
{
	if (disk->dirty_count == disk->dirty_room) {
		disk->dirty_room = disk->dirty_room ? 2 * disk->dirty_room : 64;
		disk->dirty = realloc(disk->dirty, disk->dirty_room * sizeof(*disk->dirty));
		if (!disk->dirty)
			abort();
	}
	disk->dirty[disk->dirty_count++] = (struct range){from, to};
}

void disk_spoiled(struct disk *disk)
{
	struct stat st;

	if (fstat(disk->fd, &st))
		abort();
	note_dirty(disk, 0, (uint64_t)st.st_size);
	note_dirty(disk, 0, disk->base_bytes);
}

/* ---- what is sure ---- */

static void resize(uint8_t *bytes, uint64_t *size, uint64_t wanted)
{
	if (wanted < *size)
		memset(bytes + wanted, 0, *size - wanted);
	*size = wanted;
}

static void settle(struct disk *disk, const struct event *event)
{
	uint64_t to = event->offset + event->bytes;

	if (event->kind == EVENT_TRUNCATE) {
		note_dirty(disk, 0, disk->room);
		resize(disk->base, &disk->base_bytes, event->bytes);
		return;
	}
	if (to > disk->room)
		abort();
	memcpy(disk->base + event->offset, event->data, event->bytes);
	disk->base_bytes = to > disk->base_bytes ? to : disk->base_bytes;
	note_dirty(disk, event->offset, to);
}

/* All that had returned before the sync began. */
static void sync_all(struct disk *disk, size_t sync)
{
	size_t kept = 0;

	for (size_t i = 0; i < disk->pending_count; i++) {
		struct pending *pending = &disk->pending[i];

		if (pending->end && pending->end < sync)
			settle(disk, event_of(disk, pending));
		else
			disk->pending[kept++] = *pending;
	}
	disk->pending_count = kept;
}

static void add(struct disk *disk, size_t event)
{
	if (disk->pending_count == disk->pending_room) {
		disk->pending_room = disk->pending_room ? 2 * disk->pending_room : 64;
		disk->pending = realloc(disk->pending, disk->pending_room * sizeof(*disk->pending));
		if (!disk->pending)
			abort();
	}
	disk->pending[disk->pending_count++] = (struct pending){.event = event};
}

static void on_end(struct disk *disk, size_t number, size_t of)
{
	const struct event *event = &disk->log->events[of];
	bool error = disk->log->events[number].error;

	if (event->file != disk->file)
		return;
	if (event->kind == EVENT_SYNC)
		sync_all(disk, of);
	for (size_t i = 0; i < disk->pending_count; i++)
		if (disk->pending[i].event == of) {
			disk->pending[i].end = number;
			disk->pending[i].firm =
				event->kind == EVENT_WRITE && event->durable && !error;
		}
}

void disk_step(struct disk *disk, size_t number)
{
	const struct event *event = &disk->log->events[number];

	if (event->kind == EVENT_END)
		on_end(disk, number, event->of);
	else if (event->file == disk->file &&
		 (event->kind == EVENT_WRITE || event->kind == EVENT_TRUNCATE))
		add(disk, number);
}

size_t disk_unsure(const struct disk *disk)
{
	size_t count = 0;

	for (size_t i = 0; i < disk->pending_count; i++)
		count += !disk->pending[i].firm;
	return count;
}

/* ---- what a crash makes of it ---- */

static void to_base(struct disk *disk)
{
	if (ftruncate(disk->fd, (off_t)disk->room))
		abort();
	for (size_t i = 0; i < disk->dirty_count; i++) {
		const struct range *range = &disk->dirty[i];
		uint64_t to = range->to < disk->room ? range->to : disk->room;

		if (range->from < to)
			memcpy(disk->image + range->from, disk->base + range->from,
			       to - range->from);
	}
	disk->dirty_count = 0;
	disk->image_bytes = disk->base_bytes;
}

/* Bytes [from, to) of the file from a write; what later writes made sure stays. */
static void put(struct disk *disk, const struct pending *pending, uint64_t from, uint64_t to)
{
	const struct event *event = event_of(disk, pending);

	memcpy(disk->image + from, event->data + (from - event->offset), to - from);
	note_dirty(disk, from, to);
	if (to > disk->image_bytes)
		disk->image_bytes = to;
	for (size_t i = 0; i < disk->pending_count; i++) {
		const struct pending *other = &disk->pending[i];
		const struct event *firm = event_of(disk, other);
		uint64_t a = firm->offset > from ? firm->offset : from;
		uint64_t b = firm->offset + firm->bytes;

		b = b < to ? b : to;
		if (other->firm && other->event > pending->event && a < b)
			memcpy(disk->image + a, firm->data + (a - firm->offset), b - a);
	}
}

/* Each unit of the write, aligned in the file, by the throw of a coin. */
static void put_units(struct disk *disk, const struct pending *pending, uint64_t unit,
		      uint64_t *dice)
{
	const struct event *event = event_of(disk, pending);
	uint64_t end = event->offset + event->bytes;
	uint64_t from;
	uint64_t to;

	for (from = event->offset; from < end; from = to) {
		to = (from / unit + 1) * unit;
		to = to < end ? to : end;
		if (roll(dice) & 1)
			put(disk, pending, from, to);
	}
}

static bool is_in_one_sector(const struct event *event)
{
	return event->offset / SECTOR == (event->offset + event->bytes - 1) / SECTOR;
}

static void tear(struct disk *disk, const struct pending *pending, enum fate fate, uint64_t *dice)
{
	const struct event *event = event_of(disk, pending);
	uint64_t words = event->bytes / WORD;

	if (fate == TORN_BY_WORDS && is_in_one_sector(event) && !disk->tears_sectors)
		fate = CUT_OFF;
	if (fate == CUT_OFF && is_in_one_sector(event) && disk->whole_sectors)
		fate = DROPPED;
	if (fate == KEPT)
		put(disk, pending, event->offset, event->offset + event->bytes);
	else if (fate == CUT_OFF && words)
		put(disk, pending, event->offset, event->offset + roll(dice) % words * WORD);
	else if (fate == TORN_BY_SECTORS || fate == TORN_BY_WORDS)
		put_units(disk, pending, fate == TORN_BY_WORDS ? WORD : SECTOR, dice);
	/* The size may have come and the bytes not: they are zero then. */
	if (event->offset + event->bytes > disk->image_bytes && roll(dice) & 1)
		disk->image_bytes = event->offset + event->bytes;
}

static bool has_firm_after(const struct disk *disk, size_t event)
{
	for (size_t i = 0; i < disk->pending_count; i++)
		if (disk->pending[i].firm && disk->pending[i].event > event)
			return true;
	return false;
}

/* The file's size is part of what a durable write makes sure. */
static void truncate_image(struct disk *disk, const struct pending *pending, uint64_t *dice)
{
	uint64_t wanted = event_of(disk, pending)->bytes;

	if (has_firm_after(disk, pending->event) || !(roll(dice) & 1))
		return;
	if (wanted < disk->image_bytes)
		note_dirty(disk, wanted, disk->image_bytes);
	resize(disk->image, &disk->image_bytes, wanted);
}

static size_t *shuffled(size_t count, uint64_t *dice)
{
	size_t *order = calloc(count + 1, sizeof(*order));

	if (!order)
		abort();
	for (size_t i = 0; i < count; i++) {
		size_t j = roll(dice) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

void disk_crash(struct disk *disk, uint64_t seed)
{
	uint64_t dice = seed * 0x9e3779b97f4a7c15ull | 1;
	enum fate all = FATES;
	size_t *order;

	roll(&dice);
	order = shuffled(disk->pending_count, &dice);
	/* Some crashes lose everything, some nothing: a coin a write would hardly ever. */
	if (!(roll(&dice) & 3))
		all = roll(&dice) & 1 ? KEPT : DROPPED;
	to_base(disk);
	for (size_t i = 0; i < disk->pending_count; i++)
		if (disk->pending[i].firm)
			tear(disk, &disk->pending[i], KEPT, &dice);
	for (size_t i = 0; i < disk->pending_count; i++) {
		const struct pending *pending = &disk->pending[order[i]];

		if (pending->firm)
			continue;
		if (event_of(disk, pending)->kind == EVENT_TRUNCATE)
			truncate_image(disk, pending, &dice);
		else
			tear(disk, pending, all == FATES ? (enum fate)(roll(&dice) % FATES) : all,
			     &dice);
	}
	free(order);
	if (ftruncate(disk->fd, (off_t)disk->image_bytes))
		abort();
}
