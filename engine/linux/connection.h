/* SPDX-License-Identifier: MIT */
/*
 * Listening within the VM: where the policy says so (mf_policy.listens_within), the stream sockets
 * of a program that listen have no counterpart at the host. Who runs the program hands it
 * connections, puts bytes into them and takes out what comes. All of it is plain data, so that it
 * forks and resets with the VM. Called between runs by the role that serves.
 */
#ifndef MF_ENGINE_LINUX_CONNECTION_H
#define MF_ENGINE_LINUX_CONNECTION_H

#include <sys/socket.h>

#include "engine/linux/process.h"

/* Where a program with a store (mf_policy.has_store) finds it, beside what it listens at itself. */
#define MF_STORE_PATH "/run/mayfly/redis.sock"
#define MF_STORE_PORT 6379

/* Does the program listen where connections can be handed to it? */
bool mf_listener_is_there(const struct mf_process *process);

/* Is the description where they arrive, or an epoll that watches it? */
struct mf_fd;
bool mf_listener_is_behind(const struct mf_process *process, const struct mf_fd *entry);

/* After MF_EXIT_WAIT: does one of its threads wait there (in accept, poll, select or epoll)? */
bool mf_listener_waits(const struct mf_process *process);

/*
 * A new connection from that address, which waits to be accepted: its number in *number. The
 * address becomes one of the listener's family (port 0, and a client of another kind: any); NULL:
 * an unknown client. -ENOTCONN: nobody listens; -EMFILE: too many.
 */
int mf_connection_open(struct mf_process *process, const struct sockaddr *from,
		       socklen_t from_bytes, uint32_t *number);

/* Is it one from that address, as far as the program can tell? */
bool mf_connection_is_from(const struct mf_process *process, uint32_t number,
			   const struct sockaddr *from, socklen_t from_bytes);

/* Give the program bytes: how many, as far as there is room for them; -ENOMEM. */
int64_t mf_connection_put(struct mf_process *process, uint32_t number, const void *bytes,
			  size_t count);

/* The client sends no more; or is gone altogether. */
void mf_connection_end(struct mf_process *process, uint32_t number);
void mf_connection_reset(struct mf_process *process, uint32_t number);

/* Take what the program has sent: how many bytes. */
size_t mf_connection_take(struct mf_process *process, uint32_t number, void *to, size_t room);

/* The same in two steps: copy it, and take as much of it as was of use. */
size_t mf_connection_peek(struct mf_process *process, uint32_t number, void *to, size_t room);
void mf_connection_taken(struct mf_process *process, uint32_t number, size_t bytes);

struct mf_connection_state {
	bool accepted;   /* the program has it, or has had it */
	bool ended;      /* the program sends no more; what it has sent may still be there */
	bool closed;     /* it has let go of it altogether */
	bool aborted;    /* it has thrown it away, and what was on its way with it */
	uint64_t unread; /* bytes that it has not read yet */
	uint64_t output; /* bytes to be taken */
	uint64_t room;   /* that mf_connection_put has */
};

void mf_connection_look(const struct mf_process *process, uint32_t number,
			struct mf_connection_state *state);

/* Connections of the program to its store, a bit each by number. */
uint64_t mf_connection_stores(const struct mf_process *process);

/* What the role keeps with one of them; 0 at first. */
uint32_t mf_connection_word(const struct mf_process *process, uint32_t number);
void mf_connection_set_word(struct mf_process *process, uint32_t number, uint32_t word);

/* The role has more for it: MF_EXIT_CONNECTION when the program has made room. */
void mf_connection_want_room(struct mf_process *process, uint32_t number);

/* Let go of it: the program finds that its client is gone, whatever comes of it. */
void mf_connection_close(struct mf_process *process, uint32_t number);

#endif
