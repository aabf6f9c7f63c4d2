/* SPDX-License-Identifier: MIT */
/* A busy server, looked at from outside by `mayfly stat`, where this build has it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "say.h"
#include "server.h"
#include "tour.h"

#define CLIENTS 2

struct load {
	const struct tour *tour;
	uint16_t port;
	atomic_bool over;
	atomic_size_t asked;
	atomic_size_t wrong;
};

/* One request in four calls the store. */
static void *be_busy(void *arg)
{
	struct load *load = arg;
	const struct stanzas *all = &load->tour->stanzas;
	struct client client;

	client_init(&client, load->port);
	while (!load->over) {
		size_t i = load->asked++;
		const struct stanza *stanza = &all->list[i % all->count];

		load->wrong += !(i % 4 ? client_post : client_put)(&client, stanza);
	}
	client_finish(&client);
	return NULL;
}

/* What it printed, line by line. */
static void show(char *text)
{
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));)
		if (*line || rest)
			say("  %s", line);
}

static void look_at(const struct tour *tour, const struct server *server)
{
	struct load load = {.tour = tour, .port = server->port};
	pthread_t threads[CLIENTS];
	char pid[16];
	const char *const argv[] = {tour->mayfly, "stat",       "--pid",
				    pid,          "--duration", tour->emulated ? "15s" : "3s",
				    NULL};
	char *output = NULL;
	int status;

	snprintf(pid, sizeof(pid), "%d", (int)server->pid);
	for (int i = 0; i < CLIENTS; i++)
		pthread_create(&threads[i], NULL, be_busy, &load);
	status = run_quietly(argv, &output);
	load.over = true;
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(threads[i], NULL);
	say("mayfly stat --pid %s --duration %s, while %d clients were busy:", pid, argv[5],
	    CLIENTS);
	if (tour->emulated)
		say("in the emulated machine its times mean nothing");
	say_blank();
	show(output ? output : (char[]){""});
	say_blank();
	claim(status == 0, "it ended with status %d", status);
	claim(load.asked > 0 && load.wrong == 0, "%s requests meanwhile, wrong answers: %zu",
	      with_commas(load.asked), load.wrong);
	free(output);
}

void scene_probes(const struct tour *tour)
{
	const char *const help[] = {tour->mayfly, "stat", "--help", NULL};
	const char *const options[] = {"--store", tour->folder, NULL};
	struct server_end end;
	struct server server;

	if (run_quietly(help, NULL) != 0) {
		say("Left out: this build of mayfly has no verb stat.");
		return;
	}
	if (!server_start(&server, tour, options))
		return;
	look_at(tour, &server);
	server_stop(&server, &end);
}
