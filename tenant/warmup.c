/* SPDX-License-Identifier: MIT */
#include "tenant/warmup.h"

#include "engine/image/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int add(struct mf_warmup *warmup, const char *bytes, size_t size, unsigned int times,
	       struct mf_error *err)
{
	char *copy = malloc(size);

	if (!copy)
		return mf_error_set(err, -ENOMEM,
				    "not enough memory for a request to warm up with");
	if (warmup->count == MF_WARMUPS) {
		free(copy);
		return mf_error_set(err, -E2BIG, "more than %u requests to warm up with",
				    MF_WARMUPS);
	}
	memcpy(copy, bytes, size);
	warmup->requests[warmup->count++] = (struct mf_warmup_request){copy, size, times};
	return 0;
}

/* Every request in the bytes; `what` names them. */
static int parse(struct mf_warmup *warmup, const char *bytes, size_t size, unsigned int times,
		 const char *what, struct mf_error *err)
{
	struct mf_http_limits limits;
	struct mf_http_parser parser;
	size_t at = 0, from = 0;
	int ret = 0;

	mf_http_limits_default(&limits);
	limits.body_bytes = MF_HTTP_BODY_MAX;
	mf_http_parser_init(&parser, &limits);
	while (at < size && !ret) {
		struct mf_http_message message;
		enum mf_http_state state;
		size_t used;

		state = mf_http_parser_feed(&parser, bytes + at, size - at, &used);
		at += used;
		if (state == MF_HTTP_REFUSED) {
			ret = mf_error_set(err, -EINVAL,
					   "--warmup %s: byte %zu is not part of an HTTP/1 request "
					   "that would be served (%d)",
					   what, at, parser.status);
		} else if (state == MF_HTTP_READY) {
			mf_http_parser_take(&parser, &message);
			mf_http_message_finish(&message);
			ret = add(warmup, bytes + from, at - from, times, err);
			from = at;
		}
	}
	if (!ret && mf_http_parser_begun(&parser))
		ret = mf_error_set(err, -EINVAL, "--warmup %s: its last request is cut short",
				   what);
	mf_http_parser_finish(&parser);
	return ret;
}

static int add_file(struct mf_warmup *warmup, const char *path, struct mf_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is none */
	struct stat st;
	char *bytes;
	int ret;

	if (fd < 0 || fstat(fd, &st)) {
		ret = mf_error_set(err, -errno,
				   "--warmup %s: %s; it is METHOD:PATH[*N], such as GET:/index*10, "
				   "or a file with recorded requests",
				   path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return ret;
	}
	bytes = S_ISREG(st.st_mode) && st.st_size <= (off_t)MF_WARMUP_FILE_MAX
			? malloc((size_t)st.st_size + 1)
			: NULL;
	if (!bytes)
		ret = mf_error_set(err, -EFBIG, "--warmup %s: no file of at most %u MiB", path,
				   MF_WARMUP_FILE_MAX >> 20);
	else if ((ret = mf_file_read(fd, bytes, (size_t)st.st_size, 0)))
		mf_error_set(err, ret, "--warmup %s: %s", path, strerror(-ret));
	else
		ret = parse(warmup, bytes, (size_t)st.st_size, 1, path, err);
	free(bytes);
	close(fd);
	return ret;
}

/* The number behind the last `*`, if that is what stands there; the text in front of it. */
static unsigned int times_of(const char *text, size_t *length)
{
	const char *star = strrchr(text, '*');
	char *end;
	unsigned long times;

	*length = strlen(text);
	if (!star || star[1] < '0' || star[1] > '9')
		return 1;
	times = strtoul(star + 1, &end, 10);
	if (*end || times > MF_WARMUP_TIMES)
		return 0;
	*length = (size_t)(star - text);
	return (unsigned int)times;
}

/* METHOD is capitals, and a path follows. */
static size_t method_bytes(const char *text)
{
	size_t bytes = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return bytes && text[bytes] == ':' && text[bytes + 1] == '/' ? bytes : 0;
}

int mf_warmup_add(struct mf_warmup *warmup, const char *text, struct mf_error *err)
{
	size_t method = method_bytes(text);
	char request[9000];
	size_t length;
	unsigned int times;
	int size;

	if (!method)
		return add_file(warmup, text, err);
	times = times_of(text, &length);
	if (!times)
		return mf_error_set(err, -EINVAL, "--warmup %s: 1 to %u times", text,
				    MF_WARMUP_TIMES);
	size = snprintf(request, sizeof(request), "%.*s %.*s HTTP/1.1\r\nHost: warmup\r\n\r\n",
			(int)method, text, (int)(length - method - 1), text + method + 1);
	if (size < 0 || (size_t)size >= sizeof(request))
		return mf_error_set(err, -E2BIG, "--warmup: a path of more than 8 KiB");
	return parse(warmup, request, (size_t)size, times, text, err);
}

void mf_warmup_finish(struct mf_warmup *warmup)
{
	while (warmup->count) {
		struct mf_warmup_request *request = &warmup->requests[--warmup->count];

		explicit_bzero(request->bytes, request->size);
		free(request->bytes);
	}
}

uint64_t mf_warmup_total(const struct mf_warmup *warmup)
{
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < warmup->count; i++)
		total += warmup->requests[i].times;
	return total;
}

