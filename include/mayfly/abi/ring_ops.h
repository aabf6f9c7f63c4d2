/* SPDX-License-Identifier: MIT */
/*
 * The rings of a channel at work: one producer, one consumer, messages of bytes. The one
 * implementation, for guests, the engine and tests; it calls nothing but memcpy. No waiting: who
 * finds nothing, or no room, decides itself how to wait.
 *
 * A view (`struct mf_ring`) is one side's private knowledge of one ring; it never lies in shared
 * memory. What the peer can write is believed as little as possible: this side's own index is kept
 * here and only ever stored, the peer's is read once and checked, a header is copied out with one
 * read of each word and checked. No call loops on what the peer writes, so each ends. A peer that
 * broke the rules is not heard again: every later call on the view says -EPROTO. A view is used by
 * one thread at a time and is good for one life of the channel, from its wipe to the next.
 */
#ifndef MAYFLY_ABI_RING_OPS_H
#define MAYFLY_ABI_RING_OPS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <mayfly/abi/barrier.h>
#include <mayfly/abi/ring.h>

/* One side's view of one ring. */
struct mf_ring {
	uint8_t *bytes; /* shared */
	uint32_t mask;  /* ring_bytes - 1 */
	uint32_t *tail; /* shared; the producer stores it */
	uint32_t *head; /* shared; the consumer stores it */
	uint32_t mine;  /* this side's index */
	uint32_t seen;  /* the peer's index when it was last read; it passed the checks */
	bool broken;    /* the peer broke the rules */
};

/* A part of a payload. */
struct mf_piece {
	const void *at;
	uint32_t bytes;
};

/*
 * A view of an empty ring whose two indices are 0. `bytes` is aligned to MF_RING_ALIGN and has
 * ring_bytes, a power of two of at least MF_RING_ALIGN. Nothing is read or written.
 */
static inline void mf_ring_init(struct mf_ring *ring, void *bytes, uint32_t ring_bytes,
				struct mf_abi_index *tail, struct mf_abi_index *head)
{
	ring->bytes = (uint8_t *)bytes;
	ring->mask = ring_bytes - 1;
	ring->tail = &tail->at;
	ring->head = &head->at;
	ring->mine = 0;
	ring->seen = 0;
	ring->broken = false;
}

/* Whether rings can have this size; the one place that knows. */
static inline bool mf_ring_size_is_valid(uint32_t ring_bytes)
{
	return ring_bytes >= MF_RING_BYTES_MIN && ring_bytes <= MF_RING_BYTES_MAX &&
	       !(ring_bytes & (ring_bytes - 1));
}

/* Bytes of a channel with two such rings. */
static inline size_t mf_channel_bytes(uint32_t ring_bytes)
{
	return MF_CHANNEL_HEAD_BYTES + 2 * (size_t)ring_bytes;
}

/*
 * Views of both rings of a freshly formatted channel, for either side: the request VM puts into
 * `requests` and takes from `replies`, the storage VM the other way round. The geometry is read
 * here, once. `window` is aligned to a page. Returns 0; -ENXIO: no channel is here (magic);
 * -EPROTO: another version, or a geometry that is not valid or does not fit window_bytes. The views
 * are unchanged on failure.
 */
static inline int mf_channel_open(void *window, size_t window_bytes, struct mf_ring *requests,
				  struct mf_ring *replies)
{
	struct mf_abi_channel *channel = (struct mf_abi_channel *)window;
	uint8_t *bytes = (uint8_t *)window + MF_CHANNEL_HEAD_BYTES;
	uint32_t ring_bytes;

	if (window_bytes < sizeof(*channel) || mf_load_acquire(&channel->magic) != MF_CHANNEL_MAGIC)
		return -ENXIO;
	if (__atomic_load_n(&channel->version, __ATOMIC_RELAXED) != MF_CHANNEL_VERSION)
		return -EPROTO;
	ring_bytes = __atomic_load_n(&channel->ring_bytes, __ATOMIC_RELAXED);
	if (!mf_ring_size_is_valid(ring_bytes) || mf_channel_bytes(ring_bytes) > window_bytes)
		return -EPROTO;
	mf_ring_init(requests, bytes, ring_bytes, &channel->request_tail, &channel->request_head);
	mf_ring_init(replies, bytes + ring_bytes, ring_bytes, &channel->reply_tail,
		     &channel->reply_head);
	return 0;
}

/* Bytes that a message of so many takes in a ring. */
static inline uint32_t mf_ring_padded(uint32_t size_bytes)
{
	return (size_bytes + MF_RING_ALIGN - 1) & ~(MF_RING_ALIGN - 1);
}

/* Payload bytes of the largest message that an empty ring takes. */
static inline uint32_t mf_ring_payload_max(const struct mf_ring *ring)
{
	return ring->mask + 1 - (uint32_t)sizeof(struct mf_abi_message);
}

/* How many of `bytes` lie before the ring's end when the first is at index `at`. */
static inline uint32_t mf_ring_before_end(const struct mf_ring *ring, uint32_t at, uint32_t bytes)
{
	uint32_t before = ring->mask + 1 - (at & ring->mask);

	return before < bytes ? before : bytes;
}

/* Into the ring at an index, at most ring_bytes. Returns the index after it. */
static inline uint32_t mf_ring_copy_in(const struct mf_ring *ring, uint32_t at, const void *from,
				       uint32_t bytes)
{
	uint32_t before = mf_ring_before_end(ring, at, bytes);

	if (before)
		memcpy(ring->bytes + (at & ring->mask), from, before);
	if (before < bytes)
		memcpy(ring->bytes, (const uint8_t *)from + before, bytes - before);
	return at + bytes;
}

