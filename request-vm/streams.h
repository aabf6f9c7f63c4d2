/* SPDX-License-Identifier: MIT */
/*
 * A program's connections to its store (engine/linux/connection.h): their bytes are brought to the
 * storage VM over the stream of the VM's channel, and what it answers is brought back. Nothing here
 * looks at what the bytes say. One call of a connection is on its way at a time, so that neither
 * side ever holds more of it than there is room for. Used by who runs the VM, between runs.
 */
#ifndef MF_REQUEST_VM_STREAMS_H
#define MF_REQUEST_VM_STREAMS_H

#include <mayfly/abi/ring_ops.h>

#include "engine/linux/connection.h"
#include "ipc/ring/peer.h"

struct mf_streams {
	struct mf_peer *peer; /* NULL: there is no store */
	unsigned int channel;
	bool read_only; /* the program is at its start */
	/* its own */
	struct mf_waiter waiter;
	bool open; /* the stream is */
	struct mf_abi_channel *window;
	uint32_t lost;
	struct mf_ring requests;
	struct mf_ring replies;
	/* connections, a bit each by number */
	uint64_t known;   /* the storage VM knows them */
	uint64_t asked;   /* a call of theirs is on its way */
	uint64_t leaving; /* and it says that they are gone */
	uint64_t more;    /* the storage VM has more for them */
	uint64_t last;    /* the storage VM has ended them */
	uint64_t stale;   /* a call of theirs is on its way of an earlier transaction */
};

/* `wake` is called from any thread when move() may do something again. */
void mf_streams_init(struct mf_streams *streams, struct mf_peer *peer, unsigned int channel,
		     void (*wake)(struct mf_waiter *waiter));

/* Move bytes as far as they go; may run the storage VM on this thread. True: the program may go on
 * with something. */
bool mf_streams_move(struct mf_streams *streams, struct mf_process *process,
		     struct mf_watch *watch);

/* Is the storage VM still at a call of these connections? wake() comes. */
static inline bool mf_streams_wait(const struct mf_streams *streams)
{
	return streams->asked != 0;
}

/* What follows is another transaction: the connections are new to the storage VM. */
void mf_streams_renew(struct mf_streams *streams);

/* The request is over: before the peer's end() of the channel. The connections stay, and are new to
 * the storage VM with the next request. */
void mf_streams_end(struct mf_streams *streams);

#endif
