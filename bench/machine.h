/* SPDX-License-Identifier: MIT */
/* The line that says on what machine the figures were taken: first in the table and in the JSON. */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdio.h>

/* `json` may be NULL. */
void bench_machine(FILE *json);

#endif
