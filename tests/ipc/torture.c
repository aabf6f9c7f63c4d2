/* SPDX-License-Identifier: MIT */
/*
 * The rings with two sides at once.
 *
 * Honest: two threads, then two processes over the memfd, put and take messages of random sizes in
 * both directions; every byte is checked. Built with -fsanitize=thread, this alone is run
 * (TORTURE_HONEST).
 *
 * Hostile: one side works while the other, a thread or a process, rewrites everything that is
 * shared at full speed: indices, headers, data, geometry; partly at random, partly with values that
 * nearly make sense. The working side may be refused at any call, but never takes a message that is
 * larger than the ring, never touches a byte outside (all of it lies between pages that nobody may
 * touch) and never gets stuck.
 *
 * MAYFLY_TEST_SEED=N repeats a run as far as two sides at once can be repeated, MAYFLY_TEST_LONG=1
 * is a hundred times as much, or what MAYFLY_TEST_SECONDS (600) a case allow, MAYFLY_EMULATED=1 a
 * fiftieth.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/ring_ops.h>

#include "ipc/ring/area.h"

#define PAGE        4096u
#define RING        4096u
#define RING_MOST   8192u
#define STUCK_S     120 /* without a sign of progress */
#define PAYLOAD_MAX (RING - (uint32_t)sizeof(struct mf_abi_message))

static uint64_t messages = 1000000;
/* Of a hostile case: on a busy machine the two sides seldom run at once. */
static double longest_s = 40;
/* Of an honest one; none but the long form ends before all its messages. */
static double honest_s = 1e9;
static unsigned int passed;
static unsigned int failed;

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void complain(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("FAIL ");
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	va_end(args);
}

static void result(const char *name, bool good, double began)
{
	printf("%s %s, %.1f s\n", good ? "ok  " : "FAIL", name, seconds() - began);
	fflush(stdout);
	if (good)
		passed++;
	else
		failed++;
}

/* Whoever works renews the alarm; the process ends when nobody does. */
static void stuck(int signal)
{
	static const char text[] = "FAIL nothing moves any more\n0 passed, 1 failed\n";

	_exit(write(1, text, sizeof(text) - 1) > 0 ? 1 : 2);
}

/* ---- honest ---- */

/* A direction's messages in order; both sides draw the same ones. */
struct stream {
	uint64_t state;
	uint64_t count;
	uint32_t bytes; /* of the message that was drawn */
	uint8_t payload[PAYLOAD_MAX + 8];
};

static void draw(struct stream *stream)
{
	uint64_t random = next_random(&stream->state);
	uint32_t bytes = (uint32_t)(random >> 32) % 64;
	uint32_t i;

	if (random % 16 == 0)
		bytes = (uint32_t)(random >> 32) % 512;
	if (random % 256 == 0)
		bytes = (uint32_t)(random >> 32) % (PAYLOAD_MAX + 1);
	for (i = 0; i < bytes; i += 8) {
		uint64_t word = random * (i + 1) + stream->count;

		memcpy(stream->payload + i, &word, 8);
	}
	stream->bytes = bytes;
	stream->count++;
}

/* Messages of each direction of an honest case, in memory that both sides see. */
static uint64_t *wanted;

/* One side: puts its messages, takes the other's. */
struct side {
	double end_s; /* of the side that decides when it is enough; 0: the other */
	struct mf_ring *out;
	struct mf_ring *in;
	struct stream to;
	struct stream from;
	bool good;
};

static bool put_drawn(struct side *side)
{
	uint32_t cut = side->to.bytes / 3;
	struct mf_piece pieces[2] = {{side->to.payload, cut},
				     {side->to.payload + cut, side->to.bytes - cut}};
	int ret = mf_ring_put(side->out, (uint32_t)side->to.count, side->to.count,
			      (int32_t)side->to.bytes, pieces, 2);

	if (ret && ret != -EAGAIN) {
		complain("put of message %lu: %d", (unsigned long)side->to.count, ret);
		side->good = false;
	}
	if (!ret)
		draw(&side->to);
	return !ret;
}

static bool same(const struct side *side, const struct mf_abi_message *message, const uint8_t *got)
{
	const struct stream *want = &side->from;

	return message->size_bytes == sizeof(*message) + want->bytes &&
	       message->function == (uint32_t)want->count && message->id == want->count &&
	       message->status == (int32_t)want->bytes && !message->reserved &&
	       !memcmp(got, want->payload, want->bytes);
}

