/* SPDX-License-Identifier: MIT */
/*
 * Every way in which a request can leave the machine half-way, as its last act: the next request on
 * the same VM gets the right answer, and the audit is clean. Each row is a few instructions.
 */
#include "tests/engine/harness.h"

#include <mayfly/abi/call.h>

#include <stdio.h>
#include <string.h>

static struct lab lab;
static struct guest guest;

/* The request that must work after anything: is all that a rogue instruction could finish into
 * still as in the image? Both scratch pages are zero and the direction flag is clear; then 0x600d.
 */
SNIPPET(good, "mov $1024, %ecx\n"
	      "mov %rsi, %rdi\n"
	      "xor %eax, %eax\n"
	      "repe scasq\n"
	      "jne 1f\n"
	      "lea 8192(%rsi), %rdx\n"
	      "cmp %rdx, %rdi\n"
	      "jne 1f\n"
	      "mov $0x600d, %eax\n"
	      "ret\n"
	      "1: mov $0xbad, %eax\n"
	      "ret");

/* I/O of every kind that is not the call. RSI = scratch. */
SNIPPET(in_dword, "in $0x10, %eax; ret");
SNIPPET(in_byte, "in $0x10, %al; ret");
SNIPPET(in_word, "mov $0x10, %edx; in %dx, %ax; ret");
SNIPPET(in_fault_port, "mov $0x2e, %edx; in %dx, %al; ret");
SNIPPET(in_far, "mov $0x3f8, %edx; in %dx, %al; ret");
SNIPPET(rep_insb, "mov %rsi, %rdi; mov $0x10, %edx; mov $64, %ecx; rep insb; ret");
SNIPPET(rep_insl, "mov %rsi, %rdi; mov $0x10, %edx; mov $16, %ecx; rep insl; ret");
SNIPPET(rep_insb_canvas, "lea 8448(%rsi), %rdi; mov $0x10, %edx; mov $64, %ecx; rep insb; ret");
SNIPPET(rep_insb_pages, "lea 4064(%rsi), %rdi; mov $0x10, %edx; mov $64, %ecx; rep insb; ret");
SNIPPET(rep_insb_down, "lea 4200(%rsi), %rdi; std; mov $0x10, %edx; mov $200, %ecx; rep insb; ret");
SNIPPET(rep_insb_huge, "mov %rsi, %rdi; mov $0x10, %edx; mov $8192, %ecx; rep insb; ret");
SNIPPET(insl, "lea 4094(%rsi), %rdi; mov $0x10, %edx; insl; ret");
SNIPPET(rep_outsb, "mov $0x10, %edx; mov $64, %ecx; rep outsb; ret");
SNIPPET(rep_outsl, "mov $0x10, %edx; mov $16, %ecx; rep outsl; ret");
SNIPPET(rep_outsl_pages, "add $4092, %rsi; mov $0x10, %edx; mov $4, %ecx; rep outsl; ret");
SNIPPET(outsl, "mov $0x10, %edx; outsl; ret");
/* The number of a call that ends the request, in the middle of a string instruction. */
SNIPPET(ready_by_outsl, "mov $0x4d460000, %eax; mov $0x10, %edx; outsl; ud2");
SNIPPET(ready_by_rep_outsl, "mov $0x4d460000, %eax; mov $0x10, %edx; mov $9, %ecx; rep outsl; ud2");
SNIPPET(ready_by_outsl_split,
	"mov $0x4d460000, %eax; mov $0x10, %edx; add $4094, %rsi; outsl; ud2");
