/* SPDX-License-Identifier: MIT */
#include "tenant/priority.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * How long a thread goes on before another that waits as well has its turn; kernels before 6.12
 * take it and do nothing. The usual one is more than most requests need: whose slice ends in the
 * middle of one may wait for a tick.
 */
#define SLICE_USUAL_NS 500000ull
#define SLICE_LOW_NS   10000000ull

/* struct sched_attr of sched_setattr(2), as old as the call: the C library has it since lately. */
struct attributes {
	uint32_t size;
	uint32_t sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime;
	uint64_t sched_deadline;
	uint64_t sched_period;
};
_Static_assert(sizeof(struct attributes) == 48, "SCHED_ATTR_SIZE_VER0");

static void stand(bool low, int nice)
{
	const struct attributes attr = {
		.size = sizeof(attr),
		.sched_policy = low ? SCHED_BATCH : SCHED_OTHER,
		.sched_nice = nice,
		.sched_runtime = low ? SLICE_LOW_NS : SLICE_USUAL_NS,
	};

	/* Without it a thread waits longer for its turn, and that is all. */
	syscall(SYS_sched_setattr, 0, &attr, 0);
}

/* What is left is what limits allow: nothing of real time, and no nice value below its own. */
static bool drop_right(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0}) || syscall(SYS_capget, &header, data))
		return false;
	data[0].effective &= ~(1u << CAP_SYS_NICE);
	data[0].permitted &= ~(1u << CAP_SYS_NICE);
	data[0].inheritable &= ~(1u << CAP_SYS_NICE);
	return !syscall(SYS_capset, &header, data);
}

/* RLIMIT_NICE is 20 minus the lowest nice value that may be asked for (getrlimit(2)). */
static bool may_raise_to(int nice)
{
	rlim_t needed = (rlim_t)(20 - nice);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NICE, &limit))
		return false;
	if (limit.rlim_cur >= needed)
		return true;
	limit.rlim_cur = needed;
	if (limit.rlim_max < needed)
		limit.rlim_max = needed;
	return !setrlimit(RLIMIT_NICE, &limit);
}

void mf_priority_prepare(struct mf_priority *priority)
{
	int nice = getpriority(PRIO_PROCESS, 0);
	int low = nice + MF_PRIORITY_STEP < 19 ? nice + MF_PRIORITY_STEP : 19;

	priority->usual_nice = nice;
	priority->low_nice = may_raise_to(nice) ? low : nice;
	priority->changes = drop_right();
	stand(false, nice);
}

void mf_priority_set(const struct mf_priority *priority, bool low)
{
	if (priority->changes)
		stand(low, low ? priority->low_nice : priority->usual_nice);
}

void mf_turns_init(struct mf_turns *turns, const struct mf_priority *priority, uint64_t now_ns)
{
	*turns = (struct mf_turns){.priority = priority, .begun_ns = now_ns};
}

void mf_turns_ask(struct mf_turns *turns, bool may_wait, uint64_t now_ns)
{
	turns->asked_ns = may_wait ? now_ns : 0;
}

/* Between a half and two thirds it stays what it is. */
static bool is_low(const struct mf_turns *turns, uint64_t term_ns)
{
	return turns->waited_ns < (turns->low ? term_ns / 3 * 2 : term_ns / 2);
}

void mf_turns_begin(struct mf_turns *turns, uint64_t now_ns)
{
	uint64_t term_ns = now_ns - turns->begun_ns;
	bool low;

	if (turns->asked_ns)
		turns->waited_ns += now_ns - turns->asked_ns;
	if (term_ns < MF_TURNS_TERM_NS)
		return;
	low = is_low(turns, term_ns);
	if (low != turns->low)
		mf_priority_set(turns->priority, low);
	turns->low = low;
	turns->begun_ns = now_ns;
	turns->waited_ns = 0;
}
