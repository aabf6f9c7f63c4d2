/* SPDX-License-Identifier: MIT */
#include "ipc/control/message.h"
#include "ipc/control/fields.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VERSION MF_CONTROL_VERSION

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

static const char *const command_names[] = {
	[MF_CONTROL_STATUS] = "status", [MF_CONTROL_DRAIN] = "drain",
	[MF_CONTROL_STOP] = "stop",     [MF_CONTROL_TIMES] = "times",
	[MF_CONTROL_LIST] = "list",     [MF_CONTROL_ADD] = "add",
	[MF_CONTROL_REMOVE] = "remove", [MF_CONTROL_RELOAD] = "reload",
	[MF_CONTROL_LIMITS] = "limits",
};

/* Of the first ones, up to `last`. */
static enum mf_control_command command_named(json_t *name, enum mf_control_command last,
					     struct mf_error *why)
{
	if (!json_is_string(name)) {
		mf_error_set(why, -EPROTO, "the request has no text as its command");
		return MF_CONTROL_NONE;
	}
	for (int i = MF_CONTROL_STATUS; i <= (int)last; i++)
		if (!strcmp(json_string_value(name), command_names[i]))
			return (enum mf_control_command)i;
	mf_error_set(why, -EPROTO,
		     last == MF_CONTROL_TIMES
			     ? "unknown command; there are times, status, drain and stop"
			     : "unknown command; there are list, times, status, add, remove, "
			       "reload, drain, limits and stop");
	return MF_CONTROL_NONE;
}

/* An optional member. False: it is there and not good. */
static bool read_text(json_t *root, const char *name, const char **text, size_t *members)
{
	json_t *value = json_object_get(root, name);

	*text = json_string_value(value);
	*members += value != NULL;
	return !value || *text;
}

static bool read_members(json_t *root, struct mf_control_request *request, size_t *members)
{
	const char *tenant;
	const char *text;

	if (!read_text(root, "tenant", &tenant, members) ||
	    !read_text(root, "text", &text, members) ||
	    (tenant && strlen(tenant) >= sizeof(request->tenant)))
		return false;
	snprintf(request->tenant, sizeof(request->tenant), "%s", tenant ? tenant : "");
	request->text = text ? strdup(text) : NULL;
	return !text || request->text;
}

static enum mf_control_command parse_root(json_t *root, struct mf_control_request *request,
					  struct mf_error *why)
{
	enum mf_control_command last = request ? MF_CONTROL_LIMITS : MF_CONTROL_TIMES;
	enum mf_control_command command;
	size_t members = 2;

	if (!version_fits(root, why))
		return MF_CONTROL_NONE;
	command = command_named(json_object_get(root, "command"), last, why);
	if (command == MF_CONTROL_NONE)
		return command;
	if ((request && !read_members(root, request, &members)) ||
	    json_object_size(root) != members) {
		mf_error_set(why, -EPROTO, "the request has members that version %d has not",
			     VERSION);
		return MF_CONTROL_NONE;
	}
	return command;
}

static enum mf_control_command parse(const char *bytes, size_t count,
				     struct mf_control_request *request, struct mf_error *why)
{
	enum mf_control_command command = MF_CONTROL_NONE;
	json_error_t error;
	json_t *root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &error);

	if (json_is_object(root))
		command = parse_root(root, request, why);
	else if (root)
		mf_error_set(why, -EPROTO, "the request is not a JSON object");
	else
		mf_error_set(why, -EPROTO, "the request is not JSON (byte %d)", error.position);
	json_decref(root);
	return command;
}

enum mf_control_command mf_control_parse(const char *bytes, size_t count, struct mf_error *why)
{
	return parse(bytes, count, NULL, why);
}

enum mf_control_command mf_control_parse_all(const char *bytes, size_t count,
					     struct mf_control_request *request,
					     struct mf_error *why)
{
	*request = (struct mf_control_request){0};
	return request->command = parse(bytes, count, request, why);
}

void mf_control_request_finish(struct mf_control_request *request)
{
	free(request->text);
	request->text = NULL;
}

char *mf_control_request_text(const char *command, const char *tenant, const char *text)
{
	json_t *root = json_pack("{s:i, s:s, s:s*, s:s*}", "version", VERSION, "command", command,
				 "tenant", tenant, "text", text);
	char *bytes = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return bytes;
}

