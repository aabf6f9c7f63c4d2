/* SPDX-License-Identifier: MIT */
/* Honest clients on a server that a crowd of hostile ones is hammering at the same time. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "say.h"
#include "server.h"
#include "times.h"
#include "tour.h"

#define HONEST 4
/* Honest ones must keep it too, on a busy machine with two cores. */
#define DEADLINE          "1s"
#define DEADLINE_EMULATED "3s"
#define RUN_NS            4000000000ull
#define RUN_EMULATED_NS   15000000000ull

/* What a mode is expected to end in: an answer, or one of these. */
struct mode {
	const char *name;
	int status; /* the server's answer */
	int other;  /* also good */
};

static const struct mode modes[] = {
	{"scribble", 200, 0},    {"registers", 200, 0}, {"crash", 502, 0},
	{"ud2", 502, 0},         {"loop", 504, 0},      {"memory", 502, 200},
	{"descriptors", 200, 0}, {"ring", 200, 502},    {"flood", 200, 0},
};
#define MODES (sizeof(modes) / sizeof(modes[0]))

struct person {
	pthread_t thread;
	const struct tour *tour;
	const struct mode *mode; /* NULL: honest */
	uint16_t port;
	uint64_t until;
	size_t first; /* stanza */
	size_t asked;
	size_t wrong; /* answers other than expected */
	struct times times;
};

/* Over deadline is over deadline: a slow machine may end any hostile request so. */
static bool as_expected(const struct mode *mode, int status)
{
	return status == mode->status || status == 504 || (mode->other && status == mode->other);
}

static void misbehave(struct person *person, struct client *client)
{
	struct answer answer;
	char target[64];
	struct ask ask = {.method = "GET", .target = target};

	uint64_t start = now_ns();

	snprintf(target, sizeof(target), "/hostile/%s", person->mode->name);
	person->wrong +=
		client_ask(client, &ask, &answer) < 0 || !as_expected(person->mode, answer.status);
	times_add(&person->times, now_ns() - start);
	person->asked++;
}

/* In turns: have a stanza parsed, have it kept, get it back. */
static void behave(struct person *person, struct client *client)
{
	static bool (*const turns[])(struct client * client, const struct stanza *stanza) = {
		client_post, client_put, client_get};
	const struct stanzas *all = &person->tour->stanzas;
	const struct stanza *stanza = &all->list[(person->first + person->asked / 3) % all->count];
	uint64_t start = now_ns();

	person->wrong += !turns[person->asked % 3](client, stanza);
	times_add(&person->times, now_ns() - start);
	person->asked++;
}

static void *live(void *arg)
{
	struct person *person = arg;
	struct client client;

	client_init(&client, person->port);
	while (now_ns() < person->until) {
		if (person->mode)
			misbehave(person, &client);
		else
			behave(person, &client);
	}
	client_finish(&client);
	return NULL;
}

/* Everybody at once, then the honest ones' numbers in people[0]. */
static void run(struct person *people, size_t count, const struct tour *tour, uint16_t port)
{
	uint64_t start = now_ns();
	uint64_t length = tour->emulated ? RUN_EMULATED_NS : RUN_NS;

	for (size_t i = 0; i < count; i++) {
		people[i] = (struct person){.tour = tour, .port = port, .until = start + length};
		if (i < HONEST)
			people[i].first = i * tour->stanzas.count / HONEST;
		else
			people[i].mode = &modes[i - HONEST];
		pthread_create(&people[i].thread, NULL, live, &people[i]);
	}
	for (uint64_t now; (now = now_ns()) < start + length;) {
		struct timespec nap = {.tv_nsec = 50000000};

		say_progress("tenths of a second", (size_t)((now - start) / 100000000),
			     (size_t)(length / 100000000));
		nanosleep(&nap, NULL);
	}
	say_progress("", 1, 1);
	for (size_t i = 0; i < count; i++)
		pthread_join(people[i].thread, NULL);
	for (size_t i = 1; i < HONEST; i++) {
		times_merge(&people[0].times, &people[i].times);
		people[0].asked += people[i].asked;
		people[0].wrong += people[i].wrong;
		times_finish(&people[i].times);
	}
}

static void show(const char *name, struct person *honest, bool emulated)
{
	if (emulated)
		say("  %-15s %8s %13s %13s %7zu", name, with_commas(honest->asked), "-", "-",
		    honest->wrong);
	else
		say("  %-15s %8s %10.2f ms %10.2f ms %7zu", name, with_commas(honest->asked),
		    times_us(&honest->times, 50) / 1000, times_us(&honest->times, 99) / 1000,
		    honest->wrong);
}

/* Answers that were other than expected. */
static size_t show_crowd(struct person *crowd, bool emulated)
{
	size_t unexpected = 0;

	say("  the crowd       requests       slowest");
	for (size_t i = 0; i < MODES; i++) {
		double slowest = times_us(&crowd[i].times, 100);

		if (emulated)
			say("  %-15s %8s %13s", crowd[i].mode->name, with_commas(crowd[i].asked),
			    "-");
		else
			say("  %-15s %8s %10.2f ms", crowd[i].mode->name,
			    with_commas(crowd[i].asked), slowest / 1000);
		unexpected += crowd[i].wrong;
		times_finish(&crowd[i].times);
	}
	return unexpected;
}

static bool everybody_asked(const struct person *people, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (people[i].asked == 0)
			return false;
	return true;
}

static void show_all(struct person *alone, struct person *crowded, const struct server_end *end,
		     bool emulated)
{
	size_t unexpected;

	say_blank();
	say("  honest clients  requests           p50           p99   wrong");
	show("alone", &alone[0], emulated);
	show("beside a crowd", &crowded[0], emulated);
	say_blank();
	unexpected = show_crowd(crowded + HONEST, emulated);
	say_blank();
	claim(alone[0].asked && alone[0].wrong == 0 && crowded[0].asked && crowded[0].wrong == 0,
	      "every honest answer was the native one, or what had been kept, byte by byte");
	claim(everybody_asked(crowded, HONEST + MODES) && unexpected == 0,
	      "every hostile request ended as it should: answered, crashed (502) or timed out "
	      "(504)");
	claim(end->restarts == 0, "the storage VM answered %s calls and was never started again",
	      with_commas(end->calls));
	claim(end->audits > 0 && end->unclean == 0, "%s audits, %llu unclean",
	      with_commas(end->audits), end->unclean);
}

void scene_crowd(const struct tour *tour)
{
	const char *deadline = tour->emulated ? DEADLINE_EMULATED : DEADLINE;
	const char *const options[] = {"--deadline", deadline,  "--audit",    "--request-memory",
				       "8M",         "--store", tour->folder, NULL};
	struct person alone[HONEST], crowded[HONEST + MODES];
	struct server_end end;
	struct server server;

	say("%d honest clients for %d s, then the same beside %zu hostile ones, one of each kind "
	    "and as fast",
	    HONEST, (int)((tour->emulated ? RUN_EMULATED_NS : RUN_NS) / 1000000000), MODES);
	say("as they can; deadline %s. The honest have stanzas parsed, kept and given back in "
	    "turns. Ring",
	    deadline);
	say("and flood turn on the same store: forged messages in its channel, calls without "
	    "end.");
	if (!server_start(&server, tour, options))
		return;
	run(alone, HONEST, tour, server.port);
	run(crowded, HONEST + MODES, tour, server.port);
	if (!server_stop(&server, &end))
		return;
	show_all(alone, crowded, &end, tour->emulated);
	times_finish(&alone[0].times);
	times_finish(&crowded[0].times);
}
