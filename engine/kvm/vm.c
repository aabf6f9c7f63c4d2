/* SPDX-License-Identifier: MIT */
#include "engine/kvm/kvm.h"
#include "engine/kvm/stats.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SYNC_REGS (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

const unsigned long mf_kvm_ioctls[] = {
	KVM_CREATE_VM,
	KVM_CHECK_EXTENSION,
	KVM_CREATE_VCPU,
	KVM_SET_USER_MEMORY_REGION,
	KVM_RUN,
	KVM_GET_REGS,
	KVM_GET_SREGS,
	KVM_GET_XSAVE,
	KVM_SET_XSAVE,
	KVM_SET_XCRS,
	KVM_GET_DEBUGREGS,
	KVM_SET_DEBUGREGS,
	KVM_GET_VCPU_EVENTS,
	KVM_SET_MSRS,
	KVM_SET_CPUID2,
	KVM_GET_STATS_FD,
	KVM_SET_DEVICE_ATTR,
	KVM_X86_SET_MSR_FILTER,
};
const size_t mf_kvm_ioctls_count = sizeof(mf_kvm_ioctls) / sizeof(mf_kvm_ioctls[0]);

static int vcpu_ioctl(const struct mf_kvm_vm *vm, unsigned long request, const void *arg)
{
	return ioctl(vm->vcpu_fd, request, arg) < 0 ? -errno : 0;
}

/* Default deny: with one range whose bitmap allows nothing (an empty filter is refused). */
static int deny_msrs(int fd)
{
	static __u8 nothing[8];
	struct kvm_msr_filter filter = {.flags = KVM_MSR_FILTER_DEFAULT_DENY};

	filter.ranges[0] = (struct kvm_msr_filter_range){
		.flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
		.nmsrs = 8,
		.base = 0x40000000,
		.bitmap = nothing,
	};
	return ioctl(fd, KVM_X86_SET_MSR_FILTER, &filter) < 0 ? -errno : 0;
}

/* Guests see the host's time-stamp counter. Documentation/virt/kvm/devices/vcpu.rst, 4.1. */
static int zero_tsc_offset(struct mf_kvm_vm *vm)
{
	uint64_t zero = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uint64_t)(uintptr_t)&zero,
	};

	return vcpu_ioctl(vm, KVM_SET_DEVICE_ATTR, &attr);
}

static int setup_vcpu(struct mf_kvm_vm *vm)
{
	const struct mf_traits *traits = &vm->kvm->traits;
	struct kvm_xcrs xcrs = {.nr_xcrs = 1};
	int ret;

	ret = vcpu_ioctl(vm, KVM_SET_CPUID2, vm->kvm->cpuid);
	if (ret)
		return ret;
	xcrs.xcrs[0].value = traits->xcr0;
	ret = vcpu_ioctl(vm, KVM_SET_XCRS, &xcrs);
	if (ret)
		return ret;
	if (traits->tsc_offset && (ret = zero_tsc_offset(vm)))
		return ret;
	if (traits->binary_stats) {
		vm->stats_fd = ioctl(vm->vcpu_fd, KVM_GET_STATS_FD, 0);
		if (vm->stats_fd < 0)
			return -errno;
	}
	vm->run->kvm_valid_regs = SYNC_REGS;
	return 0;
}

static int open_vcpu(struct mf_kvm_vm *vm)
{
	void *run;

	vm->vcpu_fd = ioctl(vm->fd, KVM_CREATE_VCPU, 0);
	if (vm->vcpu_fd < 0)
		return -errno;
	run = mmap(NULL, vm->kvm->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vm->vcpu_fd, 0);
	if (run == MAP_FAILED)
		return -errno;
	vm->run = run;
	return setup_vcpu(vm);
}

static int say_why(int code, struct mf_error *err)
{
	switch (code) {
	case -EMFILE:
	case -ENFILE:
		return mf_error_set(
			err, code,
			"no file descriptor left for another VM; raise `ulimit -n` (each VM "
			"takes three) or ask for fewer VMs");
	case -ENOMEM:
		return mf_error_set(err, code, "no memory left for another VM; ask for fewer VMs");
	default:
		return mf_error_set(err, code, "KVM refused to create a VM: %s", strerror(-code));
	}
}

