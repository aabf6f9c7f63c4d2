/* SPDX-License-Identifier: MIT */
/* Futexes: what they refuse, whom they wake and in which order, what a thread leaves that ends. */
#include "case.h"
#include "thread.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <time.h>

static long futex(void *word, int op, unsigned long value, const void *timeout, void *word2,
		  unsigned int value3)
{
	return syscall(SYS_futex, word, op, value, timeout, word2, value3);
}

static uint32_t word, word2;

CASE(futex_refuses, futex)
{
	static const struct timespec zero, bad = {0, 1000000000}, before = {-1, 0}, past = {1, 0};
	char *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	word = 5;
	TELL("another value", futex(&word, FUTEX_WAIT_PRIVATE, 4, NULL, NULL, 0));
	TELL("not aligned", futex((char *)&word + 1, FUTEX_WAIT_PRIVATE, 5, NULL, NULL, 0));
	TELL("no access", futex(page, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
	TELL("address 0", futex(NULL, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
	TELL("kernel's address", futex((void *)~3ul, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
	TELL("bad timeout", futex(&word, FUTEX_WAIT_PRIVATE, 5, &bad, NULL, 0));
	TELL("negative timeout", futex(&word, FUTEX_WAIT_PRIVATE, 5, &before, NULL, 0));
	TELL("timeout nowhere", futex(&word, FUTEX_WAIT_PRIVATE, 5, (void *)8, NULL, 0));
	TELL("no time", futex(&word, FUTEX_WAIT_PRIVATE, 5, &zero, NULL, 0));
	TELL("no time, another value", futex(&word, FUTEX_WAIT_PRIVATE, 4, &zero, NULL, 0));
	TELL("in the past", futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, &past, NULL, ~0u));
	TELL("in the past, wall clock",
	     futex(&word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &past, NULL, ~0u));
	TELL("wait with wall clock",
	     futex(&word, FUTEX_WAIT_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &zero, NULL, 0));
	TELL("wake with wall clock",
	     futex(&word, FUTEX_WAKE_PRIVATE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
	TELL("no bits", futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 5, NULL, NULL, 0));
	TELL("wake no bits", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0));
	TELL("wake nobody", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	TELL("wake nobody, shared", futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
	TELL("wake where nothing is", futex(page, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	TELL("the same, shared", futex(page, FUTEX_WAKE, 1, NULL, NULL, 0));
	TELL("wake not aligned", futex((char *)&word + 2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	TELL("requeue nobody", futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, &word2, 0));
	TELL("requeue, negative", futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)-1l, &word2, 0));
	TELL("wake a negative number",
	     futex(&word, FUTEX_REQUEUE_PRIVATE, (unsigned int)-1, (void *)1, &word2, 0));
	TELL("compare and requeue",
	     futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &word2, 4));
	TELL("the same, right value",
	     futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, &word2, 5));
	TELL("requeue to nowhere", futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, (void *)2, 0));
	TELL("no such command", futex(&word, 77, 1, NULL, NULL, 0));
	TELL("FUTEX_FD", futex(&word, FUTEX_FD, 1, NULL, NULL, 0));
	TELL("unlock another's", futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	word = 0x3ffffffe;
	TELL("lock of nobody's", futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	word = (uint32_t)gettid();
	TELL("lock of one's own", futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	TELL("unlock", futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	TELL("the word then", (long)word);
	TELL("try", futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	say("mine: %d", word == (uint32_t)gettid());
}

CASE(futex_operates, futex)
{
	static const struct {
		int op, arg, cmp, cmp_arg;
	} tries[] = {
		{FUTEX_OP_SET, 9, FUTEX_OP_CMP_EQ, 100},
		{FUTEX_OP_ADD, -3, FUTEX_OP_CMP_NE, 100},
		{FUTEX_OP_OR, 0x7f, FUTEX_OP_CMP_LT, 101},
		{FUTEX_OP_ANDN, 4, FUTEX_OP_CMP_LE, 99},
		{FUTEX_OP_XOR, -1, FUTEX_OP_CMP_GT, -1},
		{FUTEX_OP_SET, -2048, FUTEX_OP_CMP_GE, 100},
		{FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 12, FUTEX_OP_CMP_EQ, 100},
		{5, 1, FUTEX_OP_CMP_EQ, 100},
		{FUTEX_OP_ADD, 1, 7, 100},
	};
	size_t i;

	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		unsigned int code = (unsigned int)FUTEX_OP(tries[i].op, tries[i].arg, tries[i].cmp,
							   tries[i].cmp_arg);
		word2 = 100;
		TELL("operation", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2, code));
		say("%zu: %d", i, (int)word2);
	}
}

/* Sleepers in a known order: each begins when the one before it sleeps. */
struct sleeper {
	uint32_t *word;
	unsigned int bits;
	int order; /* in which it woke */
};
static atomic_int woken, asleep;

static void *sleep_on(void *arg)
{
	struct sleeper *sleeper = arg;

	atomic_fetch_add(&asleep, 1);
	if (futex(sleeper->word, FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, sleeper->bits))
		return (void *)1;
	sleeper->order = atomic_fetch_add(&woken, 1);
	return NULL;
}

static struct sleeper sleepers[8];
static pthread_t threads[8];

static void begin_sleepers(int count)
{
	int i;

	word = word2 = 0;
	atomic_store(&woken, 0);
	atomic_store(&asleep, 0);
	for (i = 0; i < count; i++) {
		sleepers[i] = (struct sleeper){&word, 1u << i, -1};
		threads[i] = begin_thread(sleep_on, &sleepers[i]);
		while (atomic_load(&asleep) <= i)
			sched_yield();
		usleep(3000);
	}
}

static void wait_for_woken(int count)
{
	while (atomic_load(&woken) < count)
		usleep(1000);
	usleep(3000);
}

CASE(futex_counts_and_order, futex)
{
	long failed = 0;
	int i;

	begin_sleepers(8);
	TELL("wake one bit", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 8, NULL, NULL, 1u << 5));
	wait_for_woken(1);
	TELL("wake no such bit", futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 8, NULL, NULL, 1u << 30));
	TELL("wake 0", futex(&word, FUTEX_WAKE_PRIVATE, 0, NULL, NULL, 0));
	wait_for_woken(2);
	TELL("wake one", futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	wait_for_woken(3);
	TELL("wake one, move two", futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)2, &word2, 0));
	wait_for_woken(4);
	TELL("wake there", futex(&word2, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	wait_for_woken(5);
	TELL("compare and move all",
	     futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)9, &word2, 0));
	TELL("none is left", futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0));
	TELL("wake the rest", futex(&word2, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0));
	for (i = 0; i < 8; i++)
		failed += end_thread(threads[i]);
	for (i = 0; i < 8; i++)
		say("sleeper %d woke as number %d", i,
		    sleepers[i].order < 5 ? sleepers[i].order : 5);
	say("failed: %ld", failed);
}

CASE(futex_wakes_at_two_words, futex)
{
	long failed = 0;
	int i;

	begin_sleepers(4);
	futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)2, &word2, 0);
	TELL("both", futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)5, &word2,
			   (unsigned int)FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0)));
	TELL("the last", futex(&word, FUTEX_WAKE_OP_PRIVATE, 5, (void *)5, &word2,
			       (unsigned int)FUTEX_OP(FUTEX_OP_SET, 1, FUTEX_OP_CMP_EQ, 0)));
	for (i = 0; i < 4; i++)
		failed += end_thread(threads[i]);
	say("failed: %ld", failed);
}

