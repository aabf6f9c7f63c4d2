/* SPDX-License-Identifier: MIT */
/*
 * Crashes below LMDB: every write, truncation and sync of a real storage VM is logged with every
 * acknowledgement, and for prefixes of the log files are made as a disk could hold them then. Each
 * must open, hold all that was acknowledged, and of what was not a whole group or nothing.
 *
 * MAYFLY_TEST_SEED repeats a run's random choices; MAYFLY_TEST_LONG tries every prefix.
 */
#include "tests/store/claims.h"
#include "tests/store/durability/replay_check.h"
#include "tests/store/durability/replay_disk.h"

#include <mayfly/abi/store.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static uint64_t seed;
static bool is_long;
static bool is_emulated;
static char why[WHY_BYTES];

/* ---- the disk itself, by hand ---- */

#define FILE_ID 7u

static size_t log_write(struct log *log, uint64_t offset, uint64_t bytes, uint8_t fill,
			bool durable)
{
	uint8_t *data = malloc(bytes);

	memset(data, fill, bytes);
	return log_append(log, (struct event){.kind = EVENT_WRITE,
					      .file = FILE_ID,
					      .offset = offset,
					      .bytes = bytes,
					      .data = data,
					      .durable = durable});
}

static void log_end(struct log *log, size_t of)
{
	log_append(log, (struct event){.kind = EVENT_END, .of = of});
}

static void log_sync(struct log *log)
{
	log_end(log, log_append(log, (struct event){.kind = EVENT_SYNC, .file = FILE_ID}));
}

struct desk {
	struct log log;
	struct disk disk;
};

static void desk_open(struct desk *desk)
{
	log_init(&desk->log);
	disk_init(&desk->disk, &desk->log, FILE_ID, 1 << 16);
}

/* What byte `at` is after each of many crashes at the log's end: bit 0..7 of a set of values 0..7.
 */
static unsigned int values_at(struct desk *desk, uint64_t at, bool tears)
{
	unsigned int set = 0;

	for (size_t i = 0; i < desk->log.count; i++)
		disk_step(&desk->disk, i);
	desk->disk.tears_sectors = tears;
	for (uint64_t i = 1; i < 400; i++) {
		disk_crash(&desk->disk, i);
		set |= 1u << (at < desk->disk.image_bytes ? desk->disk.image[at] : 7);
	}
	return set;
}

static void desk_close(struct desk *desk)
{
	disk_finish(&desk->disk);
	log_finish(&desk->log);
}

static bool is_set(unsigned int set, unsigned int wanted, const char *what)
{
	if (set != wanted)
		snprintf(why, sizeof(why), "%s: values %#x, should be %#x", what, set, wanted);
	return set == wanted;
}

static bool a_durable_write_covers_itself_and_no_other(void)
{
	struct desk desk;
	bool good;

	desk_open(&desk);
	log_end(&desk.log, log_write(&desk.log, 0, 8192, 1, false));
	log_end(&desk.log, log_write(&desk.log, 4096, 512, 2, true));
	good = is_set(values_at(&desk, 4100, false), 1 << 2, "the durable write") &&
	       is_set(values_at(&desk, 5000, false), 1 << 0 | 1 << 1 | 1 << 7, "the one before");
	desk_close(&desk);
	return good;
}

static bool a_sync_covers_what_had_returned_before_it_began(void)
{
	struct desk desk;
	size_t late;
	bool good;

	desk_open(&desk);
	log_end(&desk.log, log_write(&desk.log, 0, 512, 1, false));
	late = log_write(&desk.log, 512, 512, 2, false);
	log_sync(&desk.log);
	log_end(&desk.log, late);
	log_end(&desk.log, log_write(&desk.log, 0, 512, 3, false));
	good = is_set(values_at(&desk, 0, false), 1 << 1 | 1 << 3, "before the sync") &&
	       is_set(values_at(&desk, 600, false), 1 << 0 | 1 << 2 | 1 << 7, "not returned");
	desk_close(&desk);
	return good;
}

static bool a_sync_that_has_not_returned_covers_nothing(void)
{
	struct desk desk;
	bool good;

	desk_open(&desk);
	log_end(&desk.log, log_write(&desk.log, 0, 512, 1, false));
	log_append(&desk.log, (struct event){.kind = EVENT_SYNC, .file = FILE_ID});
	good = is_set(values_at(&desk, 0, false), 1 << 0 | 1 << 1 | 1 << 7, "the write");
	desk_close(&desk);
	return good;
}

