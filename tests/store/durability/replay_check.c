/* SPDX-License-Identifier: MIT */
/* Crashes at the events of a log, and what LMDB finds afterwards. */
#include "tests/store/durability/replay_check.h"
#include "tests/store/durability/replay_disk.h"
#include "tests/store/durability/replay_reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIXES_A_PASS 250u
#define COPY_EVERY      16u /* images */

static const char *name_of(const struct disk *disk)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk->fd);
	return path;
}

static size_t find_state(const struct history *history, uint64_t sum)
{
	size_t at = 0;

	while (at <= history->groups && history->sums[at] != sum)
		at++;
	return at;
}

static const char *judge_state(const struct history *history, size_t acknowledged,
			       const struct contents *contents, struct outcome *outcome)
{
	static char why[200];
	size_t state;

	if (contents->torn)
		return "there are torn values";
	if (acknowledged && !contents->epoch)
		return "the head record is not there";
	if (contents->sum == history->sums[acknowledged])
		return NULL;
	if (acknowledged < history->groups && contents->sum == history->sums[acknowledged + 1]) {
		outcome->written++;
		return NULL;
	}
	if (history->has_lost && acknowledged == history->lost_after &&
	    contents->sum == history->lost_sum)
		return NULL;
	state = find_state(history, contents->sum);
	if (state > history->groups)
		snprintf(why, sizeof(why), "it holds %u records, which is no state between groups",
			 contents->records);
	else
		snprintf(why, sizeof(why), "%zu groups were acknowledged, and it holds %zu",
			 acknowledged, state);
	return why;
}

/* All of it again from a compacting copy, and a transaction on top. */
static const char *copy_and_write(struct disk *disk, const struct contents *contents)
{
	struct contents again;
	const char *why = reader_copy(name_of(disk), STORE_BYTES, &again);

	if (!why && (again.sum != contents->sum || again.records != contents->records))
		why = "a compacting copy holds something else";
	if (!why)
		why = reader_write(name_of(disk), STORE_BYTES);
	if (!why)
		why = reader_read(name_of(disk), STORE_BYTES, &again);
	if (!why && again.sum != contents->sum)
		why = "after one more transaction it holds something else";
	disk_spoiled(disk);
	return why;
}

static void try_image(const struct history *history, struct disk *disk, size_t event,
		      struct outcome *outcome)
{
	size_t acknowledged = history->acknowledged[event];
	struct contents contents;
	const char *why;

	outcome->images++;
	if (!disk->image_bytes && !acknowledged)
		return; /* an empty file is a store that is to be made */
	why = reader_read(name_of(disk), STORE_BYTES, &contents);
	if (!why)
		why = judge_state(history, acknowledged, &contents, outcome);
	if (!why && outcome->images % COPY_EVERY == 0) {
		outcome->copies++;
		why = copy_and_write(disk, &contents);
	}
	if (why)
		snprintf(outcome->why, sizeof(outcome->why), "%.*s", (int)sizeof(outcome->why) - 1,
			 why);
	outcome->bad = why;
}

static void try_prefix(const struct history *history, const struct trial *trial, struct disk *disk,
		       size_t event, uint64_t *dice, struct outcome *outcome)
{
	outcome->event = event;
	outcome->prefixes++;
	for (unsigned int i = 0; i < trial->images && !outcome->bad; i++) {
		outcome->seed = roll(dice);
		disk_crash(disk, outcome->seed);
		try_image(history, disk, event, outcome);
	}
}

/* Once over the log; crash before every event, or at so many. */
static void pass(const struct history *history, const struct trial *trial, uint64_t *dice,
		 struct outcome *outcome)
{
	size_t count = history->log->count;
	struct disk disk;

	disk_init(&disk, history->log, history->file, STORE_BYTES);
	disk.tears_sectors = trial->tears_sectors;
	disk.whole_sectors = trial->whole_sectors;
	for (size_t i = 0; i <= count && !outcome->bad; i++) {
		if (i >= history->visible &&
		    (!trial->seconds || roll(dice) % count < PREFIXES_A_PASS))
			try_prefix(history, trial, &disk, i, dice, outcome);
		if (i < count)
			disk_step(&disk, i);
	}
	disk_finish(&disk);
}

static void child(const struct history *history, const struct trial *trial, struct outcome *outcome)
{
	uint64_t end = mf_now_ns() + (uint64_t)(trial->seconds * 1e9);
	uint64_t dice = trial->seed * 0x9e3779b97f4a7c15ull | 1;
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	if (trial->quiet)
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	do {
		pass(history, trial, &dice, outcome);
	} while (!outcome->bad && mf_now_ns() < end);
	outcome->done = true;
	_exit(0);
}

struct outcome crash_and_read(const struct history *history, const struct trial *trial)
{
	struct outcome *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct outcome outcome;
	int status = 0;
	pid_t pid;

	if (shared == MAP_FAILED)
		abort();
	fflush(NULL);
	pid = fork();
	if (!pid)
		child(history, trial, shared);
	waitpid(pid, &status, 0);
	outcome = *shared;
	if (!outcome.done) {
		outcome.bad = true;
		snprintf(outcome.why, sizeof(outcome.why), "reading it ended the process (%s %d)",
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	munmap(shared, sizeof(*shared));
	return outcome;
}