static bool take_drawn(struct side *side)
{
	struct mf_abi_message message;
	uint8_t got[PAYLOAD_MAX];
	int ret = mf_ring_peek(side->in, &message);

	if (ret == 1) {
		mf_ring_read(side->in, 0, got, message.size_bytes - (uint32_t)sizeof(message));
		mf_ring_next(side->in, message.size_bytes);
	}
	if (ret < 0 || (ret == 1 && !same(side, &message, got))) {
		complain("message %lu: %d, or another than was put",
			 (unsigned long)side->from.count, ret);
		side->good = false;
	}
	if (ret == 1)
		draw(&side->from);
	return ret == 1;
}

static bool is_wanted(const struct stream *stream)
{
	return stream->count <= __atomic_load_n(wanted, __ATOMIC_RELAXED);
}

/* Late: a little more in both directions, wherever the other side has come to, and it is over. */
static void look_at_clock(const struct side *side)
{
	if (side->end_s > 0 && seconds() > side->end_s && *wanted == messages &&
	    side->to.count + 65536 < messages)
		__atomic_store_n(wanted, side->to.count + 65536, __ATOMIC_RELAXED);
	alarm(STUCK_S);
}

static void *work(void *arg)
{
	struct side *side = arg;
	unsigned int idle = 0;

	side->good = true;
	draw(&side->to);
	draw(&side->from);
	while (side->good && (is_wanted(&side->to) || is_wanted(&side->from))) {
		bool moved = is_wanted(&side->to) && put_drawn(side);

		moved |= is_wanted(&side->from) && take_drawn(side);
		idle = moved ? 0 : idle + 1;
		if (idle > 200)
			sched_yield();
		if (moved && side->from.count % 65536 == 0)
			look_at_clock(side);
	}
	return NULL;
}

static void sides_init(struct side sides[2], struct mf_ring views[2][2], uint64_t seed)
{
	unsigned int i;

	*wanted = messages;
	sides[0].end_s = seconds() + honest_s;
	for (i = 0; i < 2; i++) {
		sides[i].out = &views[i][i];
		sides[i].in = &views[i][!i];
		sides[i].to.state = seed + i;
		sides[i].from.state = seed + !i;
	}
}

static bool open_both(void *first, void *second, size_t bytes, struct mf_ring views[2][2])
{
	return !mf_channel_open(first, bytes, &views[0][0], &views[0][1]) &&
	       !mf_channel_open(second, bytes, &views[1][0], &views[1][1]);
}

static void tell_honest(const struct side *side)
{
	printf("     put %lu, taken %lu\n", (unsigned long)side->to.count - 1,
	       (unsigned long)side->from.count - 1);
}

static bool honest_threads(uint64_t seed)
{
	static struct side sides[2];
	struct mf_channels area;
	struct mf_ring views[2][2];
	pthread_t other;
	void *window;

	memset(sides, 0, sizeof(sides));
	if (mf_channels_create(&area, 1, RING, NULL))
		return false;
	mf_channel_format(&area, 0, 0, 0);
	window = mf_channels_window(&area, 0);
	if (!open_both(window, window, area.window_bytes, views))
		return false;
	sides_init(sides, views, seed);
	if (pthread_create(&other, NULL, work, &sides[1]))
		return false;
	work(&sides[0]);
	pthread_join(other, NULL);
	mf_channels_destroy(&area);
	tell_honest(&sides[0]);
	return sides[0].good && sides[1].good;
}

#ifndef TORTURE_HONEST
static bool ended_well(pid_t pid)
{
	int status = -1;

	return waitpid(pid, &status, 0) == pid && status == 0;
}

static bool honest_processes(uint64_t seed)
{
	static struct side sides[2];
	struct mf_channels area;
	struct mf_ring views[2][2];
	void *theirs;
	pid_t pid;

	memset(sides, 0, sizeof(sides));
	if (mf_channels_create(&area, 2, RING, NULL))
		return false;
	mf_channel_format(&area, 1, 0, 0);
	theirs = mmap(NULL, area.window_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, area.memfd,
		      (off_t)mf_channels_offset(&area, 1));
	if (theirs == MAP_FAILED ||
	    !open_both(mf_channels_window(&area, 1), theirs, area.window_bytes, views))
		return false;
	sides_init(sides, views, seed);
	pid = fork();
	if (!pid) {
		work(&sides[1]);
		_exit(!sides[1].good);
	}
	work(&sides[0]);
	if (!sides[0].good)
		kill(pid, SIGKILL);
	munmap(theirs, area.window_bytes);
	mf_channels_destroy(&area);
	tell_honest(&sides[0]);
	return ended_well(pid) && sides[0].good;
}

