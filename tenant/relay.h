/* SPDX-License-Identifier: MIT */
/*
 * Signals that this process gets from outside and that are meant for the program it runs: ^C, ^\,
 * a hang-up, a terminal that changes its size, kill(1). For `mayfly run` alone: one program, on the
 * thread that opens the relay. What the caller ignores (nohup, or a shell's background) the program
 * ignores, too, until it says otherwise; ^Z stops the process with the program in it.
 */
#ifndef MF_TENANT_RELAY_H
#define MF_TENANT_RELAY_H

#include <signal.h>

#include "engine/linux/process.h"

/* The signals that the caller ignores: as policy.ignored. First of all. */
uint64_t mf_relay_ignored(void);

/* Take the signals over: each kicks the VM with MF_KICK_RELAY. Before the process is confined;
 * `process` is given when it is there. */
void mf_relay_open(void);
void mf_relay_set(struct mf_process *process); /* NULL: they wait */

/* Send the program what has come. True when it died of it: `exit` says so. */
bool mf_relay_deliver(struct mf_process *process, struct mf_exit *exit);

/* Hold the signals off, and let them in again: between them nothing is missed. `before` is for
 * ppoll(2). */
void mf_relay_block(sigset_t *before);
void mf_relay_unblock(const sigset_t *before);

#endif
