/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the programs in the kernel (probes.bpf.c) and their user side (probes.c) share: types only.
 */
#ifndef MF_BPF_SHARED_H
#define MF_BPF_SHARED_H

#include <mayfly/abi/stats.h>

#include "bpf/histogram.h"

/* Histograms by number: KVM_RUN by exit class, its part outside the guest, resets. */
#define MF_HIST_RUN     0
#define MF_HIST_OUTSIDE MF_EXIT_CLASSES
#define MF_HIST_RESET   (2 * MF_EXIT_CLASSES)
#define MF_HISTS        (2 * MF_EXIT_CLASSES + 1)

/* Of the process to be measured; set before the programs are loaded. */
struct mf_probe_target {
	uint32_t pid;
	uint32_t unused;
	uint64_t pidns_dev; /* 0: `pid` is the kernel's own number of it */
	uint64_t pidns_ino; /* else: its number in this PID namespace, that of the caller */
};

/* A thread between the beginning and the end of what is timed. */
struct mf_probe_thread {
	uint64_t run_ns;    /* KVM_RUN was called; 0: the thread is not in it */
	uint64_t load_ns;   /* the guest's vector registers were loaded: about to enter */
	uint64_t unload_ns; /* they were stored: the guest is left */
	uint64_t reset_ns;  /* a reset began; 0: none is under way */
	uint32_t class;     /* enum mf_abi_exit_class */
	uint32_t unused;
};

struct mf_probe_tally {
	uint64_t threads_lost;   /* not timed: the table of threads was full */
	uint64_t processes_lost; /* not followed: the table of processes was full */
	uint64_t resets_failed;
	uint64_t pages_copied;
};

#endif
