/* SPDX-License-Identifier: MIT */
/* The histograms that an engine tells, and their form as JSON: docs/formats/control.md. */
#ifndef MF_IPC_CONTROL_TIMES_H
#define MF_IPC_CONTROL_TIMES_H

#include <stdbool.h>
#include <stdint.h>

#include <mayfly/abi/histogram.h>

enum mf_control_time {
	MF_CONTROL_TIME_REQUEST, /* from the whole request to the end of its answer */
	MF_CONTROL_TIME_QUEUE,   /* from its arrival until it has a VM */
	MF_CONTROL_TIME_RUN,     /* from there to its answer */
	MF_CONTROL_TIME_STORE,   /* one wait for the store */
	MF_CONTROL_TIME_RESET,   /* of a VM */
	MF_CONTROL_TIME_COUNT,
};

struct mf_control_times {
	struct mf_hist of[MF_CONTROL_TIME_COUNT];
};

/* Its member in JSON, and what metrics call it. */
const char *mf_control_time_name(enum mf_control_time time);

struct json_t;

/* NULL without memory. `coarse`: buckets are put together, so many into one (a power of two). */
struct json_t *mf_control_times_json(const struct mf_control_times *times, unsigned int coarse);
/* False: it is none. */
bool mf_control_times_read(const struct json_t *root, struct mf_control_times *times);

/* The value below which `fraction` (0..1) of the values lie; 0: there are none. */
uint64_t mf_control_percentile(const struct mf_hist *hist, double fraction);

/* What came between two looks at the same histogram; all of `now` if it is not the same. */
void mf_control_hist_since(struct mf_hist *out, const struct mf_hist *now,
			   const struct mf_hist *before);

#endif
