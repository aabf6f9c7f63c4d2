/* SPDX-License-Identifier: MIT */
/*
 * The server of isolation_test.py, in parts: isolation_guest.c (it serves, counts and dies),
 * isolation_hide.c (puts a secret wherever it can), isolation_find.c (looks for it).
 */
#ifndef TESTS_POOL_ISOLATION_H
#define TESTS_POOL_ISOLATION_H

#include <stddef.h>
#include <stdint.h>

#define SECRET 16

/* How a request with a secret ends. */
enum { END_ANSWER, END_CRASH, END_EXIT, END_SPIN, END_TRIPLE };

/* What it is asked to do: the first bytes of a body. */
struct order {
	uint8_t secret[SECRET];
	uint32_t places; /* a bit each, in isolation_hide.c */
	uint32_t end;
};

extern int listener, epoll;
extern char in_bss[64 * SECRET], *on_heap, *mapped;
#define HEAP_BYTES   4096
#define MAPPED_BYTES 65536
#define DEEP         (200 << 10) /* bytes of stack that are used and searched */

/* All registers as they were behind the last epoll_wait. */
extern uint64_t registers[16];
extern uint8_t vectors[8192];

void hide(const struct order *order);
/* Loads the secret into all registers and ends as the order says; does not return. */
void end_with_secret(const struct order *order) __attribute__((noreturn));

/* How often half of the secret is in reach; `complement` has all its bits inverted. */
unsigned int find(const uint8_t *complement);
/* What Linux keeps about the program, a word and a checksum a part. */
void describe(char *text, size_t room);

#endif
