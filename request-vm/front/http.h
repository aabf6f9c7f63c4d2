/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1 request framing: bytes in, one request out, in the form of <mayfly/abi/call.h> or in that
 * of a connection with a server. It knows no socket and no clock. Two parsers must agree: a scanner
 * of our own judges every byte as it arrives (so the verdict never depends on how the bytes were
 * split), and llhttp reads the complete head. Called by the connections of the front door;
 * everything here belongs to one thread at a time.
 */
#ifndef REQUEST_VM_FRONT_HTTP_H
#define REQUEST_VM_FRONT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/abi/call.h>

#include "request-vm/front/chunks.h"
#include "request-vm/front/edge.h"

enum mf_http_form {
	MF_HTTP_FORM_ABI,  /* struct mf_abi_request, whole */
	MF_HTTP_FORM_WIRE, /* HTTP/1, for a server that reads it itself; the body in pieces */
};

struct mf_http_limits {
	uint32_t
		head_bytes; /* request line and headers; beyond: 431. 1024..1 MiB, default 16 KiB */
	uint32_t target_bytes; /* beyond: 414. 1..head_bytes, default 8 KiB */
	uint32_t body_bytes;   /* beyond: 413. 0..MF_HTTP_BODY_MAX, default 1 MiB */
	enum mf_http_form form;
	const struct mf_http_edge *edge; /* NULL (the default): requests are given as they came */
};
#define MF_HTTP_BODY_MAX   (1u << 30)
#define MF_HTTP_WIRE_SPARE 96u

/* Sets the defaults. */
void mf_http_limits_default(struct mf_http_limits *limits);

/* One framed request. Owner: whoever took it; give it back with mf_http_message_finish. */
struct mf_http_message {
	struct mf_abi_request *request; /* malloc'ed, request->size_bytes long; id is 0 */
	char *wire; /* the other form; malloc'ed: request line and headers, but neither those that
		     * say how long the body is nor the empty line; MF_HTTP_WIRE_SPARE more bytes
		     * of room */
	uint32_t wire_bytes;
	struct mf_abi_slice method, target; /* in whichever form it has */
	struct mf_abi_slice host;           /* its value */
	uint8_t minor;                      /* HTTP/1.minor: 0 or 1 */
	bool keep_alive;                    /* the client can use the connection again */
	bool is_head;                       /* the method is HEAD: the response has no body */
	bool upgrade;                       /* the client asks for another protocol */
	bool chunked;                       /* the body came in chunks: its length was not told */
	bool has_length;                    /* it was */
	uint32_t length;                    /* of the body, if told */
	char id[MF_HTTP_ID_BYTES];          /* with an edge: X-Request-Id */
};

/* Wire form: the end of the head, behind which so many bytes of a body follow. The spare room is
 * for that. */
void mf_http_wire_end(struct mf_http_message *message, size_t body_bytes);

/* Zeroes and frees the request's bytes. Also good for an empty (all zero) message. */
void mf_http_message_finish(struct mf_http_message *message);

enum mf_http_state {
	MF_HTTP_MORE,     /* every byte was taken and the request is not complete */
	MF_HTTP_CONTINUE, /* the client waits for "100 Continue": send it, then feed on */
	MF_HTTP_PIECE, /* wire form: parser->piece is a piece of the body, parser->message there */
	MF_HTTP_READY, /* a request is complete: take it. Bytes behind it were not touched */
	MF_HTTP_REFUSED, /* parser->status says why; the connection must be answered and closed */
};

/* Fields are the implementation's, except status, piece and message. */
struct mf_http_parser {
	struct mf_http_limits limits;
	int status;         /* HTTP status of a refusal, else 0 */
	uint8_t phase;      /* enum phase of http.c */
	bool blank_skipped; /* the one empty line before a request line was seen */
	uint8_t method_bytes;
	uint16_t header_count;
	uint32_t head_bytes; /* of the head so far, its first byte counted from the method */
	uint32_t line_bytes; /* of the current line so far */
	uint32_t target_bytes;
	char *stash; /* the head so far, when it came in more than one piece */
	char version[8];
	struct mf_http_message message;
	struct mf_http_piece piece; /* lies in what was fed */
	uint32_t filled_bytes;      /* of message.request */
	uint32_t room_bytes;        /* of message.request */
	uint32_t body_bytes;        /* so far */
	struct mf_http_chunks chunks;
	bool cr; /* the last byte was a CR; far from phase: one load of both stalls on the store */
};

/* `limits` NULL means the defaults; values out of range are brought into it. Allocates nothing. */
void mf_http_parser_init(struct mf_http_parser *parser, const struct mf_http_limits *limits);

/* Zeroes and frees what is held. The parser may be initialised again. */
void mf_http_parser_finish(struct mf_http_parser *parser);

/*
 * Takes bytes up to the end of one request; *used says how many. After REFUSED it takes nothing
 * more. The data are not kept. Out of memory is a refusal with 503.
 */
enum mf_http_state mf_http_parser_feed(struct mf_http_parser *parser, const void *data, size_t size,
				       size_t *used);

/* Hands the complete request to the caller and gets ready for the next. Only after READY. */
void mf_http_parser_take(struct mf_http_parser *parser, struct mf_http_message *message);

/*
 * Wire form: hands over what the head says while the body goes on. Only after PIECE; at READY
 * mf_http_parser_take is called all the same, and has nothing more to give.
 */
void mf_http_parser_take_head(struct mf_http_parser *parser, struct mf_http_message *message);

/* The text of a slice of the message. */
static inline const char *mf_http_text(const struct mf_http_message *message,
				       struct mf_abi_slice slice)
{
	const char *base = message->wire ? message->wire : (const char *)message->request;

	return base + slice.offset;
}

/* Bytes of a request that the parser holds now, its head's not counted. */
size_t mf_http_parser_held(const struct mf_http_parser *parser);

/* A part of a request has arrived (so silence is the client's fault: 408). */
bool mf_http_parser_begun(const struct mf_http_parser *parser);

/* The head is complete and the body is not. */
bool mf_http_parser_in_body(const struct mf_http_parser *parser);

#endif
