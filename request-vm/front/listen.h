/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets: parses the ADDR of `--listen` and opens it. Part of set-up: may block on a
 * name look-up, opens descriptors, touches the file system. Nothing here is for the hot path.
 */
#ifndef REQUEST_VM_FRONT_LISTEN_H
#define REQUEST_VM_FRONT_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "ipc/socket/file.h"

struct mf_listen_address {
	struct sockaddr_storage sockaddr;
	socklen_t sockaddr_bytes;
};

/*
 * Reads `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. A host that is a name is looked up. Port 0 asks
 * for any free port. Returns 0, -EINVAL (not an address; empty host: say 0.0.0.0 for every
 * interface), -ENAMETOOLONG (socket path), -ENOENT (unknown host).
 */
int mf_listen_parse(struct mf_listen_address *out, const char *text, struct mf_error *err);

struct mf_listener {
	int fd; /* listening, non-blocking, close-on-exec; -1 when closed or given away */
	bool is_unix;
	bool is_router; /* it does not listen: see mf_front_open */
	char name[128]; /* for people: "127.0.0.1:8080", "unix:/run/a.sock"; the real port */
	struct mf_socket_file file; /* with is_unix only */
};

/*
 * Opens a listening socket. A unix socket file that no server listens on is replaced; any other
 * file is left alone. On success the caller owns *out and closes it with mf_listen_close. Returns 0
 * or, with *out closed and a sentence in err, what mf_listen_parse returns, -EADDRINUSE (another
 * server has it), -EEXIST (the path is a file and no socket), or the errno of socket, bind or
 * listen.
 */
int mf_listen_open(struct mf_listener *out, const char *text, struct mf_error *err);

/*
 * Closes the descriptor, if it was not given away, and removes the socket file if it is still the
 * one that was made. Good for a closed listener. A confined process may be unable to remove the
 * file: then it stays and the next start replaces it.
 */
void mf_listen_close(struct mf_listener *listener);

#endif
