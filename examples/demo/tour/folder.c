/* SPDX-License-Identifier: MIT */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "folder.h"

#define OPEN_AT_ONCE 16

char *folder_make(void)
{
	const char *where = getenv("TMPDIR");
	char *path = NULL;

	if (asprintf(&path, "%s/mayfly-demo.XXXXXX", where && *where ? where : "/tmp") < 0)
		return NULL;
	if (mkdtemp(path))
		return path;
	free(path);
	return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

bool folder_remove(const char *path)
{
	return nftw(path, remove_one, OPEN_AT_ONCE, FTW_DEPTH | FTW_PHYS) == 0;
}
