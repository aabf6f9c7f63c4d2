/* SPDX-License-Identifier: MIT */
/* Where a program can put 16 bytes so that they, or half of them, outlive a request. */
#include "isolation.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/fast.h>

#define RW (PROT_READ | PROT_WRITE)

static uint64_t half(const struct order *order)
{
	uint64_t word;

	memcpy(&word, order->secret, 8);
	return word;
}

/* An address that a program may have, made of the secret. */
static uint64_t address(const struct order *order)
{
	return half(order) & 0x7ffffffff000;
}

static void name_of(const struct order *order, char text[2 * SECRET + 1])
{
	size_t i;

	for (i = 0; i < SECRET; i++)
		snprintf(text + 2 * i, 3, "%02x", order->secret[i]);
}

static void fill(void *at, size_t bytes, const struct order *order)
{
	size_t i;

	for (i = 0; i + SECRET <= bytes; i += SECRET)
		memcpy((char *)at + i, order->secret, SECRET);
}

static void in_data(const struct order *order)
{
	fill(in_bss, sizeof(in_bss), order);
}

static void in_heap(const struct order *order)
{
	char *fresh = malloc(5000), *freed = malloc(700);

	fill(on_heap, HEAP_BYTES, order);
	fill(fresh, 5000, order);
	fill(freed, 700, order);
	free(freed);
}

__attribute__((noinline)) static void in_stack(const struct order *order)
{
	char deep[DEEP];

	fill(deep, DEEP, order);
	__asm__ volatile("" : : "r"(deep) : "memory");
}

static void in_maps(const struct order *order)
{
	char *fresh = mmap(NULL, MAPPED_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(NULL, MAPPED_BYTES, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *shared = mmap(NULL, MAPPED_BYTES, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	void *chosen = mmap((void *)address(order), 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *top = sbrk(8192);

	fill(mapped, MAPPED_BYTES, order);
	fill(fresh, MAPPED_BYTES, order);
	fill(gone, MAPPED_BYTES, order);
	fill(shared, MAPPED_BYTES, order);
	fill(chosen, 4096, order);
	fill(top, 8192, order);
	mprotect(fresh, 4096, PROT_NONE);
	munmap(gone, MAPPED_BYTES);
	munmap(mapped + 8192, 4096);
}

static void in_environment(const struct order *order)
{
	char text[2 * SECRET + 1], raw[SECRET + 1] = {0};

	memcpy(raw, order->secret, SECRET);
	name_of(order, text);
	setenv("SECRET", raw, 1);
	setenv(text, text, 1);
}

static void in_files(const struct order *order)
{
	int one = open("/dev/shm/secret", O_RDWR | O_CREAT, 0600), two = memfd_create("secret", 0);
	char text[2 * SECRET + 1], path[80], *at;

	name_of(order, text);
	snprintf(path, sizeof(path), "/dev/shm/%s", text);
	close(open(path, O_RDWR | O_CREAT, 0600));
	if (write(one, order->secret, SECRET) != SECRET || write(two, order->secret, SECRET) < 0)
		_exit(51);
	at = mmap(NULL, 4096, RW, MAP_SHARED, one, 0);
	if (at != MAP_FAILED)
		fill(at, 4096, order);
}

static void in_queues(const struct order *order)
{
	uint64_t word = half(order) >> 1;
	int ends[2], i;

	if (pipe(ends) || write(ends[1], order->secret, SECRET) != SECRET)
		_exit(52);
	for (i = 0; i < 2; i++) {
		if (socketpair(AF_UNIX, i ? SOCK_DGRAM : SOCK_STREAM, 0, ends) ||
		    write(ends[1], order->secret, SECRET) != SECRET)
			_exit(53);
	}
	if (write(eventfd(0, 0), &word, 8) != 8)
		_exit(54);
}

/* Items of an epoll, those of the server's own among them: what a later request would be told. */
static void in_epolls(const struct order *order)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = half(order)};
	int other = epoll_create1(0), ready = eventfd(0, 0);

	epoll_ctl(epoll, EPOLL_CTL_ADD, ready, &event);
	epoll_ctl(other, EPOLL_CTL_ADD, ready, &event);
	epoll_ctl(epoll, EPOLL_CTL_ADD, other, &event);
	event.events = EPOLLIN;
	epoll_ctl(epoll, EPOLL_CTL_MOD, listener, &event);
}

static void in_timers(const struct order *order)
{
	struct itimerspec soon = {.it_interval.tv_sec = (time_t)(half(order) >> 40),
				  .it_value.tv_sec = 100};
	struct itimerval old = {.it_interval.tv_sec = (time_t)(half(order) >> 40),
				.it_value.tv_sec = 100};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
	timer_t timer;
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	event.sigev_value.sival_ptr = (void *)half(order);
	if (!timer_create(CLOCK_MONOTONIC, &event, &timer))
		timer_settime(timer, 0, &soon, NULL);
	timerfd_settime(fd, 0, &soon, NULL);
	setitimer(ITIMER_REAL, &old, NULL);
	setitimer(ITIMER_VIRTUAL, &old, NULL);
}

static void in_signals(const struct order *order)
{
	struct sigaction action = {.sa_handler = (void (*)(int))address(order),
				   .sa_flags = SA_RESTART | SA_NODEFER};
	stack_t stack = {.ss_sp = (void *)address(order), .ss_size = 65536};
	sigset_t set;
	int i;

	memcpy(&action.sa_mask, order->secret, 8);
	for (i = 1; i <= 64; i++)
		sigaction(i, &action, NULL);
	sigaltstack(&stack, NULL);
	memcpy(&set, order->secret, 8);
	sigaddset(&set, SIGRTMIN + 3);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_ptr = (void *)half(order)});
}

