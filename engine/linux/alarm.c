/* SPDX-License-Identifier: MIT */
#include "engine/linux/alarm.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#define SECOND_NS 1000000000ull
#define NEVER     UINT64_MAX
#define LONGEST_S (INT64_MAX / (int64_t)SECOND_NS) /* Linux' KTIME_SEC_MAX */

static const struct mf_alarm *alarm_at(const struct mf_process *process, uint32_t i)
{
	return &mf_linux(process)->alarms[i];
}

static struct mf_alarm *alarm_rw(struct mf_process *process, uint32_t i)
{
	return &MF_DIRTY(process, alarms[i]);
}

static bool is_cpu_clock(int32_t clock)
{
	return clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID;
}

/* What its clock says now. */
static uint64_t now_of(const struct mf_process *process, const struct mf_alarm *alarm)
{
	return is_cpu_clock(alarm->clock) ? mf_cpu_ns(process)
					  : mf_vm_clock_ns(&process->vm, alarm->clock);
}

static void arm(struct mf_process *process, uint32_t i, uint64_t expires_ns)
{
	uint64_t bit = 1ull << (i % 64);

	alarm_rw(process, i)->expires_ns = expires_ns;
	if (expires_ns == NEVER)
		MF_DIRTY(process, alarms_armed[i / 64]) &= ~bit;
	else
		MF_DIRTY(process, alarms_armed[i / 64]) |= bit;
}

static bool any_armed(const struct mf_linux *lx)
{
	uint32_t word;

	for (word = 0; word < MF_ALARMS / 64; word++) {
		if (lx->alarms_armed[word])
			return true;
	}
	return false;
}

/* The next that is armed, from i on; MF_ALARMS: none. */
static uint32_t next_armed(const struct mf_linux *lx, uint32_t i)
{
	for (; i < MF_ALARMS; i++) {
		uint64_t bits = lx->alarms_armed[i / 64] >> (i % 64);

		if (bits)
			return i + (uint32_t)__builtin_ctzll(bits);
		i |= 63;
	}
	return MF_ALARMS;
}

/* How often it has run out by now; it goes on to the next time. */
static uint64_t count(struct mf_process *process, uint32_t i)
{
	const struct mf_alarm *alarm = alarm_at(process, i);
	uint64_t now = now_of(process, alarm);
	uint64_t times = 1;

	if (alarm->expires_ns == NEVER || now < alarm->expires_ns)
		return 0;
	if (alarm->interval_ns)
		times += (now - alarm->expires_ns) / alarm->interval_ns;
	arm(process, i,
	    alarm->interval_ns ? alarm->expires_ns + times * alarm->interval_ns : NEVER);
	return times;
}

static int32_t add_overruns(int32_t overrun, uint64_t times)
{
	return times < (uint64_t)(INT32_MAX - overrun) ? overrun + (int32_t)times : INT32_MAX;
}

/* The thread that it is for; MF_TO_PROCESS: any. False: it is no more. */
static bool target(const struct mf_process *process, const struct mf_alarm *alarm, uint32_t *thread)
{
	const struct mf_thread *one;

	*thread = MF_TO_PROCESS;
	if (!alarm->tid)
		return true;
	*thread = alarm->thread % MF_THREADS;
	one = &mf_linux(process)->threads[*thread];
	return one->state != MF_THREAD_FREE && one->tid == alarm->tid;
}

static int64_t send_interval(struct mf_process *process, uint32_t i)
{
	static const int signals[MF_ALARM_CREATED] = {SIGALRM, SIGVTALRM, SIGPROF};
	struct mf_siginfo info = {.signo = signals[i], .code = SI_KERNEL};
	int64_t ret = mf_signal_send(process, MF_TO_PROCESS, &info);

	/* Linux starts it anew when the signal is taken: one that is ignored was the last
	 * (kernel/time/itimer.c, it_real_fn). */
	if (i == MF_ALARM_REAL && !(mf_linux(process)->sigpending & MF_SIGBIT(SIGALRM)))
		arm(process, i, NEVER);
	return ret;
}

