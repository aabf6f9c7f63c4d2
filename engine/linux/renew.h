/* SPDX-License-Identifier: MIT */
/*
 * What must not be the same in two forks of an image: the 16 random bytes that the auxiliary vector
 * points at (AT_RANDOM), and the generation behind them (MF_AUX_GENERATION), by which a program's
 * own random generators see that they must be seeded again. Drawn when a VM is first entered after
 * a fork or a reset, so that a VM that was put back equals its image until then.
 */
#ifndef MF_ENGINE_LINUX_RENEW_H
#define MF_ENGINE_LINUX_RENEW_H

#include "engine/linux/process.h"

/* As they lie in the guest's stack at mf_linux.random_at, within one page. */
struct mf_renewed {
	uint8_t random[16];
	uint64_t generation; /* 0 while the image is built, then never */
	uint64_t reserved;
};

#define MF_RENEWED_ALIGN 32u /* so that it never crosses a page */

/* New values, if the program's stack is still there. -EIO: the host gives no random bytes. */
int mf_renew(struct mf_process *process);

#endif
