/* SPDX-License-Identifier: MIT */
/*
 * What engines tell of themselves as metrics: Prometheus' text format, version 0.0.4. Names and
 * labels are in docs/operations.md; one table in exposition.c says which number each is.
 */
#ifndef MF_IPC_CONTROL_EXPOSITION_H
#define MF_IPC_CONTROL_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>

#include "ipc/control/status.h"
#include "ipc/control/times.h"

struct mf_control_sample {
	char tenant[40]; /* "": there is one engine, without a name */
	char state[16];  /* as mayflyd sees it; "" without it */
	char control[108];
	uint64_t restarts;
	bool answered; /* without it status and times are zero, and not told */
	struct mf_control_status status;
	struct mf_control_times times;
};

/* A text to be freed; NULL without memory. */
char *mf_control_exposition(const struct mf_control_sample *samples, size_t count);

#endif
