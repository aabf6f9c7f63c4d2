/* SPDX-License-Identifier: MIT */
/* What must be true of a log, and of every store that a crash could leave behind. */
#ifndef TESTS_STORE_DURABILITY_REPLAY_CHECK_H
#define TESTS_STORE_DURABILITY_REPLAY_CHECK_H

#include "tests/store/durability/replay_run.h"

#define WHY_BYTES 400

/* The states that the store went through, one a group of calls that was committed together. */
struct history {
	const struct log *log;
	const struct call *calls;
	uint64_t *sums; /* after each group; [0] before the first */
	size_t groups;
	size_t *acknowledged; /* of each event: groups that were answered before it */
	bool has_lost;        /* a group's commit failed, after so many groups; with it: */
	size_t lost_after;
	uint64_t lost_sum;
	size_t visible; /* events until the file has its name */
	uint64_t file;
};

/* Which crashes are tried. */
struct trial {
	uint64_t seed;
	double seconds;      /* at most so long, passes over the log with random prefixes; 0: all of
			      * them, once */
	unsigned int images; /* of each prefix */
	bool tears_sectors;  /* see struct disk */
	bool whole_sectors;
	bool quiet; /* failures are wanted: what LMDB says of them is not */
};

struct outcome {
	size_t prefixes;
	size_t images;
	size_t copies;  /* images that were copied and written to, besides being read */
	size_t written; /* images that held the group that was not answered yet */
	bool done;
	bool bad;
	size_t event;
	uint64_t seed;
	char why[200];
};

/* Replay the calls by their acknowledgements. False: a reply is not what the calls before it say.
 */
bool history_make(struct history *history, const struct run *run, char why[WHY_BYTES]);
void history_finish(struct history *history);

/* Every acknowledgement, and every durable write, comes when nothing is unsure. */
bool order_holds(const struct history *history, char why[WHY_BYTES]);

/* Crash and read, in a process of its own: a broken store may kill LMDB. */
struct outcome crash_and_read(const struct history *history, const struct trial *trial);

#endif
