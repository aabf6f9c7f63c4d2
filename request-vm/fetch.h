/* SPDX-License-Identifier: MIT */
/*
 * HTTP requests that the engine makes for programs (MF_CALL_FETCH), on a worker's loop, with
 * libcurl. Only addresses that the permit allows are connected to, looked at when the socket is
 * made; names are the ones of its rules, with the addresses of the start. No redirect is followed,
 * no proxy, cookie, netrc or stored credential is used; HTTP/1.1 over TCP or TLS alone.
 */
#ifndef MF_REQUEST_VM_FETCH_H
#define MF_REQUEST_VM_FETCH_H

#include <uv.h>

#include "engine/linux/permit_net.h"
#include "engine/linux/process.h"

#include "include/mayfly/error.h"

/* Connections of one worker: in use, others then wait for their turn; and kept for the next. */
#define MF_FETCH_CONNECTIONS 64u
#define MF_FETCH_IDLE        16u
/* Descriptors that this takes at the most. */
#define MF_FETCH_FILES (MF_FETCH_CONNECTIONS + MF_FETCH_IDLE + 4u)

/* What all workers of the process share. */
struct mf_fetch_host;

/*
 * Before the confinement, single-threaded: libcurl is initialised, and the certificates that are
 * trusted are read: of SSL_CERT_FILE, or the system's. None is no failure: then no https server is
 * trusted. -ENOMEM, -EIO with a sentence. Close after the last fetcher.
 */
int mf_fetch_host_open(struct mf_fetch_host **host, struct mf_error *err);
void mf_fetch_host_close(struct mf_fetch_host *host); /* NULL is fine */

/* One a loop; `host` and `net` outlive it. -ENOMEM. */
struct mf_fetcher;
int mf_fetcher_create(struct mf_fetcher **fetcher, uv_loop_t *loop, struct mf_fetch_host *host,
		      const struct mf_permit_net *net);
/* Nothing is under way any more. closed(arg) from the loop. */
void mf_fetcher_close(struct mf_fetcher *fetcher, void (*closed)(void *arg), void *arg);

/* From the loop: the answer is in guest memory (0), or why not. The fetch is gone. */
typedef void mf_fetched_fn(void *arg, int result);

/*
 * Begin what the guest asks for at this address. 0: done() will be called, not before this returns,
 * and until then the program must not run; else what the call returns. *fetch is valid until done()
 * or cancel.
 */
struct mf_fetch;
int mf_fetch_begin(struct mf_fetcher *fetcher, struct mf_process *process, uint64_t at,
		   mf_fetched_fn *done, void *arg, struct mf_fetch **fetch);

/* End it: done() is not called, and nothing more is written to the guest. */
void mf_fetch_cancel(struct mf_fetch *fetch);

#endif
