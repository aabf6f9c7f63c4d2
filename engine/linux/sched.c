/* SPDX-License-Identifier: MIT */
#include "engine/linux/sched.h"
#include "engine/image/guest.h"
#include "engine/image/vm_clock.h"
#include "engine/image/watchdog.h"
#include "engine/linux/alarm.h"
#include "engine/linux/fast.h"
#include "engine/linux/hosts.h"
#include "engine/linux/syscall.h"
#include "engine/linux/wait.h"

#include <signal.h>

int mf_thread_set_next(const struct mf_thread_set *set, int after)
{
	uint32_t from = (uint32_t)(after + 1);
	uint32_t word = from / 64;
	uint64_t bits;

	if (from >= MF_THREADS)
		return -1;
	bits = set->bits[word] >> (from % 64) << (from % 64);
	while (!bits && ++word < MF_THREADS / 64)
		bits = set->bits[word];
	return bits ? (int)(word * 64 + (uint32_t)__builtin_ctzll(bits)) : -1;
}

#define PUT(process, set, thread, member)                                    \
	do {                                                                 \
		uint64_t bit_ = 1ull << ((thread) % 64);                     \
		if (member)                                                  \
			MF_DIRTY(process, set.bits[(thread) / 64]) |= bit_;  \
		else if (mf_linux(process)->set.bits[(thread) / 64] & bit_)  \
			MF_DIRTY(process, set.bits[(thread) / 64]) &= ~bit_; \
	} while (0)

/* Without any of these it waits for the next run: engine/linux/process.h, struct mf_file_door. */
static bool is_outside(const struct mf_wait *wait)
{
	return wait->fd >= 0 || wait->many || wait->until_ns != MF_FOREVER || !wait->object;
}

static void set_state(struct mf_process *process, uint32_t i, enum mf_thread_state state)
{
	const struct mf_wait *wait = &mf_linux(process)->threads[i].wait;
	bool parked = state == MF_THREAD_PARKED;

	if (wait->object == MF_WAIT_CHANNEL)
		__atomic_store_n(&process->channel_parked, parked, __ATOMIC_SEQ_CST);

	MF_DIRTY(process, threads[i].state) = (uint8_t)state;
	PUT(process, runnable, i, state == MF_THREAD_RUNNABLE);
	PUT(process, outside, i, parked && is_outside(wait));
	PUT(process, inside, i, parked && wait->object);
	if (!parked && wait->many)
		mf_hosts_drop(process, i);
}

void mf_sched_park(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t until = mf_thread(process)->wait.until_ns;

	set_state(process, lx->current, MF_THREAD_PARKED);
	/* The turn of who runs next ends when this one's time has come. */
	if (process->vm.turn_end_ns && until < process->vm.turn_end_ns)
		mf_watch_turn(&process->vm, until);
}

/* Whoever waits for the channels goes first when there are news. */
static void look_at_channel(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	int i = -1;

	if (!process->channel_parked ||
	    !__atomic_exchange_n(&process->channel_news, false, __ATOMIC_SEQ_CST))
		return;
	while ((i = mf_thread_set_next(&lx->inside, i)) >= 0)
		if (lx->threads[i].wait.object == MF_WAIT_CHANNEL)
			mf_sched_wake_by_host(process, (uint32_t)i);
}

bool mf_sched_park_at_channel(struct mf_process *process)
{
	mf_vm_answer(&process->vm, 0);
	MF_THREAD_DIRTY(process, wait) =
		(struct mf_wait){.until_ns = MF_FOREVER, .object = MF_WAIT_CHANNEL, .fd = -1};
	mf_sched_park(process);
	/* Whoever brings news sees it parked, or is seen here. */
	look_at_channel(process);
	return !mf_sched_runs(process);
}

void mf_sched_wake(struct mf_process *process, uint32_t thread)
{
	if (mf_linux(process)->threads[thread].state == MF_THREAD_PARKED)
		set_state(process, thread, MF_THREAD_RUNNABLE);
}

void mf_sched_wake_by_host(struct mf_process *process, uint32_t thread)
{
	mf_sched_wake(process, thread);
	if (!process->turn.woken)
		process->turn.woken = thread + 1;
}

