/* SPDX-License-Identifier: MIT */
#include "engine/linux/futex.h"
#include "engine/image/layout.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/sched.h"
#include "engine/linux/syscall.h"
#include "engine/linux/thread.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000ull

/* The call's arguments, and the time that it may take. */
struct futex {
	uint64_t va;
	uint32_t value;
	uint64_t va2;
	uint32_t value2; /* in the place of the timeout */
	uint32_t value3;
	bool is_private;
	uint64_t span_ns; /* of its timeout, from now; MF_FOREVER: none */
};

/* Of an address: 0, -EINVAL, -EFAULT. One that is not private must be there. */
static int check(struct mf_process *process, uint64_t va, bool is_private)
{
	if (va % 4)
		return -EINVAL;
	if (va >= MF_USER_TOP || (!is_private && !mf_guest_word(process, va, MF_READ)))
		return -EFAULT;
	return 0;
}

static int load(struct mf_process *process, uint64_t va, uint32_t *value)
{
	const uint32_t *word = mf_guest_word(process, va, MF_READ);

	if (!word)
		return -EFAULT;
	*value = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	return 0;
}

static void remove_at(struct mf_process *process, uint32_t at)
{
	uint32_t left = --MF_DIRTY(process, futex_count) - at;
	struct mf_futex_waiter *list = &MF_DIRTY(process, futexes[at]);

	mf_mem_mark(&process->vm.mem, list, left * sizeof(*list));
	memmove(list, list + 1, left * sizeof(*list));
}

static void enqueue(struct mf_process *process, struct mf_futex_waiter waiter)
{
	uint32_t at = mf_linux(process)->futex_count;

	if (at == MF_THREADS)
		return; /* never: a thread stands there once */
	MF_DIRTY(process, futexes[at]) = waiter;
	MF_DIRTY(process, futex_count) = at + 1;
}

void mf_futex_leave(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = 0;

	if (mf_thread(process)->futex == MF_FUTEX_NONE)
		return;
	MF_THREAD_DIRTY(process, futex) = MF_FUTEX_NONE;
	while (i < lx->futex_count && lx->futexes[i].thread != lx->current)
		i++;
	if (i < lx->futex_count)
		remove_at(process, i);
}

/* Wake who stands at that place: the list is shorter by one then. */
static void wake_at(struct mf_process *process, uint32_t at)
{
	uint32_t thread = mf_linux(process)->futexes[at].thread;

	remove_at(process, at);
	MF_DIRTY(process, threads[thread].futex) = MF_FUTEX_WOKEN;
	mf_sched_wake(process, thread);
}

static int64_t wake(struct mf_process *process, uint64_t va, int count, uint32_t bits)
{
	const struct mf_linux *lx = mf_linux(process);
	int64_t woken = 0;
	uint32_t i = 0;

	while (i < lx->futex_count) {
		const struct mf_futex_waiter *waiter = &lx->futexes[i];

		if (waiter->key != va || (!waiter->pi && !(waiter->bits & bits))) {
			i++;
			continue;
		}
		if (waiter->pi)
			return -EINVAL;
		wake_at(process, i);
		if (++woken >= count)
			break;
	}
	return woken;
}

int64_t mf_futex_wake(struct mf_process *process, uint64_t va, int count)
{
	return wake(process, va, count, FUTEX_BITSET_MATCH_ANY);
}

/* The thread on the vCPU stands in the list, or has been taken out of it by a waker. */
static int64_t go_on_waiting(struct mf_process *process, uint64_t key)
{
	uint64_t until = mf_thread(process)->call_until_ns;

	if (mf_thread(process)->futex == MF_FUTEX_WOKEN) {
		MF_THREAD_DIRTY(process, futex) = MF_FUTEX_NONE;
		return 0;
	}
	until = until ? until : MF_FOREVER;
	if (mf_vm_now_ns(&process->vm) >= until) {
		mf_futex_leave(process);
		return -ETIMEDOUT;
	}
	return mf_wait_object(process, MF_WAIT_FUTEX | key, until);
}

