/* SPDX-License-Identifier: MIT */
#include "tests/store/durability/replay_run.h"
#include "tests/store/durability/replay_disk.h"
#include "tests/store/says.h"

#include "engine/linux/permit.h"
#include "guest/store/blob.h"

#include <mayfly/abi/store.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RING_BYTES (2u << 20)
#define WAIT_MAX_S 60

/* ---- replies ---- */

static void take_reply(struct run *run, unsigned int channel, const struct mf_abi_message *message)
{
	struct line *line = &run->lines[channel];
	struct call *call = &run->calls[message->id];

	call->answered = true;
	call->status = message->status;
	call->reply_bytes = message->size_bytes - sizeof(*message);
	call->reply = malloc(call->reply_bytes + 1);
	mf_ring_read(&line->replies, 0, call->reply, (uint32_t)call->reply_bytes);
	mf_ring_next(&line->replies, message->size_bytes);
	line->open--;
	log_append(&run->recorder.log, (struct event){.kind = EVENT_ACK, .call = message->id});
}

static struct run *woken_run;

static void wake(struct mf_waiter *waiter)
{
	(void)waiter;
	pthread_mutex_lock(&woken_run->wake_lock);
	woken_run->woken = true;
	pthread_cond_signal(&woken_run->wake_cond);
	pthread_mutex_unlock(&woken_run->wake_lock);
}

/* Whatever is to be seen in the rings by now was answered by now. The log is locked. The storage
 * side finds taken replies no more and wakes nobody for them: that is done here. */
static void look(void *cookie)
{
	struct run *run = cookie;
	struct mf_abi_message message;
	bool taken = false;

	for (unsigned int i = 0; i < CHANNELS; i++)
		while (run->lines[i].open && mf_ring_peek(&run->lines[i].replies, &message) == 1)
			take_reply(run, i, &message), taken = true;
	if (taken)
		wake(NULL);
}

static bool is_answered(struct run *run, unsigned int channel)
{
	bool done;

	pthread_mutex_lock(&run->recorder.log.lock);
	look(run);
	done = !run->lines[channel].open;
	pthread_mutex_unlock(&run->recorder.log.lock);
	return done;
}

static void sleep_until_woken(struct run *run)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_MAX_S;
	pthread_mutex_lock(&run->wake_lock);
	while (!run->woken)
		if (pthread_cond_timedwait(&run->wake_cond, &run->wake_lock, &until))
			die("a call", "it is not answered");
	run->woken = false;
	pthread_mutex_unlock(&run->wake_lock);
}

static bool has_died(struct run *run)
{
	struct mf_store_stats stats;

	mf_store_stats(run->store, &stats);
	return stats.lost || stats.starts > 1;
}

/* What the program had begun when it died is not answered any more; what waits is. */
static bool is_lost(struct run *run, unsigned int channel)
{
	const void *window = run->lines[channel].requests.bytes - MF_CHANNEL_HEAD_BYTES;

	return mf_load_acquire(&((const struct mf_abi_channel *)window)->lost);
}

static void await(struct run *run, unsigned int channel)
{
	struct mf_peer *peer = mf_store_peer(run->store);

	while (!is_answered(run, channel) && !is_lost(run, channel)) {
		switch (peer->wait(peer, &run->lines[channel].waiter, run->watch)) {
		case MF_PEER_PARKED:
			sleep_until_woken(run);
			peer->cancel(peer, &run->lines[channel].waiter);
			break;
		case MF_PEER_BROKEN:
			die("a channel", "it is broken");
			break;
		default:
			break;
		}
	}
}

/* ---- calls ---- */

static void make_call(struct run *run, uint64_t *dice)
{
	struct call *call = &run->calls[run->count];
	struct mf_piece piece;
	uint8_t *payload;
	size_t bytes;

	model_plan(&run->seen, call, ++run->sequence, dice);
	call->channel = (unsigned int)(roll(dice) % CHANNELS);
	payload = model_payload(call, &bytes);
	piece = (struct mf_piece){payload, (uint32_t)bytes};
	pthread_mutex_lock(&run->recorder.log.lock);
	if (mf_ring_put(&run->lines[call->channel].requests, call->function, run->count, 0, &piece,
			1))
		die("a call", "it does not fit into the ring");
	run->lines[call->channel].open++;
	run->count++;
	pthread_mutex_unlock(&run->recorder.log.lock);
	free(payload);
}

/* What the next calls are planned after need not be exact: some are to miss. */
static void learn(struct run *run, size_t from)
{
	for (size_t i = from; i < run->count; i++)
		if (run->calls[i].answered && !run->calls[i].status)
			model_apply(&run->seen, &run->calls[i]);
}

bool run_calls(struct run *run, size_t calls, uint64_t *dice)
{
	while (run->count < calls && !has_died(run)) {
		size_t from = run->count;
		size_t round = 1 + roll(dice) % (roll(dice) & 1 ? 3 : ROUND_MAX);

		while (round-- && run->count < calls)
			make_call(run, dice);
		for (unsigned int i = 0; i < CHANNELS; i++)
			await(run, i);
		learn(run, from);
	}
	return !has_died(run);
}

const char *run_read(struct run *run, struct contents *contents)
{
	struct mf_store_stats stats = {0};
	char path[128];

	for (int i = 0; i < WAIT_MAX_S * 100 && (stats.starts < 2 || !stats.up); i++) {
		usleep(10000);
		mf_store_stats(run->store, &stats);
	}
	if (stats.starts < 2)
		return "it was not started again";
	snprintf(path, sizeof(path), "%s/data.mdb", run->folder);
	return reader_read(path, STORE_BYTES, contents);
}

