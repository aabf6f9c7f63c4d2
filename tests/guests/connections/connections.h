/* SPDX-License-Identifier: MIT */
/*
 * Cases of calls on sockets that listen and on the connections that they accept, in the words of
 * tests/linux/differential/case.h. When a case starts, `listener` listens where the program's
 * argument says (inet, inet6, unix) and client 0 has connected, not yet accepted. What the clients
 * do is asked of who runs the program (tests/engine/connections_test.c): client("0 send abc").
 */
#ifndef TESTS_GUESTS_CONNECTIONS_H
#define TESTS_GUESTS_CONNECTIONS_H

#include <poll.h>
#include <sys/socket.h>

#include "tests/linux/differential/case.h"

extern int listener;
extern int domain;

/*
 * Have a client do something, and wait until it has: N is its number.
 *   N open         a new one connects
 *   N send TEXT    N fill COUNT: so many bytes 'x'
 *   N shut         it sends no more
 *   N take COUNT   it reads so many bytes; they are printed
 *   N swallow      it reads all that comes from now on; how much is printed at the end
 *   N drain        the same, and nothing is printed
 *   N end          it reads what there is until the end, which is printed: end, reset
 *   N close        it closes; it should have read everything
 *   N reset        it is gone at once, and what was on its way is lost
 */
void client(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* accept(), quietly. */
int take(void);
/* The first thing of most cases: the connection of client 0. */
#define ACCEPTED int fd = take()

/* Unix sockets have no resets. */
#define INTERNET_ONLY          \
	if (domain == AF_UNIX) \
	return

/* Until one of the events holds, or so many bytes can be read; quietly. */
void await(int fd, int events);
void await_bytes(int fd, int count);

/* Write until there is no room, and none comes for a while; quietly. */
void fill(int fd, const void *bytes, size_t count);

/* poll() of the descriptor for everything, without time. */
void show_poll(const char *what, int fd);
/* An address as a call told it: `bytes` is what it said, `room` what it had. */
void show_name(const char *what, const void *address, socklen_t bytes, socklen_t room);

/* The address of the listener, to connect to. */
socklen_t own_name(struct sockaddr_storage *name);

#endif
