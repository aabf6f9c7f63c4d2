/* SPDX-License-Identifier: MIT */
/* A worker's libcurl on its loop; shared by fetch.c and fetch_loop.c only. */
#ifndef MF_REQUEST_VM_FETCH_LOOP_H
#define MF_REQUEST_VM_FETCH_LOOP_H

#include <curl/curl.h>

#include "request-vm/fetch.h"

struct mf_fetch_host {
	void *trust; /* X509_STORE; NULL: nobody */
};

struct mf_fetcher {
	uv_loop_t *loop;
	struct mf_fetch_host *host;
	const struct mf_permit_net *net;
	CURLM *multi;
	uv_timer_t timer;
	unsigned int handles; /* open or closing */
	void (*closed)(void *arg);
	void *closed_arg;
};

/* fetch.c: a transfer has ended. */
void mf_fetch_end(CURL *easy, CURLcode code);

#endif
