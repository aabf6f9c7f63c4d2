/* SPDX-License-Identifier: MIT */
/*
 * What a request VM has mapped of its tenant's store, for reading in place. Pieces are added as the
 * file grows; none is ever replaced: a VM that has another file than the store is given up.
 */
#ifndef MF_REQUEST_VM_PLACE_H
#define MF_REQUEST_VM_PLACE_H

#include "engine/mem/mem.h"
#include "ipc/ring/peer.h"

struct mf_place {
	unsigned int pieces;      /* that are open */
	unsigned int room;        /* that the image has a place for */
	struct mf_peer_file file; /* .bytes: of the open pieces */
	bool failed;              /* no more of it can be mapped */
};

/* A new VM: nothing is mapped. */
void mf_place_init(struct mf_place *place, const struct mf_mem *mem, struct mf_peer *peer,
		   unsigned int channel);

/* A request is about to begin: map what has come. Of no use is no failure: the ring does it all. */
void mf_place_grow(struct mf_place *place, struct mf_mem *mem, struct mf_peer *peer,
		   unsigned int channel);

/* Has it another file than the store has now? */
bool mf_place_is_stale(const struct mf_place *place, struct mf_peer *peer);

#endif
