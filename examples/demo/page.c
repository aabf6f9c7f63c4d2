/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "page.h"
#include "registry.h"

#define LISTED 12u

/* The attacks, in the words of their buttons. */
static const struct {
	const char *name;
	const char *does;
	const char *then;
} attacks[] = {
	{"scribble", "overwrites all memory that it can write, its own stack too", "back here"},
	{"registers", "fills every register", "back here"},
	{"descriptors", "opens files until there are none", "back here"},
	{"ring", "rewrites its channel to the store at random",
	 "back here, or 502: the engine noticed"},
	{"flood", "calls the store and reads no reply", "back here"},
	{"memory", "takes memory until there is none", "502, or back here: it has a limit"},
	{"crash", "writes through a null pointer", "502: its machine died and is new by now"},
	{"ud2", "runs an instruction that does not exist", "502: likewise"},
	{"loop", "never answers", "504 when the server's deadline is over"},
};
#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

static const char head[] =
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	"<meta name=\"viewport\" content=\"width=device-width\"><title>Mayfly</title>\n<style>"
	"body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto;padding:0 1em}"
	"td{padding:.2em 1em .2em 0;vertical-align:top}button{min-width:8em;font:inherit}"
	".note{border-left:.3em solid #c60;padding:.1em 1em;background:#fff3e0;color:#222}"
	"</style></head><body>\n<h1>A machine for every request</h1>\n";

static char html[24u << 10];
static size_t length;

/* What does not fit is left out. */
static void put(const char *data, size_t bytes)
{
	if (bytes > sizeof(html) - length)
		return;
	memcpy(html + length, data, bytes);
	length += bytes;
}

__attribute__((format(printf, 1, 2))) static void print(const char *format, ...)
{
	size_t room = sizeof(html) - length;
	va_list list;
	int bytes;

	va_start(list, format);
	bytes = vsnprintf(html + length, room, format, list);
	va_end(list);
	if (bytes > 0 && (size_t)bytes < room)
		length += (size_t)bytes;
}

/* Text from outside, in an element or in a quoted attribute. */
static void print_foreign(struct mf_text text)
{
	for (size_t i = 0; i < text.length; i++) {
		char c = text.data[i];

		if (strchr("&<>\"'", c) || c < ' ' || c > '~')
			print("&#%d;", c < ' ' || c > '~' ? '?' : c);
		else
			put(&c, 1);
	}
}

static void print_after(struct mf_text query)
{
	static const char after[] = "after=";
	size_t skip = sizeof(after) - 1;

	if (query.length < skip || memcmp(query.data, after, skip) != 0)
		return;
	for (size_t i = 0; i < ATTACKS; i++)
		if (query.length - skip == strlen(attacks[i].name) &&
		    memcmp(query.data + skip, attacks[i].name, query.length - skip) == 0)
			print("<p class=\"note\">You come from <b>%s</b>, a request that %s. It "
			      "could still "
			      "answer; then its machine was put back to what it was before the "
			      "first request. It may be the very one that shows you this "
			      "page.</p>\n",
			      attacks[i].name, attacks[i].does);
}

static void print_notice(const char *notice)
{
	if (!*notice)
		return;
	print("<p class=\"note\">");
	print_foreign((struct mf_text){notice, strlen(notice)});
	print("</p>\n");
}

static void print_attacks(void)
{
	print("<h2>Attack it</h2>\n<p>Each button is a request that does its worst to the machine "
	      "it runs in.</p>\n<table>\n");
	for (size_t i = 0; i < ATTACKS; i++)
		print("<tr><td><form method=\"post\" action=\"/attack/%s\"><button>%s</button>"
		      "</form></td><td>%s</td><td>%s</td></tr>\n",
		      attacks[i].name, attacks[i].name, attacks[i].does, attacks[i].then);
	print("</table>\n");
}

static void print_package(struct mf_text name, void *count)
{
	print("%s<a href=\"/package/", (*(unsigned int *)count)++ ? ", " : "<p>The first: ");
	print_foreign(name);
	print("\">");
	print_foreign(name);
	print("</a>");
}

static void print_packages(void)
{
	unsigned int count = 0;

	print("<h2>Packages in the store</h2>\n");
	if (registry_list(LISTED, print_package, &count) < 0)
		print("<p>The store did not say.</p>\n");
	else if (count == 0)
		print("<p>None yet. Try <code>dpkg -s bash | curl -X PUT --data-binary @- "
		      "http://.../package/bash</code></p>\n");
	else
		print(".</p>\n");
}

void page_answer(const struct page *page)
{
	length = 0;
	put(head, sizeof(head) - 1);
	print("<p>Requests served by this machine: <b>%d</b>. It was made for this request: it is "
	      "always 1.<br>\nVisits, as the store counts them: <b>%lld</b>.</p>\n",
	      page->served, (long long)page->visits);
	print_after(page->query);
	print_notice(page->notice);
	print_attacks();
	print_packages();
	print("</body></html>\n");
	mf_respond(200, "text/html; charset=utf-8", html, length);
	mf_response_header("Cache-Control", "no-store");
	mf_response_header("Content-Security-Policy",
			   "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'");
}