/* ---- hostile ---- */

/* What is shared: mapped twice, for the victim between guard pages. */
struct shared {
	struct mf_abi_channel *channel;
	uint8_t *ring[2]; /* the victim produces in 0 and consumes in 1 */
	uint32_t ring_bytes;
	void *window; /* of window_bytes, when the victim opens by what the header says */
	size_t window_bytes;
};

/* `bytes` of a memfd with an untouchable page before and after. */
static void *map_guarded(int memfd, size_t offset, size_t bytes)
{
	uint8_t *room = mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int flags = MAP_FIXED | (memfd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
	void *at;

	if (room == MAP_FAILED)
		abort();
	at = mmap(room + PAGE, bytes, PROT_READ | PROT_WRITE, flags, memfd, (off_t)offset);
	if (at == MAP_FAILED)
		abort();
	return at;
}

static void store(void *at, uint64_t value)
{
	__atomic_store_n((uint64_t *)at, value, __ATOMIC_RELAXED);
}

static uint32_t load(const struct mf_abi_index *index)
{
	return __atomic_load_n(&index->at, __ATOMIC_RELAXED);
}

static void store_index(struct mf_abi_index *index, uint32_t value)
{
	__atomic_store_n(&index->at, value, __ATOMIC_RELAXED);
}

/* A geometry that is right, nearly right or anything. */
static void attack_geometry(struct mf_abi_channel *channel, uint64_t random)
{
	static const uint32_t sizes[] = {RING, RING, RING, RING, RING_MOST, 16384, 2048, 1u << 31};
	uint32_t size = sizes[random >> 8 & 7];
	uint32_t version = random >> 16 & 15 ? MF_CHANNEL_VERSION : (uint32_t)(random >> 32);

	store(channel, (random >> 20 & 15 ? MF_CHANNEL_MAGIC : 0) | (uint64_t)version << 32);
	store(&channel->ring_bytes, random >> 24 & 15 ? size : random >> 32); /* and poll_ns */
}

/* One word somewhere. */
static void attack_once(const struct shared *to, uint64_t random)
{
	struct mf_abi_channel *channel = to->channel;
	uint32_t value = (uint32_t)(random >> 32);
	uint32_t step = value % (to->ring_bytes / 4) * MF_RING_ALIGN;
	uint8_t *word = to->ring[1] + (value >> 8) % (to->ring_bytes / 8) * 8;

	switch (random % 64) {
	case 0:
		return store_index(&channel->request_tail + value % 4, value * 0x9e3779b9u);
	case 1:
		return attack_geometry(channel, random);
	case 2:
		return store(to->ring[value & 1] + (value >> 8) % (to->ring_bytes / 8) * 8,
			     random * 0x9e3779b97f4a7c15ull);
	case 3 ... 10: /* all taken, or part of it: a head that is likely right */
		return store_index(&channel->request_head,
				   load(&channel->request_tail) - (value & 7 ? 0 : step));
	case 11 ... 20: /* something there, at times more than can be */
		return store_index(&channel->reply_tail, load(&channel->reply_head) + step);
	default: /* a size that is often possible */
		return store(word, value & 63 ? 8 + value % 128 : value);
	}
}

struct attack {
	struct shared to;
	uint64_t random;
	int stop;
};

/*
 * With one CPU a whole slice of attacks leaves nothing that nearly makes sense: there, a few, and
 * then the victim's turn.
 */
static bool one_cpu(void)
{
	cpu_set_t set;

	return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) == 1;
}

static void *attack(void *arg)
{
	struct attack *self = arg;
	bool alone = one_cpu();

	while (!__atomic_load_n(&self->stop, __ATOMIC_RELAXED)) {
		uint64_t left = alone ? next_random(&self->random) % 64 : 1000;

		while (left--)
			attack_once(&self->to, next_random(&self->random));
		if (alone)
			sched_yield();
	}
	return NULL;
}

