/* SPDX-License-Identifier: MIT */
/* How a process is scheduled, its privileges, and the time that knows no leap seconds. */
#include "case.h"

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

CASE(privileges_and_the_like, prctl)
{
	int value = 0;

	SHOW(SYS(prctl, PR_GET_TSC, &value));
	SHOW(value);
	SHOW(SYS(prctl, PR_SET_TSC, 5));
	SHOW(SYS(prctl, PR_GET_TIMING));
	SHOW(SYS(prctl, PR_SET_TIMING, 1));
	SHOW(SYS(prctl, PR_TASK_PERF_EVENTS_DISABLE));
	SHOW(SYS(prctl, PR_CAPBSET_READ, 64));
	SHOW(SYS(prctl, PR_CAPBSET_DROP, 1));
	SHOW(SYS(prctl, PR_SET_SECUREBITS, 1));
	SHOW(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 1, 0, 0));
	SHOW(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 1, 0, 0));
	SHOW(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 64, 0, 0));
	SHOW(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	SHOW(SYS(prctl, PR_CAP_AMBIENT, 9, 0, 0, 0));
	SHOW(SYS(prctl, 123456));
}

struct attributes {
	unsigned int size, policy;
	unsigned long flags;
	int nice;
	unsigned int priority;
	unsigned long deadline[3];
	unsigned int clamp[2];
	unsigned long beyond;
};

static void show_attributes(void)
{
	struct attributes now = {0};

	SHOW(SYS(sched_getattr, 0, &now, 48, 0));
	say("size %u policy %u nice %d priority %u", now.size, now.policy, now.nice, now.priority);
}

CASE(attributes_of_scheduling, sched_getattr, sched_setattr)
{
	struct attributes new = {.size = 48, .policy = SCHED_BATCH, .nice = 3};

	show_attributes();
	SHOW(SYS(sched_setattr, 0, &new, 0));
	show_attributes();
	new.nice = 1;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	new.nice = 5;
	new.policy = SCHED_FIFO;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	new.priority = 1;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	new.policy = 77;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	new.policy = SCHED_OTHER;
	new.priority = 0;
	new.size = 47;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	SHOW(new.size >= 56);
	new.size = 8192;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	new.size = sizeof(new);
	new.beyond = 1;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	new.beyond = 0;
	new.size = 0;
	SHOW(SYS(sched_setattr, 0, &new, 0));
	show_attributes();
	SHOW(SYS(sched_setattr, 0, &new, 1));
	SHOW(SYS(sched_setattr, 0, NULL, 0));
	SHOW(SYS(sched_setattr, 0, NOWHERE, 0));
	SHOW(SYS(sched_setattr, 99999999, &new, 0));
	SHOW(SYS(sched_setattr, -1, &new, 0));
	SHOW(SYS(sched_getattr, 0, &new, 47, 0));
	SHOW(SYS(sched_getattr, 0, &new, 48, 1));
	SHOW(SYS(sched_getattr, 0, NULL, 48, 0));
	SHOW(SYS(sched_getattr, 0, NOWHERE, 48, 0));
	SHOW(SYS(sched_getattr, 99999999, &new, 48, 0));
}

CASE(atomic_time, clock_gettime, clock_getres)
{
	struct timespec now;

	SHOW(SYS(clock_gettime, CLOCK_TAI, &now));
	SHOW(now.tv_sec > 1500000000);
	SHOW(SYS(clock_getres, CLOCK_TAI, &now));
}
