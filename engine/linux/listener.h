/* SPDX-License-Identifier: MIT */
/*
 * Stream sockets within the VM, for the calls of socket_*.c: a listener (MF_FD_LISTENER; one that
 * was merely made is one that does not listen yet, and becomes a host's socket when it connects to
 * somebody outside) and the connections that it has accepted (MF_FD_CONNECTION). What the program
 * asks of them is answered as the Linux kernel does for TCP and Unix streams.
 */
#ifndef MF_ENGINE_LINUX_LISTENER_H
#define MF_ENGINE_LINUX_LISTENER_H

#include "engine/linux/socket.h"
#include "engine/linux/socket_option.h"
#include "engine/linux/stream.h"

static inline bool mf_socket_is_within(const struct mf_fd *entry)
{
	return entry->kind == MF_FD_LISTENER || entry->kind == MF_FD_CONNECTION;
}

static inline const struct mf_guest_listener *mf_listener_of(const struct mf_process *process,
							     const struct mf_fd *entry)
{
	return &mf_linux(process)->listeners[entry->object % MF_LISTENERS];
}

static inline const struct mf_connection *mf_connection_of(const struct mf_process *process,
							   const struct mf_fd *entry)
{
	return &mf_linux(process)->connections[entry->object % MF_CONNECTIONS];
}

/* The same for writing: all but its streams, which mark themselves. */
struct mf_connection *mf_connection_rw(struct mf_process *process,
				       const struct mf_connection *connection);

/* Is such a socket to be made within the VM? */
bool mf_listener_wanted(const struct mf_process *process, int domain, int type);

/* socket(): a descriptor, -EMFILE, -ENFILE. */
int64_t mf_listener_make(struct mf_process *process, int domain, uint32_t flags);

int64_t mf_listener_bind(struct mf_process *process, const struct mf_fd *entry,
			 const struct mf_address *given);
int64_t mf_listener_listen(struct mf_process *process, const struct mf_fd *entry);

/* The connection that waits first, or -EAGAIN: none. It still waits. -EINVAL: it does not listen.
 */
int64_t mf_listener_next(const struct mf_process *process, const struct mf_fd *entry);

/* A descriptor for that connection, which waits no more whatever comes of it. */
int64_t mf_listener_install(struct mf_process *process, const struct mf_fd *entry, uint32_t flags);

/* No connection waits: -EAGAIN, or a wait as long as SO_RCVTIMEO says. */
int64_t mf_listener_block(struct mf_process *process, const struct mf_fd *entry);

/*
 * connect(): 1: the description is a host's socket from now on, to be connected as one. Else what
 * the call returns.
 */
int64_t mf_listener_connect(struct mf_process *process, const struct mf_fd *entry,
			    const struct mf_address *given);

/* The listener at that address, or NULL. */
const struct mf_guest_listener *mf_listener_find(const struct mf_process *process, int domain,
						 const struct mf_address *address);
/* A connection joins those that wait there. */
void mf_listener_append(struct mf_process *process, const struct mf_guest_listener *listener,
			uint32_t number);

/* listener_name.c: is it an address to bind to? 0, -EINVAL, -EAFNOSUPPORT. */
int mf_name_check(int domain, const struct mf_address *given);
/* Of an Internet address: its port; a socket of all addresses; equal, or one within the other. */
uint16_t mf_name_port(const struct mf_listener_name *name);
void mf_name_set_port(struct mf_listener_name *name, uint16_t port);
void mf_name_of_any(int domain, struct mf_listener_name *name);
/* Is it one of IPv4, written as one of IPv6? */
bool mf_name_is_mapped(const struct mf_listener_name *name);
bool mf_names_meet(const struct mf_listener_name *a, const struct mf_listener_name *b);
/* Does who connects to that address arrive there, without leaving the VM? */
bool mf_name_reaches(const struct mf_listener_name *listener, const struct mf_listener_name *to);
/* Is it one where the store is found (MF_STORE_PATH, MF_STORE_PORT of this machine)? */
bool mf_name_is_store(const struct mf_listener_name *to);
/* As an address of the listener's family: the client's (NULL: it has none; `serial` makes up the
 * port of one that has none), and the end of a connection with it. */
