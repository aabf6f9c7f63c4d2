/* SPDX-License-Identifier: MIT */
/*
 * Header lines, of an answer's head or behind the last chunk of a body: judged byte by byte as they
 * come, so that the verdict never depends on how they were split. Ends at the empty line. Private
 * to the front door; whoever uses it bounds the bytes.
 */
#ifndef REQUEST_VM_FRONT_LINES_H
#define REQUEST_VM_FRONT_LINES_H

#include <mayfly/abi/call.h>

#include "request-vm/front/chars.h"

/* All zero: at the beginning of a line. */
struct mf_http_lines {
	unsigned short count; /* of lines that began; MF_ABI_MAX_HEADERS at the most */
	unsigned char place;  /* enum mf_http_place */
};

enum mf_http_place {
	MF_HTTP_AT_LINE, /* the first byte of a line, or of the empty one */
	MF_HTTP_AT_NAME,
	MF_HTTP_AT_VALUE,
	MF_HTTP_AT_LF,  /* behind the CR of a line */
	MF_HTTP_AT_END, /* behind the CR of the empty line */
};

enum mf_http_lines_verdict {
	MF_HTTP_LINES_MORE,
	MF_HTTP_LINES_END, /* this was the LF of the empty line */
	MF_HTTP_LINES_BAD,
	MF_HTTP_LINES_MANY, /* more than MF_ABI_MAX_HEADERS */
};

static inline enum mf_http_lines_verdict mf_http_lines_scan(struct mf_http_lines *lines,
							    unsigned char c)
{
	switch (lines->place) {
	case MF_HTTP_AT_LINE:
		if (c == '\r') {
			lines->place = MF_HTTP_AT_END;
			return MF_HTTP_LINES_MORE;
		}
		if (!mf_char_token(c)) /* a blank here is a folded line */
			return MF_HTTP_LINES_BAD;
		if (lines->count == MF_ABI_MAX_HEADERS)
			return MF_HTTP_LINES_MANY;
		lines->count++;
		lines->place = MF_HTTP_AT_NAME;
		return MF_HTTP_LINES_MORE;
	case MF_HTTP_AT_NAME:
		if (c == ':')
			lines->place = MF_HTTP_AT_VALUE;
		else if (!mf_char_token(c))
			return MF_HTTP_LINES_BAD;
		return MF_HTTP_LINES_MORE;
	case MF_HTTP_AT_VALUE:
		if (c == '\r')
			lines->place = MF_HTTP_AT_LF;
		else if (!mf_char_value(c))
			return MF_HTTP_LINES_BAD;
		return MF_HTTP_LINES_MORE;
	default:
		if (c != '\n')
			return MF_HTTP_LINES_BAD;
		if (lines->place == MF_HTTP_AT_END)
			return MF_HTTP_LINES_END;
		lines->place = MF_HTTP_AT_LINE;
		return MF_HTTP_LINES_MORE;
	}
}

#endif
