/* SPDX-License-Identifier: MIT */
/*
 * What an engine process counts by itself, for `mayfly stat`: a memfd named "mayfly-stats" that a
 * process of the same user finds in /proc/PID/fd and reads with pread(). Plain counters, no times:
 * those need BPF (bpf/probes.h). Nothing in here is trusted by the engine, and a reader takes it
 * for a claim: magic, version and size first, then sums over the lanes.
 *
 * A lane belongs to one thread at a time, which alone adds to it, so a counter costs a plain
 * increment; the last lane is shared by the threads for which there was none, and added to
 * atomically. Counters only grow; a thread that ends leaves its lane, counts and all, to the next.
 */
#ifndef MAYFLY_ABI_STATS_H
#define MAYFLY_ABI_STATS_H

#include <stdint.h>

#include <mayfly/abi/call.h>

#define MF_STATS_NAME    "mayfly-stats"
#define MF_STATS_MAGIC   0x5453464du /* "MFST" */
#define MF_STATS_VERSION 1
#define MF_STATS_LANES   63

/* Why KVM_RUN returned: KVM's exit reasons, folded into what x86 has, and its two failures. */
enum mf_abi_exit_class {
	MF_EXIT_CLASS_IO,
	MF_EXIT_CLASS_MMIO,
	MF_EXIT_CLASS_HLT,
	MF_EXIT_CLASS_SHUTDOWN,
	MF_EXIT_CLASS_INTERRUPTED, /* KVM_RUN said EINTR: a signal, or immediate_exit */
	MF_EXIT_CLASS_HYPERCALL,
	MF_EXIT_CLASS_INTERNAL_ERROR,
	MF_EXIT_CLASS_FAIL_ENTRY,
	MF_EXIT_CLASS_IRQ_WINDOW,
	MF_EXIT_CLASS_DEBUG,
	MF_EXIT_CLASS_RDMSR,
	MF_EXIT_CLASS_WRMSR,
	MF_EXIT_CLASS_SYSTEM_EVENT,
	MF_EXIT_CLASS_FAILED, /* KVM_RUN said another errno */
	MF_EXIT_CLASS_OTHER,
	MF_EXIT_CLASS_UNKNOWN, /* nobody said why */
	MF_EXIT_CLASSES,
};

/* How a request ended: enum mf_outcome of request-vm/pool.h, and room for more. */
#define MF_STATS_OUTCOMES 8

/* A thread's counters: four cache lines of its own. */
struct mf_abi_stats_lane {
	uint64_t user_exits[MF_EXIT_CLASSES]; /* returns of KVM_RUN */
	uint64_t resets;                      /* of VMs that were put back to their image */
	uint64_t pages_copied;                /* by these resets */
	uint64_t requests[MF_STATS_OUTCOMES];
	uint64_t reserved[6];
};
MF_ABI_ASSERT(sizeof(struct mf_abi_stats_lane) == 256, "ABI");

struct mf_abi_stats {
	uint32_t magic;
	uint32_t version;
	uint32_t bytes; /* of all this */
	uint32_t lane_count;
	uint64_t reserved[30];
	struct mf_abi_stats_lane lanes[MF_STATS_LANES];
};
MF_ABI_ASSERT(sizeof(struct mf_abi_stats) == 16384, "ABI");

/*
 * The class of a return of KVM_RUN: `error` is 0 or the negative errno, `reason` what kvm_run says
 * (KVM_EXIT_*, include/uapi/linux/kvm.h).
 */
static inline enum mf_abi_exit_class mf_abi_exit_class(uint32_t reason, int error)
{
	if (error)
		return error == -4 /* EINTR */ ? MF_EXIT_CLASS_INTERRUPTED : MF_EXIT_CLASS_FAILED;
	switch (reason) {
	case 2:
		return MF_EXIT_CLASS_IO;
	case 3:
		return MF_EXIT_CLASS_HYPERCALL;
	case 4:
		return MF_EXIT_CLASS_DEBUG;
	case 5:
		return MF_EXIT_CLASS_HLT;
	case 6:
		return MF_EXIT_CLASS_MMIO;
	case 7:
		return MF_EXIT_CLASS_IRQ_WINDOW;
	case 8:
		return MF_EXIT_CLASS_SHUTDOWN;
	case 9:
		return MF_EXIT_CLASS_FAIL_ENTRY;
	case 10:
		return MF_EXIT_CLASS_INTERRUPTED;
	case 17:
		return MF_EXIT_CLASS_INTERNAL_ERROR;
	case 24:
		return MF_EXIT_CLASS_SYSTEM_EVENT;
	case 29:
		return MF_EXIT_CLASS_RDMSR;
	case 30:
		return MF_EXIT_CLASS_WRMSR;
	default:
		return MF_EXIT_CLASS_OTHER;
	}
}

#endif
