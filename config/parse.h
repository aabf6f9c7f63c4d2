/* SPDX-License-Identifier: MIT */
/* Command lines, by the table of options; and the help of a verb. */
#ifndef MF_CONFIG_PARSE_H
#define MF_CONFIG_PARSE_H

#include <stdio.h>

#include "config/option.h"
#include "config/values.h"

/* What a verb is called and does, in words; its options are those of its place. */
struct mf_verb {
	const char *name;  /* "serve", "image build" */
	const char *usage; /* lines behind "usage: " */
	const char *intro;
	const char *outro;
	const char *words; /* what may stand behind it, for completion; NULL: files */
	unsigned int place;
	bool anywhere; /* options may stand behind other words, too */
};

extern const struct mf_verb mf_verb_texts[]; /* ends with a NULL name */

/* The texts of a verb; never NULL for one that is in the table. */
const struct mf_verb *mf_verb_find(const char *name);

/*
 * Take the flags of a command line (getopt_long's optind is behind them afterwards). argv[0] is the
 * verb. Stops at --help. -EINVAL with a sentence.
 */
int mf_parse_flags(const struct mf_verb *verb, int argc, char **argv, struct mf_values *values,
		   struct mf_error *err);

void mf_print_help(const struct mf_verb *verb, FILE *out);

#endif
