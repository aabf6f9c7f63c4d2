/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Takes the processes that a measured one makes for measured as well. An object of its own: alone
 * it needs the type information of the running kernel, where the fields of a task stand.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "bpf/ours.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Looked up by name in the running kernel's type information. */
struct task_struct {
	int pid;
	int tgid;
} __attribute__((preserve_access_index));

/* A new thread is one of a process that is known; a new process is to be known. */
SEC("raw_tp/sched_process_fork")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *child = (const struct task_struct *)ctx->args[1];
	int pid;
	int tgid;

	if (!is_ours(bpf_get_current_pid_tgid() >> 32))
		return 0;
	pid = BPF_CORE_READ(child, pid);
	tgid = BPF_CORE_READ(child, tgid);
	if (pid == tgid)
		add_process((__u32)tgid);
	return 0;
}
