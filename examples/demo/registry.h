/* SPDX-License-Identifier: MIT */
/*
 * What lasts beside the demo's requests: package stanzas and a counter of visits, in the store of
 * `mayfly serve --store`. Every request checks what it was sent before it is kept.
 *
 *	PUT /package/NAME	keep the body, the stanza of that package; 204 once it is on the
 *disk GET /package/NAME	the same bytes; 404
 *
 * NAME is the stanza's Package field, or that and ":ARCH" where one package is there twice.
 */
#ifndef MAYFLY_DEMO_REGISTRY_H
#define MAYFLY_DEMO_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/sdk.h>

/* Whether the target was one of the above and a response was begun. */
bool registry_serve(const struct mf_request *request, struct mf_text target);

/* Count one more visit; 0 and how many there were, -ENOTCONN without a store, -errno. */
int registry_visit(int64_t *visits);

/* Call `each` with the names of the first packages, at most `most` of them. 0 or -errno. */
int registry_list(unsigned int most, void (*each)(struct mf_text name, void *arg), void *arg);

#endif
