/* SPDX-License-Identifier: MIT */
/*
 * A log that never holds up who writes to it: lines are copied into memory of a fixed size, and a
 * thread of its own takes them to a file or to standard output. What finds no room is dropped,
 * counted, and said.
 */
#ifndef MF_REQUEST_VM_JOURNAL_H
#define MF_REQUEST_VM_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include <mayfly/error.h>

#define MF_JOURNAL_BYTES (1u << 20) /* lines that wait */

struct mf_journal;

/*
 * Opens the file for appending, made with mode 0640 when it is not there; "-" is standard output.
 * In the set-up phase. -errno with a sentence.
 */
int mf_journal_open(struct mf_journal **out, const char *path, struct mf_error *err);

/* Starts the thread: after the confinement. */
int mf_journal_start(struct mf_journal *journal, struct mf_error *err);

/* One line, LF included. Any thread; waits for nothing but another thread's copying. */
void mf_journal_put(struct mf_journal *journal, const char *line, size_t bytes);

/* The file is opened again, by its name, before the next line: it was moved away. Any thread. */
void mf_journal_reopen(struct mf_journal *journal);

/* Writes what waits, for a second at most, and ends the thread. NULL is fine. */
void mf_journal_close(struct mf_journal *journal);

#endif
