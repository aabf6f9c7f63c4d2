/* SPDX-License-Identifier: MIT */
/*
 * The process's counters for `mayfly stat` (<mayfly/abi/stats.h>): one page of lanes for the whole
 * process, seen by other processes of the user while KVM is open. Counting never fails and makes no
 * system call; where the memfd cannot be made, nobody can look, and that is all.
 */
#ifndef MF_ENGINE_KVM_STATS_H
#define MF_ENGINE_KVM_STATS_H

#include <stdbool.h>

#include <mayfly/abi/stats.h>

/*
 * Show the counters to others; called by mf_kvm_open in the set-up phase, and undone by as many
 * mf_stats_hide. Returns the memfd's number, or -errno. Any thread.
 */
int mf_stats_show(void);
void mf_stats_hide(void);

extern __thread struct mf_abi_stats_lane *mf_stats_mine
	__attribute__((tls_model("initial-exec"), visibility("hidden")));
extern struct mf_abi_stats_lane *const mf_stats_shared __attribute__((visibility("hidden")));

/* Give the calling thread a lane; the shared one when none is free. */
struct mf_abi_stats_lane *mf_stats_join(void);

/* Add to a counter of the lane of this thread. Hot path; relaxed, since readers only sum up. */
#define MF_STATS_ADD(member, n)                                                              \
	do {                                                                                 \
		struct mf_abi_stats_lane *lane_ = mf_stats_mine;                             \
		if (__builtin_expect(!lane_, 0))                                             \
			lane_ = mf_stats_join();                                             \
		if (__builtin_expect(lane_ == mf_stats_shared, 0))                           \
			__atomic_fetch_add(&lane_->member, (uint64_t)(n), __ATOMIC_RELAXED); \
		else                                                                         \
			__atomic_store_n(&lane_->member, lane_->member + (uint64_t)(n),      \
					 __ATOMIC_RELAXED);                                  \
	} while (0)

#endif
