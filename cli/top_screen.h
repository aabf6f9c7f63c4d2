/* SPDX-License-Identifier: MIT */
/* `mayfly top` on a terminal: the whole screen, live, keys. It is as before at every end. */
#ifndef MF_CLI_TOP_SCREEN_H
#define MF_CLI_TOP_SCREEN_H

#include "cli/top_table.h"

struct mf_top_options {
	const char *path; /* of a control socket */
	uint64_t interval_ns;
	unsigned int timeout_ms;
	uint64_t count; /* so many tables; 0: until it is ended */
	enum mf_top_column sort;
};

/* Until q, ^C or a signal that ends it. 0, or with a sentence: nobody answered at first, or there
 * is no terminal. */
int mf_top_screen(const struct mf_top_options *options, struct mf_error *err);

#endif
