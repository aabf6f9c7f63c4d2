/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Programs in the kernel that time KVM_RUN and its parts by exit reason and role, and what the
 * engine tells of its requests, of the processes in `processes` alone. Raw tracepoints only, and
 * USDT: they work on hardware and software KVM alike, under lockdown, and without the kernel's type
 * information.
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
#include "bpf/record.bpf.h"

#define X86_64_IOCTL 16
#define KVM_RUN      0xae80u /* _IO(KVMIO, 0x80), include/uapi/linux/kvm.h */
#define PARKED       1       /* MF_PEER_PARKED, ipc/ring/peer.h */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Where the histograms of a key stand. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MF_PROBE_SLOTS);
	__type(key, struct mf_probe_key);
	__type(value, __u32);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct mf_probe_span_key);
	__type(value, struct mf_probe_span);
} spans SEC(".maps");

static __always_inline __u32 parts_of(__u8 kind)
{
	if (kind == MF_PROBE_RUN)
		return MF_PROBE_RUN_PARTS;
	return kind == MF_PROBE_QUEUED ? MF_PROBE_THREAD_PARTS : 1;
}

/* The first histogram of the key's block, plus 1; 0: there is no room. */
static __always_inline __u32 slot_of(__u32 tgid, __u8 kind, __u8 role, __u8 class)
{
	struct mf_probe_key key = {.tgid = tgid, .kind = kind, .role = role, .class = class};
	__u32 *found = bpf_map_lookup_elem(&slots, &key);
	__u32 slot;

	if (found)
		return *found + 1;
	if (tally.slots_used + parts_of(kind) > MF_PROBE_SLOTS)
		return 0;
	slot = (__u32)__sync_fetch_and_add(&tally.slots_used, parts_of(kind));
	if (slot + parts_of(kind) > MF_PROBE_SLOTS)
		return 0;
	if (!bpf_map_update_elem(&slots, &key, &slot, BPF_NOEXIST))
		return slot + 1;
	found = bpf_map_lookup_elem(&slots, &key); /* another CPU was first */
	return found ? *found + 1 : 0;
}

static __always_inline void lose_record(void)
{
	__sync_fetch_and_add(&tally.records_lost, 1);
}

static __always_inline void record_of(__u8 kind, __u8 role, __u8 class, __u64 ns)
{
	__u32 slot = slot_of(bpf_get_current_pid_tgid() >> 32, kind, role, class);

	if (slot)
		record(slot - 1, ns);
	else
		lose_record();
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
	fresh.own_slot = slot_of(id >> 32, MF_PROBE_QUEUED, MF_PROBE_ROLE_REQUEST, 0);
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
	thread->entry_ns = thread->inside_ns = 0;
	thread->run_ns = bpf_ktime_get_ns();
	if (thread->end_ns && thread->last_slot)
		record(thread->last_slot - 1 + MF_PROBE_USER, thread->run_ns - thread->end_ns);
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

/* Only hardware KVM has these two. */
SEC("raw_tp/kvm_entry")
int on_entry(struct bpf_raw_tracepoint_args *ctx)
{
	struct mf_probe_thread *thread = this_thread();

	if (thread && thread->run_ns)
		thread->entry_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("raw_tp/kvm_exit")
int on_guest_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct mf_probe_thread *thread = this_thread();

	if (!thread || !thread->entry_ns)
		return 0;
	thread->inside_ns += bpf_ktime_get_ns() - thread->entry_ns;
	thread->entry_ns = 0;
	return 0;
}

static __always_inline int count_fault(__u32 part)
{
	struct mf_probe_thread *thread = this_thread();

	if (thread && thread->own_slot)
		count(thread->own_slot - 1 + part - MF_PROBE_QUEUED);
	return 0;
}

SEC("raw_tp/page_fault_user")
int on_fault_user(struct bpf_raw_tracepoint_args *ctx)
{
	return count_fault(MF_PROBE_HOST_FAULTS);
}

SEC("raw_tp/page_fault_kernel")
int on_fault_kernel(struct bpf_raw_tracepoint_args *ctx)
{
	return count_fault(MF_PROBE_HOST_FAULTS);
}

SEC("raw_tp/kvm_page_fault")
int on_guest_fault(struct bpf_raw_tracepoint_args *ctx)
{
	return count_fault(MF_PROBE_GUEST_FAULTS);
}

SEC("raw_tp/kvm_mmu_set_spte")
int on_guest_mapped(struct bpf_raw_tracepoint_args *ctx)
{
	return count_fault(MF_PROBE_GUEST_MAPPED);
}

static __always_inline void record_run(struct mf_probe_thread *thread, __u32 slot, __u64 now)
{
	record(slot + MF_PROBE_RUN, now - thread->run_ns);
	if (thread->inside_ns)
		record(slot + MF_PROBE_INSIDE, thread->inside_ns);
	if (!thread->load_ns || !thread->unload_ns)
		return;
	record(slot + MF_PROBE_OUTSIDE, thread->load_ns - thread->run_ns + now - thread->unload_ns);
	record(slot + MF_PROBE_BEFORE, thread->load_ns - thread->run_ns);
	record(slot + MF_PROBE_GUEST, thread->unload_ns - thread->load_ns);
	record(slot + MF_PROBE_AFTER, now - thread->unload_ns);
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
	thread->last_slot = slot_of(bpf_get_current_pid_tgid() >> 32, MF_PROBE_RUN,
				    (__u8)thread->role, (__u8)thread->class);
	if (thread->last_slot)
		record_run(thread, thread->last_slot - 1, now);
	else
		lose_record();
	thread->run_ns = 0;
	thread->end_ns = now;
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
		record_of(MF_PROBE_RESET, (__u8)thread->role, 0, now - thread->reset_ns);
		__sync_fetch_and_add(&tally.pages_copied, pages);
	}
	thread->reset_ns = 0;
	return 0;
}

