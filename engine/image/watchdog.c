/* SPDX-License-Identifier: MIT */
#include "engine/image/watchdog.h"
#include "engine/image/clock.h"
#include "engine/image/vm_clock.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The guests' clock page is brought up to date so often. */
#define CLOCK_NS 500000000ull

/* It dozes when nothing is due for so long: each look takes a CPU away from somebody. */
#define DOZE_NS 20000000ull

/* Ticks without anything running before the thread sleeps for good. */
#define IDLE_TICKS 50u

struct mf_watch {
	struct mf_watchdog *dog;
	pthread_mutex_t lock;
	pthread_t thread;
	struct mf_vm *vm; /* NULL: nothing runs */
	struct mf_watch_limits limits;
	uint64_t slice_end_ns;
	uint64_t turn_end_ns; /* 0: none */
	uint32_t given;       /* kicks sent in this run */
};

struct mf_watchdog {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* of CLOCK_MONOTONIC */
	bool asleep; /* until wakes_ns, should nobody wake it who has something due before */
	uint64_t wakes_ns;
	bool stop;
	unsigned int workers;
	struct mf_watch watches[];
};

uint64_t mf_now_ns(void)
{
	return mf_clock_ns(CLOCK_MONOTONIC);
}

/* At the deadline the signal is sent at every tick: one may come just before a system call that
 * blocks. */
static void kick(struct mf_watch *watch, uint32_t reason)
{
	if (!(watch->given & reason))
		mf_vm_kick(watch->vm, reason);
	else if (!(reason & (MF_KICK_DEADLINE | MF_KICK_STOP)))
		return;
	watch->given |= reason;
	pthread_kill(watch->thread, MF_KICK_SIGNAL);
}

/* True when something runs. */
static bool look(struct mf_watch *watch, uint64_t now)
{
	bool running;

	pthread_mutex_lock(&watch->lock);
	running = watch->vm != NULL;
	if (running) {
		const struct mf_watch_limits *limits = &watch->limits;
		const struct mf_kvm_vm *kvm = &watch->vm->kvm;

		if (limits->deadline_ns && now >= limits->deadline_ns)
			kick(watch, MF_KICK_DEADLINE);
		else if (watch->slice_end_ns && now >= watch->slice_end_ns)
			kick(watch, MF_KICK_SLICE);
		if (watch->turn_end_ns && now >= watch->turn_end_ns)
			kick(watch, MF_KICK_TURN);
		if (limits->faults_max &&
		    mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken) > limits->faults_max)
			kick(watch, MF_KICK_MEMORY);
	}
	pthread_mutex_unlock(&watch->lock);
	return running;
}

static void sleep_tick(void)
{
	struct timespec tick = {.tv_nsec = MF_WATCHDOG_TICK_NS};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
}

/* When this run must be looked at; UINT64_MAX: never. */
static uint64_t due_of(const struct mf_watch *watch)
{
	bool in_turn = watch->turn_end_ns && !(watch->given & MF_KICK_TURN);
	uint64_t due = in_turn ? watch->turn_end_ns : UINT64_MAX;

	if (watch->limits.faults_max)
		return 0;
	if (watch->slice_end_ns && watch->slice_end_ns < due)
		due = watch->slice_end_ns;
	return watch->limits.deadline_ns && watch->limits.deadline_ns < due
		       ? watch->limits.deadline_ns
		       : due;
}

/* The first that is due of what runs, and whether anything does. */
static uint64_t first_due(struct mf_watchdog *dog, bool *running)
{
	uint64_t due = UINT64_MAX;
	unsigned int i;

	*running = false;
	for (i = 0; i < dog->workers; i++) {
		struct mf_watch *watch = &dog->watches[i];

		pthread_mutex_lock(&watch->lock);
		if (watch->vm) {
			*running = true;
			due = due_of(watch) < due ? due_of(watch) : due;
		}
		pthread_mutex_unlock(&watch->lock);
	}
	return due;
}

/* Sleep until then (UINT64_MAX: for good), or until somebody has something due before. */
static void sleep_until(struct mf_watchdog *dog, uint64_t until)
{
	struct timespec at = {(time_t)(until / 1000000000ull), (long)(until % 1000000000ull)};
	bool running;
	uint64_t due;
	int ret = 0;

	dog->wakes_ns = until;
	__atomic_store_n(&dog->asleep, true, __ATOMIC_SEQ_CST);
	/* Who entered before that store saw nobody asleep and woke nobody. */
	due = first_due(dog, &running);
	if (due < until || (running && until == UINT64_MAX))
		__atomic_store_n(&dog->asleep, false, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&dog->asleep, __ATOMIC_SEQ_CST) && !dog->stop && !ret)
		ret = until == UINT64_MAX ? pthread_cond_wait(&dog->wake, &dog->lock)
					  : pthread_cond_timedwait(&dog->wake, &dog->lock, &at);
	__atomic_store_n(&dog->asleep, false, __ATOMIC_SEQ_CST);
}

/* Until the next look. False when the watchdog is to end. */
static bool rest(struct mf_watchdog *dog, bool idle, uint64_t clock_due)
{
	bool running;
	uint64_t due = first_due(dog, &running);
	bool doze = running && due > mf_now_ns() + DOZE_NS;
	bool stop;

	if (!idle && !doze)
		sleep_tick();
	pthread_mutex_lock(&dog->lock);
	if (!dog->stop && (idle || doze))
		sleep_until(dog, idle ? UINT64_MAX : due < clock_due ? due : clock_due);
	stop = dog->stop;
	pthread_mutex_unlock(&dog->lock);
	return !stop;
}

