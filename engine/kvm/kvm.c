/* SPDX-License-Identifier: MIT */
#include "engine/kvm/kvm.h"
#include "engine/kvm/stats.h"
#include "engine/kvm/traits.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CPUID_ENTRIES 256

/* x87, SSE, AVX, AVX-512: what a reset restores. MPX, PKRU, AMX and CET stay off. */
#define XCR0_WANTED 0xe7ull

#define CR4_FSGSBASE (1ull << 16)
#define CR4_SMEP     (1ull << 20)

static uint64_t host_xcr0(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static int cannot_open(const char *path, int code, struct mf_error *err)
{
	switch (code) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return mf_error_set(
			err, code,
			"%s is not there; load the kvm module (`modprobe kvm_intel` or "
			"`kvm_amd`), switch virtualisation on in the firmware, or allow "
			"nested virtualisation for this machine",
			path);
	case -EACCES:
	case -EPERM:
		return mf_error_set(err, code,
				    "%s may not be opened by this user; add the user to group kvm "
				    "(`usermod -aG kvm USER`) and log in again",
				    path);
	default:
		return mf_error_set(err, code, "cannot open %s: %s", path, strerror(-code));
	}
}

/* Features whose state a reset would have to restore, or that mean nothing without an OS below. */
static void mask_leaf(struct kvm_cpuid_entry2 *entry, uint64_t xcr0)
{
	switch (entry->function) {
	case 1:
		entry->ecx &= ~(1u << 3 | 1u << 21 | 1u << 24 |
				1u << 15); /* MONITOR x2APIC TSC-deadline PDCM */
		break;
	case 7:
		if (entry->index)
			break;
		entry->ebx &= ~(1u << 2 | 1u << 14 | 1u << 4 | 1u << 11); /* SGX MPX HLE RTM */
		entry->ecx &=
			~(1u << 3 | 1u << 4 | 1u << 5 | 1u << 7); /* PKU OSPKE WAITPKG CET_SS */
		entry->edx &= ~(1u << 5 | 1u << 20 | 1u << 22 | 1u << 24 |
				1u << 25); /* UINTR CET_IBT AMX */
		break;
	case 0xd:
		if (entry->index == 0) {
			entry->eax &= (uint32_t)xcr0;
			entry->edx &= (uint32_t)(xcr0 >> 32);
		} else if (entry->index == 1) {
			entry->eax &= ~(1u << 3 | 1u << 4); /* XSAVES XFD */
			entry->ecx = entry->edx = 0;
		} else if (entry->index < 64 && !(xcr0 >> entry->index & 1)) {
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
		}
		break;
	}
}

static int read_cpuid(struct mf_kvm *kvm)
{
	uint32_t i;

	kvm->cpuid =
		calloc(1, sizeof(*kvm->cpuid) + CPUID_ENTRIES * sizeof(kvm->cpuid->entries[0]));
	if (!kvm->cpuid)
		return -ENOMEM;
	kvm->cpuid->nent = CPUID_ENTRIES;
	if (ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, kvm->cpuid) < 0)
		return -errno;
	kvm->traits.xcr0 = XCR0_WANTED & host_xcr0();
	for (i = 0; i < kvm->cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &kvm->cpuid->entries[i];

		if (entry->function == 0xd && entry->index == 0)
			kvm->traits.xcr0 &= entry->eax;
		if (entry->function == 7 && entry->index == 0)
			kvm->traits.cr4_extra = (entry->ebx & 1u ? CR4_FSGSBASE : 0) |
						(entry->ebx & 1u << 7 ? CR4_SMEP : 0) |
						(entry->ebx & 1u << 20 ? MF_CR4_SMAP : 0);
	}
	/* A wider component without the narrower ones is not a state that XCR0 can take. */
	if ((kvm->traits.xcr0 & 0xe0) != 0xe0 || !(kvm->traits.xcr0 & 4))
		kvm->traits.xcr0 &= 7;
	for (i = 0; i < kvm->cpuid->nent; i++)
		mask_leaf(&kvm->cpuid->entries[i], kvm->traits.xcr0);
	return 0;
}