SEC("usdt")
int BPF_USDT(on_fork_begin)
{
	struct mf_probe_thread *thread = join_thread();

	if (thread)
		thread->fork_ns = bpf_ktime_get_ns();
	return 0;
}

SEC("usdt")
int BPF_USDT(on_fork_done, void *vm, int failed)
{
	__u64 now = bpf_ktime_get_ns();
	struct mf_probe_thread *thread = this_thread();

	if (!thread || !thread->fork_ns)
		return 0;
	if (!failed)
		record_of(MF_PROBE_FORK, (__u8)thread->role, 0, now - thread->fork_ns);
	thread->fork_ns = 0;
	return 0;
}

static __always_inline int set_role(struct mf_probe_thread *thread, __u32 role)
{
	if (!thread)
		return 0;
	thread->role = role;
	thread->own_slot =
		slot_of(bpf_get_current_pid_tgid() >> 32, MF_PROBE_QUEUED, (__u8)role, 0);
	return 0;
}

SEC("usdt")
int BPF_USDT(on_storage_begin)
{
	return set_role(join_thread(), MF_PROBE_ROLE_STORAGE);
}

SEC("usdt")
int BPF_USDT(on_storage_done)
{
	return set_role(this_thread(), MF_PROBE_ROLE_REQUEST);
}

static __always_inline void name_span(struct mf_probe_span_key *key, void *object, __u32 channel,
				      __u16 kind)
{
	key->object = (__u64)object;
	key->tgid = bpf_get_current_pid_tgid() >> 32;
	key->channel = (__u16)channel;
	key->kind = kind;
}

/* A call that waits is made again; its time goes on. */
static __always_inline int begin_span(void *object, __u32 channel, __u16 kind)
{
	struct mf_probe_span span = {};
	struct mf_probe_span_key key;
	bool again = kind != MF_PROBE_REQUEST;

	name_span(&key, object, channel, kind);
	if (!is_ours(key.tgid) || (again && bpf_map_lookup_elem(&spans, &key)))
		return 0;
	span.begin_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&spans, &key, &span, BPF_ANY))
		__sync_fetch_and_add(&tally.spans_lost, 1);
	return 0;
}

/* `more`: it only waits, and `class` is how. What is told first counts. */
static __always_inline int end_span(void *object, __u32 channel, __u16 kind, __u32 class, bool more)
{
	__u64 now = bpf_ktime_get_ns();
	struct mf_probe_span_key key;
	struct mf_probe_span *span;

	name_span(&key, object, channel, kind);
	span = bpf_map_lookup_elem(&spans, &key);
	if (!span)
		return 0;
	if (!span->class)
		span->class = class;
	if (more)
		return 0;
	record_of((__u8)kind, MF_PROBE_ROLE_REQUEST, (__u8)span->class, now - span->begin_ns);
	bpf_map_delete_elem(&spans, &key);
	return 0;
}

SEC("usdt")
int BPF_USDT(on_request_begin, void *slot, __u32 channel)
{
	return begin_span(slot, channel, MF_PROBE_REQUEST);
}

SEC("usdt")
int BPF_USDT(on_request_done, void *slot, __u32 channel, __u32 outcome)
{
	return end_span(slot, channel, MF_PROBE_REQUEST, outcome, false);
}

SEC("usdt")
int BPF_USDT(on_call_begin, void *store, __u32 channel)
{
	return begin_span(store, channel, MF_PROBE_CALL);
}

SEC("usdt")
int BPF_USDT(on_call_done, void *store, __u32 channel, __u32 mode, __u32 state)
{
	return end_span(store, channel, MF_PROBE_CALL, mode, state == PARKED);
}

SEC("usdt")
int BPF_USDT(on_commit_begin, void *store, __u32 channel)
{
	return begin_span(store, channel, MF_PROBE_COMMIT);
}

SEC("usdt")
int BPF_USDT(on_commit_done, void *store, __u32 channel, int status, __u32 state)
{
	return end_span(store, channel, MF_PROBE_COMMIT, 0, state == PARKED);
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
