/* SPDX-License-Identifier: MIT */
#include "ipc/control/tenants.h"
#include "ipc/control/message.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *make_tenant(const struct mf_control_tenant *tenant)
{
	json_t *made = json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:I}", "name", tenant->name, "state", tenant->state,
		"pid", (json_int_t)tenant->pid, "uptime_ms", (json_int_t)tenant->uptime_ms,
		"restarts", (json_int_t)tenant->restarts, "engines", (json_int_t)tenant->engines);

	if (made && *tenant->control &&
	    json_object_set_new(made, "control", mf_control_json_text(tenant->control))) {
		json_decref(made);
		return NULL;
	}
	if (made && (json_object_set_new(made, "program", mf_control_json_text(tenant->program)) ||
		     json_object_set_new(made, "trouble", mf_control_json_text(tenant->trouble)))) {
		json_decref(made);
		made = NULL;
	}
	return made;
}

char *mf_control_tenants(const struct mf_control_tenant *tenants, size_t count)
{
	json_t *list = json_array();
	json_t *root;
	char *text;
	size_t i;
	int failed = !list;

	for (i = 0; i < count && !failed; i++)
		failed = json_array_append_new(list, make_tenant(&tenants[i]));
	root = failed ? NULL
		      : json_pack("{s:i, s:b, s:O}", "version", MF_CONTROL_VERSION, "ok", 1,
				  "tenants", list);
	json_decref(list);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

/* Whatever came over the socket goes to a terminal. */
static void put_text(const char *text, int width, FILE *to)
{
	int used = 0;

	for (; *text; text++, used++)
		putc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, to);
	fprintf(to, "%*s", used < width ? width - used : 1, "");
}

void mf_control_tenants_print(const struct mf_control_tenant *tenants, size_t count, FILE *to)
{
	size_t i;

	fprintf(to, "%-20s %-10s %8s %9s %9s  %s\n", "tenant", "state", "pid", "up", "restarts",
		"program");
	for (i = 0; i < count; i++) {
		const struct mf_control_tenant *tenant = &tenants[i];

		put_text(tenant->name, 21, to);
		put_text(tenant->state, 11, to);
		fprintf(to, "%8" PRIu64 " %8" PRIu64 "s %9" PRIu64 "  ", tenant->pid,
			tenant->uptime_ms / 1000, tenant->restarts);
		put_text(tenant->program, 0, to);
		if (*tenant->trouble && !tenant->pid)
			put_text(tenant->trouble, 0, to);
		putc('\n', to);
	}
}

char *mf_control_event_text(const struct mf_control_event *event)
{
	json_t *root = json_pack("{s:f, s:s, s:s}", "time", event->time, "level", event->level,
				 "event", event->event);
	int failed = !root;
	char *text;

	if (!failed && *event->tenant)
		failed = json_object_set_new(root, "tenant", json_string(event->tenant));
	if (!failed && event->pid)
		failed = json_object_set_new(root, "pid", json_integer((json_int_t)event->pid));
	if (!failed)
		failed = json_object_set_new(root, "text", mf_control_json_text(event->text));
	text = failed ? NULL : json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(16));
	json_decref(root);
	return text;
}

static void copy_text(char *to, size_t room, json_t *from)
{
	const char *text = json_string_value(from);

	snprintf(to, room, "%s", text ? text : "");
}

int mf_control_event_read(struct mf_control_event *event, const char *text, size_t bytes)
{
	json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
	int code = json_is_string(json_object_get(root, "event")) ? 0 : -EPROTO;

	memset(event, 0, sizeof(*event));
	if (!code) {
		copy_text(event->event, sizeof(event->event), json_object_get(root, "event"));
		copy_text(event->level, sizeof(event->level), json_object_get(root, "level"));
		copy_text(event->tenant, sizeof(event->tenant), json_object_get(root, "tenant"));
		copy_text(event->text, sizeof(event->text), json_object_get(root, "text"));
		event->pid = (uint64_t)json_integer_value(json_object_get(root, "pid"));
		event->time = json_number_value(json_object_get(root, "time"));
	}
	json_decref(root);
	return code;
}

void mf_control_event_print(const struct mf_control_event *event, FILE *to)
{
	time_t seconds = (time_t)event->time;
	struct tm when;
	char date[32] = "";

	if (gmtime_r(&seconds, &when))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &when);
	fprintf(to, "%s.%03dZ %s %s", date, (int)((event->time - (double)seconds) * 1000),
		event->level, event->event);
	if (*event->tenant)
		fprintf(to, " tenant=%s", event->tenant);
	if (event->pid)
		fprintf(to, " pid=%" PRIu64, event->pid);
	fputs(": ", to);
	put_text(event->text, 0, to);
	putc('\n', to);
}