/* The status that the program answered with, or -1: none. */
static int status_of(const struct mf_process *process, const struct mf_exit *exit)
{
	struct mf_function_response response;
	int status;

	if (mf_function_response(process, exit, &response))
		return -1;
	status = response.status;
	mf_function_response_finish(&response);
	return status;
}

static int check_status(int status, struct mf_error *err)
{
	if (status < 500)
		return 0;
	return mf_error_set(err, -EPROTO,
			    "the program answered %d while it was warmed up: what it printed may "
			    "say why",
			    status);
}

static int no_answer(const char *why, struct mf_error *err)
{
	return mf_error_set(err, -EPROTO, "the program gave no answer while it was warmed up%s%s",
			    why ? ": " : "", why ? why : "");
}

static bool any_wait(const struct mf_process *process)
{
	(void)process;
	return true;
}

/* Drive it until its answer is there, or it has ended. While a part of the request had no room yet,
 * each wait of it may be for that. */
static int exchange(struct mf_exchange *exchange, struct mf_process *process,
		    mf_warmup_drive_fn *drive, void *cookie, struct mf_error *err)
{
	struct mf_exit exit = {.kind = MF_EXIT_CONNECTION};
	bool moved = true;

	while (exchange->state == MF_EXCHANGE_RUNS &&
	       (exit.kind == MF_EXIT_CONNECTION || exit.kind == MF_EXIT_WAIT)) {
		bool left = mf_exchange_has_more(exchange);

		drive(cookie, process, left && moved ? any_wait : NULL, &exit);
		moved = mf_exchange_move(exchange, process);
	}
	if (exchange->state == MF_EXCHANGE_RUNS)
		return mf_error_set(err, -EPROTO, "the program ended while it was warmed up%s%s",
				    exit.text[0] ? ": " : "", exit.text);
	if (exchange->state == MF_EXCHANGE_BAD)
		return no_answer(exchange->why, err);
	return check_status(exchange->answer.status, err);
}

/* Its client hangs up, and it waits for connections again: nothing of this one is left open. */
static int hang_up(struct mf_exchange *exchange, struct mf_process *process,
		   mf_warmup_drive_fn *drive, void *cookie, struct mf_error *err)
{
	struct mf_exit exit;

	mf_exchange_finish(exchange);
	mf_exchange_hang_up(exchange, process);
	do
		drive(cookie, process, mf_listener_waits, &exit);
	while (exit.kind == MF_EXIT_CONNECTION);
	if (exit.kind == MF_EXIT_WAIT)
		return 0;
	return mf_error_set(err, -EPROTO, "the program ended while it was warmed up%s%s",
			    exit.text[0] ? ": " : "", exit.text);
}

