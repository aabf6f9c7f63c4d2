/* SPDX-License-Identifier: MIT */
/* What a program needs to start: see mf_permit_start(). ld.so(8), ldconfig(8), musl's dynlink.c. */
#include "engine/linux/permit_lookup.h"

#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INCLUDES_MAX 4 /* files of ld.so.conf that include each other */

struct starter {
	struct mf_permit *permit;
	int ret;
};

static void parse_conf(struct starter *starter, const char *path, int depth);

/* What is not there, or hidden by a volume, is no permission. */
static void add(struct starter *starter, const char *path, bool libraries)
{
	struct permit_list *list = &starter->permit->start;
	size_t count = list->count;
	int ret;

	if (starter->ret || *path != '/' || mf_permit_in_volume(starter->permit, path))
		return;
	ret = mf_permit_add(list, path, false);
	if (ret == -ENOMEM)
		starter->ret = ret;
	if (!ret && list->count > count)
		list->entries[count].libraries = libraries;
}

static char *trim(char *line)
{
	size_t bytes = strcspn(line, "#\n");

	while (bytes && isspace((unsigned char)line[bytes - 1]))
		bytes--;
	line[bytes] = 0;
	return line + strspn(line, " \t");
}

/* Relative patterns start at the file that includes them. */
static void include(struct starter *starter, const char *conf, const char *pattern, int depth)
{
	const char *slash = strrchr(conf, '/');
	char *whole;
	glob_t found;
	size_t i;

	if (asprintf(&whole, "%.*s%s", *pattern == '/' ? 0 : (int)(slash + 1 - conf), conf,
		     pattern) < 0) {
		starter->ret = -ENOMEM;
		return;
	}
	if (!glob(whole, 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++)
			parse_conf(starter, found.gl_pathv[i], depth + 1);
		globfree(&found);
	}
	free(whole);
}

static void parse_conf(struct starter *starter, const char *path, int depth)
{
	FILE *file = depth < INCLUDES_MAX ? fopen(path, "re") : NULL;
	char *line = NULL;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		char *text = trim(line);

		if (!strncmp(text, "include", 7) && isspace((unsigned char)text[7]))
			include(starter, path, text + 7 + strspn(text + 7, " \t"), depth);
		else
			add(starter, text, true);
	}
	free(line);
	if (file)
		fclose(file);
}

/* Debian's libraries that have alternatives are links into the last of these. */
static void add_libraries(struct starter *starter)
{
	static const char *const dirs[] = {"/lib",       "/usr/lib",       "/lib64",
					   "/usr/lib64", "/usr/local/lib", "/etc/alternatives"};
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		add(starter, dirs[i], true);
	parse_conf(starter, "/etc/ld.so.conf", 0);
	add(starter, "/etc/ld.so.cache", false);
	add(starter, "/etc/ld-musl-x86_64.path", false);
	/* Every start asks for it; nearly nobody has it. */
	if (access(MF_PERMIT_PRELOAD, F_OK) && errno == ENOENT)
		starter->permit->no_preload = true;
	else
		add(starter, MF_PERMIT_PRELOAD, false);
}

int mf_permit_start(struct mf_permit *permit, const char *const *names, size_t count,
		    bool libraries, struct mf_error *err)
{
	struct starter starter = {.permit = permit};
	size_t i;

	for (i = 0; i < count; i++)
		add(&starter, names[i], false);
	if (libraries)
		add_libraries(&starter);
	return starter.ret ? mf_error_set(err, starter.ret, "not enough memory for a list of paths")
			   : 0;
}
