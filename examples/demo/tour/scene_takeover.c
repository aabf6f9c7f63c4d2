/* SPDX-License-Identifier: MIT */
/*
 * A crafted request takes the program over and steals, or plants, what it can: once against a
 * server that never resets, to see that the attack is real, and once against Mayfly as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../exploit.h"
#include "anatomy.h"
#include "client.h"
#include "say.h"
#include "server.h"
#include "tour.h"

/* What the clients of one server met. */
struct robbery {
	bool answered; /* every request, in the expected form */
	bool stolen;
	bool planted;
	int served; /* requests that the greeting counts */
	struct server_end end;
};

static void make_secret(char *secret, size_t room)
{
	unsigned char bytes[16] = {0};
	size_t at = (size_t)snprintf(secret, room, "Bearer ");

	if (getrandom(bytes, sizeof(bytes), 0) < 0)
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		at += (size_t)snprintf(secret + at, room - at, "%02x", bytes[i]);
}

bool attack_body(const struct tour *tour, enum attack attack, char **body, size_t *length)
{
	FILE *to = open_memstream(body, length);
	int rc = -1;

	if (!to)
		return false;
	if (attack == ATTACK_STEAL)
		rc = exploit_steal(to, tour->stanza, NULL, 0);
	else
		rc = exploit_plant(to, tour->stanza, NULL);
	return fclose(to) == 0 && rc == 0;
}

static bool attack(const struct tour *tour, struct client *client, enum attack what,
		   struct answer *answer)
{
	struct ask ask = {.method = "POST", .target = "/"};
	char *body = NULL;
	bool done = attack_body(tour, what, &body, &ask.length);

	ask.body = body;
	done = done && client_ask(client, &ask, answer) == 0 && answer->status == 200;
	free(body);
	return done;
}

/* The victim, the thief, the vandal, and an innocent one, one after the other. */
static bool rob(const struct tour *tour, struct client *client, const char *secret,
		struct robbery *robbery)
{
	const struct stanza *stanza = &tour->stanzas.list[0];
	struct ask victim = {"POST", "/", NULL, stanza->text.data, stanza->text.length};
	struct ask greeting = {.method = "GET", .target = "/"};
	struct answer answer;
	char header[128];

	snprintf(header, sizeof(header), "Authorization: %s\r\n", secret);
	victim.headers = header;
	if (client_ask(client, &victim, &answer) < 0 || answer.status != 200)
		return false;
	if (!attack(tour, client, ATTACK_STEAL, &answer))
		return false;
	robbery->stolen = memmem(answer.body, answer.length, secret, strlen(secret)) != NULL;
	if (!attack(tour, client, ATTACK_PLANT, &answer))
		return false;
	if (client_ask(client, &greeting, &answer) < 0 || answer.status != 200)
		return false;
	robbery->planted = strstr(answer.body, EXPLOIT_TEXT) != NULL;
	return sscanf(answer.body, "Hello! Requests served by this machine: %d",
		      &robbery->served) == 1;
}

static void rob_server(const struct tour *tour, const char *reset, const char *secret,
		       struct robbery *robbery)
{
	const char *options[] = {"--vms", "1", "--audit", "--reset", reset, NULL};
	struct client client;
	struct server server;

	*robbery = (struct robbery){0};
	if (!server_start(&server, tour, options))
		return;
	client_init(&client, server.port);
	robbery->answered = rob(tour, &client, secret, robbery);
	client_finish(&client);
	server_settle(tour);
	robbery->answered &= server_stop(&server, &robbery->end);
	say("  --reset %-8s  %-13s  %-12s  %d", reset, robbery->stolen ? "stolen" : "not found",
	    robbery->planted ? "shown" : "not there", robbery->served);
}

void scene_takeover(const struct tour *tour)
{
	struct robbery never, reset;
	char secret[64] = "";

	make_secret(secret, sizeof(secret));
	say("On one VM, one after the other: a client with a secret; one whose stanza overflows a");
	say("buffer and jumps into the program (examples/demo/exploit.c) to steal it; one that "
	    "plants a");
	say("text for those to come; and one that says hello.");
	say_blank();
	say("  server            secret         planted text  requests that this VM remembers");
	rob_server(tour, "never", secret, &never);
	rob_server(tour, "request", secret, &reset);
	say_blank();
	claim(never.answered && never.stolen && never.planted && never.served == 4,
	      "without reset the attack works: it is real");
	claim(reset.answered && !reset.stolen && !reset.planted && reset.served == 1,
	      "with reset it runs as well, and finds and leaves nothing");
	claim(reset.end.audits == 4 && reset.end.unclean == 0,
	      "%llu audits of the VM after those, %llu unclean", reset.end.audits,
	      reset.end.unclean);
	say_blank();
	anatomy_show(tour, secret);
}
