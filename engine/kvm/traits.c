/* SPDX-License-Identifier: MIT */
#include "engine/kvm/traits.h"
#include "engine/kvm/cpu.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The probe guest's memory: identity-mapped 4 KiB pages, all of them user pages. */
enum {
	P_BYTES = 0x20000,
	P_PML4 = 0x1000,
	P_PDPT = 0x2000,
	P_PD = 0x3000,
	P_PT = 0x4000,
	P_GDT = 0x5000,
	P_IDT = 0x6000,
	P_TSS = 0x7000,
	P_ENTRY = 0x8000, /* LSTAR */
	P_CODE = 0x9000,
	P_STACK = 0xb000,
	P_DATA = 0xc000,
	P_OTHER = 0xd000,
};

#define PTE_ALL 0x67ull /* present, writable, user, accessed, dirty */

#define TRIES   1000u
#define OUT_LEN 2
/* out %eax, $port */
#define OUT 0xe7, MF_ABI_PORT

static const uint8_t code_out[] = {OUT, 0x90, 0x90};
static const uint8_t code_syscall[] = {0x0f, 0x05, 0x90, 0x90};
/* mov P_DATA, %eax; out */
static const uint8_t code_read[] = {0x8b, 0x04, 0x25, 0x00, 0xc0, 0x00, 0x00, OUT};

struct probe {
	struct mf_kvm_vm vm;
	uint8_t *mem;
	struct mf_error *err;
};

static void build_tables(uint8_t *mem)
{
	uint64_t *pt = (uint64_t *)(mem + P_PT);
	unsigned int i;

	*(uint64_t *)(mem + P_PML4) = P_PDPT | PTE_ALL;
	*(uint64_t *)(mem + P_PDPT) = P_PD | PTE_ALL;
	*(uint64_t *)(mem + P_PD) = P_PT | PTE_ALL;
	for (i = 0; i < P_BYTES / 4096; i++)
		pt[i] = i * 4096ull | PTE_ALL;
	mf_cpu_fill_gdt((uint64_t *)(mem + P_GDT), P_TSS);
	mf_cpu_fill_tss(mem + P_TSS, P_STACK, MF_ABI_PORT);
	memcpy(mem + P_ENTRY, code_out, sizeof(code_out));
}

static bool left_by_out(const struct probe *probe)
{
	const struct kvm_run *run = probe->vm.run;

	return run->exit_reason == KVM_EXIT_IO && run->io.port == MF_ABI_PORT &&
	       run->io.direction == KVM_EXIT_IO_OUT;
}

/* Run the code to its `out`. -EPROTO: it came out by another way. */
static int probe_enter(struct probe *probe, const uint8_t *code, size_t bytes)
{
	struct mf_cpu_tables tables = {.cr3 = P_PML4, .gdt = P_GDT, .idt = P_IDT, .tss = P_TSS};
	struct kvm_run *run = probe->vm.run;
	unsigned int tries = 0;
	int ret;

	memcpy(probe->mem + P_CODE, code, bytes);
	mf_cpu_user_sregs(&run->s.regs.sregs, &tables, &probe->vm.kvm->traits);
	memset(&run->s.regs.regs, 0, sizeof(run->s.regs.regs));
	run->s.regs.regs.rip = P_CODE;
	run->s.regs.regs.rsp = P_STACK;
	run->s.regs.regs.rflags = MF_RFLAGS_USER;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	do { /* a signal says nothing of this KVM */
		ret = mf_kvm_vm_run(&probe->vm);
	} while (ret == -EINTR && ++tries < TRIES);
	if (ret)
		return mf_error_set(probe->err, ret, "KVM cannot run a guest now: %s",
				    strerror(-ret));
	return left_by_out(probe) ? 0 : -EPROTO;
}

static void probe_finish(struct probe *probe)
{
	mf_kvm_vm_destroy(&probe->vm);
	munmap(probe->mem, P_BYTES);
}