/* A small write has only its end torn off: words of `fill`, then none. */
static bool is_a_beginning(const struct disk *disk, uint64_t at, uint64_t bytes, uint8_t fill)
{
	bool ended = false;

	for (uint64_t i = at; i < at + bytes && i < disk->image_bytes; i++) {
		if (ended && disk->image[i] == fill)
			return false;
		ended |= disk->image[i] != fill;
	}
	return true;
}

static bool unsynced_writes_come_in_any_order_and_in_parts(void)
{
	bool torn = false;
	bool whole = true;
	struct desk desk;
	bool good;

	desk_open(&desk);
	log_end(&desk.log, log_write(&desk.log, 0, 4096, 1, false));
	log_sync(&desk.log);
	log_end(&desk.log, log_write(&desk.log, 0, 4096, 2, false));
	log_end(&desk.log, log_write(&desk.log, 0, 4096, 3, false));
	log_end(&desk.log, log_write(&desk.log, 4096, 120, 4, false));
	good = is_set(values_at(&desk, 0, false), 1 << 1 | 1 << 2 | 1 << 3, "the first byte");
	for (uint64_t i = 1; i < 400; i++) {
		disk_crash(&desk.disk, i);
		torn |= desk.disk.image[0] != desk.disk.image[8];
		whole &= is_a_beginning(&desk.disk, 4096, 120, 4);
	}
	if (good && (!torn || !whole))
		snprintf(why, sizeof(why),
			 torn ? "a sector was torn other than at its end" : "no write was torn");
	desk_close(&desk);
	return good && torn && whole;
}

static bool a_truncation_counts_when_it_is_synced(void)
{
	struct desk desk;
	bool good;

	desk_open(&desk);
	log_end(&desk.log, log_write(&desk.log, 0, 4096, 1, false));
	log_sync(&desk.log);
	log_end(&desk.log,
		log_append(&desk.log,
			   (struct event){.kind = EVENT_TRUNCATE, .file = FILE_ID, .bytes = 1024}));
	good = is_set(values_at(&desk, 2000, false), 1 << 1 | 1 << 7, "not synced");
	desk_close(&desk);
	desk_open(&desk);
	log_end(&desk.log, log_write(&desk.log, 0, 4096, 1, false));
	log_end(&desk.log,
		log_append(&desk.log,
			   (struct event){.kind = EVENT_TRUNCATE, .file = FILE_ID, .bytes = 1024}));
	log_sync(&desk.log);
	good = good && is_set(values_at(&desk, 2000, false), 1 << 7, "synced");
	desk_close(&desk);
	return good;
}

/* ---- the store ---- */

static struct run run;
static struct history history;

static size_t count_of(enum event_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < run.recorder.log.count; i++)
		count += run.recorder.log.events[i].kind == kind;
	return count;
}

static bool record(const struct fault *fault, size_t calls)
{
	uint64_t dice = seed | 1;

	if (!run_open(&run, fault, calls)) {
		printf("SKIP replay: no /dev/kvm\n");
		exit(0);
	}
	if (run_calls(&run, calls, &dice)) {
		run_stop(&run);
		return true;
	}
	snprintf(why, sizeof(why), "the storage program died");
	return false;
}

static bool record_good(void)
{
	uint64_t began = mf_now_ns();

	if (!record(&(struct fault){0}, is_emulated ? 120 : 4200) ||
	    !history_make(&history, &run, why))
		return false;
	printf("      %zu calls, %zu groups, %zu events: %zu writes, %zu syncs, %zu "
	       "acknowledgements (%.1f s)\n",
	       run.count, history.groups, run.recorder.log.count, count_of(EVENT_WRITE),
	       count_of(EVENT_SYNC), count_of(EVENT_ACK), (double)(mf_now_ns() - began) / 1e9);
	return true;
}

static bool every_reply_is_what_the_acknowledged_calls_say(void)
{
	return record_good();
}

static bool every_acknowledgement_comes_after_the_sync_that_covers_it(void)
{
	return order_holds(&history, why);
}

