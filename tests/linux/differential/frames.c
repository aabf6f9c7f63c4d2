/* SPDX-License-Identifier: MIT */
/* What lies on a handler's stack, what of it comes back, and alternative stacks. */
#include "case.h"
#include "signals.h"

#include <immintrin.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

#define MAGIC1 0x46505853u
#define MAGIC2 0x46505845u

static char alternative[65536] __attribute__((aligned(64)));

static void show(int signo, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	const char *fp = (const char *)at->uc_mcontext.fpregs;
	const uint32_t *marks = (const uint32_t *)(fp + 464);
	uint64_t xstate_bv, xcomp_bv, rflags;
	uint32_t magic2;
	char here;

	__asm__("pushfq; pop %0" : "=r"(rflags));
	memcpy(&xstate_bv, fp + 512, 8);
	memcpy(&xcomp_bv, fp + 520, 8);
	memcpy(&magic2, fp + marks[4], 4);
	printf("signo %d; context behind the return address %d, info behind it %d\n", signo,
	       ((uint64_t)context & 15) == 0, (char *)info - (char *)context == 304);
	printf("fpstate aligned %d above %d; magics %d %d; sizes %d; features %d %d; compact %d\n",
	       ((uint64_t)fp & 63) == 0, fp > (char *)info, marks[0] == MAGIC1, magic2 == MAGIC2,
	       marks[1] == marks[4] + 4, (xstate_bv & 3) == 3, (int)(marks[2] & 7), xcomp_bv != 0);
	printf("red zone kept %d; below the program's stack %d\n",
	       (char *)at->uc_mcontext.gregs[REG_RSP] - 128 >= fp + marks[1], &here < fp);
	printf("cs %llx ss %llx fs %llx gs %llx flags %lx link %p\n",
	       (unsigned long long)at->uc_mcontext.gregs[REG_CSGSFS] & 0xffff,
	       (unsigned long long)at->uc_mcontext.gregs[REG_CSGSFS] >> 48,
	       (unsigned long long)at->uc_mcontext.gregs[REG_CSGSFS] >> 32 & 0xffff,
	       (unsigned long long)at->uc_mcontext.gregs[REG_CSGSFS] >> 16 & 0xffff, at->uc_flags,
	       (void *)at->uc_link);
	printf("direction here %d, there %d; mxcsr here %x, there %x\n", !!(rflags & 0x400),
	       !!(at->uc_mcontext.gregs[REG_EFL] & 0x400), _mm_getcsr(),
	       at->uc_mcontext.fpregs->mxcsr);
	printf("stack of its own %d flags %x\n", at->uc_stack.ss_sp == alternative,
	       (unsigned int)at->uc_stack.ss_flags);
}

CASE(the_layout_of_a_frame, rt_sigreturn, sigaltstack, tkill)
{
	stack_t stack = {.ss_sp = alternative, .ss_size = sizeof(alternative)};
	int self = getpid(), number = SYS_tkill;

	handle(SIGUSR1, show, 0);
	_mm_setcsr(0x9fc0);
	__asm__ volatile("std; syscall; cld"
			 : "+a"(number)
			 : "D"(self), "S"(SIGUSR1)
			 : "rcx", "r11", "memory");
	_mm_setcsr(0x1f80);
	sigaltstack(&stack, NULL);
	handle(SIGUSR1, show, SA_ONSTACK);
	raise(SIGUSR1);
}

static void spoil(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	(void)info;
	(void)context;
	__asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm1\n"
			 "vmovdqa %%ymm0, %%ymm15; vmovdqa %%ymm0, %%ymm7; fld1; fld1"
			 :
			 :
			 : "xmm0", "xmm1", "xmm7", "xmm15");
	_mm_setcsr(0x5f80);
}

CASE(vector_registers_survive_a_handler, rt_sigreturn)
{
	uint8_t in[4][32], back[4][32];
	long number = SYS_tkill;
	size_t i;
	double sum;

	for (i = 0; i < sizeof(in); i++)
		((uint8_t *)in)[i] = (uint8_t)(i * 7 + 3);
	handle(SIGUSR1, spoil, 0);
	__asm__ volatile("fldpi\n"
			 "vmovdqu (%2), %%ymm0; vmovdqu 32(%2), %%ymm1\n"
			 "vmovdqu 64(%2), %%ymm7; vmovdqu 96(%2), %%ymm15\n"
			 "syscall\n"
			 "vmovdqu %%ymm0, (%3); vmovdqu %%ymm1, 32(%3)\n"
			 "vmovdqu %%ymm7, 64(%3); vmovdqu %%ymm15, 96(%3)\n"
			 "fstpl %1"
			 : "+a"(number), "=m"(sum)
			 : "r"(in), "r"(back), "D"(getpid()), "S"(SIGUSR1)
			 : "rcx", "r11", "memory", "xmm0", "xmm1", "xmm7", "xmm15");
	printf("vectors %d x87 %.6f mxcsr %x\n", !memcmp(in, back, sizeof(in)), sum, _mm_getcsr());
}

