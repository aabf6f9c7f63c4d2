/* SPDX-License-Identifier: MIT */
/*
 * A delta: what differs between a VM and its image, in pages (arena included) and registers. Reset
 * makes it empty; the audit computes it and expects it empty. Computed by comparing bytes of every
 * private page as /proc/self/pagemap lists them: a source that reset does not use.
 */
#ifndef MF_ENGINE_IMAGE_DELTA_H
#define MF_ENGINE_IMAGE_DELTA_H

#include "engine/image/image.h"

enum mf_delta_cpu {
	MF_DELTA_REGS = 1,
	MF_DELTA_SREGS = 2,
	MF_DELTA_EVENTS = 4,
	MF_DELTA_DEBUG = 8,
	MF_DELTA_XSAVE = 16,
};

struct mf_delta {
	size_t page_count;
	uint32_t *pages; /* owned; page numbers of the mapping, ascending */
	uint8_t *bytes;  /* owned; page_count pages of content */
	size_t bytes_differing;
	unsigned int cpu;          /* enum mf_delta_cpu: what differs */
	struct mf_cpu_state state; /* all registers */
};

/* Compute. The vCPU must be clean. -ENOMEM, -EIO. */
int mf_delta_take(struct mf_vm *vm, struct mf_delta *delta);
void mf_delta_finish(struct mf_delta *delta);

static inline bool mf_delta_is_empty(const struct mf_delta *delta)
{
	return !delta->page_count && !delta->cpu;
}

/*
 * Does this VM equal its image? 0, or -EUCLEAN with a sentence that names the first difference; the
 * counts may be NULL.
 */
int mf_vm_audit(struct mf_vm *vm, size_t *pages, size_t *bytes, struct mf_error *err);

#endif
