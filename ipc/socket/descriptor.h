/* SPDX-License-Identifier: MIT */
/* Messages of Unix sockets that carry a descriptor: SCM_RIGHTS, unix(7). */
#ifndef MF_IPC_SOCKET_DESCRIPTOR_H
#define MF_IPC_SOCKET_DESCRIPTOR_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Send one message, with `fd` unless it is -1; flags: MSG_DONTWAIT or 0. 0 or -errno. */
int mf_descriptor_send(int socket, struct iovec *parts, size_t count, int fd, int flags);

/*
 * Receive one without waiting: its bytes, 0 at the end of the stream, -errno, or -EMSGSIZE when it
 * was longer than `room`. *fd is its descriptor, the caller's, or -1 when it has none; of several
 * the last, the others are closed.
 */
ssize_t mf_descriptor_receive(int socket, void *buffer, size_t room, int *fd);

#endif
