/* SPDX-License-Identifier: MIT */
/* Faults that a handler gets, what it is told of them, and where the program goes on. */
#include "case.h"
#include "signals.h"

#include <fcntl.h>
#include <fenv.h>
#include <sys/mman.h>
#include <sys/resource.h>

static sigjmp_buf out;
static char *page;
static volatile int zero;

static const char *address_name(void *at)
{
	if ((char *)at >= page && (char *)at < page + 4096)
		return "page";
	return at ? "other" : "0";
}

static void tell(int signo, siginfo_t *info, void *context)
{
	const greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	printf("SIG%s code %d at %s%s trapno %lld err %lld\n", sigabbrev_np(signo), info->si_code,
	       info->si_addr == (void *)gregs[REG_RIP] ? "rip" : address_name(info->si_addr),
	       (void *)gregs[REG_CR2] == info->si_addr ? " (cr2)" : "",
	       (long long)gregs[REG_TRAPNO], (long long)gregs[REG_ERR] & 0x1f);
	siglongjmp(out, 1);
}

static void tell_code(int signo, siginfo_t *info, void *context)
{
	(void)context;
	printf("SIG%s code %d\n", sigabbrev_np(signo), info->si_code);
	siglongjmp(out, 1);
}

#define TRY(what)                         \
	do {                              \
		if (!sigsetjmp(out, 1)) { \
			what;             \
			puts("nothing");  \
		}                         \
	} while (0)

static void catch_all(void (*handler)(int, siginfo_t *, void *))
{
	static const int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		handle(all[i], handler, 0);
	if (!page)
		page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

CASE(faults_of_memory, rt_sigaction)
{
	catch_all(tell);
	TRY(*(volatile int *)(uintptr_t)zero = 1);
	TRY(*(volatile char *)page);
	TRY(*(volatile char *)page = 1);
	mprotect(page, 4096, PROT_NONE);
	TRY(*(volatile char *)(page + 100));
	mprotect(page, 4096, PROT_READ);
	munmap(page, 4096);
	TRY(*(volatile char *)page = 1);
	TRY(((void (*)(void))(uintptr_t)zero)());
	TRY(*(volatile char *)0xffffffff81000000ull);
	TRY(*(volatile char *)0x8000000000000000ull);
	TRY(((void (*)(void))0x1234800000000000ull)());
	page = NULL;
}

CASE(faults_of_instructions, rt_sigaction)
{
	catch_all(tell);
	TRY(__asm__ volatile("ud2"));
	TRY(__asm__ volatile("int3"));
	TRY(__asm__ volatile("hlt"));
	TRY(__asm__ volatile("cli"));
	TRY(__asm__ volatile("mov %%cr3, %%rax" : : : "rax"));
	TRY(__asm__ volatile("wrmsr" : : "a"(0), "c"(0), "d"(0)));
	TRY(__asm__ volatile("xor %%edx, %%edx; divl %0" : : "r"(zero) : "rax", "rdx"));
	TRY(__asm__ volatile("mov $0x80000000, %%eax; cltd; mov $-1, %%ecx; idivl %%ecx"
			     :
			     :
			     : "rax", "rcx", "rdx"));
	TRY(__asm__ volatile("mov %0, %%ss" : : "r"(0x7b0)));
}

CASE(faults_of_floats, rt_sigaction)
{
	static const int exceptions[] = {FE_INVALID, FE_DIVBYZERO, FE_OVERFLOW, FE_UNDERFLOW};
	volatile double nothing = 0, huge = 1e308, tiny = 1e-308;
	volatile long double huge_long = 1e4931L, tiny_long = 1e-4931L;

	catch_all(tell_code);
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%g\n", nothing / nothing));
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%g\n", 1 / nothing));
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%g\n", huge * huge));
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%g\n", tiny * tiny));
	feenableexcept(FE_ALL_EXCEPT);
	TRY(printf("%g\n", 1 / (huge / 1e307 / 3)));
	fedisableexcept(FE_ALL_EXCEPT);
	feclearexcept(FE_ALL_EXCEPT);
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%Lg\n", (long double)nothing / nothing));
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%Lg\n", 1 / (long double)nothing));
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%Lg\n", huge_long * huge_long));
	feenableexcept(FE_ALL_EXCEPT & ~FE_INEXACT);
	TRY(printf("%Lg\n", tiny_long * tiny_long));
	fedisableexcept(FE_ALL_EXCEPT);
	feclearexcept(FE_ALL_EXCEPT);
	(void)exceptions;
}

static void skip(int signo, siginfo_t *info, void *context)
{
	(void)info;
	printf("SIG%s skipped\n", sigabbrev_np(signo));
	RIP(context) += 2;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RBX] = 0x1234567890abcdef;
}

/* The handler moves the program past the instruction and changes a register under it. */
CASE(a_faulting_instruction_is_skipped, rt_sigreturn)
{
	uint64_t rbx = 1;

	handle(SIGILL, skip, 0);
	__asm__ volatile("ud2" : "+b"(rbx));
	printf("rbx %llx\n", (unsigned long long)rbx);
}

