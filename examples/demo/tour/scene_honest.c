/* SPDX-License-Identifier: MIT */
/* Honest clients: every package of this machine, each answer compared with the native one. */
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "crew.h"
#include "say.h"
#include "server.h"
#include "times.h"
#include "tour.h"

#define NATIVE_RUNS 8

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

/* Bytes of the native answers, which are those that came when none was wrong. */
static size_t bytes_of_json(const struct tour *tour)
{
	size_t bytes = 0;

	for (size_t i = 0; i < tour->stanzas.count; i += CREW_STEP(tour))
		bytes += tour->stanzas.list[i].json_length;
	return bytes;
}

void scene_honest(const struct tour *tour)
{
	static const char *const options[] = {"--audit", NULL};
	struct crew crew = {.tour = tour, .what = "stanzas posted", .ask = client_post};
	size_t count = crew_count(tour);
	struct server_end end;
	struct server server;

	if (tour->emulated)
		say("in the emulated machine: one stanza of %u", CREW_STEP(tour));
	if (!server_start(&server, tour, options))
		return;
	crew.port = server.port;
	crew_work(&crew);
	server_settle(tour);
	if (!server_stop(&server, &end))
		return;
	say("%d clients posted %s stanzas, %s bytes, and got %s bytes of JSON.", CREW_CLIENTS,
	    with_commas(count), with_commas(crew.bytes),
	    with_commas(crew.wrong ? 0 : bytes_of_json(tour)));
	if (!tour->emulated)
		say("%.2f s: %s requests a second, each in a VM that was reset and audited after "
		    "it.",
		    (double)crew.ns / 1e9,
		    with_commas((unsigned long long)((double)count * 1e9 / (double)crew.ns)));
	claim(crew.wrong == 0, "answers that differ from the native ones by any byte: %zu",
	      crew.wrong);
	run_natively(tour);
	claim(end.requests == count && end.failed == 0 && end.audits == count && end.unclean == 0,
	      "the server counts %llu requests, %llu failures, %llu audits, %llu unclean",
	      end.requests, end.failed, end.audits, end.unclean);
}
