/* SPDX-License-Identifier: MIT */
/*
 * Signals of a guest program. What is sent waits in the arena (sigqueue.c) until a thread that does
 * not block it goes back to ring 3, where its handler's frame is built (sigframe.c), or the program
 * ends. The rules are Linux' (kernel/signal.c); what the frame looks like is the x86-64 ABI's.
 *
 * A signal that is ignored and blocked by nobody is never left pending. A signal to the process
 * goes to its first thread, if that one does not block it, else to any other that does not.
 */
#ifndef MF_ENGINE_LINUX_SIGNAL_H
#define MF_ENGINE_LINUX_SIGNAL_H

#include "engine/linux/memory.h"
#include "engine/linux/process.h"

#define MF_SIG_DFL 0u
#define MF_SIG_IGN 1u

#define MF_SIGBIT(signo) (1ull << ((signo)-1))

/* To the process, not to one of its threads. */
#define MF_TO_PROCESS UINT32_MAX

/* What waiters for a signal that is not delivered (sigtimedwait, signalfd) wait for; the
 * mf_wait_object() number. */
#define MF_WAIT_SIGNAL 0x5349474e414c0000ull

/*
 * Send a signal to the thread of that index, or MF_TO_PROCESS. 0 also when it is ignored;
 * MF_SYS_EXIT when the program dies of it at once; -EAGAIN when too many real-time signals wait;
 * -EPERM for one that would stop the program: nobody could let it go on.
 */
int64_t mf_signal_send(struct mf_process *process, uint32_t thread, const struct mf_siginfo *info);

/* The same from a timer: at most one signal of each waits. */
int64_t mf_signal_send_timer(struct mf_process *process, uint32_t thread,
			     const struct mf_siginfo *info, uint32_t timer);
bool mf_signal_has_timer(const struct mf_process *process, uint32_t timer);
void mf_signal_forget_timer(struct mf_process *process, uint32_t timer);

/* The index of the thread that has that number; MF_TO_PROCESS: none has. */
uint32_t mf_signal_find_thread(const struct mf_process *process, int tid);

/* What the thread on the vCPU brought upon itself by a call (SIGPIPE, SIGXFSZ); as
 * mf_signal_send(). */
int64_t mf_process_signal(struct mf_process *process, int signo);

/*
 * A signal to the thread on the vCPU that cannot be put off: where it is blocked, ignored or has no
 * handler, the program dies of it (MF_SYS_EXIT). 0: it is the next to be delivered.
 */
int64_t mf_signal_force(struct mf_process *process, const struct mf_siginfo *info);

/* The same for an exception of ring 3, with what Linux tells of it (arch/x86/kernel/traps.c).
 * `touch`: why a page fault is one. */
int64_t mf_signal_fault(struct mf_process *process, const struct mf_vm_exit *fault,
			enum mf_touch touch);

/* Is there a signal that the thread on the vCPU has to take now? */
bool mf_signal_due(const struct mf_process *process);
/* Which ones: a bit each. */
uint64_t mf_signal_due_set(const struct mf_process *process);

/*
 * The thread's call was parked and a signal is due: end the call as Linux does, with -EINTR or so
 * that it is made again behind the handler.
 */
void mf_signal_interrupt(struct mf_process *process);

/*
 * Take what is due: run the handler when ring 3 is entered next, or MF_SYS_EXIT when the program
 * dies of it. The vCPU is settled (mf_vm_settle).
 */
int64_t mf_signal_deliver(struct mf_process *process);

/*
 * A call that waits under another signal mask (ppoll, pselect6, epoll_pwait, sigsuspend): put it in
 * place for as long as the call takes; the old one comes back when it is over, behind the handler
 * if there is one. 0 with va 0. -EINVAL (bytes is not 8), -EFAULT.
 */
int mf_signal_mask_for_call(struct mf_process *process, uint64_t va, uint64_t bytes);

/* A call is over that was not interrupted: what it had put in place of the mask goes. Its result.
 */
int64_t mf_signal_call_over(struct mf_process *process, uint64_t number, int64_t result);

/* Replace the mask of the thread on the vCPU. */
void mf_signal_set_mask(struct mf_process *process, uint64_t mask);

/* The thread on the vCPU ends: what waited for it is lost, what waits for the process is another's.
 */
void mf_signal_thread_ends(struct mf_process *process);

/*
 * Take a signal of `set` that waits for the thread on the vCPU or for the process, in the order in
 * which Linux delivers them: its number, or 0.
 */
int mf_signal_take(struct mf_process *process, uint64_t set, struct mf_siginfo *info);

/* Forget every waiting signal of the set. */
void mf_signal_flush(struct mf_process *process, uint64_t set);

/* What waits for the thread on the vCPU or for the process. */
uint64_t mf_signal_pending(const struct mf_process *process);

/* Signals that nothing can be done about: SIGKILL and SIGSTOP. */
#define MF_SIGNALS_FIXED (MF_SIGBIT(9) | MF_SIGBIT(19))

/* Is it, as things stand, thrown away? */
bool mf_signal_ignored(const struct mf_process *process, int signo);

/* sigframe.c: put a handler's frame on the stack and the vCPU in front of the handler. `mask`: what
 * sigreturn is to put back. -EFAULT: the stack cannot be written. */
int mf_signal_frame(struct mf_process *process, const struct mf_sigaction *action,
		    const struct mf_siginfo *info, uint64_t mask);

/* Is `rsp` on the alternative stack of the thread on the vCPU? */
bool mf_signal_on_altstack(const struct mf_process *process, uint64_t rsp);

/* Replace it, as sigaltstack does: -EPERM, -EINVAL, -ENOMEM. */
struct mf_altstack { /* stack_t */
	uint64_t sp;
	int32_t flags;
	int32_t reserved;
	uint64_t bytes;
};
int mf_signal_set_altstack(struct mf_process *process, const struct mf_altstack *stack);

#endif
