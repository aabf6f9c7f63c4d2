/* SPDX-License-Identifier: MIT */
/*
 * The guest's vDSO: time from rdtsc and the clock page that the engine maps read-only in the page
 * before this image. Freestanding, position-independent, no data of its own, no relocations.
 * Whatever it cannot answer goes to the engine as a system call.
 */
#include <stdint.h>
#include <time.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include <mayfly/abi/call.h>

#define EXPORT     __attribute__((visibility("default")))
#define NS_PER_SEC 1000000000u

/* vdso.lds says where they lie. */
extern const struct mf_abi_clock mf_clock_page __attribute__((visibility("hidden")));
extern const struct mf_abi_clock_own mf_clock_own __attribute__((visibility("hidden")));

static long call2(long number, long a, const void *b)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(number), "D"(a), "S"(b)
			 : "rcx", "r11", "memory");
	return result;
}

/* lfence keeps rdtsc from being executed before what precedes it (SDM vol. 2, RDTSC). */
static inline uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high)::"memory");
	return (uint64_t)high << 32 | low;
}

/* The TSC of another CPU may stand a little before the base: then no time has passed. */
static uint64_t elapsed_ns(uint64_t base, uint64_t mult, uint32_t shift)
{
	int64_t ticks = (int64_t)(tsc() - base);

	if (ticks < 0)
		return 0;
	return (uint64_t)(((unsigned __int128)(uint64_t)ticks * mult) >> (shift & 63));
}

/* 0, or -1 while the engine has given no rate. */
static int read_clock(uint64_t *monotonic_ns, uint64_t *realtime_ns)
{
	const volatile struct mf_abi_clock *page = &mf_clock_page;
	const volatile uint64_t *behind = &mf_clock_own.behind_ns; /* stays while this VM runs */
	uint32_t sequence;

	do {
		/* Acquire: pairs with the engine's release store of the even number. */
		while ((sequence = __atomic_load_n(&page->sequence, __ATOMIC_ACQUIRE)) & 1)
			__builtin_ia32_pause();
		uint64_t mult = page->mult;
		uint64_t now = page->monotonic_ns;

		if (!mult)
			return -1;
		now += elapsed_ns(page->tsc_base, mult, page->shift);
		*monotonic_ns = now - *behind;
		*realtime_ns = now + (uint64_t)page->realtime_minus_monotonic_ns;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&page->sequence, __ATOMIC_RELAXED) != sequence);
	return 0;
}

enum kind { KIND_OTHER, KIND_REALTIME, KIND_MONOTONIC };

static enum kind kind_of(clockid_t clock)
{
	/* Comparisons, no switch: a jump table could want relocations. */
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		return KIND_REALTIME;
	if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE ||
	    clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_BOOTTIME)
		return KIND_MONOTONIC;
	return KIND_OTHER;
}

EXPORT int __vdso_clock_gettime(clockid_t clock, struct timespec *ts)
{
	enum kind kind = kind_of(clock);
	uint64_t monotonic, realtime;

	if (kind == KIND_OTHER || read_clock(&monotonic, &realtime) < 0)
		return (int)call2(SYS_clock_gettime, clock, ts);
	uint64_t ns = kind == KIND_REALTIME ? realtime : monotonic;

	ts->tv_sec = (time_t)(ns / NS_PER_SEC);
	ts->tv_nsec = (long)(ns % NS_PER_SEC);
	return 0;
}

EXPORT int __vdso_clock_getres(clockid_t clock, struct timespec *ts)
{
	if (kind_of(clock) == KIND_OTHER || !mf_clock_page.mult)
		return (int)call2(SYS_clock_getres, clock, ts);
	if (ts) {
		ts->tv_sec = 0;
		ts->tv_nsec = 1;
	}
	return 0;
}

EXPORT int __vdso_gettimeofday(struct timeval *tv, struct timezone *tz)
{
	uint64_t monotonic, realtime;

	if (read_clock(&monotonic, &realtime) < 0)
		return (int)call2(SYS_gettimeofday, (long)tv, tz);
	if (tv) {
		tv->tv_sec = (time_t)(realtime / NS_PER_SEC);
		tv->tv_usec = (suseconds_t)(realtime % NS_PER_SEC / 1000);
	}
	if (tz) {
		tz->tz_minuteswest = 0;
		tz->tz_dsttime = 0;
	}
	return 0;
}

EXPORT time_t __vdso_time(time_t *to)
{
	uint64_t monotonic, realtime;

	if (read_clock(&monotonic, &realtime) < 0)
		return call2(SYS_time, (long)to, 0);
	time_t now = (time_t)(realtime / NS_PER_SEC);

	if (to)
		*to = now;
	return now;
}
