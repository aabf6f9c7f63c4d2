/* SPDX-License-Identifier: MIT */
/*
 * The probes on this process: what they count is what the engine counts and what perf counts of the
 * same tracepoint, exactly; what they time is what the engine's own clock says; what they lose is
 * told.
 */
#include "tests/engine/harness.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/count.h"
#include "bpf/probes.h"
#include "engine/kvm/stats.h"

SNIPPET(answer_seven, "mov $7, %eax\n ret");
/* Both scratch pages: the reset has something to copy. */
SNIPPET(write_two, "movq $1, (%rsi)\n movq $2, 4096(%rsi)\n mov $7, %eax\n ret");

/* mmap(NULL, 1 MiB, ...), and a write to each of its pages. */
SNIPPET(write_many, "mov $9, %eax\n xor %edi, %edi\n mov $0x100000, %esi\n mov $3, %edx\n"
		    "mov $0x22, %r10d\n mov $-1, %r8\n xor %r9d, %r9d\n syscall\n"
		    "mov $256, %ecx\n 1: movl $1, (%rax)\n add $0x1000, %rax\n loop 1b\n"
		    "mov $7, %eax\n ret");

static struct lab lab;
static struct guest guest;
static struct mf_measured measured;

static struct mf_probes *open_probes(uint32_t threads_max)
{
	struct mf_probes_options options = {
		.pid = getpid(),
		.threads_max = threads_max,
		.files = {"/proc/self/exe"},
		.file_count = 1,
	};
	struct mf_probes *probes = NULL;
	struct mf_error err = {0};
	int ret = mf_probes_open(&probes, &options, &err);

	if (ret == -EPERM || ret == -ENOSYS)
		cr_skip_test("%s", err.text);
	if (ret)
		cr_assert_fail("%s", err.text);
	return probes;
}

static void read_probes(struct mf_probes *probes)
{
	size_t i;

	cr_assert_eq(mf_probes_read(probes, &measured), 0);
	for (i = 0; i < measured.notes.count; i++)
		if (!strstr(measured.notes.text[i], "as on software KVM"))
			cr_expect_fail("%s", measured.notes.text[i]);
	cr_expect(measured.runs && measured.outside && measured.resets && measured.sched);
}

static void ask(const void *code, size_t bytes)
{
	static uint8_t body[128];

	memcpy(body, code, bytes);
	cr_assert_eq(guest_run(&guest, body, bytes), 7u);
	guest_reset(&guest);
}

static void warm(void)
{
	unsigned int i;

	lab_open(&lab, "bare", NULL);
	guest_fork(&guest, &lab);
	for (i = 0; i < 50; i++)
		ask(write_two, SNIPPET_BYTES(write_two));
}

static uint64_t all_runs(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < MF_EXIT_CLASSES; i++)
		sum += measured.run[i].count;
	return sum;
}

/* Of one kind, whoever it was. */
static uint64_t count_of(enum mf_probe_kind kind)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < measured.series_count; i++)
		if (measured.series[i].key.kind == kind)
			sum += measured.series[i].hist.count;
	return sum;
}

static uint64_t sum_of(enum mf_probe_kind kind)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < measured.series_count; i++)
		if (measured.series[i].key.kind == kind)
			sum += measured.series[i].hist.sum_ns;
	return sum;
}

static void expect_nothing_lost(void)
{
	cr_expect_eq(measured.lost.records, 0u);
	cr_expect_eq(measured.lost.spans, 0u);
	cr_expect_eq(measured.lost.threads, 0u);
	cr_expect_eq(measured.lost.processes, 0u);
	cr_expect_eq(measured.lost.missed_runs, 0u);
}

