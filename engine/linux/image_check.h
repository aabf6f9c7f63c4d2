/* SPDX-License-Identifier: MIT */
/* What image_check.c and image_check_objects.c share. */
#ifndef MF_ENGINE_LINUX_IMAGE_CHECK_H
#define MF_ENGINE_LINUX_IMAGE_CHECK_H

#include "engine/linux/image.h"

struct mf_check {
	const struct mf_image *image;
	const struct mf_linux *lx;
	const struct mf_arena *arena;
	uint64_t *owned; /* one bit a frame: mapped, a table, or claimed by this check */
};

/* Each says NULL, or what cannot be. */
const char *mf_check_descriptors(const struct mf_check *check);
const char *mf_check_pipes(const struct mf_check *check);
const char *mf_check_connections(const struct mf_check *check); /* and listeners */
const char *mf_check_watches(const struct mf_check *check);     /* epoll's items, timers */

#endif
