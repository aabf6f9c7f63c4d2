/* SPDX-License-Identifier: MIT */
/* Numbers as Redis reads and writes them. */
#ifndef MF_GUEST_STORE_REDIS_NUMBER_H
#define MF_GUEST_STORE_REDIS_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include <mayfly/store.h>

/* A signed 64-bit integer in its one canonical form: no blanks, no plus sign, no leading zeros. */
bool number_parse(struct mf_bytes text, int64_t *number);

/* A finite or infinite number; no blanks before it, not "nan". */
bool number_parse_real(struct mf_bytes text, long double *number);

#define NUMBER_TEXT 5200 /* of the largest real number */

/* As INCRBYFLOAT writes it: up to 17 digits behind the point, no zeros at the end. Its length. */
size_t number_print_real(long double number, char text[NUMBER_TEXT]);

#endif
