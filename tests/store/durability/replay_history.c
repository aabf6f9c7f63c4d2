/* SPDX-License-Identifier: MIT */
/* From a log to the states of the store, and the order of things in it. */
#include "tests/store/durability/replay_check.h"
#include "tests/store/durability/replay_disk.h"

#include <mayfly/abi/store.h>

#include <stdio.h>
#include <stdlib.h>

static const struct call *call_of(const struct history *history, size_t event)
{
	return &history->calls[history->log->events[event].call];
}

static bool changes(const struct call *call)
{
	return !call->status && call->function != MF_KV_GET;
}

static bool complain(const struct call *call, size_t event, char why[WHY_BYTES])
{
	snprintf(why, WHY_BYTES,
		 "event %zu: the reply to a call of function %u on table %u, key %u (status %d, "
		 "%zu bytes) is not what the acknowledged calls before it say",
		 event, call->function, call->table, call->key, call->status, call->reply_bytes);
	return false;
}

/*
 * Acknowledgements with nothing of the door between them: those that changed something were one
 * group, applied in the channels' order. A call that changed nothing
 * was one of them or came after them.
 */
static bool replay_run_of(struct history *history, struct model *model, size_t from, size_t to,
			  bool *changed, char why[WHY_BYTES])
{
	bool *open = calloc(to - from + 1, sizeof(*open));
	size_t wrong = 0;

	*changed = false;
	for (unsigned int channel = 0; channel < CHANNELS; channel++) {
		for (size_t i = from; i < to; i++) {
			const struct call *call = call_of(history, i);

			if (call->channel != channel)
				continue;
			open[i - from] = !model_agrees(model, call);
			if (changes(call)) {
				*changed = true;
				model_apply(model, call);
				wrong = open[i - from] ? i : wrong;
			}
		}
	}
	for (size_t i = from; i < to && !wrong; i++)
		if (open[i - from] && !model_agrees(model, call_of(history, i)))
			wrong = i;
	free(open);
	return !wrong || complain(call_of(history, wrong), wrong, why);
}

static size_t end_of_run(const struct log *log, size_t from)
{
	while (from < log->count && log->events[from].kind == EVENT_ACK)
		from++;
	return from;
}

static void find_file(struct history *history)
{
	const struct log *log = history->log;

	for (size_t i = 0; i < log->count; i++)
		if (log->events[i].kind == EVENT_WRITE) {
			history->file = log->events[i].file;
			if (log->events[i].hidden)
				history->visible = i + 2; /* with its end */
		} else if (log->events[i].kind == EVENT_SYNC && log->events[i].hidden) {
			history->visible = i + 2;
		}
}

/* The group whose commit failed: all calls that were never answered, each channel's in turn. */
static void apply_lost(struct history *history, const struct model *before, size_t calls)
{
	struct model model = *before;

	for (unsigned int channel = 0; channel < CHANNELS; channel++)
		for (size_t i = 0; i < calls; i++)
			if (!history->calls[i].answered && history->calls[i].channel == channel &&
			    !model_status(&model, &history->calls[i]))
				model_apply(&model, &history->calls[i]);
	history->has_lost = true;
	history->lost_after = history->groups;
	history->lost_sum = model.sum;
}

bool history_make(struct history *history, const struct run *run, char why[WHY_BYTES])
{
	const struct log *log = &run->recorder.log;
	struct model model = {0};
	bool good = true;
	size_t to;

	*history = (struct history){.log = log, .calls = run->calls};
	history->sums = calloc(log->count + 1, sizeof(*history->sums));
	history->acknowledged = calloc(log->count + 2, sizeof(*history->acknowledged));
	if (!history->sums || !history->acknowledged)
		abort();
	find_file(history);
	for (size_t i = 0; i < log->count && good; i = to) {
		bool changed = false;

		to = end_of_run(log, i);
		if (i && i == run->recorder.failed)
			apply_lost(history, &model, run->count);
		if (to > i)
			good = replay_run_of(history, &model, i, to, &changed, why);
		if (changed)
			history->sums[++history->groups] = model.sum;
		/* A crash before the first reply of the group was seen may lose it. */
		to = to > i ? to : i + 1;
		for (size_t j = i + 1; j <= to; j++)
			history->acknowledged[j] = history->groups;
	}
	return good;
}

void history_finish(struct history *history)
{
	free(history->sums);
	free(history->acknowledged);
}

bool order_holds(const struct history *history, char why[WHY_BYTES])
{
	const struct log *log = history->log;
	size_t wrong = 0;
	struct disk disk;

	disk_init(&disk, log, history->file, STORE_BYTES);
	for (size_t i = 0; i < log->count && !wrong; i++) {
		const struct event *event = &log->events[i];
		/* Reads go on beside a commit, and see none of it. */
		bool needs =
			(event->kind == EVENT_ACK && call_of(history, i)->function != MF_KV_GET) ||
			(event->kind == EVENT_WRITE && event->durable);

		if (needs && disk_unsure(&disk))
			wrong = i;
		disk_step(&disk, i);
	}
	disk_finish(&disk);
	if (wrong)
		snprintf(why, WHY_BYTES, "event %zu: %s before the sync that covers what it says",
			 wrong,
			 log->events[wrong].kind == EVENT_ACK ? "an acknowledgement"
							      : "a durable write");
	return !wrong;
}
