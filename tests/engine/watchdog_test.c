/* SPDX-License-Identifier: MIT */
/*
 * The watchdog ends what is due in time, and lets alone what has no limit: each look of its thread
 * takes a CPU from somebody who computes.
 */
#include "tests/engine/harness.h"

#include "engine/image/watchdog.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

SNIPPET(loop, "1: jmp 1b");
SNIPPET(nothing, "xor %eax, %eax; ret");

#define MS 1000000ull

static struct lab lab;
static struct guest guest;
static struct mf_watchdog *dog;
static struct mf_watch *watch;

static void start(void)
{
	struct mf_error err = {0};

	lab_open(&lab, "bare", NULL);
	guest_fork(&guest, &lab);
	cr_assert_eq(mf_watchdog_create(&dog, 1, &err), 0, "%s", err.text);
	watch = mf_watchdog_worker(dog, 0);
}

static void stop(void)
{
	mf_watchdog_destroy(dog);
	guest_finish(&guest);
	lab_close(&lab);
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What a request under limits took: by the clock, and what it computed meanwhile: on a busy machine
 * that is less, and what it is late by is the watchdog's. */
struct took {
	uint64_t ns, cpu_ns;
};

static struct took spin(const struct mf_watch_limits *limits, uint32_t kick)
{
	struct took took = {.cpu_ns = cpu_ns()};
	uint64_t begin = mf_now_ns();

	guest_deliver(&guest, "/", loop, SNIPPET_BYTES(loop));
	mf_watch_enter(watch, &guest.process.vm, limits);
	mf_process_run(&guest.process, &guest.exit);
	mf_watch_leave(watch);
	took.ns = mf_now_ns() - begin;
	took.cpu_ns = cpu_ns() - took.cpu_ns;
	cr_assert_eq(guest.exit.kind, MF_EXIT_KICKED, "kind %d", guest.exit.kind);
	cr_assert_eq(guest.exit.kicks, kick, "%x", guest.exit.kicks);
	guest_reset(&guest);
	return took;
}

Test(watchdog, deadline_holds_near_and_far, .timeout = 60)
{
	static const uint64_t ms[] = {1, 10, 30, 100, 700};
	size_t i;

	start();
	for (i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
		struct mf_watch_limits limits = {.deadline_ns = mf_now_ns() + ms[i] * MS};
		struct took took = spin(&limits, MF_KICK_DEADLINE);

		cr_expect_geq(took.ns, ms[i] * MS - MS);
		cr_expect_lt(took.cpu_ns, ms[i] * MS + 500 * MS, "%lu ms",
			     (unsigned long)(took.cpu_ns / MS));
	}
	stop();
}

/* It has gone to sleep for long, over a run without limits; then comes one that has. */
Test(watchdog, limit_that_comes_while_it_sleeps_holds, .timeout = 60)
{
	static const struct mf_watch_limits none;
	int round;

	start();
	for (round = 0; round < 5; round++) {
		struct mf_watch_limits limits = {.slice_ns = 4 * MS};
		struct took took;

		guest_deliver(&guest, "/", nothing, SNIPPET_BYTES(nothing));
		mf_watch_enter(watch, &guest.process.vm, &none);
		mf_process_run(&guest.process, &guest.exit);
		usleep(60000 * (unsigned int)round);
		mf_watch_leave(watch);
		guest_reset(&guest);
		took = spin(&limits, MF_KICK_SLICE);
		cr_expect_lt(took.cpu_ns, 300 * MS, "%lu ms", (unsigned long)(took.cpu_ns / MS));
	}
	stop();
}

/* Voluntary context switches of all threads but this one. */
static long others_slept(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;
	long sum = 0;

	cr_assert_not_null(folder);
	while ((entry = readdir(folder))) {
		char path[300];
		char line[128];
		FILE *file;
		long count;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = entry->d_name[0] == '.' || atoi(entry->d_name) == gettid()
			       ? NULL
			       : fopen(path, "re");
		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, "voluntary_ctxt_switches: %ld", &count) == 1)
				sum += count;
		if (file)
			fclose(file);
	}
	closedir(folder);
	return sum;
}

Test(watchdog, program_without_limits_is_left_alone, .timeout = 60)
{
	struct mf_watch_limits limits = {.deadline_ns = mf_now_ns() + 3600000 * MS};
	long before;

	start();
	guest_deliver(&guest, "/", loop, SNIPPET_BYTES(loop));
	mf_watch_enter(watch, &guest.process.vm, &limits);
	usleep(50000);
	before = others_slept();
	watch_vm(&guest.process.vm, 1000000);
	mf_process_run(&guest.process, &guest.exit);
	watch_vm(NULL, 0);
	cr_expect_leq(others_slept() - before, 6, "%ld looks in a second", others_slept() - before);
	mf_watch_leave(watch);
	stop();
}

#define DRAINS 200u

static unsigned int asked, kicked;

/* Kicks once for each time it is asked, a little later each time. */
static void *kick_when_asked(void *arg)
{
	unsigned int i;

	for (i = 1; i <= DRAINS; i++) {
		uint64_t until;

		while (__atomic_load_n(&asked, __ATOMIC_ACQUIRE) != i)
			sched_yield();
		until = mf_now_ns() + i % 50 * 1000;
		while (mf_now_ns() < until)
			;
		mf_vm_kick(&guest.process.vm, MF_KICK_SLICE);
		__atomic_store_n(&kicked, i, __ATOMIC_RELEASE);
	}
	return arg;
}

/* One that comes while KVM finishes an instruction, and one from before. */
Test(watchdog, no_kick_is_lost_in_a_drain, .timeout = 60)
{
	struct mf_vm *vm = &guest.process.vm;
	pthread_t kicker;
	unsigned int i;

	start();
	mf_vm_kick(vm, MF_KICK_SLICE);
	cr_assert_eq(mf_vm_drain(vm), 0);
	cr_expect_eq(vm->kvm.run->immediate_exit, 1, "a kick from before");
	cr_assert_eq(pthread_create(&kicker, NULL, kick_when_asked, NULL), 0);
	for (i = 1; i <= DRAINS; i++) {
		mf_vm_take_kicks(vm);
		__atomic_store_n(&asked, i, __ATOMIC_RELEASE);
		cr_assert_eq(mf_vm_drain(vm), 0);
		while (__atomic_load_n(&kicked, __ATOMIC_ACQUIRE) != i)
			sched_yield();
		cr_expect_eq(vm->kvm.run->immediate_exit, 1, "kick %u", i);
	}
	pthread_join(kicker, NULL);
	cr_expect_eq(mf_vm_take_kicks(vm), MF_KICK_SLICE);
	mf_vm_drain(vm);
	cr_expect_eq(vm->kvm.run->immediate_exit, 0, "none from nowhere");
	stop();
}
