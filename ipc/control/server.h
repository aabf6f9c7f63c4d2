/* SPDX-License-Identifier: MIT */
/*
 * The answering end of the control socket: one thread beside the engine, never on the path of a
 * request. It speaks what nng's REQ sockets speak over ipc, without nng: docs/decisions/0011.
 * Whoever can open the socket's file is the operator; what comes in is judged like a stranger's all
 * the same.
 */
#ifndef MF_IPC_CONTROL_SERVER_H
#define MF_IPC_CONTROL_SERVER_H

#include <mayfly/error.h>

#include "ipc/control/status.h"
#include "ipc/control/times.h"

/* The largest request or reply. */
#define MF_CONTROL_MESSAGE_MAX 65536u

/* Connected at once; one more takes the place of the one that was silent for longest. */
#define MF_CONTROL_CLIENTS_MAX 64u

/* Descriptors that all this may take. */
#define MF_CONTROL_FILES (MF_CONTROL_CLIENTS_MAX + 4u)

enum mf_control_command {
	MF_CONTROL_NONE, /* not understood */
	MF_CONTROL_STATUS,
	MF_CONTROL_DRAIN,
	MF_CONTROL_STOP,
	MF_CONTROL_TIMES, /* status, and histograms */
	/* mayflyd's, beside those */
	MF_CONTROL_LIST,
	MF_CONTROL_ADD,
	MF_CONTROL_REMOVE,
	MF_CONTROL_RELOAD,
	MF_CONTROL_LIMITS,
};

struct mf_control_request {
	enum mf_control_command command;
	char tenant[40]; /* "": none */
	char *text;      /* owned; NULL: none */
};

/* Called on the control thread, one at a time. */
struct mf_control_ops {
	/* Given zeroed; times may be NULL. To take no longer than a client waits. */
	void (*status)(void *arg, struct mf_control_status *status, struct mf_control_times *times);
	/* These two are called once the client has its answer. */
	void (*drain)(void *arg); /* finish what runs, then end; again: nothing */
	void (*stop)(void *arg);  /* end now */
	/*
	 * Not NULL: every command but stop is given to this, and none to `status` and `drain`. The
	 * reply as a text that is freed, or NULL with a sentence.
	 */
	char *(*ask)(void *arg, const struct mf_control_request *request, struct mf_error *why);
};

struct mf_control;

/*
 * Set-up phase: make the socket, 0600 from its first moment (by the umask: no other thread may make
 * files meanwhile). A stale socket file is replaced. Clients that come now wait for
 * mf_control_start. 0, or with a sentence and nothing left behind: what mf_socket_file_claim
 * returns, or -errno. `ops` and `arg` must outlive it.
 */
int mf_control_open(struct mf_control **out, const char *path, const struct mf_control_ops *ops,
		    void *arg, struct mf_error *err);

/* Start answering; good in a confined process. -EAGAIN with a sentence: no thread. */
int mf_control_start(struct mf_control *control, struct mf_error *err);

/* Stop answering, end the thread, remove the file if it is still ours. NULL is fine. */
void mf_control_close(struct mf_control *control);

#endif
