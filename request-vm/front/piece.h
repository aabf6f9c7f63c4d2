/* SPDX-License-Identifier: MIT */
/* A piece of a body, in the bytes that a parser was just fed with. */
#ifndef REQUEST_VM_FRONT_PIECE_H
#define REQUEST_VM_FRONT_PIECE_H

#include <stddef.h>

struct mf_http_piece {
	const char *at;
	size_t bytes;
};

#endif