static void *watch_all(void *arg)
{
	struct mf_watchdog *dog = arg;
	uint64_t clock_due = 0;
	unsigned int idle = 0;

	do {
		uint64_t now = mf_now_ns();
		bool running = false;
		unsigned int i;

		for (i = 0; i < dog->workers; i++)
			running |= look(&dog->watches[i], now);
		if (now >= clock_due) {
			mf_clock_update();
			clock_due = now + CLOCK_NS;
		}
		idle = running ? 0 : (idle >= IDLE_TICKS ? 1 : idle + 1);
	} while (rest(dog, idle >= IDLE_TICKS, clock_due));
	return NULL;
}

static void on_kick_signal(int signo)
{
	(void)signo; /* its arrival is all that matters */
}

static void init_watches(struct mf_watchdog *dog, unsigned int workers)
{
	pthread_condattr_t attr;
	unsigned int i;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	dog->workers = workers;
	pthread_mutex_init(&dog->lock, NULL);
	pthread_cond_init(&dog->wake, &attr);
	for (i = 0; i < workers; i++) {
		dog->watches[i].dog = dog;
		pthread_mutex_init(&dog->watches[i].lock, NULL);
	}
}

int mf_watchdog_create(struct mf_watchdog **out, unsigned int workers, struct mf_error *err)
{
	struct sigaction action = {.sa_handler = on_kick_signal};
	struct mf_watchdog *dog = calloc(1, sizeof(*dog) + workers * sizeof(dog->watches[0]));
	sigset_t all;
	sigset_t before;
	int ret;

	if (!dog)
		return mf_error_set(err, -ENOMEM, "not enough memory for the watchdog");
	init_watches(dog, workers);
	sigaction(MF_KICK_SIGNAL, &action, NULL);
	/* Signals of the process are for other threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&dog->thread, NULL, watch_all, dog);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret) {
		free(dog);
		return mf_error_set(err, -ret,
				    "cannot start the watchdog thread: %s; raise `ulimit -u`",
				    strerror(ret));
	}
	*out = dog;
	return 0;
}

void mf_watchdog_destroy(struct mf_watchdog *dog)
{
	if (!dog)
		return;
	pthread_mutex_lock(&dog->lock);
	dog->stop = true;
	pthread_cond_signal(&dog->wake);
	pthread_mutex_unlock(&dog->lock);
	pthread_join(dog->thread, NULL);
	free(dog);
}

struct mf_watch *mf_watchdog_worker(struct mf_watchdog *dog, unsigned int index)
{
	dog->watches[index].thread = pthread_self();
	return &dog->watches[index];
}

/* Somebody has something due: should it sleep for longer than that, wake it. */
static void wake(struct mf_watchdog *dog, uint64_t due)
{
	/* Pairs with the store in sleep_until(). */
	if (!__atomic_load_n(&dog->asleep, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&dog->lock);
	if (dog->asleep && due <= dog->wakes_ns) {
		__atomic_store_n(&dog->asleep, false, __ATOMIC_SEQ_CST);
		if (dog->wakes_ns == UINT64_MAX)
			mf_clock_update(); /* nobody did while nothing ran */
		pthread_cond_signal(&dog->wake);
	}
	pthread_mutex_unlock(&dog->lock);
}

void mf_watch_enter(struct mf_watch *watch, struct mf_vm *vm, const struct mf_watch_limits *limits)
{
	uint64_t due;

	pthread_mutex_lock(&watch->lock);
	watch->vm = vm;
	watch->limits = *limits;
	watch->slice_end_ns = limits->slice_ns ? mf_now_ns() + limits->slice_ns : 0;
	watch->turn_end_ns = 0;
	watch->given = 0;
	due = due_of(watch);
	pthread_mutex_unlock(&watch->lock);
	vm->watch = watch;
	vm->turn_end_ns = 0;
	wake(watch->dog, due);
}

void mf_watch_leave(struct mf_watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	if (watch->vm)
		watch->vm->watch = NULL;
	watch->vm = NULL;
	pthread_mutex_unlock(&watch->lock);
}

void mf_watch_turn(struct mf_vm *vm, uint64_t end_ns)
{
	struct mf_watch *watch = vm->watch;

	if (!watch || (vm->turn_end_ns && vm->turn_end_ns <= end_ns))
		return;
	vm->turn_end_ns = end_ns;
	end_ns = mf_vm_to_host_ns(vm, end_ns);
	pthread_mutex_lock(&watch->lock);
	watch->turn_end_ns = end_ns;
	watch->given &= ~(uint32_t)MF_KICK_TURN;
	pthread_mutex_unlock(&watch->lock);
	wake(watch->dog, end_ns);
}

void mf_watch_kick(struct mf_watchdog *dog, const struct mf_vm *vm, uint32_t reason)
{
	unsigned int i;

	for (i = 0; i < dog->workers; i++) {
		struct mf_watch *watch = &dog->watches[i];

		pthread_mutex_lock(&watch->lock);
		if (watch->vm == vm) {
			mf_vm_kick(watch->vm, reason);
			pthread_kill(watch->thread, MF_KICK_SIGNAL);
		}
		pthread_mutex_unlock(&watch->lock);
	}
}

void mf_watch_stop(struct mf_watchdog *dog)
{
	unsigned int i;

	for (i = 0; i < dog->workers; i++) {
		pthread_mutex_lock(&dog->watches[i].lock);
		if (dog->watches[i].vm)
			kick(&dog->watches[i], MF_KICK_STOP);
		pthread_mutex_unlock(&dog->watches[i].lock);
	}
}
