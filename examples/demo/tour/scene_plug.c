/* SPDX-License-Identifier: MIT */
/* The server is killed under load, again and again over one folder: what it acknowledged is there.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "say.h"
#include "server.h"
#include "times.h"
#include "tour.h"

#define KILLS         3
#define WRITERS       6
#define RECORD_MAX    12000u
#define WRITES_MIN    40 /* before the plug is pulled, and the time below */
#define PULL_NS       600000000ull
#define PULL_LATER_NS 150000000ull /* with each kill */
#define PATIENCE_NS   10000000000ull
#define SLOWER        10 /* patience in the emulated machine */

/* One client's records; a record's number says all of what is in it. */
struct writer {
	pthread_t thread;
	int kill;
	int number;
	uint16_t port;
	atomic_size_t acknowledged; /* the records before that */
	bool in_flight;             /* one more was sent when the plug was pulled */
	bool refused;               /* no: that one was answered, and not as it should */
};

/* What was found of the records of one kill. */
struct count {
	size_t acknowledged;
	size_t in_flight;
	size_t found;
	size_t lost;
	size_t torn; /* not as they were sent, acknowledged or not */
	size_t refused;
	uint64_t back_ns; /* until the next server was up */
};

/* A stanza that nobody else writes, of any size up to RECORD_MAX. */
static struct stanza make_record(const struct writer *writer, size_t i, char *text, char *name)
{
	size_t filler = (size_t)(writer->number + 1) * (i + 7) * 2654435761u % RECORD_MAX;
	int bytes;

	sprintf(name, "plug-%d-%d-%zu", writer->kill, writer->number, i);
	bytes = sprintf(text, "Package: %s\nDescription: record %zu of writer %d\n ", name, i,
			writer->number);
	for (size_t k = 0; k < filler; k++)
		text[bytes + (int)k] = (char)('a' + (i + k * k) % 26);
	text[bytes + (int)filler] = '\n';
	return (struct stanza){.text = {text, (size_t)bytes + filler + 1}, .name = name};
}

/* Until the server is no more. */
static void *write_on(void *arg)
{
	struct writer *writer = arg;
	char text[RECORD_MAX + 256], name[64];
	struct client client;

	client_init(&client, writer->port);
	for (size_t i = 0;; i++) {
		struct stanza record = make_record(writer, i, text, name);

		if (!client_put(&client, &record))
			break;
		writer->acknowledged = i + 1;
	}
	writer->refused = client.fd >= 0;
	writer->in_flight = !writer->refused;
	client_finish(&client);
	return NULL;
}

static size_t acknowledged(struct writer *writers)
{
	size_t all = 0;

	for (int i = 0; i < WRITERS; i++)
		all += writers[i].acknowledged;
	return all;
}

/* Everybody writes; pull it when there is something to lose. */
static void write_and_kill(const struct tour *tour, struct server *server, struct writer *writers,
			   int kill)
{
	struct timespec nap = {.tv_nsec = 1000000};
	uint64_t start = now_ns();
	uint64_t patience = PATIENCE_NS * (tour->emulated ? SLOWER : 1);

	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.kill = kill, .number = i, .port = server->port};
		pthread_create(&writers[i].thread, NULL, write_on, &writers[i]);
	}
	while (now_ns() - start < patience &&
	       (now_ns() - start < PULL_NS + (uint64_t)kill * PULL_LATER_NS ||
		acknowledged(writers) < WRITES_MIN))
		nanosleep(&nap, NULL);
	server_kill(server);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i].thread, NULL);
}

/* Nothing of what was in flight, or all of it. */
static void look_for_one(struct client *client, const struct writer *writer, size_t i,
			 struct count *count)
{
	char text[RECORD_MAX + 256], name[64], target[96];
	struct stanza record = make_record(writer, i, text, name);
	struct ask ask = {.method = "GET", .target = target};
	struct answer answer;
	bool is_there, right;

