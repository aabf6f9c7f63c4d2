/* SPDX-License-Identifier: MIT */
/* A temporary folder for what a scene keeps: the tour's own process makes and removes it, so that
 * it goes with scenes that fail or are interrupted, too. */
#ifndef MAYFLY_DEMO_FOLDER_H
#define MAYFLY_DEMO_FOLDER_H

#include <stdbool.h>

/* In $TMPDIR or /tmp; the caller frees the path. NULL with errno. */
char *folder_make(void);

/* With all that is in it. False with errno: something is left. */
bool folder_remove(const char *path);

#endif
