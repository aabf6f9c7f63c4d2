/* SPDX-License-Identifier: MIT */
/*
 * The program of fast_test. "/calls": system calls with every register looked at; "/many": a
 * thousand that need no exit; "/signals": interrupted calls, made again behind their handlers;
 * "/spin": one thread does nothing but call, others get on;
 * "/scribble" and "/jump" (with eight random bytes as their body) are hostile.
 */
#include <errno.h>
#include <linux/futex.h>
#include <mayfly/abi/fast.h>
#include <mayfly/sdk.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct registers {
	uint64_t rdi, rsi, rdx, r10, r8, r9, rax, flags, rbp, r12, r13, r14, r15, rcx, red;
};

#define FLAG_DF 0x400u

long call_pid(struct registers *), call_uid(struct registers *), call_futex(struct registers *),
	call_brk(struct registers *);
extern const uint8_t site_pid[], site_brk[];

static uint32_t word;
static char answer[256];

/* What is wrong with the registers behind a call, or NULL. */
static const char *judge(const struct registers *before, const struct registers *after)
{
	if (after->rdi != before->rdi || after->rsi != before->rsi || after->rdx != before->rdx ||
	    after->r10 != before->r10 || after->r8 != before->r8 || after->r9 != before->r9)
		return "arguments";
	if (after->rbp != 0x6262626262626262 || after->r12 != 0x1212121212121212 ||
	    after->r13 != 0x1313131313131313 || after->r14 != 0x1414141414141414 ||
	    after->r15 != 0x1515151515151515)
		return "kept registers";
	if (after->rcx)
		return "return address";
	if (!(after->flags & FLAG_DF))
		return "direction flag";
	return after->red ? "red zone" : NULL;
}

static int64_t look(long (*call)(struct registers *), struct registers before, const char *name)
{
	struct registers after = before;
	const char *wrong;

	call(&after);
	wrong = judge(&before, &after);
	if (wrong && !*answer)
		snprintf(answer, sizeof(answer), "%s: %s", name, wrong);
	return (int64_t)after.rax;
}

static void expect(const char *name, int64_t is, int64_t should)
{
	if (is != should && !*answer)
		snprintf(answer, sizeof(answer), "%s: %lld instead of %lld", name, (long long)is,
			 (long long)should);
}

static const struct registers plain = {.rdi = 1, .rsi = 2, .rdx = 3, .r10 = 4, .r8 = 5, .r9 = 6};

static void calls(void)
{
	struct registers wake = {
		.rdi = (uintptr_t)&word, .rsi = FUTEX_WAKE | FUTEX_PRIVATE_FLAG, .rdx = 1};

	expect("getpid", look(call_pid, plain, "getpid"), getpid());
	expect("getuid", look(call_uid, plain, "getuid"), getuid());
	expect("wake", look(call_futex, wake, "wake"), 0);
	wake.rdi++;
	expect("wake at an odd address", look(call_futex, wake, "odd"), -EINVAL);
	wake.rdi = UINT64_MAX - 3;
	expect("wake beyond", look(call_futex, wake, "beyond"), -EFAULT);
	expect("brk", look(call_brk, (struct registers){0}, "brk"), (int64_t)(uintptr_t)sbrk(0));
	expect("syscall()", syscall(SYS_gettid), getpid());
	expect("no such call", syscall(400000), -1);
	expect("the syscall itself is there", site_pid[0] | site_pid[1] << 8, 0x050f);
	snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "%s",
		 *answer                ? ""
		 : site_pid[-5] == 0xe9 ? "patched"
					: "plain");
}

static void many(void)
{
	int i;

	for (i = 0; i < 1000; i++)
		expect("getpid", syscall(SYS_getpid), 100);
	for (i = 0; i < 1000; i++)
		expect("wake", syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), 0);
	snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "%s",
		 *answer ? "" : "done");
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	(void)number;
	alarms++;
}

static void *write_late(void *end)
{
	struct timespec span = {.tv_nsec = 30000000};

	while (alarms < 3)
		nanosleep(&span, NULL);
	if (write(*(int *)end, "x", 1) != 1)
		return end;
	return NULL;
}

/* A read that is interrupted three times by a handler with SA_RESTART, and a sleep by one without.
 */
static void signals(void)
{
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	struct itimerval often = {{0, 5000}, {0, 5000}};
	struct itimerval never = {0};
	struct timespec second = {.tv_sec = 100};
	pthread_t thread;
	char byte = 0;
	int ends[2];

	alarms = 0;
	sigaction(SIGALRM, &action, NULL);
	expect("pipe", pipe(ends), 0);
	setitimer(ITIMER_REAL, &often, NULL);
	expect("thread", pthread_create(&thread, NULL, write_late, &ends[1]), 0);
	expect("read", read(ends[0], &byte, 1), 1);
	expect("byte", byte, 'x');
	pthread_join(thread, NULL);
	expect("sleep", nanosleep(&second, NULL), -1);
	expect("errno", errno, EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	close(ends[0]);
	close(ends[1]);
	snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "%s",
		 *answer ? "" : "done");
}

static volatile int stop;

static void *stop_later(void *unused)
{
	while (alarms < 3)
		;
	stop = 1;
	return unused;
}

/* Nearly always in a call that is answered in the guest; timers and another thread get their turn.
 */
static void spin(void)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval often = {{0, 3000}, {0, 3000}};
	struct itimerval never = {0};
	pthread_t thread;

	alarms = 0;
	stop = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	expect("thread", pthread_create(&thread, NULL, stop_later, NULL), 0);
	while (!stop)
		getpid();
	setitimer(ITIMER_REAL, &never, NULL);
	pthread_join(thread, NULL);
	snprintf(answer + strlen(answer), sizeof(answer) - strlen(answer), "%s",
		 *answer ? "" : "done");
}

static uint64_t seed;

static uint64_t random_word(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void scribble(void)
{
	volatile uint64_t *area = (volatile uint64_t *)MF_FAST_AREA_VA;
	size_t words = MF_FAST_AREA_PAGES * 4096 / 8;
	int i;

	for (i = 0; i < 64; i++)
		area[random_word() % (i % 2 ? words : 512)] = random_word() >> random_word() % 64;
	for (i = 0; i < 100; i++) {
		syscall(SYS_getpid);
		syscall(SYS_futex, random_word(), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	}
	snprintf(answer, sizeof(answer), "done");
}

static void jump(void)
{
	uint64_t to = MF_FAST_CODE_VA + random_word() % 4096;

	__asm__ volatile("jmp *%0" ::"r"(to), "a"(random_word() % 512), "c"(random_word()));
	__builtin_unreachable();
}

int main(void)
{
	const struct mf_request *request;

	while ((request = mf_wait())) {
		struct mf_text target = mf_request_target(request);
		struct mf_text body = mf_request_body(request);

		*answer = 0;
		memcpy(&seed, body.data, body.length < 8 ? body.length : 8);
		seed |= 1;
		if (!strcmp(target.data, "/calls"))
			calls();
		else if (!strcmp(target.data, "/many"))
			many();
		else if (!strcmp(target.data, "/signals"))
			signals();
		else if (!strcmp(target.data, "/spin"))
			spin();
		else if (!strcmp(target.data, "/scribble"))
			scribble();
		else
			jump();
		mf_respond(200, "text/plain", answer, strlen(answer));
	}
	return 0;
}
