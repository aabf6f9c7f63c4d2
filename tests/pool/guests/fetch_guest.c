/* SPDX-License-Identifier: MIT */
/*
 * Fetches what a request says, and answers with what came of it: a line "RESULT STATUS", then the
 * headers of the answer, an empty line, its body.
 *   POST /fetch    header Fetch-Method, Fetch-Url, Fetch-Room, Fetch-Timeout-Ms; body: the headers
 *                  to send, an empty line, the body to send
 *   GET /raw       calls that no SDK makes: their results
 *   GET /kept      what of the last answer's buffer is left
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/abi/call.h>
#include <mayfly/fetch.h>

#define ROOM (4u << 20)

static char buffer[ROOM];
static char out[ROOM + 65536];

static const char *header(const struct mf_request *request, const char *name, const char *fallback)
{
	struct mf_text value = mf_request_header(request, name);

	return value.data ? value.data : fallback; /* a NUL follows */
}

static void fetch(const struct mf_request *request)
{
	struct mf_text given = mf_request_body(request);
	char *gap = given.length ? memmem(given.data, given.length, "\r\n\r\n", 4) : NULL;
	const char *room = header(request, "fetch-room", NULL);
	const char *method = header(request, "fetch-method", NULL);
	struct mf_fetch fetch = {
		.method = method,
		.url = header(request, "fetch-url", ""),
		.timeout_ns =
			strtoull(header(request, "fetch-timeout-ms", "0"), NULL, 10) * 1000000,
		.buffer = buffer,
		.room = room ? strtoul(room, NULL, 10) : ROOM,
	};
	int used;
	int ret;

	if (gap) {
		fetch.body = gap + 4;
		fetch.body_length = (size_t)(given.data + given.length - (gap + 4));
		gap[2] = 0;
		fetch.headers = gap > given.data ? given.data : NULL;
	}
	mf_log(MF_LOG_INFO, "begun");
	ret = mf_fetch(&fetch);
	used = snprintf(out, sizeof(out), "%d %d\n", ret, fetch.status);
	if (!ret) {
		memcpy(out + used, fetch.answer_headers.data, fetch.answer_headers.length);
		used += (int)fetch.answer_headers.length;
		memcpy(out + used, "\r\n", 2);
		used += 2;
		memcpy(out + used, fetch.answer_body.data, fetch.answer_body.length);
		used += (int)fetch.answer_body.length;
		if (fetch.answer_headers.length && !mf_fetch_header(&fetch, "server").data)
			used = snprintf(out, sizeof(out), "no header is found\n");
	}
	mf_respond(200, NULL, out, (size_t)used);
}

static long call(struct mf_abi_fetch abi)
{
	return mf_sdk_exit(MF_CALL_FETCH, &abi, 0, 0);
}

#define WITH(...)                                 \
	({                                        \
		struct mf_abi_fetch with_ = good; \
		struct mf_abi_fetch *f = &with_;  \
		__VA_ARGS__;                      \
		call(with_);                      \
	})

static void raw(const struct mf_request *request)
{
	const struct mf_abi_fetch good = {
		.version = MF_ABI_VERSION,
		.method = (uintptr_t) "GET",
		.method_bytes = 3,
		.url = (uintptr_t)header(request, "fetch-url", ""),
		.url_bytes = strlen(header(request, "fetch-url", "")),
		.answer = (uintptr_t)buffer,
		.answer_bytes = ROOM,
	};
	const uint64_t kernel = 0xffff800000000000ull;
	long got[] = {
		mf_sdk_exit(MF_CALL_FETCH, NULL, 0, 0),
		mf_sdk_exit(MF_CALL_FETCH, (void *)kernel, 0, 0),
		mf_sdk_exit(MF_CALL_FETCH, (void *)-8ull, 0, 0),
		WITH(f->version = 2),
		WITH(f->reserved = 1),
		WITH(f->method = 0),
		WITH(f->method_bytes = 0),
		WITH(f->method_bytes = -1ull),
		WITH(f->method_bytes = 4), /* its NUL */
		WITH(f->url = 8),
		WITH(f->url_bytes = -1ull),
		WITH(f->url_bytes = 0),
		WITH(f->url_bytes = 8192, f->url = (uintptr_t)buffer),
		WITH(f->headers = 8, f->headers_bytes = 10),
		WITH(f->headers_bytes = 1ull << 40),
		WITH(f->body = kernel, f->body_bytes = 10, f->method = (uintptr_t) "PUT"),
		WITH(f->body = -4096ull, f->body_bytes = 1ull << 30, f->method = (uintptr_t) "PUT"),
		WITH(f->body_bytes = -1ull),
		WITH(f->answer = 8),
		WITH(f->answer = kernel),
		WITH(f->answer = (uintptr_t) "constant"),
		WITH(f->answer = -64ull),
		WITH(f->answer_bytes = -1ull),
		WITH(f->answer_bytes = 15),
		WITH(f->answer_bytes = 16),
		WITH(f->timeout_ns = -1ull),
		call(good),
	};
	size_t used = 0;
	size_t i;

	for (i = 0; i < sizeof(got) / sizeof(got[0]); i++)
		used += (size_t)sprintf(out + used, "%ld ", got[i]);
	mf_respond(200, NULL, out, used);
}

static void kept(void)
{
	mf_respond(200, NULL, buffer, 65536);
}

int main(void)
{
	const struct mf_request *request;
	struct mf_fetch early = {.url = "http://127.0.0.1:1/", .buffer = buffer, .room = ROOM};
	int before = mf_fetch(&early);

	while ((request = mf_wait())) {
		const char *target = mf_request_target(request).data;

		if (!strcmp(target, "/fetch"))
			fetch(request);
		else if (!strcmp(target, "/raw"))
			raw(request);
		else if (!strcmp(target, "/kept"))
			kept();
		else
			mf_respond(200, NULL, out, (size_t)sprintf(out, "%d", before));
	}
	return 0;
}