static void change(int signo, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	uint64_t mask = BIT(SIGUSR2) | BIT(SIGKILL) | BIT(SIGTERM);

	(void)signo;
	(void)info;
	at->uc_mcontext.gregs[REG_R12] = 12;
	at->uc_mcontext.gregs[REG_R13] = 13;
	at->uc_mcontext.gregs[REG_RAX] = (long long)0x8000000000000000ull;
	at->uc_mcontext.gregs[REG_EFL] |= 0x801 | 0x3000 | 1 << 17 | 1 << 19;
	memcpy(&at->uc_sigmask, &mask, 8);
	at->uc_mcontext.fpregs->_xmm[3].element[0] = 0xabcdef;
	at->uc_mcontext.fpregs->mxcsr = 0x9f80;
}

CASE(what_a_handler_changes_of_its_frame, rt_sigreturn, rt_sigprocmask)
{
	uint64_t r12, r13, rflags, xmm, rax = SYS_tkill;

	handle(SIGUSR1, change, 0);
	__asm__ volatile("xor %%r12, %%r12; xor %%r13, %%r13; pxor %%xmm3, %%xmm3\n"
			 "syscall\n"
			 "pushfq; pop %2; cld; mov %%r12, %0; mov %%r13, %1; movq %%xmm3, %3"
			 : "=&r"(r12), "=&r"(r13), "=&r"(rflags), "=&r"(xmm), "+a"(rax)
			 : "D"((long)getpid()), "S"((long)SIGUSR1)
			 : "rcx", "r11", "r12", "r13", "memory", "xmm3");
	printf("r12 %d r13 %d rax %llx flags %llx xmm3 %llx mxcsr %x mask %llx\n", (int)r12,
	       (int)r13, (unsigned long long)rax, (unsigned long long)rflags & 0xa0c01,
	       (unsigned long long)xmm, _mm_getcsr(), (unsigned long long)mask_now());
	_mm_setcsr(0x1f80);
	unblock(SIGUSR2);
	unblock(SIGTERM);
}

static sigjmp_buf out;
static int how;

static void on_bad(int signo, siginfo_t *info, void *context)
{
	printf("case %d: SIG%s code %d\n", how, sigabbrev_np(signo), info->si_code);
	_mm_setcsr(0x1f80);
	(void)context;
	siglongjmp(out, 1);
}

/* Frames that cannot be gone back to. */
static void damage(int signo, siginfo_t *info, void *context)
{
	ucontext_t *at = context;
	char *fp = (char *)at->uc_mcontext.fpregs;
	greg_t *gregs = at->uc_mcontext.gregs;

	(void)signo;
	(void)info;
	switch (how) {
	case 0:
		gregs[REG_RIP] = 0x800000000000;
		break;
	case 1:
		gregs[REG_CSGSFS] = (gregs[REG_CSGSFS] & ~0xffffll) | 0x10;
		break;
	case 2:
		gregs[REG_CSGSFS] &= 0xffffffffffffll;
		break;
	case 3:
		at->uc_mcontext.fpregs = (fpregset_t)(fp + 8);
		break;
	case 4:
		at->uc_mcontext.fpregs = (fpregset_t)64;
		break;
	case 5:
		at->uc_mcontext.fpregs->mxcsr = 0xffffffff;
		break;
	case 6:
		memset(fp + 512, 0xff, 8);
		break;
	case 7:
		memset(fp + 520, 0xff, 8);
		break;
	case 8:
		memset(fp + 540, 0xff, 8);
		break;
	case 9: /* no magic: the legacy part alone counts */
		memset(fp + 464, 0, 4);
		at->uc_mcontext.fpregs->mxcsr = 0x3f80;
		break;
	case 10: /* none at all: a new program's registers */
		at->uc_mcontext.fpregs = NULL;
		break;
	case 11: /* components that the marks leave out are as new */
		memset(fp + 472, 0, 8);
		break;
	case 12:
		gregs[REG_RIP] = 0;
		break;
	case 13:
		gregs[REG_RSP] = 8;
		break;
	case 14:
		at->uc_flags = 0;
		gregs[REG_CSGSFS] &= 0xffffffffffffll;
		break;
	case 15:
		gregs[REG_RIP] = (greg_t)0xffffffff81000000ull;
		break;
	case 16:
		at->uc_stack.ss_flags = 77;
		break;
	}
}

