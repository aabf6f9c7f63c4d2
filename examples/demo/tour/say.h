/* SPDX-License-Identifier: MIT */
/* What the tour prints, and whether its claims hold. Plain text; progress only overwrites on a
 * terminal. */
#ifndef MAYFLY_DEMO_SAY_H
#define MAYFLY_DEMO_SAY_H

#include <stdbool.h>
#include <stddef.h>

void say_scene(int number, const char *title);

/* One line of a scene. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

void say_blank(void);

/* How far long work is: a line that is overwritten, or a line every few seconds. Nothing when done.
 */
void say_progress(const char *what, size_t done, size_t all);

/* A claim. One that does not hold is counted. Returns `holds`. */
bool claim(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Claims that did not hold, in this process. */
int claims_failed(void);

/* "1,234,567", in one of a few buffers that are used in turns. */
const char *with_commas(unsigned long long number);

#endif
