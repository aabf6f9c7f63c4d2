/* SPDX-License-Identifier: MIT */
/*
 * What a request makes the SDK write stays in one page: `struct hot` and the request's first bytes
 * lie in the same mapping, so a small request and its response dirty nothing else of the SDK's. The
 * file-local variables below are written before the ready point only.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include <mayfly/abi/call.h>
#include <mayfly/sdk.h>

#include "hot.h"
#include "native.h"

#define PAGE_BYTES       4096ul
#define CAPACITY_DEFAULT ((1ul << 20) + (64ul << 10))
#define CAPACITY_MINIMUM 1024ul
#define CAPACITY_MAXIMUM (1ul << 30)
#define LOG_BYTES        512
#define HOOKS_MAX        16

struct hot *mf_sdk_hot;
static size_t capacity = CAPACITY_DEFAULT;
static const volatile uint64_t *generation;
static struct hook {
	void (*fn)(void *argument);
	void *argument;
} hooks[HOOKS_MAX];
static size_t hook_count;
static enum { PLACE_UNKNOWN, PLACE_NATIVE, PLACE_INSIDE } place;

__attribute__((weak, noinline)) long mf_sdk_exit(unsigned long number, const void *a,
						 unsigned long b, unsigned long c)
{
	unsigned long result = number;

	__asm__ volatile("out %%eax, %1"
			 : "+a"(result)
			 : "N"(MF_ABI_PORT), "D"(a), "S"(b), "d"(c)
			 : "memory");
	return (long)result;
}

__attribute__((weak)) void mf_sdk_settle(void)
{
}

bool mf_inside(void)
{
	if (place == PLACE_UNKNOWN)
		place = getauxval(MF_AUX_TYPE) ? PLACE_INSIDE : PLACE_NATIVE;
	return place == PLACE_INSIDE;
}

int mf_request_capacity(size_t bytes)
{
	if (mf_sdk_hot)
		return -EBUSY;
	if (bytes < CAPACITY_MINIMUM || bytes > CAPACITY_MAXIMUM)
		return -EINVAL;
	capacity = bytes;
	return 0;
}

uint64_t mf_generation(void)
{
	if (!generation)
		generation = (const volatile uint64_t *)getauxval(MF_AUX_GENERATION);
	return generation ? *generation : 0;
}

int mf_on_request(void (*fn)(void *argument), void *argument)
{
	if (mf_sdk_hot)
		return -EBUSY;
	if (hook_count == HOOKS_MAX)
		return -ENOSPC;
	hooks[hook_count++] = (struct hook){fn, argument};
	return 0;
}

static int start(void)
{
	size_t total = (HOT_BYTES + capacity + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	void *memory =
		mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	mf_generation();
	mf_inside(); /* ask before the ready point: the answer is part of the image */
	mf_sdk_hot = memory;
	mf_sdk_hot->ready.version = MF_ABI_VERSION;
	mf_sdk_hot->ready.buffer = (uintptr_t)(mf_sdk_hot + 1);
	mf_sdk_hot->ready.buffer_bytes = total - HOT_BYTES;
	mf_sdk_hot->ready.response.version = MF_ABI_VERSION;
	mf_sdk_hot->ready.response.headers = (uintptr_t)mf_sdk_hot->headers;
	return 0;
}

const struct mf_request *mf_wait(void)
{
	long size = mf_sdk_hot ? 0 : start();

	if (size == 0) {
		struct mf_abi_ready *ready = &mf_sdk_hot->ready;

		ready->flags = mf_sdk_hot->state == RESPONSE_BEGUN ? MF_READY_RESPONSE : 0;
		size = mf_inside() ? mf_sdk_exit(MF_CALL_READY, ready, 0, 0)
				   : mf_native_wait(ready);
		mf_sdk_hot->channel.open = false;
		mf_sdk_hot->state = size > 0 ? RESPONSE_NONE : RESPONSE_IMPOSSIBLE;
	}
	if (size > 0) {
		size_t i;

		for (i = 0; i < hook_count; i++)
			hooks[i].fn(hooks[i].argument);
		return (const struct mf_request *)(mf_sdk_hot + 1);
	}
	errno = (int)-size;
	return NULL;
}

static const struct mf_abi_request *abi(const struct mf_request *request)
{
	return (const struct mf_abi_request *)request;
}

static struct mf_text piece(const struct mf_request *request, struct mf_abi_slice slice)
{
	return (struct mf_text){(const char *)request + slice.offset, slice.length};
}

static const struct mf_abi_slice *header_slices(const struct mf_request *request, size_t index)
{
	const void *headers = (const char *)request + abi(request)->headers_offset;

	return (const struct mf_abi_slice *)headers + 2 * index;
}

uint64_t mf_request_id(const struct mf_request *request)
{
	return abi(request)->id;
}

