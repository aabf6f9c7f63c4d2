/* SPDX-License-Identifier: MIT */
/*
 * Guest buffers of a system call as host pieces: host I/O goes straight to and from guest memory.
 * Pages are marked as written only as far as bytes really arrived. A page of the stack that is not
 * there yet is made, as a fault would.
 */
#ifndef MF_ENGINE_LINUX_GUESTMEM_H
#define MF_ENGINE_LINUX_GUESTMEM_H

#include <sys/uio.h>

#include "engine/linux/process.h"

#define MF_RW_MAX 0x7ffff000ull /* Linux' MAX_RW_COUNT: the most that one call moves */
#define MF_IOVS   1024u         /* Linux' UIO_MAXIOV */
#define MF_PIECES 64

/* struct iovec as the guest has it. */
struct mf_guest_iov {
	uint64_t base;
	uint64_t bytes;
};

/* Where a transfer stands in a list of guest buffers, or (host != NULL) in one host buffer. */
struct mf_cursor {
	struct mf_process *process;
	const struct mf_guest_iov *iov;
	size_t count;  /* of iov, from the current one on */
	uint64_t skip; /* bytes done of iov[0] */
	uint64_t left; /* bytes in all, bounded by MF_RW_MAX; may be made fewer */
	const void *host;
	int prot; /* MF_READ: bytes go out of the guest; MF_WRITE: into it */
};

/* A list of one buffer; `one` is the caller's. */
void mf_cursor_one(struct mf_cursor *cursor, struct mf_process *process, struct mf_guest_iov *one,
		   uint64_t base, uint64_t bytes, int prot);

/* A list in guest memory, copied to iov[MF_IOVS]. -EINVAL, -EFAULT. */
int mf_cursor_list(struct mf_cursor *cursor, struct mf_process *process, struct mf_guest_iov *iov,
		   uint64_t at, uint64_t count, int prot);

/* Bytes of the host's: `prot` as for a guest's, MF_READ: they are the source. */
void mf_cursor_host(struct mf_cursor *cursor, struct mf_process *process, const void *bytes,
		    size_t count, int prot);

/*
 * The next pieces, at most MF_PIECES of them: bytes in them. 0 with bytes left: the address there
 * is not the program's (-EFAULT when nothing was done before). *count: pieces.
 */
size_t mf_cursor_pieces(const struct mf_cursor *cursor, struct iovec pieces[MF_PIECES], int *count);

/* `bytes` of those pieces were transferred. */
void mf_cursor_advance(struct mf_cursor *cursor, const struct iovec *pieces, size_t bytes);

/*
 * Copy between the cursor's buffers and the host, and advance. Bytes copied: fewer than asked for
 * when the buffers end or an address is not the program's.
 */
size_t mf_cursor_get(struct mf_cursor *cursor, void *to, size_t bytes);
size_t mf_cursor_put(struct mf_cursor *cursor, const void *from, size_t bytes);

/* Go `bytes` forward, which an earlier try of the call has moved. */
void mf_cursor_skip(struct mf_cursor *cursor, uint64_t bytes);

/* Copy in and out; the stack grows if need be. -EFAULT. */
int mf_guest_read(struct mf_process *process, uint64_t va, void *to, size_t bytes);
int mf_guest_write(struct mf_process *process, uint64_t va, const void *from, size_t bytes);

/* The host address of four bytes at an address that is a multiple of four, or NULL. With MF_WRITE
 * the page is marked as written. */
uint32_t *mf_guest_word(struct mf_process *process, uint64_t va, int prot);

/* A string with its NUL: its length, -EFAULT, or -ENAMETOOLONG when there is no NUL in `size`. */
int64_t mf_guest_string(struct mf_process *process, uint64_t va, char *to, size_t size);

#endif
