/* SPDX-License-Identifier: MIT */
/* Threads that share work, a timer whose handler reports on them, and a pipe to say that all is
 * done. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define THREADS 4
#define NUMBERS 400000u

static atomic_uint next_number = 2;
static atomic_uint primes;
static atomic_uint ticks;
static int done_pipe[2];

static int is_prime(unsigned int n)
{
	unsigned int i;

	for (i = 2; i * i <= n; i++)
		if (n % i == 0)
			return 0;
	return 1;
}

static void *work(void *arg)
{
	unsigned int n;

	(void)arg;
	while ((n = atomic_fetch_add(&next_number, 1)) < NUMBERS)
		if (is_prime(n))
			atomic_fetch_add(&primes, 1);
	if (write(done_pipe[1], "x", 1) != 1)
		return (void *)1;
	return NULL;
}

static void on_alarm(int signo)
{
	(void)signo;
	atomic_fetch_add(&ticks, 1);
}

int main(void)
{
	struct itimerval every = {{0, 5000}, {0, 5000}};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
	pthread_t threads[THREADS];
	char byte;
	int i;

	if (pipe(done_pipe) || sigaction(SIGALRM, &action, NULL) ||
	    setitimer(ITIMER_REAL, &every, NULL))
		return 1;
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, NULL))
			return 1;
	for (i = 0; i < THREADS; i++)
		if (read(done_pipe[0], &byte, 1) != 1)
			return 1;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%u primes below %u, and the timer %s\n", atomic_load(&primes), NUMBERS,
	       atomic_load(&ticks) ? "ticked meanwhile" : "never ticked");
	return 0;
}