char *mf_control_request(const char *command)
{
	return mf_control_request_text(command, NULL, NULL);
}

/* ---- replies ---- */

/* File names are bytes; JSON wants UTF-8. What is none loses all that is not ASCII. */
json_t *mf_control_json_text(const char *text)
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
					? mf_control_json_text(at)
					: json_integer((json_int_t) * (const uint64_t *)at);

		/* takes the value, also in failure; fails on a NULL of either */
		failed = json_object_set_new(group_of(root, f->group), f->name, value);
	}
	return failed;
}

json_t *mf_control_status_json(const struct mf_control_status *status)
{
	json_t *root = json_object();

	if (root && !add_status(root, status))
		return root;
	json_decref(root);
	return NULL;
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

char *mf_control_accept_times(const struct mf_control_status *status,
			      const struct mf_control_times *times)
{
	unsigned int coarse = 0;
	char *text = NULL;

	/* A reply has room for all buckets that real times fill; else they are told coarser. */
	do {
		json_t *root = json_pack("{s:i, s:b}", "version", VERSION, "ok", 1);
		int failed = !root || add_status(root, status);

		coarse = coarse ? 2 * coarse : 1;
		free(text);
		if (!failed)
			failed = json_object_set_new(root, "times",
						     mf_control_times_json(times, coarse));
		text = dump(root, failed);
	} while (text && strlen(text) > MF_CONTROL_MESSAGE_MAX && coarse < MF_HIST_SUBS);
	return text;
}

char *mf_control_refuse(const char *why)
{
	json_t *root = json_pack("{s:i, s:b}", "version", VERSION, "ok", 0);
	int failed = root ? json_object_set_new(root, "error", mf_control_json_text(why)) : 0;

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

static bool read_tenant(json_t *from, struct mf_control_tenant *to)
{
	const char *name = json_string_value(json_object_get(from, "name"));
	const char *state = json_string_value(json_object_get(from, "state"));
	const char *program = json_string_value(json_object_get(from, "program"));
	const char *trouble = json_string_value(json_object_get(from, "trouble"));
	const char *control = json_string_value(json_object_get(from, "control"));

	if (!name || !state || !program || !trouble)
		return false;
	snprintf(to->name, sizeof(to->name), "%s", name);
	snprintf(to->state, sizeof(to->state), "%s", state);
	snprintf(to->program, sizeof(to->program), "%s", program);
	snprintf(to->trouble, sizeof(to->trouble), "%s", trouble);
	snprintf(to->control, sizeof(to->control), "%s", control ? control : "");
	to->pid = (uint64_t)json_integer_value(json_object_get(from, "pid"));
	to->uptime_ms = (uint64_t)json_integer_value(json_object_get(from, "uptime_ms"));
	to->restarts = (uint64_t)json_integer_value(json_object_get(from, "restarts"));
	to->engines = (uint64_t)json_integer_value(json_object_get(from, "engines"));
	return true;
}

static bool read_tenants(json_t *root, struct mf_control_reply *reply)
{
	json_t *list = json_object_get(root, "tenants");
	size_t count = json_array_size(list);
	bool good = json_is_array(list);
	size_t i;

	reply->tenants = calloc(count + 1, sizeof(*reply->tenants));
	good = good && reply->tenants;
	for (i = 0; i < count && good; i++)
		good = read_tenant(json_array_get(list, i), &reply->tenants[i]);
	reply->tenant_count = good ? count : 0;
	return good;
}

static bool read_times(json_t *root, struct mf_control_reply *reply)
{
	reply->times = calloc(1, sizeof(*reply->times));
	return reply->times && mf_control_times_read(json_object_get(root, "times"), reply->times);
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
	if (json_object_get(root, "tenants") && !read_tenants(root, reply))
		return false;
	if (json_object_get(root, "times") && !read_times(root, reply))
		return false;
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
		mf_control_reply_finish(reply);
	if (!good)
		return mf_error_set(err, -EPROTO, "what answers there is no engine of version %d",
				    VERSION);
	return reply->text ? 0 : mf_error_set(err, -ENOMEM, "not enough memory for the answer");
}

void mf_control_reply_finish(struct mf_control_reply *reply)
{
	free(reply->text);
	reply->text = NULL;
	free(reply->times);
	reply->times = NULL;
	free(reply->tenants);
	reply->tenants = NULL;
}
