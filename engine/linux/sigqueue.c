/* SPDX-License-Identifier: MIT */
/* Signals on their way: sending, waiting, taking. */
#include "engine/linux/credentials.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/signal.h"
#include "engine/image/guest.h"
#include "engine/linux/alarm.h"
#include "engine/linux/sched.h"
#include "engine/linux/signalfd.h"
#include "engine/linux/syscall.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define STOPS (MF_SIGBIT(SIGSTOP) | MF_SIGBIT(SIGTSTP) | MF_SIGBIT(SIGTTIN) | MF_SIGBIT(SIGTTOU))
/* Taken before all others: they tell of the instruction at which the thread stands. */
#define SYNCHRONOUS                                                                        \
	(MF_SIGBIT(SIGSEGV) | MF_SIGBIT(SIGBUS) | MF_SIGBIT(SIGILL) | MF_SIGBIT(SIGTRAP) | \
	 MF_SIGBIT(SIGFPE) | MF_SIGBIT(SIGSYS))

#define FIRST_REALTIME 32 /* the kernel's SIGRTMIN: the C library keeps some for itself */

/* Does its default action do nothing? */
static bool is_harmless(int signo)
{
	return signo == SIGCHLD || signo == SIGURG || signo == SIGWINCH || signo == SIGCONT;
}

bool mf_signal_ignored(const struct mf_process *process, int signo)
{
	uint64_t handler = mf_linux(process)->sigactions[signo].handler;

	return handler == MF_SIG_IGN || (handler == MF_SIG_DFL && is_harmless(signo));
}

static bool blocks(const struct mf_thread *thread, int signo)
{
	return thread->sigmask & MF_SIGBIT(signo);
}

static bool alive(const struct mf_thread *thread)
{
	return thread->state != MF_THREAD_FREE;
}

/* The thread that is to take a signal to the process; NULL: all block it. */
static const struct mf_thread *receiver(const struct mf_process *process, int signo)
{
	const struct mf_linux *lx = mf_linux(process);
	const struct mf_thread *current = mf_thread(process);
	uint32_t i;

	if (alive(&lx->threads[0]) && !blocks(&lx->threads[0], signo))
		return &lx->threads[0];
	if (alive(current) && !blocks(current, signo))
		return current;
	for (i = 1; i < lx->threads_high && i < MF_THREADS; i++) {
		if (alive(&lx->threads[i]) && !blocks(&lx->threads[i], signo))
			return &lx->threads[i];
	}
	return NULL;
}

static uint32_t index_of(const struct mf_process *process, const struct mf_thread *thread)
{
	return (uint32_t)(thread - mf_linux(process)->threads);
}

/* A parked thread makes its call again, and is interrupted then. */
static void wake(struct mf_process *process, const struct mf_thread *thread)
{
	mf_sched_wake(process, index_of(process, thread));
}

/* Signals to the process may have got another receiver. */
static void wake_receivers(struct mf_process *process)
{
	uint64_t left = mf_linux(process)->sigpending;

	for (; left; left &= left - 1) {
		const struct mf_thread *thread = receiver(process, __builtin_ctzll(left) + 1);

		if (thread)
			wake(process, thread);
	}
}

static uint64_t *pending_rw(struct mf_process *process, uint32_t owner)
{
	return owner ? &MF_DIRTY(process, threads[owner - 1].sigpending)
		     : &MF_DIRTY(process, sigpending);
}

static uint64_t pending_of(const struct mf_process *process, uint32_t owner)
{
	const struct mf_linux *lx = mf_linux(process);

	return owner ? lx->threads[owner - 1].sigpending : lx->sigpending;
}

/* A place in the queue; NULL: it is full. */
static struct mf_sigqueue *queue_rw(struct mf_process *process, uint32_t index)
{
	return &MF_DIRTY(process, sigqueue[index]);
}

static uint32_t free_place(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < MF_SIGQUEUE && i < lx->sigqueue_high; i++) {
		if (!lx->sigqueue[i].order)
			return i;
	}
	return i;
}

/* False: there is no room; the signal is then pending without anything to tell. */
static bool enqueue(struct mf_process *process, uint32_t owner, const struct mf_siginfo *info,
		    uint32_t timer)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t own = mf_limit_soft(process, RLIMIT_SIGPENDING);
	uint64_t max = info->signo < FIRST_REALTIME || timer ? MF_SIGQUEUE
		       : own < MF_SIGQUEUE_MAX               ? own
							     : MF_SIGQUEUE_MAX;
	uint32_t at = lx->sigqueue_used < max ? free_place(process) : MF_SIGQUEUE;

	if (at >= MF_SIGQUEUE)
		return false;
	*queue_rw(process, at) = (struct mf_sigqueue){
		.order = ++MF_DIRTY(process, sigqueue_order),
		.thread = owner,
		.timer = timer,
		.info = *info,
	};
	MF_DIRTY(process, sigqueue_used)++;
	if (at >= lx->sigqueue_high)
		MF_DIRTY(process, sigqueue_high) = at + 1;
	return true;
}

