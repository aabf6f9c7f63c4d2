/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * How long the threads that run vCPUs wait for a CPU, and how often they are woken. An object of
 * its own: which thread is meant stands in a structure of the kernel's, so it needs the type
 * information of the running kernel.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include "bpf/record.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Looked up by name in the running kernel's type information; its state has that name since 5.14.
 */
struct task_struct {
	int pid;
	unsigned int __state;
} __attribute__((preserve_access_index));

static __always_inline struct mf_probe_thread *thread_of(const struct task_struct *task)
{
	__u32 tid = (__u32)BPF_CORE_READ(task, pid);

	return bpf_map_lookup_elem(&threads, &tid);
}

static __always_inline int wake(struct bpf_raw_tracepoint_args *ctx)
{
	struct mf_probe_thread *thread = thread_of((const struct task_struct *)ctx->args[0]);

	if (!thread)
		return 0;
	thread->queued_ns = bpf_ktime_get_ns();
	if (thread->own_slot)
		count(thread->own_slot - 1 + MF_PROBE_WAKEUPS - MF_PROBE_QUEUED);
	return 0;
}

SEC("raw_tp/sched_wakeup")
int on_wakeup(struct bpf_raw_tracepoint_args *ctx)
{
	return wake(ctx);
}

/* From one that goes on being runnable, to one that was. */
SEC("raw_tp/sched_switch")
int on_switch(struct bpf_raw_tracepoint_args *ctx)
{
	const struct task_struct *previous = (const struct task_struct *)ctx->args[1];
	struct mf_probe_thread *thread = thread_of(previous);
	__u64 now = bpf_ktime_get_ns();

	if (thread && bpf_core_field_exists(previous->__state) && !BPF_CORE_READ(previous, __state))
		thread->queued_ns = now;
	thread = thread_of((const struct task_struct *)ctx->args[2]);
	if (!thread || !thread->queued_ns)
		return 0;
	if (thread->own_slot)
		record(thread->own_slot - 1, now - thread->queued_ns);
	thread->queued_ns = 0;
	return 0;
}
