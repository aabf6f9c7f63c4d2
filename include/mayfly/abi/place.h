/* SPDX-License-Identifier: MIT */
/*
 * Reads in place: the store's data file, mapped read-only into the request VMs of its tenant, and
 * what a request is told about it in its channel's header page. Plain fixed-width data, and what
 * both sides compute alike; docs/formats/ring.md has every byte. The file is an LMDB
 * database; what a request may read of it is one snapshot, which nobody changes as long as the
 * request is pinned to it.
 */
#ifndef MAYFLY_ABI_PLACE_H
#define MAYFLY_ABI_PLACE_H

#include <mayfly/abi/ring.h>

/* Where a request VM finds the file's first byte (guest virtual address), as far as it is mapped.
 */
#define MF_PLACE_VA 0x7e8000000000ull

/* The file is mapped in pieces, more of them as it grows: of 4 MiB the first, and each further one
 * doubles what is mapped. */
#define MF_PLACE_FIRST_BYTES (4ull << 20)
#define MF_PLACE_PIECES      13u /* 16 GiB */

/* Where piece i begins, and how long it is. */
#define MF_PLACE_PIECE_AT(i)    ((i) ? MF_PLACE_FIRST_BYTES << ((i)-1) : 0)
#define MF_PLACE_PIECE_BYTES(i) (MF_PLACE_FIRST_BYTES << ((i) ? (i)-1 : 0))

/* So much of the kernel's memory a mapped piece costs in each VM, about: KVM keeps it for a slot.
 */
#define MF_PLACE_KERNEL_BYTES(bytes) ((bytes) / (1u << 20) * 2560u)

/* How many pieces so many bytes of the file take. */
static inline unsigned int mf_place_pieces(uint64_t bytes)
{
	unsigned int pieces = 0;

	while (pieces < MF_PLACE_PIECES && MF_PLACE_PIECE_AT(pieces) < bytes)
		pieces++;
	return pieces;
}

/* Where it lies in the channel's window. */
#define MF_PLACE_OFFSET    512u
#define MF_PLACE_KNOWN     64u
#define MF_PLACE_USED      63u
#define MF_PLACE_LOG_BYTES 2628u
/* Of `newer`, a Bloom filter of two bits a key. */
#define MF_PLACE_NEWER_BITS  4096u
#define MF_PLACE_NEWER_WORDS (MF_PLACE_NEWER_BITS / 64)

/* `state` */
#define MF_PLACE_NONE 0u /* nothing of this transaction may be read in place */
#define MF_PLACE_OPEN 1u
#define MF_PLACE_PAST 2u /* no more: it may have written what it would have to see */
#define MF_PLACE_LOST 3u /* the storage VM has died: this transaction cannot go on */

#define MF_PLACE_LOG_ALL UINT32_MAX

struct mf_abi_place {
	/* the engine's */
	uint32_t state;    /* changes at any time */
	uint32_t number;   /* of the transaction: another one is another number */
	uint64_t snapshot; /* LMDB's number of it */
	uint64_t root;     /* the page at which the tree of tables begins; UINT64_MAX: no tables */
	uint64_t pages;    /* pages of the snapshot have smaller numbers */
	uint64_t bytes;    /* of the file that are mapped */
	uint32_t page_bytes; /* of one page */
	uint32_t counts;     /* 1: what is found is to be told in `used` */
	/* Keys that were written since the snapshot, and that the request may see; and others.
	 */
	uint64_t newer[MF_PLACE_NEWER_WORDS];
	/* The request VM's: what it has read in place. */
	uint32_t log_bytes; /* in use of log; MF_PLACE_LOG_ALL: everything counts as read */
	uint32_t hits;      /* values that were found in place */
	uint32_t misses;    /* and those that were not there */
	uint32_t used_count;
	uint32_t used[MF_PLACE_USED];   /* hashes of keys whose values were found in place */
	uint16_t known[MF_PLACE_KNOWN]; /* a hash of what was logged: 1 + where its entry lies */
	/* For each key: uint16_t, its bytes; the table's name, a zero, the key. */
	uint8_t log[MF_PLACE_LOG_BYTES];
};
MF_ABI_ASSERT(sizeof(struct mf_abi_place) == 3584, "ABI");
MF_ABI_ASSERT(MF_PLACE_OFFSET + sizeof(struct mf_abi_place) <= MF_CHANNEL_HEAD_BYTES, "ABI");

/* FNV-1a of a full key: a table's name, a zero, the key; in parts, the first one's hash is
 * MF_PLACE_HASH. */
#define MF_PLACE_HASH 2166136261u

static inline uint32_t mf_place_hash(uint32_t hash, const void *data, uint64_t bytes)
{
	const uint8_t *at = (const uint8_t *)data;

	for (uint64_t i = 0; i < bytes; i++)
		hash = (hash ^ at[i]) * 16777619u;
	return hash;
}

/* A key's two bits in `newer`. */
#define MF_PLACE_NEWER_FIRST(hash)  (((hash) ^ (hash) >> 15) % MF_PLACE_NEWER_BITS)
#define MF_PLACE_NEWER_SECOND(hash) ((hash) >> 20)

#endif
