/* SPDX-License-Identifier: MIT */
/*
 * The program of threads_test: frozen while a crew of threads waits in every way there is. A
 * request puts some of them to work; what it answers is the same each time, because every request
 * begins with the image's crew. argv[1] "worker": another thread than the first is the one that
 * waits for requests.
 */
#include <mayfly/sdk.h>

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KEEPERS 20

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static struct mf_text job;
static long jobs, sum, ticks, piped;
static int ends[2];
static char answer[128];

/* Adds up what it is given, each time from the first. */
static void *adder(void *arg)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!job.data)
			pthread_cond_wait(&work, &lock);
		jobs++;
		sum = 0;
		for (i = 0; i < job.length; i++)
			sum += (unsigned char)job.data[i];
		job.data = NULL;
		pthread_cond_broadcast(&done);
	}
	return arg;
}

static void *ticker(void *arg)
{
	for (;;) {
		usleep(500);
		pthread_mutex_lock(&lock);
		ticks++;
		pthread_cond_broadcast(&done);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static void *reader(void *arg)
{
	char bytes[64];
	ssize_t got;

	while ((got = read(ends[0], bytes, sizeof(bytes))) > 0) {
		pthread_mutex_lock(&lock);
		piped += got;
		pthread_cond_broadcast(&done);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

/* Sleep with a value of its own in a vector register, and one in thread-local storage. */
static uint32_t doors[KEEPERS];
static int kept;
static __thread uint64_t local;

static void *keeper(void *arg)
{
	uint64_t value = 0x1111111111111111ull * (uintptr_t)arg;
	uint32_t *door = &doors[(uintptr_t)arg];
	uint64_t found;
	long ret;

	local = value;
	__asm__ volatile("movq %3, %%xmm13\n"
			 "xor %%r10d, %%r10d\n"
			 "syscall\n"
			 "movq %%xmm13, %1"
			 : "=a"(ret), "=r"(found)
			 : "0"(SYS_futex), "r"(value), "D"(door), "S"(FUTEX_WAIT_PRIVATE), "d"(0)
			 : "rcx", "r10", "r11", "xmm13", "memory");
	pthread_mutex_lock(&lock);
	/* It may not have slept yet when it was woken. */
	kept += (!ret || ret == -EAGAIN) && found == value && local == value;
	pthread_cond_broadcast(&done);
	pthread_mutex_unlock(&lock);
	return arg;
}

static void *spinner(void *arg)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
	return arg;
}

static void *child(void *arg)
{
	local++;
	*(long *)arg = gettid() - getpid();
	return NULL;
}

static void *crasher(void *arg)
{
	*(volatile int *)arg = 1;
	return arg;
}

static void *quitter(void *arg)
{
	exit(arg ? 3 : 4);
}

static pthread_t start(void *(*body)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	if (pthread_create(&thread, &attr, body, arg))
		abort();
	return thread;
}

/* With the lock: until `*value` has come to that. */
static void await(const long *value, long to)
{
	while (*value < to)
		pthread_cond_wait(&done, &lock);
}

static void add(struct mf_text body)
{
	long before = jobs;

	job = body;
	pthread_cond_signal(&work);
	await(&jobs, before + 1);
	snprintf(answer, sizeof(answer), "job %ld: %ld", jobs, sum);
}

static void keep(void)
{
	int i;

	for (i = 0; i < KEEPERS; i++) {
		__atomic_store_n(&doors[i], 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &doors[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	while (kept < KEEPERS)
		pthread_cond_wait(&done, &lock);
	snprintf(answer, sizeof(answer), "kept %d", kept);
}

static void make(void)
{
	pthread_t threads[10];
	long ids[10];
	int i;

	for (i = 0; i < 10; i++)
		threads[i] = start(child, &ids[i]);
	for (i = 0; i < 10; i++)
		pthread_join(threads[i], NULL);
	snprintf(answer, sizeof(answer), "made %ld to %ld, local %d", ids[0], ids[9], (int)local);
}

static void pass(void)
{
	char bytes[5] = "five";

	if (write(ends[1], bytes, sizeof(bytes)) == sizeof(bytes))
		await(&piped, 5);
	snprintf(answer, sizeof(answer), "piped %ld", piped);
}

static void tick(void)
{
	await(&ticks, ticks + 3);
	snprintf(answer, sizeof(answer), "ticked");
}

static void spin(void)
{
	int i;

	for (i = 0; i < 3; i++)
		start(spinner, NULL);
	await(&ticks, ticks + 2);
	snprintf(answer, sizeof(answer), "spins");
}

static void serve(const struct mf_request *request)
{
	const char *target = mf_request_target(request).data;

	snprintf(answer, sizeof(answer), "nothing");
	pthread_mutex_lock(&lock);
	if (!strcmp(target, "/add"))
		add(mf_request_body(request));
	else if (!strcmp(target, "/keep"))
		keep();
	else if (!strcmp(target, "/make"))
		make();
	else if (!strcmp(target, "/pipe"))
		pass();
	else if (!strcmp(target, "/tick"))
		tick();
	else if (!strcmp(target, "/spin"))
		spin();
	else if (!strcmp(target, "/crash"))
		pthread_join(start(crasher, (void *)16), NULL);
	else if (!strcmp(target, "/exit"))
		pthread_join(start(quitter, answer), NULL);
	else if (!strcmp(target, "/hang"))
		await(&jobs, 1000);
	/* "/lock" leaves the lock locked. */
	if (strcmp(target, "/lock"))
		pthread_mutex_unlock(&lock);
	mf_respond(200, NULL, answer, strlen(answer));
}

static void *serve_all(void *arg)
{
	const struct mf_request *request;

	while ((request = mf_wait()))
		serve(request);
	return arg;
}

int main(int argc, char **argv)
{
	uintptr_t i;

	if (pipe(ends))
		return 1;
	start(adder, NULL);
	start(ticker, NULL);
	start(reader, NULL);
	for (i = 0; i < KEEPERS; i++)
		start(keeper, (void *)i);
	pthread_mutex_lock(&lock);
	await(&ticks, 5);
	pthread_mutex_unlock(&lock);
	if (argc > 1 && !strcmp(argv[1], "worker")) {
		pthread_join(start(serve_all, NULL), NULL);
		return 1;
	}
	serve_all(NULL);
	return 1;
}