	snprintf(target, sizeof(target), "/package/%s", name);
	is_there = client_ask(client, &ask, &answer) == 0 && answer.status == 200;
	right = is_there && answer.length == record.text.length &&
		memcmp(answer.body, text, answer.length) == 0;
	count->found += right;
	count->lost += i < writer->acknowledged && !right;
	count->torn += is_there && !right;
}

/* Lost once is lost, even if it should come back. */
static void look_for_all(uint16_t port, const struct writer *writers, struct count *count)
{
	struct client client;

	count->acknowledged = count->in_flight = count->found = count->refused = 0;
	client_init(&client, port);
	for (int i = 0; i < WRITERS; i++) {
		count->acknowledged += writers[i].acknowledged;
		count->in_flight += writers[i].in_flight;
		count->refused += writers[i].refused;
		for (size_t k = 0; k < writers[i].acknowledged + writers[i].in_flight; k++)
			look_for_one(&client, &writers[i], k, count);
	}
	client_finish(&client);
}

/* A life of the server: what all kills so far left is counted, then it is written to and killed;
 * the last is let go. */
static bool live(const struct tour *tour, struct writer writers[][WRITERS], struct count *counts,
		 int kills)
{
	const char *const options[] = {"--store", tour->folder, NULL};
	uint64_t start = now_ns();
	struct server_end end;
	struct server server;

	if (!server_start(&server, tour, options))
		return false;
	if (kills > 0)
		counts[kills - 1].back_ns = now_ns() - start;
	for (int i = 0; i < kills; i++)
		look_for_all(server.port, writers[i], &counts[i]);
	if (kills == KILLS)
		return server_stop(&server, &end);
	write_and_kill(tour, &server, writers[kills], kills);
	return true;
}

static void show(const struct count *count, int kill, bool emulated)
{
	char back[24] = "-";

	if (!emulated)
		snprintf(back, sizeof(back), "%.2f s", (double)count->back_ns / 1e9);
	say("  %-6d %14s %12s %10s %8zu %14s", kill + 1, with_commas(count->acknowledged),
	    with_commas(count->in_flight), with_commas(count->found), count->lost, back);
}

static void judge(const struct count *counts, bool emulated)
{
	struct count all = {0};
	bool loaded = true, found = true;

	say_blank();
	say("  %-6s %14s %12s %10s %8s %14s", "kill", "acknowledged", "in flight", "found", "lost",
	    "up again in");
	for (int i = 0; i < KILLS; i++) {
		show(&counts[i], i, emulated);
		all.acknowledged += counts[i].acknowledged;
		all.lost += counts[i].lost;
		all.torn += counts[i].torn;
		all.refused += counts[i].refused;
		loaded &= counts[i].acknowledged >= WRITES_MIN && counts[i].in_flight > 0;
		found &= counts[i].found >= counts[i].acknowledged;
	}
	say_blank();
	claim(loaded && all.refused == 0, "every kill hit writes in flight; refused before: %zu",
	      all.refused);
	claim(found && all.lost == 0, "of %s acknowledged writes lost: %zu",
	      with_commas(all.acknowledged), all.lost);
	claim(all.torn == 0, "writes of which only a part was found: %zu", all.torn);
}

void scene_plug(const struct tour *tour)
{
	static struct writer writers[KILLS][WRITERS];
	struct count counts[KILLS] = {0};
	bool alive = true;

	say("%d clients write records of up to %s bytes as fast as they are answered; the server "
	    "gets",
	    WRITERS, with_commas(RECORD_MAX));
	say("SIGKILL, and a new one over the same folder is asked for all that was ever sent. The "
	    "kernel");
	say("lives on: this is a crash of the server, not of the machine.");
	for (int kills = 0; kills <= KILLS && alive; kills++)
		alive = live(tour, writers, counts, kills);
	if (alive)
		judge(counts, tour->emulated);
}
