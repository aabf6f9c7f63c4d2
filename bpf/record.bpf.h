/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The threads and histograms, for the programs in the kernel: one set, which the user side gives to
 * each object. */
#ifndef MF_BPF_RECORD_BPF_H
#define MF_BPF_RECORD_BPF_H

#include "bpf/shared.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MF_PROBE_SLOTS);
	__type(key, __u32);
	__type(value, struct mf_hist);
} hists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct mf_probe_thread);
} threads SEC(".maps");

/* Atomic, although the slot is this CPU's: a USDT program can be preempted by another one. */
static __always_inline void record(__u32 number, __u64 ns)
{
	struct mf_hist *hist = bpf_map_lookup_elem(&hists, &number);
	__u32 bucket = mf_hist_bucket(ns);

	if (!hist || bucket >= MF_HIST_BUCKETS)
		return;
	__sync_fetch_and_add(&hist->buckets[bucket], 1);
	__sync_fetch_and_add(&hist->count, 1);
	__sync_fetch_and_add(&hist->sum_ns, ns);
	if (ns > hist->max_ns)
		hist->max_ns = ns;
}

/* One more of what is counted only. */
static __always_inline void count(__u32 number)
{
	struct mf_hist *hist = bpf_map_lookup_elem(&hists, &number);

	if (hist)
		__sync_fetch_and_add(&hist->count, 1);
}

#endif
