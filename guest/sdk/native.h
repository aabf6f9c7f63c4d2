/* SPDX-License-Identifier: MIT */
/*
 * The SDK without Mayfly: one request from stdin and the environment, its response to stdout.
 * Internal to the SDK; called by sdk.c when the program was not started by the engine.
 */
#ifndef MAYFLY_SDK_NATIVE_H
#define MAYFLY_SDK_NATIVE_H

#include <mayfly/abi/call.h>

/* As MF_CALL_READY: the size of the request, 0 when there is none any more, negative errno. */
long mf_native_wait(const struct mf_abi_ready *ready);

/* As MF_CALL_RESPOND. */
long mf_native_respond(const struct mf_abi_response *response);

/* As MF_CALL_LOG. */
void mf_native_log(int level, const char *text);

#endif
