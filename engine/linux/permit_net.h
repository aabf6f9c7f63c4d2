/* SPDX-License-Identifier: MIT */
/*
 * Which addresses a program may talk to: nothing, unless a rule allows it. Two lists of rules: what
 * it may connect and send to, and what it may bind to and listen on. Names are resolved once, when
 * the rules are made; a guest's addresses are compared as numbers. Knows no sockets, no guest
 * memory and no descriptors of a guest.
 *
 * A rule is one of
 *   HOST[:PORT]   HOST: a name (all its addresses), an IPv4 address, an IPv6 address in brackets,
 *                 either with /BITS for a network, or * for every address of IPv4 and IPv6.
 *                 PORT: a number, LOW-HIGH, or * (as without one) for every port.
 *   :PORT         every address, that port
 *   unix:PATH     the Unix socket of that name, which may not exist yet; with a slash at the end,
 *                 those in that directory and beneath. Its directory must exist.
 *   unix:@NAME    an abstract Unix socket; with * at the end, all that begin so
 *   unix:*        every Unix socket, abstract ones too
 *
 * How addresses are compared: ::ffff:a.b.c.d is a.b.c.d. To connect to 0.0.0.0 or :: is to connect
 * to 127.0.0.1 or ::1, as Linux does it. To listen on 0.0.0.0 or :: needs a rule of that address,
 * of a network that holds it, or *. To bind to port 0 (any that is free) needs a rule for every
 * port, or for port 0. An IPv6 scope is not looked at.
 *
 * Immutable after create; may be used by many threads.
 */
#ifndef MF_ENGINE_LINUX_PERMIT_NET_H
#define MF_ENGINE_LINUX_PERMIT_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "include/mayfly/error.h"

struct mf_permit_net;

/* What a command line says. `all`: every address of IPv4 and IPv6, but no Unix socket. */
struct mf_net_rules {
	bool all;
	const char *const *rules;
	size_t count;
};

enum mf_net_use {
	MF_NET_CONNECT, /* connect, send to */
	MF_NET_LISTEN,  /* bind, listen */
};

/*
 * Resolve the rules; each of the three may be NULL. `both` is for either use. On success the caller
 * owns *permit. -EINVAL (no such rule), -ENOENT (a name that has no address, a directory that is
 * not there) and the like with a sentence; nothing is left behind on failure. May block (DNS).
 */
int mf_permit_net_create(struct mf_permit_net **permit, const struct mf_net_rules *both,
			 const struct mf_net_rules *connect, const struct mf_net_rules *listen,
			 struct mf_error *err);
void mf_permit_net_destroy(struct mf_permit_net *permit); /* NULL is fine */

/*
 * May this address (AF_INET, AF_INET6, or AF_UNIX without a path: abstract or unnamed) be used so?
 * False for one that is too short or of another family. A NULL permit allows nothing.
 */
bool mf_permit_net_allows(const struct mf_permit_net *permit, enum mf_net_use use,
			  const struct sockaddr *address, socklen_t bytes);

/*
 * The addresses that this name had when the rules were made, as numbers, as far as a rule of that
 * name allows the port: how many, at most `room`. 0 for a name that no rule has.
 */
size_t mf_permit_net_lookup(const struct mf_permit_net *permit, enum mf_net_use use,
			    const char *name, unsigned int port, char addresses[][INET6_ADDRSTRLEN],
			    size_t room);

/*
 * A Unix socket with a path, cleaned (mf_permit_clean). The descriptor (O_PATH, the permit's) of
 * the directory beneath which `rest`, a part of `clean`, is to be looked up; -EACCES when no rule
 * allows it. The caller looks it up with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, so that no link
 * leads to another socket.
 */
int mf_permit_net_unix(const struct mf_permit_net *permit, enum mf_net_use use, const char *clean,
		       const char **rest);

/* Is there any rule for addresses of that family (AF_*)? If not, its sockets need not be made. */
bool mf_permit_net_has(const struct mf_permit_net *permit, enum mf_net_use use, int family);

/*
 * For the confinement: the TCP ports that rules name, as a range each ([0] lowest, [1] highest).
 * The array is the permit's.
 */
const unsigned int (*mf_permit_net_ports(const struct mf_permit_net *permit, enum mf_net_use use,
					 size_t *count))[2];

/* "10.0.0.1:80", "[::1]:80", "unix:/path", "unix:@name": as a rule that would allow it. */
void mf_permit_net_print(const struct sockaddr *address, socklen_t bytes, char *text, size_t room);

#endif
