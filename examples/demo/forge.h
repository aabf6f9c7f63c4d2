/* SPDX-License-Identifier: MIT */
/*
 * What a request can do to its channel to the store when it keeps no rule. Both leave the SDK's own
 * view of the channel useless: a request that did this calls the store no more. Forged calls that
 * happen to be well-formed are calls: they go to a table of their own.
 */
#ifndef MAYFLY_DEMO_FORGE_H
#define MAYFLY_DEMO_FORGE_H

#include <stddef.h>

/* Rewrite it at random, at full speed and for a while: indices, headers, geometry, payloads, whole
 * calls. How often; 0: there is no channel. May not return: the engine ends who waits at a channel
 * that it broke. */
size_t forge_ring(void);

/* Call and call, reading no reply. How often; 0: there is no channel. */
size_t forge_flood(void);

#endif
