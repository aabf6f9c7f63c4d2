/* SPDX-License-Identifier: MIT */
#include "storage-vm/internal.h"

#include "engine/linux/disk.h"

#include <mayfly/abi/barrier.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The program is looked after that often while it runs on the store's thread. */
#define THREAD_SLICE_NS 100000000ull

/* Bounds: of how long is polled, and of the pauses between tries to start again. */
#define POLL_MIN_NS         50000u
#define POLL_MAX_NS         2000000u
#define POLL_ALWAYS_NS      100000000u
#define POLL_REQUEST_MAX_NS 200000u
#define RETRY_MIN_MS        100u
#define RETRY_MAX_MS        5000u
#define MEASURE_ROUNDS      16u

/* As the program is told it: never none for a short one. */
static uint32_t age_ms(uint64_t age_ns)
{
	uint64_t ms = (age_ns + 999999) / 1000000;

	return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static int make_control(struct mf_store *store, struct mf_error *err)
{
	const struct mf_store_settings *settings = &store->settings;
	size_t bytes = sizeof(struct mf_abi_store_control) +
		       2 * settings->channels * sizeof(struct mf_abi_store_channel);
	void *at;

	store->control_bytes = (bytes + MF_PAGE - 1) & ~(size_t)(MF_PAGE - 1);
	store->control_fd = memfd_create("mayfly-store-control", MFD_CLOEXEC);
	if (store->control_fd < 0 || ftruncate(store->control_fd, (off_t)store->control_bytes))
		return mf_error_set(err, -errno, "cannot make the store's control area: %s",
				    strerror(errno));
	at = mmap(NULL, store->control_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, store->control_fd,
		  0);
	if (at == MAP_FAILED)
		return mf_error_set(err, -errno, "cannot map the store's control area: %s",
				    strerror(errno));
	store->control = at;
	store->began = calloc(settings->channels, sizeof(*store->began));
	store->mapped = calloc(settings->channels, sizeof(*store->mapped));
	store->bereft = calloc(2 * settings->channels, sizeof(*store->bereft));
	store->ordered_ns = calloc(settings->channels, sizeof(*store->ordered_ns));
	if (!store->began || !store->mapped || !store->bereft || !store->ordered_ns)
		return mf_error_set(err, -ENOMEM, "not enough memory for the store's channels");
	*store->control = (struct mf_abi_store_control){
		.magic = MF_STORE_MAGIC,
		.version = MF_STORE_VERSION,
		.channels = settings->channels,
		.streams = settings->channels,
		.ring_bytes = settings->ring_bytes,
		.window_bytes = store->channels.window_bytes,
		.admin = settings->admin ? settings->channels : 0,
		.durability = settings->promise.durability,
		.group_us = settings->promise.group_us,
		.scope = settings->scope,
		.empty = settings->empty,
		.quota_bytes = settings->quota_bytes,
		.evicts = settings->evicts,
		.place_bytes = settings->place_bytes,
		.age_ms = settings->scope == MF_STORE_OF_VM ? 0 : age_ms(settings->age_ns),
	};
	return 0;
}

static void fill_policy(struct mf_store *store)
{
	store->policy = store->settings.policy;
	store->policy.disk = store->disk;
	store->policy.channel_parks = true;
	store->policy.listens_within = store->settings.listens;
	store->policy.windows[0] = (struct mf_window){MF_STORE_CONTROL_VA, store->control_bytes,
						      store->control_fd, 0, false};
	store->policy.windows[1] = (struct mf_window){
		MF_STORE_CHANNELS_VA, 2 * store->settings.channels * store->channels.window_bytes,
		store->channels.memfd, 0, false};
}

/* An operation of the disk is over: whose it was goes on. */
static void on_disk(void *cookie)
{
	struct mf_store *store = cookie;

	pthread_mutex_lock(&store->lock);
	store->last_disk_ns = mf_now_ns();
	if (store->up && store->running)
		mf_watch_kick(store->watchdog, &store->process.vm, MF_KICK_TURN);
	else if (store->up)
		mf_store_call_thread(store);
	pthread_mutex_unlock(&store->lock);
}

bool mf_store_is_fenced(struct mf_store *store, enum mf_disk_look look)
{
	const struct mf_store_settings *settings = &store->settings;

	if (mf_load_acquire(&store->control->fenced))
		return true;
	if (!settings->is_fenced || !settings->is_fenced(settings->fence, look))
		return false;
	if (!__atomic_exchange_n(&store->control->fenced, 1, __ATOMIC_SEQ_CST) && settings->say)
		settings->say("another engine has opened the store: this one writes and reads "
			      "nothing in it any more, and answers 503");
	return true;
}

static int gate(void *cookie, enum mf_disk_look look)
{
	return mf_store_is_fenced(cookie, look) ? -ESTALE : 0;
}

static int make_disk(struct mf_store *store, struct mf_error *err)
{
	struct mf_disk_settings settings = {.door = store->settings.door,
					    .all_writes = store->settings.door != NULL,
					    .gate = gate,
					    .done = on_disk,
					    .cookie = store};

	store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (store->wake_fd < 0)
		return mf_error_set(err, -errno, "cannot make the store's thread a descriptor: %s",
				    strerror(errno));
	return mf_disk_create(&store->disk, &settings, err);
}

/* That this process may run on. */
static unsigned int count_cores(void)
{
	cpu_set_t set;
	int count = 1;

	CPU_ZERO(&set);
	if (!sched_getaffinity(0, sizeof(set), &set))
		count = CPU_COUNT(&set);
	return count > 1 ? (unsigned int)count : 1;
}

int mf_store_create(struct mf_store **out, const struct mf_store_settings *settings,
		    struct mf_error *err)
{
	struct mf_store *store = calloc(1, sizeof(*store));
	int ret;

	if (!store)
		return mf_error_set(err, -ENOMEM, "not enough memory for the store");
	store->settings = *settings;
	store->control_fd = store->wake_fd = -1;
	store->rest = store->watched = (struct mf_store_rest){.fd = -1, .until_ns = UINT64_MAX};
	store->channels.memfd = -1;
	store->cores = count_cores();
	store->interval_ns = 1000000000ull;
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->boot_cond, NULL);
	mf_store_init_peer(store);
	store->streams = calloc(settings->channels, sizeof(*store->streams));
	ret = store->streams ? 0 : mf_error_set(err, -ENOMEM, "not enough memory for the store");
	if (!ret)
		ret = mf_channels_create(&store->channels, 2 * settings->channels,
					 settings->ring_bytes, err);
	if (!ret)
		ret = make_control(store, err);
	if (!ret)
		ret = make_disk(store, err);
	if (!ret && settings->listens && mf_calls_create(&store->calls_of, 2 * settings->channels))
		ret = mf_error_set(err, -ENOMEM, "not enough memory for the store");
	if (ret) {
		mf_store_destroy(store);
		return ret;
	}
	fill_policy(store);
	*out = store;
	return 0;
}

