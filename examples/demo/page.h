/* SPDX-License-Identifier: MIT */
/*
 * The demo's page for browsers: whole in itself, no script, made anew by the request that shows it.
 * Everything in it that came from outside is escaped.
 */
#ifndef MAYFLY_DEMO_PAGE_H
#define MAYFLY_DEMO_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <mayfly/sdk.h>

struct page {
	int served;           /* requests that this machine has served */
	int64_t visits;       /* as the store counts them */
	const char *notice;   /* the program's, empty unless somebody planted one */
	struct mf_text query; /* "after=ATTACK": somebody comes back from that */
};

/* Answer with the page. */
void page_answer(const struct page *page);

#endif