CASE(frames_that_cannot_be_gone_back_to, rt_sigreturn, linux_on_real_cpu)
{
	stack_t stack = {.ss_sp = alternative, .ss_size = sizeof(alternative)};

	sigaltstack(&stack, NULL);
	handle(SIGSEGV, on_bad, SA_ONSTACK);
	handle(SIGUSR1, damage, 0);
	for (how = 0; how < 17; how++) {
		if (sigsetjmp(out, 1))
			continue;
		_mm_setcsr(0x7f80);
		raise(SIGUSR1);
		printf("case %d: back, mxcsr %x\n", how, _mm_getcsr());
	}
	_mm_setcsr(0x1f80);
}

static void deeper(int signo, siginfo_t *info, void *context)
{
	stack_t now, other = {.ss_flags = SS_DISABLE};
	char here;

	(void)info;
	(void)context;
	sigaltstack(NULL, &now);
	printf("SIG%s on it %d flags %x; changing it: ", sigabbrev_np(signo),
	       &here >= alternative && &here < alternative + sizeof(alternative),
	       (unsigned int)now.ss_flags);
	printf("%s\n", result(sigaltstack(&other, NULL)));
	if (signo == SIGUSR1)
		raise(SIGUSR2);
}

CASE(alternative_stacks, sigaltstack)
{
	stack_t stack = {.ss_sp = alternative, .ss_size = sizeof(alternative)}, old;
	stack_t small = {.ss_sp = alternative, .ss_size = 2047};
	stack_t odd = {.ss_sp = alternative, .ss_size = 65536, .ss_flags = 5};

	sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
	printf("%s", result(sigaltstack(NULL, &old)));
	printf(" sp %p size %zu flags %x\n", old.ss_sp, old.ss_size, (unsigned int)old.ss_flags);
	printf("%s\n", result(sigaltstack(&small, NULL)));
	printf("%s\n", result(sigaltstack(&odd, NULL)));
	printf("%s\n", result(sigaltstack((void *)8, NULL)));
	printf("%s\n", result(sigaltstack(NULL, (void *)8)));
	printf("%s\n", result(sigaltstack(&stack, NULL)));
	handle(SIGUSR1, deeper, SA_ONSTACK);
	handle(SIGUSR2, deeper, SA_ONSTACK);
	raise(SIGUSR1);
	handle(SIGUSR2, deeper, 0);
	raise(SIGUSR1);
	stack.ss_flags = (int)SS_AUTODISARM;
	printf("%s\n", result(sigaltstack(&stack, NULL)));
	handle(SIGUSR2, deeper, SA_ONSTACK);
	raise(SIGUSR1);
	sigaltstack(NULL, &old);
	printf("afterwards: %d size %zu flags %x\n", old.ss_sp == alternative, old.ss_size,
	       (unsigned int)old.ss_flags);
	stack.ss_flags = SS_ONSTACK;
	printf("%s\n", result(sigaltstack(&stack, NULL)));
	sigaltstack(NULL, &old);
	printf("flags %x\n", (unsigned int)old.ss_flags);
}

static void again(int signo, siginfo_t *info, void *context)
{
	(void)info;
	(void)context;
	if (signo == SIGUSR1)
		raise(SIGUSR2);
	puts("not reached");
}

/* There is no room for a second frame at the latest: the program dies of SIGSEGV. */
CASE(an_alternative_stack_too_small, sigaltstack)
{
	stack_t stack = {.ss_sp = alternative, .ss_size = 2048};

	signal(SIGSEGV, SIG_DFL);
	sigaltstack(&stack, NULL);
	handle(SIGUSR1, again, SA_ONSTACK);
	handle(SIGUSR2, again, SA_ONSTACK);
	raise(SIGUSR1);
	puts("not reached");
}

CASE(no_stack_for_a_frame, rt_sigaction)
{
	uint64_t ret = SYS_tkill;

	signal(SIGSEGV, SIG_IGN);
	handle(SIGUSR1, deeper, 0);
	__asm__ volatile("mov $64, %%rsp; syscall; ud2" : "+a"(ret) : "D"(getpid()), "S"(SIGUSR1));
}

CASE(a_fault_that_is_blocked, rt_sigprocmask)
{
	block(SIGSEGV);
	handle(SIGSEGV, deeper, 0);
	*(volatile int *)8 = 1;
}

CASE(a_fault_that_is_ignored, rt_sigaction)
{
	signal(SIGILL, SIG_IGN);
	__asm__ volatile("ud2");
}