static void in_names(const struct order *order)
{
	char text[2 * SECRET + 1], path[80];

	name_of(order, text);
	prctl(PR_SET_NAME, text);
	prctl(PR_SET_PDEATHSIG, 1 + half(order) % 30);
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_NO_NEW_PRIVS, 1);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	snprintf(path, sizeof(path), "/dev/shm/%s", text);
	mkdir(path, 0700);
	if (chdir(path))
		chdir("/proc/self");
	setsid();
}

static void in_limits(const struct order *order)
{
	struct rlimit limit;
	cpu_set_t set;
	int i;

	for (i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit((__rlimit_resource_t)i, &limit);
		if (i == RLIMIT_NOFILE || i == RLIMIT_CPU || i == RLIMIT_AS || i == RLIMIT_DATA)
			continue;
		limit.rlim_cur = limit.rlim_max < half(order) ? limit.rlim_max / 2 : half(order);
		setrlimit((__rlimit_resource_t)i, &limit);
	}
	umask((mode_t)half(order) & 0777);
	setpriority(PRIO_PROCESS, 0, 1 + (int)(half(order) % 18));
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	sched_setaffinity(0, sizeof(set), &set);
	syscall(SYS_set_robust_list, address(order) + 8, 24);
	syscall(SYS_set_tid_address, mapped);
}

/* Memory that code of the engine goes by in ring 3, but for what the current answer needs. */
static void in_fast_area(const struct order *order)
{
	struct mf_fast_area *area = (struct mf_fast_area *)MF_FAST_AREA_VA;

	fill(area->state_and_stack + MF_FAST_STACK_TOP - MF_FAST_STACK, MF_FAST_STACK - 512, order);
	fill(area->log + MF_FAST_LOG / 2, sizeof(area->log) / 2, order);
	fill(area->in, sizeof(area->in), order);
	fill(area->out + MF_FAST_OUT / 2, MF_FAST_OUT / 2, order);
	fill(area->state.fds[MF_FAST_FDS - 1].name, 112, order);
	memcpy(&area->state.items[MF_FAST_ITEMS - 1].data, order->secret, 8);
}

/* Connections to itself: one that waits with unread bytes, one that was accepted. */
static void in_connections(const struct order *order)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x7f000001)};
	struct linger linger = {.l_onoff = 1, .l_linger = (int)(half(order) & 0x7fff)};
	int i, bytes = 2048 + (int)(half(order) & 0xfff);

	for (i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
			send(fd, order->secret, SECRET, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (!i)
			fd = accept(listener, NULL, NULL);
		send(fd, order->secret, SECRET, MSG_NOSIGNAL | MSG_DONTWAIT);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	}
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	fcntl(listener, F_SETFD, FD_CLOEXEC);
}

static void *another(void *order)
{
	char text[2 * SECRET + 1], own[4096];

	name_of(order, text);
	prctl(PR_SET_NAME, text);
	fill(own, sizeof(own), order);
	__asm__ volatile("" : : "r"(own) : "memory");
	pause();
	return NULL;
}