/* One request over a connection of its own. */
static int ask_listener(struct mf_process *process, const struct mf_http_whole *request,
			mf_warmup_drive_fn *drive, void *cookie, struct mf_error *err)
{
	struct mf_exchange one = {.state = MF_EXCHANGE_NONE};
	int ret = mf_exchange_begin(&one, process, request);
	int after;

	if (ret)
		return mf_error_set(err, ret, "the program does not listen any more");
	ret = exchange(&one, process, drive, cookie, err);
	after = ret ? 0 : hang_up(&one, process, drive, cookie, err);
	mf_exchange_forget(&one);
	return ret ? ret : after;
}

/* One request from its delivery to the next ready call. */
static int ask(struct mf_process *process, struct mf_ready_point *ready,
	       const struct mf_http_whole *whole, mf_warmup_drive_fn *drive, void *cookie,
	       struct mf_error *err)
{
	const struct mf_abi_request *request = whole->message.request;
	struct mf_exit exit;
	int status = -1;
	int ret;

	if (ready->kind == MF_READY_LISTENER)
		return ask_listener(process, whole, drive, cookie, err);
	ret = mf_function_deliver(process, ready, request, request->size_bytes);
	if (ret)
		return mf_error_set(err, ret,
				    "a request to warm up with does not fit into the "
				    "program's buffer");
	do {
		drive(cookie, process, NULL, &exit);
		if (exit.kind == MF_EXIT_RESPOND) {
			status = status_of(process, &exit);
			mf_vm_answer(&process->vm, 0);
		}
	} while (exit.kind == MF_EXIT_RESPOND);
	if (exit.kind != MF_EXIT_READY)
		return mf_error_set(err, -EPROTO, "the program ended while it was warmed up%s%s",
				    exit.text[0] ? ": " : "", exit.text);
	if (status < 0)
		status = status_of(process, &exit);
	if (mf_function_ready(process, &exit, ready) || status < 0)
		return no_answer(NULL, err);
	return check_status(status, err);
}

/* As a client's, in the form that a program gets which waits there. */
static int frame(const struct mf_warmup_request *request, const struct mf_ready_point *ready,
		 struct mf_http_whole *whole, struct mf_error *err)
{
	enum mf_http_form form =
		ready->kind == MF_READY_LISTENER ? MF_HTTP_FORM_WIRE : MF_HTTP_FORM_ABI;
	int ret = mf_http_whole_frame(whole, form, request->bytes, request->size);

	return ret ? mf_error_set(err, ret, "a request to warm up with would not be served") : 0;
}

int mf_warmup_run(const struct mf_warmup *warmup, struct mf_process *process,
		  struct mf_ready_point *ready, mf_warmup_drive_fn *drive, void *cookie,
		  struct mf_error *err)
{
	uint64_t id = 0;
	size_t i;
	unsigned int n;
	int ret = 0;

	for (i = 0; i < warmup->count && !ret; i++) {
		struct mf_http_whole whole;

		ret = frame(&warmup->requests[i], ready, &whole, err);
		for (n = 0; n < warmup->requests[i].times && !ret; n++) {
			if (whole.message.request)
				whole.message.request->id = ++id;
			ret = ask(process, ready, &whole, drive, cookie, err);
		}
		mf_http_whole_finish(&whole);
	}
	return ret;
}

int mf_warmup_learn(const struct mf_warmup *warmup, struct mf_image *image,
		    const struct mf_policy *policy, const struct mf_ready_point *ready,
		    mf_warmup_drive_fn *drive, void *cookie, struct mf_error *err)
{
	struct mf_process process;
	size_t i;
	unsigned int n;
	int ret = mf_process_fork(&process, image, policy, err);

	if (ret)
		return ret;
	for (i = 0; i < warmup->count && !ret; i++) {
		struct mf_http_whole whole;

		ret = frame(&warmup->requests[i], ready, &whole, err);
		for (n = 0; n < warmup->requests[i].times && n < MF_WARMUP_LESSONS && !ret; n++) {
			struct mf_ready_point here = *ready;

			ask(&process, &here, &whole, drive, cookie, NULL);
			mf_vm_learn_held(&process.vm);
			ret = mf_process_reset(&process);
		}
		mf_http_whole_finish(&whole);
	}
	mf_process_finish(&process);
	return ret ? mf_error_set(err, ret, "a VM could not be reset while it was warmed up") : 0;
}
