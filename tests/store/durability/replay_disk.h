/* SPDX-License-Identifier: MIT */
/*
 * What a disk may hold of one file when the machine stops, by what POSIX promises and no more:
 *
 * - a sync that returned covers every write and truncation of the file that had returned before the
 *   sync began;
 * - a write through O_DSYNC that returned covers its own bytes, and the size if they are beyond the
 *   end; it covers no other write of the file;
 * - anything else may be there, may be missing, may be there in parts, in any order. A write that
 *   another one covers never comes back over it.
 *
 * `base` is what is surely there; what is not sure yet is pending. An image is made from the base
 * and a random choice among the pending ones.
 */
#ifndef TESTS_STORE_DURABILITY_REPLAY_DISK_H
#define TESTS_STORE_DURABILITY_REPLAY_DISK_H

#include "tests/store/durability/replay_log.h"

#define SECTOR 512u

struct pending {
	size_t event;
	size_t end; /* 0: it has not returned */
	bool firm;  /* its own bytes are surely there */
};

struct range {
	uint64_t from;
	uint64_t to;
};

struct disk {
	const struct log *log;
	uint64_t file;
	uint64_t room; /* of base and image */
	uint8_t *base;
	uint64_t base_bytes;
	struct pending *pending;
	size_t pending_count;
	size_t pending_room;
	/* the last image, and where it is not the base */
	int fd;
	uint8_t *image;
	uint64_t image_bytes;
	struct range *dirty;
	size_t dirty_count;
	size_t dirty_room;
	/* A disk that writes half a sector: 8-byte words of it come and go by themselves. */
	bool tears_sectors;
	/* One that writes a sector whole or not at all. Neither: it may stop within one. */
	bool whole_sectors;
};

void disk_init(struct disk *disk, const struct log *log, uint64_t file, uint64_t room);
void disk_finish(struct disk *disk);

/* The next event of the log. */
void disk_step(struct disk *disk, size_t event);

/* How many writes and truncations have nothing that makes them sure. */
size_t disk_unsure(const struct disk *disk);

/* Make an image in disk->fd; the same seed gives the same. */
void disk_crash(struct disk *disk, uint64_t seed);

/* Somebody wrote to the image. */
void disk_spoiled(struct disk *disk);

/* A generator of random numbers; any state but 0. */
uint64_t roll(uint64_t *dice);

#endif