SNIPPET(out_byte, "out %al, $0x10; ret");
SNIPPET(out_word, "mov $0x10, %edx; out %ax, %dx; ret");
SNIPPET(out_odd, "mov $0x11, %edx; out %al, %dx; ret");
SNIPPET(out_across, "mov $0x12, %edx; out %eax, %dx; ret");
SNIPPET(out_other, "mov $0x18, %edx; out %eax, %dx; ret");
SNIPPET(out_far, "mov $0xcfc, %edx; out %eax, %dx; ret");
SNIPPET(out_last, "mov $0xffff, %edx; out %al, %dx; ret");
SNIPPET(forged_page_fault, "mov $0x2e, %edx; out %al, %dx; ret");
SNIPPET(forged_fault_imm, "out %al, $0x2e; ret");
SNIPPET(forged_divide, "mov $0x20, %edx; out %al, %dx; ret");
/* Instructions that ring 3 must not have. */
SNIPPET(hlt, "hlt; ret");
SNIPPET(cli, "cli; ret");
SNIPPET(sti, "sti; ret");
SNIPPET(cpuid_insn, "xor %eax, %eax; cpuid; mov %rbx, %rax; ret");
SNIPPET(cpuid_bad, "mov $0x4fffffff, %eax; mov $77, %ecx; cpuid; ret");
SNIPPET(rdpmc, "xor %ecx, %ecx; rdpmc; ret");
SNIPPET(rdtsc, "rdtsc; ret");
SNIPPET(rdtscp, "rdtscp; ret");
SNIPPET(rdmsr, "mov $0xc0000082, %ecx; rdmsr; ret");
SNIPPET(wrmsr, "mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; ret");
SNIPPET(xsetbv, "xor %ecx, %ecx; mov $1, %eax; xor %edx, %edx; xsetbv; ret");
SNIPPET(swapgs, "swapgs; ret");
SNIPPET(clts, "clts; ret");
SNIPPET(lmsw, "xor %eax, %eax; lmsw %ax; ret");
SNIPPET(smsw, "smsw %rax; ret");
SNIPPET(sgdt, "sgdt (%rsi); ret");
SNIPPET(sidt, "sidt (%rsi); ret");
SNIPPET(sldt, "sldt %eax; ret");
SNIPPET(str, "str %eax; ret");
SNIPPET(lldt, "mov $0x20, %eax; lldt %ax; ret");
SNIPPET(ltr, "mov $0x40, %eax; ltr %ax; ret");
SNIPPET(lgdt, "lgdt (%rsi); ret");
SNIPPET(lidt, "lidt (%rsi); ret");
SNIPPET(invlpg, "invlpg (%rsi); ret");
SNIPPET(wbinvd, "wbinvd; ret");
SNIPPET(mov_cr0, "mov %cr0, %rax; ret");
SNIPPET(mov_to_cr3, "xor %eax, %eax; mov %rax, %cr3; ret");
SNIPPET(mov_to_cr8, "mov %rax, %cr8; ret");
SNIPPET(mov_dr, "mov %dr7, %rax; ret");
SNIPPET(mov_to_dr, "mov $0x401, %eax; mov %rax, %dr7; ret");
SNIPPET(sysret_insn, "mov %rsi, %rcx; mov $0x202, %r11d; sysretq");
SNIPPET(sysexit_insn, "sysexitl");
SNIPPET(sysenter_insn, "mov %rsp, %rcx; lea 1f(%rip), %rdx; sysenter; 1: ret");
SNIPPET(iretq_insn, "push $0x23; push %rsi; push $0x3002; push $0x08; push %rsi; iretq");
SNIPPET(monitor, "mov %rsi, %rax; xor %ecx, %ecx; xor %edx, %edx; monitor; mwait; ret");
SNIPPET(vmcall_insn, "mov $1, %eax; vmcall; ret");
SNIPPET(vmmcall_insn, "mov $1, %eax; vmmcall; ret");
SNIPPET(vmrun_insn, "mov %rsi, %rax; vmrun; ret");
SNIPPET(vmlaunch_insn, "vmlaunch; ret");
SNIPPET(getsec_insn, ".byte 0x0f, 0x37; ret");
SNIPPET(encls, ".byte 0x0f, 0x01, 0xcf; ret");
SNIPPET(pvm_hypercall, "mov $0x17088200, %eax; mov $1, %ebx; syscall; vmcall; ret");
/* Exceptions. */
SNIPPET(ud2_insn, "ud2");
SNIPPET(ud0_insn, ".byte 0x0f, 0xff, 0xc0; ret");
SNIPPET(int3_insn, "int3; ret");
SNIPPET(int1_insn, ".byte 0xf1; ret");
SNIPPET(int_80, "mov $20, %eax; int $0x80; ret");
SNIPPET(int_0, "int $0; ret");
SNIPPET(int_2, "int $2; ret");
SNIPPET(int_8, "int $8; ret");
SNIPPET(int_14, "int $14; ret");
SNIPPET(int_255, "int $255; ret");
SNIPPET(into_32, ".byte 0xce; ret");
SNIPPET(divide, "xor %ecx, %ecx; xor %edx, %edx; mov $1, %eax; div %ecx; ret");
SNIPPET(single_step, "pushfq; orl $0x100, (%rsp); popfq; nop; nop; ret");
SNIPPET(step_over_out,
	"mov $0x4d46ffff, %eax; pushfq; orl $0x100, (%rsp); popfq; out %eax, $0x10; ret");
