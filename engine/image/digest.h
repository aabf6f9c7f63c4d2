/* SPDX-License-Identifier: MIT */
/* SHA-256 of what comes piece by piece. The one place of the engine that uses libcrypto. */
#ifndef MF_ENGINE_IMAGE_DIGEST_H
#define MF_ENGINE_IMAGE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define MF_DIGEST_BYTES 32u

struct mf_digest;

struct mf_digest *mf_digest_begin(void); /* NULL: no memory */
void mf_digest_add(struct mf_digest *digest, const void *bytes, size_t size);
/* The result, and the end of `digest`; `out` may be NULL: it is only thrown away. -EIO. */
int mf_digest_end(struct mf_digest *digest, uint8_t out[MF_DIGEST_BYTES]);

/* Of the rest of a file, from its start; the descriptor's position is left alone. -errno. */
int mf_digest_file(int fd, uint8_t out[MF_DIGEST_BYTES]);

#endif
