/* SPDX-License-Identifier: MIT */
/* Parts of io.c that other descriptor calls use: writing through a description. */
#ifndef MF_ENGINE_LINUX_IO_H
#define MF_ENGINE_LINUX_IO_H

#include "engine/linux/fd.h"
#include "engine/linux/guestmem.h"

#define MF_OWN_OFFSET (-1) /* read and write where the description stands, and move it on */

/* What write and its kin return. `at`: where in the file, or MF_OWN_OFFSET. */
int64_t mf_io_write(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		    int64_t at);

#endif
