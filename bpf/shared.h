/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What the programs in the kernel (*.bpf.c) and their user side (probes.c) share: types only. */
#ifndef MF_BPF_SHARED_H
#define MF_BPF_SHARED_H

#include <mayfly/abi/stats.h>

#include "bpf/histogram.h"

/*
 * Histograms that can be filled at a time; a key takes as many as its first kind has parts. One is
 * 9.4 KB for each CPU.
 */
#define MF_PROBE_SLOTS 512u

/* What is timed, or counted. Those of one block stand behind each other and share a key. */
enum mf_probe_kind {
	/* A block for each reason why KVM_RUN returned. */
	MF_PROBE_RUN,     /* all of it: sys_enter to sys_exit */
	MF_PROBE_OUTSIDE, /* of it, before and after the guest */
	MF_PROBE_BEFORE,  /* sys_enter to kvm_fpu(1) */
	MF_PROBE_GUEST,   /* kvm_fpu(1) to kvm_fpu(0): with what KVM answers by itself */
	MF_PROBE_AFTER,   /* kvm_fpu(0) to sys_exit */
	MF_PROBE_USER,    /* sys_exit to the same thread's next KVM_RUN */
	MF_PROBE_INSIDE,  /* the sum of kvm_entry to kvm_exit: where they fire */
	/* A block for the threads that call KVM_RUN. */
	MF_PROBE_QUEUED,  /* runnable, until it has a CPU */
	MF_PROBE_WAKEUPS, /* counted only, as are these: */
	MF_PROBE_HOST_FAULTS,
	MF_PROBE_GUEST_FAULTS, /* kvm_page_fault: where it fires */
	MF_PROBE_GUEST_MAPPED, /* kvm_mmu_set_spte: pages that KVM mapped */
	/* Each a block of its own, by the engine's own probes. */
	MF_PROBE_RESET,
	MF_PROBE_REQUEST, /* class: how it ended */
	MF_PROBE_FORK,
	MF_PROBE_CALL, /* class: enum mf_probe_mode */
	MF_PROBE_COMMIT,
	MF_PROBE_KINDS
};
#define MF_PROBE_RUN_PARTS    (MF_PROBE_QUEUED - MF_PROBE_RUN)
#define MF_PROBE_THREAD_PARTS (MF_PROBE_RESET - MF_PROBE_QUEUED)

/* Whose vCPU a thread runs. */
enum mf_probe_role {
	MF_PROBE_ROLE_REQUEST, /* or any other VM of a process that is no engine */
	MF_PROBE_ROLE_STORAGE,
	MF_PROBE_ROLES
};

struct mf_probe_key {
	uint32_t tgid;  /* the kernel's own number of the process */
	uint8_t kind;   /* enum mf_probe_kind, the first of its block */
	uint8_t role;   /* enum mf_probe_role */
	uint8_t class;  /* of exits: enum mf_abi_exit_class */
	uint8_t unused; /* 0 */
};

/* Of the process to be measured; set before the programs are loaded. */
struct mf_probe_target {
	uint32_t pid;
	uint32_t unused;
	uint64_t pidns_dev; /* 0: `pid` is the kernel's own number of it */
	uint64_t pidns_ino; /* else: its number in this PID namespace, that of the caller */
};

/* A thread between the beginning and the end of what is timed. Slots are 1 more than their number;
 * 0: none. */
struct mf_probe_thread {
	uint64_t run_ns;    /* KVM_RUN was called; 0: the thread is not in it */
	uint64_t load_ns;   /* the guest's vector registers were loaded: about to enter */
	uint64_t unload_ns; /* they were stored: the guest is left */
	uint64_t end_ns;    /* KVM_RUN returned; 0: never so far */
	uint64_t entry_ns;  /* kvm_entry; 0: not in the guest */
	uint64_t inside_ns; /* of this KVM_RUN */
	uint64_t reset_ns;  /* a reset began; 0: none is under way */
	uint64_t fork_ns;
	uint64_t queued_ns; /* runnable since; 0: it has a CPU, or sleeps */
	uint32_t class;     /* enum mf_abi_exit_class */
	uint32_t role;      /* enum mf_probe_role */
	uint32_t last_slot; /* block of the last exit */
	uint32_t own_slot;  /* block of the thread's role */
};

/* What begins on one thread and may end on another. */
struct mf_probe_span_key {
	uint64_t object; /* the engine's pointer: a name only */
	uint32_t tgid;
	uint16_t channel;
	uint16_t kind;
};
struct mf_probe_span {
	uint64_t begin_ns;
	uint64_t class;
};

struct mf_probe_tally {
	uint64_t threads_lost;   /* not timed: the table of threads was full */
	uint64_t processes_lost; /* not followed: the table of processes was full */
	uint64_t spans_lost;     /* not timed: the table of requests and calls was full */
	uint64_t records_lost;   /* not recorded: all histograms were taken */
	uint64_t resets_failed;
	uint64_t pages_copied;
	uint64_t slots_used;
};

#endif
