/* SPDX-License-Identifier: MIT */
/*
 * Memory and its mappings. Every dirty function also uses what it made, so that the CPU has the
 * translation; every look function reads, writes or executes at the very address.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE         4096ul
#define PAGES        32
#define NEAR_ADDRESS ((char *)0x200000000ul) /* no table below the top one there */
#define FAR_ADDRESS  ((char *)0x3210000000ul)
#define FAR_AWAY     ((char *)0x12345678000ul)
#define RW           (PROT_READ | PROT_WRITE)
#define RWX          (RW | PROT_EXEC)
#define LARGE        (2ul << 20) /* what one entry of a page table may map */
#define STACK_REACH  (700ul << 10)

static int word = 1;
static int zero_word;
static char big_zero[64 * PAGE] __attribute__((aligned(4096)));
static char filled[4 * PAGE] __attribute__((aligned(4096))) = {1};
static char *heap;
static char *area; /* PAGES pages, each filled with its letter */
static char *code; /* returns 1 */
static char *constant;
static char *nothing;
static char *large; /* three times LARGE, as few entries as possible */
static char *top;   /* the heap's end as it was */

/* mov $value, %eax; ret */
static void put_code(char *at, char value)
{
	const char bytes[] = {(char)0xb8, value, 0, 0, 0, (char)0xc3};

	memcpy(at, bytes, sizeof(bytes));
}

static int call(const void *at)
{
	int (*function)(void) = (int (*)(void))at;

	return function();
}

static char *page(int n)
{
	return area + (size_t)n * PAGE;
}

static void *map(void *at, size_t bytes, int prot, int more)
{
	return mmap(at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | more, -1, 0);
}

static void use(char *at, char value)
{
	*(volatile char *)at = value;
}

static void see(const char *at)
{
	say("%d ", *(const volatile char *)at);
}

static void see_and_write(char *at)
{
	see(at);
	use(at, 'W');
	see(at);
}

__attribute__((noinline, aligned(4096), section(".text.patched"))) static int patched(void)
{
	__asm__ volatile("" ::: "memory");
	return 5;
}

void prepare_memory(void)
{
	int i;

	heap = malloc(3000);
	memset(heap, 'h', 3000);
	area = map(NULL, PAGES * PAGE, RW, 0);
	for (i = 0; i < PAGES; i++)
		memset(page(i), 'A' + i, PAGE);
	code = map(NULL, PAGE, RW, 0);
	put_code(code, 1);
	mprotect(code, PAGE, PROT_READ | PROT_EXEC);
	constant = map(NULL, PAGE, RW, 0);
	memset(constant, 'c', PAGE);
	mprotect(constant, PAGE, PROT_READ);
	nothing = map(NULL, PAGE, RW, 0);
	memset(nothing, 'n', PAGE);
	mprotect(nothing, PAGE, PROT_NONE);
	large = map(NULL, 3 * LARGE, RW, MAP_POPULATE);
	memset(large, 'L', 2 * PAGE);
	memset(large + LARGE, 'M', 2 * PAGE);
	memset(large + 2 * LARGE, 'N', 2 * PAGE);
	memset(sbrk(16 * (long)PAGE), 'b', 16 * PAGE);
	top = sbrk(0);
}

static void dirty_data(void)
{
	word = 77;
	filled[3 * PAGE] = 9;
}

static void look_data(void)
{
	say("%d %d", word, filled[3 * PAGE]);
}

static void dirty_bss(void)
{
	zero_word = 5;
	memset(big_zero, 'z', sizeof(big_zero));
}

static void look_bss(void)
{
	size_t i;
	int sum = 0;

	for (i = 0; i < sizeof(big_zero); i += 512)
		sum += big_zero[i];
	say("%d %d", zero_word, sum);
}

static void dirty_heap(void)
{
	memset(heap, 'H', 3000);
	memset(malloc(200000), 'H', 200000);
	memset(malloc(500), 'H', 500);
}

static void look_heap(void)
{
	char *fresh = malloc(500);

	__asm__ volatile("" : : "r"(fresh) : "memory");
	say("%d %p %d", heap[2999], (void *)fresh, fresh[400]);
}

static void dirty_mapping(void)
{
	memset(page(0), 'x', 3 * PAGE);
}

static void look_mapping(void)
{
	see(page(0));
	see(page(2) + 4095);
}

/* Deep below the stack pointer, where the stack first has to grow. */
__attribute__((noinline)) static char *deep(void)
{
	return (char *)__builtin_frame_address(0) - STACK_REACH;
}

static void dirty_stack(void)
{
	char *at = deep();

	memset(at, 's', STACK_REACH - 2048);
}

