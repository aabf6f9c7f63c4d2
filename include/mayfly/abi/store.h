/* SPDX-License-Identifier: MIT */
/*
 * What a storage VM and the engine share, and no request VM sees: where the channels lie and how
 * each stands. Plain fixed-width data, no code; docs/formats/ring.md says how it is used. The
 * engine takes what the storage VM writes for a claim.
 */
#ifndef MAYFLY_ABI_STORE_H
#define MAYFLY_ABI_STORE_H

#include <stdint.h>

#include <mayfly/abi/place.h>
#include <mayfly/abi/ring.h>

#define MF_STORE_MAGIC   0x5453464du /* "MFST" */
#define MF_STORE_VERSION 1

/* Where a storage VM finds its control area and the channels (guest virtual addresses). */
#define MF_STORE_CONTROL_VA  0x7e0000000000ull
#define MF_STORE_CHANNELS_VA 0x7e4000000000ull

#define MF_STORE_CHANNELS_MAX 131072u /* a request VM has two: its own, and its stream */

/*
 * A channel as the storage VM knows it. It keeps its own two indices here and nowhere else, so that
 * the next storage VM goes on where one that died had been; the engine sets both to 0 when it wipes
 * the channel, which it does only while `busy` is 0.
 */
struct mf_abi_store_channel {
	uint32_t busy;         /* storage VM: 1 from before it looks into the channel until it is
				* done with it: nobody else may wipe it. Set, then fence, then the
				* bit in `active` is read again */
	uint32_t parked;       /* engine: the request VM sleeps; after a reply, fence, then look */
	uint32_t request_head; /* storage VM: index of the next request */
	uint32_t reply_tail;   /* storage VM: index of the next reply; stored before it is published
				*/
	uint32_t broken;       /* storage VM: the request VM broke the ring; not heard again */
	uint32_t wrote;        /* storage VM: MF_STORE_WROTE from before its first reply on, and
				* MF_STORE_TOOK from before the first call that has none leaves the ring:
				* there may be something to commit; the engine sets
				* it to 0 with the indices */
	/* A request's transaction; the engine sets the first three when the request begins. */
	uint32_t request; /* engine: counts the channel's requests: of a smaller one nothing counts
			   * any more, its transaction is dropped */
	uint32_t bound;   /* engine: 1: all calls are one transaction, which an order ends; 0: each
			   * call is one of its own */
	uint32_t order;   /* engine: MF_STORE_ORDER_*, once, when no call will follow */
	uint32_t pending; /* storage VM: MF_STORE_PENDING*, from before the reply of the first call
			   * that there is something to commit of */
	uint32_t verdict; /* storage VM: 1 when the order was carried out and `status` says how */
	int32_t status;   /* storage VM: 0; -EAGAIN: in conflict, nothing was done; another errno */
	uint64_t pinned;  /* engine: the snapshot (LMDB's number) that the request reads in place,
			   * whose pages must stay; 0: none */
	uint64_t version; /* engine: and the storage VM's number of what it sees, which is that and
			   * what was written since */
};

/* When an order is answered: when it is on the disk, by a sync of its own or one shared with others
 * that came within group_us; or when it is seen by others, and synced later. */
#define MF_STORE_DURABLE 0u
#define MF_STORE_GROUP   1u
#define MF_STORE_ASYNC   2u

/* Whose a store is: all request VMs'; or each has one of its own, that goes with
 * its reset: the engine drops it by a larger `request`. */
#define MF_STORE_OF_TENANT 0u
#define MF_STORE_OF_VM     1u

#define MF_STORE_ORDER_NONE   0u
#define MF_STORE_ORDER_COMMIT 1u /* apply it, or say that it is in conflict */
#define MF_STORE_ORDER_LOST                                                              \
	2u /* the program that had the transaction has died: -ECONNRESET to all calls of \
	      this request; there is no verdict */
MF_ABI_ASSERT(sizeof(struct mf_abi_store_channel) == 64, "ABI");

#define MF_STORE_WROTE 1u
#define MF_STORE_TOOK  2u

#define MF_STORE_PENDING       1u
#define MF_STORE_PENDING_ASYNC 2u /* and the verdict will wait for no disk */

/*
 * The newest snapshot, for reads in place. The storage VM makes `sequence` odd, writes, and makes
 * it even again. It keeps the pages of a snapshot that it has said here until it has said another
 * one and then found no channel pinned to it. The engine reads it, pins a channel, fences, and
 * reads it again: if it is the same, the pin holds.
 */
struct mf_abi_store_snapshot {
	uint32_t sequence;
	uint32_t page_bytes;
	uint64_t number; /* LMDB's; 0: none */
	uint64_t root;   /* the page at which the tree of tables begins; UINT64_MAX: no tables */
	uint64_t pages;  /* those of the snapshot have smaller numbers */
	/* Of what may be seen now, and is the snapshot but for keys of this filter: what was
	 * committed and is not on the disk (MF_STORE_ASYNC). */
	uint64_t version;
	uint64_t newer[MF_PLACE_NEWER_WORDS];
};
MF_ABI_ASSERT(sizeof(struct mf_abi_store_snapshot) == 552, "ABI");

