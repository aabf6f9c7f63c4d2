/* SPDX-License-Identifier: MIT */
/*
 * Threads as programs use them, by what the C library makes of them; plain C, no engine. Run as
 * `threads NAME`: it prints what it counted, the same natively and in a VM, and ends with 0 when
 * the counts are right. `threads list` prints the names.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct test_case {
	const char *name;
	int (*run)(void); /* 0: as it should be */
};

#define STACK_BYTES (64u << 10)
#define SMALL_BYTES (16u << 10)

/* On a stack of the caller's, or (NULL) one of the C library's. */
static pthread_t start_on(void *stack, void *(*body)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_attr_init(&attr);
	if (stack)
		pthread_attr_setstack(&attr, stack, SMALL_BYTES);
	else
		pthread_attr_setstacksize(&attr, STACK_BYTES);
	ret = pthread_create(&thread, &attr, body, arg);
	if (ret) {
		printf("pthread_create: %s\n", strerror(ret));
		exit(1);
	}
	pthread_attr_destroy(&attr);
	return thread;
}

static pthread_t start(void *(*body)(void *), void *arg)
{
	return start_on(NULL, body, arg);
}

static long join(pthread_t thread)
{
	void *value = NULL;
	int ret = pthread_join(thread, &value);

	if (ret) {
		printf("pthread_join: %s\n", strerror(ret));
		exit(1);
	}
	return (long)value;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct timespec in_ms(clockid_t clock, unsigned int ms)
{
	struct timespec then;

	clock_gettime(clock, &then);
	then.tv_nsec += (long)(ms % 1000) * 1000000;
	then.tv_sec += ms / 1000 + then.tv_nsec / 1000000000;
	then.tv_nsec %= 1000000000;
	return then;
}

/* Values in vector registers and in thread-local storage, across many switches. */
static __thread uint64_t own = 7;

static void *keep(void *arg)
{
	uint64_t mine = (uintptr_t)arg;
	volatile double part = (double)mine;
	double sum = 0;
	int i;

	own += mine;
	for (i = 0; i < 2000; i++) {
		sum += part / 3;
		if (i % 20 == 0)
			sched_yield();
		if (own != 7 + mine)
			return (void *)1;
	}
	for (i = 0; i < 2000; i++)
		sum -= part / 3;
	return (void *)(sum > 1e-6 || sum < -1e-6 ? 2l : 0l);
}

static int tls(void)
{
	pthread_t threads[8];
	long wrong = 0;
	long i;

	for (i = 0; i < 8; i++)
		threads[i] = start(keep, (void *)(i * 1000003));
	for (i = 0; i < 8; i++)
		wrong += join(threads[i]);
	printf("wrong values: %ld, own of the first thread: %d\n", wrong, (int)own);
	return wrong || own != 7;
}

static void *say_ids(void *arg)
{
	pid_t *ids = arg;

	ids[0] = gettid();
	ids[1] = getpid();
	sched_yield();
	ids[2] = (pid_t)syscall(SYS_gettid);
	return NULL;
}

static int ids(void)
{
	pid_t all[20][3];
	pthread_t threads[20];
	int wrong = gettid() != getpid();
	int i, j;

	for (i = 0; i < 20; i++)
		threads[i] = start(say_ids, all[i]);
	for (i = 0; i < 20; i++)
		join(threads[i]);
	for (i = 0; i < 20; i++) {
		wrong += all[i][0] != all[i][2] || all[i][1] != getpid() || all[i][0] == getpid();
		for (j = 0; j < i; j++)
			wrong += all[i][0] == all[j][0];
	}
	printf("20 threads with ids of their own: %d wrong\n", wrong + (gettid() != getpid()));
	return wrong;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counter;

static void *add_under_mutex(void *arg)
{
	int i;

	for (i = 0; i < 300; i++) {
		long seen;

		pthread_mutex_lock(&mutex);
		seen = counter;
		if (i % 16 == 0)
			sched_yield();
		counter = seen + 1;
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static int mutex_torture(void)
{
	pthread_t threads[16];
	int i;

	for (i = 0; i < 16; i++)
		threads[i] = start(add_under_mutex, NULL);
	for (i = 0; i < 16; i++)
		join(threads[i]);
	printf("16 threads added %ld\n", counter);
	return counter != 16 * 300;
}

/* A bounded queue: producers and consumers with two condition variables. */
static struct {
	int items[4];
	int count;
	int done; /* producers */
	long sum;
} queue;
static pthread_cond_t room = PTHREAD_COND_INITIALIZER;

static void *produce(void *arg)
{
	int i;

	for (i = 1; i <= 100; i++) {
		pthread_mutex_lock(&mutex);
		while (queue.count == 4)
			pthread_cond_wait(&room, &mutex);
		queue.items[queue.count++] = i;
		pthread_cond_signal(&cond);
		pthread_mutex_unlock(&mutex);
	}
	pthread_mutex_lock(&mutex);
	queue.done++;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	return arg;
}

static void *consume(void *arg)
{
	pthread_mutex_lock(&mutex);
	for (;;) {
		while (!queue.count && queue.done < 4)
			pthread_cond_wait(&cond, &mutex);
		if (!queue.count)
			break;
		queue.sum += queue.items[--queue.count];
		pthread_cond_signal(&room);
	}
	pthread_mutex_unlock(&mutex);
	return arg;
}

static int cond_queue(void)
{
	pthread_t threads[8];
	int i;

	for (i = 0; i < 8; i++)
		threads[i] = start(i < 4 ? produce : consume, NULL);
	for (i = 0; i < 8; i++)
		join(threads[i]);
	printf("sum of what was consumed: %ld\n", queue.sum);
	return queue.sum != 4 * 5050;
}

static pthread_barrier_t barrier;
static atomic_int arrived;

static void *meet(void *arg)
{
	long serial = (long)arg;
	int round;

	for (round = 1; round <= 50; round++) {
		atomic_fetch_add(&arrived, 1);
		serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
		if (atomic_load(&arrived) < round * 8)
			return (void *)-1000;
		pthread_barrier_wait(&barrier);
	}
	return (void *)serial;
}

static int barriers(void)
{
	pthread_t threads[8];
	long serial = 0;
	int i;

	pthread_barrier_init(&barrier, NULL, 8);
	for (i = 0; i < 8; i++)
		threads[i] = start(meet, NULL);
	for (i = 0; i < 8; i++)
		serial += join(threads[i]);
	printf("50 rounds of 8, last ones: %ld\n", serial);
	return serial != 50;
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static long pair[2];

static void *read_and_write(void *arg)
{
	long torn = (long)arg;
	int i;

	for (i = 0; i < 200; i++) {
		if (i % 5 == 0) {
			pthread_rwlock_wrlock(&rwlock);
			pair[0]++;
			sched_yield();
			pair[1]++;
			pthread_rwlock_unlock(&rwlock);
		} else {
			pthread_rwlock_rdlock(&rwlock);
			torn += pair[0] != pair[1];
			pthread_rwlock_unlock(&rwlock);
		}
	}
	return (void *)torn;
}

static int rwlocks(void)
{
	pthread_t threads[8];
	long torn = 0;
	int i;

	for (i = 0; i < 8; i++)
		threads[i] = start(read_and_write, NULL);
	for (i = 0; i < 8; i++)
		torn += join(threads[i]);
	printf("writes: %ld %ld, torn reads: %ld\n", pair[0], pair[1], torn);
	return torn || pair[0] != 8 * 40 || pair[1] != 8 * 40;
}

static sem_t ping, pong;

static void *answer(void *arg)
{
	int i;

	for (i = 0; i < 500; i++) {
		sem_wait(&ping);
		counter++;
		sem_post(&pong);
	}
	return arg;
}

static int semaphores(void)
{
	pthread_t thread;
	int i;

	sem_init(&ping, 0, 0);
	sem_init(&pong, 0, 0);
	thread = start(answer, NULL);
	for (i = 0; i < 500; i++) {
		sem_post(&ping);
		sem_wait(&pong);
		if (counter != i + 1)
			break;
	}
	join(thread);
	printf("hand-overs: %ld\n", counter);
	return counter != 500;
}

static int timed(void)
{
	struct timespec then;
	uint64_t began = now_ms();
	sem_t never;
	int ret, ret_cond, ret_mutex;

	sem_init(&never, 0, 0);
	then = in_ms(CLOCK_REALTIME, 30);
	ret = sem_timedwait(&never, &then) ? errno : 0;
	pthread_mutex_lock(&mutex);
	then = in_ms(CLOCK_REALTIME, 30);
	ret_cond = pthread_cond_timedwait(&cond, &mutex, &then);
	then = in_ms(CLOCK_REALTIME, 30);
	ret_mutex = pthread_mutex_timedlock(&mutex, &then);
	printf("%s, %s, %s\n", strerrorname_np(ret), strerrorname_np(ret_cond),
	       strerrorname_np(ret_mutex));
	if (now_ms() - began < 90) {
		printf("too early: %d ms\n", (int)(now_ms() - began));
		return 1;
	}
	return ret != ETIMEDOUT || ret_cond != ETIMEDOUT || ret_mutex != ETIMEDOUT;
}

static void *hold_and_end(void *lock)
{
	pthread_mutex_lock(lock);
	return NULL;
}

static void *hold_sleep_and_end(void *lock)
{
	pthread_mutex_lock(lock);
	usleep(20000);
	return NULL;
}

static int robust(void)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t locks[2];
	int ret[4];

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&locks[0], &attr);
	pthread_mutex_init(&locks[1], &attr);
	join(start(hold_and_end, &locks[0]));
	ret[0] = pthread_mutex_lock(&locks[0]);
	ret[1] = pthread_mutex_consistent(&locks[0]);
	pthread_mutex_unlock(&locks[0]);
	ret[2] = pthread_mutex_lock(&locks[0]);
	pthread_mutex_unlock(&locks[0]);
	/* The owner ends while one waits. */
	start(hold_sleep_and_end, &locks[1]);
	usleep(5000);
	ret[3] = pthread_mutex_lock(&locks[1]);
	printf("%d %d %d %d\n", ret[0], ret[1], ret[2], ret[3]);
	return ret[0] != EOWNERDEAD || ret[1] || ret[2] || ret[3] != EOWNERDEAD;
}

static int pi_mutex(void)
{
	pthread_mutexattr_t attr;
	pthread_t threads[8];
	int i, ret;

	pthread_mutexattr_init(&attr);
	ret = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (!ret)
		ret = pthread_mutex_init(&mutex, &attr);
	if (ret) {
		printf("no such mutex: %s\n", strerror(ret));
		return 1;
	}
	for (i = 0; i < 8; i++)
		threads[i] = start(add_under_mutex, NULL);
	for (i = 0; i < 8; i++)
		join(threads[i]);
	printf("8 threads added %ld\n", counter);
	return counter != 8 * 300;
}

/* Threads that wait for sockets of their own, and one that polls all of them. */
#define PEERS 6
static struct sockaddr_in place = {.sin_family = AF_INET};
static int accepted[PEERS];

static void *be_a_client(void *arg)
{
	char byte = 0;
	long got = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&place, sizeof(place)))
		return (void *)-1000;
	while (read(fd, &byte, 1) == 1) {
		got++;
		if (write(fd, &byte, 1) != 1)
			break;
	}
	close(fd);
	return (void *)(arg ? -1000l : got);
}

/* What they send back, until all have hung up. */
static void *poll_all(void *arg)
{
	struct pollfd fds[PEERS];
	long got = (long)arg;
	int open = PEERS;
	char byte;
	int i;

	for (i = 0; i < PEERS; i++)
		fds[i] = (struct pollfd){.fd = accepted[i], .events = POLLIN};
	while (open && poll(fds, PEERS, 5000) > 0) {
		for (i = 0; i < PEERS; i++) {
			if (!fds[i].revents)
				continue;
			if (read(fds[i].fd, &byte, 1) == 1) {
				got++;
			} else {
				fds[i].fd = -1;
				open--;
			}
		}
	}
	return (void *)(got + 1000 * open);
}

static int sockets(void)
{
	socklen_t bytes = sizeof(place);
	pthread_t clients[PEERS], poller;
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	long got = 0, back;
	int i, j;

	place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (listener < 0 || bind(listener, (struct sockaddr *)&place, bytes) ||
	    listen(listener, PEERS) || getsockname(listener, (struct sockaddr *)&place, &bytes)) {
		printf("no listener: %s\n", strerror(errno));
		return 1;
	}
	for (i = 0; i < PEERS; i++)
		clients[i] = start(be_a_client, NULL);
	for (i = 0; i < PEERS; i++)
		accepted[i] = accept(listener, NULL, NULL);
	poller = start(poll_all, NULL);
	for (j = 0; j < 3; j++) {
		for (i = 0; i < PEERS; i++) {
			usleep(500);
			got -= write(accepted[(i * 5 + j) % PEERS], "x", 1);
		}
	}
	for (i = 0; i < PEERS; i++)
		shutdown(accepted[i], SHUT_WR);
	for (i = 0; i < PEERS; i++)
		got += join(clients[i]);
	back = join(poller);
	printf("lost on the way: %ld, sent back: %ld\n", got, back);
	return got || back != 3 * PEERS;
}

static void *count_one(void *arg)
{
	pthread_mutex_lock(&mutex);
	counter++;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&mutex);
	return arg;
}

