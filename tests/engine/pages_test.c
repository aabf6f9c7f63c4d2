/* SPDX-License-Identifier: MIT */
/*
 * Mappings of all sizes against a model: pages are mapped, protected, moved, zeroed and unmapped at
 * random, in whole and in part of what one entry of 2 MiB maps; after each edit the guest itself
 * reads, writes and executes at random places and must meet what the model says, and nothing that
 * an older translation says. In forks, each request's edits are undone and its image's mappings met
 * again.
 */
#include "tests/engine/harness.h"

#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE      0x40000000ull
#define PAGES     (6 * MF_HUGE_PAGES) /* of the range that is played with */
#define CODE      0x10000000ull
#define SCRATCH   0x10001000ull /* a list of addresses, and the stack */
#define LIST_MAX  256u
#define STRIDE    61u
#define MEMORY    (40ull << 20)
#define FAULT     UINT64_MAX
#define CODE_BYTE 0xc3u /* ret: the first byte of every page that was written */

SNIPPET(code, "load: mov (%rdi), %rax; out %eax, $0x10\n"
	      "store: mov %rsi, (%rdi); out %eax, $0x10\n"
	      "fetch: call *%rdi; xor %eax, %eax; out %eax, $0x10\n"
	      "many: mov (%rdi), %rax; mov (%rax), %rax; mov %rax, (%rdi); add $8, %rdi\n"
	      "dec %esi; jnz many; out %eax, $0x10\n");
extern const uint8_t load[], store[], fetch[], many[];

struct page {
	bool mapped;
	int prot;
	uint64_t value; /* of its first eight bytes */
};

struct model {
	struct page pages[PAGES];
};

static struct mf_kvm kvm;
static struct model model;
static struct model image_model;
static struct mf_vm_exit last; /* the last one */

static struct mf_gva at(size_t page)
{
	return MF_GVA(BASE + page * MF_PAGE);
}

static void open_kvm(void)
{
	struct mf_error err = {0};
	int ret = mf_kvm_open(&kvm, NULL, &err);

	if (ret == -2 || ret == -13)
		cr_skip_test("%s", err.text);
	cr_assert_eq(ret, 0, "%s", err.text);
}

static uint8_t *own_page(struct mf_vm *vm, uint64_t va, int prot)
{
	struct mf_gpa gpa;

	cr_assert_eq(mf_frames_take(&vm->mem, 1, &gpa), 1);
	cr_assert_eq(mf_pt_map(&vm->mem, MF_GVA(va), gpa, 1, prot), 0);
	return mf_mem_at(&vm->mem, gpa, MF_PAGE);
}

/* Run one of the pieces of code; RAX, or FAULT. */
static uint64_t run(struct mf_vm *vm, const uint8_t *piece, uint64_t rdi, uint64_t rsi)
{
	struct kvm_regs regs = {.rip = CODE + (uint64_t)(piece - code),
				.rdi = rdi,
				.rsi = rsi,
				.rsp = SCRATCH + 2 * MF_PAGE,
				.rflags = 0x202};

	/* An image may have been taken in the middle of a report of ring 0: nobody goes on there.
	 */
	if (!mf_vm_settle(vm))
		mf_vm_enter_ring_3(vm);
	mf_vm_load_user(vm, &regs, 0, 0);
	watch_vm(vm, 2000000);
	mf_vm_run(vm, &last);
	watch_vm(NULL, 0);
	cr_assert(last.kind == MF_VM_CALL || (last.kind == MF_VM_FAULT && last.vector == 14),
		  "kind %d reason %d vector %d rip %lx", last.kind, last.reason, last.vector,
		  (unsigned long)last.rip);
	return last.kind == MF_VM_CALL ? mf_vm_regs(vm)->rax : FAULT;
}

static void create(struct mf_vm *vm, bool plain)
{
	struct mf_error err = {0};

	cr_assert_eq(mf_vm_create_blank(vm, &kvm, plain, MEMORY, 4096, &err), 0, "%s", err.text);
	memcpy(own_page(vm, CODE, MF_READ | MF_EXEC), code, SNIPPET_BYTES(code));
	own_page(vm, SCRATCH, MF_READ | MF_WRITE);
	own_page(vm, SCRATCH + MF_PAGE, MF_READ | MF_WRITE);
	memset(&model, 0, sizeof(model));
}

/* A page's value as the guest may read it; FAULT where it may not. */
static uint64_t readable(const struct page *page)
{
	return page->mapped && page->prot ? page->value : FAULT;
}

