/* SPDX-License-Identifier: MIT */
#include "request-vm/fetch_order.h"

#include "engine/linux/guestmem.h"
#include "request-vm/front/chars.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int take_text(struct mf_process *process, uint64_t at, uint64_t bytes, char *to, size_t max)
{
	if (bytes > max)
		return -E2BIG;
	if (bytes && mf_guest_read(process, at, to, bytes))
		return -EFAULT;
	to[bytes] = 0;
	return strlen(to) == bytes ? 0 : -EINVAL;
}

static size_t token(const char *text)
{
	size_t length = 0;

	while (mf_char_token((unsigned char)text[length]))
		length++;
	return length;
}

static bool is_visible(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* They frame a message or belong to a connection: the engine's. */
static bool is_engines(const char *header, size_t length)
{
	static const char *const names[] = {
		"host", "content-length", "transfer-encoding", "connection", "keep-alive",
		"te",   "trailer",        "upgrade",           "expect",     "http2-settings",
		"via",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mf_text_is(header, length, names[i]))
			return true;
	return length >= 6 && !strncasecmp(header, "proxy-", 6);
}

/* One line without its end, in place. */
static bool mend_header(char *line)
{
	size_t length = token(line);
	char *value = line + length + 1;
	const char *at;

	if (!length || line[length] != ':' || is_engines(line, length))
		return false;
	for (at = value; *at; at++)
		if (!mf_char_value((unsigned char)*at))
			return false;
	if (!value[strspn(value, " \t")])
		strcpy(line + length, ";");
	return true;
}

static int split_headers(struct mf_fetch_order *order)
{
	char *line = order->text;

	while (*line) {
		char *end = strstr(line, "\r\n");

		if (!end)
			return -EINVAL;
		if (order->header_count == MF_ABI_MAX_HEADERS)
			return -E2BIG;
		*end = 0;
		if (!mend_header(line))
			return -EINVAL;
		order->headers[order->header_count++] = line;
		line = end + 2;
	}
	return 0;
}

static int check(const struct mf_fetch_order *order)
{
	const struct mf_abi_fetch *abi = &order->abi;

	if (abi->version != MF_ABI_VERSION || abi->reserved ||
	    abi->answer_bytes < sizeof(struct mf_abi_fetched))
		return -EINVAL;
	return abi->body_bytes > MF_FETCH_BODY_MAX || abi->answer_bytes > MF_FETCH_BODY_MAX ? -E2BIG
											    : 0;
}

int mf_fetch_order_take(struct mf_fetch_order *order, struct mf_process *process, uint64_t at)
{
	struct mf_abi_fetch *abi = &order->abi;
	int ret = mf_guest_read(process, at, abi, sizeof(*abi)) ? -EFAULT : check(order);

	order->header_count = 0;
	if (!ret)
		ret = take_text(process, abi->method, abi->method_bytes, order->method,
				MF_FETCH_METHOD_MAX);
	if (!ret)
		ret = take_text(process, abi->url, abi->url_bytes, order->url, MF_FETCH_URL_MAX);
	if (!ret)
		ret = take_text(process, abi->headers, abi->headers_bytes, order->text,
				MF_FETCH_HEADERS_MAX);
	if (ret)
		return ret;
	if (!order->method[0] || order->method[token(order->method)] ||
	    !strcasecmp(order->method, "CONNECT") ||
	    (!strcmp(order->method, "HEAD") && abi->body_bytes) || !is_visible(order->url))
		return -EINVAL;
	return split_headers(order);
}

bool mf_fetch_order_has(const struct mf_fetch_order *order, const char *name)
{
	size_t i;

	for (i = 0; i < order->header_count; i++)
		if (mf_text_is(order->headers[i], token(order->headers[i]), name))
			return true;
	return false;
}
