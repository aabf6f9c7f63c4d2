/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1 answers as unmodified servers write them: untrusted bytes in, in any pieces; the head,
 * then the pieces of the body out. Two parsers must agree on a head: a scanner of our own judges
 * every byte as it arrives, llhttp reads the complete head. It knows no socket, no clock and no
 * client; what of an answer reaches a client is response.h's. One thread.
 *
 *   100 and other interim answers are dropped (MF_HTTP_ANSWER_INTERIMS of them at the most)
 *   101 switches protocols, if that was asked for: everything behind its head is a tunnel's
 *   HEAD, 204, 304: no body, whatever the head says
 *   Content-Length: so many bytes. Bytes behind the end of an answer are dropped and counted;
 *     too few when the server closes: bad
 *   Transfer-Encoding: chunked: decoded; extensions and trailers are dropped
 *   neither: until the server closes
 *
 * Bad, and for a client that has nothing of it yet a 502: bare LF or CR, folded lines, blanks
 * before a colon, control characters, a status that is not 100 to 599, two lengths (also equal
 * ones), a length and a coding, any coding but `chunked` once, a coding or an interim answer to or
 * from HTTP/1.0, 101 that nobody asked for, heads over their limit, more than MF_ABI_MAX_HEADERS
 * lines.
 */
#ifndef REQUEST_VM_FRONT_ANSWER_H
#define REQUEST_VM_FRONT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request-vm/front/chunks.h"

/* Bytes of all heads of one answer, interim ones too. */
#define MF_HTTP_ANSWER_HEAD_MAX (16u << 10)
#define MF_HTTP_ANSWER_INTERIMS 16u

/* What the request was. */
struct mf_http_asked {
	bool is_head;
	bool upgrade;  /* it asked for another protocol */
	uint8_t minor; /* HTTP/1.minor, as the server was told */
};

enum mf_http_body_kind {
	MF_HTTP_BODY_NONE,
	MF_HTTP_BODY_LENGTH,
	MF_HTTP_BODY_CHUNKS,
	MF_HTTP_BODY_UNTIL_CLOSE,
	MF_HTTP_BODY_TUNNEL, /* until the server closes, and not HTTP */
};

enum mf_http_answer_event {
	MF_HTTP_ANSWER_MORE,  /* every byte was taken; more are needed */
	MF_HTTP_ANSWER_HEAD,  /* the head is complete: the fields below tell */
	MF_HTTP_ANSWER_PIECE, /* *piece is a piece of the body */
	MF_HTTP_ANSWER_DONE,  /* the answer is complete */
	MF_HTTP_ANSWER_BAD,   /* `why` says in words why it is none */
};

struct mf_http_answer {
	/* from the event HEAD on */
	int status;    /* 101, 200..599 */
	uint8_t minor; /* HTTP/1.minor of the answer */
	enum mf_http_body_kind body;
	bool has_length; /* `length` was told; with HEAD and 304 of a body that is not sent */
	uint64_t length;
	bool closes; /* the server will close behind it */
	/* at the event HEAD alone, gone with the next call */
	struct mf_http_piece reason;  /* of the status line, may be empty */
	struct mf_http_piece headers; /* the lines as written, CR LF each, no empty line */
	/* always */
	uint64_t body_bytes;  /* pieces told so far */
	uint64_t extra_bytes; /* dropped behind the end */
	const char *why;      /* with BAD; static */
	/* the parser's */
	struct mf_http_asked asked;
	uint8_t phase;
	uint8_t line_bytes; /* of the status line, as far as it matters */
	uint8_t interims;
	struct mf_http_lines lines;
	struct mf_http_chunks chunks;
	uint32_t head_bytes;        /* of this head so far */
	uint32_t status_line_bytes; /* its CR LF included */
	uint32_t spent_bytes;       /* by interim heads */
	char *stash;                /* the head so far, when it came in more than one piece */
};

/* Ready for the answer to `asked`. Allocates nothing. */
void mf_http_answer_init(struct mf_http_answer *answer, const struct mf_http_asked *asked);

/* Zeroes and frees what is held. Good in every state, also for an answer that is all zero. */
void mf_http_answer_finish(struct mf_http_answer *answer);

/*
 * Takes bytes up to the next event; *used says how many. Call it again with what is left, also when
 * that is nothing, until it says MORE, DONE or BAD; the last two it says ever after, DONE taking
 * what comes. Pieces and the head lie in `data` or in memory of the parser. Out of memory is BAD.
 */
enum mf_http_answer_event mf_http_answer_feed(struct mf_http_answer *answer, const void *data,
					      size_t size, size_t *used,
					      struct mf_http_piece *piece);

/* The server closed its side. Returns DONE, or BAD when something is missing. */
enum mf_http_answer_event mf_http_answer_close(struct mf_http_answer *answer);

#endif
