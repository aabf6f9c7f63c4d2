/* SPDX-License-Identifier: MIT */
/* Signals in a program of several threads: who gets them, and what they interrupt. */
#include "case.h"
#include "signals.h"

#include <pthread.h>
#include <semaphore.h>
#include <sys/time.h>

/* In which a thread has come to where it waits, on a busy machine, too. */
#define A_WHILE_US 150000

static pthread_t first, other;
static int pipe_ends[2];
static sem_t ready, go;

static const char *who(void)
{
	return pthread_equal(pthread_self(), first) ? "the first" : "the other";
}

static void tell(int signo, siginfo_t *info, void *context)
{
	(void)context;
	say("SIG%s code %d taken by %s", sigabbrev_np(signo), info->si_code, who());
}

static void *read_a_byte(void *argument)
{
	char byte;

	(void)argument;
	sem_post(&ready);
	SHOW(SYS(read, pipe_ends[0], &byte, 1));
	return NULL;
}

static void *wait_for_one(void *argument)
{
	uint64_t set = BIT(SIGUSR2);
	siginfo_t info;

	(void)argument;
	block(SIGUSR2);
	sem_post(&ready);
	SHOW(SYS(rt_sigtimedwait, &set, &info, NULL, 8));
	say("code %d, mask %llx", info.si_code, (unsigned long long)mask_now());
	return NULL;
}

static void *stand_by(void *argument)
{
	(void)argument;
	sem_post(&ready);
	while (sem_wait(&go) && errno == EINTR) {
	}
	say("pending here %llx", (unsigned long long)pending());
	return NULL;
}

static void start(void *(*run)(void *))
{
	sem_init(&ready, 0, 0);
	sem_init(&go, 0, 0);
	pthread_create(&other, NULL, run, NULL);
	sem_wait(&ready);
	usleep(A_WHILE_US);
}

CASE(a_thread_that_waits_is_interrupted, tgkill, read)
{
	first = pthread_self();
	handle(SIGUSR1, tell, 0);
	if (pipe(pipe_ends))
		return;
	start(read_a_byte);
	pthread_kill(other, SIGUSR1);
	pthread_join(other, NULL);
	handle(SIGUSR1, tell, SA_RESTART);
	start(read_a_byte);
	pthread_kill(other, SIGUSR1);
	usleep(A_WHILE_US);
	if (write(pipe_ends[1], "x", 1) != 1)
		_exit(97);
	pthread_join(other, NULL);
}

CASE(a_signal_to_the_process_finds_a_thread, kill, rt_sigprocmask, rt_sigpending)
{
	first = pthread_self();
	handle(SIGUSR1, tell, SA_RESTART);
	start(stand_by);
	kill(getpid(), SIGUSR1);
	usleep(A_WHILE_US);
	block(SIGUSR1);
	kill(getpid(), SIGUSR1);
	usleep(A_WHILE_US);
	say("pending %llx", (unsigned long long)pending());
	sem_post(&go);
	pthread_join(other, NULL);
	start(stand_by); /* with the mask of this one */
	kill(getpid(), SIGUSR1);
	pthread_kill(other, SIGUSR1);
	say("pending %llx", (unsigned long long)pending());
	sem_post(&go);
	pthread_join(other, NULL);
	say("pending %llx", (unsigned long long)pending());
	unblock(SIGUSR1);
}

CASE(a_thread_waits_for_a_signal, rt_sigtimedwait, kill)
{
	first = pthread_self();
	block(SIGUSR2);
	start(wait_for_one);
	kill(getpid(), SIGUSR2);
	pthread_join(other, NULL);
	say("pending %llx", (unsigned long long)pending());
	unblock(SIGUSR2);
}

static void *fault(void *argument)
{
	(void)argument;
	handle(SIGALRM, tell, 0);
	*(volatile int *)16 = 1;
	return NULL;
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
	tell(signo, info, context);
	pthread_exit(NULL);
}

CASE(a_fault_is_its_threads_own, rt_sigaction)
{
	first = pthread_self();
	handle(SIGSEGV, on_fault, 0);
	pthread_create(&other, NULL, fault, NULL);
	pthread_join(other, NULL);
	say("the first goes on");
}

/* The program ends, whoever of its threads gets it. */
CASE(a_deadly_signal_ends_all_threads, kill)
{
	first = pthread_self();
	start(stand_by);
	block(SIGTERM);
	kill(getpid(), SIGTERM);
	for (;;)
		usleep(1000);
}