struct victim {
	struct shared in;
	struct mf_ring out_ring;
	struct mf_ring in_ring;
	uint8_t *payload_end; /* the guard page after the memory that payloads are copied to */
	uint64_t random;
	uint64_t put;
	uint64_t taken;
	uint64_t refused;
	uint64_t opened;
	uint64_t not_opened;
	bool good;
};

/* After a wipe both indices are 0; the attacker does not wait for it. False: not opened. */
static bool reopen(struct victim *self)
{
	struct mf_abi_channel *channel = self->in.channel;
	struct shared *in = &self->in;
	int ret;

	store_index(&channel->request_tail, 0);
	store_index(&channel->request_head, 0);
	store_index(&channel->reply_tail, 0);
	store_index(&channel->reply_head, 0);
	if (!in->window) {
		mf_ring_init(&self->out_ring, in->ring[0], in->ring_bytes, &channel->request_tail,
			     &channel->request_head);
		mf_ring_init(&self->in_ring, in->ring[1], in->ring_bytes, &channel->reply_tail,
			     &channel->reply_head);
		return true;
	}
	ret = mf_channel_open(in->window, in->window_bytes, &self->out_ring, &self->in_ring);
	self->opened += !ret;
	self->not_opened += ret != 0;
	if (!ret && self->in_ring.mask != RING - 1 && self->in_ring.mask != RING_MOST - 1)
		self->good = false;
	return !ret;
}

static void count(struct victim *self, int ret, uint64_t *done)
{
	if (ret == -EPROTO)
		self->refused++;
	else if (ret != -EAGAIN && ret != 0 && ret != 1)
		self->good = false;
	if (done)
		++*done;
}

static void victim_put(struct victim *self)
{
	uint64_t random = next_random(&self->random);
	uint32_t bytes = (uint32_t)(random >> 8) % (random & 15 ? 64 : PAYLOAD_MAX + 1);
	struct mf_piece piece = {self->payload_end - bytes, bytes};
	int ret = mf_ring_put(&self->out_ring, 1, random, 0, &piece, 1);

	count(self, ret, ret ? NULL : &self->put);
}

static void victim_take(struct victim *self)
{
	struct mf_abi_message message;
	int ret = mf_ring_peek(&self->in_ring, &message);
	uint32_t bytes;

	count(self, ret, ret == 1 ? &self->taken : NULL);
	if (ret != 1)
		return;
	if (message.size_bytes < sizeof(message) || message.size_bytes > self->in_ring.mask + 1) {
		complain("a message of %u bytes was taken", message.size_bytes);
		self->good = false;
		return;
	}
	bytes = message.size_bytes - (uint32_t)sizeof(message);
	mf_ring_read(&self->in_ring, 0, self->payload_end - bytes, bytes);
	mf_ring_next(&self->in_ring, message.size_bytes);
}

/* Calls that ended in a message or in a refusal. */
static uint64_t outcomes(const struct victim *self)
{
	return self->put + self->taken + self->refused;
}

/* A run in which nothing was taken, or all was, has shown nothing. */
static bool is_telling(const struct victim *self)
{
	return self->put > messages / 1000 && self->taken > messages / 1000 &&
	       self->refused > messages / 1000;
}

static bool suffer(struct victim *self)
{
	double end = seconds() + longest_s;
	bool late = false;
	uint64_t round = 0;
	uint64_t patience = one_cpu() ? 4 : 1024;
	bool open = false;

	self->good = true;
	while (self->good && outcomes(self) < messages && !late) {
		uint64_t before = outcomes(self);

		if (!open)
			open = reopen(self);
		if (open) {
			victim_put(self);
			victim_take(self);
			open = !self->out_ring.broken && !self->in_ring.broken;
		}
		round++;
		if (outcomes(self) == before && round % patience == 0)
			sched_yield();
		if (round % 65536 == 0) {
			alarm(STUCK_S);
			late = is_telling(self) && seconds() > end;
		}
	}
	printf("     put %lu, taken %lu, refused %lu, opened %lu, not opened %lu, rounds %lu\n",
	       (unsigned long)self->put, (unsigned long)self->taken, (unsigned long)self->refused,
	       (unsigned long)self->opened, (unsigned long)self->not_opened, (unsigned long)round);
	return self->good && is_telling(self);
}