Test(probes, count_what_the_engine_and_perf_count, .timeout = 1200)
{
	unsigned int requests = rounds(500, 10000, 1000000);
	struct bench_counter counter;
	struct mf_probes *probes;
	struct mf_abi_stats_lane *lane;
	uint64_t lane_exits;
	uint64_t exits;
	uint64_t resets;
	uint64_t copied;
	uint64_t traced;
	unsigned int i;

	warm();
	probes = open_probes(0);
	cr_assert(bench_counter_open(&counter, BENCH_EVENT_USER_EXITS, 0),
		  "perf cannot count kvm_userspace_exit");
	lane = mf_stats_mine;
	cr_assert_not_null(lane);
	exits = guest.process.vm.kvm.user_exits;
	resets = lane->resets;
	copied = lane->pages_copied;
	lane_exits = lane->user_exits[MF_EXIT_CLASS_IO];
	traced = bench_counter_read(&counter);
	for (i = 0; i < requests; i++)
		ask(write_two, SNIPPET_BYTES(write_two));
	traced = bench_counter_read(&counter) - traced;
	exits = guest.process.vm.kvm.user_exits - exits;
	read_probes(probes);
	printf("%u requests: %llu user exits by the probes, %llu by the engine, %llu by perf; %llu "
	       "resets by the probes\n",
	       requests, (unsigned long long)all_runs(), (unsigned long long)exits,
	       (unsigned long long)traced, (unsigned long long)measured.reset.count);
	cr_expect_eq(exits, requests);
	cr_expect_eq(traced, exits);
	cr_expect_eq(all_runs(), exits);
	cr_expect_eq(measured.run[MF_EXIT_CLASS_IO].count, exits);
	cr_expect_eq(measured.out[MF_EXIT_CLASS_IO].count, exits);
	cr_expect_eq(lane->user_exits[MF_EXIT_CLASS_IO] - lane_exits, exits);
	cr_expect_eq(measured.reset.count, requests);
	cr_expect_eq(lane->resets - resets, requests);
	cr_expect_eq(measured.pages_copied, lane->pages_copied - copied);
	cr_expect_eq(measured.resets_failed, 0u);
	expect_nothing_lost();
	bench_counter_close(&counter);
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a;
	const uint64_t *y = b;

	return (*x > *y) - (*x < *y);
}

/* Resets of a request that wrote to 256 pages, by this thread's clock: the median; `tail`, which
 * may be NULL, is p98 and p99. */
static uint64_t clock_resets(unsigned int count, uint64_t tail[2])
{
	static uint64_t times[2000];
	unsigned int i;

	for (i = 0; i < count; i++) {
		cr_assert_eq(guest_run(&guest, write_many, SNIPPET_BYTES(write_many)), 7u);
		times[i] = now_ns();
		cr_assert_eq(mf_vm_reset(&guest.process.vm), 0);
		times[i] = now_ns() - times[i];
	}
	qsort(times, count, sizeof(times[0]), compare);
	if (tail) {
		tail[0] = times[count * 98 / 100];
		tail[1] = times[count * 99 / 100];
	}
	return times[count / 2];
}

/* Clock and probes in turns, on the same VM: once the probes are there, the clock has their own
 * time in it as well, about a microsecond. */
