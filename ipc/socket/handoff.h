/* SPDX-License-Identifier: MIT */
/*
 * A client's connection on its way between the router and an engine: one message of a SEQPACKET
 * socket carries the descriptor, the bytes that were read of it already, and what may be asked on
 * it (the scope, ipc/socket/scope.h). Engines give connections back in the same form. No wait, no
 * state; any thread.
 */
#ifndef MF_IPC_SOCKET_HANDOFF_H
#define MF_IPC_SOCKET_HANDOFF_H

#include <stddef.h>
#include <stdint.h>

#define MF_HANDOFF_FIRST_MAX (64u << 10)
#define MF_HANDOFF_SCOPE_MAX (16u << 10)
#define MF_HANDOFF_MAX       (MF_HANDOFF_FIRST_MAX + MF_HANDOFF_SCOPE_MAX + 64u)

struct mf_handoff {
	uint32_t origin; /* the router's number of the address that it came from */
	uint32_t scope_bytes;
	uint32_t first_bytes;
	const char *scope; /* 0 bytes: anything may be asked */
	const char *first; /* what the client sent, from its first unanswered byte */
};

/*
 * Send it; the caller keeps `fd` and closes it. 0, -EAGAIN (the other side is slow), -EPIPE (it
 * is gone), -EMSGSIZE (more bytes than above), or what sendmsg says.
 */
int mf_handoff_send(int socket, int fd, const struct mf_handoff *handoff);

/*
 * Receive one into `buffer` (MF_HANDOFF_MAX bytes), where the pointers lead. The client's
 * descriptor, which is the caller's, close-on-exec; or -EAGAIN, -EPIPE (nothing comes any more),
 * -EPROTO (no handoff: passed over), or what recvmsg says.
 */
int mf_handoff_receive(int socket, char *buffer, struct mf_handoff *handoff);

#endif