static void *payload_room(void)
{
	uint8_t *room = map_guarded(-1, 0, RING_MOST);

	memset(room, 0x5a, RING_MOST);
	return room + RING_MOST;
}

/* Header and rings each between guard pages; the attacker has a mapping of its own. */
static bool hostile_thread(uint64_t seed)
{
	static struct victim victim;
	static struct attack attacker;
	int memfd = memfd_create("torture", MFD_CLOEXEC);
	pthread_t other;
	uint8_t *all;
	bool good;

	if (memfd < 0 || ftruncate(memfd, PAGE + 2 * RING))
		return false;
	all = map_guarded(memfd, 0, PAGE + 2 * RING);
	victim.in.ring_bytes = RING;
	attacker.to = victim.in;
	attacker.to.channel = (struct mf_abi_channel *)(void *)all;
	attacker.to.ring[0] = all + PAGE;
	attacker.to.ring[1] = all + PAGE + RING;
	victim.in.channel = map_guarded(memfd, 0, PAGE);
	victim.in.ring[0] = map_guarded(memfd, PAGE, RING);
	victim.in.ring[1] = map_guarded(memfd, PAGE + RING, RING);
	victim.payload_end = payload_room();
	victim.random = seed;
	attacker.random = seed + 1;
	if (pthread_create(&other, NULL, attack, &attacker))
		return false;
	good = suffer(&victim);
	__atomic_store_n(&attacker.stop, 1, __ATOMIC_RELAXED);
	pthread_join(other, NULL);
	close(memfd);
	return good;
}

/* A whole channel, opened again and again while its geometry changes, too. */
static bool hostile_process(uint64_t seed)
{
	static struct victim victim;
	static struct attack attacker;
	struct mf_channels area;
	uint8_t *all;
	pid_t pid;
	bool good;

	if (mf_channels_create(&area, 3, RING_MOST, NULL))
		return false;
	mf_channel_format(&area, 1, 0, 0);
	all = mf_channels_window(&area, 1);
	victim.in.window_bytes = area.window_bytes;
	victim.in.window =
		map_guarded(area.memfd, (size_t)mf_channels_offset(&area, 1), area.window_bytes);
	victim.in.channel = victim.in.window;
	victim.payload_end = payload_room();
	victim.random = seed;
	attacker.random = seed + 1;
	attacker.to = (struct shared){.channel = (struct mf_abi_channel *)(void *)all,
				      .ring = {all + PAGE, all + PAGE + RING},
				      .ring_bytes = RING};
	pid = fork();
	if (!pid)
		attack(&attacker);
	good = pid > 0 && suffer(&victim);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	good &= !mf_channel_wipe(&area, 1, true);
	mf_channels_destroy(&area);
	return good;
}
#endif

static void run(const char *name, bool (*test)(uint64_t seed), uint64_t seed)
{
	double began = seconds();

	alarm(STUCK_S);
	result(name, test(seed), began);
	alarm(0);
}

static bool asked(const char *variable)
{
	const char *value = getenv(variable);

	return value && !strcmp(value, "1");
}

int main(void)
{
	const char *seed_text = getenv("MAYFLY_TEST_SEED");
	const char *limit = getenv("MAYFLY_TEST_SECONDS"); /* of each case of the long form */
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL);

	signal(SIGALRM, stuck);
	wanted = mmap(NULL, sizeof(*wanted), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (wanted == MAP_FAILED)
		abort();
	if (asked("MAYFLY_TEST_LONG")) {
		messages *= 100;
		honest_s = longest_s = limit ? strtod(limit, NULL) : 600;
	}
	if (asked("MAYFLY_EMULATED"))
		messages /= 50;
	printf("seed %lu, %lu messages of each direction or attempts a case%s\n",
	       (unsigned long)seed, (unsigned long)messages,
	       asked("MAYFLY_EMULATED") ? " (scaled down to a fiftieth)" : "");
	run("two threads exchange messages", honest_threads, seed);
#ifndef TORTURE_HONEST
	run("two processes exchange messages over the memfd", honest_processes, seed + 1000);
	run("a hostile thread gets nothing through", hostile_thread, seed + 2000);
	run("a hostile process gets nothing through, also in the geometry", hostile_process,
	    seed + 3000);
#endif
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}