/* ---- life ---- */

static bool open_kvm(struct run *run)
{
	struct mf_error err = {0};
	int ret = mf_kvm_open(&run->kvm, NULL, &err);

	if (ret == -ENOENT || ret == -EACCES)
		return false;
	if (ret)
		die("KVM", err.text);
	return true;
}

static void make_folder(struct run *run)
{
	const char *paths[] = {run->folder};
	struct mf_permit_paths list = {false, paths, 1};
	struct mf_error err = {0};

	snprintf(run->folder, sizeof(run->folder), "/tmp/mayfly-replay-XXXXXX");
	if (!mkdtemp(run->folder))
		die(run->folder, strerror(errno));
	if (mf_permit_create(&run->permit, &list, &list, &err))
		die(run->folder, err.text);
}

static const char *start(struct run *run)
{
	static char *argv[] = {"store", NULL, NULL, NULL};
	static struct mf_error err;
	static char size[24];
	struct mf_store_settings settings = {
		.channels = CHANNELS,
		.ring_bytes = RING_BYTES,
		.wait = MF_STORE_HAND_OFF,
		.kvm = &run->kvm,
		.exec = {.elf = mf_store_program,
			 .elf_bytes = (size_t)(mf_store_program_end - mf_store_program),
			 .exec_name = "store",
			 .argv = argv,
			 .cwd = run->folder,
			 .limit_bytes = 128u << 20},
		.policy = {.permit = run->permit, .stdin_fd = -1, .output = print},
		.say = say,
		.door = &run->recorder.door,
	};
	static char *envp[] = {NULL};

	settings.exec.envp = envp;
	snprintf(size, sizeof(size), "%u", STORE_BYTES);
	argv[1] = run->folder;
	argv[2] = size;
	if (mf_store_create(&run->store, &settings, &err) ||
	    mf_store_start(run->store, run->watchdog, 1, &err))
		return err.text;
	return NULL;
}

static void open_lines(struct run *run)
{
	struct mf_peer *peer = mf_store_peer(run->store);

	for (unsigned int i = 0; i < CHANNELS; i++) {
		struct line *line = &run->lines[i];
		uint64_t offset;
		void *window;
		int fd;

		*line = (struct line){.waiter = {.wake = wake, .channel = i}};
		peer->begin(peer, i, false);
		peer->window(peer, i, &fd, &offset);
		window = mmap(NULL, mf_store_window_bytes(run->store), PROT_READ | PROT_WRITE,
			      MAP_SHARED, fd, (off_t)offset);
		if (window == MAP_FAILED ||
		    mf_channel_open(window, mf_store_window_bytes(run->store), &line->requests,
				    &line->replies))
			die("a channel", "it cannot be opened");
	}
}

static void close_lines(struct run *run)
{
	struct mf_peer *peer = mf_store_peer(run->store);

	for (unsigned int i = 0; i < CHANNELS; i++) {
		munmap(run->lines[i].requests.bytes - MF_CHANNEL_HEAD_BYTES,
		       mf_store_window_bytes(run->store));
		if (peer->end(peer, i, true))
			die("a channel", "it does not end");
	}
}

bool run_open(struct run *run, const struct fault *fault, size_t calls)
{
	struct mf_error err = {0};
	const char *why;

	*run = (struct run){0};
	if (!open_kvm(run))
		return false;
	recorder_init(&run->recorder, fault);
	run->calls = calloc(calls + 1, sizeof(*run->calls));
	pthread_mutex_init(&run->wake_lock, NULL);
	pthread_cond_init(&run->wake_cond, NULL);
	woken_run = run;
	make_folder(run);
	if (!run->calls || mf_watchdog_create(&run->watchdog, 2, &err))
		die("the watchdog", err.text);
	run->watch = mf_watchdog_worker(run->watchdog, 0);
	why = start(run);
	if (why)
		die("the store", why);
	open_lines(run);
	run->recorder.cookie = run;
	run->recorder.look = look;
	return true;
}

static void stop_store(struct run *run)
{
	mf_store_stop(run->store);
	mf_store_destroy(run->store);
	run->store = NULL;
}

static void remove_files(struct run *run)
{
	static const char *const names[] = {"data.mdb", "new.mdb"};
	char path[128];

	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", run->folder, names[i]);
		unlink(path);
	}
}

void run_stop(struct run *run)
{
	run->recorder.look = NULL;
	close_lines(run);
	stop_store(run);
	remove_files(run);
}

void run_close(struct run *run)
{
	rmdir(run->folder);
	mf_watchdog_destroy(run->watchdog);
	mf_permit_destroy(run->permit);
	mf_kvm_close(&run->kvm);
	recorder_finish(&run->recorder);
	for (size_t i = 0; i < run->count; i++)
		free(run->calls[i].reply);
	free(run->calls);
}

const char *run_try(struct run *run, int image)
{
	char path[128];
	const char *why;
	off_t at = 0;
	struct stat st;
	int to;

	remove_files(run);
	snprintf(path, sizeof(path), "%s/data.mdb", run->folder);
	to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (to < 0 || fstat(image, &st))
		die(path, strerror(errno));
	while (at < st.st_size && sendfile(to, image, &at, (size_t)(st.st_size - at)) > 0)
		;
	close(to);
	why = start(run);
	stop_store(run);
	remove_files(run);
	return why;
}