/* The producer's look at the head. It never moves back, so what is in use only becomes less. */
static inline int mf_ring_look_at_head(struct mf_ring *ring)
{
	/* Pairs with the store in mf_ring_next: the consumer has done with what lies before. */
	uint32_t head = mf_load_acquire(ring->head);

	if (ring->mine - head > ring->mine - ring->seen || head % MF_RING_ALIGN)
		ring->broken = true;
	else
		ring->seen = head;
	return ring->broken ? -EPROTO : 0;
}

/* The consumer's look at the tail, when it has consumed all that it had seen. */
static inline int mf_ring_look_at_tail(struct mf_ring *ring)
{
	/* Pairs with the store in mf_ring_put: the messages before it are whole. */
	uint32_t tail = mf_load_acquire(ring->tail);

	if (tail - ring->mine > ring->mask + 1 || tail % MF_RING_ALIGN)
		ring->broken = true;
	else
		ring->seen = tail;
	return ring->broken ? -EPROTO : 0;
}

/* The producer: 0 when `bytes` have room now. -EAGAIN, -EPROTO. */
static inline int mf_ring_make_room(struct mf_ring *ring, uint32_t bytes)
{
	uint32_t most = ring->mask + 1 - bytes; /* that may be in use */

	if (ring->mine - ring->seen <= most)
		return 0;
	if (mf_ring_look_at_head(ring))
		return -EPROTO;
	return ring->mine - ring->seen <= most ? 0 : -EAGAIN;
}

/*
 * Producer: put a whole message; its payload is the pieces one after another, copied here (a piece
 * without bytes may have no address). Padding is written as zeros. Returns 0 when it is
 * visible to the consumer; -EAGAIN: no room now; -EMSGSIZE: it never fits this ring; -EPROTO: the
 * consumer broke the ring. Nothing is put on failure.
 */
static inline int mf_ring_put(struct mf_ring *ring, uint32_t function, uint64_t id, int32_t status,
			      const struct mf_piece *pieces, unsigned int count)
{
	static const uint8_t zeros[MF_RING_ALIGN] = {0};
	struct mf_abi_message message;
	uint64_t size = sizeof(message);
	uint32_t at = ring->mine;
	unsigned int i;
	int ret;

	if (ring->broken)
		return -EPROTO;
	for (i = 0; i < count; i++)
		size += pieces[i].bytes;
	if (size > (uint64_t)ring->mask + 1)
		return -EMSGSIZE;
	ret = mf_ring_make_room(ring, mf_ring_padded((uint32_t)size));
	if (ret)
		return ret;
	message.size_bytes = (uint32_t)size;
	message.function = function;
	message.id = id;
	message.status = status;
	message.reserved = 0;
	at = mf_ring_copy_in(ring, at, &message, sizeof(message));
	for (i = 0; i < count; i++)
		at = mf_ring_copy_in(ring, at, pieces[i].at, pieces[i].bytes);
	ring->mine = mf_ring_copy_in(ring, at, zeros, mf_ring_padded(at) - at);
	mf_store_release(ring->tail, ring->mine);
	return 0;
}

/* One read of an aligned word of the ring: the compiler may not come back for it. */
static inline uint64_t mf_ring_word(const struct mf_ring *ring, uint32_t at)
{
	return __atomic_load_n((const uint64_t *)(const void *)(ring->bytes + (at & ring->mask)),
			       __ATOMIC_RELAXED);
}

/*
 * Consumer: look at the next message. Its header is copied to `copy` in one read and is safe to
 * use: the size is at least the header's and at most what is in use. Returns 1; 0: there is none;
 * -EPROTO: the producer broke the ring. `copy` means nothing unless 1 is returned. Looking again
 * before mf_ring_next reads the header again, which the peer may have changed.
 */
static inline int mf_ring_peek(struct mf_ring *ring, struct mf_abi_message *copy)
{
	uint64_t words[3];

	if (ring->broken)
		return -EPROTO;
	if (ring->seen == ring->mine && mf_ring_look_at_tail(ring))
		return -EPROTO;
	if (ring->seen == ring->mine)
		return 0;
	words[0] = mf_ring_word(ring, ring->mine);
	words[1] = mf_ring_word(ring, ring->mine + 8);
	words[2] = mf_ring_word(ring, ring->mine + 16);
	memcpy(copy, words, sizeof(*copy));
	if (copy->size_bytes >= sizeof(*copy) && copy->size_bytes <= ring->seen - ring->mine)
		return 1;
	ring->broken = true;
	return -EPROTO;
}

/*
 * Consumer: copy payload bytes [offset, offset + bytes) of the message that mf_ring_peek returned
 * to the caller's own memory; what was copied does not change any more. The caller keeps
 * sizeof(struct mf_abi_message) + offset + bytes within the size_bytes of its copy.
 */
static inline void mf_ring_read(const struct mf_ring *ring, uint32_t offset, void *to,
				uint32_t bytes)
{
	uint32_t at = ring->mine + (uint32_t)sizeof(struct mf_abi_message) + offset;
	uint32_t before = mf_ring_before_end(ring, at, bytes);

	if (before)
		memcpy(to, ring->bytes + (at & ring->mask), before);
	if (before < bytes)
		memcpy((uint8_t *)to + before, ring->bytes, bytes - before);
	/* The ring may be another after this: the compiler must use the copy, not read twice. */
	__asm__ volatile("" : : "r"(to) : "memory");
}

/*
 * Consumer: done with the message that mf_ring_peek returned; its bytes are the producer's again.
 * `size_bytes` is that of the caller's copy.
 */
static inline void mf_ring_next(struct mf_ring *ring, uint32_t size_bytes)
{
	ring->mine += mf_ring_padded(size_bytes);
	mf_store_release(ring->head, ring->mine);
}

#endif
