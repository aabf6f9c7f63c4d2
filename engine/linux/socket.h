/* SPDX-License-Identifier: MIT */
/*
 * Sockets: each description has a host socket that never blocks; what a socket is, the host knows,
 * and what the guest may do with it is decided here. Nothing of a guest reaches the host unseen:
 * addresses are copied once and looked up in the rules, options, flags and control messages go by
 * lists. Used by the socket_*.c files alone.
 */
#ifndef MF_ENGINE_LINUX_SOCKET_H
#define MF_ENGINE_LINUX_SOCKET_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "engine/linux/guestmem.h"
#include "engine/linux/io.h"
#include "engine/linux/permit_net.h"

/* What a description of kind MF_FD_SOCKET keeps in its `offset`; `object` is the description of the
 * pair's other end + 1, or 0. */
#define MF_SOCKET_LISTENS (1ull << 32) /* forks may share it */
#define MF_SOCKET_OWN     (1ull << 33) /* of the image, and this fork has made one of its own */
#define MF_SOCKET_LINGERS                                                                  \
	(1ull << 34)               /* SO_LINGER with a time: never told to the host, whose \
				      close() would block */
#define MF_SOCKET_LINGER_SHIFT 40u /* its seconds */
#define MF_SOCKET_LINGER_MAX   0xffffffu

/* An address as it was copied, with room for a NUL behind a path. */
struct mf_address {
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
		struct sockaddr_storage storage;
	};
	char nul;
	socklen_t bytes;
};

static inline int mf_socket_domain(const struct mf_fd *entry)
{
	return (int)(entry->offset & 0xff);
}

static inline int mf_socket_type(const struct mf_fd *entry)
{
	return (int)(entry->offset >> 8 & 0xff);
}

/* The description of a socket: NULL with -EBADF or -ENOTSOCK in *ret. */
const struct mf_fd *mf_socket_get(const struct mf_process *process, uint64_t fd, int64_t *ret);

/* Is there a rule for any address of IPv4 or IPv6? Who may talk to some may ask about the host's.
 */
bool mf_socket_internet(const struct mf_process *process);

/* A description that owns a host socket; nothing is installed. */
struct mf_fd mf_socket_entry(int host, int domain, int type, uint32_t flags);

/* Is there such a socket? 0, or what Linux says of one that it does not know. */
int mf_socket_check(int domain, int type, int protocol);

/* May a program with these rules have sockets of that domain? One that no address could be used
 * with is not made; those of IPv6 take IPv4's, too. */
bool mf_socket_may_make(const struct mf_permit_net *net, int domain);

/* The host socket: in every fork its own, where the image's is a pair or has no address yet; a
 * negative errno when that cannot be had. */
int mf_socket_host(struct mf_process *process, const struct mf_fd *entry);

/* -EPERM for what would change a socket that the image and its other forks have, too. */
int mf_socket_changes(struct mf_process *process, const struct mf_fd *entry);

/*
 * The call would block: -EAGAIN, or a wait for `events` of its host socket that ends with -EAGAIN
 * after what `option` (SO_RCVTIMEO, SO_SNDTIMEO) says.
 */
int64_t mf_socket_block(struct mf_process *process, const struct mf_fd *entry, short events,
			int option, bool nonblock);

/* The same when the host cannot tell: looked at again after a while. */
int64_t mf_socket_again(struct mf_process *process, const struct mf_fd *entry, int option,
			bool nonblock);

/* socket_image.c: give this fork its own, if the image's is of a kind that can be had anew. -errno.
 */
int mf_socket_own(struct mf_process *process, const struct mf_fd *entry);

/* May an image hold it? See struct mf_fd_ops. */
int mf_socket_freeze(const struct mf_process *process, const struct mf_fd *entry,
		     struct mf_error *err);

/* socket_address.c: copy an address in. -EINVAL, -EFAULT. */
int mf_address_get(struct mf_process *process, uint64_t va, uint64_t bytes,
		   struct mf_address *address);
/* Copy one out as getsockname does: at most *(int *)va_bytes of it, which becomes its length.
 * -EFAULT, -EINVAL. */
int mf_address_put(struct mf_process *process, const struct mf_address *address, uint64_t va,
		   uint64_t va_bytes);
/* The names of Unix sockets that the host told, as the guest gave them. */
void mf_address_to_guest(const struct mf_process *process, struct mf_address *address);

/*
 * May the socket be used so with the address? 0 and what to tell the host in `host` (a Unix path
 * becomes one beneath /proc/self/fd, through *opened, which the caller closes: -1 when there is
 * none); -EACCES, -ENOENT and other errors of paths.
 */
int mf_address_check(struct mf_process *process, const struct mf_fd *entry, enum mf_net_use use,
		     const struct mf_address *address, struct mf_address *host, int *opened);

/* The guest's name of what was bound by mf_address_check's `host`. */
void mf_address_note(struct mf_process *process, const struct mf_address *given,
		     const struct mf_address *host);

/* One message, all but its bytes. */
struct mf_socket_message {
	struct mf_address name; /* bytes 0: none */
	uint8_t *control;       /* the caller's */
	size_t control_bytes;   /* room; then what is in it */
	int flags;              /* received: MSG_* */
	bool wants_name;        /* receive: fill in `name` */
	bool has_tokens;        /* send: of the descriptors in `control`; see socket_token.c */
};

/*
 * Send, receive: bytes, -errno, or MF_SYS_WAIT. `flags` are MSG_* as the guest gave them, with
 * MSG_DONTWAIT for a description that does not block. `name` is the host's.
 */
int64_t mf_socket_send(struct mf_process *process, const struct mf_fd *entry,
		       struct mf_cursor *cursor, const struct mf_socket_message *message,
		       int flags);
int64_t mf_socket_receive(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, struct mf_socket_message *message, int flags);

/*
 * Control messages, in place. Out: descriptors and identities become the host's; -EINVAL, -EBADF,
 * -EPERM, -EOPNOTSUPP for a descriptor that has no counterpart at the host. What was made for it is
 * to be given back by mf_control_done in any case; `sent`: the message is on its way.
 */
int mf_control_to_host(struct mf_process *process, const struct mf_fd *entry,
		       struct mf_socket_message *message);
void mf_control_done(struct mf_process *process, struct mf_socket_message *message, bool sent);

/* In: they become the guest's; message->flags gets MSG_CTRUNC when a descriptor could not be taken.
 * `flags`: MSG_CMSG_CLOEXEC, MSG_PEEK. */
void mf_control_to_guest(struct mf_process *process, struct mf_socket_message *message, int flags);

/*
 * Descriptions that go through a pair within this VM (socket_token.c): a host descriptor to send
 * for one, the caller's; -ETOOMANYREFS when too many are on their way. Forget it: it did not go.
 */
int mf_token_make(struct mf_process *process, const struct mf_fd *description);
void mf_token_forget(struct mf_process *process, int host);

/* The description that a received host descriptor stands for, or NULL. */
const struct mf_fd *mf_token_find(struct mf_process *process, int host);

/* socket_netlink.c: addresses and requests of NETLINK_ROUTE. 0 or -EPERM. */
int mf_netlink_address(const struct mf_address *address);
int64_t mf_netlink_send(struct mf_process *process, const struct mf_fd *entry,
			struct mf_cursor *cursor);

/* Who the guest is to itself and others: pid, user and group (struct ucred), as the host told. */
struct ucred;
void mf_ucred_to_guest(struct ucred *cred);

/* socket_option.c */
int64_t mf_socket_ioctl(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			uint64_t arg);

#endif
