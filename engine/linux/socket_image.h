/* SPDX-License-Identifier: MIT */
/*
 * Sockets of an image file: what one is, so that it can be made anew where the file is loaded. Only
 * such as nothing has gone through yet: made, bound, listening, and pairs. Used by image.c alone.
 */
#ifndef MF_ENGINE_LINUX_SOCKET_IMAGE_H
#define MF_ENGINE_LINUX_SOCKET_IMAGE_H

#include <sys/socket.h>

#include "engine/linux/fd.h"
#include "engine/linux/permit_net.h"

#define MF_SOCKET_IMAGE_OPTIONS 32u

struct mf_socket_image_option {
	int32_t level;
	int32_t name;
	uint32_t bytes;
	uint32_t reserved; /* 0 */
	uint8_t value[16];
};

struct mf_socket_image {
	int32_t protocol;
	uint32_t address_bytes; /* that it is bound to; 0: none */
	struct sockaddr_storage address;
	uint32_t option_count; /* that are not as in a new one */
	uint32_t reserved;     /* 0 */
	struct mf_socket_image_option options[MF_SOCKET_IMAGE_OPTIONS];
};

/* Describe an image's socket. -ENOTSUP with a sentence when another process could not make it. */
int mf_socket_image_save(const struct mf_fd *entry, struct mf_socket_image *socket,
			 struct mf_error *err);

/* Could the description, from a file, be a socket of an image? `lx` is the state that it is in. */
bool mf_socket_image_is_sane(const struct mf_linux *lx, const struct mf_fd *entry);

/*
 * Make it anew, as `entry` says and with the rules of the new run: hosts[0], and for a pair
 * hosts[1], its other end, which gets its options by mf_socket_image_options(). -EBADMSG, -EACCES,
 * -EADDRINUSE and the like with a sentence.
 */
int mf_socket_image_make(const struct mf_fd *entry, const struct mf_socket_image *socket,
			 const struct mf_permit_net *net, int hosts[2], struct mf_error *err);
int mf_socket_image_options(int host, const struct mf_socket_image *socket, struct mf_error *err);

#endif