/* The last acknowledgement of a write and the end of the sync before it change places. */
static bool an_acknowledgement_before_its_sync_is_found(void)
{
	struct event *events = run.recorder.log.events;
	size_t ack = run.recorder.log.count;
	struct event event;
	size_t end;
	bool found;

	while (--ack && !(events[ack].kind == EVENT_ACK &&
			  run.calls[events[ack].call].function == MF_KV_PUT))
		;
	for (end = ack;
	     end && !(events[end].kind == EVENT_END && events[events[end].of].kind == EVENT_SYNC);)
		end--;
	event = events[ack];
	events[ack] = events[end];
	events[end] = event;
	found = !order_holds(&history, why);
	events[end] = events[ack];
	events[ack] = event;
	if (!found)
		snprintf(why, sizeof(why), "nothing was found");
	return found;
}

/* The name of a new file is on the disk when its folder is. */
static bool the_folder_is_synced_before_the_first_acknowledgement(void)
{
	const struct log *log = &run.recorder.log;
	size_t i;

	for (i = history.visible; i < log->count && log->events[i].kind != EVENT_ACK; i++)
		if (log->events[i].kind == EVENT_SYNC && log->events[i].folder)
			return true;
	snprintf(why, sizeof(why), "event %zu: an acknowledgement, and the folder was not synced",
		 i);
	return false;
}

static void tell(const struct outcome *outcome, double seconds)
{
	printf("      %zu prefixes, %zu images (%zu of them copied and written to), %zu held the "
	       "group in progress (%.1f s)\n",
	       outcome->prefixes, outcome->images, outcome->copies, outcome->written, seconds);
	if (outcome->bad)
		snprintf(why, sizeof(why), "a crash before event %zu of %zu (image %#llx): %s",
			 outcome->event, run.recorder.log.count, (unsigned long long)outcome->seed,
			 outcome->why);
}

static struct outcome crash(const struct trial *trial)
{
	uint64_t began = mf_now_ns();
	struct outcome outcome = crash_and_read(&history, trial);

	tell(&outcome, (double)(mf_now_ns() - began) / 1e9);
	return outcome;
}

static bool any_crash_leaves_what_was_acknowledged_and_whole_groups(void)
{
	struct outcome outcome = crash(&(struct trial){.seed = seed,
						       .seconds = is_long       ? 0
								  : is_emulated ? 6
										: 12,
						       .images = is_long ? 16 : 2});

	if (!outcome.bad && !outcome.written)
		snprintf(why, sizeof(why), "no image held a group that was not answered yet");
	return !outcome.bad && outcome.written;
}

static bool the_storage_vm_itself_starts_over_what_a_crash_left(void)
{
	uint64_t dice = seed | 1;
	size_t wanted = is_emulated ? 2 : is_long ? 200 : 20;
	const char *said = NULL;
	struct disk disk;

	disk_init(&disk, history.log, history.file, STORE_BYTES);
	for (size_t i = 0; i < history.log->count && !said; i++) {
		if (i >= history.visible && roll(&dice) % history.log->count < wanted) {
			disk_crash(&disk, roll(&dice));
			said = run_try(&run, disk.fd);
		}
		disk_step(&disk, i);
	}
	disk_finish(&disk);
	if (said)
		snprintf(why, sizeof(why), "%s", said);
	return !said;
}

/* So many lots of random crashes are looked at before a planted fault counts as not found. */
#define FAULT_TRIES 30u

/* LMDB's head pages have no check sum: it relies on a disk that writes sectors whole. */
static bool a_disk_that_tears_sectors_is_found_out(void)
{
	struct outcome outcome = {0};

	for (unsigned int i = 0; i < FAULT_TRIES && !outcome.bad; i++)
		outcome = crash(&(struct trial){.seed = seed + i,
						.seconds = 20,
						.images = 8,
						.tears_sectors = true,
						.quiet = true});
	if (outcome.bad)
		printf("      found: %s\n", why);
	else
		snprintf(why, sizeof(why), "nothing was found");
	return outcome.bad;
}

/* ---- doors that do wrong ---- */

static bool is_found(struct fault fault)
{
	struct outcome outcome = {0};
	bool good;

	history_finish(&history);
	run_close(&run);
	/* Enough for the rarest to happen a few times. */
	good = record(&fault, is_emulated            ? 60
			      : fault.skip_every > 3 ? 3000
						     : 400) &&
	       history_make(&history, &run, why);
	if (!good)
		return false;
	if (order_holds(&history, why)) {
		snprintf(why, sizeof(why), "the order of the log looks right");
		good = false;
	} else {
		printf("      found: %s\n", why);
	}
	/* A fault that is rare in a short log harms few crashes: look at more of them. */
	for (unsigned int i = 0; i < FAULT_TRIES && !outcome.bad; i++)
		outcome = crash(&(struct trial){
			.seed = seed + i, .seconds = 20, .images = 4, .quiet = true});
	if (outcome.bad)
		printf("      found: %s\n", why);
	else
		snprintf(why, sizeof(why), "no crash was harmful");
	return good && outcome.bad;
}

