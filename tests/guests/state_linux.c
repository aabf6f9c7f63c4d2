/* SPDX-License-Identifier: MIT */
/* What the engine keeps about the program. The working directory is the folder it may write. */
#include "state.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static int file; /* of the image: "image.txt" */
static char altstack_memory[16384];

static void handler(int signo)
{
	(void)signo;
}

void prepare_linux(void)
{
	file = open("image.txt", O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (file < 0 || write(file, "0123456789", 10) != 10 || lseek(file, 2, SEEK_SET) != 2)
		_exit(41);
	if (mkdir("below", 0700) && access("below", F_OK))
		_exit(42);
}

static void dirty_cwd(void)
{
	if (chdir("below"))
		say("no chdir ");
}

static void look_cwd(void)
{
	char text[1024];

	say("%s", getcwd(text, sizeof(text)) ? text : "?");
}

static void dirty_umask(void)
{
	umask(0777);
}

static void look_umask(void)
{
	say("%o", umask(0));
}

static void dirty_handlers(void)
{
	int signo;

	for (signo = 1; signo < 32; signo++)
		signal(signo, signo % 2 ? handler : SIG_IGN);
}

static void look_handlers(void)
{
	struct sigaction action;
	int signo;

	for (signo = 1; signo < 32; signo++) {
		action.sa_handler = NULL;
		sigaction(signo, NULL, &action);
		say("%lx ", (unsigned long)(uintptr_t)action.sa_handler);
	}
}

static void dirty_mask(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
}

static void look_mask(void)
{
	sigset_t set;
	int signo;

	sigprocmask(SIG_SETMASK, NULL, &set);
	for (signo = 1; signo < 64; signo++)
		say("%d", sigismember(&set, signo));
}

static void dirty_altstack(void)
{
	stack_t stack = {.ss_sp = altstack_memory, .ss_size = sizeof(altstack_memory)};

	sigaltstack(&stack, NULL);
}

static void look_altstack(void)
{
	stack_t stack;

	sigaltstack(NULL, &stack);
	say("%p %zu %d", stack.ss_sp, stack.ss_size, stack.ss_flags);
}

static void dirty_open(void)
{
	int fd = open("image.txt", O_RDONLY);
	int ends[2];

	if (fd < 0 || pipe(ends))
		say("no open ");
}

/* The number that the next open gets, and what is behind the low ones. */
static void look_descriptors(void)
{
	struct stat st;
	int fd;

	for (fd = 0; fd < 12; fd++)
		say("%d ", fstat(fd, &st) ? -1 : fcntl(fd, F_GETFD));
	say("next %d", open("image.txt", O_RDONLY));
}

static void dirty_close(void)
{
	close(file);
	close(0);
}

static void look_file(void)
{
	char text[4] = "";
	long got = read(file, text, 3);

	say("%ld %s %x", got, text, (unsigned int)fcntl(file, F_GETFL));
}

static void dirty_dup(void)
{
	dup2(file, 9);
	dup2(file, 1);
	fcntl(file, F_SETFD, FD_CLOEXEC);
}

static void dirty_offset(void)
{
	lseek(file, 7, SEEK_SET);
}

static void dirty_flags(void)
{
	fcntl(file, F_SETFL, O_APPEND | O_NONBLOCK);
}

static void dirty_reused_number(void)
{
	close(file);
	open("/dev/null", O_RDWR);
}

static void dirty_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 20;

	setrlimit(RLIMIT_NOFILE, &limit);
}

static void look_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	say("%lu %lu", limit.rlim_cur, limit.rlim_max);
}

static void dirty_environment(void)
{
	setenv("SECRET", "1", 1);
	setenv("HOME", "/changed", 1);
}

static void look_environment(void)
{
	const char *secret = getenv("SECRET");

	say("%s %s", secret ? secret : "-", getenv("HOME"));
}

const struct state state_linux[] = {
	{"cwd", dirty_cwd, look_cwd},
	{"umask", dirty_umask, look_umask},
	{"signal-handlers", dirty_handlers, look_handlers},
	{"signal-mask", dirty_mask, look_mask},
	{"altstack", dirty_altstack, look_altstack},
	{"fd-opened", dirty_open, look_descriptors},
	{"fd-closed", dirty_close, look_descriptors},
	{"fd-closed-file", dirty_close, look_file},
	{"fd-duplicated", dirty_dup, look_descriptors},
	{"fd-number-reused", dirty_reused_number, look_file},
	{"file-offset", dirty_offset, look_file},
	{"file-flags", dirty_flags, look_file},
	{"limits", dirty_limit, look_limit},
	{"environment", dirty_environment, look_environment},
	{NULL, NULL, NULL},
};
