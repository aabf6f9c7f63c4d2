/* SPDX-License-Identifier: MIT */
/*
 * The tour: Mayfly at work, scene by scene, on real input. Every scene runs in a process of its own
 * with a time limit; every claim that it prints was checked, and one that does not hold fails the
 * tour.
 */
#ifndef MAYFLY_DEMO_TOUR_H
#define MAYFLY_DEMO_TOUR_H

#include <stdbool.h>

#include "stanzas.h"

/* What all scenes share; nothing in it changes once the first has begun. */
struct tour {
	const char *mayfly; /* programs, by their paths */
	const char *stanza;
	const char *folder; /* the scene's own, empty at its beginning, removed after it */
	bool emulated;      /* times mean nothing, and there is little of it */
	bool wait;          /* somebody is there to press Enter */
	struct stanzas stanzas;
};

void scene_honest(const struct tour *tour);
void scene_takeover(const struct tour *tour);
void scene_many(const struct tour *tour);
void scene_table(const struct tour *tour);
void scene_import(const struct tour *tour);
void scene_crowd(const struct tour *tour);
void scene_plug(const struct tour *tour);
void scene_probes(const struct tour *tour);
void scene_visit(const struct tour *tour);

#endif