static bool a_door_that_skips_every_third_sync_is_found(void)
{
	return is_found((struct fault){.skip_every = 3});
}

static bool a_door_that_skips_all_syncs_is_found(void)
{
	return is_found((struct fault){.skip_every = 1});
}

static bool a_door_that_skips_every_hundredth_sync_is_found(void)
{
	return is_found((struct fault){.skip_every = is_emulated ? 20 : 100});
}

static bool a_door_that_makes_durable_writes_plain_is_found(void)
{
	return is_found((struct fault){.durable_is_plain = true});
}

static bool a_door_that_writes_the_head_before_its_pages_is_found(void)
{
	return is_found((struct fault){.head_first = true});
}

/* ---- a disk that says so ---- */

/* The group whose commit failed is not there, nobody was told otherwise, and the store goes on. */
static bool is_survived(struct fault fault)
{
	struct contents contents;
	const char *said;

	history_finish(&history);
	run_close(&run);
	if (record(&fault, 400)) {
		snprintf(why, sizeof(why), "the storage program went on");
		return false;
	}
	said = run_read(&run, &contents);
	run_stop(&run);
	if (!history_make(&history, &run, why))
		return false;
	if (!said && contents.sum != history.sums[history.groups])
		said = "it does not hold what was acknowledged";
	if (said)
		snprintf(why, sizeof(why), "%s", said);
	return !said &&
	       !crash(&(struct trial){.seed = seed, .images = 40, .whole_sectors = true}).bad;
}

static bool a_sync_that_fails_takes_its_group_back(void)
{
	return is_survived((struct fault){.fail_sync = 12});
}

static bool a_durable_write_that_fails_takes_its_group_back(void)
{
	return is_survived((struct fault){.fail_durable = 12});
}

static const struct claim claims[] = {
	CLAIM(a_durable_write_covers_itself_and_no_other),
	CLAIM(a_sync_covers_what_had_returned_before_it_began),
	CLAIM(a_sync_that_has_not_returned_covers_nothing),
	CLAIM(unsynced_writes_come_in_any_order_and_in_parts),
	CLAIM(a_truncation_counts_when_it_is_synced),
	CLAIM(every_reply_is_what_the_acknowledged_calls_say),
	CLAIM(every_acknowledgement_comes_after_the_sync_that_covers_it),
	CLAIM(an_acknowledgement_before_its_sync_is_found),
	CLAIM(the_folder_is_synced_before_the_first_acknowledgement),
	CLAIM(any_crash_leaves_what_was_acknowledged_and_whole_groups),
	CLAIM(the_storage_vm_itself_starts_over_what_a_crash_left),
	CLAIM(a_disk_that_tears_sectors_is_found_out),
	CLAIM(a_door_that_skips_every_third_sync_is_found),
	CLAIM(a_door_that_skips_all_syncs_is_found),
	CLAIM(a_door_that_skips_every_hundredth_sync_is_found),
	CLAIM(a_door_that_makes_durable_writes_plain_is_found),
	CLAIM(a_door_that_writes_the_head_before_its_pages_is_found),
	CLAIM(a_sync_that_fails_takes_its_group_back),
	CLAIM(a_durable_write_that_fails_takes_its_group_back),
};

static void set_up(void)
{
	const char *text = getenv("MAYFLY_TEST_SEED");

	setvbuf(stdout, NULL, _IOLBF, 0);
	is_long = getenv("MAYFLY_TEST_LONG");
	is_emulated = getenv("MAYFLY_EMULATED");
	if (text)
		seed = strtoull(text, NULL, 0);
	else if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	printf("MAYFLY_TEST_SEED=%#llx\n", (unsigned long long)seed);
}

int main(void)
{
	unsigned int failed;

	set_up();
	failed = claims_run(claims, sizeof(claims) / sizeof(claims[0]), NULL, why);
	history_finish(&history);
	run_close(&run);
	return failed ? 1 : 0;
}
