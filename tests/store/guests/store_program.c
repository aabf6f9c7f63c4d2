/* SPDX-License-Identifier: MIT */
/*
 * A tenant's own storage program whose functions do what they should and what they should not.
 * How it begins is what the file "boot" of its folder says.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/call.h>
#include <mayfly/sdk.h>
#include <mayfly/storage.h>

#define BIG (1u << 20)

static volatile int zero;
static uint64_t calls; /* since this program was started */
static uint64_t committed;
static uint64_t written;
static int declared[8];

static int echo(struct mf_storage_call *call, void *arg)
{
	memcpy(call->out, call->in, call->in_bytes);
	call->out_bytes = call->in_bytes;
	calls++;
	return 0;
}

static int crash(struct mf_storage_call *call, void *arg)
{
	*(volatile int *)(long)zero = 1;
	return 0;
}

static int leave(struct mf_storage_call *call, void *arg)
{
	exit(7);
}

static int loop(struct mf_storage_call *call, void *arg)
{
	while (!zero)
		;
	return 0;
}

/* More than it was given room for. */
static int lie(struct mf_storage_call *call, void *arg)
{
	uint64_t more;

	memcpy(&more, call->in, sizeof(more));
	call->out_bytes = call->out_room + (size_t)more;
	return 0;
}

static int nap(struct mf_storage_call *call, void *arg)
{
	struct timespec span = {0, 0};
	uint32_t ms;

	memcpy(&ms, call->in, sizeof(ms));
	span.tv_sec = ms / 1000;
	span.tv_nsec = (long)(ms % 1000) * 1000000;
	nanosleep(&span, NULL);
	return 0;
}

static int wait_for_ever(struct mf_storage_call *call, void *arg)
{
	poll(NULL, 0, -1);
	return 0;
}

static int read_for_ever(struct mf_storage_call *call, void *arg)
{
	int ends[2];
	char byte;

	return pipe(ends) || read(ends[0], &byte, 1) < 0 ? -errno : 0;
}

static int fail_as_told(struct mf_storage_call *call, void *arg)
{
	int32_t code;

	memcpy(&code, call->in, sizeof(code));
	memcpy(call->out, "with a word", 11);
	call->out_bytes = 11;
	return code;
}

static int count(struct mf_storage_call *call, void *arg)
{
	written++;
	memcpy(call->out, &written, sizeof(written));
	call->out_bytes = sizeof(written);
	return 0;
}

/* Calls, commits, and what declarations said. */
static int facts(struct mf_storage_call *call, void *arg)
{
	uint64_t numbers[2] = {calls, committed};

	memcpy(call->out, numbers, sizeof(numbers));
	memcpy((char *)call->out + sizeof(numbers), declared, sizeof(declared));
	call->out_bytes = sizeof(numbers) + sizeof(declared);
	return 0;
}

/* Opens, or makes, the file that the caller names. */
static int open_file(struct mf_storage_call *call, void *arg)
{
	char name[PATH_MAX] = "";
	int fd;

	memcpy(name, call->in, call->in_bytes);
	fd = open(name, O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		fd = open(name, O_RDONLY);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int begin(void *arg)
{
	return access("no-begin", F_OK) ? 0 : -EROFS;
}

static int commit(void *arg)
{
	if (!access("no-commit", F_OK))
		return -EDQUOT;
	committed++;
	return 0;
}

static void declare_all(void)
{
	static const struct mf_storage_function functions[] = {
		{100, "echo", 4096, 4096, false, echo, NULL},
		{101, "crash", 16, 0, false, crash, NULL},
		{102, "exit", 16, 0, false, leave, NULL},
		{103, "loop", 16, 0, false, loop, NULL},
		{104, "lie", 16, 64, false, lie, NULL},
		{105, "nap", 16, 0, false, nap, NULL},
		{106, "big", BIG, BIG, false, echo, NULL},
		{107, "count", 0, 8, true, count, NULL},
		{108, "facts", 0, 64, false, facts, NULL},
		{109, "wait", 16, 0, false, wait_for_ever, NULL},
		{110, "read", 16, 0, false, read_for_ever, NULL},
		{111, "fail", 16, 64, false, fail_as_told, NULL},
		{112, "crash-writing", 16, 0, true, crash, NULL},
		{113, "lie-writing", 16, 64, true, lie, NULL},
		{114, NULL, 0, 0, false, echo, NULL},
		{115, "open", PATH_MAX - 1, 0, false, open_file, NULL},
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (mf_storage_declare(&functions[i]))
			abort();
}

/* What mf_storage_declare() must refuse. */
static void declare_badly(void)
{
	const struct mf_storage_function bad[] = {
		{0, "zero", 0, 0, false, echo, NULL},
		{200, "none", 0, 0, false, NULL, NULL},
		{200, "", 0, 0, false, echo, NULL},
		{100, "other", 0, 0, false, echo, NULL},
		{200, "echo", 0, 0, false, echo, NULL},
		{200, "large", 128u << 20, 0, false, echo, NULL},
		{200, "larger", 0, SIZE_MAX, false, echo, NULL},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		declared[i] = mf_storage_declare(&bad[i]);
}

/* As many as there may be, and one more. */
static void declare_many(void)
{
	struct mf_storage_function function = {1000, NULL, 0, 0, false, echo, NULL};
	int code;

	while (!(code = mf_storage_declare(&function)))
		function.number++;
	declared[7] = code;
}

static void begin_as(const char *how)
{
	if (!strcmp(how, "exit"))
		exit(3);
	if (!strcmp(how, "crash"))
		crash(NULL, NULL);
	while (!strcmp(how, "loop"))
		zero = 0;
	if (!strcmp(how, "sleep"))
		sleep(100000);
	if (!strcmp(how, "pause"))
		poll(NULL, 0, -1);
	if (!strcmp(how, "request"))
		mf_wait();
	if (!strcmp(how, "look-and-exit")) {
		mf_sdk_exit(MF_CALL_CHANNEL_WAIT, NULL, 0, 0);
		exit(5);
	}
	if (!strcmp(how, "too-large")) {
		mf_storage_declare(&(struct mf_storage_function){
			.number = 1, .in_max = 3u << 20, .call = echo});
		exit(-mf_storage_serve(NULL));
	}
	if (!strcmp(how, "many"))
		declare_many();
}

int main(void)
{
	static const struct mf_storage_group group = {begin, commit, NULL};
	char how[64] = "";
	int file = open("boot", O_RDONLY);

	if (file >= 0 && read(file, how, sizeof(how) - 1) < 0)
		return 1;
	close(file);
	declare_all();
	declare_badly();
	begin_as(how);
	return -mf_storage_serve(&group);
}
