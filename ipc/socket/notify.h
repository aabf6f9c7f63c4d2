/* SPDX-License-Identifier: MIT */
/*
 * The protocol of sd_notify(3), both ends: a datagram of NAME=VALUE lines to the Unix socket that
 * NOTIFY_SOCKET names. Engines tell mayflyd so that they are ready; mayflyd tells systemd.
 */
#ifndef MF_IPC_SOCKET_NOTIFY_H
#define MF_IPC_SOCKET_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MF_NOTIFY_MAX 1024u

/* Who is told: a descriptor, or -1 when nobody wants to be. Set-up phase: it makes a socket. */
int mf_notify_open(void);

/* Tell "READY=1" and the like. Never waits; -1 is fine. */
void mf_notify_say(int fd, const char *text);

/* How often "WATCHDOG=1" is wanted of this process (half of WATCHDOG_USEC); 0: never. */
uint64_t mf_notify_watchdog_ms(void);

/*
 * The other end, bound to a path: one datagram as text, and the process that sent it (as the kernel
 * says). False: there is none.
 */
int mf_notify_bind(const char *path);
bool mf_notify_receive(int fd, char text[MF_NOTIFY_MAX], pid_t *pid);

/* Does the text have this line? */
bool mf_notify_has(const char *text, const char *line);

#endif