static int64_t send(struct mf_process *process, uint32_t i, uint64_t times)
{
	const struct mf_alarm *alarm = alarm_at(process, i);
	struct mf_siginfo info = {.signo = alarm->signo, .code = SI_TIMER};
	uint32_t thread;

	if (i < MF_ALARM_CREATED)
		return send_interval(process, i);
	if (alarm->notify == SIGEV_NONE || !target(process, alarm, &thread))
		return 0;
	if (mf_signal_has_timer(process, i)) {
		alarm_rw(process, i)->overrun = add_overruns(alarm->overrun, times);
		return 0;
	}
	alarm_rw(process, i)->overrun = add_overruns(0, times - 1);
	info.timer.id = (int32_t)(i - MF_ALARM_CREATED);
	info.timer.value = alarm->value;
	return mf_signal_send_timer(process, thread, &info, i);
}

void mf_alarm_taken(struct mf_process *process, uint32_t i, struct mf_siginfo *info)
{
	struct mf_alarm *alarm = alarm_rw(process, i % MF_ALARMS);

	info->timer.overrun = alarm->overrun;
	alarm->overrun_last = alarm->overrun;
	alarm->overrun = 0;
}

/* What it may use at most, counted as cpu_used() does; NEVER: any amount. */
static uint64_t cpu_end(const struct mf_process *process)
{
	uint64_t own = mf_linux(process)->cpu_hard_ns;
	uint64_t given = process->policy->cpu_limit_ns;

	if (!given || (own && own < given))
		given = own;
	return given ? given : NEVER;
}

static uint64_t cpu_used(const struct mf_process *process)
{
	uint64_t now = mf_cpu_ns(process);

	return now > process->cpu_from_ns ? now - process->cpu_from_ns : 0;
}

/* SIGKILL at the hard limit, SIGXCPU in every second from the soft one on (setrlimit(2)). */
static bool check_cpu(struct mf_process *process)
{
	uint64_t soft = mf_linux(process)->cpu_soft_ns;
	uint64_t end = cpu_end(process);
	uint64_t used;

	if (!soft && end == NEVER)
		return true;
	used = cpu_used(process);
	if (used >= end) {
		process->out_of_cpu = true;
		mf_signal_send(process, MF_TO_PROCESS, &(struct mf_siginfo){.signo = SIGKILL});
		return false;
	}
	if (!soft || used < soft)
		return true;
	MF_DIRTY(process, cpu_soft_ns) = soft + SECOND_NS;
	return mf_signal_send(process, MF_TO_PROCESS,
			      &(struct mf_siginfo){.signo = SIGXCPU, .code = SI_KERNEL}) !=
	       MF_SYS_EXIT;
}

/* When check_cpu() has something to do, as the time that waiting goes by. */
static uint64_t next_of_cpu(const struct mf_process *process)
{
	uint64_t soft = mf_linux(process)->cpu_soft_ns;
	uint64_t end = cpu_end(process);
	uint64_t used;

	end = soft && soft < end ? soft : end;
	if (end == NEVER)
		return MF_FOREVER;
	used = cpu_used(process);
	return mf_vm_now_ns(&process->vm) + (end > used ? end - used : 0);
}

static uint64_t to_seconds(uint64_t ns)
{
	return ns ? (ns + SECOND_NS - 1) / SECOND_NS : RLIM_INFINITY;
}

void mf_alarm_cpu_limit(const struct mf_process *process, struct rlimit *limit)
{
	uint64_t end = cpu_end(process);
	uint64_t soft = mf_linux(process)->cpu_soft_ns;

	limit->rlim_max = to_seconds(end == NEVER ? 0 : end);
	limit->rlim_cur = soft ? to_seconds(soft) : limit->rlim_max;
}

