/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "native.h"

/* Builds a request in the buffer, front to back; `failed` once something did not fit. */
struct builder {
	char *base;
	size_t used;
	size_t room;
	bool failed;
};

static struct mf_abi_slice put(struct builder *b, const char *text, size_t length)
{
	struct mf_abi_slice slice = {(uint32_t)b->used, (uint32_t)length};

	if (b->failed || length >= b->room - b->used) {
		b->failed = true;
		return (struct mf_abi_slice){0, 0};
	}
	memcpy(b->base + b->used, text, length);
	b->base[b->used + length] = '\0';
	b->used += length + 1;
	return slice;
}

static void lower(char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (text[i] >= 'A' && text[i] <= 'Z')
			text[i] = (char)(text[i] - 'A' + 'a');
}

/* One "Name: value" line; a line without a colon is no header. */
static bool put_header(struct builder *b, const char *line, size_t length,
		       struct mf_abi_slice pair[2])
{
	const char *colon = memchr(line, ':', length);

	if (!colon)
		return false;
	const char *value = colon + 1;

	while (value < line + length && (*value == ' ' || *value == '\t'))
		value++;
	pair[0] = put(b, line, (size_t)(colon - line));
	lower(b->base + pair[0].offset, pair[0].length);
	pair[1] = put(b, value, (size_t)(line + length - value));
	return !b->failed;
}

static void put_headers(struct builder *b, struct mf_abi_request *request, const char *lines)
{
	struct mf_abi_slice pairs[MF_ABI_MAX_HEADERS][2];
	uint32_t count = 0;

	while (*lines && count < MF_ABI_MAX_HEADERS) {
		size_t length = strcspn(lines, "\n");

		if (put_header(b, lines, length, pairs[count]))
			count++;
		lines += length + (lines[length] == '\n');
	}
	size_t at = (b->used + 3) & ~(size_t)3;

	if (b->failed || at + count * sizeof(pairs[0]) >= b->room) {
		b->failed = true;
		return;
	}
	memcpy(b->base + at, pairs, count * sizeof(pairs[0]));
	b->used = at + count * sizeof(pairs[0]);
	request->header_count = count;
	request->headers_offset = (uint32_t)at;
}

/* All of stdin; the last byte of the buffer stays for the NUL. */
static int put_stdin(struct builder *b, struct mf_abi_slice *body)
{
	size_t start = b->used;

	for (;;) {
		ssize_t n = read(STDIN_FILENO, b->base + b->used, b->room - b->used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b->used += (size_t)n;
		if (b->used == b->room)
			return -EMSGSIZE;
	}
	b->base[b->used] = '\0';
	*body = (struct mf_abi_slice){(uint32_t)start, (uint32_t)(b->used - start)};
	return 0;
}

static const char *setting(const char *name, const char *fallback)
{
	const char *value = getenv(name);

	return value ? value : fallback;
}

static long build(struct mf_abi_request *request, size_t room)
{
	struct builder b = {(char *)request, sizeof(*request), room, false};
	const char *method = setting("MF_NATIVE_METHOD", "");
	const char *target = setting("MF_NATIVE_TARGET", "/");

	*request = (struct mf_abi_request){.version = MF_ABI_VERSION, .id = 1};
	request->target = put(&b, target, strlen(target));
	put_headers(&b, request, setting("MF_NATIVE_HEADERS", ""));
	size_t method_at = b.used;

	put(&b, *method ? method : "POST", *method ? strlen(method) : 4);
	if (b.failed)
		return -EMSGSIZE;
	request->method =
		(struct mf_abi_slice){(uint32_t)method_at, (uint32_t)(b.used - method_at - 1)};
	int rc = put_stdin(&b, &request->body);

	if (rc < 0)
		return rc;
	if (!*method && request->body.length == 0) {
		memcpy(b.base + method_at, "GET", 4);
		request->method.length = 3;
	}
	request->size_bytes = (uint32_t)b.used;
	return (long)b.used;
}

long mf_native_respond(const struct mf_abi_response *response)
{
	const char *body = (const char *)(uintptr_t)response->body;
	size_t left = response->body_bytes;

	while (left > 0) {
		ssize_t n = write(STDOUT_FILENO, body, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		body += n;
		left -= (size_t)n;
	}
	return 0;
}

long mf_native_wait(const struct mf_abi_ready *ready)
{
	static bool served;

	if (ready->flags & MF_READY_RESPONSE) {
		long rc = mf_native_respond(&ready->response);

		if (rc < 0)
			return rc;
	}
	if (served)
		return 0;
	served = true;
	long size = build((struct mf_abi_request *)(uintptr_t)ready->buffer, ready->buffer_bytes);

	if (size < 0)
		fprintf(stderr, "mayfly-sdk: no request from stdin: %s\n", strerror((int)-size));
	return size;
}

void mf_native_log(int level, const char *text)
{
	static const char *const names[] = {"debug", "info", "warning", "error"};

	fprintf(stderr, "%s: %s\n", level >= 0 && level < 4 ? names[level] : "log", text);
}
