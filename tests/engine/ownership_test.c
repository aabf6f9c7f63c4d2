/* SPDX-License-Identifier: MIT */
/*
 * A guest that owns its page tables: every guest-physical page, tables included, is mapped writable
 * for ring 3. Whatever it writes stays in its own private copy: the sealed image keeps its digest,
 * another fork sees no byte of it, and addresses that are no memory, read-only slots and memory
 * that the host lost end as a contained crash.
 */
#include "tests/engine/harness.h"

#include "engine/image/layout.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINEAR 0x100000000000ull /* every frame from here on */
#define CODE   0x400000ull
#define FILE_AT                                                                          \
	0x500000ull /* two pages of a file, mapped writable, then the file is cut to one \
		     */
#define FRAMES    4096u
#define HOLE_GPA  (1ull << 30)
#define SLOTS_MAX 64u

/* RDI = address, RSI = value: write, then read back, then leave. */
SNIPPET(store, "1: out %eax, $0x10; mov %rsi, (%rdi); mov (%rdi), %rax; jmp 1b");

static struct mf_kvm kvm;
static struct mf_image image;
static uint64_t frames;
static int file_fd;

static void open_kvm(void)
{
	struct mf_error err = {0};
	int ret = mf_kvm_open(&kvm, NULL, &err);

	if (ret == -2 || ret == -13)
		cr_skip_test("%s", err.text);
	cr_assert_eq(ret, 0, "%s", err.text);
}

/* All frames that there are, and some that there are not. */
static void map_everything(struct mf_vm *vm)
{
	uint64_t frame;

	cr_assert_eq(mf_pt_prepare(&vm->mem, MF_GVA(LINEAR), SLOTS_MAX * 64), 0);
	cr_assert_eq(mf_pt_prepare(&vm->mem, MF_GVA(LINEAR + HOLE_GPA), 1), 0);
	frames = mf_mem_arena(&vm->mem)->frames_high;
	for (frame = 0; frame < frames; frame++)
		cr_assert_eq(mf_pt_map(&vm->mem, MF_GVA(LINEAR + frame * MF_PAGE),
				       MF_GPA(frame * MF_PAGE), 1, MF_READ | MF_WRITE | MF_ENGINE),
			     0);
	cr_assert_eq(mf_pt_map(&vm->mem, MF_GVA(LINEAR + HOLE_GPA), MF_GPA(HOLE_GPA), 1,
			       MF_READ | MF_WRITE | MF_ENGINE),
		     0);
	cr_assert_eq(frames, mf_mem_arena(&vm->mem)->frames_high,
		     "a table was added behind our back");
}

static void map_file(struct mf_vm *vm)
{
	struct mf_gpa gpa;

	file_fd = memfd_create("slot", MFD_CLOEXEC);
	cr_assert(file_fd >= 0 && ftruncate(file_fd, 2 * MF_PAGE) == 0);
	cr_assert_eq(mf_mem_map_file(&vm->mem, file_fd, 0, 2 * MF_PAGE, &gpa), 0);
	cr_assert_eq(mf_pt_map(&vm->mem, MF_GVA(FILE_AT), gpa, 2, MF_READ | MF_WRITE | MF_ENGINE),
		     0);
}

static void build(void)
{
	struct mf_vm vm;
	struct mf_vm_exit exit;
	struct mf_error err = {0};
	struct mf_gpa gpa;

	open_kvm();
	cr_assert_eq(mf_vm_create_blank(&vm, &kvm, false, FRAMES * MF_PAGE, 4096, &err), 0, "%s",
		     err.text);
	cr_assert_eq(mf_frames_take(&vm.mem, 1, &gpa), 1);
	memcpy(mf_mem_at(&vm.mem, gpa, MF_PAGE), store, SNIPPET_BYTES(store));
	cr_assert_eq(mf_pt_map(&vm.mem, MF_GVA(CODE), gpa, 1, MF_READ | MF_EXEC), 0);
	map_file(&vm);
	map_everything(&vm);
	mf_vm_regs_rw(&vm)->rip = CODE;
	mf_vm_run(&vm, &exit);
	cr_assert_eq(exit.kind, MF_VM_CALL, "kind %d reason %d rip %lx", exit.kind, exit.reason,
		     (unsigned long)exit.rip);
	cr_assert_eq(mf_image_freeze(&vm, &image, &err), 0, "%s", err.text);
}