static int probe_init(struct probe *probe, const struct mf_kvm *kvm, struct mf_error *err)
{
	int ret;

	probe->err = err;
	probe->mem =
		mmap(NULL, P_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (probe->mem == MAP_FAILED)
		return mf_error_set(err, -ENOMEM, "no memory for the probe guest");
	build_tables(probe->mem);
	ret = mf_kvm_vm_create(&probe->vm, kvm, err);
	if (ret) {
		munmap(probe->mem, P_BYTES);
		return ret;
	}
	ret = mf_kvm_vm_slot(&probe->vm, 0, 0, P_BYTES, probe->mem);
	if (!ret)
		ret = mf_kvm_vm_get_sregs(&probe->vm, &probe->vm.run->s.regs.sregs);
	if (!ret)
		ret = mf_cpu_set_syscall(&probe->vm, P_ENTRY);
	if (ret) {
		probe_finish(probe);
		return mf_error_set(err, ret, "KVM refused the probe guest: %s", strerror(-ret));
	}
	return 0;
}

/* Ring-3 `out` must reach us; which TSS type that takes differs. */
static int probe_out(struct mf_kvm *kvm, uint8_t tss_type, struct mf_error *err)
{
	struct probe probe;
	int ret;

	kvm->traits.tss_type = tss_type;
	ret = probe_init(&probe, kvm, err);
	if (ret)
		return ret;
	ret = probe_enter(&probe, code_out, sizeof(code_out));
	if (!ret)
		kvm->traits.rip_after_out = probe.vm.run->s.regs.regs.rip == P_CODE + OUT_LEN;
	probe_finish(&probe);
	return ret;
}

static int probe_syscall(struct mf_kvm *kvm, struct mf_error *err)
{
	struct probe probe;
	int ret = probe_init(&probe, kvm, err);

	if (ret)
		return ret;
	ret = probe_enter(&probe, code_syscall, sizeof(code_syscall));
	if (!ret)
		kvm->traits.family = probe.vm.run->s.regs.sregs.cs.dpl == 0 ? MF_FAMILY_HARDWARE
									    : MF_FAMILY_SOFTWARE;
	probe_finish(&probe);
	return ret;
}

static int probe_edits(struct mf_kvm *kvm, struct mf_error *err)
{
	struct probe probe;
	int ret = probe_init(&probe, kvm, err);

	if (ret)
		return ret;
	*(uint32_t *)(probe.mem + P_DATA) = 1;
	*(uint32_t *)(probe.mem + P_OTHER) = 2;
	ret = probe_enter(&probe, code_read, sizeof(code_read));
	((uint64_t *)(probe.mem + P_PT))[P_DATA / 4096] = P_OTHER | PTE_ALL;
	if (!ret)
		ret = probe_enter(&probe, code_read, sizeof(code_read));
	if (!ret)
		kvm->traits.host_edits_seen = probe.vm.run->s.regs.regs.rax == 2;
	probe_finish(&probe);
	return ret;
}

/* The statistics file names its counters; remember where ours lie. api.rst, 4.133. */
static void find_stats(struct mf_kvm *kvm, int fd)
{
	struct kvm_stats_header head;
	uint8_t buffer[sizeof(struct kvm_stats_desc) + 256];
	struct kvm_stats_desc *desc = (void *)buffer;
	size_t bytes;
	uint32_t i;

	if (pread(fd, &head, sizeof(head), 0) != sizeof(head) || head.name_size > 256)
		return;
	bytes = sizeof(*desc) + head.name_size;
	for (i = 0; i < head.num_desc; i++) {
		if (pread(fd, buffer, bytes, head.desc_offset + i * bytes) != (ssize_t)bytes)
			return;
		if (!strncmp(desc->name, "pf_taken", head.name_size))
			kvm->stat_pf_taken = head.data_offset + desc->offset;
		else if (!strncmp(desc->name, "exits", head.name_size))
			kvm->stat_exits = head.data_offset + desc->offset;
		else if (!strncmp(desc->name, "irq_exits", head.name_size))
			kvm->stat_irq_exits = head.data_offset + desc->offset;
	}
}

static int probe_optional(struct mf_kvm *kvm, struct mf_error *err)
{
	struct kvm_device_attr attr = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET};
	struct probe probe;
	int khz;
	int fd;
	int ret = probe_init(&probe, kvm, err);

	if (ret)
		return ret;
	fd = ioctl(probe.vm.vcpu_fd, KVM_GET_STATS_FD, 0);
	if (fd >= 0) {
		find_stats(kvm, fd);
		close(fd);
	}
	kvm->traits.binary_stats = kvm->stat_pf_taken != 0;
	kvm->traits.tsc_offset = ioctl(probe.vm.vcpu_fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
	khz = ioctl(probe.vm.vcpu_fd, KVM_GET_TSC_KHZ, 0);
	kvm->traits.tsc_khz = khz > 0 ? (uint64_t)khz : 0;
	probe_finish(&probe);
	return 0;
}

/* struct pm_scan_arg and its ioctl are newer than Debian 12's headers (include/uapi/linux/fs.h). */
static bool has_pagemap_scan(int fd)
{
	uint64_t arg[12] = {sizeof(arg)};

	return ioctl(fd, _IOWR('f', 16, uint64_t[12]), arg) >= 0;
}

/* Documentation/admin-guide/mm/transhuge.rst: "always [madvise] never", the choice in brackets; and
 * a process may have been denied them: prctl(2). */
static bool has_huge_pages(void)
{
	char text[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return got > 0 && !strstr(text, "[never]") && !prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
}

int mf_traits_probe(struct mf_kvm *kvm, struct mf_error *err)
{
	struct mf_traits *traits = &kvm->traits;
	int ret = probe_out(kvm, 11, err);

	if (ret)
		ret = probe_out(kvm, 9, err);
	if (!ret)
		ret = probe_syscall(kvm, err);
	if (!ret)
		ret = probe_edits(kvm, err);
	if (ret == -EPROTO)
		return mf_error_set(
			err, ret,
			"this KVM runs 64-bit ring-3 code in no way that Mayfly knows; run "
			"`mayfly doctor` and report what it prints");
	if (!ret)
		ret = probe_optional(kvm, err);
	if (ret)
		return ret;
	traits->pagemap_scan = has_pagemap_scan(kvm->pagemap_fd);
	traits->huge_pages = has_huge_pages();
	traits->msr_filter = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) > 0;
	return 0;
}
