/* SPDX-License-Identifier: MIT */
/* Which system calls the filter allows or answers with the end, as tables. For seccomp.c only. */
#ifndef TENANT_SECCOMP_CALLS_H
#define TENANT_SECCOMP_CALLS_H

#include <stddef.h>
#include <stdint.h>

struct call_list {
	const int *numbers;
	size_t count;
};

struct call_name {
	int number;
	const char *name;
};

extern const struct call_list mf_calls_base;      /* whatever the arguments */
extern const struct call_list mf_calls_open;      /* with MF_CONFINE_OPEN_FILES */
extern const struct call_list mf_calls_change;    /* with MF_CONFINE_CHANGE_FILES */
extern const struct call_list mf_calls_unlink;    /* with unlink_dirs */
extern const struct call_list mf_calls_sanitizer; /* in sanitizer builds */

extern const struct call_name mf_calls_deadly[]; /* ends with a NULL name */

/* The name for a sentence; async-signal-safe. Never NULL. */
const char *mf_calls_name(int number);

#endif
