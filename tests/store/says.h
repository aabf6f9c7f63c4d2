/* SPDX-License-Identifier: MIT */
/* What a test program does with what its storage VM says, and when it cannot go on. */
#ifndef MF_TESTS_STORE_SAYS_H
#define MF_TESTS_STORE_SAYS_H

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

_Noreturn static inline void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static inline void say(const char *text)
{
	fprintf(stderr, "      store: %s\n", text);
}

static inline ssize_t print(void *cookie, int fd, const void *bytes, size_t count)
{
	(void)cookie;
	return write(fd, bytes, count);
}

#endif
