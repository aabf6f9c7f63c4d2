/* SPDX-License-Identifier: MIT */
/* Running the storage VM's vCPU, on whichever thread has it. */
#include "storage-vm/internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* It waits for something of its own (a sleep, a pipe): on the store's thread only, and for a slice
 * at most. Whether it waits too long, or the store is to stop, is the caller's to see; it asks
 * again. */
static void wait_for(const struct mf_exit *exit, uint64_t slice_ns)
{
	struct pollfd fd = {.fd = exit->wait_fd, .events = exit->wait_events};
	uint64_t now = mf_now_ns();
	uint64_t left = exit->wait_until_ns > now ? exit->wait_until_ns - now : 0;
	struct timespec span;

	left = left < slice_ns ? left : slice_ns;
	span = (struct timespec){(time_t)(left / 1000000000ull), (long)(left % 1000000000ull)};
	ppoll(&fd, fd.fd >= 0, &span, NULL);
}

static void say_death(const struct mf_exit *exit, char text[160])
{
	if (exit->kind == MF_EXIT_EXITED)
		snprintf(text, 160, "it exited with status %d", exit->status);
	else if (exit->kind == MF_EXIT_READY || exit->kind == MF_EXIT_RESPOND)
		snprintf(text, 160,
			 "it waits for requests as a request program does; a storage "
			 "program calls mf_storage_serve() of <mayfly/storage.h>");
	else
		snprintf(text, 160, "%s",
			 exit->text[0] ? exit->text : "it did what no program does");
}

/* True when it is to run on. */
static bool on_exit_of(struct mf_store *store, const struct mf_exit *exit, uint64_t wait_ns,
		       enum store_end *end, char text[160])
{
	switch (exit->kind) {
	case MF_EXIT_CHANNEL_WAIT:
		mf_vm_answer(&store->process.vm, 0);
		*end = STORE_IDLE;
		return false;
	case MF_EXIT_CHANNEL_WAKE:
		mf_vm_answer(&store->process.vm, 0);
		pthread_mutex_lock(&store->lock);
		mf_store_notify(store, false);
		pthread_mutex_unlock(&store->lock);
		return true;
	case MF_EXIT_LOG:
		mf_process_log(&store->process, exit);
		return true;
	case MF_EXIT_KICKED:
		*end = STORE_SLICED;
		return false;
	case MF_EXIT_WAIT:
		*end = STORE_BLOCKED;
		if (wait_ns)
			wait_for(exit, wait_ns);
		return false;
	default:
		say_death(exit, text);
		*end = STORE_DEAD;
		return false;
	}
}

enum store_end mf_store_run(struct mf_store *store, struct mf_watch *watch, uint64_t slice_ns,
			    char text[160])
{
	uint64_t wait_ns = mf_store_is_own_thread(store) ? slice_ns : 0;
	struct mf_watch_limits limits = {.slice_ns = slice_ns};
	enum store_end end = STORE_DEAD;
	struct mf_exit exit;

	do {
		mf_watch_enter(watch, &store->process.vm, &limits);
		mf_process_run(&store->process, &exit);
		mf_watch_leave(watch);
	} while (on_exit_of(store, &exit, wait_ns, &end, text));
	return end;
}
