/* SPDX-License-Identifier: MIT */
/*
 * The engine without a server: the demo's program as an image in this process, for looking at its
 * VMs. It confines the process as `mayfly serve` does: afterwards no file, socket or process can be
 * opened.
 */
#ifndef MAYFLY_DEMO_LAB_H
#define MAYFLY_DEMO_LAB_H

#include "client.h"
#include "request-vm/front/http.h"
#include "tenant/program.h"

struct lab {
	struct mf_program_options options;
	char *argv[2];
	const char *env[1];
	struct mf_program program;
	struct mf_watchdog *watchdog;
	struct mf_watch *watch;
	struct mf_image image;
	struct mf_ready_point ready;
};

/* A failed claim when it does not work; then the lab must not be closed. Stays where it is. */
bool lab_open(struct lab *lab, const char *program);
void lab_close(struct lab *lab);

/* A request in the guest's form, made by the front door's own parser. */
bool lab_request(struct mf_http_message *message, const struct ask *ask);
bool lab_stanza(struct mf_http_message *message, const struct stanza *stanza);

/* Give a VM at its ready point the request and run it until it has answered or ended. */
bool lab_serve(struct lab *lab, struct mf_process *vm, const struct mf_http_message *message,
	       struct mf_exit *exit);

/* The same with a stanza, put back afterwards: whether the answer was the native one. */
bool lab_post(struct lab *lab, struct mf_process *vm, const struct mf_http_message *message,
	      const struct stanza *stanza);

#endif
