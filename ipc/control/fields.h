/* SPDX-License-Identifier: MIT */
/* The fields of struct mf_control_status as a table. For this folder alone. */
#ifndef MF_IPC_CONTROL_FIELDS_H
#define MF_IPC_CONTROL_FIELDS_H

#include "ipc/control/status.h"

enum mf_field_kind {
	MF_FIELD_TEXT,
	MF_FIELD_COUNT,
	MF_FIELD_TIME, /* milliseconds */
};

struct mf_control_field {
	const char *group; /* the object that has it; fields of a group stand together */
	const char *name;  /* its member */
	const char *words; /* for people */
	enum mf_field_kind kind;
	size_t offset;
	size_t size;
};

extern const struct mf_control_field mf_control_fields[]; /* ends with a NULL group */

#endif