void mf_sched_add(struct mf_process *process, uint32_t thread)
{
	MF_DIRTY(process, thread_count)++;
	set_state(process, thread, MF_THREAD_RUNNABLE);
	mf_guest_set_thread(&process->vm, mf_thread(process)->tid, true);
}

void mf_sched_remove(struct mf_process *process)
{
	MF_DIRTY(process, thread_count)--;
	set_state(process, mf_linux(process)->current, MF_THREAD_FREE);
}

/* When the first of those who wait for a time has to be looked at. */
static uint64_t earliest(const struct mf_linux *lx)
{
	uint64_t first = MF_FOREVER;
	int i = -1;

	while ((i = mf_thread_set_next(&lx->outside, i)) >= 0) {
		if (lx->threads[i].wait.until_ns < first)
			first = lx->threads[i].wait.until_ns;
	}
	return first;
}

/* Wake those whose time has come; at the begin of a run also those who wait for that. */
static void look_at_times(struct mf_process *process, bool begin)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t now = mf_vm_now_ns(&process->vm);
	int i = -1;

	while ((i = mf_thread_set_next(&lx->outside, i)) >= 0) {
		const struct mf_wait *wait = &lx->threads[i].wait;
		bool at_begin = wait->until_ns == MF_FOREVER && wait->fd < 0 && !wait->many;

		if (wait->until_ns <= now || (begin && at_begin))
			mf_sched_wake_by_host(process, (uint32_t)i);
	}
}

void mf_sched_begin(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	int only;

	process->turn.armed = false;
	look_at_channel(process);
	only = mf_thread_set_next(&lx->outside, -1);
	if (only < 0)
		return;
	/* Nobody but this one: it looks for itself. */
	if (lx->thread_count == 1) {
		mf_sched_wake(process, (uint32_t)only);
		return;
	}
	look_at_times(process, true);
	mf_hosts_look(process);
}

void mf_sched_turn_over(struct mf_process *process)
{
	process->vm.turn_end_ns = 0;
	process->turn.armed = false;
	process->turn.end_ns = 0;
	if (mf_linux(process)->thread_count < 2)
		return;
	process->turn.over = true;
	process->turn.woken = 0;
	look_at_channel(process);
	look_at_times(process, false);
	mf_hosts_look(process);
}

void mf_sched_arm(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t end;
	uint64_t first;
	int i = -1;

	if (lx->thread_count < 2 || process->turn.armed || !process->vm.watch)
		return;
	do
		i = mf_thread_set_next(&lx->runnable, i);
	while (i == (int)lx->current);
	if (i < 0 && mf_thread_set_next(&lx->outside, -1) < 0)
		return;
	end = i >= 0 && process->turn.end_ns ? process->turn.end_ns
					     : mf_vm_now_ns(&process->vm) + MF_SCHED_TURN_NS;
	process->turn.end_ns = i >= 0 ? end : 0;
	first = earliest(lx);
	process->turn.armed = true;
	mf_watch_turn(&process->vm, first < end ? first : end);
}

uint64_t mf_sched_cpu_ns(const struct mf_process *process, uint32_t thread)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t ns = lx->threads[thread].cpu_ns;

	return thread == lx->current ? ns + mf_cpu_ns(process) - process->turn.cpu_ns : ns;
}

void mf_sched_forget_cpu(struct mf_process *process)
{
	uint32_t i;

	for (i = 0; i < mf_linux(process)->threads_high; i++)
		MF_DIRTY(process, threads[i].cpu_ns) = 0;
}

void mf_sched_forget_hosts(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	int i = -1;

	while ((i = mf_thread_set_next(&lx->outside, i)) >= 0) {
		const struct mf_wait *wait = &lx->threads[i].wait;

		if (wait->fd < 0 && !wait->many)
			continue;
		MF_DIRTY(process, threads[i].wait.fd) = -1;
		MF_DIRTY(process, threads[i].wait.many) = 0;
		MF_DIRTY(process, threads[i].wait.until_ns) = 0;
	}
}