static void release(struct mf_process *process, uint32_t at)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t high = lx->sigqueue_high < MF_SIGQUEUE ? lx->sigqueue_high : MF_SIGQUEUE;

	queue_rw(process, at)->order = 0;
	MF_DIRTY(process, sigqueue_used)--;
	while (high && !lx->sigqueue[high - 1].order)
		high--;
	MF_DIRTY(process, sigqueue_high) = high;
}

/* The first that waits of a number; *more: there is another. MF_SIGQUEUE: none. */
static uint32_t first_of(const struct mf_process *process, uint32_t owner, int signo, bool *more)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t found = MF_SIGQUEUE;
	uint32_t i;

	*more = false;
	for (i = 0; i < MF_SIGQUEUE && i < lx->sigqueue_high; i++) {
		const struct mf_sigqueue *entry = &lx->sigqueue[i];

		if (!entry->order || entry->thread != owner || entry->info.signo != signo)
			continue;
		*more |= found != MF_SIGQUEUE;
		if (found == MF_SIGQUEUE || entry->order < lx->sigqueue[found].order)
			found = i;
	}
	return found;
}

static void collect(struct mf_process *process, uint32_t owner, int signo, struct mf_siginfo *info)
{
	bool more;
	uint32_t at = first_of(process, owner, signo, &more);

	*info = (struct mf_siginfo){.signo = signo};
	if (at != MF_SIGQUEUE) {
		const struct mf_sigqueue *entry = &mf_linux(process)->sigqueue[at];

		*info = entry->info;
		if (entry->timer)
			mf_alarm_taken(process, entry->timer - 1, info);
		release(process, at);
	}
	if (!more)
		*pending_rw(process, owner) &= ~MF_SIGBIT(signo);
}

static int next_signal(uint64_t set)
{
	if (set & SYNCHRONOUS)
		set &= SYNCHRONOUS;
	return set ? __builtin_ctzll(set) + 1 : 0;
}

int mf_signal_take(struct mf_process *process, uint64_t set, struct mf_siginfo *info)
{
	uint32_t owner = mf_linux(process)->current % MF_THREADS + 1;
	int signo = next_signal(pending_of(process, owner) & set);

	if (!signo) {
		owner = 0;
		signo = next_signal(pending_of(process, owner) & set);
	}
	if (signo)
		collect(process, owner, signo, info);
	return signo;
}

uint64_t mf_signal_pending(const struct mf_process *process)
{
	return mf_thread(process)->sigpending | mf_linux(process)->sigpending;
}

static void flush_of(struct mf_process *process, uint32_t owner, uint64_t set)
{
	if (pending_of(process, owner) & set)
		*pending_rw(process, owner) &= ~set;
}

void mf_signal_flush(struct mf_process *process, uint64_t set)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	flush_of(process, 0, set);
	for (i = 0; i < lx->threads_high && i < MF_THREADS; i++)
		flush_of(process, i + 1, set);
	for (i = lx->sigqueue_high < MF_SIGQUEUE ? lx->sigqueue_high : MF_SIGQUEUE; i-- > 0;) {
		const struct mf_sigqueue *entry = &lx->sigqueue[i];

		if (entry->order && set & MF_SIGBIT(entry->info.signo))
			release(process, i);
	}
}

void mf_signal_thread_ends(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t owner = lx->current % MF_THREADS + 1;
	uint32_t i;

	flush_of(process, owner, ~0ull);
	for (i = lx->sigqueue_high < MF_SIGQUEUE ? lx->sigqueue_high : MF_SIGQUEUE; i-- > 0;) {
		if (lx->sigqueue[i].order && lx->sigqueue[i].thread == owner)
			release(process, i);
	}
	/* It blocks everything from now on: signals to the process are another thread's. */
	MF_THREAD_DIRTY(process, sigmask) = ~0ull;
	wake_receivers(process);
}

uint64_t mf_signal_due_set(const struct mf_process *process)
{
	const struct mf_thread *thread = mf_thread(process);
	uint64_t shared = mf_linux(process)->sigpending & ~thread->sigmask;
	uint64_t set = thread->sigpending & ~thread->sigmask;

	for (; shared; shared &= shared - 1) {
		int signo = __builtin_ctzll(shared) + 1;

		if (receiver(process, signo) == thread)
			set |= MF_SIGBIT(signo);
	}
	return set;
}

bool mf_signal_due(const struct mf_process *process)
{
	return mf_signal_pending(process) && mf_signal_due_set(process);
}

void mf_signal_set_mask(struct mf_process *process, uint64_t mask)
{
	uint64_t left;

	MF_THREAD_DIRTY(process, sigmask) = mask & ~MF_SIGNALS_FIXED;
	if (!mf_signal_pending(process))
		return;
	for (left = mf_signal_due_set(process); left; left &= left - 1) {
		struct mf_siginfo info;
		int signo = __builtin_ctzll(left) + 1;

		while (mf_signal_ignored(process, signo) &&
		       mf_signal_take(process, MF_SIGBIT(signo), &info)) {
		}
	}
	wake_receivers(process);
}