#define MF_STORE_USED_BITS (1u << 18)

/* A key's bit in `used`, by its hash (place.h). */
#define MF_STORE_USED_BIT(hash) (((hash) ^ (hash) >> 15) % MF_STORE_USED_BITS)

/* The control area. Little of it changes after the start. */
struct mf_abi_store_control {
	uint32_t magic;   /* MF_STORE_MAGIC */
	uint32_t version; /* MF_STORE_VERSION */
	uint32_t channels;
	uint32_t ring_bytes;
	uint64_t window_bytes; /* channel i lies at MF_STORE_CHANNELS_VA + i * window_bytes */
	uint32_t poll_ns; /* engine: how long to look for requests before waiting; may change */
	uint32_t turns;   /* storage VM: counts up with every look over the channels and every
			   * call done: it is alive */
	uint64_t calls;   /* storage VM: answered, by all programs since the start */
	uint64_t commits; /* storage VM: likewise */
	/* The engine's, before the start. */
	uint32_t durability;  /* MF_STORE_DURABLE, _GROUP, _ASYNC: when an order is answered */
	uint32_t group_us;    /* of _GROUP: an order may wait so long for others */
	uint32_t scope;       /* MF_STORE_OF_TENANT; _OF_VM: nothing is ever committed */
	uint32_t fenced;      /* engine: 1: another engine has the folder now: -ESTALE, no more
			       * writes; may change */
	uint64_t quota_bytes; /* of what is kept; 0: none but the map's size */
	uint32_t admin;  /* engine: 1 + the channel that administrative functions are taken from
			  * (store_admin.h); 0: none */
	uint32_t evicts; /* at the quota: 1: what was not used lately goes; 0: -ENOSPC */
	/* The channels are followed by as many stream channels, in the same order: there the engine
	 * itself brings what a program sends over its connections to the store (MF_KV_STREAM). Each
	 * shares the transaction of the channel that it belongs to; its own words for that, request
	 * to status, are unused. The index of the first; 0: there are none. */
	uint32_t streams;
	/* storage VM: 1: before another of its threads waits: the one that waits for the channels
	 * is to look. The engine takes it back when no thread can run. */
	uint32_t news;
	/* storage VM: 1 while a commit is under way. Orders that come meanwhile and are
	 * MF_STORE_PENDING are not told of: when it is over (0, then a fence) there is a look at
	 * all of them. */
	uint32_t commits_now;
	uint32_t posts; /* storage VM: 1: it has MF_KV_POST. What is left in a channel when its
			 * request ends is taken before the order is carried out */
	struct mf_abi_store_snapshot snapshot; /* storage VM */
	uint32_t age_ms; /* engine: a transaction of several calls that is open for longer is
			  * dropped: -ETIMEDOUT; 0: none is */
	uint32_t empty;  /* engine: of MF_STORE_OF_VM: 1: each begins with nothing, whatever there
			  * is; 0: with what there is */
	uint64_t
		place_bytes; /* engine: of the file, that are mapped into each request VM at most */
	uint64_t hits;   /* engine: values that requests found in place, as they say; likewise */
	uint64_t misses; /* those that were not there */
	uint32_t reserved[854];
	/* engine: bit i is set while channel i may be looked into */
	uint64_t active[MF_STORE_CHANNELS_MAX / 64];
	/* both, if the store evicts: a bit for the records that were used and are to be spared;
	 * each of the two may set and take back any at any time, and neither relies on one */
	uint64_t used[MF_STORE_USED_BITS / 64];
};
MF_ABI_ASSERT(sizeof(struct mf_abi_store_control) == 4096 + 16384 + 32768, "ABI");

/* The channels follow, as many as `channels`, and those of streams. */
#define MF_STORE_CHANNEL(control, i) ((struct mf_abi_store_channel *)((control) + 1) + (i))

/* Every storage program has this function: the payload is a name, the reply the number of the
 * function (uint32_t) or -ENOENT. */
#define MF_STORE_RESOLVE 0u

/*
 * The functions of Mayfly's own storage program. A request's payload is this head, then the table's
 * name, the key and the value, without gaps. `value_bytes` is what follows the key.
 */
#define MF_KV_GET    1u /* reply: the value; -ENOENT */
#define MF_KV_PUT    2u /* number = when it expires, ms since 1970; 0: never. Reply: empty */
#define MF_KV_DELETE 3u /* reply: empty; -ENOENT */
#define MF_KV_SCAN                                                                    \
	4u /* key = prefix; number = limit; value = uint32_t, how many bytes of reply \
	      there is room for, then the key to start behind (may be empty). Reply:  \
	      for each record: mf_abi_kv_entry, key, value; whole records. -ENOBUFS:  \
	      not even one fits */
#define MF_KV_CAS                                                                       \
	5u /* number = bytes of the expected value, which comes first in the value, the \
	      new one follows; MF_KV_ABSENT: expected not to be there. -EAGAIN: it is   \
	      another, which is the reply (-ENOENT: none) */