static int save(struct mf_process *process)
{
	const struct kvm_sync_regs *sync = &process->vm.kvm.run->s.regs;
	uint32_t i = mf_linux(process)->current;
	uint64_t cpu_ns = mf_sched_cpu_ns(process, i);

	MF_DIRTY(process, threads[i].context) =
		(struct mf_context){sync->regs, sync->sregs.fs.base, sync->sregs.gs.base};
	MF_DIRTY(process, threads[i].cpu_ns) = cpu_ns;
	return mf_kvm_vm_get_xsave(&process->vm.kvm, &MF_DIRTY(process, xsaves[i]));
}

static int load(struct mf_process *process, uint32_t i)
{
	const struct mf_linux *lx = mf_linux(process);
	const struct mf_context *context = &lx->threads[i].context;

	MF_DIRTY(process, current) = i;
	process->turn.cpu_ns = mf_cpu_ns(process);
	process->turn.end_ns = 0;
	mf_vm_load_user(&process->vm, &context->regs, context->fs_base, context->gs_base);
	mf_guest_set_thread(&process->vm, lx->threads[i].tid, lx->thread_count > 1);
	return mf_kvm_vm_set_xsave(&process->vm.kvm, &lx->xsaves[i]);
}

/* False, with nothing changed: not now, the vCPU is on its way into or out of ring 0. */
static bool switch_to(struct mf_process *process, uint32_t thread)
{
	if (!mf_fast_settle(process))
		return false;
	if ((mf_thread(process)->state != MF_THREAD_FREE && save(process)) || load(process, thread))
		process->vm.lost = true; /* the host failed: mf_vm_run says so */
	return true;
}

bool mf_process_waits(const struct mf_process *process)
{
	return mf_thread_set_next(&mf_linux(process)->runnable, -1) < 0;
}

/* All wait: for the host's descriptors, and no longer than until the first one's time. */
static bool all_wait(struct mf_process *process, struct mf_exit *exit)
{
	const struct mf_linux *lx = mf_linux(process);

	exit->kind = MF_EXIT_WAIT;
	exit->wait_until_ns = mf_alarm_next_ns(process, false);
	if (earliest(lx) < exit->wait_until_ns)
		exit->wait_until_ns = earliest(lx);
	mf_hosts_exit(process, exit);
	if (!mf_process_waits(process))
		exit->wait_until_ns = 0;
	exit->wait_until_ns = mf_vm_to_host_ns(&process->vm, exit->wait_until_ns);
	return false;
}

/* It did what no program does: a thread that waits stands in ring 0. */
static bool stuck(struct mf_process *process, struct mf_exit *exit)
{
	process->vm.unclean = true;
	exit->kind = MF_EXIT_CRASHED;
	exit->status = SIGILL;
	snprintf(exit->text, sizeof(exit->text), "a thread waits where none can");
	return false;
}

/*
 * The next one that can run, or -1. Who has waited for the host goes before those who compute, but
 * not twice in succession: each of the others gets on as well.
 */
static int choose(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_turn *turn = &process->turn;
	uint32_t woken = turn->woken;
	int next;

	turn->woken = 0;
	if (woken && !turn->out_of_row && lx->threads[woken - 1].state == MF_THREAD_RUNNABLE) {
		turn->out_of_row = true;
		return (int)woken - 1;
	}
	next = mf_thread_set_next(&lx->runnable, (int)turn->row);
	if (next < 0)
		next = mf_thread_set_next(&lx->runnable, -1);
	if (next < 0)
		return -1;
	turn->out_of_row = false;
	turn->row = (uint32_t)next;
	return next;
}

bool mf_sched_next(struct mf_process *process, struct mf_exit *exit)
{
	int next;

	if (mf_sched_runs(process) && !process->turn.over)
		return true;
	next = choose(process);
	if (next < 0)
		return all_wait(process, exit);
	/* Another thread's turn that cannot begin now begins at the next exit. */
	if (next == (int)mf_linux(process)->current || switch_to(process, (uint32_t)next))
		process->turn.over = false;
	return mf_sched_runs(process) || stuck(process, exit);
}
