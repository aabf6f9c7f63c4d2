/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"
#include "supervisor/plane.h"

#include "ipc/control/tenants.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* To whoever reads the standard error, line by line. */
static void print(const struct mf_supervisor *supervisor, const struct mf_control_event *event,
		  const char *json)
{
	if (supervisor->log_json && json)
		fprintf(stderr, "%s\n", json);
	else
		mf_control_event_print(event, stderr);
	fflush(stderr);
}

void mf_log(struct mf_supervisor *supervisor, enum mf_level level, const char *event,
	    const struct mf_tenant *tenant, const struct mf_engine *engine, const char *format, ...)
{
	static const char *const levels[] = {"info", "warning", "error"};
	struct mf_control_event told = {0};
	struct timespec now;
	va_list args;
	char *json;

	clock_gettime(CLOCK_REALTIME, &now);
	told.time = (double)now.tv_sec + (double)(now.tv_nsec / 1000000) / 1000;
	snprintf(told.event, sizeof(told.event), "%s", event);
	snprintf(told.level, sizeof(told.level), "%s", levels[level]);
	if (tenant)
		snprintf(told.tenant, sizeof(told.tenant), "%s", tenant->name);
	if (engine)
		told.pid = (uint64_t)engine->pid;
	va_start(args, format);
	vsnprintf(told.text, sizeof(told.text), format, args);
	va_end(args);
	json = mf_control_event_text(&told);
	print(supervisor, &told, json);
	/* What programs print is for the log alone. */
	if (json && strcmp(event, "output"))
		mf_plane_tell(supervisor->plane, json);
	free(json);
}
