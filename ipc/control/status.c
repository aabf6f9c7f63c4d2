/* SPDX-License-Identifier: MIT */
#include "ipc/control/fields.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#define TEXT(group, name, words, field)                                                       \
	{                                                                                     \
		group, name, words, MF_FIELD_TEXT, offsetof(struct mf_control_status, field), \
			sizeof(((struct mf_control_status *)0)->field)                        \
	}
#define COUNT(group, name, words, field)                                                       \
	{                                                                                      \
		group, name, words, MF_FIELD_COUNT, offsetof(struct mf_control_status, field), \
			sizeof(uint64_t)                                                       \
	}
#define TIME(group, name, words, field)                                                       \
	{                                                                                     \
		group, name, words, MF_FIELD_TIME, offsetof(struct mf_control_status, field), \
			sizeof(uint64_t)                                                      \
	}

const struct mf_control_field mf_control_fields[] = {
	TEXT("engine", "version", "version", version),
	COUNT("engine", "pid", "process", pid),
	TIME("engine", "uptime_ms", "up for", uptime_ms),
	TEXT("engine", "state", "state", state),
	TEXT("engine", "kvm", "KVM family", kvm),
	TEXT("engine", "program", "program", program),
	TEXT("engine", "listen", "listens on", listen),
	COUNT("workers", "total", "total", workers),
	COUNT("workers", "answering", "answering", workers_answering),
	COUNT("vms", "total", "total", vms),
	COUNT("vms", "forked", "forked", vms_forked),
	COUNT("vms", "busy", "busy", vms_busy),
	COUNT("vms", "idle", "idle", vms_idle),
	COUNT("vms", "discarded", "discarded", vms_discarded),
	COUNT("queue", "length", "waiting", queued),
	COUNT("queue", "limit", "limit", queue_limit),
	COUNT("requests", "total", "total", requests),
	COUNT("requests", "ok", "answered", ok),
	COUNT("requests", "crash", "crashed", crash),
	COUNT("requests", "memory", "out of memory", memory),
	COUNT("requests", "response", "no valid response", response),
	COUNT("requests", "deadline", "deadline", deadline),
	COUNT("requests", "too_large", "too large", too_large),
	COUNT("requests", "conflict", "in conflict", conflict),
	COUNT("requests", "store", "store failed", store_failed),
	COUNT("requests", "committed", "committed", committed),
	COUNT("requests", "reruns", "served again", reruns),
	COUNT("requests", "rejected", "queue full", rejected),
	COUNT("resets", "total", "total", resets),
	COUNT("resets", "audits", "audited", audits),
	COUNT("resets", "audit_failures", "unclean", audit_failures),
	COUNT("resets", "pages_copied", "pages copied", pages_copied),
	COUNT("resets", "time_us", "microseconds", reset_us),
	COUNT("costs", "user_exits", "user exits", user_exits),
	COUNT("costs", "page_faults", "page faults", page_faults),
	COUNT("spent", "queue_ns", "in the queue", queue_ns),
	COUNT("spent", "turn_ns", "for their turn", turn_ns),
	COUNT("spent", "run_ns", "running", run_ns),
	COUNT("spent", "store_ns", "for the store", store_ns),
	COUNT("spent", "calls_ns", "in calls", calls_ns),
	COUNT("spent", "client_ns", "for clients", client_ns),
	COUNT("processor", "busy_ns", "wanted", busy_ns),
	COUNT("processor", "cpu_ns", "had", cpu_ns),
	COUNT("front", "accepted", "accepted", accepted),
	COUNT("front", "connections", "connections now", connections),
	COUNT("front", "running", "running now", running),
	COUNT("front", "refused", "bad requests", refused),
	COUNT("front", "unavailable", "unavailable", unavailable),
	COUNT("front", "cancelled", "clients gone", cancelled),
	COUNT("front", "invalid", "invalid responses", invalid),
	COUNT("front", "timeouts", "slow clients", timeouts),
	COUNT("front", "dropped", "dropped responses", dropped),
	COUNT("front", "unsent_bytes", "unsent bytes", unsent_bytes),
	COUNT("front", "limited", "over the rate", limited),
	COUNT("front", "given_back", "given back", given_back),
	COUNT("store", "up", "up", store_up),
	COUNT("store", "polling", "polling", store_polling),
	COUNT("store", "restarts", "restarts", store_restarts),
	COUNT("store", "calls", "calls", store_calls),
	COUNT("store", "commits", "commits", store_commits),
	COUNT("store", "lost", "calls lost", store_lost),
	COUNT("store", "hand_offs", "hand-offs", store_hand_offs),
	COUNT("store", "wakes", "wakes", store_wakes),
	COUNT("store", "user_exits", "user exits", store_user_exits),
	COUNT("store", "in_place", "read in place", store_in_place),
	COUNT("store", "window_bytes", "window", store_window_bytes),
	COUNT("store", "window_slots", "slots of it", store_window_slots),
	COUNT("store", "window_kernel_bytes", "kernel's a VM", store_window_kernel_bytes),
	COUNT("store", "fenced", "fenced", store_fenced),
	{0},
};

/* Whatever came over the socket goes to a terminal. */
static void print_text(const char *text, FILE *to)
{
	for (; *text; text++)
		putc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, to);
	putc('\n', to);
}

static void print_time(uint64_t ms, FILE *to)
{
	uint64_t s = ms / 1000;

	if (s >= 86400)
		fprintf(to, "%" PRIu64 "d ", s / 86400);
	if (s >= 3600)
		fprintf(to, "%" PRIu64 "h ", s / 3600 % 24);
	if (s >= 60)
		fprintf(to, "%" PRIu64 "m ", s / 60 % 60);
	fprintf(to, "%" PRIu64 ".%" PRIu64 "s\n", s % 60, ms % 1000 / 100);
}

void mf_control_status_print(const struct mf_control_status *status, FILE *to)
{
	const char *group = "";

	for (const struct mf_control_field *f = mf_control_fields; f->group; f++) {
		const void *at = (const char *)status + f->offset;

		fprintf(to, "%-9s %-18s ", strcmp(group, f->group) ? f->group : "", f->words);
		group = f->group;
		if (f->kind == MF_FIELD_TEXT)
			print_text(at, to);
		else if (f->kind == MF_FIELD_TIME)
			print_time(*(const uint64_t *)at, to);
		else
			fprintf(to, "%" PRIu64 "\n", *(const uint64_t *)at);
	}
}