int mf_kvm_vm_create(struct mf_kvm_vm *vm, const struct mf_kvm *kvm, struct mf_error *err)
{
	int ret = 0;

	*vm = (struct mf_kvm_vm){.kvm = kvm, .fd = -1, .vcpu_fd = -1, .stats_fd = -1};
	do {
		vm->fd = ioctl(kvm->fd, KVM_CREATE_VM, 0);
	} while (vm->fd < 0 && errno == EINTR);
	if (vm->fd < 0)
		ret = -errno;
	if (!ret && kvm->traits.msr_filter)
		ret = deny_msrs(vm->fd);
	if (!ret)
		ret = open_vcpu(vm);
	if (ret) {
		mf_kvm_vm_destroy(vm);
		return say_why(ret, err);
	}
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void mf_kvm_vm_destroy(struct mf_kvm_vm *vm)
{
	if (vm->run)
		munmap(vm->run, vm->kvm->run_bytes);
	vm->run = NULL;
	close_fd(&vm->stats_fd);
	close_fd(&vm->vcpu_fd);
	close_fd(&vm->fd);
}

int mf_kvm_vm_slot(struct mf_kvm_vm *vm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uint64_t)(uintptr_t)hva,
	};

	return ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/*
 * Clear FS and keep its base, which is the thread's TLS: a signal handler must not run in between.
 * Every CPU that software KVM runs on has WRFSBASE (the guest's FS base is set with it).
 */