struct mf_text mf_request_method(const struct mf_request *request)
{
	return piece(request, abi(request)->method);
}

struct mf_text mf_request_target(const struct mf_request *request)
{
	return piece(request, abi(request)->target);
}

struct mf_text mf_request_body(const struct mf_request *request)
{
	return piece(request, abi(request)->body);
}

size_t mf_request_header_count(const struct mf_request *request)
{
	return abi(request)->header_count;
}

int mf_request_header_at(const struct mf_request *request, size_t index, struct mf_text *name,
			 struct mf_text *value)
{
	if (index >= abi(request)->header_count)
		return -ENOENT;
	const struct mf_abi_slice *pair = header_slices(request, index);

	*name = piece(request, pair[0]);
	*value = piece(request, pair[1]);
	return 0;
}

/* `have` is in lower case; `want` may not be. */
static bool same_name(struct mf_text have, const char *want)
{
	size_t i = 0;

	for (; i < have.length && want[i]; i++) {
		char c = want[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c != have.data[i])
			return false;
	}
	return i == have.length && !want[i];
}

struct mf_text mf_request_header(const struct mf_request *request, const char *name)
{
	struct mf_text have;
	struct mf_text value;

	for (size_t i = 0; mf_request_header_at(request, i, &have, &value) == 0; i++)
		if (same_name(have, name))
			return value;
	return (struct mf_text){NULL, 0};
}

/* Append "name: value\r\n" to the response's headers. */
static int add_header(const char *name, const char *value)
{
	size_t used = mf_sdk_hot->ready.response.headers_bytes;
	size_t name_length = strlen(name);
	size_t value_length = strlen(value);

	if (name_length == 0 || strpbrk(name, "\r\n:") || strpbrk(value, "\r\n"))
		return -EINVAL;
	if (name_length > sizeof(mf_sdk_hot->headers) ||
	    value_length > sizeof(mf_sdk_hot->headers) ||
	    used + name_length + value_length + 4 > sizeof(mf_sdk_hot->headers))
		return -ENOSPC;
	char *to = mf_sdk_hot->headers + used;

	memcpy(to, name, name_length);
	memcpy(to + name_length, ": ", 2);
	memcpy(to + name_length + 2, value, value_length);
	memcpy(to + name_length + 2 + value_length, "\r\n", 2);
	mf_sdk_hot->ready.response.headers_bytes = used + name_length + value_length + 4;
	return 0;
}

int mf_respond(int status, const char *content_type, const void *body, size_t length)
{
	if (mf_sdk_hot && mf_sdk_hot->state == RESPONSE_SENT)
		return -EALREADY;
	if (!mf_sdk_hot || mf_sdk_hot->state == RESPONSE_IMPOSSIBLE || status < 200 || status > 599)
		return -EINVAL;
	struct mf_abi_response *response = &mf_sdk_hot->ready.response;

	mf_sdk_hot->state = RESPONSE_NONE;
	response->headers_bytes = 0;
	int rc = content_type ? add_header("Content-Type", content_type) : 0;

	if (rc < 0)
		return rc;
	response->status = (uint32_t)status;
	response->body = (uintptr_t)body;
	response->body_bytes = length;
	mf_sdk_hot->state = RESPONSE_BEGUN;
	return 0;
}

int mf_response_header(const char *name, const char *value)
{
	if (!mf_sdk_hot || mf_sdk_hot->state != RESPONSE_BEGUN)
		return -EINVAL;
	return add_header(name, value);
}

int mf_done(void)
{
	if (mf_sdk_hot && mf_sdk_hot->state == RESPONSE_SENT)
		return -EALREADY;
	if (!mf_sdk_hot || mf_sdk_hot->state != RESPONSE_BEGUN)
		return -EINVAL;
	const struct mf_abi_response *response = &mf_sdk_hot->ready.response;

	/* What this answer ends takes its writes along, whether they are kept or not. */
	if (response->status >= 500)
		mf_sdk_settle();
	mf_sdk_hot->channel.posted = 0;
	long rc = mf_inside() ? mf_sdk_exit(MF_CALL_RESPOND, response, 0, 0)
			      : mf_native_respond(response);

	mf_sdk_hot->state = RESPONSE_SENT;
	return rc < 0 ? (int)rc : 0;
}

void mf_log(enum mf_log_level level, const char *format, ...)
{
	char text[LOG_BYTES];
	va_list args;

	va_start(args, format);
	int length = vsnprintf(text, sizeof(text), format, args);

	va_end(args);
	if (length < 0)
		return;
	if ((size_t)length >= sizeof(text))
		length = (int)sizeof(text) - 1;
	if (mf_inside())
		mf_sdk_exit(MF_CALL_LOG, text, (unsigned long)length, level);
	else
		mf_native_log((int)level, text);
}

uint64_t mf_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
