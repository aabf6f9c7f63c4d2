/* SPDX-License-Identifier: MIT */
/*
 * The process of mayflyd that shows how its tenants are, over HTTP: metrics, a page for people, and
 * what that page draws. It is confined, reads what clients send, and asks the control sockets of
 * mayflyd and its engines; mayflyd itself reads nothing of a client.
 */
#ifndef MF_SUPERVISOR_EXPORTER_H
#define MF_SUPERVISOR_EXPORTER_H

/* Serve on a socket that listens until mayflyd ends it; `control`: path of mayflyd's control
 * socket. The process's exit status. */
int mf_exporter_run(int fd, const char *control);

#endif
