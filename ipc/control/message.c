/* SPDX-License-Identifier: MIT */
#include "ipc/control/message.h"
#include "ipc/control/fields.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

/* ---- requests ---- */

/* The version comes first: whoever speaks another one is to hear that, whatever else it says. */
static bool version_fits(json_t *root, struct mf_error *why)
{
	json_t *version = json_object_get(root, "version");

	if (!json_is_integer(version)) {
		mf_error_set(why, -EPROTO, "the request has no number as its version");
		return false;
	}
	if (json_integer_value(version) != VERSION) {
		mf_error_set(why, -EPROTO,
			     "version %lld is not spoken here; this engine speaks version %d",
			     (long long)json_integer_value(version), VERSION);
		return false;
	}
	return true;
}

static enum mf_control_command command_named(json_t *name, struct mf_error *why)
{
	static const char *const names[] = {
		[MF_CONTROL_STATUS] = "status",
		[MF_CONTROL_DRAIN] = "drain",
		[MF_CONTROL_STOP] = "stop",
	};

	if (!json_is_string(name)) {
		mf_error_set(why, -EPROTO, "the request has no text as its command");
		return MF_CONTROL_NONE;
	}
	for (int i = MF_CONTROL_STATUS; i <= MF_CONTROL_STOP; i++)
		if (!strcmp(json_string_value(name), names[i]))
			return (enum mf_control_command)i;
	mf_error_set(why, -EPROTO, "unknown command; there are status, drain and stop");
	return MF_CONTROL_NONE;
}

static enum mf_control_command parse_root(json_t *root, struct mf_error *why)
{
	enum mf_control_command command;

	if (!version_fits(root, why))
		return MF_CONTROL_NONE;
	command = command_named(json_object_get(root, "command"), why);
	if (command != MF_CONTROL_NONE && json_object_size(root) != 2) {
		mf_error_set(why, -EPROTO, "the request has members that version %d has not",
			     VERSION);
		return MF_CONTROL_NONE;
	}
	return command;
}

enum mf_control_command mf_control_parse(const char *bytes, size_t count, struct mf_error *why)
{
	enum mf_control_command command = MF_CONTROL_NONE;
	json_error_t error;
	json_t *root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(root))
		command = parse_root(root, why);
	else if (root)
		mf_error_set(why, -EPROTO, "the request is not a JSON object");
	else
		mf_error_set(why, -EPROTO, "the request is not JSON (byte %d)", error.position);
	json_decref(root);
	return command;
}

char *mf_control_request(const char *command)
{
	json_t *root = json_pack("{s:i, s:s}", "version", VERSION, "command", command);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

/* ---- replies ---- */

/* File names are bytes; JSON wants UTF-8. What is none loses all that is not ASCII. */
static json_t *make_text(const char *text)
{
	json_t *value = json_string(text);
	char ascii[sizeof(struct mf_error)];
	size_t i;

	if (value)
		return value;
	for (i = 0; text[i] && i + 1 < sizeof(ascii); i++)
		ascii[i] = (unsigned char)text[i] > 0x7e ? '?' : text[i];
	ascii[i] = '\0';
	return json_string(ascii);
}

/* The group's object, made when it is not there. Borrowed; NULL without memory. */
static json_t *group_of(json_t *root, const char *name)
{
	json_t *group = json_object_get(root, name);

	if (!group && !json_object_set_new(root, name, json_object()))
		group = json_object_get(root, name);
	return group;
}

static int add_status(json_t *root, const struct mf_control_status *status)
{
	int failed = 0;

	for (const struct mf_control_field *f = mf_control_fields; f->group && !failed; f++) {
		const void *at = (const char *)status + f->offset;
		json_t *value = f->kind == MF_FIELD_TEXT
					? make_text(at)
					: json_integer((json_int_t) * (const uint64_t *)at);

		/* takes the value, also in failure; fails on a NULL of either */
		failed = json_object_set_new(group_of(root, f->group), f->name, value);
	}
	return failed;
}

static char *dump(json_t *root, int failed)
{
	char *text = root && !failed ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

char *mf_control_accept(const struct mf_control_status *status)
{
	json_t *root = json_pack("{s:i, s:b}", "version", VERSION, "ok", 1);
	int failed = root && status ? add_status(root, status) : 0;

	return dump(root, failed);
}

char *mf_control_refuse(const char *why)
{
	json_t *root = json_pack("{s:i, s:b}", "version", VERSION, "ok", 0);
	int failed = root ? json_object_set_new(root, "error", make_text(why)) : 0;

	return dump(root, failed);
}

static bool read_field(const struct mf_control_field *f, json_t *value,
		       struct mf_control_status *status)
{
	char *at = (char *)status + f->offset;

	if (f->kind == MF_FIELD_TEXT) {
		if (!json_is_string(value))
			return false;
		snprintf(at, f->size, "%s", json_string_value(value));
		return true;
	}
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*(uint64_t *)at = (uint64_t)json_integer_value(value);
	return true;
}

static bool read_status(json_t *root, struct mf_control_status *status)
{
	const struct mf_control_field *f = mf_control_fields;

	while (f->group &&
	       read_field(f, json_object_get(json_object_get(root, f->group), f->name), status))
		f++;
	return !f->group;
}

/* It goes to a terminal. */
static void copy_sentence(struct mf_error *to, const char *text)
{
	mf_error_set(to, -EPROTO, "%s", text);
	for (char *at = to->text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
}

static bool read_reply(json_t *root, struct mf_control_reply *reply)
{
	json_t *ok = json_object_get(root, "ok");
	const char *why = json_string_value(json_object_get(root, "error"));

	if (json_integer_value(json_object_get(root, "version")) != VERSION || !json_is_boolean(ok))
		return false;
	reply->ok = json_is_true(ok);
	if (!reply->ok) {
		if (why)
			copy_sentence(&reply->error, why);
		return why != NULL;
	}
	reply->has_status = json_object_get(root, "engine") != NULL;
	return !reply->has_status || read_status(root, &reply->status);
}

int mf_control_understand(const char *bytes, size_t count, struct mf_control_reply *reply,
			  struct mf_error *err)
{
	json_t *root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, NULL);
	bool good;

	*reply = (struct mf_control_reply){0};
	good = root && read_reply(root, reply);
	if (good)
		reply->text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (!good)
		return mf_error_set(err, -EPROTO, "what answers there is no engine of version %d",
				    VERSION);
	return reply->text ? 0 : mf_error_set(err, -ENOMEM, "not enough memory for the answer");
}

void mf_control_reply_finish(struct mf_control_reply *reply)
{
	free(reply->text);
	reply->text = NULL;
}