static void look_stack(void)
{
	see(deep());
	see(deep() + STACK_REACH / 2);
	see(deep() + STACK_REACH - 8192);
}

static void dirty_new(void)
{
	use(map(NEAR_ADDRESS, 4 * PAGE, RW, MAP_FIXED), 'x');
}

static void look_new(void)
{
	see(NEAR_ADDRESS);
}

static void dirty_far(void)
{
	use(map(FAR_ADDRESS, PAGE, RW, MAP_FIXED), 'x');
	use(map(FAR_AWAY, PAGE, RW, MAP_FIXED), 'x');
}

static void look_far(void)
{
	see(FAR_AWAY);
}

static void dirty_unmap(void)
{
	see(page(1));
	munmap(page(1), PAGE);
}

static void look_unmap(void)
{
	see_and_write(page(1));
}

static void dirty_unmap_program(void)
{
	munmap(filled, sizeof(filled));
	munmap(big_zero, PAGE);
}

static void look_unmap_program(void)
{
	see_and_write(filled + PAGE);
	see_and_write(filled);
	see_and_write(big_zero);
}

static void dirty_replace(void)
{
	see(page(2));
	munmap(page(2), PAGE);
	use(map(page(2), PAGE, RW, MAP_FIXED), 'z');
}

static void look_replace(void)
{
	see_and_write(page(2));
}

static void dirty_over(void)
{
	see(page(6));
	see(map(page(6), 2 * PAGE, PROT_READ, MAP_FIXED));
}

static void look_over(void)
{
	see_and_write(page(6));
	see_and_write(page(7));
}

static void dirty_over_code(void)
{
	call(code);
	map(code, PAGE, RWX, MAP_FIXED);
	put_code(code, 9);
	say("%d ", call(code));
}

static void look_code(void)
{
	say("%d", call(code));
}

static void dirty_move(void)
{
	char *moved;

	see(page(3));
	map(page(4), PAGE, RW, MAP_FIXED);
	moved = mremap(page(3), PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	use(moved, 'm');
	use(moved + 63 * PAGE, 'm');
}

static void look_move(void)
{
	see_and_write(page(3));
}

/* Two pages change places: each address has the other's bytes. */
static void dirty_swap(void)
{
	char *first = mremap(page(8), PAGE, 40 * PAGE, MREMAP_MAYMOVE);

	map(page(8), PAGE, RW, MAP_FIXED);
	memcpy(page(8), page(9), PAGE);
	memcpy(page(9), first, PAGE);
}

static void look_swap(void)
{
	see(page(8));
	see(page(9));
}

static void dirty_readonly(void)
{
	use(page(10), 'x');
	mprotect(page(10), PAGE, PROT_READ);
	see(page(10));
}

static void look_readonly(void)
{
	see_and_write(page(10));
}

static void dirty_writable(void)
{
	see(constant);
	mprotect(constant, PAGE, RW);
	use(constant, 'x');
}

static void look_writable(void)
{
	use(constant, 'y');
	see(constant);
}

static void dirty_none(void)
{
	use(page(11), 'x');
	mprotect(page(11), PAGE, PROT_NONE);
}

static void look_none(void)
{
	see_and_write(page(11));
}

static void dirty_given(void)
{
	mprotect(nothing, PAGE, RW);
	use(nothing, 'x');
}

static void look_given(void)
{
	see(nothing);
}

static void dirty_nx_on(void)
{
	call(code);
	mprotect(code, PAGE, PROT_READ);
}

static void dirty_nx_off(void)
{
	mprotect(page(12), PAGE, RWX);
	put_code(page(12), 3);
	call(page(12));
}

static void look_nx_off(void)
{
	put_code(page(12), 4);
	say("%d", call(page(12)));
}

static void dirty_text(void)
{
	char *at = (char *)((uintptr_t)patched & ~(PAGE - 1));

	patched();
	mprotect(at, PAGE, RWX);
	put_code((char *)(uintptr_t)patched, 6);
	patched();
}

static void look_text(void)
{
	say("%d ", patched());
}

static void look_text_write(void)
{
	use((char *)(uintptr_t)patched + 64, 1);
	say("written");
}

static void dirty_text_writable(void)
{
	char *at = (char *)((uintptr_t)patched & ~(PAGE - 1));

	mprotect(at, PAGE, RWX);
	use((char *)(uintptr_t)patched + 64, 1);
}

static void dirty_dontneed(void)
{
	madvise(page(13), PAGE, MADV_DONTNEED);
	use(page(13) + 1, 'x');
}

static void look_dontneed(void)
{
	see(page(13));
	see(page(13) + 1);
}

/* Every other page: many ranges to flush. */
static void dirty_many(void)
{
	int i;

	for (i = 14; i < PAGES; i += 2) {
		use(page(i), 'x');
		mprotect(page(i), PAGE, PROT_READ);
		munmap(page(i + 1), PAGE);
	}
}

static void look_many(void)
{
	int i;

	for (i = 14; i < PAGES; i++)
		see_and_write(page(i));
}

static void use_large(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		use(large + (size_t)i * LARGE, 'u');
		use(large + (size_t)i * LARGE + PAGE, 'u');
		use(large + (size_t)(i + 1) * LARGE - PAGE, 'u');
	}
}

