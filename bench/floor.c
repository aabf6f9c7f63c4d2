/* SPDX-License-Identifier: MIT */
#include "bench/floor.h"

#include "engine/kvm/cpu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

/* Guest-physical and guest-virtual alike. */
enum { AT_PML4, AT_PDPT, AT_PD, AT_PT, AT_TABLES, AT_TSS, AT_CODE, PAGES };

/* Present, writable, user, accessed, dirty: nothing is left for KVM to set. */
#define PRESENT 0x67ull
#define USER    0x04ull

static void fill(uint8_t *memory)
{
	static const uint8_t code[] = {0xe7, 0x10, 0xeb, 0xfc}; /* out %eax, $0x10; jmp back */
	uint64_t *entry = (uint64_t *)memory;
	unsigned int i;

	entry[AT_PML4 * 512] = AT_PDPT * PAGE | PRESENT;
	entry[AT_PDPT * 512] = AT_PD * PAGE | PRESENT;
	entry[AT_PD * 512] = AT_PT * PAGE | PRESENT;
	for (i = 0; i < PAGES; i++)
		entry[AT_PT * 512 + i] = i * PAGE | PRESENT;
	/* SMAP: the CPU itself may not read its tables through pages of ring 3. */
	entry[AT_PT * 512 + AT_TABLES] &= ~USER;
	entry[AT_PT * 512 + AT_TSS] &= ~USER;
	mf_cpu_fill_gdt((uint64_t *)(memory + AT_TABLES * PAGE), AT_TSS * PAGE);
	mf_cpu_fill_idt(memory + AT_TABLES * PAGE + 2048, AT_CODE * PAGE, 0);
	mf_cpu_fill_tss(memory + AT_TSS * PAGE, (AT_TSS + 1) * PAGE, 0x10);
	memcpy(memory + AT_CODE * PAGE, code, sizeof(code));
}

static int make_template(struct bench_floor *floor)
{
	uint8_t *memory;

	floor->memfd = memfd_create("bench-floor", MFD_CLOEXEC);
	if (floor->memfd < 0 || ftruncate(floor->memfd, PAGES * PAGE))
		return -errno;
	memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, floor->memfd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	fill(memory);
	munmap(memory, PAGES * PAGE);
	return 0;
}

static int enter_once(struct mf_kvm_vm *vm)
{
	const struct mf_cpu_tables tables = {.cr3 = AT_PML4,
					     .gdt = AT_TABLES * PAGE,
					     .idt = AT_TABLES * PAGE + 2048,
					     .tss = AT_TSS * PAGE};
	struct kvm_sync_regs *sync = &vm->run->s.regs;
	int ret = mf_kvm_vm_get_sregs(vm, &sync->sregs);

	if (ret)
		return ret;
	mf_cpu_user_sregs(&sync->sregs, &tables, &vm->kvm->traits);
	sync->regs = (struct kvm_regs){.rip = AT_CODE * PAGE, .rflags = MF_RFLAGS_USER};
	vm->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	ret = mf_kvm_vm_run(vm);
	if (ret)
		return ret;
	return vm->run->exit_reason == KVM_EXIT_IO && vm->run->io.port == 0x10 ? 0 : -EPROTO;
}

static int make_one(struct bench_floor *floor, struct floor_vm *one, struct mf_error *err)
{
	int ret = mf_kvm_vm_create(&one->vm, floor->kvm, err);

	if (ret)
		return ret;
	floor->count++;
	one->memory =
		mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, floor->memfd, 0);
	if (one->memory == MAP_FAILED)
		return mf_error_set(err, -errno, "no memory for a bare VM");
	ret = mf_kvm_vm_slot(&one->vm, 0, 0, PAGES * PAGE, one->memory);
	if (!ret)
		ret = enter_once(&one->vm);
	return ret ? mf_error_set(err, ret, "a bare VM did not run: %s", strerror(-ret)) : 0;
}

int bench_floor_open(struct bench_floor *floor, const struct mf_kvm *kvm, size_t count,
		     struct mf_error *err)
{
	size_t i;
	int ret;

	*floor = (struct bench_floor){.kvm = kvm, .memfd = -1};
	floor->vms = calloc(count, sizeof(*floor->vms));
	if (!floor->vms)
		return mf_error_set(err, -ENOMEM, "no memory for bare VMs");
	ret = make_template(floor);
	for (i = 0; i < count && !ret; i++)
		ret = make_one(floor, &floor->vms[i], err);
	return ret;
}

int bench_floor_add_slots(struct bench_floor *floor, size_t bytes)
{
	void *nothing =
		mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int ret = nothing == MAP_FAILED ? -ENOMEM : 0;
	size_t i;

	/* Stays mapped until the process ends: KVM reads none of it. */
	for (i = 0; i < floor->count && !ret; i++)
		ret = mf_kvm_vm_slot(&floor->vms[i].vm, 1, 1ull << 30, bytes, nothing);
	return ret;
}

void bench_floor_close(struct bench_floor *floor)
{
	while (floor->count) {
		struct floor_vm *one = &floor->vms[--floor->count];

		mf_kvm_vm_destroy(&one->vm);
		if (one->memory && one->memory != MAP_FAILED)
			munmap(one->memory, PAGES * PAGE);
	}
	if (floor->memfd >= 0)
		close(floor->memfd);
	free(floor->vms);
}