static struct timespec in_ms(clockid_t clock, unsigned int ms)
{
	struct timespec then;

	clock_gettime(clock, &then);
	then.tv_nsec += (long)ms * 1000000;
	then.tv_sec += then.tv_nsec / 1000000000;
	then.tv_nsec %= 1000000000;
	return then;
}

static void *lock_pi_later(void *arg)
{
	struct timespec then = in_ms(CLOCK_REALTIME, 20);
	long ret = futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, arg ? &then : NULL, NULL, 0);

	if (ret)
		return (void *)(long)errno;
	ret = (word & FUTEX_TID_MASK) == (uint32_t)gettid() ? 0 : 1000;
	futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	return (void *)ret;
}

CASE(futex_is_handed_over, futex)
{
	pthread_t waiter;

	word = (uint32_t)gettid();
	say("late: %ld", end_thread(begin_thread(lock_pi_later, &word)));
	waiter = begin_thread(lock_pi_later, NULL);
	while (!(*(volatile uint32_t *)&word & FUTEX_WAITERS))
		usleep(1000);
	say("waiters: %d", (word & FUTEX_WAITERS) != 0);
	TELL("unlock", futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	say("handed over: %ld", end_thread(waiter));
	say("free: %d", word == 0);
}

/* A robust list that leads nowhere, in circles, and to words that are not its own. */
static void *end_with_list(void *arg)
{
	static struct robust_list_head heads[4];
	static struct robust_list entries[2];
	struct robust_list_head *head = &heads[(long)arg];

	entries[0].next = &entries[1];
	entries[1].next = &entries[0]; /* for ever */
	heads[0] = (struct robust_list_head){{&entries[0]}, 0, NULL};
	heads[1] = (struct robust_list_head){{(void *)0x1234}, 8, (void *)-8l};
	heads[2] = (struct robust_list_head){{(void *)~0ul}, -1l, (void *)1};
	heads[3] = (struct robust_list_head){{&entries[0]}, (long)1 << 62, &entries[1]};
	if (syscall(SYS_set_robust_list, head, sizeof(*head)))
		return (void *)1;
	return NULL;
}

static void *end_with_wild_list(void *arg)
{
	return (void *)syscall(SYS_set_robust_list, arg, sizeof(struct robust_list_head));
}

CASE(robust_lists, set_robust_list, get_robust_list)
{
	struct robust_list_head *head = NULL;
	size_t bytes = 0;
	long failed = 0;
	long i;

	for (i = 0; i < 4; i++)
		failed += end_thread(begin_thread(end_with_list, (void *)i));
	failed += end_thread(begin_thread(end_with_wild_list, (void *)-4096l));
	say("ended: %s", failed ? "no" : "yes");
	TELL("of a wrong size", syscall(SYS_set_robust_list, &word, 23));
	TELL("one's own", syscall(SYS_get_robust_list, 0, &head, &bytes));
	say("%d %zu", head != NULL, bytes);
	TELL("by id", syscall(SYS_get_robust_list, gettid(), &head, &bytes));
	TELL("to nowhere", syscall(SYS_get_robust_list, 0, 8, &bytes));
}
