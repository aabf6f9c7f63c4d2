/* SPDX-License-Identifier: MIT */
/* Sockets by the same address form as mayfly's: unix:PATH or 127.0.0.1:PORT. */
#ifndef BENCH_SOCKET_H
#define BENCH_SOCKET_H

int bench_listen(const char *address);
/* No delay on TCP. -1 when there is none. */
int bench_accept(int listener);
int bench_connect(const char *address);

#endif