static int steps;
static uint64_t first_rip, last_rip;

static void on_step(int signo, siginfo_t *info, void *context)
{
	(void)signo;
	if (!steps++)
		first_rip = (uint64_t)RIP(context);
	last_rip = (uint64_t)RIP(context);
	if (info->si_code != TRAP_TRACE || (uint64_t)info->si_addr != last_rip)
		printf("code %d address %p\n", info->si_code, info->si_addr);
}

CASE(single_steps, rt_sigreturn)
{
	handle(SIGTRAP, on_step, 0);
	__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
			 "nop; nop; nop\n"
			 "mov $39, %%eax; syscall; nop\n"
			 "mov $110, %%eax; syscall; nop\n"
			 "pushfq; andl $~0x100, (%%rsp); popfq; nop"
			 :
			 :
			 : "rax", "rcx", "r11", "memory", "cc");
	printf("%d steps over %lld bytes\n", steps, (long long)(last_rip - first_rip));
}

static void on_unaligned(int signo, siginfo_t *info, void *context)
{
	greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;

	__asm__ volatile("pushfq; andl $~0x40000, (%%rsp); popfq" : : : "memory", "cc");
	gregs[REG_EFL] &= ~0x40000;
	printf("SIG%s code %d at %s trapno %lld err %lld\n", sigabbrev_np(signo), info->si_code,
	       address_name(info->si_addr), (long long)gregs[REG_TRAPNO],
	       (long long)gregs[REG_ERR]);
}

CASE(an_unaligned_access, rt_sigreturn, linux_on_real_cpu)
{
	char bytes[16] __attribute__((aligned(16))) = {0, 1, 2, 3, 4, 5};
	uint32_t value;

	handle(SIGBUS, on_unaligned, 0);
	__asm__ volatile("pushfq; orl $0x40000, (%%rsp); popfq\n"
			 "mov 1(%1), %0\n"
			 "pushfq; andl $~0x40000, (%%rsp); popfq"
			 : "=&r"(value)
			 : "r"(bytes)
			 : "memory", "cc");
	printf("value %x\n", value);
}

static void on_bus(int signo, siginfo_t *info, void *context)
{
	(void)context;
	say("SIG%s code %d at %ld", sigabbrev_np(signo), info->si_code,
	    (long)((char *)info->si_addr - page));
	siglongjmp(out, 1);
}

/* Reads and writes around the end of a file that is mapped, cut short, and made longer. */
static void around_the_end(int flags, int prot)
{
	int fd = open("file", O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (ftruncate(fd, 40960))
		return;
	page = mmap(NULL, 65536, prot, flags, fd, 0);
	say("flags %d prot %d: %d", flags, prot, page != MAP_FAILED);
	TRY(*(volatile char *)(page + 40959));
	TRY(*(volatile char *)(page + 40960));
	if (prot & PROT_WRITE)
		TRY(*(volatile char *)(page + 50000) = 1);
	if (flags == MAP_SHARED) {
		say("%d", ftruncate(fd, 5000));
		TRY(*(volatile char *)(page + 8191));
		TRY(*(volatile char *)(page + 8192));
		TRY(*(volatile char *)(page + 36864));
		say("%d", ftruncate(fd, 65536));
		TRY(*(volatile char *)(page + 36864));
		TRY(*(volatile char *)(page + 65535));
	}
	munmap(page, 65536);
	close(fd);
	page = NULL;
}

CASE(the_end_of_a_mapped_file, mmap, ftruncate)
{
	handle(SIGBUS, on_bus, 0);
	handle(SIGSEGV, on_bus, 0);
	around_the_end(MAP_PRIVATE, PROT_READ);
	around_the_end(MAP_PRIVATE, PROT_READ | PROT_WRITE);
	around_the_end(MAP_SHARED, PROT_READ);
	around_the_end(MAP_SHARED, PROT_READ | PROT_WRITE);
}

static char *low_water;

static int eat(int depth)
{
	volatile char room[4000];

	room[0] = (char)depth;
	return depth > 1 << 20 ? 0 : eat(depth + 1) + room[0];
}

static void on_overflow(int signo, siginfo_t *info, void *context)
{
	char *rsp = (char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
	stack_t now;

	sigaltstack(NULL, &now);
	low_water = info->si_addr;
	printf("SIG%s on the %s stack, near rsp: %d\n", sigabbrev_np(signo),
	       now.ss_flags & SS_ONSTACK ? "alternative" : "program's",
	       llabs(rsp - low_water) < 8192);
	siglongjmp(out, 1);
}

CASE(a_stack_that_overflows, sigaltstack)
{
	static char alternative[65536];
	stack_t stack = {.ss_sp = alternative, .ss_size = sizeof(alternative)};
	struct rlimit limit = {1 << 20, 8 << 20};

	setrlimit(RLIMIT_STACK, &limit);
	sigaltstack(&stack, NULL);
	handle(SIGSEGV, on_overflow, SA_ONSTACK);
	TRY(eat(1));
	TRY(eat(1));
}
