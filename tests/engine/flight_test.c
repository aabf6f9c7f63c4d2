/* SPDX-License-Identifier: MIT */
/*
 * Requests that are ended at any moment, in the middle of code, of system calls or of a wait: the
 * VM is reset, its generation is raised, the next request is right and nothing is left.
 */
#include "tests/engine/harness.h"

#include <string.h>

SNIPPET(spin, "1: inc %rax; jmp 1b");
SNIPPET(write_memory,
	"1: xor %ecx, %ecx; 2: incl (%rsi,%rcx,4); inc %ecx; cmp $2048, %ecx; jne 2b; jmp 1b");
SNIPPET(calls, "1: mov $110, %eax; syscall; jmp 1b");
SNIPPET(maps, "1: mov $9, %eax; xor %edi, %edi; mov $65536, %esi; mov $3, %edx; mov $0x22, %r10d\n"
	      "mov $-1, %r8; xor %r9d, %r9d; syscall; movb $7, 4096(%rax); mov %rax, %rdi\n"
	      "mov $65536, %esi; mov $11, %eax; syscall; jmp 1b");
SNIPPET(protects,
	"mov %rsi, %rbx; 1: mov $10, %eax; mov %rbx, %rdi; mov $4096, %esi; mov $1, %edx; syscall\n"
	"mov $10, %eax; mov $7, %edx; syscall; incb (%rbx); jmp 1b");
SNIPPET(pipes, "mov %rsi, %rbx; 1: mov $22, %eax; mov %rbx, %rdi; syscall; mov (%rbx), %edi; mov "
	       "$3, %eax\n"
	       "syscall; jmp 1b");
SNIPPET(short_naps, "movq $0, (%rsi); movq $200000, 8(%rsi); mov %rsi, %rbx\n"
		    "1: mov %rbx, %rdi; xor %esi, %esi; mov $35, %eax; syscall; jmp 1b");
SNIPPET(long_nap, "movq $100, (%rsi); mov %rsi, %rdi; xor %esi, %esi; mov $35, %eax; syscall; ret");
SNIPPET(empty_pipe, "mov %rsi, %rbx; mov $22, %eax; mov %rbx, %rdi; syscall; mov (%rbx), %edi\n"
		    "lea 64(%rbx), %rsi; mov $64, %edx; xor %eax, %eax; syscall; ret");
SNIPPET(full_pipe,
	"mov %rsi, %rbx; mov $22, %eax; mov %rbx, %rdi; syscall\n"
	"1: mov 4(%rbx), %edi; mov %rbx, %rsi; mov $4096, %edx; mov $1, %eax; syscall; jmp 1b");
SNIPPET(poll_pipe, "mov %rsi, %rbx; mov $22, %eax; mov %rbx, %rdi; syscall; movl $1, 4(%rbx)\n"
		   "mov %rbx, %rdi; mov $1, %esi; mov $-1, %rdx; mov $7, %eax; syscall; ret");
SNIPPET(good, "mov $1024, %ecx; mov %rsi, %rdi; xor %eax, %eax; repe scasq; setne %al; ret");

#define ROW(name)                       \
	{                               \
#name, name, name##_end \
	}
static const struct row {
	const char *name;
	const uint8_t *code;
	const uint8_t *end;
} rows[] = {
	ROW(spin),       ROW(write_memory), ROW(calls),      ROW(maps),
	ROW(protects),   ROW(pipes),        ROW(short_naps), ROW(long_nap),
	ROW(empty_pipe), ROW(full_pipe),    ROW(poll_pipe),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct lab lab;
static struct guest guest;

/* Run for a random time, with some waits ended where they begin. */
static void run_and_kill(const struct row *row)
{
	unsigned int longest = is_emulated() ? 40000 : 3000;

	run_max_us = 1 + random_below(random_below(4) ? longest : 200);
	guest_deliver(&guest, "/", row->code, (size_t)(row->end - row->code));
	guest_go_on(&guest, random_below(2));
	run_max_us = RUN_MAX_US;
	cr_assert(guest.exit.kind == MF_EXIT_KICKED || guest.exit.kind == MF_EXIT_WAIT, "%s: %s",
		  row->name, guest.answer);
}

Test(flight, request_killed_at_any_moment_leaves_nothing, .timeout = 300)
{
	unsigned int count = rounds(60, 2000, 50000);
	unsigned int kinds[2] = {0};
	int descriptors;
	unsigned int i;

	lab_open(&lab, "bare", NULL);
	guest_fork(&guest, &lab);
	descriptors = count_descriptors();
	for (i = 0; i < count; i++) {
		const struct row *row = &rows[random_below(ROWS)];
		uint64_t generation = guest.process.vm.generation;

		run_and_kill(row);
		kinds[guest.exit.kind == MF_EXIT_WAIT]++;
		if (random_below(4) == 0)
			guest_reset_and_audit(&guest, row->name);
		else
			guest_reset(&guest);
		cr_assert_eq(guest.process.vm.generation, generation + 1);
		cr_assert_eq(guest_run(&guest, good, SNIPPET_BYTES(good)), 0, "after %s: %s",
			     row->name, guest.answer);
		cr_assert_eq(guest.user_exits, 1, "after %s: %lu exits", row->name,
			     (unsigned long)guest.user_exits);
		guest_reset(&guest);
	}
	guest_reset_and_audit(&guest, "all of it");
	cr_expect_eq(count_descriptors(), descriptors);
	cr_expect(kinds[0] && kinds[1]);
	cr_log_info("%u ended while running, %u while waiting", kinds[0], kinds[1]);
	guest_finish(&guest);
	lab_close(&lab);
}

/* A kick that comes when the request is over must not end the next one. */
Test(flight, kick_that_comes_late_is_spent_by_reset, .timeout = 60)
{
	lab_open(&lab, "bare", NULL);
	guest_fork(&guest, &lab);
	cr_assert_eq(guest_run(&guest, good, SNIPPET_BYTES(good)), 0);
	mf_vm_kick(&guest.process.vm, 8);
	guest_reset(&guest);
	cr_expect_eq(guest_run(&guest, good, SNIPPET_BYTES(good)), 0, "%s", guest.answer);
	guest_finish(&guest);
	lab_close(&lab);
}
