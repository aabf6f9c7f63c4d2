/* SPDX-License-Identifier: MIT */
/*
 * Three sources count the user exits of warm requests and must agree: the engine's returns of
 * KVM_RUN, the kernel's kvm_userspace_exit tracepoint, and KVM's own statistics (exits less those
 * of interrupts; a warm request has no other exit inside the kernel).
 */
#include "tests/engine/harness.h"

#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The answer is the first word of the request's body behind the code: nothing is written. */
SNIPPET(answer_seven, "mov $7, %eax\n ret");

static int read_id(void)
{
	FILE *file = fopen("/sys/kernel/tracing/events/kvm/kvm_userspace_exit/id", "r");
	int id = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &id) != 1)
		id = -1;
	fclose(file);
	return id;
}

/* A counter of the tracepoint in this thread, or -1 with a reason printed. */
static int open_tracepoint(void)
{
	struct perf_event_attr attr = {.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr)};
	int id = read_id();
	int fd;

	if (id < 0 && !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	    !mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL))
		id = read_id();
	attr.config = (uint64_t)id;
	fd = id < 0 ? -1 : (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
	if (fd < 0)
		printf("not measured here: the kvm_userspace_exit tracepoint cannot be counted "
		       "(tracefs and root are needed)\n");
	return fd;
}

static uint64_t read_count(int fd)
{
	uint64_t count = 0;

	if (fd >= 0)
		cr_assert_eq(read(fd, &count, sizeof(count)), (ssize_t)sizeof(count));
	return count;
}

static uint64_t kernel_exits(const struct guest *guest)
{
	const struct mf_kvm *kvm = &guest->lab->kvm;
	const struct mf_kvm_vm *vm = &guest->process.vm.kvm;

	return mf_kvm_vm_stat(vm, kvm->stat_exits) - mf_kvm_vm_stat(vm, kvm->stat_irq_exits);
}

static long minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

/* A request of `bytes` that is served and put back; fails unless it is one exit and no fault. */
static void ask_warm(struct guest *guest, size_t bytes)
{
	static uint8_t body[4096];

	memcpy(body, answer_seven, SNIPPET_BYTES(answer_seven));
	cr_assert_eq(guest_run(guest, body, bytes), 7u);
	cr_assert_eq(guest->user_exits, 1u, "%llu user exits",
		     (unsigned long long)guest->user_exits);
	guest_reset(guest);
}

Test(exits, three_sources_count_the_same, .timeout = 120)
{
	unsigned int requests = rounds(200, 2000, 10000);
	struct lab lab;
	struct guest guest;
	uint64_t engine;
	uint64_t kernel;
	uint64_t traced;
	uint64_t faults = 0;
	unsigned int i;
	long minor;
	int trace;

	lab_open(&lab, "bare", NULL);
	guest_fork(&guest, &lab);
	for (i = 0; i < 32; i++)
		ask_warm(&guest, 16 + i * 100);
	trace = open_tracepoint();
	engine = guest.process.vm.kvm.user_exits;
	kernel = kernel_exits(&guest);
	traced = read_count(trace);
	minor = minor_faults();
	for (i = 0; i < requests; i++) {
		ask_warm(&guest, 16 + i * 37 % 3200);
		faults += guest.faults;
		cr_assert_eq(guest.faults, 0u, "request %u met %llu faults", i,
			     (unsigned long long)guest.faults);
	}
	minor = minor_faults() - minor;
	engine = guest.process.vm.kvm.user_exits - engine;
	kernel = kernel_exits(&guest) - kernel;
	traced = read_count(trace) - traced;
	printf("%u requests: %llu user exits by the engine, %llu by the tracepoint%s, %llu by "
	       "KVM's statistics; %llu guest faults, %ld minor faults\n",
	       requests, (unsigned long long)engine, (unsigned long long)traced,
	       trace < 0 ? " (none)" : "", (unsigned long long)kernel, (unsigned long long)faults,
	       minor);
	cr_expect_eq(engine, requests);
#if !defined(__SANITIZE_ADDRESS__) /* its own bookkeeping faults */
	cr_expect_eq(minor, 0);
#endif
	if (trace >= 0)
		cr_expect_eq(traced, engine);
	if (lab.kvm.traits.binary_stats)
		cr_expect_eq(kernel, engine);
	guest_finish(&guest);
	lab_close(&lab);
}
