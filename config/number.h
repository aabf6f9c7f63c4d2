/* SPDX-License-Identifier: MIT */
/* Sizes, durations and counts as people write them. */
#ifndef MF_CONFIG_NUMBER_H
#define MF_CONFIG_NUMBER_H

#include <stdint.h>

#include <mayfly/error.h>

/* "64M", "1G", "4096": bytes. "5s", "250ms", "2m": nanoseconds. A plain number above zero. -EINVAL
 * with a sentence that names the option. */
int mf_parse_size(const char *option, const char *text, uint64_t *bytes, struct mf_error *err);
int mf_parse_duration(const char *option, const char *text, uint64_t *ns, struct mf_error *err);
int mf_parse_count(const char *option, const char *text, uint64_t max, uint64_t *value,
		   struct mf_error *err);

#endif
