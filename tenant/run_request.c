/* SPDX-License-Identifier: MIT */
#include "tenant/run_request.h"
#include "tenant/program.h"
#include "tenant/relay.h"
#include "tenant/stdin_request.h"

#include "request-vm/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Until the stream is ready, or a signal is there for the program. False: the deadline came. */
static bool wait_for(const struct mf_run_request *run, const struct mf_process *process, int fd,
		     short events)
{
	const struct mf_exit wait = {
		.wait_fd = fd, .wait_events = events, .wait_until_ns = UINT64_MAX};

	return mf_program_wait(process, &wait, run->deadline_ns);
}

/* A signal from outside: 1 when the program has died of it. */
static int relay(struct mf_process *process, struct mf_exit *exit)
{
	if (!__atomic_load_n(&process->vm.kicked, __ATOMIC_RELAXED))
		return 0;
	mf_vm_take_kicks(&process->vm);
	return mf_relay_deliver(process, exit);
}

static int at_deadline(struct mf_exit *exit)
{
	exit->kind = MF_EXIT_KICKED;
	exit->kicks = MF_KICK_DEADLINE;
	return 1;
}

/* All of standard input: 0, 1 as above, -errno. */
static int read_all(const struct mf_run_request *run, struct mf_process *process,
		    struct mf_stdin_request *request, struct mf_exit *exit)
{
	int ret = mf_stdin_request_begin(request, request->room);

	ret = ret ? ret : 1;
	while (ret > 0) {
		if (!wait_for(run, process, STDIN_FILENO, POLLIN))
			return at_deadline(exit);
		if (relay(process, exit))
			return 1;
		ret = mf_stdin_request_read(request, STDIN_FILENO);
		ret = ret == -EINTR || ret == -EAGAIN ? 1 : ret;
	}
	return ret;
}

static int bad_ready(const struct mf_run_request *run, struct mf_error *err)
{
	return mf_error_set(err, -ENOEXEC,
			    "%s asks for requests in a way that this version does not know; "
			    "rebuild it with this version's SDK",
			    run->name);
}

int mf_run_request_give(struct mf_run_request *run, struct mf_process *process,
			const struct mf_ready_point *ready, struct mf_exit *exit,
			struct mf_error *err)
{
	struct mf_stdin_request request = {.room = ready->buffer_bytes};
	int ret = read_all(run, process, &request, exit);

	run->given = true;
	if (!ret && mf_function_deliver(process, ready, request.request,
					request.request->size_bytes) == -EFAULT)
		ret = bad_ready(run, err);
	else if (ret < 0)
		/* As natively: the program is told, and so are people. */
		mf_output_say(0, "mayfly run: no request from standard input: %s\n",
			      strerror(-ret));
	if (ret < 0 && ret != -ENOEXEC) {
		mf_vm_answer(&process->vm, ret);
		ret = 0;
	}
	mf_stdin_request_finish(&request);
	return ret;
}

/* The bytes to standard output, as many as --output lets through: 0, 1 as above, -errno. */
static int print(const struct mf_run_request *run, struct mf_process *process, const void *bytes,
		 size_t size, struct mf_exit *exit)
{
	uint64_t limit = process->policy->output_limit;
	uint64_t left = limit > process->output_bytes ? limit - process->output_bytes : 0;
	size_t room = limit && left < size ? (size_t)left : size;
	size_t done = 0;

	while (done < room) {
		ssize_t put = run->output(run->output_cookie, STDOUT_FILENO,
					  (const uint8_t *)bytes + done, room - done);

		if (put == -EAGAIN) {
			if (!wait_for(run, process, STDOUT_FILENO, POLLOUT))
				return at_deadline(exit);
			if (relay(process, exit))
				return 1;
			continue;
		}
		if (put <= 0)
			return put ? (int)put : -EIO;
		done += (size_t)put;
	}
	process->output_bytes += room;
	return room < size ? -ENOSPC : 0;
}

/* What it answered, if it did. */
static int print_response(const struct mf_run_request *run, struct mf_process *process,
			  struct mf_exit *exit)
{
	struct mf_function_response response;
	int ret = mf_function_response(process, exit, &response);

	if (ret)
		return ret == -ENOMSG ? 0 : ret;
	ret = print(run, process, response.body, response.body_bytes, exit);
	mf_function_response_finish(&response);
	return ret;
}

int mf_run_request_on_exit(struct mf_run_request *run, struct mf_process *process,
			   struct mf_exit *exit, struct mf_error *err)
{
	struct mf_ready_point ready;
	bool waits = exit->kind == MF_EXIT_READY;
	int ret;

	if (waits && mf_function_ready(process, exit, &ready))
		return bad_ready(run, err);
	ret = print_response(run, process, exit);
	if (ret > 0)
		return 1;
	if (waits && !run->given && !ret)
		return mf_run_request_give(run, process, &ready, exit, err);
	/* There is no other request: mf_wait() says so. */
	mf_vm_answer(&process->vm, ret);
	return 0;
}