void mf_store_destroy(struct mf_store *store)
{
	if (!store)
		return;
	mf_disk_destroy(store->disk);
	if (store->wake_fd >= 0)
		close(store->wake_fd);
	if (store->control)
		munmap(store->control, store->control_bytes);
	if (store->control_fd >= 0)
		close(store->control_fd);
	mf_channels_destroy(&store->channels);
	free(store->began);
	free(store->mapped);
	free(store->bereft);
	if (store->file_fd >= 0)
		close(store->file_fd);
	free(store->ordered_ns);
	free(store->streams);
	mf_calls_destroy(store->calls_of);
	pthread_mutex_destroy(&store->lock);
	pthread_cond_destroy(&store->boot_cond);
	free(store);
}

void mf_store_set_polling(struct mf_store *store, uint32_t poll_ns)
{
	uint32_t theirs = poll_ns < POLL_REQUEST_MAX_NS ? poll_ns : POLL_REQUEST_MAX_NS;

	__atomic_store_n(&store->control->poll_ns, poll_ns, __ATOMIC_RELEASE);
	__atomic_store_n(&store->polling, theirs, __ATOMIC_RELAXED);
}

/* The store's thread looks again what there is to do. Lock held. */
static void ring(struct mf_store *store)
{
	uint64_t one = 1;

	/* One ring is as good as many. */
	if (store->asleep && write(store->wake_fd, &one, sizeof(one)) < 0)
		return;
	store->asleep = false;
}

void mf_store_call_thread(struct mf_store *store)
{
	store->work = true;
	store->stats.wakes++;
	ring(store);
}

/* Does the store's thread look after what the program waits for? */
static bool is_watched(const struct mf_store *store)
{
	return (store->rest.fd < 0 || (store->watched.fd == store->rest.fd &&
				       store->watched.events == store->rest.events)) &&
	       store->watched.until_ns <= store->rest.until_ns && !store->blocked;
}

