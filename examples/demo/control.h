/* SPDX-License-Identifier: MIT */
/*
 * One stanza of a Debian control file ("Name: value" fields with continuation lines and comments)
 * and its form as JSON. Pure functions over the caller's memory: nothing is allocated, nothing is
 * kept, equal bytes in give equal bytes out. Any byte may stand anywhere.
 *
 * What a stanza is: field lines, each followed by continuation lines that begin with a space or a
 * tab; lines that begin with '#' are comments, also between continuation lines; empty lines (or
 * only blanks) may stand before and after it, and a second stanza is an error. A field name is of
 * the bytes 33 to 126 without ':', does not begin with '#' or '-', and stands once, case ignored.
 *
 * The value: each line without the blanks at its end; the first line without those at its
 * beginning too, the others without their first byte; joined by "\n".
 */
#ifndef MAYFLY_DEMO_CONTROL_H
#define MAYFLY_DEMO_CONTROL_H

#include <stddef.h>

#define CONTROL_MAX_FIELDS 256

struct control_span {
	const char *data;
	size_t length;
};

struct control_field {
	struct control_span name;
	struct control_span value; /* as it stands in the text, all lines of it */
};

/* Why a text is no stanza; lines count from 1. */
struct control_error {
	size_t line;
	const char *reason;
};

/*
 * The stanza as a JSON object, fields in their order, names as they are spelt. Values are strings,
 * but those of relationship fields (Depends, Build-Depends, Conflicts, Provides...) are arrays:
 * one element for what stands between commas, itself the array of what stands between '|', with
 * runs of blanks and line ends as one space. Bytes that are not valid UTF-8 are read as Latin-1:
 * byte 0xE9 becomes "\u00e9".
 *
 * Returns the bytes written to `out` (no NUL), or -EINVAL with *error filled in, or -ENOSPC:
 * control_json_bound() bytes are always enough.
 */
long control_to_json(struct control_span text, char *out, size_t capacity,
		     struct control_error *error);
size_t control_json_bound(size_t text_length);

/* The first field of that name (case ignored): 1 when found, 0 when not, -EINVAL: no stanza. */
int control_find(struct control_span text, const char *name, struct control_field *field);

#endif