static void digest(uint8_t to[SHA256_DIGEST_LENGTH])
{
	SHA256(image.backing.map, image.backing.bytes, to);
}

static enum mf_vm_exit_kind store_at(struct mf_vm *vm, uint64_t va, uint64_t value,
				     struct mf_vm_exit *exit)
{
	mf_vm_regs_rw(vm)->rdi = va;
	mf_vm_regs_rw(vm)->rsi = value;
	watch_vm(vm, 500000); /* with its own tables broken a guest may fault for ever */
	mf_vm_run(vm, exit);
	watch_vm(NULL, 0);
	return exit->kind;
}

static void fork_vm(struct mf_vm *vm)
{
	struct mf_error err = {0};

	cr_assert_eq(mf_vm_fork(vm, &image, &err), 0, "%s", err.text);
}

static void finish(void)
{
	mf_image_finish(&image);
	mf_kvm_close(&kvm);
}

/* Is all of the mapping of this fork still the image's? */
static void is_untouched(const struct mf_vm *vm, const char *when)
{
	cr_assert_eq(memcmp(vm->mem.base, image.backing.map, image.backing.bytes), 0, "%s", when);
}

Test(ownership, writes_to_any_page_stay_in_the_fork, .timeout = 120)
{
	uint8_t before[SHA256_DIGEST_LENGTH];
	uint8_t after[SHA256_DIGEST_LENGTH];
	struct mf_vm_exit exit;
	struct mf_vm bystander;
	struct mf_vm vm;
	uint64_t frame;
	unsigned int written = 0;
	unsigned int ended = 0;

	build();
	digest(before);
	fork_vm(&bystander);
	for (frame = 0; frame < frames; frame++) {
		unsigned int offset;

		fork_vm(&vm);
		for (offset = 0; offset < MF_PAGE; offset += is_emulated() ? 2048 : 504) {
			uint64_t at = LINEAR + frame * MF_PAGE + (offset & ~7u);
			enum mf_vm_exit_kind kind = store_at(&vm, at, random_u64() | 1, &exit);

			written += kind == MF_VM_CALL;
			ended += kind != MF_VM_CALL;
			if (kind != MF_VM_CALL)
				break;
		}
		mf_vm_finish(&vm);
		is_untouched(&bystander, "another fork saw a write");
	}
	digest(after);
	cr_expect_eq(memcmp(before, after, sizeof(before)), 0, "the image has changed");
	cr_expect_eq(store_at(&bystander, LINEAR, 5, &exit), MF_VM_CALL);
	cr_expect_gt(written, frames);
	cr_log_info("%u writes to %lu frames, %u ended their VM", written, (unsigned long)frames,
		    ended);
	mf_vm_finish(&bystander);
	finish();
}

Test(ownership, address_that_is_no_memory_is_a_contained_crash, .timeout = 60)
{
	uint8_t before[SHA256_DIGEST_LENGTH];
	uint8_t after[SHA256_DIGEST_LENGTH];
	struct mf_vm_exit exit;
	struct mf_vm vm;

	build();
	digest(before);
	fork_vm(&vm);
	cr_assert_eq(store_at(&vm, LINEAR + HOLE_GPA, 1, &exit), MF_VM_CRASH, "kind %d", exit.kind);
	cr_expect_eq(mf_vm_reset(&vm), 0);
	cr_expect_eq(store_at(&vm, LINEAR, 7, &exit), MF_VM_CALL, "kind %d reason %d", exit.kind,
		     exit.reason);
	mf_vm_finish(&vm);
	digest(after);
	cr_expect_eq(memcmp(before, after, sizeof(before)), 0, "the image has changed");
	finish();
}