static void clear_fs(void)
{
	sigset_t all;
	sigset_t old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	__asm__ volatile("mov %0, %%fs; wrfsbase %1" : : "r"(0), "r"(__builtin_thread_pointer()));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/*
 * Software KVM runs ring 3 with this thread's own data segment registers: what a guest loads there
 * is not in its sregs and put back by nobody, and the thread's next guest would see it.
 */
static void clear_selectors(void)
{
	unsigned int ds, es, fs, gs;

	__asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
			 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	if (ds | es | gs)
		__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs" : : "r"(0));
	if (fs)
		clear_fs();
}

/*
 * The first entry of a VM starts a thread of the kernel's (platforms that split huge pages): when
 * there is no room for another just now, by the number of processes, a little later there may be.
 */
static int enter(const struct mf_kvm_vm *vm)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	unsigned int tries;
	int ret;

	for (tries = 0; tries < 50; tries++) {
		ret = vcpu_ioctl(vm, KVM_RUN, NULL);
		if (ret != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return ret;
}

int mf_kvm_vm_run(struct mf_kvm_vm *vm)
{
	int ret;

	/* What was read out of a vCPU says 11 on every host: see struct mf_traits. */
	if (vm->run->kvm_dirty_regs & KVM_SYNC_X86_SREGS)
		vm->run->s.regs.sregs.tr.type = vm->kvm->traits.tss_type;
	vm->run->exit_reason = MF_EXIT_REASON_NONE;
	ret = enter(vm);
	vm->user_exits++;
	MF_STATS_ADD(user_exits[mf_abi_exit_class(vm->run->exit_reason, ret)], 1);
	if (!ret || ret == -EFAULT)
		vm->handed_out++;
	if (vm->kvm->traits.family == MF_FAMILY_SOFTWARE)
		clear_selectors();
	return ret;
}

int mf_kvm_vm_drain(struct mf_kvm_vm *vm)
{
	int ret;
	int rounds;

	__atomic_store_n(&vm->run->immediate_exit, 1, __ATOMIC_RELAXED);
	for (rounds = 0; rounds < 4096; rounds++) {
		ret = mf_kvm_vm_run(vm);
		if (ret)
			break;
	}
	__atomic_store_n(&vm->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	return ret == -EINTR ? 0 : -EIO;
}

uint64_t mf_kvm_vm_stat(const struct mf_kvm_vm *vm, uint32_t offset)
{
	uint64_t value = 0;

	if (vm->stats_fd < 0 || !offset || pread(vm->stats_fd, &value, sizeof(value), offset) < 0)
		return 0;
	return value;
}

/* More than the statistics of a vCPU take: some fifty counters, and a few histograms at the end. */
#define COUNTS_SPAN 1024u

static uint64_t count_at(const uint8_t *bytes, uint32_t first, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + (offset - first), sizeof(value));
	return value;
}

void mf_kvm_vm_counts(const struct mf_kvm_vm *vm, struct mf_kvm_counts *counts)
{
	const struct mf_kvm *kvm = vm->kvm;
	uint32_t first = kvm->stat_pf_taken;
	uint32_t last = first;
	uint8_t bytes[COUNTS_SPAN];
	ssize_t span;

	first = kvm->stat_exits < first ? kvm->stat_exits : first;
	first = kvm->stat_irq_exits < first ? kvm->stat_irq_exits : first;
	last = kvm->stat_exits > last ? kvm->stat_exits : last;
	last = kvm->stat_irq_exits > last ? kvm->stat_irq_exits : last;
	span = (ssize_t)(last - first + sizeof(uint64_t));
	if (span > (ssize_t)COUNTS_SPAN || vm->stats_fd < 0 || !first) {
		counts->pf_taken = mf_kvm_vm_stat(vm, kvm->stat_pf_taken);
		counts->exits = mf_kvm_vm_stat(vm, kvm->stat_exits);
		counts->irq_exits = mf_kvm_vm_stat(vm, kvm->stat_irq_exits);
		return;
	}
	*counts = (struct mf_kvm_counts){0};
	if (pread(vm->stats_fd, bytes, (size_t)span, first) != span)
		return;
	counts->pf_taken = count_at(bytes, first, kvm->stat_pf_taken);
	counts->exits = count_at(bytes, first, kvm->stat_exits);
	counts->irq_exits = count_at(bytes, first, kvm->stat_irq_exits);
}

int mf_kvm_vm_get_regs(struct mf_kvm_vm *vm, struct kvm_regs *regs)
{
	return vcpu_ioctl(vm, KVM_GET_REGS, regs);
}

int mf_kvm_vm_get_sregs(struct mf_kvm_vm *vm, struct kvm_sregs *sregs)
{
	return vcpu_ioctl(vm, KVM_GET_SREGS, sregs);
}

int mf_kvm_vm_get_xsave(struct mf_kvm_vm *vm, struct kvm_xsave *xsave)
{
	return vcpu_ioctl(vm, KVM_GET_XSAVE, xsave);
}

int mf_kvm_vm_set_xsave(struct mf_kvm_vm *vm, const struct kvm_xsave *xsave)
{
	return vcpu_ioctl(vm, KVM_SET_XSAVE, xsave);
}

int mf_kvm_vm_get_events(struct mf_kvm_vm *vm, struct kvm_vcpu_events *events)
{
	return vcpu_ioctl(vm, KVM_GET_VCPU_EVENTS, events);
}

int mf_kvm_vm_set_events(struct mf_kvm_vm *vm, const struct kvm_vcpu_events *events)
{
	return vcpu_ioctl(vm, KVM_SET_VCPU_EVENTS, events);
}

int mf_kvm_vm_get_debugregs(struct mf_kvm_vm *vm, struct kvm_debugregs *regs)
{
	return vcpu_ioctl(vm, KVM_GET_DEBUGREGS, regs);
}

int mf_kvm_vm_set_debugregs(struct mf_kvm_vm *vm, const struct kvm_debugregs *regs)
{
	return vcpu_ioctl(vm, KVM_SET_DEBUGREGS, regs);
}

struct one_msr {
	struct kvm_msrs head;
	struct kvm_msr_entry entry;
};

int mf_kvm_vm_set_msr(struct mf_kvm_vm *vm, uint32_t index, uint64_t value)
{
	struct one_msr msr = {.head.nmsrs = 1, .entry = {.index = index, .data = value}};
	int ret = ioctl(vm->vcpu_fd, KVM_SET_MSRS, &msr);

	if (ret < 0)
		return -errno;
	return ret == 1 ? 0 : -EINVAL;
}
