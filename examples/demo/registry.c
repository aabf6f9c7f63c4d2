/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/store.h>

#include "control.h"
#include "registry.h"

#define TABLE          "packages"
#define NAME_MAX_BYTES 200u
#define LIST_BYTES     (16u << 10) /* beyond it a list is cut short */

static char small[64u << 10]; /* what nearly every value fits into */
static char *large;

static void answer_text(int status, const char *text)
{
	mf_respond(status, "text/plain", text, strlen(text));
}

static void answer_error(int code)
{
	if (code == -ENOENT)
		answer_text(404, "no such package\n");
	else if (code == -ENOTCONN)
		answer_text(503, "this server has no store (--store)\n");
	else if (code == -EINVAL)
		answer_text(413, "longer than a value of the store may be\n");
	else
		answer_text(code == -ENOSPC ? 507 : 503, "the store did not do it\n");
}

/* Bytes that stand in a target as they are. */
static bool is_name(struct mf_text name)
{
	if (name.length == 0 || name.length > NAME_MAX_BYTES)
		return false;
	for (size_t i = 0; i < name.length; i++)
		if (name.data[i] < 33 || name.data[i] > 126 || strchr("/?#%", name.data[i]))
			return false;
	return true;
}

static struct control_span trim(struct control_span text)
{
	while (text.length && (*text.data == ' ' || *text.data == '\t')) {
		text.data++;
		text.length--;
	}
	while (text.length && strchr(" \t\r", text.data[text.length - 1]))
		text.length--;
	return text;
}

static bool is_stanza_of(struct mf_text body, struct mf_text name)
{
	const char *colon = memchr(name.data, ':', name.length);
	size_t wanted = colon ? (size_t)(colon - name.data) : name.length;
	struct control_span text = {body.data, body.length};
	struct control_field field;

	if (control_find(text, "Package", &field) != 1)
		return false;
	field.value = trim(field.value);
	if (field.value.length != wanted || memcmp(field.value.data, name.data, wanted) != 0)
		return false;
	/* No field is called so: looking for it in vain means that all of them were read. */
	return control_find(text, ":", &field) == 0;
}

static void keep(struct mf_text name, struct mf_text body)
{
	int code;

	if (!is_stanza_of(body, name)) {
		answer_text(400, "the body is not the stanza of that package\n");
		return;
	}
	code = mf_store_put(TABLE, (struct mf_bytes){name.data, name.length},
			    (struct mf_bytes){body.data, body.length});
	if (code)
		answer_error(code);
	else
		mf_respond(204, NULL, NULL, 0);
}

static void give(struct mf_text name)
{
	struct mf_bytes key = {name.data, name.length};
	char *value = small;
	size_t bytes = 0;
	int code = mf_store_get(TABLE, key, small, sizeof(small), &bytes);

	if (code == -ENOBUFS) {
		size_t room = bytes;

		value = large = malloc(room);
		code = large ? mf_store_get(TABLE, key, large, room, &bytes) : -ENOMEM;
	}
	if (code) {
		answer_error(code);
		return;
	}
	mf_respond(200, "text/plain; charset=utf-8", value, bytes);
	mf_response_header("X-Content-Type-Options", "nosniff");
}

static bool is(struct mf_text have, const char *want)
{
	return have.length == strlen(want) && memcmp(have.data, want, have.length) == 0;
}

bool registry_serve(const struct mf_request *request, struct mf_text target)
{
	static const char prefix[] = "/package/";
	size_t skip = sizeof(prefix) - 1;
	struct mf_text method = mf_request_method(request);
	struct mf_text name;

	if (target.length < skip || memcmp(target.data, prefix, skip) != 0)
		return false;
	name = (struct mf_text){target.data + skip, target.length - skip};
	free(large); /* of the request before, where machines are kept */
	large = NULL;
	if (!is_name(name))
		answer_text(400, "not a package's name\n");
	else if (is(method, "PUT"))
		keep(name, mf_request_body(request));
	else if (is(method, "GET"))
		give(name);
	else
		answer_text(405, "PUT or GET\n");
	return true;
}

int registry_visit(int64_t *visits)
{
	return mf_store_add("counters", MF_STRING("visits"), 1, visits);
}

int registry_list(unsigned int most, void (*each)(struct mf_text name, void *arg), void *arg)
{
	struct mf_bytes none = {"", 0}, key, value;
	size_t bytes = 0, at = 0;
	int code = mf_store_scan(TABLE, none, none, most, small, LIST_BYTES, &bytes);

	while (code == 0 && mf_store_next(small, bytes, &at, &key, &value))
		each((struct mf_text){key.data, key.length}, arg);
	return code;
}
