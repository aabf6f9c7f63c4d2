/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"
#include "supervisor/plane.h"

#include "ipc/control/tenants.h"

#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * To whoever reads the standard error, line by line. A pipe that can be written takes a line; who
 * does not read must not stop this process: then lines are lost, and counted.
 */
static bool put(const char *line, size_t bytes)
{
	struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (bytes > PIPE_BUF)
		bytes = PIPE_BUF;
	return poll(&log, 1, 0) > 0 && write(STDERR_FILENO, line, bytes) >= 0;
}

static void print(struct mf_supervisor *supervisor, const struct mf_control_event *event,
		  const char *json)
{
	char line[PIPE_BUF] = "";
	char lost[80];
	FILE *text = fmemopen(line, sizeof(line) - 1, "w");
	size_t bytes;

	if (!text)
		return;
	if (supervisor->log_json && json)
		fprintf(text, "%s\n", json);
	else
		mf_control_event_print(event, text);
	fclose(text);
	if (supervisor->lost_lines) {
		snprintf(lost, sizeof(lost), "mayflyd: %llu lines were lost\n",
			 (unsigned long long)supervisor->lost_lines);
		if (put(lost, strlen(lost)))
			supervisor->lost_lines = 0;
	}
	bytes = strlen(line);
	supervisor->lost_lines += !put(line, bytes);
}

void mf_log(struct mf_supervisor *supervisor, enum mf_level level, const char *event,
	    const struct mf_tenant *tenant, const struct mf_engine *engine, const char *format, ...)
{
	static const char *const levels[] = {"info", "warning", "error"};
	struct mf_control_event told = {0};
	struct timespec now;
	bool told_to_all;
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
	/* What programs print is for the log alone. */
	told_to_all = supervisor->plane && strcmp(event, "output");
	json = supervisor->log_json || told_to_all ? mf_control_event_text(&told) : NULL;
	print(supervisor, &told, json);
	if (json && told_to_all)
		mf_plane_tell(supervisor->plane, json);
	free(json);
}