/* Is it in the middle of its work, and nothing of the disk's what it waits for? */
static void note_progress(struct mf_store *store, enum store_end end)
{
	bool blocked = end == STORE_BLOCKED && !mf_disk_is_busy(store->disk);

	if (blocked && !store->blocked)
		store->last_turn_ns = mf_now_ns();
	store->blocked = blocked;
}

void mf_store_ran(struct mf_store *store, enum store_end end)
{
	store->running = false;
	store->dead = end == STORE_DEAD;
	note_progress(store, end);
	if (end == STORE_SLICED || end == STORE_DEAD || store->wanted ||
	    mf_disk_has_news(store->disk))
		mf_store_call_thread(store);
	else if (!is_watched(store))
		ring(store);
}

/* ---- the store's thread ---- */

static uint64_t tell_turn(const struct mf_store *store, bool waits)
{
	return store->settings.turn ? store->settings.turn(store->settings.turns, waits)
				    : UINT64_MAX;
}

/* ppoll(2) of two, until then. */
static int poll_until(const struct mf_store *store, struct pollfd fds[2], uint64_t until_ns)
{
	uint64_t now;
	int got;

	do {
		uint64_t again = tell_turn(store, true);
		uint64_t end = again < until_ns ? again : until_ns;
		uint64_t left;
		struct timespec span;

		now = mf_now_ns();
		left = end > now ? end - now : 0;
		span = (struct timespec){(time_t)(left / 1000000000ull),
					 (long)(left % 1000000000ull)};
		got = ppoll(fds, 2, end == UINT64_MAX ? NULL : &span, NULL);
		now = mf_now_ns();
		tell_turn(store, false);
	} while (!got && now < until_ns);
	return got;
}

static void say(struct mf_store *store, const char *what, const char *text)
{
	char line[512];

	if (!store->settings.say)
		return;
	snprintf(line, sizeof(line), "%s: %s", what, text);
	store->settings.say(line);
}

static int not_ready(const char *why, struct mf_error *err)
{
	return mf_error_set(err, -ENOEXEC, "the storage program did not become ready: %s", why);
}

/* What is said of programs names none, and means the request program's option. */
static int not_loaded(int code, struct mf_error *err)
{
	struct mf_error why = *err;

	return mf_error_set(
		err, code, "the storage program cannot be loaded (--store-memory is its limit): %s",
		why.text);
}

/* Until what the program waits for may have come, and no longer than a slice. Nobody else runs it.
 */
static void wait_for(const struct mf_store *store)
{
	const struct mf_store_rest *rest = &store->rest;
	struct pollfd fds[2] = {{.fd = rest->fd, .events = rest->events},
				{.fd = mf_disk_fd(store->disk), .events = POLLIN}};
	uint64_t end = mf_now_ns() + THREAD_SLICE_NS;

	poll_until(store, fds, rest->until_ns < end ? rest->until_ns : end);
}

/* Load the program and run it until it is ready: it has looked at no channel then. */
static int boot(struct mf_store *store, struct mf_error *err)
{
	uint64_t limit = store->settings.boot_limit_ns;
	uint64_t end = mf_now_ns() + limit;
	char text[160] = "";
	enum store_end how;
	int ret;

	mf_calls_reset(store);
	if (store->settings.file)
		mf_exec_file_guard(store->settings.file);
	ret = mf_process_exec(&store->process, store->settings.kvm, &store->policy,
			      &store->settings.exec, err);
	if (ret)
		return not_loaded(ret, err);
	store->has_process = true;
	do {
		how = mf_store_run(store, store->watch, THREAD_SLICE_NS, false, NULL, text);
		tell_turn(store, false);
		if (how == STORE_BLOCKED)
			wait_for(store);
	} while ((how == STORE_SLICED || how == STORE_BLOCKED) &&
		 !__atomic_load_n(&store->stop, __ATOMIC_RELAXED) && (!limit || mf_now_ns() < end));
	if (how == STORE_IDLE)
		return 0;
	if (how == STORE_DEAD)
		return not_ready(text, err);
	return mf_error_set(err, -ETIMEDOUT,
			    "the storage program did not become ready in time; raise "
			    "--boot-deadline or see what it waits for");
}

static void finish_process(struct mf_store *store)
{
	if (store->has_process)
		mf_process_finish(&store->process);
	store->has_process = false;
}

