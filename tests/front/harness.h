/* SPDX-License-Identifier: MIT */
/*
 * A front door for tests: on a socket of its own, its loop in a thread, a backend that does what
 * the target says; the test is the client. One per process (Criterion runs each test in its own).
 *   /later* is answered after 30 ms with its target, /never not at all, /full and /down are not
 * taken, /crash /inject /big do what they say, /headers tells its own, anything else echoes the
 * body or else the target.
 */
#ifndef TESTS_FRONT_HARNESS_H
#define TESTS_FRONT_HARNESS_H

#include <criterion/criterion.h>
#include <stdatomic.h>

#include "request-vm/front/health.h"
#include "request-vm/front/server.h"

#define BIG_BYTES (8u << 20) /* of /big */
#define SOON_MS   20000      /* more than anything takes that waits for nothing */
#define TAIL      " HTTP/1.1\r\nHost: a\r\n\r\n"

enum { NONE, DRAIN, CLOSE };

extern struct mf_listener listener, health_listener;
extern struct mf_front_settings settings; /* set before start() */
extern bool over_tcp;                     /* set before start() */
extern unsigned int later_ms;             /* when /later is answered; set before start() */
extern struct mf_front_stats final_stats; /* after join() */
extern _Atomic int drained, cancelled, running, not_ready;
extern char heard[256 << 10];

/* WIRE and RAW: the program that serves; called at submit and whenever it may go on. */
extern void (*program)(struct mf_front_request *request);

/* the server's side */
void defaults(void);
void start(void);
void send_command(int what);
void join(void);
void stop(void); /* close and join */

/* the client's side */
int dial_to(const struct mf_listener *to);
int dial(void);
void say_bytes(int fd, const char *text, size_t size);
void say(int fd, const char *text);
/* Reads into `heard` until it ends with `end`, or to the end of the stream. */
size_t hear_until(int fd, const char *end);
bool closed_within(int fd, int ms);
void wait_for(_Atomic int *what, int value);

#define HEARD(text)     cr_expect(strstr(heard, text) != NULL, "no \"%s\" in: %s", text, heard)
#define NOT_HEARD(text) cr_expect(strstr(heard, text) == NULL, "\"%s\" in: %s", text, heard)

#endif
