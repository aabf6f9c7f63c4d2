/* SPDX-License-Identifier: MIT */
/*
 * A framed request as HTTP/1.1 bytes again, for programs that read them from a connection. What
 * concerns the connection with the client stays behind (Connection, Expect, ...).
 */
#ifndef MF_REQUEST_VM_WIRE_H
#define MF_REQUEST_VM_WIRE_H

#include <mayfly/abi/call.h>

#include <stddef.h>

struct mf_wire {
	char *bytes; /* owned */
	size_t count;
};

/* The request is the front door's own: it is not checked again. -ENOMEM. */
int mf_wire_make(struct mf_wire *wire, const struct mf_abi_request *request);

/* Wipes and frees. */
void mf_wire_finish(struct mf_wire *wire);

#endif