int mf_alarm_set_cpu_limit(struct mf_process *process, const struct rlimit *limit)
{
	uint64_t longest = UINT64_MAX / SECOND_NS / 4;
	struct rlimit now;

	mf_alarm_cpu_limit(process, &now);
	if (limit->rlim_cur > limit->rlim_max)
		return -EINVAL;
	if (limit->rlim_max > now.rlim_max)
		return -EPERM;
	if (limit->rlim_max != now.rlim_max)
		MF_DIRTY(process, cpu_hard_ns) =
			(limit->rlim_max < longest ? limit->rlim_max | !limit->rlim_max : longest) *
			SECOND_NS;
	/* A limit of 0 is taken for 1 (kernel/sys.c). */
	MF_DIRTY(process, cpu_soft_ns) =
		limit->rlim_cur >= longest || limit->rlim_cur == limit->rlim_max
			? 0
			: (limit->rlim_cur | !limit->rlim_cur) * SECOND_NS;
	return 0;
}

bool mf_alarm_expire(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	if (!check_cpu(process))
		return false;
	if (!any_armed(lx))
		return true;
	for (i = next_armed(lx, 0); i < MF_ALARMS; i = next_armed(lx, i + 1)) {
		uint64_t times = count(process, i);

		if (times && send(process, i, times) == MF_SYS_EXIT)
			return false;
	}
	return true;
}

uint64_t mf_alarm_next_ns(const struct mf_process *process, bool runs)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t next = runs ? next_of_cpu(process) : MF_FOREVER;
	uint64_t from;
	uint32_t i;

	if (!any_armed(lx))
		return next;
	from = mf_vm_now_ns(&process->vm);
	for (i = next_armed(lx, 0); i < MF_ALARMS; i = next_armed(lx, i + 1)) {
		const struct mf_alarm *alarm = alarm_at(process, i);
		uint64_t now = now_of(process, alarm);
		uint64_t left = alarm->expires_ns > now ? alarm->expires_ns - now : 0;

		if (is_cpu_clock(alarm->clock) && !runs)
			continue;
		if (left < next - from)
			next = from + left;
	}
	return next;
}

static int to_ns(int64_t seconds, int64_t parts, int64_t parts_max, uint64_t *ns)
{
	if (seconds < 0 || parts < 0 || parts >= parts_max)
		return -EINVAL;
	*ns = seconds >= LONGEST_S ? (uint64_t)INT64_MAX
				   : (uint64_t)seconds * SECOND_NS +
					     (uint64_t)parts * (SECOND_NS / (uint64_t)parts_max);
	return 0;
}

/* What is left of it; 0: it does not run. One that runs has something left. */
static uint64_t left_of(struct mf_process *process, uint32_t i, uint64_t least_ns)
{
	const struct mf_alarm *alarm = alarm_at(process, i);
	uint64_t now;

	if (alarm->notify == SIGEV_NONE)
		count(process, i);
	if (alarm->expires_ns == NEVER)
		return 0;
	now = now_of(process, alarm);
	return alarm->expires_ns > now + least_ns ? alarm->expires_ns - now : least_ns;
}

static void start(struct mf_process *process, uint32_t i, uint64_t value_ns, uint64_t interval_ns,
		  bool absolute)
{
	uint64_t from = absolute ? 0 : now_of(process, alarm_at(process, i));

	mf_signal_forget_timer(process, i);
	alarm_rw(process, i)->interval_ns = interval_ns;
	alarm_rw(process, i)->overrun = 0;
	arm(process, i,
	    !value_ns                     ? NEVER
	    : value_ns < NEVER - 1 - from ? from + value_ns
					  : NEVER - 1);
}

static int read_pair(struct mf_process *process, uint64_t va, int64_t parts_max, uint64_t *value_ns,
		     uint64_t *interval_ns)
{
	int64_t spans[4]; /* interval, value: struct itimerval, struct itimerspec */
	int ret;

	if (mf_pt_read(&process->vm.mem, MF_GVA(va), spans, sizeof(spans)))
		return -EFAULT;
	ret = to_ns(spans[0], spans[1], parts_max, interval_ns);
	return ret ? ret : to_ns(spans[2], spans[3], parts_max, value_ns);
}

