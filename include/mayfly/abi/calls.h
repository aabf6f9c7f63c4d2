/* SPDX-License-Identifier: MIT */
/*
 * How calls reach a storage program that knows nothing of channels: one connection to where it
 * listens, and frames on it. Plain fixed-width data, no code; docs/formats/calls.md has every byte.
 */
#ifndef MAYFLY_ABI_CALLS_H
#define MAYFLY_ABI_CALLS_H

#include <stdint.h>

#include <mayfly/abi/call.h>

#define MF_CALLS_PAYLOAD_MAX (1u << 20) /* of a call, and of its answer */

/* Before a call's payload. */
struct mf_abi_calls_call {
	uint32_t size_bytes; /* header and payload */
	uint32_t function;   /* the caller's choice */
	uint64_t id;         /* never that of another call that is not answered */
	uint32_t vm;         /* whose call it is: 0.., one a request VM */
	uint32_t request;    /* counts what that VM has served */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_calls_call) == 24, "ABI");

/* Before an answer's. */
struct mf_abi_calls_answer {
	uint32_t size_bytes; /* header and payload */
	int32_t status;      /* 0, or a negative errno down to -4095 */
	uint64_t id;         /* the call's */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_calls_answer) == 16, "ABI");

/* Of a program's own connection to the store: before the payload of a call that it makes. It gets
 * struct mf_abi_calls_answer. */
struct mf_abi_calls_ask {
	uint32_t size_bytes; /* header and payload */
	uint32_t function;
	uint64_t id; /* its choice */
};
MF_ABI_ASSERT(sizeof(struct mf_abi_calls_ask) == 16, "ABI");

#endif
