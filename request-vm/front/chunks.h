/* SPDX-License-Identifier: MIT */
/*
 * Bodies that come in chunks (RFC 9112 section 7.1), decoded: bytes in, pieces of the body out,
 * nothing kept or copied. Strict: hexadecimal digits, then `;` or CR LF, no blanks, no bare LF;
 * extensions and the header lines behind the last chunk are judged and dropped. Both are bounded.
 * One thread.
 */
#ifndef REQUEST_VM_FRONT_CHUNKS_H
#define REQUEST_VM_FRONT_CHUNKS_H

#include "request-vm/front/lines.h"
#include "request-vm/front/piece.h"

#define MF_HTTP_CHUNK_DIGITS 15u /* of a size */
/* Bytes of extensions and trailers, of a whole body. */
#define MF_HTTP_CHUNK_EXTRAS (16u << 10)

/* {.limit = LIMIT}, the rest zero: at the beginning. */
struct mf_http_chunks {
	unsigned char phase; /* of chunks.c */
	unsigned char digits;
	struct mf_http_lines trailer;
	unsigned int extra_bytes;
	unsigned long long left;  /* of the chunk */
	unsigned long long limit; /* of the body's bytes, those of finished chunks taken off */
};

enum mf_http_chunks_event {
	MF_HTTP_CHUNKS_MORE,  /* every byte was taken */
	MF_HTTP_CHUNKS_PIECE, /* *piece is a piece of the body; feed on with what is left */
	MF_HTTP_CHUNKS_END,   /* the body is complete; what comes behind it was not touched */
	MF_HTTP_CHUNKS_BAD,
	MF_HTTP_CHUNKS_LARGE, /* a chunk would pass the limit */
};

/* Takes *used bytes. After END, BAD or LARGE it takes nothing more and says the same again. */
enum mf_http_chunks_event mf_http_chunks_feed(struct mf_http_chunks *chunks, const char *data,
					      size_t size, size_t *used,
					      struct mf_http_piece *piece);

#endif