static void in_threads(const struct order *order)
{
	static struct order kept;
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3); /* in_signals() has it wait */
	sigprocmask(SIG_BLOCK, &set, NULL);
	kept = *order;
	if (pthread_create(&thread, NULL, another, &kept))
		_exit(55);
}

/* Bits of order.places; the last one (31) is in isolation_guest.c. */
static void (*const places[])(const struct order *) = {
	in_data,    in_heap,   in_stack,  in_maps,      in_environment,
	in_files,   in_queues, in_epolls, in_threads,   in_timers,
	in_signals, in_names,  in_limits, in_fast_area, in_connections,
};

void hide(const struct order *order)
{
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (order->places >> i & 1)
			places[i](order);
}

static void load_vectors(const struct order *order)
{
	static char wide[64] __attribute__((aligned(64)));
	uint32_t low, high, control = 0x1f80 ^ (uint32_t)(half(order) & 0xe040);
	uint16_t x87 = (uint16_t)(0x37f ^ (half(order) & 0xf00));

	fill(wide, sizeof(wide), order);
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
#define ALL_OF(insn, reg)                                                                   \
	__asm__ volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" insn " %0,%%" reg \
			 "\\n\n.endr"                                                       \
			 :                                                                  \
			 : "m"(wide))
	if ((low & 0xe0) == 0xe0) {
		ALL_OF("vmovdqa64", "zmm");
		__asm__ volatile(".irp n,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
				 "vmovdqa64 %0,%%zmm\\n\n.endr\n"
				 ".irp n,1,2,3,4,5,6,7\nkmovw %0,%%k\\n\n.endr"
				 :
				 : "m"(wide));
	} else if (low & 4) {
		ALL_OF("vmovdqa", "ymm");
	} else {
		ALL_OF("movdqa", "xmm");
	}
	__asm__ volatile("fldt %0\n fldt %1\n fldcw %2\n ldmxcsr %3"
			 :
			 : "m"(wide[0]), "m"(wide[6]), "m"(x87), "m"(control));
}

/* The bases and selectors of data segments; nothing of the C library works behind it. */
static void load_segments(const struct order *order)
{
	uint16_t other = 3;

	syscall(SYS_arch_prctl, ARCH_SET_GS, address(order));
	__asm__ volatile("syscall"
			 :
			 : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS), "S"(address(order) + 64)
			 : "rcx", "r11", "memory");
	__asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(other));
}

/* All but what the way of ending needs: RAX, and RSI, RDI, RDX, R10, RCX, R11 for a system call. */
#define LOAD                                                                            \
	"pushfq\n orq $0x240000, (%%rsp)\n popfq\n"                                     \
	"mov %1, %%rbx\n mov %1, %%rbp\n mov %1, %%r8\n mov %1, %%r9\n mov %1, %%r12\n" \
	"mov %1, %%r13\n mov %1, %%r14\n mov %1, %%r15\n"
#define LOAD_REST                                                                          \
	"mov %1, %%rdx\n mov %1, %%rcx\n mov %1, %%rdi\n mov %1, %%r10\n mov %1, %%r11\n " \
	"mov %1, %%rsp\n"

void end_with_secret(const struct order *order)
{
	uint64_t word = half(order);
	uint32_t end = order->end;
	int never = epoll_create1(0);

	load_vectors(order);
	load_segments(order);
	if (end == END_CRASH)
		__asm__ volatile(LOAD LOAD_REST "ud2" : : "a"(0), "S"(word) : "memory");
	if (end == END_SPIN)
		__asm__ volatile(LOAD LOAD_REST "1: jmp 1b" : : "a"(0), "S"(word) : "memory");
	if (end == END_TRIPLE)
		__asm__ volatile(LOAD LOAD_REST "in %%dx, %%al" : : "a"(0), "S"(word) : "memory");
	__asm__ volatile(LOAD "xor %%esi, %%esi\n mov %%rsp, %%rsi\n sub $4096, %%rsi\n"
			      "mov $1, %%edx\n mov $-1, %%r10\n syscall\n ud2"
			 :
			 : "a"(end == END_EXIT ? SYS_exit_group : SYS_epoll_wait), "S"(word),
			   "D"(never)
			 : "memory");
	__builtin_unreachable();
}
