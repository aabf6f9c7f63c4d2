/* SPDX-License-Identifier: MIT */
/*
 * What a proxy in front says of its client before the client's first byte: HAProxy's PROXY protocol
 * (doc/proxy-protocol.txt there), version 1 (a line) and 2 (binary). Untrusted bytes in any pieces,
 * until it is complete. Strict: a sender that says anything else is cut off, for what would follow
 * is not known to be a client's. It knows no socket; private to the front door.
 *
 *   1: PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT CR LF, one blank each, addresses as inet_pton
 *      reads them, ports without zeros in front; PROXY UNKNOWN and whatever follows up to CR LF.
 *      107 bytes at the most
 *   2: commands LOCAL and PROXY, streams over IPv4, IPv6 and Unix sockets, and none; what follows
 *      the addresses has to be of whole fields (TLVs), which are passed over. 2,048 bytes at the
 *      most
 */
#ifndef REQUEST_VM_FRONT_PREAMBLE_H
#define REQUEST_VM_FRONT_PREAMBLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define MF_PREAMBLE_LINE_MAX 107u
#define MF_PREAMBLE_MAX      2048u

enum mf_preamble_state {
	MF_PREAMBLE_MORE, /* all was taken */
	MF_PREAMBLE_DONE,
	MF_PREAMBLE_BAD, /* ever after */
};

/* Zeroed at first. */
struct mf_preamble {
	/* with DONE; of no bytes: the proxy speaks for itself, or does not know */
	struct sockaddr_storage from;
	socklen_t from_bytes;
	/* the parser's */
	uint32_t have;
	uint8_t bytes[MF_PREAMBLE_MAX];
};

/* Takes bytes up to the end of the preamble; *used says how many. Not after DONE. */
enum mf_preamble_state mf_preamble_feed(struct mf_preamble *preamble, const void *data, size_t size,
					size_t *used);

#endif
