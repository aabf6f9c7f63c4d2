/* SPDX-License-Identifier: MIT */
/*
 * The host's KVM: /dev/kvm, what it can do (traits), and the CPU that guests are shown. One per
 * process. The folder engine/kvm is the only place with KVM ioctls. Opened in the set-up phase;
 * immutable afterwards, so any thread may read it.
 */
#ifndef MF_ENGINE_KVM_KVM_H
#define MF_ENGINE_KVM_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/error.h>

/* How ring 0 of a guest is run; decides how page-table edits become visible (engine/mem/pt.h). */
enum mf_family {
	MF_FAMILY_HARDWARE, /* VMX/SVM: nested paging, SYSCALL enters ring 0 */
	MF_FAMILY_SOFTWARE, /* PVM: shadow paging, ring 0 emulated, SYSCALL stays in ring 3 */
};

#define MF_CR4_SMAP (1ull << 21)

/* What the probe guest found out (traits.c). */
struct mf_traits {
	enum mf_family family;
	uint8_t tss_type;   /* TR.type that lets ring 3 use the I/O bitmap: 11, or 9 on emulated SVM
			     */
	bool rip_after_out; /* at the exit RIP already stands behind the `out` */
	bool host_edits_seen; /* a host edit of a guest PTE that takes a right away is seen unaided
			       */
	bool binary_stats;    /* KVM_GET_STATS_FD with pf_taken */
	bool pagemap_scan; /* PAGEMAP_SCAN (Linux 6.7); otherwise the pagemap file's bits are read
			    */
	bool huge_pages;   /* anonymous memory gets huge pages when it asks for them */
	bool tsc_offset;   /* KVM_VCPU_TSC_OFFSET can be set */
	bool msr_filter;
	uint64_t cr4_extra; /* FSGSBASE; on hardware SMEP and SMAP too: what the CPU has of them */
	uint64_t xcr0; /* components that guests get: x87, SSE, AVX, AVX-512 of what the host has */
	uint64_t tsc_khz;
};

struct mf_kvm {
	int fd;         /* /dev/kvm */
	int pagemap_fd; /* /proc/self/pagemap, for engine/mem */
	bool shown;     /* the counters are (engine/kvm/stats.h) */
	size_t run_bytes;
	struct kvm_cpuid2 *cpuid; /* owned */
	struct mf_traits traits;
	uint32_t stat_pf_taken; /* offsets in the vCPU's statistics file; 0 = not there */
	uint32_t stat_exits;
	uint32_t stat_irq_exits;
};

/*
 * Open /dev/kvm (path may be NULL for the default) and probe it with a tiny guest. Errors: -ENOENT,
 * -EACCES, -ENODEV (no usable KVM), -EPROTO (KVM behaves in none of the known ways), -ENOMEM; the
 * sentence says how to mend it. On failure nothing is left open.
 */
int mf_kvm_open(struct mf_kvm *kvm, const char *path, struct mf_error *err);
void mf_kvm_close(struct mf_kvm *kvm);

/* CPUID as guests see it: the feature bits that Linux calls AT_HWCAP; and the bytes of an XSAVE
 * area in the standard format with all components of traits.xcr0. */
uint32_t mf_kvm_cpuid_1_edx(const struct mf_kvm *kvm);
uint32_t mf_kvm_xsave_bytes(const struct mf_kvm *kvm);

const char *mf_family_name(enum mf_family family);

/* One VM with one vCPU: the descriptors and the shared run page. */
struct mf_kvm_vm {
	const struct mf_kvm *kvm;
	int fd;
	int vcpu_fd;
	int stats_fd; /* -1 without binary statistics */
	struct kvm_run *run;
	uint64_t user_exits; /* returns of KVM_RUN, drains included */
	uint64_t handed_out; /* those that were an exit of the guest: neither kicked nor refused */
};

/* Create VM and vCPU with the guest CPU of `kvm`: CPUID, XCR0, MSR filter, sync regs on. -errno. */
int mf_kvm_vm_create(struct mf_kvm_vm *vm, const struct mf_kvm *kvm, struct mf_error *err);
/* Safe on a zeroed-out or half-built one (descriptors -1). */
void mf_kvm_vm_destroy(struct mf_kvm_vm *vm);

/* Add, move or (bytes = 0) remove a memslot. */
int mf_kvm_vm_slot(struct mf_kvm_vm *vm, uint32_t slot, uint64_t gpa, uint64_t bytes, void *hva);

/*
 * Enter the guest once. 0: run->exit_reason says why it left; -EINTR: kicked; -EFAULT: guest access
 * to memory the host could not provide (guest behaviour). exit_reason is MF_EXIT_REASON_NONE where
 * KVM did not write one.
 */
#define MF_EXIT_REASON_NONE 0xfffffffeu
int mf_kvm_vm_run(struct mf_kvm_vm *vm);

/*
 * Let KVM finish an instruction that left the guest half-way (in, string I/O, MMIO), on both
 * families, so that nothing of it reaches the next run. 0, or -EIO when it does not end: destroy
 * the VM then. Source: Documentation/virt/kvm/api.rst, KVM_RUN, "the instruction is completed".
 * immediate_exit is 0 afterwards: a VM that others kick is drained by mf_vm_drain().
 */
int mf_kvm_vm_drain(struct mf_kvm_vm *vm);

/* A vCPU counter by its offset in struct mf_kvm; 0 when there is none. 175 ns. Any thread. */
uint64_t mf_kvm_vm_stat(const struct mf_kvm_vm *vm, uint32_t offset);

/* The three counters in one read; zeroes when there are none. */
struct mf_kvm_counts {
	uint64_t pf_taken;
	uint64_t exits;
	uint64_t irq_exits;
};
void mf_kvm_vm_counts(const struct mf_kvm_vm *vm, struct mf_kvm_counts *counts);

/* vcpu ioctls that cost a vcpu load each; negative errno. */
int mf_kvm_vm_get_regs(struct mf_kvm_vm *vm, struct kvm_regs *regs);
int mf_kvm_vm_get_sregs(struct mf_kvm_vm *vm, struct kvm_sregs *sregs);
int mf_kvm_vm_get_xsave(struct mf_kvm_vm *vm, struct kvm_xsave *xsave);
int mf_kvm_vm_set_xsave(struct mf_kvm_vm *vm, const struct kvm_xsave *xsave);
int mf_kvm_vm_get_events(struct mf_kvm_vm *vm, struct kvm_vcpu_events *events);
int mf_kvm_vm_set_events(struct mf_kvm_vm *vm, const struct kvm_vcpu_events *events);
int mf_kvm_vm_get_debugregs(struct mf_kvm_vm *vm, struct kvm_debugregs *regs);
int mf_kvm_vm_set_debugregs(struct mf_kvm_vm *vm, const struct kvm_debugregs *regs);
int mf_kvm_vm_set_msr(struct mf_kvm_vm *vm, uint32_t index, uint64_t value);

/* Every KVM ioctl request number that the engine issues once guests run, for the seccomp list. */
extern const unsigned long mf_kvm_ioctls[];
extern const size_t mf_kvm_ioctls_count;

#endif
