/* SPDX-License-Identifier: MIT */
/*
 * How all tenants of a mayflyd are, or the one engine behind a control socket: for `mayfly top` and
 * for the metrics of mayflyd. Engines are asked by themselves, several at a time: one that is dead
 * or stuck holds the others up by no more than the time it is given.
 */
#ifndef MF_IPC_CONTROL_SURVEY_H
#define MF_IPC_CONTROL_SURVEY_H

#include <mayfly/error.h>

#include "ipc/control/exposition.h"

struct mf_survey {
	struct mf_control_sample *samples; /* owned */
	size_t count;
	bool is_daemon;   /* they are tenants of a mayflyd; else there is one, without a name */
	uint64_t when_ns; /* of CLOCK_MONOTONIC */
	double time;      /* the same in seconds since 1970 */
};

/*
 * Ask at a socket, of mayflyd or of an engine. 0: the caller finishes it. Else what
 * mf_control_ask() says. Blocks, three times `timeout_ms` at the most; makes threads, which are
 * gone when it returns.
 */
int mf_survey_take(struct mf_survey *survey, const char *path, unsigned int timeout_ms,
		   struct mf_error *err);
void mf_survey_finish(struct mf_survey *survey);

/* As docs/formats/tenants.md says; `before` may be empty. A text to be freed; NULL without memory.
 */
char *mf_survey_json(const struct mf_survey *now, const struct mf_survey *before);

/* Before a process is confined that takes surveys. */
void mf_survey_prepare(void);

/* The sample of that tenant, or NULL. */
const struct mf_control_sample *mf_survey_find(const struct mf_survey *survey, const char *tenant);

#endif
