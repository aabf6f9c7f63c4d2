/* SPDX-License-Identifier: MIT */
/*
 * The working set: which pages of a mapping this VM holds privately. A bitmap is the truth; runs
 * are what copying uses, rebuilt when the bitmap has changed. Learned by asking the kernel
 * (PAGEMAP_SCAN, or the pagemap file before Linux 6.7) only when the vCPU's fault counter has
 * moved.
 */
#ifndef MF_ENGINE_MEM_WS_H
#define MF_ENGINE_MEM_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_run {
	uint32_t page;
	uint32_t count;
};

struct mf_ws {
	uint64_t *bits; /* owned; one a page of the whole mapping */
	uint64_t *idle; /* owned, may be NULL; pages that were unused when last looked at */
	size_t pages;
	size_t held;         /* set bits */
	struct mf_run *runs; /* owned */
	size_t run_count;
	size_t run_capacity;
	size_t run_pages;     /* sum over runs */
	bool stale;           /* the bitmap has moved on from the runs */
	bool scan_due;        /* something was written that no counter tells of */
	uint64_t faults_seen; /* the vCPU's pf_taken at the last learning */
	uint64_t exits_seen;  /* exits that KVM dealt with itself, likewise */
};

int mf_ws_init(struct mf_ws *ws, size_t pages);
void mf_ws_finish(struct mf_ws *ws);

static inline bool mf_ws_has(const struct mf_ws *ws, size_t page)
{
	return ws->bits[page / 64] >> (page % 64) & 1;
}

void mf_ws_mark(struct mf_ws *ws, size_t page, size_t count);
void mf_ws_clear(struct mf_ws *ws, size_t page, size_t count);

/* Have `idle` ready; -ENOMEM. Set a page's idle bit; returns what it was. */
int mf_ws_init_idle(struct mf_ws *ws);
bool mf_ws_set_idle(struct mf_ws *ws, size_t page, bool idle);

/* Rebuild the runs if stale, leaving out pages whose bit is set in `except` (first_except = the
 * page that bit 0 stands for; may be NULL). -ENOMEM. */
int mf_ws_update_runs(struct mf_ws *ws, const uint64_t *except, size_t except_bits,
		      size_t first_except);

/* Visit each run of private pages of [base, base + pages). 0 or -errno. */
typedef void mf_page_run_fn(void *cookie, size_t first_page, size_t count);
int mf_private_scan(int pagemap_fd, bool use_scan_ioctl, const void *base, size_t pages,
		    mf_page_run_fn *fn, void *cookie);

/* The same for pages that are mapped at all: private, or the file's own after a read. The ioctl
 * leaves out huge pages. */
int mf_present_scan(int pagemap_fd, bool use_scan_ioctl, const void *base, size_t pages,
		    mf_page_run_fn *fn, void *cookie);
/* And those that are mapped as huge pages; only with the ioctl. */
int mf_huge_scan(int pagemap_fd, const void *base, size_t pages, mf_page_run_fn *fn, void *cookie);

#endif
