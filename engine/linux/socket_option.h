/* SPDX-License-Identifier: MIT */
/* The socket options that a program may use: what the confinement of the engine allows, too. */
#ifndef MF_ENGINE_LINUX_SOCKET_OPTION_H
#define MF_ENGINE_LINUX_SOCKET_OPTION_H

#include <stdbool.h>
#include <stddef.h>

struct mf_socket_option {
	int level;
	int name;
	unsigned int use; /* enum mf_socket_option_use */
};

enum mf_socket_option_use {
	MF_OPTION_GET = 1,
	MF_OPTION_SET = 2,
	MF_OPTION_GROUP = 4, /* names a group address, to be looked up in the rules */
};

/* All of them; *count. The array is nobody's to free. */
const struct mf_socket_option *mf_socket_options(size_t *count);

#endif
