/* SPDX-License-Identifier: MIT */
/*
 * The file of a Unix socket, from "may I have this path" to its removal. It makes no listening
 * socket: whoever does (the front door, nng) binds between claim and unlock. Part of set-up: may
 * block for half a second. One thread at a time for each file.
 *
 *   mf_socket_file_claim    the path is good and nobody is there; stale files are gone
 *   bind                    the caller's
 *   mf_socket_file_mark     remember which file that made
 *   listen                  the caller's
 *   mf_socket_file_unlock   others may look at the path again
 *   ...
 *   mf_socket_file_remove   at the end; also good after any of the steps above
 */
#ifndef MF_IPC_SOCKET_FILE_H
#define MF_IPC_SOCKET_FILE_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <mayfly/error.h>

struct mf_socket_file {
	struct sockaddr_un address;
	int lock_fd; /* of the folder, from claim to unlock; -1 */
	int file_fd; /* O_PATH, of the file that was made; -1 */
};

/* A path as an address. -EINVAL (empty), -ENAMETOOLONG, with a sentence. */
int mf_socket_address(struct sockaddr_un *out, const char *path, struct mf_error *err);

/*
 * Prepare to bind. A socket file that nobody listens on is removed, any other file is left alone.
 * Two processes that start at once must not take each other's fresh socket for a stale one: until
 * mf_socket_file_unlock others wait on the folder's lock (best effort: a folder that cannot be
 * locked is no obstacle). 0, or with a sentence and nothing to undo: what mf_socket_address
 * returns, -EADDRINUSE (somebody listens there), -EEXIST (a file, no socket), -ENOENT (no such
 * folder), another errno.
 */
int mf_socket_file_claim(struct mf_socket_file *file, const char *path, struct mf_error *err);

/* Bind a socket for our own user alone. -errno. */
int mf_socket_bind(int fd, const struct sockaddr_un *address);

/* The same with the file that was claimed; then it is ours. -errno. */
int mf_socket_file_bind(struct mf_socket_file *file, int fd);

/* After bind: this file is ours. */
void mf_socket_file_mark(struct mf_socket_file *file);

void mf_socket_file_unlock(struct mf_socket_file *file);

/*
 * Removes the file if it is ours, and lets go of everything. A confined process may be unable to
 * remove it: then it stays and the next claim replaces it.
 */
void mf_socket_file_remove(struct mf_socket_file *file);

/* Does anyone listen there? 1 yes, 0 no (also: no such file), or -errno. */
int mf_socket_listens(const struct sockaddr_un *address);

#endif