/* What an empty hand-off costs here: the yardstick of AUTO. */
static int measure(struct mf_store *store, struct mf_error *err)
{
	uint64_t best = UINT64_MAX;
	char text[160];
	unsigned int i;

	for (i = 0; i < MEASURE_ROUNDS; i++) {
		uint64_t start = mf_now_ns();
		uint64_t took;

		if (mf_store_run(store, store->watch, THREAD_SLICE_NS, true, NULL, text) ==
		    STORE_DEAD)
			return not_ready(text, err);
		took = mf_now_ns() - start;
		best = took < best ? took : best;
	}
	store->hand_off_ns = best;
	return 0;
}

/* While it is not running: who calls then need not look for a reply. */
static uint32_t rest_span(const struct mf_store *store)
{
	return store->settings.wait == MF_STORE_POLL && !mf_store_listens(store) ? POLL_ALWAYS_NS
										 : 0;
}

uint32_t mf_store_poll_span(const struct mf_store *store)
{
	uint64_t span = 4 * store->hand_off_ns;

	if (store->settings.wait != MF_STORE_AUTO)
		return rest_span(store);
	return span < POLL_MIN_NS ? POLL_MIN_NS : span > POLL_MAX_NS ? POLL_MAX_NS : (uint32_t)span;
}

/* Of calls that come by a connection it is known when each began. */
static bool takes_too_long(const struct mf_store *store, uint64_t now)
{
	uint64_t since = mf_calls_since_ns(store);

	return store->settings.call_limit_ns && since < now &&
	       now - since > store->settings.call_limit_ns;
}

/* Since when is it at what it is at? */
static uint64_t turn_ns(const struct mf_store *store)
{
	return mf_store_listens(store) ? mf_calls_since_ns(store) : store->last_turn_ns;
}

/* Does it still get on? Only a call that takes too long stops its turns. */
static bool is_stuck(struct mf_store *store)
{
	uint32_t turns = mf_load_acquire(&store->control->turns);
	uint64_t now = mf_now_ns();

	if (mf_store_listens(store))
		return takes_too_long(store, now);
	if (turns != store->last_turns) {
		store->last_turns = turns;
		store->last_turn_ns = now;
	}
	return store->settings.call_limit_ns &&
	       now - store->last_turn_ns > store->settings.call_limit_ns;
}

/*
 * When the commits that were ordered are stuck, if nothing happens: none was decided, and the disk
 * was at nothing, for as long as a call may take (and one may wait for company). Lock held.
 */
static uint64_t commits_due(const struct mf_store *store)
{
	const struct mf_store_settings *settings = &store->settings;
	uint64_t since = settings->call_limit_ns ? mf_store_oldest_order(store) : UINT64_MAX;

	if (since == UINT64_MAX || mf_disk_is_busy(store->disk))
		return UINT64_MAX;
	since = since > store->last_verdict_ns ? since : store->last_verdict_ns;
	since = since > store->last_disk_ns ? since : store->last_disk_ns;
	return since + settings->call_limit_ns + settings->promise.group_us * 1000ull;
}

/* Lock held. */
static bool commits_are_stuck(const struct mf_store *store, char text[160])
{
	if (commits_due(store) >= mf_now_ns())
		return false;
	snprintf(text, 160, "a commit took longer than %.1f s",
		 (double)store->settings.call_limit_ns / 1e9);
	return true;
}

/* When to look at them next. One may be ordered meanwhile, and nobody says so; nor that somebody
 * who runs the program now leaves one behind. Lock held. */
static uint64_t commits_look(const struct mf_store *store)
{
	uint64_t limit = store->settings.call_limit_ns;
	uint64_t next = limit && store->up ? mf_now_ns() + limit : UINT64_MAX;
	uint64_t due = next == UINT64_MAX || store->running ? next : commits_due(store);

	return due < next ? due + 1 : next;
}

static void say_stuck(const struct mf_store *store, char text[160])
{
	snprintf(text, 160, "a call took longer than %.1f s",
		 (double)store->settings.call_limit_ns / 1e9);
}

/* Run it until it rests; polling, that takes as long as calls come. */
static enum store_end serve(struct mf_store *store, bool look, char text[160])
{
	enum store_end end;

	if (!store->blocked)
		store->last_turn_ns = mf_now_ns();
	do {
		store->stats.runs++;
		end = mf_store_run(store, store->watch, THREAD_SLICE_NS, look, NULL, text);
		tell_turn(store, false);
		look = false;
		if (end == STORE_SLICED && is_stuck(store)) {
			say_stuck(store, text);
			return STORE_DEAD;
		}
		pthread_mutex_lock(&store->lock);
		if (end == STORE_SLICED && commits_are_stuck(store, text))
			end = STORE_DEAD;
		pthread_mutex_unlock(&store->lock);
	} while (end == STORE_SLICED && !__atomic_load_n(&store->stop, __ATOMIC_RELAXED));
	return end;
}

