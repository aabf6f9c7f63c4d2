/* SPDX-License-Identifier: MIT */
/*
 * Calls on listening sockets and accepted connections: the cases of tests/guests/connections, run
 * natively with clients over the host's sockets and in a VM with clients as a role has them, with
 * calls answered in ring 3 and by the engine alone. Every line that they print is the same.
 */
#include "tests/engine/harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/linux/connection.h"

#define CLIENTS    24
#define TEXT_BYTES 65536u
#define CASES      512

#define EMULATED_STEP 16u

struct client {
	bool open;
	bool swallows;
	bool quiet; /* and nobody is told how much */
	uint64_t swallowed;
	int fd;          /* native */
	uint32_t number; /* in the VM */
};

/* One run of a case: what it printed, and what its clients have still to do. */
struct run {
	char text[TEXT_BYTES];
	size_t bytes;
	size_t looked_at; /* lines of the text that were looked at for commands */
	struct client clients[CLIENTS];
	int to_program; /* its standard input */
	uint64_t until_ns;
	/* native */
	int port;
	int domain;
	bool listens;
	/* VM */
	struct guest *guest;
};

static struct lab lab;
static struct run native, inside;
static char folder[] = "/tmp/mayfly-connections-XXXXXX";

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void add(struct run *run, const char *bytes, size_t count)
{
	size_t room = TEXT_BYTES - 1 - run->bytes;

	count = count < room ? count : room;
	memcpy(run->text + run->bytes, bytes, count);
	run->bytes += count;
	run->text[run->bytes] = 0;
}

