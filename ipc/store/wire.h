/* SPDX-License-Identifier: MIT */
/*
 * The administrative socket of a store that is served, as bytes: docs/formats/store-socket.md. A
 * stream; the serving end says a hello, then each request has one reply.
 */
#ifndef MF_IPC_STORE_WIRE_H
#define MF_IPC_STORE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define MF_STORE_SOCKET_NAME    "store.sock" /* in the store's folder */
#define MF_STORE_SOCKET_MAGIC   0x4153464du  /* "MFSA" */
#define MF_STORE_SOCKET_VERSION 1u

/* The largest payload of a request or reply. */
#define MF_STORE_SOCKET_MAX (2u << 20)

struct mf_store_hello {
	uint32_t magic;
	uint32_t version;
};

struct mf_store_frame {
	uint32_t bytes; /* that follow */
	union {
		uint32_t function; /* of a request: <mayfly/abi/store.h>, store_admin.h */
		int32_t status;    /* of a reply: 0 or a negative errno */
	};
};

/* All of it, on a socket that blocks. 0; -ECONNRESET at the end; another errno. */
int mf_store_wire_read(int fd, void *to, size_t bytes);
int mf_store_wire_write(int fd, const void *from, size_t bytes);

#endif
