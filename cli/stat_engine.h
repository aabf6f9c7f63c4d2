/* SPDX-License-Identifier: MIT */
/*
 * The counters that engine processes keep by themselves (<mayfly/abi/stats.h>), found through
 * /proc/PID/fd and summed up. What stands in them is another process's claim: it is shown, and
 * nothing else depends on it. Needs no right but that to look into the process: the same user's.
 */
#ifndef MF_CLI_STAT_ENGINE_H
#define MF_CLI_STAT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <mayfly/abi/stats.h>

#define MF_ENGINES_MAX 64u

struct mf_engine {
	pid_t pid;
	int fd;    /* stays readable when the process is gone */
	ino_t ino; /* one file is counted once, however many processes hold it */
	struct mf_abi_stats_lane
		before; /* when it was found; zero for a process that began since */
};

struct mf_engines {
	struct mf_engine list[MF_ENGINES_MAX];
	size_t count;
	bool too_many;
	bool from_zero; /* count from the processes' beginnings */
};

/*
 * Look for counters in `pid`, and with `children` in what descends from it. To be called again and
 * again: found ones are kept. 0, -ESRCH (no such process), -EACCES (another user's).
 */
int mf_engines_look(struct mf_engines *engines, pid_t pid, bool children);

/* The sums since they were found. */
void mf_engines_sum(const struct mf_engines *engines, struct mf_abi_stats_lane *sum);

/* Close what is held; `engines` may have been zero from the beginning. */
void mf_engines_finish(struct mf_engines *engines);

/* Does the process have a VM of KVM's open? 1, 0, or the errors of mf_engines_look. */
int mf_process_uses_kvm(pid_t pid);

#endif