static int detach(void)
{
	int i;

	for (i = 0; i < 200; i++)
		pthread_detach(start(count_one, NULL));
	pthread_mutex_lock(&mutex);
	while (counter < 200)
		pthread_cond_wait(&cond, &mutex);
	pthread_mutex_unlock(&mutex);
	printf("detached threads that ran: %ld\n", counter);
	return 0;
}

static int made, go;

static void *be_there(void *arg)
{
	pthread_mutex_lock(&mutex);
	made++;
	while (!go)
		pthread_cond_wait(&cond, &mutex);
	counter += (long)arg;
	pthread_mutex_unlock(&mutex);
	return arg;
}

static int thousand_of_the_usual_size(void)
{
	static pthread_t threads[1000];
	pthread_attr_t attr;
	long sum = 0;
	long i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 8u << 20);
	for (i = 0; i < 1000; i++) {
		if (pthread_create(&threads[i], &attr, be_there, (void *)i))
			break;
	}
	printf("made: %ld\n", i);
	pthread_mutex_lock(&mutex);
	go = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	while (i)
		sum += join(threads[--i]);
	printf("1000 threads: %ld %ld\n", sum, counter);
	return sum != 499500 || counter != sum;
}

static int thousand(void)
{
	static _Alignas(16) char stacks[1000][SMALL_BYTES];
	static pthread_t threads[1000];
	long sum = 0;
	long i;

	for (i = 0; i < 1000; i++)
		threads[i] = start_on(stacks[i], be_there, (void *)i);
	do {
		usleep(1000);
		pthread_mutex_lock(&mutex);
		i = made;
		pthread_mutex_unlock(&mutex);
	} while (i < 1000);
	pthread_mutex_lock(&mutex);
	go = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	for (i = 0; i < 1000; i++)
		sum += join(threads[i]);
	printf("1000 threads: %ld %ld\n", sum, counter);
	return sum != 499500 || counter != sum;
}

