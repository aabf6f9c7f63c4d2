/* SPDX-License-Identifier: MIT */
/* Several clients that do the same with all stanzas, each stanza once. */
#ifndef MAYFLY_DEMO_CREW_H
#define MAYFLY_DEMO_CREW_H

#include "client.h"
#include "tour.h"

#define CREW_CLIENTS 4

/* Every so manieth stanza. */
#define CREW_STEP(tour) ((tour)->emulated ? 12u : 1u)

struct crew {
	const struct tour *tour;
	uint16_t port;
	const char *what; /* is being done, for people */
	bool (*ask)(struct client *client, const struct stanza *stanza); /* false: wrong */
	/* what came of it */
	size_t done;
	size_t wrong;
	size_t bytes; /* of the stanzas that went well */
	uint64_t ns;
};

/* How many stanzas that is, and do it. */
size_t crew_count(const struct tour *tour);
void crew_work(struct crew *crew);

#endif
