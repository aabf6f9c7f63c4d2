/* SPDX-License-Identifier: MIT */
/*
 * A store that is served takes administrative calls at a socket in its folder: who may open that
 * may as well read the data. A thread beside the engine, never on the path of a request; what comes
 * in is judged like a stranger's all the same.
 */
#ifndef MF_TENANT_STORE_SOCKET_H
#define MF_TENANT_STORE_SOCKET_H

#include <mayfly/error.h>

#include "storage-vm/admin.h"

/* Connected at once; others wait. */
#define MF_STORE_SOCKET_CLIENTS 8u

/* Descriptors that all this may take. */
#define MF_STORE_SOCKET_FILES (MF_STORE_SOCKET_CLIENTS + 3u)

struct mf_store_socket;

/*
 * Set-up phase: make the socket in the folder that is open (and locked: nobody else is there), 0600
 * from its first moment, by the umask. A stale one is replaced. -errno with a sentence. `folder` is
 * its name.
 */
int mf_store_socket_open(struct mf_store_socket **out, int folder_fd, const char *folder,
			 struct mf_error *err);

/* Start answering; good in a confined process. -EAGAIN, -ENOMEM with a sentence. */
int mf_store_socket_start(struct mf_store_socket *socket, struct mf_store *store,
			  struct mf_error *err);

/* End the thread, and the call under way: before the store is stopped. */
void mf_store_socket_stop(struct mf_store_socket *socket);

/* Remove the file and let go of everything, after stopping it. NULL is fine. */
void mf_store_socket_close(struct mf_store_socket *socket);

#endif
