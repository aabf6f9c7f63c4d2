/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <mayfly/abi/call.h>
#include <mayfly/fetch.h>

static uint64_t length_of(const char *text)
{
	return text ? strlen(text) : 0;
}

int mf_fetch(struct mf_fetch *fetch)
{
	const char *method = fetch->method ? fetch->method : fetch->body_length ? "POST" : "GET";
	const struct mf_abi_fetch abi = {
		.version = MF_ABI_VERSION,
		.timeout_ns = fetch->timeout_ns,
		.method = (uintptr_t)method,
		.method_bytes = strlen(method),
		.url = (uintptr_t)fetch->url,
		.url_bytes = length_of(fetch->url),
		.headers = (uintptr_t)fetch->headers,
		.headers_bytes = length_of(fetch->headers),
		.body = (uintptr_t)fetch->body,
		.body_bytes = fetch->body_length,
		.answer = (uintptr_t)fetch->buffer,
		.answer_bytes = fetch->room,
	};
	struct mf_abi_fetched fetched;
	const char *at = fetch->buffer;
	long ret = mf_inside() ? mf_sdk_exit(MF_CALL_FETCH, &abi, 0, 0) : -ENOTCONN;

	fetch->status = 0;
	fetch->answer_headers = fetch->answer_body = (struct mf_text){NULL, 0};
	if (ret < 0)
		return (int)ret;
	memcpy(&fetched, at, sizeof(fetched));
	at += sizeof(fetched);
	fetch->status = (int)fetched.status;
	fetch->answer_headers = (struct mf_text){at, fetched.headers_bytes};
	fetch->answer_body = (struct mf_text){at + fetched.headers_bytes, fetched.body_bytes};
	return 0;
}

static struct mf_text value_of(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct mf_text){at, (size_t)(end - at)};
}

struct mf_text mf_fetch_header(const struct mf_fetch *fetch, const char *name)
{
	const char *at = fetch->answer_headers.data;
	const char *end = at + fetch->answer_headers.length;
	size_t length = strlen(name);

	while (at && at < end) {
		size_t left = (size_t)(end - at);
		const char *line_end = memchr(at, '\r', left);

		if (!line_end)
			break;
		if (left > length && !strncasecmp(at, name, length) && at[length] == ':')
			return value_of(at + length + 1, line_end);
		at = line_end + 2;
	}
	return (struct mf_text){NULL, 0};
}
