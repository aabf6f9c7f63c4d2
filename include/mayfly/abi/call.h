/* SPDX-License-Identifier: MIT */
/*
 * What a guest and the engine share: the numbers and the shapes in guest memory. Seen by the
 * engine, the guest SDK and probes; plain fixed-width data, no code. Everything that a guest writes
 * here is a claim: the engine copies it out once, checks it, then uses it.
 *
 * Leaving the guest: `out %eax, $MF_ABI_PORT` from ring 3, RAX = number, RDI RSI RDX = arguments,
 * result in RAX (negative errno on failure), every other register kept. Numbers below
 * MF_CALL_BASE are Linux system calls (arguments as the x86-64 psABI has them, R10 the fourth).
 */
#ifndef MAYFLY_ABI_CALL_H
#define MAYFLY_ABI_CALL_H

#define MF_ABI_VERSION 1

#define MF_ABI_PORT 0x10 /* the one port that ring 3 may write (four bytes) */
#define MF_ABI_FAULT_PORT                                                      \
	0x20 /* + vector: ring-0 exception stubs report here; closed to ring 3 \
	      */

#define MF_CALL_BASE 0x4d460000
/* rdi = struct mf_abi_ready *. Returns when a request has arrived: the size of the request in
 * bytes. The first ready call of a program is its ready point: there it is frozen into an image.
 * With a response set, it answers the request that was being served and waits for the next. */
#define MF_CALL_READY (MF_CALL_BASE + 0)
/* rdi = struct mf_abi_response *. The response is complete and may be sent; the guest goes on
 * working until it calls READY or its deadline ends it. Returns 0. */
#define MF_CALL_RESPOND (MF_CALL_BASE + 1)
/* rdi = text, rsi = bytes, rdx = level (0 debug .. 3 error). Returns 0. */
#define MF_CALL_LOG (MF_CALL_BASE + 2)
/* rdi = value. End of a host-initiated function call. Does not return. */
#define MF_CALL_RETURN (MF_CALL_BASE + 3)

/* Nothing to do until the other side of a channel acts: returns 0 when it may have, -ENXIO when
 * there is no channel. Storage VM: whoever sleeps and has its reply goes on, as by CHANNEL_WAKE;
 * rdi = 1: there is more to do, but the program's other threads run first; rsi = address of a word,
 * or 0: before that one thread is woken that waits there by FUTEX_WAIT. */
#define MF_CALL_CHANNEL_WAIT (MF_CALL_BASE + 4)
/* Storage VM: some who wait (mf_abi_store_channel.parked) have their replies. Returns 0. */
#define MF_CALL_CHANNEL_WAKE (MF_CALL_BASE + 5)

/*
 * rdi = struct mf_abi_fetch *. The engine makes an HTTP/1.1 request for the program, all of which
 * stands still until that is over. Returns 0 when an answer is there, of whatever status, else:
 *   -ENOTCONN      no request is being served, or no address is allowed
 *   -EINVAL        something is malformed; -EFAULT: a pointer is; -E2BIG: longer than MF_FETCH_*
 *   -EPROTONOSUPPORT  neither http nor https
 *   -ENOENT        a name that no rule of --allow-connect has; -EACCES: no rule allows the address
 *   -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ECONNRESET (the answer broke off)
 *   -EKEYREJECTED  the certificate is not trusted; -EPROTO: it speaks no HTTP or TLS
 *   -EMSGSIZE      the answer does not fit; -ETIMEDOUT; -ENOMEM
 * What is in `answer` after a failure is undefined.
 */
#define MF_CALL_FETCH (MF_CALL_BASE + 6)

/* The engine's own entry in the auxiliary vector, and what its value says. */
#define MF_AUX_TYPE    0x4d460001
#define MF_AUX_INSIDE  1 /* this is a VM of Mayfly */
#define MF_AUX_CHANNEL 2 /* a channel lies at MF_CHANNEL_VA once a request is being served */

/*
 * And another: the address of a uint64_t that is 0 while the image is built and a number of its
 * own, never 0, in each fork and after each reset. It changes while the program waits for its first
 * request. A random generator that was seeded under another number than this must be seeded again.
 */
#define MF_AUX_GENERATION 0x4d460002

#ifndef __ASSEMBLER__
#include <stdint.h>

#ifdef __cplusplus
#define MF_ABI_ASSERT static_assert
#else
#define MF_ABI_ASSERT _Static_assert
#endif

