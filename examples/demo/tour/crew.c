/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "crew.h"
#include "say.h"
#include "times.h"

struct shift {
	struct crew *crew;
	atomic_size_t next;
	atomic_size_t done;
	atomic_size_t wrong;
	atomic_size_t bytes;
};

size_t crew_count(const struct tour *tour)
{
	return (tour->stanzas.count + CREW_STEP(tour) - 1) / CREW_STEP(tour);
}

static void *be_a_client(void *arg)
{
	struct shift *shift = arg;
	const struct tour *tour = shift->crew->tour;
	struct client client;
	size_t i;

	client_init(&client, shift->crew->port);
	while ((i = atomic_fetch_add(&shift->next, CREW_STEP(tour))) < tour->stanzas.count) {
		const struct stanza *stanza = &tour->stanzas.list[i];

		if (shift->crew->ask(&client, stanza))
			shift->bytes += stanza->text.length;
		else
			shift->wrong++;
		shift->done++;
	}
	client_finish(&client);
	return NULL;
}

void crew_work(struct crew *crew)
{
	struct shift shift = {.crew = crew};
	struct timespec nap = {.tv_nsec = 20000000};
	size_t count = crew_count(crew->tour);
	pthread_t threads[CREW_CLIENTS];
	uint64_t start = now_ns();

	for (int i = 0; i < CREW_CLIENTS; i++)
		pthread_create(&threads[i], NULL, be_a_client, &shift);
	while (shift.done < count) {
		say_progress(crew->what, shift.done, count);
		nanosleep(&nap, NULL);
	}
	say_progress(crew->what, count, count);
	for (int i = 0; i < CREW_CLIENTS; i++)
		pthread_join(threads[i], NULL);
	crew->ns = now_ns() - start;
	crew->done = shift.done;
	crew->wrong = shift.wrong;
	crew->bytes = shift.bytes;
}