static int64_t begin_waiting(struct mf_process *process, const struct futex *futex, uint32_t bits,
			     bool pi)
{
	struct mf_futex_waiter waiter = {.key = futex->va,
					 .bits = bits,
					 .thread = (uint16_t)mf_linux(process)->current,
					 .pi = pi};

	mf_wait_deadline(process, futex->span_ns);
	MF_THREAD_DIRTY(process, futex) = MF_FUTEX_QUEUED;
	enqueue(process, waiter);
	return go_on_waiting(process, futex->va);
}

static int64_t wait(struct mf_process *process, const struct futex *futex, uint32_t bits)
{
	uint32_t now;

	if (!bits)
		return -EINVAL;
	if (load(process, futex->va, &now))
		return -EFAULT;
	if (now != futex->value)
		return -EAGAIN;
	return begin_waiting(process, futex, bits, false);
}

/* Move those who sleep at va, from place `i` on, behind those at va2. */
static void move_to_end(struct mf_process *process, uint32_t i, uint64_t va2)
{
	struct mf_futex_waiter waiter = mf_linux(process)->futexes[i];

	waiter.key = va2;
	remove_at(process, i);
	enqueue(process, waiter);
}

static int64_t requeue(struct mf_process *process, const struct futex *futex, bool compare)
{
	const struct mf_linux *lx = mf_linux(process);
	int wakes = (int)futex->value;
	int moves = (int)futex->value2;
	uint32_t last = lx->futex_count; /* those who are moved come behind it */
	int64_t done = 0;
	uint32_t now;
	uint32_t i = 0;
	int ret = check(process, futex->va2, futex->is_private);

	if (ret || wakes < 0 || moves < 0)
		return ret ? ret : -EINVAL;
	if (compare && load(process, futex->va, &now))
		return -EFAULT;
	if (compare && now != futex->value3)
		return -EAGAIN;
	while (i < last && done < (int64_t)wakes + moves) {
		if (lx->futexes[i].key != futex->va) {
			i++;
			continue;
		}
		if (lx->futexes[i].pi)
			return -EINVAL;
		if (done++ < wakes)
			wake_at(process, i);
		else
			move_to_end(process, i, futex->va2);
		last--;
	}
	return done;
}

