/* SPDX-License-Identifier: MIT */
/* Looks for a secret in all that a program can reach; says what Linux keeps about the program. */
#include "isolation.h"

#include <asm/prctl.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/fast.h>

static char text[64 << 10];

static size_t read_text(const char *path)
{
	int fd = open(path, O_RDONLY);
	size_t have = 0;
	ssize_t got;

	while (fd >= 0 && (got = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)got;
	close(fd);
	text[have] = '\0';
	return have;
}

/* The words are never put together while they are looked for. */
static unsigned int count(const void *from, const void *to, uint64_t low, uint64_t high)
{
	const char *at = from, *end = to;
	unsigned int found = 0;

	for (; at + 8 <= end; at++) {
		uint64_t word;

		__asm__("" : "+r"(low), "+r"(high)); /* or the compiler forms the secret */
		memcpy(&word, at, 8);
		found += (word ^ low) == UINT64_MAX || (word ^ high) == UINT64_MAX;
	}
	return found;
}

/* Every range that the program may read. */
static unsigned int in_ranges(uint64_t low, uint64_t high)
{
	unsigned int found = 0;
	char *line, *next;

	if (!read_text("/proc/self/maps"))
		return 1000000;
	for (line = text; *line; line = next) {
		uint64_t start = strtoull(line, &next, 16), end = strtoull(next + 1, &next, 16);
		int readable = next[1] == 'r';

		next = strchr(next, '\n') + 1;
		if (readable && end <= MF_FAST_STUB_VA)
			found += count((void *)start, (void *)end, low, high);
	}
	return found;
}

/* Frames that others had before. */
static unsigned int in_fresh_memory(uint64_t low, uint64_t high)
{
	char *map = mmap(NULL, 4 * MAPPED_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *heap = malloc(20000);

	__asm__("" : "+r"(heap)); /* reading what nobody wrote is the purpose */
	return count(map, map + 4 * MAPPED_BYTES, low, high) + count(heap, heap + 20000, low, high);
}

/* The stack below this frame, as deep as it was used. */
__attribute__((noinline)) static unsigned int in_stack(uint64_t low, uint64_t high)
{
	char *frame = __builtin_frame_address(0);

	return count(frame - DEEP - 8192, frame - 256, low, high);
}

static unsigned int in_files(uint64_t low, uint64_t high)
{
	unsigned int found = 0;
	char bytes[4096];
	int fd;

	for (fd = -1; fd < 100; fd++) {
		int at = fd < 0 ? open("/dev/shm/secret", O_RDONLY) : fd;
		ssize_t got = at == listener
				      ? -1
				      : recv(at, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_PEEK);

		if (got < 0)
			got = pread(at, bytes, sizeof(bytes), 0);
		if (got > 0)
			found += count(bytes, bytes + got, low, high);
	}
	return found;
}

unsigned int find(const uint8_t *complement)
{
	const char *area = (const char *)MF_FAST_AREA_VA;
	uint64_t low, high;

	memcpy(&low, complement, 8);
	memcpy(&high, complement + 8, 8);
	return in_stack(low, high) + in_ranges(low, high) + in_fresh_memory(low, high) +
	       in_files(low, high) + count(registers, registers + 16, low, high) +
	       count(area, area + MF_FAST_AREA_PAGES * 4096, low, high) +
	       (getenv("SECRET") != NULL);
}

/* ---- what Linux keeps ---- */

static uint64_t sum;

static void add(const void *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
}

static void add_number(int64_t number)
{
	add(&number, sizeof(number));
}

static void of_descriptors(void)
{
	char path[40], name[256];
	int fd;

	for (fd = 0; fd < 100; fd++) {
		struct stat stat = {0};
		ssize_t bytes;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		bytes = readlink(path, name, sizeof(name));
		if (bytes < 0)
			continue;
		add(name, (size_t)bytes);
		fstat(fd, &stat);
		add_number(stat.st_mode);
		add_number(fcntl(fd, F_GETFD));
		add_number(fcntl(fd, F_GETFL));
	}
}

static void of_signals(void)
{
	struct sigaction action;
	stack_t stack = {0};
	sigset_t set;
	int i;

	for (i = 1; i <= 64; i++) {
		memset(&action, 0, sizeof(action));
		sigaction(i, NULL, &action);
		add_number((int64_t)action.sa_handler);
		add(&action.sa_mask, 8);
		add_number(action.sa_flags);
	}
	sigaltstack(NULL, &stack);
	add_number((int64_t)stack.ss_sp);
	sigprocmask(SIG_BLOCK, NULL, &set);
	add(&set, 8);
	sigpending(&set);
	add(&set, 8);
}

static void of_timers(void)
{
	struct itimerval timer = {0};
	struct itimerspec spec;
	int i;

	for (i = 0; i < 3; i++) {
		getitimer((__itimer_which_t)i, &timer);
		add_number(timer.it_interval.tv_sec);
		add_number(timer.it_value.tv_sec != 0);
	}
	for (i = 0; i < 8; i++)
		add_number(syscall(SYS_timer_gettime, i, &spec));
}

static void of_names(void)
{
	static const int asked[] = {PR_GET_PDEATHSIG, PR_GET_CHILD_SUBREAPER};
	char name[256] = {0};
	size_t i;

	prctl(PR_GET_NAME, name);
	add(name, 16);
	for (i = 0; i < 2; i++) {
		int value = 0;

		prctl(asked[i], &value);
		add_number(value);
	}
	add_number(prctl(PR_GET_DUMPABLE));
	add_number(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	add_number(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	add_number(personality(0xffffffff));
	add_number(getsid(0));
	add_number(getpgid(0));
	if (!getcwd(name, sizeof(name)))
		strcpy(name, "none");
	add(name, strlen(name));
}

static void of_limits(void)
{
	uint64_t head = 0, size = 0;
	struct rlimit limit;
	cpu_set_t set;
	mode_t mask;
	int i;

	for (i = 0; i < RLIM_NLIMITS; i++) {
		getrlimit((__rlimit_resource_t)i, &limit);
		add(&limit, sizeof(limit));
	}
	mask = umask(0);
	umask(mask);
	add_number(mask);
	add_number(getpriority(PRIO_PROCESS, 0));
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	add(&set, sizeof(set));
	syscall(SYS_get_robust_list, 0, &head, &size);
	add_number((int64_t)head);
}

static void of_registers(void)
{
	uint64_t base = 0, flags;
	uint32_t control;
	uint16_t x87, selectors[4];

	memcpy(&x87, vectors, 2);
	memcpy(&control, vectors + 24, 4);
	add_number(x87);
	add_number(control);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	add_number((int64_t)base);
	syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	add_number((int64_t)base);
	__asm__ volatile(
		"mov %%ds, %0\n mov %%es, %1\n mov %%fs, %2\n mov %%gs, %3\n pushfq\n pop %4"
		: "=r"(selectors[0]), "=r"(selectors[1]), "=r"(selectors[2]), "=r"(selectors[3]),
		  "=r"(flags));
	add(selectors, sizeof(selectors));
	add_number((int64_t)(flags & 0x247f00));
}

static void of_files(void)
{
	DIR *folder = opendir("/dev/shm");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		add(entry->d_name, strlen(entry->d_name));
	if (folder)
		closedir(folder);
	add_number(folder != NULL);
	add_number(access("/dev/shm/secret", F_OK));
}

static void of_memory(void)
{
	add(text, read_text("/proc/self/maps"));
	add_number((int64_t)sbrk(0));
}

static void of_threads(void)
{
	DIR *folder = opendir("/proc/self/task");

	while (folder && readdir(folder))
		add_number(1);
	if (folder)
		closedir(folder);
}

/* What its epoll would tell next. */
static void of_epoll(void)
{
	struct epoll_event events[8];
	int i, ready = epoll_wait(epoll, events, 8, 0);

	add_number(ready);
	for (i = 0; i < ready; i++)
		add_number(events[i].events);
}

static void of_environment(void)
{
	char **at;

	for (at = environ; *at; at++)
		add(*at, strlen(*at));
}

static void of_sockets(void)
{
	int options[] = {SO_RCVBUF, SO_SNDBUF, SO_REUSEADDR, SO_KEEPALIVE, SO_ACCEPTCONN}, value;
	struct linger linger = {0};
	socklen_t bytes = sizeof(linger);
	size_t i;

	getsockopt(listener, SOL_SOCKET, SO_LINGER, &linger, &bytes);
	add(&linger, sizeof(linger));
	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		bytes = sizeof(value);
		getsockopt(listener, SOL_SOCKET, options[i], &value, &bytes);
		add_number(value);
	}
	add_number(accept4(listener, NULL, NULL, SOCK_NONBLOCK));
}

void describe(char *said, size_t room)
{
	static const struct {
		const char *name;
		void (*look)(void);
	} parts[] = {{"registers", of_registers},
		     {"memory", of_memory},
		     {"environment", of_environment},
		     {"descriptors", of_descriptors},
		     {"epoll", of_epoll},
		     {"signals", of_signals},
		     {"timers", of_timers},
		     {"names", of_names},
		     {"limits", of_limits},
		     {"threads", of_threads},
		     {"files", of_files},
		     {"sockets", of_sockets}};
	size_t i, at = 0;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		sum = 0xcbf29ce484222325;
		parts[i].look();
		at += (size_t)snprintf(said + at, room - at, "%s=%016lx ", parts[i].name,
				       (unsigned long)sum);
	}
}
