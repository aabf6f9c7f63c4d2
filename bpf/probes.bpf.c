/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Programs in the kernel that time KVM_RUN by exit reason and the engine's resets, of the processes
 * in `processes` alone. Raw tracepoints only, and USDT: they work on hardware and software KVM
 * alike, under lockdown, and without the kernel's type information.
 *
 *   sys_enter   ioctl(KVM_RUN)           run_ns
 *   kvm_fpu     1, then 0                load_ns, unload_ns: between them, the guest
 *   kvm_userspace_exit                   class
 *   sys_exit                             the end: into the histograms
 */
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/usdt.bpf.h>

#include "bpf/ours.bpf.h"

#define X86_64_IOCTL 16
#define KVM_RUN      0xae80u /* _IO(KVMIO, 0x80), include/uapi/linux/kvm.h */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MF_HISTS);
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

static __always_inline struct mf_probe_thread *this_thread(void)
{
	__u32 tid = (__u32)bpf_get_current_pid_tgid();

	return bpf_map_lookup_elem(&threads, &tid);
}

/* The current thread's entry, made if its process is ours. */
static __always_inline struct mf_probe_thread *join_thread(void)
{
	struct mf_probe_thread *thread = this_thread();
	struct mf_probe_thread fresh = {};
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tid = (__u32)id;

	if (thread || !is_ours(id >> 32))
		return thread;
	if (bpf_map_update_elem(&threads, &tid, &fresh, BPF_ANY)) {
		__sync_fetch_and_add(&tally.threads_lost, 1);
		return 0;
	}
	return bpf_map_lookup_elem(&threads, &tid);
}

SEC("raw_tp/sys_enter")
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	const struct pt_regs *regs = (const struct pt_regs *)ctx->args[0];
	struct mf_probe_thread *thread;
	__u64 request = 0;

	if (ctx->args[1] != X86_64_IOCTL ||
	    bpf_probe_read_kernel(&request, sizeof(request), &regs->rsi) ||
	    (__u32)request != KVM_RUN)
		return 0;
	thread = join_thread();
	if (!thread)
		return 0;
	thread->class = MF_EXIT_CLASS_UNKNOWN;
	thread->load_ns = thread->unload_ns = 0;
	thread->run_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("raw_tp/kvm_fpu")
int on_kvm_fpu(struct bpf_raw_tracepoint_args *ctx)
{
	struct mf_probe_thread *thread = this_thread();

	if (!thread || !thread->run_ns)
		return 0;
	if (!ctx->args[0])
		thread->unload_ns = bpf_ktime_get_ns();
	else if (!thread->load_ns)
		thread->load_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("raw_tp/kvm_userspace_exit")
int on_userspace_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct mf_probe_thread *thread = this_thread();

	if (thread && thread->run_ns)
		thread->class = mf_abi_exit_class((__u32)ctx->args[0], (int)ctx->args[1]);
	return 0;
}

SEC("raw_tp/sys_exit")
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct pt_regs *regs = (const struct pt_regs *)ctx->args[0];
	struct mf_probe_thread *thread;
	__u64 number = 0;
	__u64 now;

	/* Every system call of the machine ends here: cheap first. */
	if (bpf_probe_read_kernel(&number, sizeof(number), &regs->orig_rax) ||
	    number != X86_64_IOCTL)
		return 0;
	thread = this_thread();
	if (!thread || !thread->run_ns)
		return 0;
	now = bpf_ktime_get_ns();
	record(MF_HIST_RUN + thread->class, now - thread->run_ns);
	if (thread->load_ns && thread->unload_ns)
		record(MF_HIST_OUTSIDE + thread->class,
		       thread->load_ns - thread->run_ns + now - thread->unload_ns);
	thread->run_ns = 0;
	return 0;
}

SEC("usdt")
int BPF_USDT(on_reset_begin)
{
	struct mf_probe_thread *thread = join_thread();

	if (thread)
		thread->reset_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("usdt")
int BPF_USDT(on_reset_done, void *vm, __u64 pages, int failed)
{
	__u64 now = bpf_ktime_get_ns();
	struct mf_probe_thread *thread = this_thread();

	if (!thread || !thread->reset_ns)
		return 0;
	if (failed) {
		__sync_fetch_and_add(&tally.resets_failed, 1);
	} else {
		record(MF_HIST_RESET, now - thread->reset_ns);
		__sync_fetch_and_add(&tally.pages_copied, pages);
	}
	thread->reset_ns = 0;
	return 0;
}

/* Numbers are used again, by others. */
SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 tgid = id >> 32;
	__u32 tid = (__u32)id;

	bpf_map_delete_elem(&threads, &tid);
	if (tid == tgid)
		bpf_map_delete_elem(&processes, &tgid);
	return 0;
}