/* A piece of the request buffer: bytes [offset, offset+length). */
struct mf_abi_slice {
	uint32_t offset;
	uint32_t length;
};

#define MF_ABI_MAX_HEADERS 100

/*
 * A request as it lies in the guest's buffer, from its first byte. Offsets count from the start of
 * this struct. Every string is followed by a NUL that its length does not count.
 */
struct mf_abi_request {
	uint32_t version;    /* MF_ABI_VERSION */
	uint32_t size_bytes; /* of the whole, this struct included */
	uint64_t id;         /* counts up; for logs */
	struct mf_abi_slice method;
	struct mf_abi_slice target; /* as received, e.g. "/a?b=c" */
	struct mf_abi_slice body;
	uint32_t header_count;
	uint32_t headers_offset; /* header_count pairs (name, value) of struct mf_abi_slice; names
				    in lower case */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_request) == 48, "ABI");

/* The guest's response; pointers are guest virtual addresses. */
struct mf_abi_response {
	uint32_t version; /* MF_ABI_VERSION */
	uint32_t status;  /* 200..599 */
	uint64_t headers; /* text: "Name: value\r\n" lines, may be 0 */
	uint64_t headers_bytes;
	uint64_t body;
	uint64_t body_bytes;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_response) == 40, "ABI");

struct mf_abi_ready {
	uint32_t version; /* MF_ABI_VERSION */
	uint32_t flags;   /* MF_READY_* */
	uint64_t buffer;  /* where requests are to be written, 16-byte aligned */
	uint64_t buffer_bytes;
	struct mf_abi_response response; /* with MF_READY_RESPONSE */
};
#define MF_READY_RESPONSE 1u /* `response` answers the request that was served */
MF_ABI_ASSERT(sizeof(struct mf_abi_ready) == 64, "ABI");

/* Of MF_CALL_FETCH: what the engine takes at the most, in bytes. */
#define MF_FETCH_METHOD_MAX  32u
#define MF_FETCH_URL_MAX     8192u
#define MF_FETCH_HEADERS_MAX 16384u /* either way; MF_ABI_MAX_HEADERS lines of the program's */
#define MF_FETCH_BODY_MAX    (1ull << 30)   /* and `answer_bytes` */
#define MF_FETCH_TIMEOUT_NS  30000000000ull /* where timeout_ns is 0 */

/* What is to be fetched; pointers are guest virtual addresses. */
struct mf_abi_fetch {
	uint32_t version;    /* MF_ABI_VERSION */
	uint32_t reserved;   /* 0 */
	uint64_t timeout_ns; /* of the whole; the end of the served request ends it, too */
	uint64_t method;     /* a token (RFC 9110), not CONNECT; HEAD without a body */
	uint64_t method_bytes;
	uint64_t url; /* absolute, visible ASCII, no user */
	uint64_t url_bytes;
	/* Text: "Name: value\r\n" lines, may be 0. Not those that say where a message ends or whom
	 * it is for: Host, Content-Length, Transfer-Encoding, Connection and their like. */
	uint64_t headers;
	uint64_t headers_bytes;
	uint64_t body;
	uint64_t body_bytes;
	uint64_t answer; /* struct mf_abi_fetched, headers and body, one behind the other */
	uint64_t answer_bytes;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_fetch) == 96, "ABI");

struct mf_abi_fetched {
	uint32_t status;        /* 100..999, as the server says */
	uint32_t headers_bytes; /* "Name: value\r\n" lines, as they came */
	uint64_t body_bytes;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_fetched) == 16, "ABI");

/* The clock page: mapped read-only into every guest; time without leaving the guest. */
struct mf_abi_clock {
	uint32_t sequence; /* odd while the engine writes */
	uint32_t shift;
	uint64_t mult; /* ns = ((tsc - tsc_base) * mult) >> shift */
	uint64_t tsc_base;
	uint64_t monotonic_ns; /* CLOCK_MONOTONIC at tsc_base */
	int64_t realtime_minus_monotonic_ns;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_clock) == 40, "ABI");

/* And what differs from VM to VM: the page MF_CLOCK_OWN_PAGES behind it. */
struct mf_abi_clock_own {
	uint64_t behind_ns; /* to be taken from monotonic_ns, modulo 2^64 */
};
#define MF_CLOCK_OWN_PAGES 10
MF_ABI_ASSERT(sizeof(struct mf_abi_clock_own) == 8, "ABI");

#endif /* __ASSEMBLER__ */
#endif
