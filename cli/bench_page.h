/* SPDX-License-Identifier: MIT */
/* Results as one HTML page with plots (SVG) that needs nothing else. */
#ifndef MF_CLI_BENCH_PAGE_H
#define MF_CLI_BENCH_PAGE_H

#include "measure/record.h"

/* A case on the page. */
struct mf_page_case {
	const char *what;
	struct mf_record record;
};

void mf_page_write(FILE *file, const struct mf_machine *machine, bool interrupted,
		   const struct mf_page_case *cases, size_t count);

#endif