static const struct kvm_cpuid_entry2 *find_leaf(const struct mf_kvm *kvm, uint32_t leaf,
						uint32_t index)
{
	static const struct kvm_cpuid_entry2 none;
	uint32_t i;

	for (i = 0; i < kvm->cpuid->nent; i++)
		if (kvm->cpuid->entries[i].function == leaf &&
		    kvm->cpuid->entries[i].index == index)
			return &kvm->cpuid->entries[i];
	return &none;
}

uint32_t mf_kvm_cpuid_1_edx(const struct mf_kvm *kvm)
{
	return find_leaf(kvm, 1, 0)->edx;
}

uint32_t mf_kvm_xsave_bytes(const struct mf_kvm *kvm)
{
	uint32_t bytes = 512 + 64; /* x87 and SSE, header */
	uint32_t i;

	for (i = 2; i < 63; i++) {
		const struct kvm_cpuid_entry2 *leaf = find_leaf(kvm, 0xd, i);

		if (kvm->traits.xcr0 >> i & 1 && leaf->ebx + leaf->eax > bytes)
			bytes = leaf->ebx + leaf->eax;
	}
	return bytes;
}

static int check_version(struct mf_kvm *kvm, const char *path, struct mf_error *err)
{
	int run_bytes;
	int sync;

	if (ioctl(kvm->fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
		return mf_error_set(err, -ENODEV, "%s is not a KVM device of API version 12", path);
	sync = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_SYNC_REGS);
	if ((sync & 7) != 7 || ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT) <= 0)
		return mf_error_set(
			err, -ENODEV,
			"this kernel's KVM is too old (no sync regs or immediate exit); Linux "
			"6.1 or newer is needed");
	run_bytes = ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (run_bytes < (int)sizeof(struct kvm_run))
		return mf_error_set(err, -ENODEV, "KVM gives no run page");
	kvm->run_bytes = (size_t)run_bytes;
	return 0;
}

int mf_kvm_open(struct mf_kvm *kvm, const char *path, struct mf_error *err)
{
	uint64_t protect = CR4_SMEP | MF_CR4_SMAP;
	uint64_t extra;
	int ret;

	if (!path)
		path = "/dev/kvm";
	*kvm = (struct mf_kvm){.fd = -1, .pagemap_fd = -1};
	kvm->fd = open(path, O_RDWR | O_CLOEXEC);
	if (kvm->fd < 0)
		return cannot_open(path, -errno, err);
	mf_stats_show();
	kvm->shown = true;
	kvm->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (kvm->pagemap_fd < 0)
		ret = mf_error_set(err, -errno, "cannot open /proc/self/pagemap; mount /proc");
	else
		ret = check_version(kvm, path, err);
	if (!ret && (ret = read_cpuid(kvm)))
		mf_error_set(err, ret, "KVM gives no CPUID: %s", strerror(-ret));
	if (!ret) {
		extra = kvm->traits.cr4_extra;
		kvm->traits.cr4_extra &= ~protect; /* the probe guest has one page for both rings */
		ret = mf_traits_probe(kvm, err);
		if (kvm->traits.family == MF_FAMILY_HARDWARE)
			kvm->traits.cr4_extra = extra;
	}
	if (ret)
		mf_kvm_close(kvm);
	return ret;
}

void mf_kvm_close(struct mf_kvm *kvm)
{
	if (kvm->fd >= 0)
		close(kvm->fd);
	if (kvm->pagemap_fd >= 0)
		close(kvm->pagemap_fd);
	if (kvm->shown)
		mf_stats_hide();
	free(kvm->cpuid);
	*kvm = (struct mf_kvm){.fd = -1, .pagemap_fd = -1};
}

const char *mf_family_name(enum mf_family family)
{
	return family == MF_FAMILY_HARDWARE ? "hardware" : "software";
}