#define MF_KV_ADD                                                                   \
	6u /* number is added (signed, wraps) to a counter that starts at 0; reply: \
	      int64_t. -EINVAL: what is there is no counter (8 bytes) */

/* Transactions. No payload, or as said; the reply is empty. */
#define MF_KV_BEGIN    7u /* what follows is one transaction. -EALREADY: it is */
#define MF_KV_COMMIT   8u /* commit it so far. -EAGAIN: in conflict, nothing was done */
#define MF_KV_ROLLBACK 9u /* forget it */
#define MF_KV_DURABILITY                                                           \
	10u /* uint32_t, MF_STORE_DURABLE...: of this transaction; of several that \
	       are asked for in one the strongest */

#define MF_KV_PUT_PART                                                               \
	11u /* a value in parts, in order; number = offset; value = mf_abi_kv_whole, \
	       then the part's bytes. It is put with the last one */
#define MF_KV_GET_PART                                                                           \
	12u               /* number = offset; value = uint32_t, how many bytes of reply there is \
			     room for. Reply: mf_abi_kv_whole, then bytes of the value from there */
#define MF_KV_EXPIRE  13u /* number = when, as of PUT. -ENOENT */
#define MF_KV_EXPIRES 14u /* reply: uint64_t, as it was given. -ENOENT */
#define MF_KV_RANGE                                                                \
	15u /* key = begin (may be empty); number = limit, with MF_KV_REVERSE from \
	       the end; value = uint32_t as of SCAN, then the end (may be empty).  \
	       Reply: as of SCAN */
#define MF_KV_BATCH                                                                              \
	16u            /* calls in one: mf_abi_kv_one, payload; the next at a multiple of 8. The \
			  functions that read and write one key, and SCAN and RANGE. Reply: in   \
			  their order, alike. One that fails takes no other along. -ENOBUFS: the \
			  replies do not fit, and nothing was done */
#define MF_KV_STAT 17u /* no payload; reply: mf_abi_kv_stat, one a figure */
#define MF_KV_POST                                                                           \
	18u /* as PUT, of a request's transaction, at most MF_KV_POST_MAX_BYTES of value.    \
	       There is no reply: where it fails, all that follows does with the same errno, \
	       the commit, too */

/*
 * Of stream channels alone. A program's connection to the store has sent bytes, has room for some,
 * or is gone. Request and reply are this head, then bytes of the connection; one request of a
 * connection at a time.
 */
#define MF_KV_STREAM 32u

struct mf_abi_stream {
	uint32_t connection; /* below MF_STREAM_CONNECTIONS; the message's id, too */
	uint32_t flags;      /* MF_STREAM_* */
	uint32_t room;       /* of a request: bytes that the reply may bring */
	uint32_t state;      /* the storage program's: what it said last of the connection, 0 at
			      * first. All that it knows of one that is FIRST */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_stream) == 16, "ABI");

#define MF_STREAM_CONNECTIONS 64u
#define MF_STREAM_BYTES_MAX   65536u /* of a connection in one message */

#define MF_STREAM_FIRST     1u /* request: the first of this connection in this request */
#define MF_STREAM_GONE      2u /* request: the program has closed it; forget it */
#define MF_STREAM_READ_ONLY 4u /* request: the program is at its start, and must not write */
#define MF_STREAM_MORE      1u /* reply: there is more to come; send nothing but room until it has */
#define MF_STREAM_CLOSE     2u /* reply: close it when these bytes are taken */

#define MF_KV_ABSENT  UINT64_MAX
#define MF_KV_REVERSE (1ull << 63)

#define MF_KV_TABLE_MAX_BYTES 63u
#define MF_KV_KEY_MAX_BYTES   511u
#define MF_KV_VALUE_MAX_BYTES (64u << 20)
#define MF_KV_PART_MAX_BYTES  (1u << 20) /* of a value in one message */
#define MF_KV_POST_MAX_BYTES  4096u
#define MF_KV_SCAN_MAX        10000u

struct mf_abi_kv {
	uint16_t table_bytes; /* 1..MF_KV_TABLE_MAX_BYTES */
	uint16_t key_bytes;   /* 1..MF_KV_KEY_MAX_BYTES; of a prefix 0.. */
	uint32_t value_bytes;
	uint64_t number;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_kv) == 16, "ABI");

struct mf_abi_kv_entry {
	uint32_t key_bytes;
	uint32_t value_bytes;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_kv_entry) == 8, "ABI");

/* Before a part of a value. */
struct mf_abi_kv_whole {
	uint64_t bytes;      /* of all of the value */
	uint64_t expires_ms; /* as of PUT */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_kv_whole) == 16, "ABI");

/* A call of a batch, or its reply. */
struct mf_abi_kv_one {
	uint32_t function;
	uint32_t bytes; /* that follow */
	int32_t status; /* of a reply */
	uint32_t reserved;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_kv_one) == 16, "ABI");

struct mf_abi_kv_stat {
	char name[120]; /* ends with a zero */
	uint64_t value;
};
MF_ABI_ASSERT(sizeof(struct mf_abi_kv_stat) == 128, "ABI");

#endif
