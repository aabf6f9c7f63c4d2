/* SPDX-License-Identifier: MIT */
#include "tenant/relay.h"
#include "tenant/run.h"
#include "tenant/run_request.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct streams {
	bool always[3]; /* writing to it never blocks: a file */
};

/* As much as goes without waiting. */
static ssize_t write_stream(void *cookie, int fd, const void *bytes, size_t count)
{
	const struct streams *streams = cookie;
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	size_t done = 0;

	while (done < count) {
		size_t part = count - done;
		ssize_t put;

		if (!streams->always[fd]) {
			if (poll(&poll_fd, 1, 0) == 0)
				return done ? (ssize_t)done : -EAGAIN;
			part = part < PIPE_BUF ? part : PIPE_BUF; /* that much surely fits */
		}
		put = write(fd, (const char *)bytes + done, part);
		if (put < 0)
			return done ? (ssize_t)done : errno == EINTR ? -EAGAIN : -errno;
		done += (size_t)put;
	}
	return (ssize_t)done;
}

static void look_at_streams(struct streams *streams)
{
	struct stat st;
	int fd;

	for (fd = 0; fd < 3; fd++)
		streams->always[fd] = !fstat(fd, &st) && S_ISREG(st.st_mode);
}

static int status_of(const struct mf_exit *exit, const char *name, bool out_of_memory,
		     struct mf_error *err)
{
	switch (exit->kind) {
	case MF_EXIT_EXITED:
		return exit->status;
	case MF_EXIT_SIGNALED:
		/* As shells: somebody who went away and somebody who pressed a key know of it. */
		if (exit->status == SIGPIPE || exit->status == SIGINT)
			return 128 + exit->status;
		/* fallthrough */
	case MF_EXIT_CRASHED:
		mf_error_set(err, 0, "%s died: %s%s", name, exit->text,
			     out_of_memory ? "; it had been refused memory: raise --memory" : "");
		return 128 + exit->status;
	case MF_EXIT_KICKED:
		mf_error_set(err, 0, "%s was ended at its deadline", name);
		return MF_STATUS_DEADLINE;
	default:
		mf_error_set(err, 0,
			     "%s asks for what only a server has; serve it: mayfly serve --listen "
			     "ADDR -- %s",
			     name, name);
		return MF_STATUS_FAILED;
	}
}

/* From exit to exit, until it is over: `exit` says how. -errno with a sentence when it cannot go
 * on.
 */
static int drive(struct mf_program *program, struct mf_process *process, struct mf_watch *watch,
		 struct mf_run_request *run, struct mf_exit *exit, struct mf_error *err)
{
	const struct mf_program_run how = {.watch = watch, .deadline_ns = run->deadline_ns};
	int ret = program->is_image ? mf_run_request_give(run, process, &program->ready, exit, err)
				    : 0;

	while (!ret) {
		mf_program_drive(process, &how, NULL, exit);
		if (exit->kind == MF_EXIT_LOG)
			mf_process_log(process, exit);
		else if (exit->kind == MF_EXIT_READY || exit->kind == MF_EXIT_RESPOND)
			ret = mf_run_request_on_exit(run, process, exit, err);
		else
			ret = 1;
	}
	return ret < 0 ? ret : 0;
}

static int run_confined(struct mf_program *program, const struct mf_run_options *options,
			struct mf_error *err)
{
	struct mf_watchdog *dog = NULL;
	struct mf_process process;
	struct mf_exit exit = {.wait_fd = -1};
	int status = MF_STATUS_FAILED;

	if (program->is_image && program->ready.kind == MF_READY_LISTENER) {
		exit = (struct mf_exit){.kind = MF_EXIT_READY};
		return status_of(&exit, options->program.argv[0], false, err);
	}
	if (mf_watchdog_create(&dog, 1, err))
		return status;
	if (!mf_program_exec(program, &process, err)) {
		const char *name = options->program.argv[0];
		struct mf_run_request run = {
			.name = name,
			.deadline_ns =
				options->deadline_ns ? mf_now_ns() + options->deadline_ns : 0,
			.output = program->policy.output,
			.output_cookie = program->policy.output_cookie,
		};

		mf_relay_set(&process);
		if (!drive(program, &process, mf_watchdog_worker(dog, 0), &run, &exit, err))
			status = status_of(&exit, name, process.out_of_memory, err);
		mf_relay_set(NULL);
		mf_process_finish(&process);
	}
	mf_watchdog_destroy(dog);
	return status;
}

int mf_run(const struct mf_run_options *options, struct mf_error *err)
{
	struct streams streams;
	struct mf_program program;
	int status = MF_STATUS_FAILED;

	uint64_t ignored = mf_relay_ignored();

	mf_program_calm_host();
	mf_relay_open();
	look_at_streams(&streams);
	if (mf_program_open(&program, &options->program, err))
		return status;
	program.policy.output = write_stream;
	program.policy.output_cookie = &streams;
	program.policy.stdin_fd = STDIN_FILENO;
	program.policy.stdio_is_host = true;
	program.policy.ignored = ignored;
	program.policy.umask = (uint32_t)umask(0) + 1;
	program.plain = true;
	if (!mf_program_confine(&program, NULL, NULL, NULL, err))
		status = run_confined(&program, options, err);
	mf_program_close(&program);
	return status;
}