static void check_page(struct mf_vm *vm, size_t i, const char *when)
{
	struct page *page = &model.pages[i];
	uint64_t value = random_u64() << 8 | CODE_BYTE;
	bool writable = page->mapped && page->prot & MF_WRITE;
	bool executable = page->mapped && page->prot & MF_EXEC;
	uint64_t got;
	struct mf_gpa gpa;

	cr_assert_eq(mf_pt_lookup(&vm->mem, at(i), &gpa), page->mapped, "%s, page %zu", when, i);
	cr_assert_eq(mf_pt_translate(&vm->mem, at(i), MF_WRITE, &gpa), writable, "%s, page %zu",
		     when, i);
	got = run(vm, load, at(i).at, 0);
	cr_assert_eq(got, readable(page), "%s, page %zu: read %lx, not %lx", when, i,
		     (unsigned long)got, (unsigned long)readable(page));
	if (random_below(2)) {
		got = run(vm, store, at(i).at, value);
		cr_assert_eq(got != FAULT, writable, "%s, page %zu: write", when, i);
		page->value = writable ? value : page->value;
	}
	if (executable && !page->value)
		return; /* no code there */
	got = run(vm, fetch, at(i).at, 0);
	cr_assert_eq(got != FAULT, executable, "%s, page %zu: execute", when, i);
}

static void check_list(struct mf_vm *vm, const size_t *list, size_t count, const char *when)
{
	uint64_t words[LIST_MAX];
	size_t i;

	for (i = 0; i < count; i++)
		words[i] = at(list[i]).at;
	cr_assert_eq(mf_pt_write(&vm->mem, MF_GVA(SCRATCH), words, count * 8), 0);
	cr_assert_neq(run(vm, many, SCRATCH, count), FAULT,
		      "%s: page %zu is there and faults, at %lx with error %lx", when,
		      (last.address - BASE) / MF_PAGE, (unsigned long)last.address,
		      (unsigned long)last.error_code);
	cr_assert_eq(mf_pt_read(&vm->mem, MF_GVA(SCRATCH), words, count * 8), 0);
	for (i = 0; i < count; i++)
		cr_assert_eq(words[i], model.pages[list[i]].value, "%s, page %zu: %lx, not %lx",
			     when, list[i], (unsigned long)words[i],
			     (unsigned long)model.pages[list[i]].value);
}

/* Every so many of the readable pages in one run, always the same, so that their translations are
 * known to the CPU when they are edited; and some pages closely. */
static void check(struct mf_vm *vm, size_t stride, unsigned int closely, const char *when)
{
	size_t list[LIST_MAX];
	size_t count = 0;
	size_t i;

	for (i = 0; i < PAGES; i += stride) {
		if (readable(&model.pages[i]) == FAULT)
			continue;
		list[count++] = i;
		if (count == LIST_MAX) {
			check_list(vm, list, count, when);
			count = 0;
		}
	}
	if (count)
		check_list(vm, list, count, when);
	while (closely--)
		check_page(vm, random_below(PAGES), when);
}

static size_t absent_pages(size_t from, size_t most)
{
	size_t count = 0;

	while (count < most && from + count < PAGES && !model.pages[from + count].mapped)
		count++;
	return count;
}

static int random_prot(void)
{
	static const int prots[] = {0, MF_READ, MF_READ | MF_WRITE, MF_READ | MF_EXEC,
				    MF_READ | MF_WRITE | MF_EXEC};

	return prots[random_below(5)];
}

/* Map what is absent from `from` on, 2 MiB at once where they fit (and mostly are given). */
static void do_map(struct mf_vm *vm, size_t from, size_t pages)
{
	int prot = random_prot();

	for (pages = absent_pages(from, pages); pages;) {
		size_t left = MF_HUGE_PAGES - from % MF_HUGE_PAGES;
		size_t count = pages < left ? pages : left;
		struct mf_gpa gpa;
		size_t i;

		if (count < MF_HUGE_PAGES || !random_below(5) ||
		    !mf_frames_take_huge(&vm->mem, &gpa))
			count = mf_frames_take(&vm->mem, count, &gpa);
		if (count && mf_pt_map(&vm->mem, at(from), gpa, count, prot)) {
			mf_frames_give(&vm->mem, gpa, count);
			count = 0;
		}
		if (!count)
			return; /* no memory */
		for (i = 0; i < count; i++)
			model.pages[from + i] = (struct page){true, prot, 0};
		from += count;
		pages -= count;
	}
}

