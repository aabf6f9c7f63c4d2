/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Which processes are measured; for the programs in the kernel, each object of which has a copy. */
#ifndef MF_BPF_OURS_BPF_H
#define MF_BPF_OURS_BPF_H

#include <stdbool.h>

#include "bpf/shared.h"

const volatile struct mf_probe_target target;
struct mf_probe_tally tally;

/* One map: the user side gives the later object that of the earlier. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, __u8);
} processes SEC(".maps");

static __always_inline void add_process(__u32 tgid)
{
	__u8 yes = 1;

	if (bpf_map_update_elem(&processes, &tgid, &yes, BPF_ANY))
		__sync_fetch_and_add(&tally.processes_lost, 1);
}

/* Is the current process one of ours? Inside a PID namespace the first one is found by its number.
 */
static __always_inline bool is_ours(__u32 tgid)
{
	struct bpf_pidns_info ids = {};

	if (bpf_map_lookup_elem(&processes, &tgid))
		return true;
	if (!target.pidns_ino ||
	    bpf_get_ns_current_pid_tgid(target.pidns_dev, target.pidns_ino, &ids, sizeof(ids)))
		return false;
	if (ids.tgid != target.pid)
		return false;
	add_process(tgid);
	return true;
}

#endif