/* Change the word at va2 as FUTEX_WAKE_OP says; *old is what it was. */
static int operate(struct mf_process *process, uint64_t va, uint32_t code, uint32_t *old)
{
	uint32_t *word = mf_guest_word(process, va, MF_WRITE);
	int32_t arg = (int32_t)(code << 8) >> 20;
	uint32_t value = code >> 28 & FUTEX_OP_OPARG_SHIFT ? 1u << (arg & 31) : (uint32_t)arg;

	if (!word)
		return -EFAULT;
	switch (code >> 28 & 7) {
	case FUTEX_OP_SET:
		*old = __atomic_exchange_n(word, value, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_ADD:
		*old = __atomic_fetch_add(word, value, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_OR:
		*old = __atomic_fetch_or(word, value, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_ANDN:
		*old = __atomic_fetch_and(word, ~value, __ATOMIC_SEQ_CST);
		return 0;
	case FUTEX_OP_XOR:
		*old = __atomic_fetch_xor(word, value, __ATOMIC_SEQ_CST);
		return 0;
	default:
		return -ENOSYS;
	}
}

/* 1 or 0, or -ENOSYS. */
static int compares(uint32_t code, int32_t old)
{
	int32_t arg = (int32_t)(code << 20) >> 20;

	switch (code >> 24 & 15) {
	case FUTEX_OP_CMP_EQ:
		return old == arg;
	case FUTEX_OP_CMP_NE:
		return old != arg;
	case FUTEX_OP_CMP_LT:
		return old < arg;
	case FUTEX_OP_CMP_GE:
		return old >= arg;
	case FUTEX_OP_CMP_LE:
		return old <= arg;
	case FUTEX_OP_CMP_GT:
		return old > arg;
	default:
		return -ENOSYS;
	}
}

static int64_t wake_op(struct mf_process *process, const struct futex *futex)
{
	int ret = check(process, futex->va2, futex->is_private);
	uint32_t old = 0;
	int64_t woken;
	int64_t more;

	if (!ret)
		ret = operate(process, futex->va2, futex->value3, &old);
	if (!ret)
		ret = compares(futex->value3, (int32_t)old);
	if (ret < 0)
		return ret;
	woken = mf_futex_wake(process, futex->va, (int)futex->value);
	if (woken < 0 || !ret)
		return woken;
	more = mf_futex_wake(process, futex->va2, (int)futex->value2);
	return more < 0 ? more : woken + more;
}

/* Who waits first to own the word, or -1; *more: others do, too. */
static int first_pi(const struct mf_process *process, uint64_t va, bool *more)
{
	const struct mf_linux *lx = mf_linux(process);
	int first = -1;
	uint32_t i;

	*more = false;
	for (i = 0; i < lx->futex_count; i++) {
		if (lx->futexes[i].key != va || !lx->futexes[i].pi)
			continue;
		*more = first >= 0;
		if (*more)
			break;
		first = (int)i;
	}
	return first;
}

/* Its owner lets go of the word: it is the first waiter's, or nobody's. */
static void hand_over(struct mf_process *process, uint64_t va, uint32_t *word, uint32_t died)
{
	const struct mf_linux *lx = mf_linux(process);
	bool more;
	int first = first_pi(process, va, &more);
	uint32_t value = died;

	if (first >= 0)
		value |= lx->threads[lx->futexes[first].thread].tid | FUTEX_WAITERS;
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	if (first >= 0)
		wake_at(process, (uint32_t)first);
}

static int64_t lock_pi(struct mf_process *process, const struct futex *futex, bool try)
{
	uint32_t tid = mf_thread(process)->tid;
	uint32_t *word = mf_guest_word(process, futex->va, MF_WRITE);
	uint32_t now;
	bool more;

	if (!word)
		return -EFAULT;
	now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	if ((now & FUTEX_TID_MASK) == tid)
		return -EDEADLK;
	if (!(now & FUTEX_TID_MASK)) {
		uint32_t mine = (now & FUTEX_OWNER_DIED) | tid;

		if (first_pi(process, futex->va, &more) >= 0)
			mine |= FUTEX_WAITERS;
		__atomic_store_n(word, mine, __ATOMIC_SEQ_CST);
		return 0;
	}
	if (mf_thread_find(process, now & FUTEX_TID_MASK) < 0)
		return -ESRCH;
	__atomic_fetch_or(word, FUTEX_WAITERS, __ATOMIC_SEQ_CST);
	return try ? -EAGAIN : begin_waiting(process, futex, 0, true);
}

static int64_t unlock_pi(struct mf_process *process, const struct futex *futex)
{
	uint32_t *word = mf_guest_word(process, futex->va, MF_WRITE);

	if (!word)
		return -EFAULT;
	if ((__atomic_load_n(word, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK) != mf_thread(process)->tid)
		return -EPERM;
	hand_over(process, futex->va, word, 0);
	return 0;
}

bool mf_futex_died(struct mf_process *process, uint64_t va, bool pi, bool pending)
{
	uint32_t *word = va < MF_USER_TOP ? mf_guest_word(process, va, MF_WRITE) : NULL;
	uint32_t now;

	if (!word)
		return false;
	now = __atomic_load_n(word, __ATOMIC_SEQ_CST);
	/* It had given the lock back and was about to wake somebody. */
	if (pending && !pi && !now)
		mf_futex_wake(process, va, 1);
	if ((now & FUTEX_TID_MASK) != mf_thread(process)->tid)
		return true;
	__atomic_store_n(word, (now & FUTEX_WAITERS) | FUTEX_OWNER_DIED, __ATOMIC_SEQ_CST);
	if (!pi && now & FUTEX_WAITERS)
		mf_futex_wake(process, va, 1);
	return true;
}

void mf_futex_owner_died(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t tid = mf_thread(process)->tid;
	uint32_t i = 0;

	while (i < lx->futex_count) {
		uint64_t va = lx->futexes[i].key;
		uint32_t *word = lx->futexes[i].pi ? mf_guest_word(process, va, MF_WRITE) : NULL;

		if (word && (__atomic_load_n(word, __ATOMIC_SEQ_CST) & FUTEX_TID_MASK) == tid)
			hand_over(process, va, word, FUTEX_OWNER_DIED); /* takes one out */
		else
			i++;
	}
}

/* The timeout as a span from now. A wall clock that is set while one waits is not followed. */
static int read_span(struct mf_process *process, uint64_t at, bool absolute, bool real,
		     uint64_t *span_ns)
{
	struct timespec time;
	uint64_t now =
		absolute ? mf_vm_clock_ns(&process->vm, real ? CLOCK_REALTIME : CLOCK_MONOTONIC)
			 : 0;
	uint64_t ns;

	*span_ns = MF_FOREVER;
	if (!at)
		return 0;
	if (mf_guest_read(process, at, &time, sizeof(time)))
		return -EFAULT;
	if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= (long)SECOND)
		return -EINVAL;
	if ((uint64_t)time.tv_sec >= MF_FOREVER / SECOND / 4)
		return 0;
	ns = (uint64_t)time.tv_sec * SECOND + (uint64_t)time.tv_nsec;
	*span_ns = ns > now ? ns - now : 0;
	return 0;
}

static int read_timeout(struct mf_process *process, int command, bool real, uint64_t at,
			struct futex *futex)
{
	futex->span_ns = MF_FOREVER;
	switch (command) {
	case FUTEX_WAIT:
		return read_span(process, at, false, false, &futex->span_ns);
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI2:
		return read_span(process, at, true, real, &futex->span_ns);
	case FUTEX_LOCK_PI:
		return read_span(process, at, true, true, &futex->span_ns);
	default:
		return 0;
	}
}

static int64_t futex_call(struct mf_process *process, int command, const struct futex *futex)
{
	switch (command) {
	case FUTEX_WAIT:
		return wait(process, futex, FUTEX_BITSET_MATCH_ANY);
	case FUTEX_WAIT_BITSET:
		return wait(process, futex, futex->value3);
	case FUTEX_WAKE:
		return mf_futex_wake(process, futex->va, (int)futex->value);
	case FUTEX_WAKE_BITSET:
		return futex->value3 ? wake(process, futex->va, (int)futex->value, futex->value3)
				     : -EINVAL;
	case FUTEX_REQUEUE:
		return requeue(process, futex, false);
	case FUTEX_CMP_REQUEUE:
		return requeue(process, futex, true);
	case FUTEX_WAKE_OP:
		return wake_op(process, futex);
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return lock_pi(process, futex, false);
	case FUTEX_TRYLOCK_PI:
		return lock_pi(process, futex, true);
	case FUTEX_UNLOCK_PI:
		return unlock_pi(process, futex);
	default:
		return -ENOSYS; /* FUTEX_FD, FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI */
	}
}

int64_t mf_sys_futex(struct mf_process *process, const uint64_t arg[6])
{
	int command = (int)(arg[1] & FUTEX_CMD_MASK);
	bool real = arg[1] & FUTEX_CLOCK_REALTIME;
	struct futex futex = {
		.va = arg[0],
		.value = (uint32_t)arg[2],
		.value2 = (uint32_t)arg[3],
		.va2 = arg[4],
		.value3 = (uint32_t)arg[5],
		.is_private = arg[1] & FUTEX_PRIVATE_FLAG,
	};
	int ret;

	if (mf_thread(process)->futex != MF_FUTEX_NONE)
		return go_on_waiting(process, futex.va);
	ret = read_timeout(process, command, real, arg[3], &futex);
	if (ret)
		return ret;
	if (real && command != FUTEX_WAIT_BITSET && command != FUTEX_LOCK_PI2)
		return -ENOSYS;
	ret = check(process, futex.va, futex.is_private);
	return ret ? ret : futex_call(process, command, &futex);
}
