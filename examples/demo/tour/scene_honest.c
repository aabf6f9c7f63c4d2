/* SPDX-License-Identifier: MIT */
/* Honest clients: every package of this machine, each answer compared with the native one. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "say.h"
#include "server.h"
#include "times.h"
#include "tour.h"

#define CLIENTS        4
#define EMULATED_EVERY 12 /* stanzas: one of so many is posted there */
#define NATIVE_RUNS    8

struct work {
	const struct tour *tour;
	uint16_t port;
	size_t step;
	atomic_size_t next;
	atomic_size_t done;
	atomic_size_t wrong;
	atomic_size_t bytes_in;
	atomic_size_t bytes_out;
};

static void *be_a_client(void *arg)
{
	struct work *work = arg;
	struct client client;
	size_t i;

	client_init(&client, work->port);
	while ((i = atomic_fetch_add(&work->next, work->step)) < work->tour->stanzas.count) {
		const struct stanza *stanza = &work->tour->stanzas.list[i];

		if (client_post(&client, stanza)) {
			work->bytes_in += stanza->text.length;
			work->bytes_out += stanza->json_length;
		} else {
			work->wrong++;
		}
		work->done++;
	}
	client_finish(&client);
	return NULL;
}

static void post_all(struct work *work, size_t count)
{
	struct timespec nap = {.tv_nsec = 20000000};
	pthread_t threads[CLIENTS];

	for (int i = 0; i < CLIENTS; i++)
		pthread_create(&threads[i], NULL, be_a_client, work);
	while (work->done < count) {
		say_progress("stanzas posted", work->done, count);
		nanosleep(&nap, NULL);
	}
	say_progress("stanzas posted", count, count);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
}

/* What "natively" means, held against the program itself: some stanzas, the largest among them. */
static void run_natively(const struct tour *tour)
{
	const struct stanzas *all = &tour->stanzas;
	size_t picks[NATIVE_RUNS + 1] = {0};
	size_t same = 0;

	for (size_t i = 0; i < all->count; i++)
		if (all->list[i].text.length > all->list[picks[0]].text.length)
			picks[0] = i;
	for (size_t i = 1; i <= NATIVE_RUNS; i++)
		picks[i] = (i - 1) * all->count / NATIVE_RUNS;
	for (size_t i = 0; i <= NATIVE_RUNS; i++) {
		const struct stanza *stanza = &all->list[picks[i]];
		char *output;
		long length =
			run_program(tour->stanza, stanza->text.data, stanza->text.length, &output);

		same += length == (long)stanza->json_length &&
			memcmp(output, stanza->json, stanza->json_length) == 0;
		free(output);
	}
	claim(same == NATIVE_RUNS + 1,
	      "%zu of %d stanzas: the program run natively prints those same bytes", same,
	      NATIVE_RUNS + 1);
}

void scene_honest(const struct tour *tour)
{
	static const char *const options[] = {"--audit", NULL};
	struct work work = {.tour = tour, .step = tour->emulated ? EMULATED_EVERY : 1};
	size_t count = (tour->stanzas.count + work.step - 1) / work.step;
	struct server_end end;
	struct server server;
	uint64_t start;

	if (tour->emulated)
		say("in the emulated machine: one stanza of %d", EMULATED_EVERY);
	if (!server_start(&server, tour, options))
		return;
	work.port = server.port;
	start = now_ns();
	post_all(&work, count);
	start = now_ns() - start;
	server_settle(tour);
	if (!server_stop(&server, &end))
		return;
	say("%d clients posted %s stanzas, %s bytes, and got %s bytes of JSON.", CLIENTS,
	    with_commas(count), with_commas(work.bytes_in), with_commas(work.bytes_out));
	if (!tour->emulated)
		say("%.2f s: %s requests a second, each in a VM that was reset and audited after "
		    "it.",
		    (double)start / 1e9,
		    with_commas((unsigned long long)((double)count * 1e9 / (double)start)));
	claim(work.wrong == 0, "answers that differ from the native ones by any byte: %zu",
	      work.wrong);
	run_natively(tour);
	claim(end.requests == count && end.failed == 0 && end.audits == count && end.unclean == 0,
	      "the server counts %llu requests, %llu failures, %llu audits, %llu unclean",
	      end.requests, end.failed, end.audits, end.unclean);
}
