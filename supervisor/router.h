/* SPDX-License-Identifier: MIT */
/*
 * The router: a process of its own, confined, that accepts the connections of all tenants. It reads
 * the head of a connection's first request, finds whose that is, and passes the descriptor with the
 * bytes on to that tenant's engine (ipc/socket/handoff.h). It answers only what reaches no engine:
 * 404, 408, 431, 503. It is started by mayflyd, is told everything by it (link.h), and ends with
 * it.
 */
#ifndef MF_SUPERVISOR_ROUTER_H
#define MF_SUPERVISOR_ROUTER_H

/* Run it: confine the process, and route until mayflyd is gone. The exit status. */
int mf_router_run(int link_fd);

#endif