static void crashes_and_recovers(struct mf_vm *vm, uint64_t va, const char *what)
{
	struct mf_vm_exit exit;

	cr_assert_eq(store_at(vm, va, 0x5ec2e7, &exit), MF_VM_CRASH, "%s: kind %d", what,
		     exit.kind);
	cr_log_info("%s: %s", what, mf_vm_crash_name(exit.reason));
	cr_assert_eq(mf_vm_reset(vm), 0, "%s", what);
	cr_assert_eq(store_at(vm, LINEAR, 7, &exit), MF_VM_CALL, "%s: kind %d reason %d", what,
		     exit.kind, exit.reason);
	cr_assert_eq(mf_vm_reset(vm), 0, "%s", what);
}

Test(ownership, read_only_slot_and_lost_memory_are_contained_crashes, .timeout = 60)
{
	uint64_t word = 1;
	struct mf_vm vm;

	build();
	fork_vm(&vm);
	crashes_and_recovers(&vm, FILE_AT, "read-only slot");
	cr_assert_eq(ftruncate(file_fd, MF_PAGE), 0);
	crashes_and_recovers(&vm, FILE_AT + MF_PAGE, "file cut short under its slot");
	crashes_and_recovers(&vm, FILE_AT, "read-only slot");
	cr_assert_eq(pread(file_fd, &word, sizeof(word), 0), (ssize_t)sizeof(word));
	cr_expect_eq(word, 0, "the file was written");
	mf_vm_finish(&vm);
	finish();
	close(file_fd);
}

/* KVM resets the vCPU of a guest that cannot even take an exception: such a VM is not used again.
 */
Test(ownership, shutdown_ends_the_vm, .timeout = 60)
{
	struct mf_vm_exit exit;
	struct mf_vm vm;
	int ret;

	build();
	fork_vm(&vm);
	mf_pt_unmap(&vm.mem, MF_GVA(MF_VA_GDT), 2);
	cr_assert_eq(store_at(&vm, 0x10, 1, &exit), MF_VM_CRASH, "kind %d", exit.kind);
	ret = mf_vm_reset(&vm);
	cr_log_info("no descriptor tables: %s", mf_vm_crash_name(exit.reason));
	cr_expect_eq(ret, exit.reason == KVM_EXIT_SHUTDOWN ? -EIO : 0);
	mf_vm_finish(&vm);
	finish();
}

/* It writes an entry of its own that names an address far outside, then uses it. */
Test(ownership, forged_table_entry_reaches_nothing_of_the_host, .timeout = 60)
{
	static const uint64_t targets[] = {
		HOLE_GPA,     1ull << 35, 1ull << 36, 1ull << 39,
		(1ull << 51), 0xfee00000, 0xfffff000, FRAMES * (uint64_t)MF_PAGE};
	struct mf_vm_exit exit;
	struct mf_vm bystander;
	struct mf_vm vm;
	uint64_t frame;
	size_t i;

	build();
	fork_vm(&bystander);
	for (i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		enum mf_vm_exit_kind kind = MF_VM_CALL;

		fork_vm(&vm);
		/* Entry 511 of every table: of the leaf tables, the page at LINEAR + 511 pages is
		 * one. */
		for (frame = 1; frame < frames && kind == MF_VM_CALL; frame++)
			if (mf_frames_test(&vm.mem, MF_FRAMES_TABLE, MF_GPA(frame * MF_PAGE)))
				kind = store_at(&vm, LINEAR + frame * MF_PAGE + 511 * 8,
						targets[i] | 0x67, &exit);
		if (kind == MF_VM_CALL)
			kind = store_at(&vm, LINEAR + 511ull * MF_PAGE, 1, &exit);
		cr_expect_neq(kind, MF_VM_CALL, "a store to %lx came to its end",
			      (unsigned long)targets[i]);
		mf_vm_finish(&vm);
		is_untouched(&bystander, "another fork saw a write");
	}
	mf_vm_finish(&bystander);
	finish();
}
