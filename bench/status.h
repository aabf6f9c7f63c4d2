/* SPDX-License-Identifier: MIT */
/* Numbers of a running engine's status. */
#ifndef BENCH_STATUS_H
#define BENCH_STATUS_H

/* docs/formats/control.md; -1 when it does not tell. */
double bench_status(const char *control, const char *group, const char *name);

#endif