static void told(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void told(struct run *run, const char *format, ...)
{
	char line[512];
	va_list list;

	va_start(list, format);
	vsnprintf(line, sizeof(line), format, list);
	va_end(list);
	add(run, line, strlen(line));
}

/* What a client got, at most some of it printed. */
static void told_bytes(struct run *run, int n, const char *bytes, size_t count)
{
	told(run, "client %d got %zu: %.*s\n", n, count, (int)(count < 80 ? count : 80), bytes);
}

/* --- clients over the host's sockets --- */

static int dial(const struct run *run)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)run->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct timeval late = {.tv_sec = is_emulated() ? 60 : 6};
	int fd = socket(run->domain == AF_UNIX ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ret;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s/socket", folder);
	if (run->domain == AF_UNIX)
		ret = connect(fd, (struct sockaddr *)&un, sizeof(un));
	else
		ret = connect(fd, (struct sockaddr *)&in, sizeof(in));
	cr_assert_eq(ret, 0, "cannot connect: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &late, sizeof(late));
	return fd;
}

static void native_take(struct run *run, int n, size_t count)
{
	char *bytes = malloc(count + 1);
	ssize_t got = recv(run->clients[n].fd, bytes, count, MSG_WAITALL);

	if (got < 0)
		told(run, "client %d: %s\n", n, strerrorname_np(errno));
	else
		told_bytes(run, n, bytes, (size_t)got);
	free(bytes);
}

static void native_end(struct run *run, int n)
{
	char bytes[65536];
	size_t all = 0;
	ssize_t got;

	while ((got = recv(run->clients[n].fd, bytes, sizeof(bytes), 0)) > 0)
		all += (size_t)got;
	told(run, "client %d got %zu, then %s\n", n, all, got ? "reset" : "end");
}

/* The program has ended: all that is still on its way. */
static void native_swallow(struct client *client)
{
	char bytes[65536];
	ssize_t got;

	while ((got = recv(client->fd, bytes, sizeof(bytes), 0)) > 0)
		client->swallowed += (uint64_t)got;
}

static void native_reset(struct client *client)
{
	struct linger none = {.l_onoff = 1};

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	close(client->fd);
	client->open = false;
}

static bool native_does(struct run *run, int n, const char *what, const char *with)
{
	struct client *client = &run->clients[n];
	size_t count = strtoul(with, NULL, 10);
	char *bytes;

	if (!strcmp(what, "open")) {
		*client = (struct client){.open = true, .fd = dial(run)};
	} else if (!strcmp(what, "send")) {
		send(client->fd, with, strlen(with), MSG_NOSIGNAL);
	} else if (!strcmp(what, "fill")) {
		bytes = malloc(count);
		memset(bytes, 'x', count);
		send(client->fd, bytes, count, MSG_NOSIGNAL);
		free(bytes);
	} else if (!strcmp(what, "shut")) {
		shutdown(client->fd, SHUT_WR);
	} else if (!strcmp(what, "take")) {
		native_take(run, n, count);
	} else if (!strcmp(what, "end")) {
		native_end(run, n);
	} else if (!strcmp(what, "close")) {
		close(client->fd);
		client->open = false;
	} else if (!strcmp(what, "reset")) {
		native_reset(client);
	} else if (!strcmp(what, "swallow") || !strcmp(what, "drain")) {
		client->swallows = true;
		client->quiet = *what == 'd';
	} else {
		return false;
	}
	return true;
}

/* --- clients as a role has them --- */

static struct mf_connection_state state_of(const struct run *run, int n)
{
	struct mf_connection_state state;

	mf_connection_look(&run->guest->process, run->clients[n].number, &state);
	return state;
}

static void inside_take(struct run *run, int n, size_t count)
{
	char *bytes = malloc(count + 1);
	size_t got = mf_connection_take(&run->guest->process, run->clients[n].number, bytes, count);

	told_bytes(run, n, bytes, got);
	free(bytes);
}

static void inside_swallow(struct run *run, int n)
{
	char bytes[65536];
	size_t got;

	while ((got = mf_connection_take(&run->guest->process, run->clients[n].number, bytes,
					 sizeof(bytes))))
		run->clients[n].swallowed += got;
}

static void inside_end(struct run *run, int n)
{
	struct mf_connection_state state;

	inside_swallow(run, n);
	state = state_of(run, n);
	told(run, "client %d got %zu, then %s\n", n, (size_t)run->clients[n].swallowed,
	     state.aborted || (state.closed && state.unread) ? "reset"
	     : state.ended                                   ? "end"
							     : "nothing");
}

static void inside_send(struct run *run, int n, const char *bytes, size_t count)
{
	int64_t put = mf_connection_put(&run->guest->process, run->clients[n].number, bytes, count);

	cr_assert_eq(put, (int64_t)count, "a client could not send");
}

static bool inside_does(struct run *run, int n, const char *what, const char *with)
{
	struct mf_process *process = &run->guest->process;
	struct client *client = &run->clients[n];
	size_t count = strtoul(with, NULL, 10);
	char *bytes;

	if (!strcmp(what, "open")) {
		*client = (struct client){.open = true};
		cr_assert_eq(mf_connection_open(process, NULL, 0, &client->number), 0);
	} else if (!strcmp(what, "send")) {
		inside_send(run, n, with, strlen(with));
	} else if (!strcmp(what, "fill")) {
		bytes = malloc(count);
		memset(bytes, 'x', count);
		inside_send(run, n, bytes, count);
		free(bytes);
	} else if (!strcmp(what, "shut")) {
		mf_connection_end(process, client->number);
	} else if (!strcmp(what, "take")) {
		inside_take(run, n, count);
	} else if (!strcmp(what, "end")) {
		inside_end(run, n);
	} else if (!strcmp(what, "close") || !strcmp(what, "reset")) {
		if (*what == 'r')
			mf_connection_reset(process, client->number);
		mf_connection_close(process, client->number);
		client->open = false;
	} else if (!strcmp(what, "swallow") || !strcmp(what, "drain")) {
		client->swallows = true;
		client->quiet = *what == 'd';
	} else {
		return false;
	}
	return true;
}

/* --- both --- */

static void do_command(struct run *run, const char *line)
{
	int n = (int)strtol(line, NULL, 10);
	const char *what = strchr(line, ' ');
	char verb[16] = "";
	const char *with;
	bool done;

	cr_assert(what && n >= 0 && n < CLIENTS, "%s", line);
	sscanf(what, "%15s", verb);
	with = strchr(what + 1, ' ');
	with = with ? with + 1 : "";
	done = run->guest ? inside_does(run, n, verb, with) : native_does(run, n, verb, with);
	cr_assert(done, "no such command: %s", line);
	cr_assert_eq(write(run->to_program, "\n", 1), 1);
}

/* What the program has asked for since the last look. */
static void do_commands(struct run *run)
{
	char line[512];
	char *end;

	while ((end = strchr(run->text + run->looked_at, '\n'))) {
		const char *begin = run->text + run->looked_at;

		snprintf(line, sizeof(line), "%.*s", (int)(end - begin), begin);
		run->looked_at = (size_t)(end + 1 - run->text);
		if (sscanf(line, ">listens %d", &run->port) == 1)
			run->listens = true;
		else if (*line == '>')
			do_command(run, line + 1);
	}
}

static void begin(struct run *run, struct guest *guest)
{
	memset(run, 0, sizeof(*run));
	run->guest = guest;
	run->until_ns = now_ns() + (is_emulated() ? 100 : 10) * 1000000000ull;
}

static void end(struct run *run)
{
	unsigned int n;

	for (n = 0; n < CLIENTS; n++) {
		struct client *client = &run->clients[n];

		if (client->swallows && client->open && !run->guest)
			native_swallow(client);
		if (client->swallows && !client->quiet)
			told(run, "client %u got %zu in all\n", n, (size_t)client->swallowed);
		if (client->open && !run->guest)
			close(client->fd);
	}
}

static void native_read(struct run *run, int from_program, bool *over)
{
	struct pollfd list[CLIENTS + 1] = {{.fd = from_program, .events = POLLIN}};
	char bytes[65536];
	ssize_t got;
	int n;

	for (n = 0; n < CLIENTS; n++) {
		struct client *client = &run->clients[n];

		list[n + 1] =
			(struct pollfd){.fd = client->swallows ? client->fd : -1, .events = POLLIN};
	}
	if (poll(list, CLIENTS + 1, 1000) <= 0)
		return;
	for (n = 0; n < CLIENTS; n++) {
		got = list[n + 1].revents ? recv(run->clients[n].fd, bytes, sizeof(bytes), 0) : 0;
		run->clients[n].swallowed += got > 0 ? (uint64_t)got : 0;
		if (list[n + 1].revents && got <= 0 && !list[0].revents)
			usleep(1000);
	}
	if (!list[0].revents)
		return;
	got = read(from_program, bytes, sizeof(bytes));
	*over = got <= 0;
	if (got > 0)
		add(run, bytes, (size_t)got);
}

static pid_t start(const char *mode, int *from_program, int *to_program)
{
	int in[2], out[2];
	pid_t pid;

	cr_assert(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close_range(3, ~0u, 0);
		signal(SIGPIPE, SIG_DFL);
		if (chdir(folder))
			_exit(89);
		unlink("socket");
		execl(GUESTS_DIR "/connections", "connections", mode, NULL);
		_exit(88);
	}
	close(in[0]);
	close(out[1]);
	*from_program = out[0];
	*to_program = in[1];
	return pid;
}

static void run_natively(const char *mode, const char *name)
{
	struct run *run = &native;
	bool over = false;
	int from_program;
	int status;
	pid_t pid;

	begin(run, NULL);
	run->domain = !strcmp(mode, "unix") ? AF_UNIX : AF_INET;
	pid = start(mode, &from_program, &run->to_program);
	while (!over && now_ns() < run->until_ns) {
		native_read(run, from_program, &over);
		do_commands(run);
		if (run->listens) {
			run->listens = false;
			run->bytes = run->looked_at = 0;
			run->text[0] = 0;
			run->clients[0] = (struct client){.open = true, .fd = dial(run)};
			cr_assert_gt(write(run->to_program, name, strlen(name)), 0);
		}
	}
	if (!over)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	end(run);
	if (!over)
		told(run, "(hangs)\n");
	else if (WIFSIGNALED(status))
		told(run, "(signal %d)\n", WTERMSIG(status));
	else
		told(run, "(exit %d)\n", WEXITSTATUS(status));
	close(from_program);
	close(run->to_program);
}

static ssize_t keep_output(void *cookie, int fd, const void *bytes, size_t count)
{
	if (fd == 1)
		add(cookie, bytes, count);
	return (ssize_t)count;
}

static void wait_for(const struct mf_exit *exit)
{
	struct pollfd fd = {.fd = exit->wait_fd, .events = exit->wait_events};
	uint64_t now = now_ns();
	uint64_t left = exit->wait_until_ns > now ? exit->wait_until_ns - now : 0;

	left = left < 100000000 ? left : 100000000;
	poll(&fd, 1, (int)((left + 999999) / 1000000));
}

static bool goes_on(const struct mf_exit *exit)
{
	return exit->kind == MF_EXIT_WAIT || exit->kind == MF_EXIT_CONNECTION ||
	       exit->kind == MF_EXIT_KICKED;
}

static void run_inside(struct guest *guest, const char *name)
{
	struct mf_policy policy = lab.policy;
	struct run *run = &inside;
	struct mf_exit exit;
	int in[2], n;

	begin(run, guest);
	cr_assert(!pipe2(in, O_CLOEXEC));
	run->to_program = in[1];
	policy.no_fast = guest->process.policy->no_fast;
	policy.stdin_fd = in[0];
	policy.output = keep_output;
	policy.output_cookie = run;
	guest->process.policy = &policy;
	inside_does(run, 0, "open", "");
	cr_assert_gt(write(run->to_program, name, strlen(name)), 0);
	do {
		size_t looked_at = run->looked_at;

		watch_vm(&guest->process.vm, 2000000);
		mf_process_run(&guest->process, &exit);
		watch_vm(NULL, 0);
		for (n = 0; n < CLIENTS; n++)
			if (run->clients[n].swallows)
				inside_swallow(run, n);
		do_commands(run);
		if (exit.kind == MF_EXIT_WAIT && run->looked_at == looked_at)
			wait_for(&exit);
	} while (goes_on(&exit) && now_ns() < run->until_ns);
	end(run);
	if (exit.kind == MF_EXIT_EXITED)
		told(run, "(exit %d)\n", exit.status);
	else if (exit.kind == MF_EXIT_SIGNALED)
		told(run, "(signal %d)\n", exit.status);
	else
		told(run, "(%s %s)\n", goes_on(&exit) ? "hangs" : "crashed", exit.text);
	guest_reset_and_audit(guest, name);
	guest->process.policy = &lab.policy;
	close(in[0]);
	close(in[1]);
}

static unsigned int list_cases(char names[CASES][64])
{
	FILE *list = popen(GUESTS_DIR "/connections --list", "r");
	unsigned int count = 0;

	while (count < CASES && list && fscanf(list, "%63s", names[count]) == 1)
		count++;
	cr_assert(list && !pclose(list) && count);
	return count;
}

/* What differs, line by line, with the line before. */
static void show_difference(const char *how, const char *name, const char *outside)
{
	const char *a = outside, *b = inside.text;
	const char *before = "";

	while (*a && *b) {
		size_t one = strcspn(a, "\n"), two = strcspn(b, "\n");

		if (one != two || memcmp(a, b, one))
			break;
		before = a;
		a += one + (a[one] != 0);
		b += two + (b[two] != 0);
	}
	fprintf(stderr, "%s/%s differs behind\n    %.*s\n  natively\n%.400s\n  in the VM\n%.400s\n",
		how, name, (int)strcspn(before, "\n"), before, a, b);
}

/* Each way of the VM's: a fork of an image, and who answers. */
struct way {
	const char *name;
	struct lab_options options;
	bool no_fast;
};

/* What it prints natively: it is run once. */
static const char *natively(const char *mode, const char *name, unsigned int i)
{
	static char *texts[CASES];

	if (!texts[i]) {
		run_natively(mode, name);
		texts[i] = strdup(native.text);
		cr_expect(!strstr(native.text, "(hangs)"), "natively, %s/%s hangs:\n%s", mode, name,
			  native.text);
	}
	return texts[i];
}

/* In the emulated machine, of which each way has others: most of it does not depend on the family.
 */
static bool is_left_out(const char *mode, unsigned int i)
{
	return is_emulated() && i % EMULATED_STEP != strlen(mode) % EMULATED_STEP;
}

static unsigned int compare_all(const char *mode, const struct way *way)
{
	static char names[CASES][64];
	const char *only = getenv("MAYFLY_TEST_CASE");
	unsigned int count = list_cases(names);
	unsigned int differ = 0;
	const char *outside;
	struct mf_policy policy;
	struct guest guest;
	char how[64];
	unsigned int i;

	snprintf(how, sizeof(how), "%s/%s", mode, way->name);
	guest_fork(&guest, &lab);
	policy = lab.policy;
	policy.no_fast = way->no_fast;
	for (i = 0; i < count; i++) {
		if (only ? strcmp(only, names[i]) : is_left_out(mode, i))
			continue;
		outside = natively(mode, names[i], i);
		guest.process.policy = &policy;
		run_inside(&guest, names[i]);
		if (only)
			fprintf(stderr, "natively:\n%s\nin the VM:\n%s\n", outside, inside.text);
		if (!strcmp(outside, inside.text))
			continue;
		show_difference(how, names[i], outside);
		differ++;
	}
	guest_finish(&guest);
	return differ;
}

static void come_to_the_same(const char *mode, const struct way *ways, unsigned int count)
{
	unsigned int differ = 0;
	unsigned int i;

	signal(SIGPIPE, SIG_IGN);
	cr_assert_not_null(mkdtemp(folder));
	for (i = 0; i < count; i++) {
		struct lab_options options = ways[i].options;

		options.argument = mode;
		options.listens = true;
		lab_open(&lab, "connections", &options);
		differ += compare_all(mode, &ways[i]);
		lab_close(&lab);
	}
	unlinkat(AT_FDCWD, folder, AT_REMOVEDIR);
	cr_assert_eq(differ, 0, "%u cases differ", differ);
}

static const struct way ways[] = {
	{"fast", {.patched = true}, false},
	{"no_fast", {.patched = true}, true},
	{"no_patch", {.plain_text = true}, false},
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))

Test(connections, of_ipv4_are_as_natively_whoever_answers, .timeout = 280)
{
	come_to_the_same("inet", ways, is_emulated() ? 1 : WAYS);
}

Test(connections, of_ipv6_are_as_natively, .timeout = 280)
{
	come_to_the_same("inet6", ways, is_long() ? WAYS : 1);
}

Test(connections, of_unix_sockets_are_as_natively, .timeout = 280)
{
	come_to_the_same("unix", ways, is_long() ? WAYS : 1);
}
