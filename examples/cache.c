/* SPDX-License-Identifier: MIT */
/*
 * An HTTP key-value cache: every request in a VM of its own, the values in the store.
 *
 *	mayfly serve --listen 127.0.0.1:8080 --store ./data -- cache
 *	curl -T value http://127.0.0.1:8080/table/key
 *	curl http://127.0.0.1:8080/table/key
 *
 *	GET /TABLE/KEY      the value; PUT keeps the body, DELETE removes it
 *	POST /TABLE/KEY     add the body, a number, to a counter; the sum
 *	GET /TABLE/         its keys, a line each */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/sdk.h>
#include <mayfly/store.h>

static char value[1 << 20];
static char text[1 << 16];

static bool is(struct mf_text have, const char *want)
{
	return have.length == strlen(want) && !memcmp(have.data, want, have.length);
}

static void fail(int code)
{
	int status = code == -ENOENT ? 404 : code == -EINVAL ? 400 : code == -ENOSPC ? 507 : 503;
	int bytes = snprintf(text, sizeof(text), "%s\n", strerror(-code));

	mf_respond(status, "text/plain", text, (size_t)bytes);
}

static void list(const char *table)
{
	struct mf_bytes none = {"", 0}, key, record;
	size_t bytes, used = 0, at = 0;
	int code = mf_store_scan(table, none, none, 1000, value, sizeof(value), &bytes);

	if (code) {
		fail(code);
		return;
	}
	while (mf_store_next(value, bytes, &at, &key, &record) &&
	       used + key.length < sizeof(text)) {
		memcpy(text + used, key.data, key.length);
		text[used + key.length] = '\n';
		used += key.length + 1;
	}
	mf_respond(200, "text/plain", text, used);
}

static void answer(struct mf_text method, const char *table, struct mf_bytes key,
		   struct mf_text body)
{
	size_t bytes = 0;
	int64_t sum;
	int code = -EINVAL;

	if (is(method, "GET"))
		code = mf_store_get(table, key, value, sizeof(value), &bytes);
	else if (is(method, "PUT"))
		code = mf_store_put(table, key, (struct mf_bytes){body.data, body.length});
	else if (is(method, "DELETE"))
		code = mf_store_delete(table, key);
	else if (is(method, "POST") && !(code = mf_store_add(table, key, atoll(body.data), &sum)))
		bytes = (size_t)snprintf(value, sizeof(value), "%lld\n", (long long)sum);
	if (code)
		fail(code);
	else
		mf_respond(bytes || is(method, "GET") ? 200 : 204, bytes ? "text/plain" : NULL,
			   value, bytes);
}

int main(void)
{
	const struct mf_request *request;

	while ((request = mf_wait())) {
		struct mf_text method = mf_request_method(request);
		struct mf_text target = mf_request_target(request);
		const char *key = memchr(target.data + 1, '/', target.length - 1);
		char table[64];

		if (!key || key - target.data > 63) {
			mf_respond(400, "text/plain", "ask for /TABLE/KEY\n", 19);
			continue;
		}
		snprintf(table, sizeof(table), "%.*s", (int)(key - target.data - 1),
			 target.data + 1);
		key++;
		if (*key)
			answer(method, table, MF_STRING(key), mf_request_body(request));
		else
			list(table);
	}
	return 0;
}
