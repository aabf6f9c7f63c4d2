/* SPDX-License-Identifier: MIT */
#include "bench/status.h"
#include "bench/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double bench_status(const char *control, const char *group, const char *name)
{
	char command[4400];
	char text[8192];
	char key[64];
	size_t got = 0;
	const char *at;
	FILE *pipe;

	snprintf(command, sizeof(command), "%s ctl --control %s --json status",
		 bench_path("../cli/mayfly"), control);
	pipe = popen(command, "re");
	if (pipe) {
		got = fread(text, 1, sizeof(text) - 1, pipe);
		pclose(pipe);
	}
	text[got] = '\0';
	snprintf(key, sizeof(key), "\"%s\":{", group);
	at = strstr(text, key);
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = at ? strstr(at, key) : NULL;
	return at ? strtod(at + strlen(key), NULL) : -1;
}