static void look_large(void)
{
	int i;

	for (i = 0; i < 3; i++) {
		see_and_write(large + (size_t)i * LARGE);
		see_and_write(large + (size_t)i * LARGE + PAGE);
		see_and_write(large + (size_t)(i + 1) * LARGE - PAGE);
	}
}

/* Parts: a page read-only, a page gone, a page of its own in the middle of nothing. */
static void dirty_large_parts(void)
{
	use_large();
	mprotect(large + PAGE, PAGE, PROT_READ);
	munmap(large + LARGE, PAGE);
	munmap(large + 2 * LARGE, LARGE - PAGE);
	use(map(large + 2 * LARGE, PAGE, RW, MAP_FIXED), 'x');
}

static void dirty_large_protected(void)
{
	use_large();
	mprotect(large, 3 * LARGE, PROT_READ);
}

/* The first and the third change places, the second is new memory. */
static void dirty_large_moved(void)
{
	char *first;

	use_large();
	first = mremap(large, LARGE, 2 * LARGE, MREMAP_MAYMOVE);
	use(first + PAGE, 'm');
	map(large, LARGE, RW, MAP_FIXED | MAP_POPULATE);
	memcpy(large, large + 2 * LARGE, LARGE);
	munmap(large + LARGE, LARGE);
	use(map(large + LARGE, LARGE, RW, MAP_FIXED | MAP_POPULATE) + PAGE, 'w');
}

static void dirty_brk_grow(void)
{
	char *at = sbrk(64 * (long)PAGE);

	memset(at, 'g', 64 * PAGE);
}

static void look_brk(void)
{
	say("%d ", (char *)sbrk(0) == top);
	see(top - 1);
	see(top);
}

static void dirty_brk_shrink(void)
{
	sbrk(-8 * (long)PAGE);
}

static void look_brk_shrink(void)
{
	say("%d ", (char *)sbrk(0) == top);
	see_and_write(top - 1);
	see_and_write(top - 8 * PAGE);
}

/* Shrink and grow again: fresh pages in the place of those of the image. */
static void dirty_brk_renew(void)
{
	sbrk(-8 * (long)PAGE);
	sbrk(8 * (long)PAGE);
	see(top - 1);
}

const struct state state_memory[] = {
	{"data", dirty_data, look_data},
	{"bss", dirty_bss, look_bss},
	{"heap", dirty_heap, look_heap},
	{"mapping", dirty_mapping, look_mapping},
	{"stack", dirty_stack, look_stack},
	{"new-mapping", dirty_new, look_new},
	{"far-tables", dirty_far, look_far},
	{"unmap", dirty_unmap, look_unmap},
	{"unmap-program", dirty_unmap_program, look_unmap_program},
	{"replace", dirty_replace, look_replace},
	{"fixed-over-data", dirty_over, look_over},
	{"fixed-over-code", dirty_over_code, look_code},
	{"mremap", dirty_move, look_move},
	{"swap-pages", dirty_swap, look_swap},
	{"rw-to-ro", dirty_readonly, look_readonly},
	{"ro-to-rw", dirty_writable, look_writable},
	{"rw-to-none", dirty_none, look_none},
	{"none-to-rw", dirty_given, look_given},
	{"nx-on", dirty_nx_on, look_code},
	{"nx-off", dirty_nx_off, look_nx_off},
	{"text-patched", dirty_text, look_text},
	{"text-writable", dirty_text_writable, look_text_write},
	{"dontneed", dirty_dontneed, look_dontneed},
	{"many-ranges", dirty_many, look_many},
	{"large-parts", dirty_large_parts, look_large},
	{"large-protected", dirty_large_protected, look_large},
	{"large-moved", dirty_large_moved, look_large},
	{"brk-grow", dirty_brk_grow, look_brk},
	{"brk-shrink", dirty_brk_shrink, look_brk_shrink},
	{"brk-renew", dirty_brk_renew, look_brk_shrink},
	{NULL, NULL, NULL},
};