static void do_protect(struct mf_vm *vm, size_t from, size_t pages)
{
	int prot = random_prot();
	size_t i;

	mf_pt_protect(&vm->mem, at(from), pages, prot);
	for (i = from; i < from + pages; i++)
		model.pages[i].prot = prot;
}

static void do_unmap(struct mf_vm *vm, size_t from, size_t pages)
{
	mf_pt_unmap(&vm->mem, at(from), pages);
	memset(&model.pages[from], 0, pages * sizeof(model.pages[0]));
}

static void do_zero(struct mf_vm *vm, size_t from, size_t pages)
{
	size_t i;

	mf_pt_zero(&vm->mem, at(from), pages);
	for (i = from; i < from + pages; i++)
		model.pages[i].value = 0;
}

static void do_move(struct mf_vm *vm, size_t from, size_t pages)
{
	size_t to = random_below(PAGES);

	if (random_below(2))
		to = to / MF_HUGE_PAGES * MF_HUGE_PAGES + from % MF_HUGE_PAGES;
	pages = absent_pages(to, pages);
	if (!pages || (to < from + pages && from < to + pages) ||
	    mf_pt_move(&vm->mem, at(from), at(to), pages))
		return;
	memcpy(&model.pages[to], &model.pages[from], pages * sizeof(model.pages[0]));
	memset(&model.pages[from], 0, pages * sizeof(model.pages[0]));
}

/* Whole pieces of 2 MiB, or anything. */
static void random_range(size_t *from, size_t *pages)
{
	unsigned int kind = random_below(4);
	size_t most;

	*from = random_below(PAGES);
	if (kind < 2)
		*from = *from / MF_HUGE_PAGES * MF_HUGE_PAGES;
	most = PAGES - *from;
	*pages = kind == 0   ? (1 + random_below(3)) * MF_HUGE_PAGES
		 : kind == 1 ? 1 + random_below(2 * MF_HUGE_PAGES)
			     : 1 + random_below(kind == 2 ? 8 : 700);
	*pages = *pages < most ? *pages : most;
}

static const struct edit {
	const char *name;
	void (*run)(struct mf_vm *vm, size_t from, size_t pages);
} edits[] = {{"map", do_map},         {"map", do_map},     {"map", do_map},
	     {"protect", do_protect}, {"unmap", do_unmap}, {"protect", do_protect},
	     {"move", do_move},       {"zero", do_zero}};

/* Pages of an edited range: its ends, and some that were used before. */
static void check_range(struct mf_vm *vm, size_t from, size_t pages, const char *when)
{
	size_t warm = (pages + STRIDE - 1) / STRIDE;
	size_t i = (from + STRIDE - 1) / STRIDE * STRIDE;
	int more = 3;

	for (; more-- && i < from + pages; i += (1 + random_below((unsigned int)warm)) * STRIDE)
		check_page(vm, i, when);
	check_page(vm, from, when);
	check_page(vm, from + pages - 1, when);
	if (from + pages < PAGES)
		check_page(vm, from + pages, when);
}

static void play(struct mf_vm *vm, unsigned int count)
{
	while (count--) {
		const struct edit *edit = &edits[random_below(8)];
		char when[80];
		size_t pages;
		size_t from;

		random_range(&from, &pages);
		edit->run(vm, from, pages);
		snprintf(when, sizeof(when), "after %s of %zu pages from %zu", edit->name, pages,
			 from);
		check_range(vm, from, pages, when);
		check(vm, STRIDE, 1, when);
	}
}

static uint64_t tables(const struct mf_vm *vm)
{
	uint64_t frame;
	uint64_t count = 0;

	for (frame = 0; frame < mf_mem_arena(&vm->mem)->frames_high; frame++)
		count += mf_frames_test(&vm->mem, MF_FRAMES_TABLE, MF_GPA(frame * MF_PAGE));
	return count;
}

static void play_blank(bool plain)
{
	uint64_t others;
	struct mf_vm vm;

	open_kvm();
	create(&vm, plain);
	others = mf_mem_arena(&vm.mem)->frames_used - tables(&vm);
	play(&vm, rounds(30, 500, 20000));
	do_unmap(&vm, 0, PAGES);
	check(&vm, 1, 20, "all unmapped");
	cr_expect_eq(mf_mem_arena(&vm.mem)->frames_used - tables(&vm), others,
		     "frames were lost or given back twice");
	cr_expect_eq(mf_mem_arena(&vm.mem)->huge_entries, 0);
	mf_vm_finish(&vm);
	mf_kvm_close(&kvm);
}