static int write_pair(struct mf_process *process, uint64_t va, uint64_t parts_max,
		      uint64_t value_ns, uint64_t interval_ns)
{
	uint64_t unit = SECOND_NS / parts_max;
	uint64_t spans[4] = {interval_ns / SECOND_NS, interval_ns % SECOND_NS / unit,
			     value_ns / SECOND_NS, value_ns % SECOND_NS / unit};

	return mf_pt_write(&process->vm.mem, MF_GVA(va), spans, sizeof(spans));
}

/* An interval timer has a clock from its first use on. */
static void give_clock(struct mf_process *process, uint32_t i)
{
	if (alarm_at(process, i)->used)
		return;
	*alarm_rw(process, i) = (struct mf_alarm){
		.used = 1,
		.notify = SIGEV_SIGNAL,
		.clock = i == MF_ALARM_REAL ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID,
		.expires_ns = NEVER,
	};
}

int64_t mf_sys_setitimer(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t value_ns = 0, interval_ns = 0, left_ns, old_ns;
	uint32_t i = (uint32_t)arg[0];
	int ret = arg[1] ? read_pair(process, arg[1], 1000000, &value_ns, &interval_ns) : 0;

	if (!ret && i >= MF_ALARM_CREATED)
		ret = -EINVAL;
	if (ret)
		return ret;
	give_clock(process, i);
	left_ns = left_of(process, i, 1000);
	old_ns = alarm_at(process, i)->interval_ns;
	start(process, i, value_ns, value_ns ? interval_ns : 0, false);
	return arg[2] ? write_pair(process, arg[2], 1000000, left_ns, old_ns) : 0;
}

int64_t mf_sys_getitimer(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t i = (uint32_t)arg[0];

	if (i >= MF_ALARM_CREATED)
		return -EINVAL;
	give_clock(process, i);
	return write_pair(process, arg[1], 1000000, left_of(process, i, 1000),
			  alarm_at(process, i)->interval_ns);
}

int64_t mf_sys_alarm(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t left_ns, seconds;

	give_clock(process, MF_ALARM_REAL);
	left_ns = left_of(process, MF_ALARM_REAL, 1000);
	seconds = left_ns / SECOND_NS;
	/* Rounded, but never 0 for one that runs (kernel/time/itimer.c, alarm_setitimer). */
	if ((left_ns && !seconds) || left_ns % SECOND_NS >= SECOND_NS / 2)
		seconds++;
	start(process, MF_ALARM_REAL, (uint32_t)arg[0] * SECOND_NS, 0, false);
	return (int64_t)seconds;
}

/* struct sigevent as the kernel reads it. */
struct event {
	uint64_t value;
	int32_t signo;
	int32_t notify;
	int32_t tid;
	int32_t padding[11];
};
_Static_assert(sizeof(struct event) == 64, "struct sigevent");

static int check_clock(int32_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_MONOTONIC:
	case CLOCK_BOOTTIME:
	case CLOCK_TAI:
	case CLOCK_PROCESS_CPUTIME_ID:
	case CLOCK_THREAD_CPUTIME_ID:
		return 0;
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_MONOTONIC_COARSE:
		return -EOPNOTSUPP;
	case CLOCK_REALTIME_ALARM:
	case CLOCK_BOOTTIME_ALARM:
		return -EPERM;
	default:
		return -EINVAL;
	}
}

/* Who is told, and how: kernel/time/posix-timers.c, good_sigevent(). */
static int check_event(const struct mf_process *process, const struct event *event,
		       struct mf_alarm *alarm)
{
	uint32_t thread = 0;