SNIPPET(step_over_syscall, "mov $39, %eax; pushfq; orl $0x100, (%rsp); popfq; syscall; nop; ret");
SNIPPET(step_after_ss,
	"mov %ss, %ecx; pushfq; orl $0x100, (%rsp); popfq; mov %ecx, %ss; syscall; ret");
SNIPPET(ss_shadow_out, "mov %ss, %ecx; mov $0x4d46ffff, %eax; mov %ecx, %ss; out %al, $0x10; ret");
SNIPPET(alignment, "pushfq; orl $0x40000, (%rsp); popfq; mov 1(%rsi), %rax; ret");
SNIPPET(x87_error,
	"fninit; pushq $0x0300; fldcw (%rsp); fldz; fld1; fdiv %st(1), %st; fwait; pop %rcx; ret");
SNIPPET(simd_error,
	"pushq $0; ldmxcsr (%rsp); xorps %xmm0, %xmm0; divps %xmm0, %xmm0; pop %rcx; ret");
SNIPPET(read_null, "xor %ecx, %ecx; mov (%rcx), %rax; ret");
SNIPPET(read_kernel, "mov $0xffffffff81000000, %rcx; mov (%rcx), %rax; ret");
SNIPPET(read_stub, "mov $0x7fffffe00000, %rcx; mov (%rcx), %rax; xor %eax, %eax; ret");
SNIPPET(write_stub, "mov $0x7fffffe00000, %rcx; mov %rax, (%rcx); ret");
SNIPPET(write_clock, "mov $0x7fffffe02000, %rcx; mov %rax, (%rcx); ret");
SNIPPET(write_gdt, "mov $0x7fffffe08000, %rcx; mov %rax, (%rcx); ret");
SNIPPET(write_tss, "mov $0x7fffffe09000, %rcx; movb $0, 110(%rcx); ret");
SNIPPET(write_ist, "mov $0x7fffffe0b000, %rcx; mov %rax, (%rcx); ret");
SNIPPET(stack_on_ist, "mov $0x7fffffe0c000, %rsp; push %rax; ret");
SNIPPET(jump_handlers, "mov $0x7fffffe0a0e0, %rcx; jmp *%rcx");
SNIPPET(jump_reload, "mov $0x7fffffe0a200, %rcx; jmp *%rcx");
SNIPPET(jump_stub,
	"mov $0x7fffffe00000, %rdx; lea 1f(%rip), %rcx; mov $500, %eax; jmp *%rdx; 1: ret");