Test(pages, any_sequence_of_edits_is_what_the_guest_meets, .timeout = 300)
{
	play_blank(false);
}

Test(pages, any_sequence_of_edits_in_memory_of_huge_pages, .timeout = 300)
{
	play_blank(true);
}

static void audit(struct mf_vm *vm, const char *when)
{
	struct mf_error err = {0};

	cr_assert_eq(mf_vm_audit(vm, NULL, NULL, &err), 0, "%s: %s", when, err.text);
}

Test(pages, each_request_meets_the_mappings_of_its_image, .timeout = 300)
{
	unsigned int count = rounds(6, 60, 3000);
	struct mf_error err = {0};
	struct mf_image image;
	struct mf_vm vm;
	unsigned int i;

	open_kvm();
	create(&vm, false);
	play(&vm, rounds(10, 40, 40));
	do_map(&vm, 0, PAGES);
	image_model = model;
	cr_assert_neq(run(&vm, load, SCRATCH, 0), FAULT); /* frozen in ring 3 */
	cr_assert_eq(mf_image_freeze(&vm, &image, &err), 0, "%s", err.text);
	cr_assert_eq(mf_vm_fork(&vm, &image, &err), 0, "%s", err.text);
	for (i = 0; i < count; i++) {
		model = image_model;
		check(&vm, i % 4 ? STRIDE : 1, 4, "image's mappings");
		play(&vm, random_below(5));
		cr_assert_eq(mf_vm_reset(&vm), 0);
		if (i % 4 == 0)
			audit(&vm, "after a reset");
	}
	mf_vm_finish(&vm);
	mf_image_finish(&image);
	mf_kvm_close(&kvm);
}

static void map_constant(struct mf_vm *vm, size_t page)
{
	struct mf_gpa gpa;

	cr_assert(mf_frames_take_huge(&vm->mem, &gpa));
	cr_assert_eq(mf_pt_map(&vm->mem, at(page), gpa, MF_HUGE_PAGES, MF_READ | MF_WRITE), 0);
	memset(mf_mem_at(&vm->mem, gpa, MF_HUGE), 5, MF_HUGE);
	mf_pt_protect(&vm->mem, at(page), MF_HUGE_PAGES, MF_READ);
}

/* What the program itself made read-only, 2 MiB at a time, costs a fork one fault each. */
Test(pages, large_constants_of_an_image_are_huge_pages, .timeout = 60)
{
	struct mf_error err = {0};
	struct mf_image image;
	uint64_t faults;
	struct mf_vm vm;
	size_t page;

	open_kvm();
	create(&vm, false);
	for (page = 0; page < PAGES; page += MF_HUGE_PAGES)
		map_constant(&vm, page);
	cr_assert_neq(run(&vm, load, SCRATCH, 0), FAULT);
	cr_assert_eq(mf_image_freeze(&vm, &image, &err), 0, "%s", err.text);
	if (!image.backing.huge_pages)
		cr_log_info("this host makes no huge pages of a sealed file");
	cr_assert_eq(mf_vm_fork(&vm, &image, &err), 0, "%s", err.text);
	cr_assert_neq(run(&vm, load, SCRATCH, 0), FAULT);
	faults = mf_kvm_vm_stat(&vm.kvm, kvm.stat_pf_taken);
	for (page = 0; page < PAGES; page += 16)
		cr_assert_eq(run(&vm, load, at(page).at, 0), 0x0505050505050505ull);
	faults = mf_kvm_vm_stat(&vm.kvm, kvm.stat_pf_taken) - faults;
	if (image.backing.huge_pages == PAGES / MF_HUGE_PAGES)
		cr_expect_leq(faults, 2 * image.backing.huge_pages, "%lu faults",
			      (unsigned long)faults);
	fprintf(stderr, "%zu huge pages, %lu faults\n", image.backing.huge_pages,
		(unsigned long)faults);
	/* A request makes one of them writable and writes it; the next finds it as it was. */
	mf_pt_protect(&vm.mem, at(3), 1, MF_READ | MF_WRITE);
	cr_expect_eq(run(&vm, store, at(3).at, 1), 0);
	cr_assert_eq(mf_vm_reset(&vm), 0);
	audit(&vm, "a write into a huge page");
	cr_expect_eq(run(&vm, load, at(3).at, 0), 0x0505050505050505ull);
	cr_expect_eq(run(&vm, store, at(3).at, 1), FAULT);
	mf_vm_finish(&vm);
	mf_image_finish(&image);
	mf_kvm_close(&kvm);
}

