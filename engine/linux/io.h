/* SPDX-License-Identifier: MIT */
/* Reading and writing through a description, for the calls and for the kinds. */
#ifndef MF_ENGINE_LINUX_IO_H
#define MF_ENGINE_LINUX_IO_H

#include "engine/linux/fd.h"
#include "engine/linux/guestmem.h"

/* What read, write and their kin return: bytes, -errno, or MF_SYS_WAIT. */
int64_t mf_io_read(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		   const struct mf_io *io);
int64_t mf_io_write(struct mf_process *process, const struct mf_fd *entry, struct mf_cursor *cursor,
		    const struct mf_io *io);

/* What a call returns that moved `done` bytes and then met `error` (0: the end, or with `fault` a
 * bad address). */
int64_t mf_io_outcome(const struct mf_cursor *cursor, uint64_t done, int64_t error, bool fault);

/* Where a regular file is read and written next; setting it. */
uint64_t mf_file_offset(const struct mf_fd *entry);
void mf_file_move(struct mf_process *process, const struct mf_fd *entry, uint64_t offset);

/* A standard stream as a description: what the host's one is, if the program may know. */
struct mf_fd mf_stdio_entry(const struct mf_process *process, int fd);

/* The caller's terminal, opened anew by its name; false: there is none, or not for that. */
bool mf_stdio_terminal(const struct mf_process *process, int flags, struct mf_fd *entry);

/* The name of an emulated device. */
const char *mf_char_name(enum mf_char device);

/* What fstat says of an emulated device. */
void mf_char_stat(struct stat *st, enum mf_char device);

#endif
