/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "say.h"
#include "server.h"
#include "times.h"

#define START_MAX_NS      20000000000ull
#define START_EMULATED_NS 120000000000ull
#define OPTIONS_MAX       24
#define LOG_KEPT          4096 /* the end of a log that is looked at */

pid_t fork_bound(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
	}
	return pid;
}

/* The last bytes of a log as text. */
static void read_log(int log, char *text, size_t room)
{
	struct stat st = {0};
	off_t from = 0;
	ssize_t got;

	fstat(log, &st);
	if (st.st_size > (off_t)room - 1)
		from = st.st_size - (off_t)room + 1;
	got = pread(log, text, room - 1, from);
	text[got > 0 ? got : 0] = '\0';
}

static pid_t start(const struct tour *tour, int log, const char *const *options)
{
	const char *argv[OPTIONS_MAX + 8] = {tour->mayfly, "serve", "--listen", "127.0.0.1:0"};
	size_t count = 4;
	pid_t pid;

	while (*options && count < OPTIONS_MAX)
		argv[count++] = *options++;
	argv[count++] = "--";
	argv[count++] = tour->stanza;
	pid = fork_bound();
	if (pid == 0) {
		dup2(log, STDERR_FILENO);
		execv(tour->mayfly, (char *const *)argv);
		fprintf(stderr, "%s: %s\n", tour->mayfly, strerror(errno));
		_exit(127);
	}
	return pid;
}

/* Wait for the line that says where it listens. 0 when it ended or took too long. */
static uint16_t wait_for_port(const struct server *server, uint64_t patience_ns)
{
	static const char sign[] = " on 127.0.0.1:";
	uint64_t until = now_ns() + patience_ns;
	struct timespec nap = {.tv_nsec = 2000000};
	siginfo_t info = {0};
	char text[LOG_KEPT];

	do {
		const char *at;

		read_log(server->log, text, sizeof(text));
		at = strstr(text, sign);
		if (at && strchr(at, '\n'))
			return (uint16_t)atoi(at + sizeof(sign) - 1);
		nanosleep(&nap, NULL);
		waitid(P_PID, (id_t)server->pid, &info, WEXITED | WNOHANG | WNOWAIT);
	} while (!info.si_pid && now_ns() < until);
	return 0;
}

bool server_start(struct server *server, const struct tour *tour, const char *const *options)
{
	char text[LOG_KEPT];

	*server = (struct server){.pid = -1};
	server->log = memfd_create("log", MFD_CLOEXEC);
	if (server->log >= 0)
		server->pid = start(tour, server->log, options);
	if (server->pid > 0)
		server->port =
			wait_for_port(server, tour->emulated ? START_EMULATED_NS : START_MAX_NS);
	if (server->port)
		return true;
	read_log(server->log, text, sizeof(text));
	if (server->pid > 0) {
		kill(server->pid, SIGKILL);
		waitpid(server->pid, NULL, 0);
	}
	close(server->log);
	return claim(false, "mayfly serve did not start: %s", text);
}

/* The sentence of the last audit that failed. */
static void note_audit(const char *text, char *why, size_t room)
{
	static const char sign[] = "audit failed";

	for (const char *at = text; (at = strstr(at, sign)); at++)
		snprintf(why, room, "%.*s", (int)strcspn(at, "\n"), at);
}

/* The number that stands before these words, 0 when they are not in the line. */
static unsigned long long count_of(const char *line, const char *words)
{
	const char *end = line + strcspn(line, "\n");
	const char *at = strstr(line, words);

	if (!at || at > end)
		return 0;
	while (at > line && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return strtoull(at, NULL, 10);
}

/* The last line that has these words in it, or NULL. */
static const char *last_line(const char *text, const char *words)
{
	const char *line = NULL;

	for (const char *at = text; (at = strstr(at, words)); at++)
		line = at;
	while (line && line > text && line[-1] != '\n')
		line--;
	return line;
}

static bool parse_end(const char *text, struct server_end *end)
{
	const char *store = last_line(text, "mayfly: store: ");
	const char *line = last_line(text, " requests, ");

	if (!line)
		return false;
	end->requests = count_of(line, " requests");
	end->failed = count_of(line, " of them failed");
	end->resets = count_of(line, " resets");
	end->audits = count_of(line, " audits");
	end->unclean = count_of(line, " unclean");
	end->exits = count_of(line, " user exits");
	if (!store)
		return true;
	end->calls = count_of(store, " calls");
	end->in_place = count_of(store, " read in place");
	end->commits = count_of(store, " commits");
	end->restarts = count_of(store, " restarts");
	end->store_exits = count_of(store, " user exits");
	return true;
}

void server_settle(const struct tour *tour)
{
	struct timespec nap = {.tv_sec = tour->emulated ? 5 : 0, .tv_nsec = 200000000};

	nanosleep(&nap, NULL);
}

bool server_stop(struct server *server, struct server_end *end)
{
	char text[LOG_KEPT];
	int status = -1;

	*end = (struct server_end){0};
	kill(server->pid, SIGTERM);
	while (waitpid(server->pid, &status, 0) < 0 && errno == EINTR)
		;
	read_log(server->log, text, sizeof(text));
	close(server->log);
	note_audit(text, end->why, sizeof(end->why));
	if (status == 0 && parse_end(text, end)) {
		if (end->unclean)
			say("%s", end->why);
		return true;
	}
	return claim(false, "mayfly serve did not end well (status 0x%x): %s", status, text);
}

void server_kill(struct server *server)
{
	kill(server->pid, SIGKILL);
	while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(server->log);
}

static int file_in_memory(const void *bytes, size_t count)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	if (fd >= 0 && count && pwrite(fd, bytes, count, 0) != (ssize_t)count) {
		close(fd);
		return -1;
	}
	return fd;
}

/* With a NUL behind it. */
static long read_output(int fd, char **output)
{
	struct stat st = {0};

	fstat(fd, &st);
	*output = calloc(1, (size_t)st.st_size + 1);
	return *output && pread(fd, *output, (size_t)st.st_size, 0) == st.st_size ? (long)st.st_size
										  : -EIO;
}

long run_program(const char *program, const void *input, size_t bytes, char **output)
{
	int in = file_in_memory(input, bytes);
	int out = file_in_memory(NULL, 0);
	int status = -1;
	long length = -EPROTO;
	pid_t pid = in >= 0 && out >= 0 ? fork_bound() : -1;

	*output = NULL;
	if (pid == 0) {
		dup2(in, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		execl(program, program, (char *)NULL);
		_exit(127);
	}
	if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		length = read_output(out, output);
	close(in);
	close(out);
	return length;
}

int run_quietly(const char *const *argv, char **output)
{
	int in = file_in_memory(NULL, 0);
	int out = file_in_memory(NULL, 0);
	int status = -1;
	pid_t pid = in >= 0 && out >= 0 ? fork_bound() : -1;

	if (pid == 0) {
		dup2(in, STDIN_FILENO);
		dup2(out, STDOUT_FILENO);
		dup2(out, STDERR_FILENO);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (output)
		read_output(out, output);
	close(in);
	close(out);
	if (pid < 0)
		return -EAGAIN;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