/* One entry of 2 MiB where that is possible; split where only a part of it changes. */
Test(pages, two_mib_are_one_entry_until_a_part_differs, .timeout = 60)
{
	struct mf_arena *arena;
	struct mf_gpa gpa;
	uint64_t used;
	struct mf_vm vm;

	open_kvm();
	create(&vm, false);
	arena = mf_mem_arena(&vm.mem);
	cr_assert(mf_frames_take_huge(&vm.mem, &gpa));
	cr_expect_eq(gpa.at % MF_HUGE, 0);
	used = arena->frames_used;
	cr_assert_eq(mf_pt_map(&vm.mem, at(0), gpa, MF_HUGE_PAGES, MF_READ | MF_WRITE), 0);
	cr_expect_eq(arena->huge_entries, 1);
	cr_expect_leq(arena->frames_used, used + 2, "tables above, none below");
	used = arena->frames_used;
	mf_pt_protect(&vm.mem, at(0), MF_HUGE_PAGES, MF_READ);
	cr_expect_eq(arena->huge_entries, 1);
	cr_assert_eq(mf_pt_move(&vm.mem, at(0), at(MF_HUGE_PAGES), MF_HUGE_PAGES), 0);
	cr_expect_eq(arena->huge_entries, 1);
	cr_expect_eq(mf_pt_absent(&vm.mem, at(0), PAGES), MF_HUGE_PAGES);
	mf_pt_protect(&vm.mem, at(MF_HUGE_PAGES + 3), 1, 0);
	cr_expect_eq(arena->huge_entries, 0);
	cr_expect_eq(arena->frames_used, used + 1);
	mf_vm_finish(&vm);
	mf_kvm_close(&kvm);
}

/* The table that a split needs is kept back: it is there when no other frame is left. */
Test(pages, split_needs_no_memory, .timeout = 60)
{
	struct mf_gpa gpa;
	struct mf_vm vm;

	open_kvm();
	create(&vm, false);
	cr_assert(mf_frames_take_huge(&vm.mem, &gpa));
	cr_assert_eq(mf_pt_map(&vm.mem, at(0), gpa, MF_HUGE_PAGES, MF_READ | MF_WRITE), 0);
	while (mf_frames_take(&vm.mem, 1000, &gpa))
		;
	cr_expect_eq(mf_frames_left(&vm.mem), 0);
	cr_expect_eq(run(&vm, store, at(5).at, 55), 0);
	mf_pt_unmap(&vm.mem, at(7), 1);
	cr_expect_not(vm.mem.broken);
	cr_expect_eq(run(&vm, load, at(5).at, 0), 55);
	cr_expect_eq(run(&vm, load, at(7).at, 0), FAULT);
	cr_expect_eq(mf_frames_left(&vm.mem), 1);
	mf_vm_finish(&vm);
	mf_kvm_close(&kvm);
}

static uint64_t faults_of_a_turn(struct mf_vm *vm)
{
	uint64_t before = mf_kvm_vm_stat(&vm->kvm, kvm.stat_pf_taken);
	size_t page;

	mf_pt_protect(&vm->mem, at(7), 1, MF_READ);
	mf_pt_protect(&vm->mem, at(7), 1, MF_READ | MF_WRITE);
	for (page = 7; page < 400; page += 56)
		cr_assert_eq(run(vm, store, at(page).at, 9), 0);
	return mf_kvm_vm_stat(&vm->kvm, kvm.stat_pf_taken) - before;
}

/* A page loses a right and has it back: its neighbours meet no fault. */
Test(pages, edits_leave_the_neighbours_their_translations, .timeout = 60)
{
	int plain;

	open_kvm();
	for (plain = 0; plain < 2; plain++) {
		struct mf_gpa gpa;
		struct mf_vm vm;
		int turn;

		create(&vm, plain);
		cr_assert_eq(mf_frames_take(&vm.mem, 400, &gpa), 400);
		cr_assert_eq(mf_pt_map(&vm.mem, at(0), gpa, 400, MF_READ | MF_WRITE), 0);
		faults_of_a_turn(&vm);
		for (turn = 0; turn < 10; turn++)
			cr_expect_leq(faults_of_a_turn(&vm), 1, "turn %d", turn);
		mf_vm_finish(&vm);
	}
	mf_kvm_close(&kvm);
}
