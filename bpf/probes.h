/* SPDX-License-Identifier: MIT */
/*
 * Measuring a process from outside, by BPF: how long KVM_RUN and its parts took, by the reason why
 * it returned, what its threads waited for, and how long the engine's requests, resets, forks,
 * calls and commits took. Any process that uses KVM can be measured for the former; the latter
 * needs an engine's file with its USDT probes (provider "mayfly", docs/probes.md). Called by
 * `mayfly stat`. Needs root, or CAP_BPF and CAP_PERFMON; the measured process needs nothing and
 * notices nothing but the time that the probes take. One thread at a time.
 *
 * What cannot be measured is told in sentences, never as zero.
 */
#ifndef MF_BPF_PROBES_H
#define MF_BPF_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <mayfly/error.h>

#include "bpf/percentile.h"
#include "bpf/shared.h"

#define MF_PROBES_FILES_MAX 8u
#define MF_PROBES_NOTES_MAX 20u

/* All zero but `pid` is a fair choice. Paths are the caller's and needed for the call only. */
struct mf_probes_options {
	pid_t pid;            /* as the caller sees it, all threads of it */
	bool follow;          /* and all processes that it makes from now on */
	uint32_t threads_max; /* that can be in KVM_RUN or a reset at a time; 0 = 8192 */
	const char *files[MF_PROBES_FILES_MAX]; /* programs and libraries that may have probes */
	size_t file_count;
};

/* What could not be measured, and why: whole sentences. */
struct mf_probes_notes {
	char text[MF_PROBES_NOTES_MAX][512];
	size_t count;
};
void mf_probes_note(struct mf_probes_notes *notes, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* So many more events happened than the histograms know of. */
struct mf_probes_lost {
	uint64_t records;     /* of kinds for which no histogram was left */
	uint64_t spans;       /* requests and calls not begun: their table was full */
	uint64_t threads;     /* timings not begun: the table of threads was full */
	uint64_t processes;   /* processes not followed: their table was full */
	uint64_t missed_runs; /* of programs, by the kernel's own count (recursion) */
};

/* One kind, of one process, role and reason (shared.h). */
struct mf_probes_series {
	struct mf_probe_key key; /* kind: its own, not its block's */
	struct mf_hist hist;
};

struct mf_measured {
	bool runs;    /* KVM_RUN was watched */
	bool outside; /* so was its part outside the guest */
	bool resets;  /* resets were watched */
	bool sched;   /* waits for a CPU were watched */
	/* Everything, in no order; the probes' own, until the next read. Those below are its sums.
	 */
	struct mf_probes_series *series;
	size_t series_count;
	struct mf_hist run[MF_EXIT_CLASSES];
	struct mf_hist out[MF_EXIT_CLASSES]; /* of these, the time before and after the guest ran */
	struct mf_hist reset;
	uint64_t pages_copied;
	uint64_t resets_failed;
	struct mf_probes_lost lost;
	struct mf_probes_notes notes;
};

/* What was read before, of the same probes; zeroed at first. */
struct mf_measured_before {
	struct mf_probes_series *series;
	size_t series_count;
	uint64_t pages_copied;
	uint64_t resets_failed;
	struct mf_probes_lost lost;
};

/*
 * Leave in `measured`, just read, what came since the last call, and remember it for the next.
 * -ENOMEM: it is as it was read.
 */
int mf_measured_since(struct mf_measured *measured, struct mf_measured_before *before);
void mf_measured_before_finish(struct mf_measured_before *before);

/* Sums of the series, by what `measured` has beside them. */
void mf_measured_sum(struct mf_measured *measured);

struct mf_probes;

/*
 * Load and attach; measuring begins. 0 when anything can be measured; what cannot is in the notes
 * that mf_probes_read gives. Takes some 0.1 s. Errors, with a sentence, and nothing is left behind:
 * -EPERM (no right to use BPF), -ENOSYS (no BPF in this kernel), -ENOMEM, or what else the kernel
 * said.
 */
int mf_probes_open(struct mf_probes **out, const struct mf_probes_options *options,
		   struct mf_error *err);

/* What was measured so far. `measured` is large: not for the stack. -errno when it is lost. The
 * same one may be given again. */
int mf_probes_read(struct mf_probes *probes, struct mf_measured *measured);

/* Detach and free; the kernel takes up to 0.1 s for each of the engine's probes. NULL is fine. */
void mf_probes_close(struct mf_probes *probes);

/* Names, as they are printed: "run", "before", ...; "request", "storage". */
const char *mf_probe_kind_name(enum mf_probe_kind kind);
const char *mf_probe_role_name(enum mf_probe_role role);

/* The name of an exit class: "io", "mmio", ... */
const char *mf_exit_class_name(enum mf_abi_exit_class class);

#endif
