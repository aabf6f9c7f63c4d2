/* SPDX-License-Identifier: MIT */
/*
 * The asking end of the control socket: one question, one answer, within a time. Starts threads of
 * nng's; meant for a process that does little else.
 */
#ifndef MF_IPC_CONTROL_CLIENT_H
#define MF_IPC_CONTROL_CLIENT_H

#include <stdbool.h>

#include <mayfly/error.h>

#include "ipc/control/status.h"
#include "ipc/control/tenants.h"
#include "ipc/control/times.h"

struct mf_control_reply {
	char *text; /* the reply as it came, JSON in one line; freed by mf_control_reply_finish */
	bool ok;
	struct mf_error error;             /* !ok: the engine's sentence */
	bool has_status;                   /* ok, and it said how it is */
	struct mf_control_status status;   /* with has_status */
	struct mf_control_times *times;    /* NULL: it said none; owned */
	struct mf_control_tenant *tenants; /* NULL: it said nothing of tenants; owned */
	size_t tenant_count;
};

/*
 * Ask the engine at a socket. 0: there is a reply (be it a refusal), the caller's to finish. Else
 * nothing to finish and a sentence: -ENOENT, -ECONNREFUSED (nobody is there), -EACCES,
 * -ETIMEDOUT, -EPROTO (no engine answers so), -EINVAL, -ENAMETOOLONG (the path), -ENOMEM.
 */
int mf_control_ask(const char *path, const char *command, unsigned int timeout_ms,
		   struct mf_control_reply *reply, struct mf_error *err);

/* The same with what a command of mayflyd's says beside itself; NULL: nothing. */
int mf_control_ask_more(const char *path, const char *command, const char *tenant, const char *text,
			unsigned int timeout_ms, struct mf_control_reply *reply,
			struct mf_error *err);

void mf_control_reply_finish(struct mf_control_reply *reply);

#endif