Test(probes, time_resets_as_the_clock_does, .timeout = 120)
{
	unsigned int count = rounds(50, 2000, 2000);
	struct mf_probes *probes;
	uint64_t detached;
	uint64_t attached;
	uint64_t tail[2];
	uint64_t told;
	uint64_t told_p99;

	warm();
	clock_resets(count / 10, NULL);
	detached = clock_resets(count, NULL);
	probes = open_probes(0);
	attached = clock_resets(count, tail);
	read_probes(probes);
	told = mf_hist_percentile(&measured.reset, 0.5);
	told_p99 = mf_hist_percentile(&measured.reset, 0.99);
	printf("reset p50: %llu ns by the probes, %llu ns by the clock without them (%+.1f %%), "
	       "%llu ns with them (%+.1f %%)\n",
	       (unsigned long long)told, (unsigned long long)detached,
	       100.0 * ((double)told / (double)detached - 1), (unsigned long long)attached,
	       100.0 * ((double)told / (double)attached - 1));
	printf("reset p99: %llu ns by the probes, %llu ns by the clock with them\n",
	       (unsigned long long)told_p99, (unsigned long long)tail[1]);
	cr_expect_eq(measured.reset.count, count);
	if (!is_emulated()) {
		cr_expect_leq(told, attached + attached / 20);
		cr_expect_geq(told, attached - attached / 20);
		/* The same events, so no rank is told longer than the clock has it. The thread may
		 * lose its CPU between a probe and the clock, in less than one of a hundred. */
		cr_expect_leq(told_p99, tail[1] + tail[1] / 20);
		cr_expect_geq(told_p99, tail[0] - tail[0] / 20);
	}
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

/* kvm_entry and kvm_exit fire on hardware KVM alone, and then for every entry. */
Test(probes, the_parts_of_an_exit_add_up_to_it, .timeout = 120)
{
	unsigned int requests = 100;
	struct mf_measured_before before = {0};
	struct mf_probes *probes;
	unsigned int i;

	warm();
	probes = open_probes(0);
	for (i = 0; i < requests; i++)
		ask(write_two, SNIPPET_BYTES(write_two));
	read_probes(probes);
	cr_expect_eq(count_of(MF_PROBE_RUN), requests);
	cr_expect_eq(count_of(MF_PROBE_BEFORE), requests);
	cr_expect_eq(count_of(MF_PROBE_GUEST), requests);
	cr_expect_eq(count_of(MF_PROBE_AFTER), requests);
	cr_expect_eq(count_of(MF_PROBE_USER), requests - 1);
	cr_expect_eq(sum_of(MF_PROBE_BEFORE) + sum_of(MF_PROBE_GUEST) + sum_of(MF_PROBE_AFTER),
		     sum_of(MF_PROBE_RUN));
	cr_expect_eq(sum_of(MF_PROBE_BEFORE) + sum_of(MF_PROBE_AFTER), sum_of(MF_PROBE_OUTSIDE));
	cr_expect(count_of(MF_PROBE_INSIDE) == 0 || count_of(MF_PROBE_INSIDE) == requests);
	cr_expect_leq(sum_of(MF_PROBE_INSIDE), sum_of(MF_PROBE_GUEST));
	/* What came between two readings. */
	cr_assert_eq(mf_measured_since(&measured, &before), 0);
	cr_expect_eq(count_of(MF_PROBE_RUN), requests);
	for (i = 0; i < 3; i++)
		ask(write_two, SNIPPET_BYTES(write_two));
	read_probes(probes);
	cr_assert_eq(mf_measured_since(&measured, &before), 0);
	cr_expect_eq(count_of(MF_PROBE_RUN), 3u);
	cr_expect_eq(all_runs(), 3u);
	cr_expect_eq(measured.reset.count, 3u);
	read_probes(probes);
	cr_expect_eq(count_of(MF_PROBE_RUN), requests + 3u);
	expect_nothing_lost();
	mf_measured_before_finish(&before);
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

/* A guest that computes is not outside of itself. */
Test(probes, tell_the_guests_time_from_the_rest, .timeout = 120)
{
	static const uint8_t code[] = {0xb9, 0x00, 0x00, 0x10, 0x00, /* mov $0x100000, %ecx */
				       0xe2, 0xfe,                   /* loop to itself */
				       0xb8, 0x07, 0x00, 0x00, 0x00, 0xc3};
	unsigned int count = rounds(3, 20, 20);
	struct mf_probes *probes;
	uint64_t run;
	uint64_t out;
	unsigned int i;

	warm();
	probes = open_probes(0);
	for (i = 0; i < count; i++)
		ask(code, sizeof(code));
	read_probes(probes);
	run = mf_hist_percentile(&measured.run[MF_EXIT_CLASS_IO], 0.5);
	out = mf_hist_percentile(&measured.out[MF_EXIT_CLASS_IO], 0.5);
	printf("a million turns of a loop: %llu ns in KVM_RUN, %llu of them outside the guest\n",
	       (unsigned long long)run, (unsigned long long)out);
	cr_expect_eq(measured.run[MF_EXIT_CLASS_IO].count, count);
	cr_expect_lt(out, run / 2);
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

static void *run_in_a_thread(void *arg)
{
	unsigned int *times = arg;
	unsigned int i;

	for (i = 0; i < *times; i++)
		ask(answer_seven, SNIPPET_BYTES(answer_seven));
	return (void *)(intptr_t)gettid();
}

/* To its very end: one that is joined is about to be gone. */
static void end_of(pthread_t thread)
{
	char path[64];
	void *id;

	cr_assert_eq(pthread_join(thread, &id), 0);
	snprintf(path, sizeof(path), "/proc/self/task/%ld", (long)(intptr_t)id);
	while (!access(path, F_OK)) /* the test has a timeout */
		usleep(1000);
}

Test(probes, a_thread_without_room_is_told_as_lost, .timeout = 120)
{
	unsigned int times = 5;
	struct mf_probes *probes;
	pthread_t thread;

	warm();
	probes = open_probes(1);
	ask(answer_seven, SNIPPET_BYTES(answer_seven));
	cr_assert_eq(pthread_create(&thread, NULL, run_in_a_thread, &times), 0);
	pthread_join(thread, NULL);
	read_probes(probes);
	cr_expect_eq(all_runs(), 1u);
	cr_expect_eq(measured.reset.count, 1u);
	/* Each of its user exits and each of its resets. */
	cr_expect_eq(measured.lost.threads, 2u * times, "%llu lost",
		     (unsigned long long)measured.lost.threads);
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

/* One after another: the room of a thread that has ended is free again. */
Test(probes, threads_that_end_make_room, .timeout = 120)
{
	unsigned int times = 2;
	struct mf_probes *probes;
	unsigned int i;

	warm();
	probes = open_probes(1);
	for (i = 0; i < 8; i++) {
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, run_in_a_thread, &times), 0);
		end_of(thread);
	}
	read_probes(probes);
	cr_expect_eq(all_runs(), 16u);
	cr_expect_eq(measured.reset.count, 16u);
	expect_nothing_lost();
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

Test(probes, other_processes_are_not_counted, .timeout = 120)
{
	struct mf_probes_options options = {.pid = getppid()};
	struct mf_probes *probes = open_probes(0); /* skips where it cannot be */
	struct mf_error err = {0};

	mf_probes_close(probes);
	warm();
	cr_assert_eq(mf_probes_open(&probes, &options, &err), 0, "%s", err.text);
	ask(answer_seven, SNIPPET_BYTES(answer_seven));
	cr_assert_eq(mf_probes_read(probes, &measured), 0);
	cr_expect_eq(all_runs(), 0u);
	cr_expect_not(measured.resets, "there was no file with probes to attach to");
	cr_expect_eq(measured.notes.count, 1u);
	mf_probes_close(probes);
	guest_finish(&guest);
	lab_close(&lab);
}

static void *count_in_a_thread(void *arg)
{
	MF_STATS_ADD(reserved[0], 1);
	return mf_stats_mine;
}

/* More threads than lanes, at a time and one after another: no increment is lost. */
Test(counters, more_threads_than_lanes_lose_nothing)
{
	struct mf_abi_stats_lane *first = mf_stats_shared - (MF_STATS_LANES - 1);
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < 1000; i++) {
		pthread_t threads[3];
		unsigned int k;

		for (k = 0; k < 3; k++)
			cr_assert_eq(pthread_create(&threads[k], NULL, count_in_a_thread, NULL), 0);
		for (k = 0; k < 3; k++)
			pthread_join(threads[k], NULL);
	}
	for (i = 0; i < MF_STATS_LANES; i++)
		sum += first[i].reserved[0];
	cr_expect_eq(sum, 3000u);
	cr_expect_eq(first[MF_STATS_LANES - 1].reserved[0], 0u, "lanes were not given back");
}