void mf_name_of_client(int domain, const struct sockaddr *from, socklen_t from_bytes,
		       uint32_t serial, struct mf_listener_name *name);
void mf_name_of_end(const struct mf_listener_name *listener, const struct mf_listener_name *client,
		    struct mf_listener_name *name);
/* Is it what the text names: "PORT", "HOST:PORT", "unix:PATH"? */
bool mf_name_is(const struct mf_listener_name *name, const char *text);
void mf_name_store(struct mf_listener_name *name, const struct mf_address *address);
void mf_name_tell(const struct mf_listener_name *name, struct mf_address *address);

/* connection.c: a new one, not yet in any line; MF_CONNECTIONS: too many. */
uint32_t mf_connection_make(struct mf_process *process, const struct mf_guest_listener *listener,
			    const struct mf_listener_name *client);
/* The program lets go of it, or of one that it never accepted. */
void mf_connection_leave(struct mf_process *process, const struct mf_connection *connection);
/* Nobody has it any more: it is free. */
void mf_connection_release(struct mf_process *process, const struct mf_connection *connection);
/* Its other end is the role's, which is to hear of it. */
void mf_connection_news(struct mf_process *process, const struct mf_connection *connection);
/* Tell whoever waits for it in the program. */
void mf_connection_notify(struct mf_process *process, const struct mf_connection *connection,
			  short events);

/* The other end has taken bytes: the program may write on. */
void mf_connection_has_room(struct mf_process *process, const struct mf_connection *connection);

bool mf_connection_is_unix(const struct mf_connection *connection);

/* What went wrong with it, an errno or 0; told once (SO_ERROR, socket(7)). */
int mf_connection_take_error(struct mf_process *process, const struct mf_connection *connection);

int64_t mf_connection_send(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor, int flags);
int64_t mf_connection_receive(struct mf_process *process, const struct mf_fd *entry,
			      struct mf_cursor *cursor, int flags);

/* Either kind. */
int64_t mf_within_shutdown(struct mf_process *process, const struct mf_fd *entry, int how);
int64_t mf_within_name(const struct mf_process *process, const struct mf_fd *entry, bool other,
		       struct mf_address *address);

/* connection_option.c: -ENOPROTOOPT, -EINVAL, -ENOBUFS; `*bytes`: room, then what there is. */
int mf_within_set(struct mf_process *process, const struct mf_fd *entry, int level, int name,
		  const void *value, size_t bytes);
int mf_within_get(struct mf_process *process, const struct mf_fd *entry, int level, int name,
		  void *value, socklen_t *bytes);
/* What was set, told to a host's socket. */
void mf_settings_replay(const struct mf_socket_settings *settings, int host);
/* Of a flag or number. */
int mf_settings_number(const struct mf_socket_settings *settings, int level, int name);
/* SO_RCVTIMEO, SO_SNDTIMEO: nanoseconds; MF_FOREVER. */
uint64_t mf_settings_span(const struct mf_socket_settings *settings, int name);
/* SO_RCVLOWAT: who reads waits for so many bytes. */
static inline uint64_t mf_connection_low_water(const struct mf_connection *connection)
{
	return connection->settings.count ? (uint64_t)mf_settings_number(&connection->settings,
									 SOL_SOCKET, SO_RCVLOWAT)
					  : 1;
}
/* SO_LINGER. */
struct linger mf_settings_linger(const struct mf_socket_settings *settings);
/* Is it to be thrown away when it is closed: SO_LINGER of no time? */
bool mf_settings_abort(const struct mf_socket_settings *settings);

int64_t mf_within_ioctl(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			uint64_t arg);

#endif