static const struct mf_store_rest nothing = {.fd = -1, .until_ns = UINT64_MAX};

/* Sleep until rung for, or until what the program waits for may have come; at most until then. Lock
 * held, let go within. True: the latter. */
static bool sleep_until(struct mf_store *store, uint64_t until_ns)
{
	struct pollfd fds[2] = {{.fd = store->wake_fd, .events = POLLIN},
				{.fd = store->watched.fd, .events = store->watched.events}};
	uint64_t count;
	int got;

	store->asleep = true;
	pthread_mutex_unlock(&store->lock);
	got = poll_until(store, fds, until_ns);
	pthread_mutex_lock(&store->lock);
	store->asleep = false;
	if (read(store->wake_fd, &count, sizeof(count)) > 0 || got < 0)
		return false;
	return !got || fds[1].revents;
}

/* Nothing to do: sleep, and look after the program if nobody runs it. Lock held. */
static void rest(struct mf_store *store)
{
	uint64_t limit = store->settings.call_limit_ns;
	bool watches = !store->running;
	uint64_t turn = watches ? turn_ns(store) : UINT64_MAX;
	uint64_t look = commits_look(store);
	uint64_t until;

	store->watched = watches ? store->rest : nothing;
	until = store->watched.until_ns;
	if (watches && store->blocked && limit && turn != UINT64_MAX && turn + limit < until)
		until = turn + limit + 1;
	if (!sleep_until(store, look < until ? look : until) || store->running || !watches ||
	    store->work)
		return;
	store->dead = commits_are_stuck(store, store->death);
	store->work = store->dead || store->watched.fd >= 0 || mf_now_ns() >= until;
	if (store->work && store->blocked && !store->dead && is_stuck(store)) {
		store->dead = true;
		say_stuck(store, store->death);
	}
}

/* Waits under the lock; early when the store is to stop. */
static void pause_ms(struct mf_store *store, unsigned int ms)
{
	uint64_t until = mf_now_ns() + ms * 1000000ull;

	store->watched = nothing;
	while (!store->stop && mf_now_ns() < until)
		sleep_until(store, until);
}

/* A program that died without having served anybody is given longer and longer pauses. Lock held.
 */
static void pause_before_start(struct mf_store *store, bool served)
{
	unsigned int ms = store->retry_ms < RETRY_MIN_MS ? RETRY_MIN_MS : store->retry_ms;

	if (served) {
		store->retry_ms = 0;
		return;
	}
	pause_ms(store, ms);
	store->retry_ms = 2 * ms < RETRY_MAX_MS ? 2 * ms : RETRY_MAX_MS;
}

/* The next one knows nothing of the snapshots that requests read in place, and would write over
 * them. None of these goes on for long: their calls fail, and they have their deadlines. Lock held.
 */
static void pause_while_pinned(struct mf_store *store)
{
	while (!store->stop && mf_store_is_pinned(store))
		pause_ms(store, 1);
}

/* It is not started again. Lock held. */
static void stay_down(struct mf_store *store)
{
	mf_store_lose_calls(store);
	mf_store_notify(store, true);
	store->rest = nothing;
	store->work = store->calls = store->blocked = false;
}

/* Start the program again over the same folder; what it had begun is lost. Lock held. */
static void restart(struct mf_store *store, const char *why)
{
	struct mf_error err = {0};
	int ret = -EAGAIN;

	say(store, "the storage program died", why);
	store->up = store->dead = false;
	mf_store_close_file(store);
	/* The store would be opened, which writes. */
	while (ret && !store->stop && !mf_store_is_fenced(store, MF_DISK_ANEW)) {
		bool served =
			mf_store_lose_calls(store) || store->control->calls != store->calls_before;

		mf_store_notify(store, true);
		pause_before_start(store, served);
		pause_while_pinned(store);
		pthread_mutex_unlock(&store->lock);
		finish_process(store);
		store->calls_before = store->control->calls;
		store->control->news = store->control->commits_now = 0;
		ret = boot(store, &err);
		if (ret)
			say(store, "the storage program does not start again", err.text);
		pthread_mutex_lock(&store->lock);
	}
	if (ret) {
		stay_down(store);
		return;
	}
	store->up = true;
	store->stats.starts++;
	mf_store_open_file(store);
	/* Calls that it had not begun are looked for; they may wait without being looked after. */
	store->work = store->calls = true;
	store->blocked = false;
	mf_store_notify(store, true);
}