SNIPPET(jump_not_canonical, "mov $0x800000000000, %rcx; jmp *%rcx");
SNIPPET(jump_top, "mov $0x7fffffffffff, %rcx; jmp *%rcx");
SNIPPET(jump_kernel, "mov $0xffffffffff600000, %rcx; jmp *%rcx");
SNIPPET(read_not_canonical, "mov $0x4141414141414141, %rcx; mov (%rcx), %rax; ret");
SNIPPET(push_not_canonical, "mov $0x4141414141414141, %rsp; push %rax; ret");
SNIPPET(stack_null, "xor %esp, %esp; push %rax; ret");
SNIPPET(stack_null_ud2, "xor %esp, %esp; ud2");
SNIPPET(stack_kernel_int3, "mov $-8, %rsp; int3");
SNIPPET(wrfsbase_bad, "mov $0x4141414141414141, %rax; wrfsbase %rax; ret");
SNIPPET(lret_32, "push $0x23; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(lret_1b, "push $0x1b; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(lret_33, "push $0x33; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(lret_2b, "push $0x2b; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(lret_08, "push $0x08; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(lret_tss, "push $0x43; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(lret_ldt, "push $0x07; lea 1f(%rip), %rax; push %rax; lretq; 1: ret");
SNIPPET(load_ss_null, "xor %eax, %eax; mov %eax, %ss; push %rax; pop %rax; ret");
SNIPPET(load_bad_ds, "mov $0x7b, %eax; mov %eax, %ds; ret");
/* System calls. */
SNIPPET(call_500, "mov $500, %eax; syscall; ret");
SNIPPET(call_huge, "mov $-1, %rax; syscall; ret");
SNIPPET(call_x32, "mov $0x40000001, %eax; syscall; ret");
SNIPPET(call_mayfly, "mov $0x4d46ffff, %eax; out %eax, $0x10; ret");
SNIPPET(call_return, "mov $0x4d460003, %eax; out %eax, $0x10; ret");
SNIPPET(call_bad_ready, "mov $0x4d460000, %eax; mov $-1, %rdi; out %eax, $0x10; ret");
SNIPPET(call_sigreturn, "mov $15, %eax; syscall; ret");
SNIPPET(call_fork, "mov $57, %eax; syscall; ret");
SNIPPET(call_bad_stack, "mov $-8, %rsp; mov $500, %eax; syscall; ud2");
SNIPPET(call_exit, "mov $60, %eax; mov $3, %edi; syscall; ud2");
SNIPPET(call_kill, "mov $62, %eax; mov $100, %edi; mov $9, %esi; syscall; ud2");
SNIPPET(call_read_wild,
	"xor %eax, %eax; xor %edi, %edi; mov $-4096, %rsi; mov $-1, %rdx; syscall; ret");
SNIPPET(call_munmap_all,
	"mov $11, %eax; mov $0x10000, %edi; mov $0x7fffffdf0000, %rsi; syscall; ret");
SNIPPET(call_unmap_self, "mov $11, %eax; lea call_unmap_self(%rip), %rdi; and $-4096, %rdi; mov "
			 "$4096, %esi; syscall; ret");
/* A system call's registers at the entry stub are the guest's claims. */
SNIPPET(call_flags, "push $0x244ed7; popfq; mov $500, %eax; syscall; cld; ret");
/* Code that writes itself. */
SNIPPET(self_modifying, "lea 1f(%rip), %rcx; movb $0xf4, (%rcx); 1: nop; ret");
SNIPPET(self_modifying_out, "lea 1f(%rip), %rcx; movw $0x10e4, (%rcx); 1: nop; nop; ret");
SNIPPET(overwrite_all, "lea -4096(%rsi), %rdi; mov $0xf4, %al; mov $12288, %ecx; rep stosb; hlt");
SNIPPET(split_lock, "mov $1, %eax; lock xaddq %rax, 61(%rsi); ret");
SNIPPET(rdrand, "rdrand %rax; ret");
SNIPPET(endless, "1: jmp 1b");
SNIPPET(endless_calls, "1: mov $110, %eax; syscall; jmp 1b");

#define ROW(name)                       \
	{                               \
#name, name, name##_end \
	}
static const struct row {
	const char *name;
	const uint8_t *code;
	const uint8_t *end;
} rows[] = {
	ROW(in_dword),
	ROW(in_byte),
	ROW(in_word),
	ROW(in_fault_port),
	ROW(in_far),
	ROW(rep_insb),
	ROW(rep_insl),
	ROW(rep_insb_canvas),
	ROW(rep_insb_pages),
	ROW(rep_insb_down),
	ROW(rep_insb_huge),
	ROW(insl),
	ROW(rep_outsb),
	ROW(rep_outsl),
	ROW(rep_outsl_pages),
	ROW(outsl),
	ROW(ready_by_outsl),
	ROW(ready_by_rep_outsl),
	ROW(ready_by_outsl_split),
	ROW(out_byte),
	ROW(out_word),
	ROW(out_odd),
	ROW(out_across),
	ROW(out_other),
	ROW(out_far),
	ROW(out_last),
	ROW(forged_page_fault),
	ROW(forged_fault_imm),
	ROW(forged_divide),
	ROW(hlt),
	ROW(cli),
	ROW(sti),
	ROW(cpuid_insn),
	ROW(cpuid_bad),
	ROW(rdpmc),
	ROW(rdtsc),
	ROW(rdtscp),
	ROW(rdmsr),
	ROW(wrmsr),
	ROW(xsetbv),
	ROW(swapgs),
	ROW(clts),
	ROW(lmsw),
	ROW(smsw),
	ROW(sgdt),
	ROW(sidt),
	ROW(sldt),
	ROW(str),
	ROW(lldt),
	ROW(ltr),
	ROW(lgdt),
	ROW(lidt),
	ROW(invlpg),
	ROW(wbinvd),
	ROW(mov_cr0),
	ROW(mov_to_cr3),
	ROW(mov_to_cr8),
	ROW(mov_dr),
	ROW(mov_to_dr),
	ROW(sysret_insn),
	ROW(sysexit_insn),
	ROW(sysenter_insn),
	ROW(iretq_insn),
	ROW(monitor),
	ROW(vmcall_insn),
	ROW(vmmcall_insn),
	ROW(vmrun_insn),
	ROW(vmlaunch_insn),
	ROW(getsec_insn),
	ROW(encls),
	ROW(pvm_hypercall),
	ROW(ud2_insn),
	ROW(ud0_insn),
	ROW(int3_insn),
	ROW(int1_insn),
	ROW(int_80),
	ROW(int_0),
	ROW(int_2),
	ROW(int_8),
	ROW(int_14),
	ROW(int_255),
	ROW(into_32),
	ROW(divide),
	ROW(single_step),
	ROW(step_over_out),
	ROW(step_over_syscall),
	ROW(step_after_ss),
	ROW(ss_shadow_out),
	ROW(alignment),
	ROW(x87_error),
	ROW(simd_error),
	ROW(read_null),
	ROW(read_kernel),
	ROW(read_stub),
	ROW(write_stub),
	ROW(write_clock),
	ROW(write_gdt),
	ROW(write_tss),
	ROW(write_ist),
	ROW(stack_on_ist),
	ROW(jump_handlers),
	ROW(jump_reload),
	ROW(jump_stub),
	ROW(jump_not_canonical),
	ROW(jump_top),
	ROW(jump_kernel),
	ROW(read_not_canonical),
	ROW(push_not_canonical),
	ROW(stack_null),
	ROW(stack_null_ud2),
	ROW(stack_kernel_int3),
	ROW(wrfsbase_bad),
	ROW(lret_32),
	ROW(lret_1b),
	ROW(lret_33),
	ROW(lret_2b),
	ROW(lret_08),
	ROW(lret_tss),
	ROW(lret_ldt),
	ROW(load_ss_null),
	ROW(load_bad_ds),
	ROW(call_500),
	ROW(call_huge),
	ROW(call_x32),
	ROW(call_mayfly),
	ROW(call_return),
	ROW(call_bad_ready),
	ROW(call_sigreturn),
	ROW(call_fork),
	ROW(call_bad_stack),
	ROW(call_exit),
	ROW(call_kill),
	ROW(call_read_wild),
	ROW(call_munmap_all),
	ROW(call_unmap_self),
	ROW(call_flags),
	ROW(self_modifying),
	ROW(self_modifying_out),
	ROW(overwrite_all),
	ROW(split_lock),
	ROW(rdrand),
	ROW(endless),
	ROW(endless_calls),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void start(void)
{
	lab_open(&lab, "bare", NULL);
	guest_fork(&guest, &lab);
}

/*
 * QEMU 7.2 reads the stack of a far return in ring 3 as ring 0 does, which SMAP forbids: in the
 * emulated machine these fault until the deadline. Once is enough there.
 */
static bool loops_under_qemu(const struct row *row)
{
	return is_emulated() &&
	       (!strncmp(row->name, "lret_", 5) || !strcmp(row->name, "iretq_insn"));
}

static void run_row(const struct row *row)
{
	if (!strncmp(row->name, "endless", 7) || loops_under_qemu(row))
		run_max_us = is_emulated() ? 200000 : 20000;
	guest_ask(&guest, "/", row->code, (size_t)(row->end - row->code));
	run_max_us = RUN_MAX_US;
}

static void is_good(const char *after)
{
	uint64_t value = guest_run(&guest, good, SNIPPET_BYTES(good));

	cr_assert_eq(value, 0x600d, "after %s: %lx (%s)", after, (unsigned long)value,
		     guest.answer);
}

/* The next request comes first, then the audit; and the other way round. */
Test(unclean, request_leaves_nothing_for_the_next, .timeout = 120)
{
	size_t i;

	start();
	for (i = 0; i < ROWS; i++) {
		run_row(&rows[i]);
		if (is_long())
			fprintf(stderr, "%s: %s\n", rows[i].name,
				guest.exit.kind == MF_EXIT_READY ? "ran on" : guest.answer);
		guest_reset(&guest);
		is_good(rows[i].name);
		guest_reset_and_audit(&guest, rows[i].name);
		run_row(&rows[i]);
		guest_reset_and_audit(&guest, rows[i].name);
		is_good(rows[i].name);
		guest_reset(&guest);
	}
	guest_finish(&guest);
	lab_close(&lab);
}

/* What only ring 0 may do does not come to its end in ring 3. */
Test(unclean, request_has_no_privilege, .timeout = 120)
{
	static const char *const forbidden[] = {"hlt",
						"cli",
						"sti",
						"rdmsr",
						"wrmsr",
						"xsetbv",
						"swapgs",
						"clts",
						"lmsw",
						"lldt",
						"ltr",
						"lgdt",
						"lidt",
						"wbinvd",
						"mov_cr0",
						"mov_to_cr3",
						"mov_to_cr8",
						"mov_dr",
						"mov_to_dr",
						"write_stub",
						"write_clock",
						"write_gdt",
						"write_tss",
						"write_ist",
						"out_other",
						"out_far",
						"forged_page_fault",
						"forged_fault_imm",
						"in_far",
						"read_kernel",
						"lret_08",
						"iretq_insn",
						"lret_1b"};
	size_t i;
	size_t j;

	start();
	for (i = 0; i < ROWS; i++) {
		for (j = 0; j < sizeof(forbidden) / sizeof(forbidden[0]); j++)
			if (!strcmp(rows[i].name, forbidden[j]))
				break;
		if (j == sizeof(forbidden) / sizeof(forbidden[0]))
			continue;
		run_row(&rows[i]);
		/* QEMU's far returns ignore that SMAP is ring 0's: there they fault until kicked.
		 */
		cr_expect((is_emulated() && guest.exit.kind == MF_EXIT_KICKED) ||
				  guest.exit.kind == MF_EXIT_SIGNALED ||
				  guest.exit.kind == MF_EXIT_CRASHED,
			  "%s ran on: %s", rows[i].name, guest.answer);
		guest_reset_and_audit(&guest, rows[i].name);
	}
	guest_finish(&guest);
	lab_close(&lab);
}

/* A forged report of a page fault must not be taken for one of the CPU's. */
Test(unclean, fault_reports_cannot_be_forged, .timeout = 60)
{
	start();
	guest_ask(&guest, "/", forged_page_fault, SNIPPET_BYTES(forged_page_fault));
	cr_expect(strstr(guest.answer, "vector 13"), "%s", guest.answer);
	guest_reset(&guest);
	guest_ask(&guest, "/", forged_divide, SNIPPET_BYTES(forged_divide));
	cr_expect(strstr(guest.answer, "vector 13"), "%s", guest.answer);
	guest_finish(&guest);
	lab_close(&lab);
}

/* KVM's own emulator writes without a fault that is counted: not even the first touch may be
 * missed. */
Test(unclean, first_write_to_a_page_is_seen_whoever_makes_it, .timeout = 120)
{
	static const char *const writers[] = {"sgdt", "sidt",           "rep_insb",
					      "insl", "rep_insb_pages", "rep_insb_canvas"};
	size_t i;
	size_t j;
	int audits;

	lab_open(&lab, "bare", NULL);
	for (i = 0; i < ROWS; i++) {
		for (j = 0; j < 6; j++)
			if (strcmp(rows[i].name, writers[j]) == 0)
				break;
		for (audits = 0; j < 6 && audits < 3; audits++) {
			guest_fork(&guest, &lab);
			is_good("fork"); /* maps the pages, for reading */
			guest_reset(&guest);
			for (j = 0; j < (size_t)audits; j++)
				guest_reset_and_audit(&guest,
						      "nothing"); /* drains count as exits */
			run_row(&rows[i]);
			guest_reset_and_audit(&guest, rows[i].name);
			is_good(rows[i].name);
			guest_finish(&guest);
			j = 0;
		}
	}
	lab_close(&lab);
}

Test(unclean, requests_in_any_order_leave_nothing, .timeout = 300)
{
	unsigned int count = rounds(100, 2000, 100000);
	unsigned int i;

	start();
	for (i = 0; i < count; i++) {
		const struct row *row = &rows[random_below(ROWS)];

		if (loops_under_qemu(row))
			continue;
		run_row(row);
		if (random_below(16) == 0)
			guest_reset_and_audit(&guest, row->name);
		else
			guest_reset(&guest);
		if (random_below(2))
			continue; /* another hostile one */
		is_good(row->name);
		guest_reset(&guest);
	}
	guest_reset_and_audit(&guest, "all of it");
	guest_finish(&guest);
	lab_close(&lab);
}
