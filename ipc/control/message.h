/* SPDX-License-Identifier: MIT */
/*
 * Requests and replies of the control socket as bytes, both ends: docs/formats/control.md. Strict
 * with requests; in replies members that it does not know are passed over. No nng in here, no
 * state. For this folder and its tests.
 */
#ifndef MF_IPC_CONTROL_MESSAGE_H
#define MF_IPC_CONTROL_MESSAGE_H

#include <stddef.h>

#include "ipc/control/client.h"
#include "ipc/control/server.h"

#define MF_CONTROL_VERSION 1

/* The same for whoever understands tenants, too: every command, with what it says beside itself.
 * Finish it also when it was MF_CONTROL_NONE. */
enum mf_control_command mf_control_parse_all(const char *bytes, size_t count,
					     struct mf_control_request *request,
					     struct mf_error *why);
void mf_control_request_finish(struct mf_control_request *request);

/* A request as bytes; NULL members are left out. A text to be freed, or NULL without memory. */
char *mf_control_request_text(const char *command, const char *tenant, const char *text);

/* A text as JSON has it; what is not UTF-8 loses all that is not ASCII. */
struct json_t *mf_control_json_text(const char *text);

/* The objects of a status; NULL without memory. */
struct json_t *mf_control_status_json(const struct mf_control_status *status);

/* Any bytes. MF_CONTROL_NONE with a sentence for the one who sent them. */
enum mf_control_command mf_control_parse(const char *bytes, size_t count, struct mf_error *why);

/* Each is a text to be freed, or NULL without memory. `status` may be NULL. */
char *mf_control_request(const char *command);
char *mf_control_accept(const struct mf_control_status *status);
char *mf_control_refuse(const char *why);
/* With its histograms, which are put together where they have no room. */
char *mf_control_accept_times(const struct mf_control_status *status,
			      const struct mf_control_times *times);

/* Bytes from an engine, or from whoever listens there. -EPROTO with a sentence; -ENOMEM. */
int mf_control_understand(const char *bytes, size_t count, struct mf_control_reply *reply,
			  struct mf_error *err);

#endif