static atomic_int stop;

static void *spin(void *arg)
{
	uint64_t turns = 0;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		turns++;
	return (void *)(arg ? (long)turns : 0l);
}

/* A thread that computes keeps neither a sleeper nor a reader from going on. */
static void *sleep_often(void *arg)
{
	int i;

	for (i = 0; i < 10; i++)
		usleep(1000);
	return arg;
}

static void *read_pipe(void *arg)
{
	char byte;
	long got = 0;

	while (read(*(int *)arg, &byte, 1) == 1)
		got++;
	return (void *)got;
}

static int spinning(void)
{
	uint64_t began = now_ms();
	pthread_t spinner, sleeper, reader;
	int ends[2];
	long got;
	int i;

	if (pipe(ends))
		return 1;
	spinner = start(spin, NULL);
	sleeper = start(sleep_often, NULL);
	reader = start(read_pipe, &ends[0]);
	for (i = 0; i < 5; i++) {
		usleep(1000);
		if (write(ends[1], "x", 1) != 1)
			return 1;
	}
	close(ends[1]);
	got = join(reader);
	join(sleeper);
	if (now_ms() - began > 5000)
		printf("slow: %d ms\n", (int)(now_ms() - began));
	atomic_store(&stop, 1);
	join(spinner);
	printf("read beside a spinning thread: %ld\n", got);
	return got != 5;
}

