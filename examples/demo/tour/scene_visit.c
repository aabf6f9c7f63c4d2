/* SPDX-License-Identifier: MIT */
/* A server to play with. */
#include <stdio.h>
#include <string.h>

#include "../exploit.h"
#include "client.h"
#include "say.h"
#include "server.h"
#include "tour.h"

/* The commands that are printed, tried. */
static void try_them(const struct tour *tour, uint16_t port)
{
	struct ask hello = {.method = "GET", .target = "/"};
	struct ask crash = {.method = "GET", .target = "/hostile/crash"};
	struct answer answer;
	struct client client;

	client_init(&client, port);
	claim(client_ask(&client, &hello, &answer) == 0 && answer.status == 200 &&
		      strncmp(answer.body, "Hello! Requests served by this machine: 1\n", 42) == 0,
	      "the first: hello, and every time the first request of that machine");
	claim(client_post(&client, &tour->stanzas.list[0]), "the second: the stanza as JSON");
	claim(client_ask(&client, &crash, &answer) == 0 && answer.status == 502,
	      "the third: 502, its VM died and is new by now");
	client_finish(&client);
}

void scene_visit(const struct tour *tour)
{
	static const char *const options[] = {"--audit", NULL};
	struct server_end end;
	struct server server;

	if (!server_start(&server, tour, options))
		return;
	say("http://127.0.0.1:%u/ is up. In another terminal:", server.port);
	say_blank();
	say("  curl http://127.0.0.1:%u/", server.port);
	say("  head -n 20 %s | sed '/^$/q' | curl --data-binary @- http://127.0.0.1:%u/",
	    STANZAS_FILE, server.port);
	say("  curl -i http://127.0.0.1:%u/hostile/crash", server.port);
	say_blank();
	try_them(tour, server.port);
	if (tour->wait) {
		say_blank();
		say("Press Enter to end it.");
		while (getchar() != '\n' && !feof(stdin))
			;
	}
	if (server_stop(&server, &end))
		claim(end.requests >= 3 && end.unclean == 0,
		      "the server ended: %llu requests, %llu audits, %llu unclean", end.requests,
		      end.audits, end.unclean);
}
