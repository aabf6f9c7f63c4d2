/* SPDX-License-Identifier: MIT */
#include "tenant/stdin_request.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROW_BYTES (64u << 10)

static char *base_of(const struct mf_stdin_request *request)
{
	return (char *)request->request;
}

/* Room for so many bytes and one more. */
static int reserve(struct mf_stdin_request *request, size_t used, size_t bytes)
{
	struct mf_abi_request *grown;

	if (bytes >= request->room - used)
		return -EMSGSIZE;
	grown = realloc(request->request, used + bytes + 1);
	if (!grown)
		return -ENOMEM;
	request->request = grown;
	return 0;
}

static int put(struct mf_stdin_request *request, const char *text, size_t bytes,
	       struct mf_abi_slice *slice)
{
	int ret = reserve(request, request->used, bytes);

	if (ret)
		return ret;
	*slice = (struct mf_abi_slice){(uint32_t)request->used, (uint32_t)bytes};
	memcpy(base_of(request) + request->used, text, bytes);
	base_of(request)[request->used + bytes] = 0;
	request->used += bytes + 1;
	return 0;
}

/* One "Name: value" line; a line without a colon is no header: 1. */
static int put_header(struct mf_stdin_request *request, const char *line, size_t bytes,
		      struct mf_abi_slice pair[2])
{
	const char *colon = memchr(line, ':', bytes);
	const char *value = colon ? colon + 1 : NULL;
	size_t i;
	int ret;

	if (!colon)
		return 1;
	while (value < line + bytes && (*value == ' ' || *value == '\t'))
		value++;
	ret = put(request, line, (size_t)(colon - line), &pair[0]);
	for (i = 0; i < pair[0].length && !ret; i++)
		base_of(request)[pair[0].offset + i] =
			(char)tolower((unsigned char)base_of(request)[pair[0].offset + i]);
	return ret ? ret : put(request, value, (size_t)(line + bytes - value), &pair[1]);
}

static int put_headers(struct mf_stdin_request *request, const char *lines)
{
	struct mf_abi_slice pairs[MF_ABI_MAX_HEADERS][2] = {0};
	uint32_t count = 0;
	size_t at;
	int ret = 0;

	while (*lines && count < MF_ABI_MAX_HEADERS && ret >= 0) {
		size_t bytes = strcspn(lines, "\n");

		ret = put_header(request, lines, bytes, pairs[count]);
		count += !ret;
		lines += bytes + (lines[bytes] == '\n');
	}
	at = (request->used + 3) & ~(size_t)3;
	if (ret >= 0)
		ret = reserve(request, at, count * sizeof(pairs[0]));
	if (ret < 0)
		return ret;
	memcpy(base_of(request) + at, pairs, count * sizeof(pairs[0]));
	request->used = at + count * sizeof(pairs[0]);
	request->request->header_count = count;
	request->request->headers_offset = (uint32_t)at;
	return 0;
}

static const char *setting(const char *name, const char *fallback)
{
	const char *value = getenv(name);

	return value && *value ? value : fallback;
}

int mf_stdin_request_begin(struct mf_stdin_request *request, uint64_t room)
{
	const char *target = setting("MF_NATIVE_TARGET", "/");
	const char *method = setting("MF_NATIVE_METHOD", "POST");
	struct mf_abi_slice slice = {0};
	int ret;

	*request = (struct mf_stdin_request){
		.room = room < UINT32_MAX ? room : UINT32_MAX,
		.method_given = *setting("MF_NATIVE_METHOD", ""),
	};
	ret = reserve(request, 0, sizeof(*request->request));
	if (ret)
		return ret;
	request->used = sizeof(*request->request);
	*request->request = (struct mf_abi_request){.version = MF_ABI_VERSION, .id = 1};
	ret = put(request, target, strlen(target), &slice);
	request->request->target = slice;
	if (!ret)
		ret = put_headers(request, setting("MF_NATIVE_HEADERS", ""));
	if (!ret)
		ret = put(request, method, strlen(method), &slice);
	request->request->method = slice;
	request->body_at = request->used;
	return ret;
}

static void complete(struct mf_stdin_request *request)
{
	struct mf_abi_request *abi = request->request;

	abi->body = (struct mf_abi_slice){(uint32_t)request->body_at,
					  (uint32_t)(request->used - request->body_at)};
	base_of(request)[request->used] = 0;
	if (!request->method_given && !abi->body.length) {
		memcpy(base_of(request) + abi->method.offset, "GET", 4);
		abi->method.length = 3;
	}
	abi->size_bytes = (uint32_t)request->used;
}

int mf_stdin_request_read(struct mf_stdin_request *request, int fd)
{
	size_t room = request->room - request->used;
	ssize_t got;
	int ret;

	if (room < 2)
		return -EMSGSIZE;
	room = room - 1 < GROW_BYTES ? room - 1 : GROW_BYTES;
	ret = reserve(request, request->used, room);
	if (ret)
		return ret;
	got = read(fd, base_of(request) + request->used, room);
	if (got < 0)
		return -errno;
	request->used += (size_t)got;
	if (!got)
		complete(request);
	return got > 0;
}

void mf_stdin_request_finish(struct mf_stdin_request *request)
{
	free(request->request);
	*request = (struct mf_stdin_request){.request = NULL};
}
