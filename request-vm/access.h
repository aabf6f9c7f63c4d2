/* SPDX-License-Identifier: MIT */
/*
 * The access log's lines: what the front door records of a request, as text. What came from a
 * client is escaped: a line is a line, and a terminal does nothing with it. No I/O; any thread.
 */
#ifndef MF_REQUEST_VM_ACCESS_H
#define MF_REQUEST_VM_ACCESS_H

#include "request-vm/front/server.h"

enum mf_access_form {
	MF_ACCESS_COMMON,   /* Apache's common log format, and ours behind it */
	MF_ACCESS_COMBINED, /* with Referer and User-Agent between the two */
	MF_ACCESS_JSON,     /* one object a line */
};

#define MF_ACCESS_LINE_BYTES 4096u

/*
 * One line, its LF included, into `out`; texts that are too long are cut. `now_ns` is the time of
 * day. Returns how many bytes.
 *
 *   CLIENT - - [DAY/MONTH/YEAR:TIME +0000] "METHOD TARGET HTTP/1.x" STATUS BYTES ["REFERER"
 * "AGENT"] id=ID vm=N exits=N us=N outcome=WORD
 *   {"time": SECONDS, "id", "client", "method", "target", "version": "1.x", "status", "bytes",
 * "us", "vm", "exits", "outcome", "referer", "agent"}
 */
size_t mf_access_line(char out[MF_ACCESS_LINE_BYTES], enum mf_access_form form,
		      const struct mf_front_record *record, uint64_t now_ns);

#endif
