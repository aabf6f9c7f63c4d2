/* SPDX-License-Identifier: MIT */
/*
 * The process that `mayfly stat` measures: a command that it starts, held back until the probes are
 * attached, or one that runs already. One at a time; single-threaded.
 */
#ifndef MF_CLI_STAT_TARGET_H
#define MF_CLI_STAT_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <mayfly/error.h>

struct mf_target {
	pid_t pid;
	bool started; /* by us: its child, whose end is ours to collect */
	bool ended;
	int status; /* for the shell, once it has ended: as the shell itself would say it */
	int pidfd;
	int signals; /* signalfd */
	int gate;    /* the command waits for a byte from here; -1 once it has it */
	int failure; /* the errno of an exec that failed comes here; -1 otherwise */
};

/* Fork; the command is executed by mf_target_release. -errno with a sentence. */
int mf_target_start(struct mf_target *target, char **argv, struct mf_error *err);

/*
 * Let it go. 0, or -errno of exec with a sentence; the child is gone then, and its status 127 (not
 * found) or 126, as env(1) has it.
 */
int mf_target_release(struct mf_target *target, const char *name, struct mf_error *err);

/* One that runs. -ESRCH and friends with a sentence. */
int mf_target_join(struct mf_target *target, pid_t pid, struct mf_error *err);

/*
 * Wait for its end, a signal or the time, in milliseconds (-1: none). True when the process has
 * ended or the caller is to end. To a started command signals are handed on, but those that the
 * terminal sent to it as well, and its own end is waited for.
 */
bool mf_target_wait(struct mf_target *target, int timeout_ms);

/* Closes; a command that was never released ends. */
void mf_target_finish(struct mf_target *target);

#endif
