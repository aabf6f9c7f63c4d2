/* SPDX-License-Identifier: MIT */
/*
 * The sentence that goes with a failure. Cold paths take a `struct mf_error *` beside returning
 * negative errno; the sentence says what failed and what to do about it. Fixed buffer, no
 * allocation. Callers may pass NULL where they do not want the words.
 */
#ifndef MAYFLY_ERROR_H
#define MAYFLY_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

struct mf_error {
	char text[400]; /* one sentence, NUL-terminated; empty when nothing was said */
};

/*
 * Write a sentence and hand the code through: `return mf_error_set(err, -ENOMEM, "...", ...)`.
 * A sentence that is longer than the buffer is cut. Safe with err == NULL. Returns `code`.
 */
int mf_error_set(struct mf_error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
