/* SPDX-License-Identifier: MIT */
/*
 * The tour's input: every package of this machine, as dpkg describes it, beside what the guest
 * program's own code (control.c) makes of it natively.
 */
#ifndef MAYFLY_DEMO_STANZAS_H
#define MAYFLY_DEMO_STANZAS_H

#include "../control.h"

#define STANZAS_FILE "/var/lib/dpkg/status"

struct stanza {
	struct control_span text;
	char *name; /* owned: "PACKAGE", or as dpkg says, "PACKAGE:ARCH" where there may be several
		     */
	char *json; /* owned */
	size_t json_length;
};

struct stanzas {
	char *text; /* owned: the whole file */
	struct stanza *list;
	size_t count;
	size_t bytes;
	const char *source; /* for people */
};

/* A machine without dpkg gets made-up packages, one a program in /usr/bin. -errno, nothing left
 * behind. */
int stanzas_load(struct stanzas *stanzas);
void stanzas_finish(struct stanzas *stanzas);

#endif