/* Spinning threads get about the same. */
static int fair(void)
{
	pthread_t threads[4];
	long turns[4], most = 0, least = INT64_MAX;
	int i;

	for (i = 0; i < 4; i++)
		threads[i] = start(spin, (void *)1);
	usleep(400000);
	atomic_store(&stop, 1);
	for (i = 0; i < 4; i++) {
		turns[i] = join(threads[i]);
		most = turns[i] > most ? turns[i] : most;
		least = turns[i] < least ? turns[i] : least;
	}
	printf("four spinning threads: %s\n", least > 0 ? "all went on" : "one starved");
	return least <= 0;
}

/* As many threads as there may be, twice: those that ended leave room for others. */
static int until_refused(void)
{
	static _Alignas(16) char stacks[1100][SMALL_BYTES];
	static pthread_t threads[1100];
	int rounds, count, i, ret;

	for (rounds = 0; rounds < 2; rounds++) {
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		for (count = 0, ret = 0; count < 1100; count++) {
			pthread_attr_setstack(&attr, stacks[count], SMALL_BYTES);
			ret = pthread_create(&threads[count], &attr, be_there, NULL);
			if (ret)
				break;
		}
		printf("%d threads, then %s\n", count, strerrorname_np(ret));
		pthread_mutex_lock(&mutex);
		go = 1;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
		for (i = 0; i < count; i++)
			join(threads[i]);
		go = 0;
	}
	return 0;
}

