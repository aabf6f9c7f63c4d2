/* SPDX-License-Identifier: MIT */
/*
 * Requests that behave as badly as a guest can, for the demo's crowd. None of them harms the host:
 * that is the point. Natively they run too, with limits of their own.
 *
 *	/hostile/scribble	overwrite all writable memory, this stack too, then answer
 *	/hostile/registers	fill every register that ring 3 can fill, then answer
 *	/hostile/crash		write through a null pointer
 *	/hostile/ud2		an invalid instruction
 *	/hostile/loop		never answer
 *	/hostile/memory		take memory until there is none, answer how much
 *	/hostile/descriptors	open descriptors until there are none, answer how many
 *	/hostile/ring		rewrite the channel to the store at random, answer how often
 *	/hostile/flood		call the store and read no reply, answer how often
 *
 * POST /attack/... is the same for a browser: what can answer leads back to the page, with a word
 * about what it did ("/?after=...").
 */
#ifndef MAYFLY_DEMO_HOSTILE_H
#define MAYFLY_DEMO_HOSTILE_H

#include <stdbool.h>

#include <mayfly/sdk.h>

/* Whether it asked for one of the above and a response was begun. */
bool hostile_serve(struct mf_text target, const struct mf_request *request);

#endif
