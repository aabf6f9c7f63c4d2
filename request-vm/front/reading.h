/* SPDX-License-Identifier: MIT */
/*
 * What llhttp makes of a complete head, a request's or an answer's; private to the front door. The
 * scanners have judged every byte before: this is the second parser, and both must agree.
 */
#ifndef REQUEST_VM_FRONT_READING_H
#define REQUEST_VM_FRONT_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/abi/call.h>

/* A piece of the text that was read. */
struct mf_http_span {
	const char *at;
	size_t length;
};

struct mf_http_reading {
	struct mf_http_span method, target; /* of a request */
	struct mf_http_span names[MF_ABI_MAX_HEADERS], values[MF_ABI_MAX_HEADERS]; /* trimmed */
	uint32_t name_count, value_count;
	uint16_t status; /* of an answer */
	uint8_t major, minor;
	bool chunked;    /* the body comes in chunks */
	uint64_t length; /* of the body, 0 without */
	bool complete;
};

/*
 * Reads the head at `text`, the empty line included. Returns llhttp's verdict (enum llhttp_errno;
 * HPE_PAUSED when all is well). What was read holds when reading->complete; the rest of the struct
 * is not touched.
 */
int mf_http_read_request(struct mf_http_reading *reading, const char *text, size_t size);
int mf_http_read_answer(struct mf_http_reading *reading, const char *text, size_t size);

/* Calls word() with each member of a comma-separated list, blanks taken off. */
void mf_http_each_word(struct mf_http_span list,
		       void (*word)(void *arg, const char *at, size_t length), void *arg);

#endif
