/* SPDX-License-Identifier: MIT */
/* Running the storage VM's vCPU, on whichever thread has it. */
#include "storage-vm/internal.h"

#include "engine/kvm/probe.h"
#include "engine/linux/disk.h"

#include <stdio.h>

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

/* What it waits for, but for the disk: that tells by itself. */
static void note_rest(struct mf_store *store, const struct mf_exit *exit)
{
	bool is_disk = exit->wait_fd == mf_disk_fd(store->disk);

	store->rest = (struct mf_store_rest){is_disk ? -1 : exit->wait_fd, exit->wait_events,
					     exit->wait_until_ns};
}

static bool is_parked(struct mf_store *store)
{
	return __atomic_load_n(&store->process.channel_parked, __ATOMIC_RELAXED);
}

static void notify(struct mf_store *store)
{
	pthread_mutex_lock(&store->lock);
	mf_store_notify(store, false);
	pthread_mutex_unlock(&store->lock);
}

/* Has one of its threads left something for the one that waits for calls? That one looks then. */
static bool has_news(struct mf_store *store)
{
	return __atomic_load_n(&store->control->news, __ATOMIC_RELAXED) &&
	       __atomic_exchange_n(&store->control->news, 0, __ATOMIC_SEQ_CST) &&
	       mf_process_news(&store->process);
}

/* True: nobody but others gains by its running on. */
static bool is_answered(struct mf_store *store, const struct mf_waiter *waiter)
{
	return waiter && mf_store_has_answer(store, waiter);
}

/* Who waits for calls has none to look at. True: others of its threads run on. */
static bool on_channel_wait(struct mf_store *store, const struct mf_waiter *waiter,
			    enum store_end *end)
{
	bool has_others = mf_linux(&store->process)->thread_count > 1;

	*end = STORE_IDLE;
	if (has_others && mf_process_can_run(&store->process) && is_answered(store, waiter)) {
		*end = STORE_SLICED;
		return false;
	}
	if (has_others)
		notify(store); /* the others may take long */
	return has_others;     /* if all of them wait, it is said for what */
}

/*
 * Its calls and answers are moved; it runs on when there are new ones for it. False with *end: not
 * now.
 */
static bool on_calls(struct mf_store *store, const struct mf_waiter *waiter, enum store_end *end,
		     char text[160])
{
	struct mf_calls *calls = store->calls_of;
	bool moved;

	calls->answered = false;
	if (!mf_calls_move(store, &moved, text)) {
		*end = STORE_DEAD;
		return false;
	}
	if (calls->answered)
		notify(store);
	*end = moved ? STORE_SLICED : calls->flying ? STORE_BLOCKED : STORE_IDLE;
	return moved && !(waiter && mf_store_has_answer(store, waiter));
}

/* All of it waits. True when it is to run on. */
static bool on_wait(struct mf_store *store, const struct mf_exit *exit,
		    const struct mf_waiter *waiter, enum store_end *end, char text[160])
{
	if (has_news(store))
		return true;
	note_rest(store, exit);
	if (mf_store_listens(store))
		return on_calls(store, waiter, end, text);
	*end = is_parked(store) || mf_calls_are_awaited(store) ? STORE_IDLE : STORE_BLOCKED;
	return false;
}

/* True when it is to run on. */
static bool on_exit_of(struct mf_store *store, const struct mf_exit *exit,
		       const struct mf_waiter *waiter, enum store_end *end, char text[160])
{
	switch (exit->kind) {
	case MF_EXIT_CHANNEL_WAIT:
		return on_channel_wait(store, waiter, end);
	case MF_EXIT_CHANNEL_WAKE:
		mf_vm_answer(&store->process.vm, 0);
		notify(store);
		*end = STORE_SLICED;
		return !is_answered(store, waiter);
	case MF_EXIT_LOG:
		mf_process_log(&store->process, exit);
		return true;
	case MF_EXIT_KICKED:
		*end = STORE_SLICED;
		return false;
	case MF_EXIT_WAIT:
		return on_wait(store, exit, waiter, end, text);
	case MF_EXIT_CONNECTION:
		return !mf_store_listens(store) || on_calls(store, NULL, end, text) ||
		       *end != STORE_DEAD;
	default:
		say_death(exit, text);
		*end = STORE_DEAD;
		return false;
	}
}

static enum store_end run(struct mf_store *store, struct mf_watch *watch, uint64_t slice_ns,
			  bool look, const struct mf_waiter *waiter, char text[160])
{
	struct mf_watch_limits limits = {.slice_ns = slice_ns};
	uint64_t end_ns = mf_now_ns() + slice_ns;
	enum store_end end = STORE_DEAD;
	struct mf_exit exit;

	store->rest = (struct mf_store_rest){.fd = -1, .until_ns = UINT64_MAX};
	mf_store_is_fenced(store, MF_DISK_LATELY); /* the program looks at its word of that */
	if (look)
		mf_process_news(&store->process);
	if ((mf_store_listens(store) || (look && mf_calls_are_awaited(store))) &&
	    !on_calls(store, NULL, &end, text) && end == STORE_DEAD)
		return end;
	for (;;) {
		mf_watch_enter(watch, &store->process.vm, &limits);
		mf_process_run(&store->process, &exit);
		mf_watch_leave(watch);
		if (!on_exit_of(store, &exit, waiter, &end, text))
			return end;
		/* Many short calls are no way to a longer turn. */
		if ((waiter || mf_store_listens(store)) && mf_now_ns() >= end_ns)
			return STORE_SLICED;
	}
}

enum store_end mf_store_run(struct mf_store *store, struct mf_watch *watch, uint64_t slice_ns,
			    bool look, const struct mf_waiter *waiter, char text[160])
{
	enum store_end end;

	MF_PROBE1(storage__begin, store);
	end = run(store, watch, slice_ns, look, waiter, text);
	MF_PROBE2(storage__done, store, end);
	return end;
}
