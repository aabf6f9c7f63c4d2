/* SPDX-License-Identifier: MIT */
/*
 * --http-proxy: what becomes of http://[USER@]HOST:PORT[/]. It is no proxy: a program is told of
 * one, and may connect to it.
 */
#ifndef MF_CONFIG_PROXY_H
#define MF_CONFIG_PROXY_H

#include "config/values.h"

/*
 * Resolve the host of values->http_proxy, once. Its first address is added to what the program may
 * connect to, and to the environment as the variables that programs look for a proxy in, without
 * the name: within a VM there may be nobody to ask for it. -ENOENT (no address), -ENOMEM with a
 * sentence. May block (DNS).
 */
int mf_proxy_complete(struct mf_values *values, struct mf_error *err);

#endif
