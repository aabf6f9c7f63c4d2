/* SPDX-License-Identifier: MIT */
/* What an attack changes in its VM, and what of that is left after the reset: counted in the
 * engine. */
#ifndef MAYFLY_DEMO_ANATOMY_H
#define MAYFLY_DEMO_ANATOMY_H

#include <stdbool.h>
#include <stddef.h>

#include "tour.h"

enum attack { ATTACK_STEAL, ATTACK_PLANT };

/* The body of such a request; the caller frees it, after failure too. */
bool attack_body(const struct tour *tour, enum attack attack, char **body, size_t *length);

/* A table of attacks with a claim about each. Confines the process: see lab.h. */
void anatomy_show(const struct tour *tour, const char *secret);

#endif
