/* SPDX-License-Identifier: MIT */
/*
 * What a program asks to be fetched (struct mf_abi_fetch), copied out of the guest once and
 * checked: nothing in it can end a message, or begin another, on a connection that the next request
 * may get.
 */
#ifndef MF_REQUEST_VM_FETCH_ORDER_H
#define MF_REQUEST_VM_FETCH_ORDER_H

#include <mayfly/abi/call.h>

#include "engine/linux/process.h"

struct mf_fetch_order {
	struct mf_abi_fetch abi;
	char method[MF_FETCH_METHOD_MAX + 1];
	char url[MF_FETCH_URL_MAX + 1];
	char text[MF_FETCH_HEADERS_MAX + 1]; /* of the headers, a NUL in the place of each CR */
	/* Into `text`: "Name: value", or "Name;" for an empty one, as libcurl wants them. */
	const char *headers[MF_ABI_MAX_HEADERS];
	size_t header_count;
};

/* -EFAULT, -EINVAL, -E2BIG as MF_CALL_FETCH returns them. */
int mf_fetch_order_take(struct mf_fetch_order *order, struct mf_process *process, uint64_t at);

/* Does it have that header? `name` in any case. */
bool mf_fetch_order_has(const struct mf_fetch_order *order, const char *name);

#endif
