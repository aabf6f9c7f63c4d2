/* SPDX-License-Identifier: MIT */
/*
 * What an engine tells about itself, and its form as JSON: docs/formats/control.md. Plain data
 * without knowledge of where the numbers come from. One table in status.c says member, group,
 * words and unit of each field; encoding, decoding and printing follow it.
 */
#ifndef MF_IPC_CONTROL_STATUS_H
#define MF_IPC_CONTROL_STATUS_H

#include <stdint.h>
#include <stdio.h>

struct mf_control_status {
	/* engine; texts are cut to fit */
	char version[32];
	char state[16]; /* starting, serving, draining */
	char kvm[24];   /* family */
	char program[256];
	char listen[128];
	uint64_t pid;
	uint64_t uptime_ms;
	/* workers */
	uint64_t workers;
	uint64_t workers_answering; /* the others' numbers are those that they told last */
	/* VMs */
	uint64_t vms;
	uint64_t vms_forked; /* exist now */
	uint64_t vms_busy;
	uint64_t vms_idle;
	uint64_t vms_discarded;
	/* queue */
	uint64_t queued;
	uint64_t queue_limit;
	/* requests that the pools were given, and what became of them */
	uint64_t requests;
	uint64_t ok;
	uint64_t crash;
	uint64_t memory;
	uint64_t response;
	uint64_t deadline;
	uint64_t too_large;
	uint64_t conflict;
	uint64_t store_failed;
	uint64_t committed;
	uint64_t reruns;
	uint64_t rejected; /* queue full */
	/* resets */
	uint64_t resets;
	uint64_t audits;
	uint64_t audit_failures;
	uint64_t pages_copied;
	uint64_t reset_us; /* of all of them */
	/* costs of finished requests */
	uint64_t user_exits;
	uint64_t page_faults;
	/* what all requests did, or waited for, until now: request-vm/times.h */
	uint64_t queue_ns;
	uint64_t turn_ns;
	uint64_t run_ns;
	uint64_t store_ns;
	uint64_t calls_ns;
	uint64_t client_ns;
	/* the workers' threads: not waiting for something to do; with a processor */
	uint64_t busy_ns;
	uint64_t cpu_ns;
	/* front door */
	uint64_t accepted;
	uint64_t connections; /* now */
	uint64_t running;     /* now */
	uint64_t refused;
	uint64_t unavailable;
	uint64_t cancelled;
	uint64_t invalid;
	uint64_t timeouts;
	uint64_t dropped;
	uint64_t unsent_bytes; /* now */
	uint64_t limited;      /* over the rate */
	uint64_t given_back;   /* to the router */
	/* the store; all 0 without one */
	uint64_t store_up;
	uint64_t store_polling;
	uint64_t store_restarts;
	uint64_t store_calls;
	uint64_t store_commits;
	uint64_t store_lost; /* calls that died with the storage program */
	uint64_t store_hand_offs;
	uint64_t store_wakes;
	uint64_t store_user_exits;
	uint64_t store_in_place;            /* values that requests found in place, as they say */
	uint64_t store_window_bytes;        /* of the file, that are mapped into a request VM */
	uint64_t store_window_slots;        /* of KVM, of each of them */
	uint64_t store_window_kernel_bytes; /* of the kernel's memory, of each, about */
	uint64_t store_fenced;              /* 1: another engine has the folder by now */
};

/* For people: a line a field. Control characters of texts are replaced. */
void mf_control_status_print(const struct mf_control_status *status, FILE *to);

#endif
