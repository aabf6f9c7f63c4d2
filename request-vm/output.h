/* SPDX-License-Identifier: MIT */
/*
 * What guests print: collected into lines, tagged with the VM's number, stripped of terminal
 * escapes and limited in rate, then written to the engine's stderr. One per worker; its thread
 * only.
 */
#ifndef MF_REQUEST_VM_OUTPUT_H
#define MF_REQUEST_VM_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MF_OUTPUT_LINE           544u
#define MF_OUTPUT_LINES_A_SECOND 200u

struct mf_output_meter {
	uint64_t second;    /* the second being counted */
	uint32_t lines;     /* printed in it */
	uint32_t swallowed; /* not printed in it */
};

/* One a VM; `meter` and `tag` set, the rest zero. */
struct mf_output {
	struct mf_output_meter *meter;
	char tag[16]; /* "vm 3", "boot" */
	size_t used;
	char line[MF_OUTPUT_LINE];
};

/* An mf_output_fn (engine/linux/process.h) over struct mf_output. Takes 64 KiB at the most. */
ssize_t mf_output_write(void *output, int fd, const void *bytes, size_t count);

/* Each line from now on is an object of JSON (time, source, text). Before threads are started. */
void mf_output_set_json(bool json);

/* Print a begun line, forget it. At the end of a request. */
void mf_output_flush(struct mf_output *output);

/*
 * A sentence of the engine on stderr. When nobody reads what is there (a full pipe), it waits at
 * most so long and then says nothing: a log must not stop the engine. Any thread.
 */
void mf_output_say(int patience_ms, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One line of the engine about a VM, under the same limit. */
void mf_output_note(struct mf_output *output, const char *text);

#endif
