/* SPDX-License-Identifier: MIT */
/*
 * Every option of every verb, and every key of the configuration file, as one table (table.c): its
 * name, value, help, default, bounds, and where its value goes. Flags (parse.c), the file (file.c),
 * help, manual pages and shell completion (generate.c) all read it; a new option is a new row.
 */
#ifndef MF_CONFIG_OPTION_H
#define MF_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/error.h>

struct mf_values;

/* Where an option may stand. */
enum mf_place {
	MF_IN_RUN = 1u << 0, /* flags of these verbs */
	MF_IN_SERVE = 1u << 1,
	MF_IN_IMAGE = 1u << 2,
	MF_IN_CTL = 1u << 3,
	MF_IN_STAT = 1u << 4,
	MF_IN_CONFIG = 1u << 5,
	MF_IN_DAEMON = 1u << 6, /* flags of mayflyd */
	MF_IN_FILE = 1u << 7,   /* the configuration file, at its top */
	MF_IN_TENANT = 1u << 8, /* the configuration file, in a tenant */
	MF_IN_DOCTOR = 1u << 11,
	MF_IN_STORE = 1u << 12,
	MF_IN_TOP = 1u << 14,
	MF_IN_BENCH_HOST = 1u << 20,
	MF_IN_BENCH_COMPARE = 1u << 21,
	MF_OF_ROUTER = 1u << 10, /* a tenant's engine has no part in it */
	MF_LIVE = 1u << 13,      /* an engine that runs takes another value */
	MF_UNLISTED = 1u << 9,   /* in no help: a program gives it, no person */
};

struct mf_option {
	const char *name;
	const char *value;   /* as help shows it: "SIZE"; "[=PATHS]" may be left out; NULL: none */
	const char *initial; /* its default as one would write it; NULL: none */
	const char *help;
	const char *more; /* for the manual, behind help; NULL: nothing */
	unsigned int places;
	/* -EINVAL with a sentence that begins with "--NAME"; a list is given one value at a time.
	 */
	int (*take)(struct mf_values *values, const struct mf_option *option, const char *value,
		    struct mf_error *err);
	size_t field; /* in struct mf_values, if `take` needs it */
	uint64_t min;
	uint64_t max;
	const char *const *words; /* that the value may be; NULL-ended; NULL: anything */
	char letter;              /* its short form, or 0 */
	bool list;                /* may be given more than once */
	const char *fixed; /* what an image file in PROG's place has of it already, so that it is
			      refused; NULL: nothing */
};

extern const struct mf_option mf_options[]; /* ends with a NULL name */

/* The option of that name in that place, or NULL. */
const struct mf_option *mf_option_find(const char *name, unsigned int place);

/* The name in that place that is most like this one, or NULL when none is. */
const char *mf_option_suggest(const char *name, unsigned int place);

/* Its value may be left out: "[=PATHS]". */
bool mf_option_may_miss(const struct mf_option *option);

#endif
