/* SPDX-License-Identifier: MIT */
/*
 * A channel: memory that is mapped into one request VM and into its tenant's storage VM, with a
 * request ring and a reply ring. Plain fixed-width data, no code; docs/formats/ring.md has every
 * byte. Each side takes what the other wrote for a claim: the geometry is learned once and never
 * read again, an index is read once, checked and then used, a message's header is copied out
 * before it is looked at, and lengths are bounded by the ring, not by the message.
 *
 * Indices count bytes, run freely and wrap at 2^32; `tail - head` bytes are in use. A message
 * begins at a multiple of MF_RING_ALIGN and may wrap around the ring's end. One side alone writes
 * an index: the producer its tail, the consumer its head. Both rings are empty, and all indices 0,
 * when a request begins: the engine wipes the channel between requests.
 */
#ifndef MAYFLY_ABI_RING_H
#define MAYFLY_ABI_RING_H

#include <stdint.h>

#include <mayfly/abi/call.h>

#define MF_CHANNEL_MAGIC   0x4843464du /* "MFCH" */
#define MF_CHANNEL_VERSION 1

/* Where a request VM finds its channel (guest virtual address), whatever the program. */
#define MF_CHANNEL_VA 0x7e0000000000ull

#define MF_CHANNEL_HEAD_BYTES 4096u
#define MF_RING_BYTES_MIN     4096u
#define MF_RING_BYTES_DEFAULT (2u << 20)
#define MF_RING_BYTES_MAX     (64u << 20)
#define MF_RING_ALIGN         8u

/* An index alone in its cache line. */
struct mf_abi_index {
	uint32_t at;
	uint32_t reserved[15];
};
MF_ABI_ASSERT(sizeof(struct mf_abi_index) == 64, "ABI");

/*
 * The first page of a channel; the request ring's bytes follow at MF_CHANNEL_HEAD_BYTES, the reply
 * ring's at MF_CHANNEL_HEAD_BYTES + ring_bytes. A channel whose magic is 0 leads nowhere: there is
 * no storage VM.
 */
struct mf_abi_channel {
	uint32_t magic;   /* MF_CHANNEL_MAGIC */
	uint16_t version; /* MF_CHANNEL_VERSION */
	uint16_t reserved0;
	uint32_t ring_bytes; /* of each ring: a power of two */
	uint32_t poll_ns;    /* how long to look for a reply before waiting by MF_CALL_CHANNEL_WAIT;
			      * 0 where nobody else would run meanwhile */
	uint32_t lost;       /* counts up when the storage VM was started again: calls that it had
			      * begun are not answered */
	uint32_t posts;      /* 1: a small put of the key-value store need not be waited for
			      * (MF_KV_POST): what it is part of is ordered to last at its end */
	uint32_t reserved1[10];
	struct mf_abi_index request_tail; /* request VM writes */
	struct mf_abi_index request_head; /* storage VM writes */
	struct mf_abi_index reply_tail;   /* storage VM writes */
	struct mf_abi_index reply_head;   /* request VM writes */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_channel) == 320, "ABI");

/* Before every message, in both rings; `size_bytes` counts from here to the end of the payload. The
 * next message begins at the next multiple of MF_RING_ALIGN. */
struct mf_abi_message {
	uint32_t size_bytes; /* at least sizeof(struct mf_abi_message) */
	uint32_t function;   /* what is called; echoed in the reply */
	uint64_t id;         /* the caller's; echoed in the reply */
	int32_t status;      /* of a reply: 0 or a negative errno. Of a request: 0 */
	uint32_t reserved;   /* 0 */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_message) == 24, "ABI");

#endif