static void work(struct mf_store *store)
{
	enum store_end end = STORE_DEAD;
	bool look = store->calls;

	store->work = store->wanted = store->calls = false;
	store->running = true;
	pthread_mutex_unlock(&store->lock);
	if (!store->dead)
		end = serve(store, look, store->death);
	pthread_mutex_lock(&store->lock);
	/* Whoever finds it not polling comes by hand-off; so it goes before the last look. */
	mf_store_set_polling(store, rest_span(store));
	if (end == STORE_DEAD && !store->stop) {
		restart(store, store->death);
		end = STORE_IDLE;
	}
	mf_store_notify(store, false);
	mf_store_ran(store, end);
}

static int first_boot(struct mf_store *store)
{
	struct mf_error err = {0};
	int ret = boot(store, &err);

	if (!ret)
		ret = measure(store, &err);
	pthread_mutex_lock(&store->lock);
	mf_store_set_polling(store, rest_span(store));
	store->boot_over = true;
	store->boot_code = ret;
	store->boot_error = err;
	store->up = !ret;
	/* Of what was over before that nobody was told. */
	store->work = !ret && mf_disk_has_news(store->disk);
	if (!ret)
		mf_store_open_file(store);
	store->stats.starts += !ret;
	pthread_cond_broadcast(&store->boot_cond);
	pthread_mutex_unlock(&store->lock);
	return ret;
}

static void *thread_main(void *arg)
{
	struct mf_store *store = arg;

	pthread_setname_np(pthread_self(), "store");
	store->watch = mf_watchdog_worker(store->watchdog, store->watch_index);
	if (!first_boot(store)) {
		pthread_mutex_lock(&store->lock);
		while (!store->stop) {
			if (store->work && !store->running && store->up)
				work(store);
			else
				rest(store);
		}
		store->up = false;
		pthread_mutex_unlock(&store->lock);
	}
	finish_process(store);
	return NULL;
}

int mf_store_start(struct mf_store *store, struct mf_watchdog *watchdog, unsigned int watch_index,
		   struct mf_error *err)
{
	int ret = mf_disk_start(store->disk, err);

	if (ret)
		return ret;
	store->watchdog = watchdog;
	store->watch_index = watch_index;
	ret = pthread_create(&store->thread, NULL, thread_main, store);
	if (ret)
		return mf_error_set(err, -ret,
				    "cannot start the store's thread: %s; raise `ulimit -u`",
				    strerror(ret));
	pthread_mutex_lock(&store->lock);
	while (!store->boot_over)
		pthread_cond_wait(&store->boot_cond, &store->lock);
	ret = store->boot_code;
	pthread_mutex_unlock(&store->lock);
	if (ret) {
		*err = store->boot_error;
		pthread_join(store->thread, NULL);
	}
	store->started = !ret;
	return ret;
}

void mf_store_stop(struct mf_store *store)
{
	if (!store || !store->started)
		return;
	pthread_mutex_lock(&store->lock);
	__atomic_store_n(&store->stop, true, __ATOMIC_RELAXED);
	mf_store_set_polling(store, 0);
	ring(store);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->thread, NULL);
	store->started = false;
}

struct mf_peer *mf_store_peer(struct mf_store *store)
{
	return &store->peer;
}

uint64_t mf_store_window_bytes(const struct mf_store *store)
{
	return store->channels.window_bytes;
}

void *mf_store_window(struct mf_store *store, unsigned int channel)
{
	return mf_channels_window(&store->channels, channel);
}

void mf_store_stats(struct mf_store *store, struct mf_store_stats *stats)
{
	pthread_mutex_lock(&store->lock);
	*stats = store->stats;
	stats->up = store->up;
	stats->fenced = mf_load_acquire(&store->control->fenced);
	stats->polling = __atomic_load_n(&store->polling, __ATOMIC_RELAXED);
	stats->calls = store->control->calls;
	stats->commits = store->control->commits;
	stats->in_place = __atomic_load_n(&store->control->hits, __ATOMIC_RELAXED);
	stats->in_place_bytes = store->file.bytes;
	stats->user_exits = store->has_process ? store->process.vm.kvm.user_exits : 0;
	pthread_mutex_unlock(&store->lock);
}
