/* SPDX-License-Identifier: MIT */
/* The control plane of mayflyd: commands of mayfly ctl, and events. */
#ifndef MF_SUPERVISOR_PLANE_H
#define MF_SUPERVISOR_PLANE_H

#include <mayfly/error.h>

struct mf_plane;
struct mf_supervisor;

/* At the configured path, if there is one. -errno with a sentence. */
int mf_plane_open(struct mf_supervisor *supervisor, const char *path, struct mf_error *err);
void mf_plane_close(struct mf_supervisor *supervisor);

/* An event, as JSON. NULL is fine. */
void mf_plane_tell(struct mf_plane *plane, const char *json);

#endif
