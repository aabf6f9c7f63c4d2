/* SPDX-License-Identifier: MIT */
/* A server to play with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "say.h"
#include "server.h"
#include "tour.h"

#define PAGE "Accept: text/html\r\n"

static bool get(struct client *client, const char *target, const char *headers,
		struct answer *answer)
{
	struct ask ask = {.method = "GET", .target = target, .headers = headers};

	return client_ask(client, &ask, answer) == 0 && answer->status == 200;
}

/* Whether the page shows that it came from a machine's first request. */
static bool is_page(const struct answer *answer)
{
	return strncmp(answer->body, "<!doctype html>", 15) == 0 &&
	       strstr(answer->body, "Requests served by this machine: <b>1</b>") &&
	       strstr(answer->body, "</html>");
}

static long visits(const struct answer *answer)
{
	static const char sign[] = "as the store counts them: <b>";
	const char *at = strstr(answer->body, sign);

	return at ? atol(at + sizeof(sign) - 1) : -1;
}

static void try_page(struct client *client)
{
	struct ask attack = {.method = "POST", .target = "/attack/scribble"};
	struct answer answer;
	bool right = get(client, "/", PAGE, &answer) && is_page(&answer);
	long before = right ? visits(&answer) : -1;

	right = right && client_ask(client, &attack, &answer) == 0 && answer.status == 303 &&
		get(client, "/?after=scribble", PAGE, &answer) && is_page(&answer);
	claim(right && before > 0 && visits(&answer) == before + 1,
	      "the page, also after the attack of a button: its machine's first request; visits "
	      "go on");
}

/* The commands that are printed, tried. */
static void try_them(const struct tour *tour, uint16_t port)
{
	static const char hello[] = "Hello! Requests served by this machine: 1\n";
	struct ask crash = {.method = "GET", .target = "/hostile/crash"};
	const struct stanza *stanza = &tour->stanzas.list[0];
	struct answer answer;
	struct client client;

	client_init(&client, port);
	try_page(&client);
	claim(get(&client, "/", NULL, &answer) && strncmp(answer.body, hello, strlen(hello)) == 0,
	      "the first: hello, and every time the first request of that machine");
	claim(client_post(&client, stanza), "the second: the stanza as JSON");
	claim(client_put(&client, stanza) && client_get(&client, stanza),
	      "the third and the fourth: kept, and given back byte by byte");
	claim(client_ask(&client, &crash, &answer) == 0 && answer.status == 502,
	      "the fifth: 502, its VM died and is new by now");
	client_finish(&client);
}

static void show(uint16_t port)
{
	static const char package[] = "printf 'Package: hello\\nDepends: libc6 | musl\\n'";

	say("http://127.0.0.1:%u/ is up: a page for a browser. In another terminal:", port);
	say_blank();
	say("  U=http://127.0.0.1:%u", port);
	say("  curl $U/");
	say("  %s | curl --data-binary @- $U/", package);
	say("  %s | curl -X PUT --data-binary @- $U/package/hello", package);
	say("  curl $U/package/hello");
	say("  curl -i $U/hostile/crash");
	say_blank();
}

void scene_visit(const struct tour *tour)
{
	const char *const options[] = {"--audit", "--store", tour->folder, NULL};
	struct server_end end;
	struct server server;

	if (!server_start(&server, tour, options))
		return;
	show(server.port);
	try_them(tour, server.port);
	if (tour->wait) {
		say_blank();
		say("Press Enter to end it.");
		while (getchar() != '\n' && !feof(stdin))
			;
	}
	if (server_stop(&server, &end))
		claim(end.requests >= 8 && end.unclean == 0,
		      "the server ended: %llu requests, %llu audits, %llu unclean", end.requests,
		      end.audits, end.unclean);
}