static int spin_for_ever(void)
{
	start(spin, NULL);
	start(spin, NULL);
	spin(NULL);
	return 0;
}

static int wait_for_ever(void)
{
	pthread_mutex_lock(&mutex);
	start(add_under_mutex, NULL);
	pthread_cond_wait(&room, &mutex);
	pthread_cond_wait(&room, &mutex);
	return 0;
}

static void *end_the_program(void *arg)
{
	usleep(2000);
	exit(arg ? 0 : 17);
}

static int exit_by_another(void)
{
	start(end_the_program, NULL);
	sem_init(&ping, 0, 0);
	while (sem_wait(&ping))
		;
	return 1;
}

static void *say_last(void *arg)
{
	usleep(5000);
	printf("the last one\n");
	fflush(stdout);
	return arg;
}

static int first_ends_first(void)
{
	start(say_last, NULL);
	pthread_exit(NULL);
}

static void *burn(void *arg)
{
	clockid_t *clock = arg;
	struct timespec used;
	volatile int i;

	pthread_getcpuclockid(pthread_self(), clock);
	for (;;) {
		for (i = 0; i < 100000; i++)
			;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
		if (used.tv_sec || used.tv_nsec > 30000000)
			break;
	}
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static int cpu_clocks(void)
{
	struct timespec mine, theirs, all;
	struct rusage usage;
	clockid_t clock = -1;
	pthread_t thread;
	bool ok;

	pthread_barrier_init(&barrier, NULL, 2);
	thread = start(burn, &clock);
	pthread_barrier_wait(&barrier);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mine);
	ok = !clock_gettime(clock, &theirs);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &all);
	getrusage(RUSAGE_THREAD, &usage);
	ok = ok && theirs.tv_nsec >= 30000000 && !mine.tv_sec && mine.tv_nsec < 30000000 &&
	     all.tv_nsec >= theirs.tv_nsec && usage.ru_utime.tv_usec < 30000;
	pthread_barrier_wait(&barrier);
	join(thread);
	printf("CPU time by thread: %s\n", ok ? "right" : "wrong");
	return !ok;
}

static void *rename_it(void *arg)
{
	char name[16];

	pthread_setname_np(pthread_self(), arg);
	sched_yield();
	pthread_getname_np(pthread_self(), name, sizeof(name));
	return (void *)(long)strcmp(name, arg);
}

static int names(void)
{
	pthread_t a = start(rename_it, "one");
	pthread_t b = start(rename_it, "fifteen letters");
	long wrong = 0;
	char name[16];

	wrong += join(a) != 0;
	wrong += join(b) != 0;
	pthread_getname_np(pthread_self(), name, sizeof(name));
	printf("%s, wrong names: %ld\n", name, wrong);
	return wrong != 0;
}

static const struct test_case cases[] = {
	{"tls", tls},
	{"ids", ids},
	{"mutex", mutex_torture},
	{"cond", cond_queue},
	{"barrier", barriers},
	{"rwlock", rwlocks},
	{"semaphore", semaphores},
	{"timed", timed},
	{"robust", robust},
	{"pi", pi_mutex},
	{"sockets", sockets},
	{"detach", detach},
	{"thousand", thousand},
	{"thousand-usual", thousand_of_the_usual_size},
	{"spinning", spinning},
	{"fair", fair},
	{"exit", exit_by_another},
	{"first", first_ends_first},
	{"cpu", cpu_clocks},
	{"names", names},
};

/* These do not end by themselves, or are about the VM's limits. */
static const struct test_case others[] = {
	{"until-refused", until_refused},
	{"spin-for-ever", spin_for_ever},
	{"wait-for-ever", wait_for_ever},
};

static int run_named(const struct test_case *list, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (!strcmp(list[i].name, name))
			return list[i].run();
	}
	return -1;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "list";
	size_t i;
	int ret;

	if (!strcmp(name, "list")) {
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
			puts(cases[i].name);
		return 0;
	}
	ret = run_named(cases, sizeof(cases) / sizeof(cases[0]), name);
	if (ret < 0)
		ret = run_named(others, sizeof(others) / sizeof(others[0]), name);
	return ret < 0 ? 99 : ret;
}
