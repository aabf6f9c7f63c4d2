/* SPDX-License-Identifier: MIT */
/*
 * What passed the storage VM's door, and what its callers saw, in one order. A write and a sync
 * have two events, their beginning and their end: in between a crash may find them anywhere.
 * Whoever appends holds the lock.
 */
#ifndef TESTS_STORE_DURABILITY_REPLAY_LOG_H
#define TESTS_STORE_DURABILITY_REPLAY_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/linux/process.h"

enum event_kind {
	EVENT_WRITE,    /* offset, bytes, data, durable */
	EVENT_TRUNCATE, /* bytes: the new size */
	EVENT_SYNC,
	EVENT_END, /* of event `of` */
	EVENT_ACK, /* call: its reply was seen */
};

struct event {
	enum event_kind kind;
	bool durable;  /* a write: through a descriptor with O_DSYNC */
	bool folder;   /* a sync: of the folder */
	bool hidden;   /* the file has not its final name yet */
	uint64_t file; /* inode */
	size_t of;
	bool error; /* an end: it returned an error */
	uint64_t offset;
	uint64_t bytes;
	uint8_t *data; /* owned */
	size_t call;
};

struct log {
	pthread_mutex_t lock;
	struct event *events;
	size_t count;
	size_t room;
};

/* What a door may do wrong. */
struct fault {
	unsigned int skip_every;   /* of the syncs: 1 all, 3 every third; 0 none */
	bool durable_is_plain;     /* a durable write is not */
	bool head_first;           /* a sync is only done behind the next durable write */
	unsigned int fail_sync;    /* this one, once, is an error of the disk; 0 none */
	unsigned int fail_durable; /* the same of a durable write, after its bytes were written */
};

/* A door that writes through to the file, syncs nothing and logs what a disk would have been told.
 */
struct recorder {
	struct mf_file_door door;
	struct log log;
	struct fault fault;
	unsigned int syncs;
	int owed_fd; /* of a sync that is still to be done; -1 none */
	unsigned int durable_writes;
	size_t failed; /* the event of the durable write that failed; 0 none */
	void (*look)(
		void *cookie); /* before each event, under the lock: what was answered by now */
	void *cookie;
};

void recorder_init(struct recorder *recorder, const struct fault *fault);
void recorder_finish(struct recorder *recorder);

void log_init(struct log *log);
void log_finish(struct log *log);

/* Its number. The data is the log's afterwards. */
size_t log_append(struct log *log, struct event event);

#endif