static int64_t die(struct mf_process *process, int signo)
{
	MF_DIRTY(process, exited) = 1;
	MF_DIRTY(process, exit_signal) = (uint32_t)signo;
	return MF_SYS_EXIT;
}

/* Who would take it: NULL when it has to wait. */
static const struct mf_thread *taker(const struct mf_process *process, uint32_t thread, int signo)
{
	const struct mf_thread *one;

	if (thread == MF_TO_PROCESS)
		return receiver(process, signo);
	one = &mf_linux(process)->threads[thread];
	return blocks(one, signo) ? NULL : one;
}

static int64_t put(struct mf_process *process, uint32_t thread, const struct mf_siginfo *info,
		   uint32_t timer)
{
	uint32_t owner = thread == MF_TO_PROCESS ? 0 : thread + 1;
	const struct mf_thread *who;

	if (!timer && info->signo < FIRST_REALTIME &&
	    pending_of(process, owner) & MF_SIGBIT(info->signo))
		return 0;
	if (!enqueue(process, owner, info, timer) && info->signo >= FIRST_REALTIME &&
	    info->code != SI_USER)
		return -EAGAIN;
	*pending_rw(process, owner) |= MF_SIGBIT(info->signo);
	who = taker(process, thread, info->signo);
	if (who)
		wake(process, who);
	mf_wait_wake(process, MF_WAIT_SIGNAL);
	if (mf_linux(process)->signalfds)
		mf_signalfd_notify(process, info->signo);
	return 0;
}

static int64_t send(struct mf_process *process, uint32_t thread, const struct mf_siginfo *info,
		    uint32_t timer)
{
	const struct mf_linux *lx = mf_linux(process);
	int signo = info->signo;
	const struct mf_thread *who = taker(process, thread, signo);
	bool is_default = lx->sigactions[signo].handler == MF_SIG_DFL;

	if (signo == SIGKILL)
		return die(process, signo);
	if (STOPS & MF_SIGBIT(signo) && is_default && (who || signo == SIGSTOP))
		return -EPERM;
	if (STOPS & MF_SIGBIT(signo))
		mf_signal_flush(process, MF_SIGBIT(SIGCONT));
	if (signo == SIGCONT)
		mf_signal_flush(process, STOPS);
	if (mf_signal_ignored(process, signo) && who)
		return 0;
	if (is_default && who)
		return die(process, signo);
	return put(process, thread, info, timer);
}

int64_t mf_signal_send(struct mf_process *process, uint32_t thread, const struct mf_siginfo *info)
{
	return send(process, thread, info, 0);
}

int64_t mf_signal_send_timer(struct mf_process *process, uint32_t thread,
			     const struct mf_siginfo *info, uint32_t timer)
{
	return send(process, thread, info, timer + 1);
}

/* The place of what a timer has sent; MF_SIGQUEUE: nothing of it waits. */
static uint32_t place_of_timer(const struct mf_process *process, uint32_t timer)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < MF_SIGQUEUE && i < lx->sigqueue_high; i++) {
		if (lx->sigqueue[i].order && lx->sigqueue[i].timer == timer + 1)
			return i;
	}
	return MF_SIGQUEUE;
}

bool mf_signal_has_timer(const struct mf_process *process, uint32_t timer)
{
	return place_of_timer(process, timer) != MF_SIGQUEUE;
}

void mf_signal_forget_timer(struct mf_process *process, uint32_t timer)
{
	uint32_t at = place_of_timer(process, timer);
	uint32_t owner;
	int signo;
	bool more;

	if (at == MF_SIGQUEUE)
		return;
	owner = mf_linux(process)->sigqueue[at].thread;
	signo = mf_linux(process)->sigqueue[at].info.signo;
	release(process, at);
	if (first_of(process, owner, signo, &more) == MF_SIGQUEUE)
		*pending_rw(process, owner) &= ~MF_SIGBIT(signo);
}

uint32_t mf_signal_find_thread(const struct mf_process *process, int tid)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->threads_high && i < MF_THREADS; i++) {
		if (alive(&lx->threads[i]) && (int)lx->threads[i].tid == tid)
			return i;
	}
	return MF_TO_PROCESS;
}

int64_t mf_process_signal(struct mf_process *process, int signo)
{
	struct mf_siginfo info = {.signo = signo,
				  .code = SI_USER,
				  .sent = {.pid = MF_GUEST_PID, .uid = mf_uid(process)}};

	return mf_signal_send(process, mf_linux(process)->current % MF_THREADS, &info);
}

int64_t mf_signal_force(struct mf_process *process, const struct mf_siginfo *info)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t handler = lx->sigactions[info->signo].handler;

	if (handler == MF_SIG_DFL || handler == MF_SIG_IGN ||
	    blocks(mf_thread(process), info->signo))
		return die(process, info->signo);
	put(process, lx->current % MF_THREADS, info, 0);
	return 0;
}
