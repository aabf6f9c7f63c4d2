/* SPDX-License-Identifier: MIT */
/*
 * The other end of the channels, as the request role sees it: what it calls when a request begins,
 * waits, goes away and is over. The storage role provides it; neither knows the other. Channels are
 * numbered like the request VMs. All of it may be called from any worker's thread, one at a time a
 * channel.
 */
#ifndef MF_IPC_RING_PEER_H
#define MF_IPC_RING_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_watch; /* engine/image/watchdog.h: of the calling thread */

enum mf_peer_state {
	MF_PEER_GO_ON,  /* look again: a reply is there, or the peer was started anew */
	MF_PEER_PARKED, /* wake() will be called */
	MF_PEER_BROKEN, /* the ring's rules were broken: this request gets no answer any more */
};

/* Somebody who waits at a channel; embedded in the caller's. Zeroed at first. */
struct mf_waiter {
	void (*wake)(struct mf_waiter *waiter); /* from any thread; must not call the peer */
	unsigned int channel;
	bool commits; /* for the verdict on its order, not for a reply; the peer's */
	bool waits;   /* the peer's */
	struct mf_waiter *next;
};

/* Where the engine itself speaks to the peer for a request VM: a channel of its own, which is open
 * (mayfly/abi/ring_ops.h) and which no request VM has. */
struct mf_peer_stream {
	void *window;
	size_t window_bytes;
	unsigned int channel; /* for a waiter */
};

/* A file of the peer's that request VMs may have mapped, for reading in place. */
struct mf_peer_file {
	unsigned int number; /* another file, another number; 0: there is none */
	uint64_t bytes;      /* that it has now, about; at most what is to be mapped */
};

struct mf_peer {
	/* What the channel's window is mapped from, for the VM that has it. */
	void (*window)(struct mf_peer *peer, unsigned int channel, int *fd, uint64_t *offset);
	/* Is the store another engine's by now? No request is to begin then. */
	bool (*is_fenced)(struct mf_peer *peer);
	/* A request begins: the channel, empty, may be used. `bound`: all its calls are one
	 * transaction, which nothing but commit() makes last. */
	void (*begin)(struct mf_peer *peer, unsigned int channel, bool bound);
	/* What may be read in place now. */
	struct mf_peer_file (*file)(struct mf_peer *peer);
	/* The same file, open for reading, for the caller to close. -ESTALE: it is another one by
	 * now; another errno. */
	int (*open_file)(struct mf_peer *peer, unsigned int number);
	/* So much of a file the channel's VM has mapped, from the next begin() or renew() on. */
	void (*mapped)(struct mf_peer *peer, unsigned int channel, const struct mf_peer_file *file);
	/* What the VM wrote goes with it: of a store that is each VM's own, where it does not go
	 * with the request. After end(). */
	void (*forget)(struct mf_peer *peer, unsigned int channel);
	/* The request goes on with a new transaction; what was not committed of the last one is
	 * dropped. */
	void (*renew)(struct mf_peer *peer, unsigned int channel, bool bound);
	/* Would a commit do anything? */
	bool (*is_pending)(struct mf_peer *peer, unsigned int channel);
	/* The request VM has nothing to do before a reply comes. May run the peer on this thread,
	 * for a slice at most; not when it has no watch. */
	enum mf_peer_state (*wait)(struct mf_peer *peer, struct mf_waiter *waiter,
				   struct mf_watch *watch);
	/*
	 * Order the transaction to be committed, once, when no call will follow; called again after
	 * each wake(), as wait() is. MF_PEER_GO_ON: *status is 0 (done); -EAGAIN (nothing was done:
	 * another one came first, or the peer died before the order); -ECONNRESET (the peer died
	 * meanwhile: it may or may not be done); or another errno (nothing was done).
	 * MF_PEER_BROKEN: nothing was done either.
	 */
	enum mf_peer_state (*commit)(struct mf_peer *peer, struct mf_waiter *waiter,
				     struct mf_watch *watch, int *status);
	/* The stream of a channel that has begun; end() is its end, too. False: there is none. */
	bool (*stream)(struct mf_peer *peer, unsigned int channel, struct mf_peer_stream *stream);
	/* Waits no more: wake() is not called after this. Nothing when it does not wait. */
	void (*cancel)(struct mf_peer *peer, struct mf_waiter *waiter);
	/*
	 * The request is over and its VM stands: nothing of it may be left in the channel. 0: done;
	 * -EBUSY: the peer is still at a call or a commit of it, ask again soon; another errno: the
	 * channel is lost, and this VM with it. `faulted`: the VM has met a page fault since
	 * begin().
	 */
	int (*end)(struct mf_peer *peer, unsigned int channel, bool faulted);
};

#endif