	alarm->notify = (uint8_t)event->notify;
	alarm->signo = event->signo;
	alarm->value = event->value;
	switch (event->notify) {
	case SIGEV_SIGNAL | SIGEV_THREAD_ID:
		thread = mf_signal_find_thread(process, event->tid);
		if (thread == MF_TO_PROCESS)
			return -EINVAL;
		alarm->thread = (uint16_t)thread;
		alarm->tid = (uint32_t)event->tid;
		/* fall through */
	case SIGEV_SIGNAL:
	case SIGEV_THREAD:
		return event->signo <= 0 || event->signo >= (int)MF_SIGNALS ? -EINVAL : 0;
	case SIGEV_NONE:
		return 0;
	default:
		return -EINVAL;
	}
}

bool mf_alarm_is_sound(const struct mf_alarm *alarm, bool interval)
{
	bool has_signal = interval || alarm->notify == SIGEV_NONE ||
			  (alarm->signo > 0 && alarm->signo < (int)MF_SIGNALS);

	return has_signal && !check_clock(alarm->clock) && alarm->thread < MF_THREADS &&
	       alarm->overrun >= 0 && alarm->overrun_last >= 0;
}

static uint32_t free_alarm(const struct mf_process *process)
{
	uint32_t i = MF_ALARM_CREATED;

	while (i < MF_ALARMS && alarm_at(process, i)->used)
		i++;
	return i;
}

int64_t mf_sys_timer_create(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_alarm alarm = {.used = 1, .clock = (int32_t)arg[0], .expires_ns = NEVER};
	uint32_t i = free_alarm(process);
	int32_t id = (int32_t)(i - MF_ALARM_CREATED);
	struct event event = {.value = (uint32_t)id, .signo = SIGALRM, .notify = SIGEV_SIGNAL};
	int ret;

	if (arg[1] && mf_pt_read(&process->vm.mem, MF_GVA(arg[1]), &event, sizeof(event)))
		return -EFAULT;
	ret = check_clock(alarm.clock);
	if (!ret && i >= MF_ALARMS)
		ret = -EAGAIN;
	if (!ret)
		ret = check_event(process, &event, &alarm);
	if (!ret)
		ret = mf_pt_write(&process->vm.mem, MF_GVA(arg[2]), &id, sizeof(id));
	if (ret)
		return ret;
	*alarm_rw(process, i) = alarm;
	return 0;
}

/* The index of a timer; MF_ALARMS: there is none of that id. */
static uint32_t find(const struct mf_process *process, uint64_t id)
{
	uint32_t i = (uint32_t)id + MF_ALARM_CREATED;

	return (uint32_t)id < MF_ALARMS - MF_ALARM_CREATED && alarm_at(process, i)->used
		       ? i
		       : MF_ALARMS;
}

int64_t mf_sys_timer_settime(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t value_ns, interval_ns, left_ns, old_ns;
	uint32_t i = find(process, arg[0]);
	int ret;

	if (!arg[2])
		return -EINVAL;
	ret = read_pair(process, arg[2], SECOND_NS, &value_ns, &interval_ns);
	if (!ret && i == MF_ALARMS)
		ret = -EINVAL;
	if (ret)
		return ret;
	left_ns = left_of(process, i, 1);
	old_ns = alarm_at(process, i)->interval_ns;
	start(process, i, value_ns, value_ns ? interval_ns : 0, arg[1] & TIMER_ABSTIME);
	return arg[3] ? write_pair(process, arg[3], SECOND_NS, left_ns, old_ns) : 0;
}

int64_t mf_sys_timer_gettime(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t i = find(process, arg[0]);

	if (i == MF_ALARMS)
		return -EINVAL;
	return write_pair(process, arg[1], SECOND_NS, left_of(process, i, 1),
			  alarm_at(process, i)->interval_ns);
}

int64_t mf_sys_timer_getoverrun(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t i = find(process, arg[0]);

	return i == MF_ALARMS ? -EINVAL : alarm_at(process, i)->overrun_last;
}

int64_t mf_sys_timer_delete(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t i = find(process, arg[0]);

	if (i == MF_ALARMS)
		return -EINVAL;
	mf_signal_forget_timer(process, i);
	arm(process, i, NEVER);
	*alarm_rw(process, i) = (struct mf_alarm){0};
	return 0;
}
