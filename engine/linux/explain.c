/* SPDX-License-Identifier: MIT */
#include "engine/linux/explain.h"
#include "engine/linux/permit.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINES 256u /* different ones that are remembered; further ones are only counted */
#define TEXT  600u /* of what was tried */

struct told {
	uint64_t hash;
	uint64_t again; /* how often after the first time */
	char *line;
};

struct mf_explain {
	pthread_mutex_t lock;
	mf_explain_fn *line;
	void *cookie;
	struct told told[LINES];
	size_t count;
	uint64_t untold;
};

int mf_explain_create(struct mf_explain **explain, mf_explain_fn *line, void *cookie)
{
	*explain = calloc(1, sizeof(**explain));
	if (!*explain)
		return -ENOMEM;
	pthread_mutex_init(&(*explain)->lock, NULL);
	(*explain)->line = line;
	(*explain)->cookie = cookie;
	return 0;
}

void mf_explain_destroy(struct mf_explain *explain)
{
	size_t i;

	if (!explain)
		return;
	for (i = 0; i < explain->count; i++)
		free(explain->told[i].line);
	pthread_mutex_destroy(&explain->lock);
	free(explain);
}

void mf_explain_sum(struct mf_explain *explain)
{
	char line[MF_EXPLAIN_LINE];
	size_t i;

	if (!explain)
		return;
	pthread_mutex_lock(&explain->lock);
	for (i = 0; i < explain->count; i++) {
		struct told *told = &explain->told[i];

		if (!told->again)
			continue;
		snprintf(line, sizeof(line), "mayfly: refused again (%llu): %s",
			 (unsigned long long)told->again, told->line);
		explain->line(explain->cookie, line);
		told->again = 0;
	}
	if (explain->untold) {
		snprintf(line, sizeof(line),
			 "mayfly: refused again (%llu), and not told one by one",
			 (unsigned long long)explain->untold);
		explain->line(explain->cookie, line);
		explain->untold = 0;
	}
	pthread_mutex_unlock(&explain->lock);
}

/* FNV-1a. */
static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
	return hash;
}

/* The lock is held. True when it is to be told now. */
static bool is_new(struct mf_explain *explain, const char *line)
{
	uint64_t hash = hash_of(line);
	size_t i;

	for (i = 0; i < explain->count; i++) {
		if (explain->told[i].hash == hash && !strcmp(explain->told[i].line, line)) {
			explain->told[i].again++;
			return false;
		}
	}
	if (i < LINES)
		explain->told[i].line = strdup(line);
	if (i == LINES || !explain->told[i].line) {
		explain->untold++;
		return false;
	}
	explain->told[i].hash = hash;
	explain->count++;
	return true;
}

static void tell(struct mf_explain *explain, const char *text)
{
	char line[MF_EXPLAIN_LINE];

	pthread_mutex_lock(&explain->lock);
	if (is_new(explain, text)) {
		snprintf(line, sizeof(line), "mayfly: refused: %s", text);
		explain->line(explain->cookie, line);
	}
	pthread_mutex_unlock(&explain->lock);
}

/* Guest text on its way to a terminal. */
static void make_harmless(char *text)
{
	for (; *text; text++)
		if (!isprint((unsigned char)*text))
			*text = '?';
}

void mf_explain(const struct mf_process *process, const char *option, const char *format, ...)
{
	struct mf_explain *explain = process->policy->explain;
	char text[MF_EXPLAIN_LINE - 64];
	size_t used;
	va_list list;

	if (!explain)
		return;
	va_start(list, format);
	vsnprintf(text, TEXT, format, list);
	va_end(list);
	used = strlen(text);
	if (option)
		snprintf(text + used, sizeof(text) - used, "; add %s", option);
	make_harmless(text);
	tell(explain, text);
}

static const char *purpose_of(unsigned int need)
{
	if ((need & (MF_PERMIT_READ | MF_PERMIT_WRITE)) == (MF_PERMIT_READ | MF_PERMIT_WRITE))
		return " for reading and writing";
	if (need & MF_PERMIT_WRITE)
		return " for writing";
	return need & MF_PERMIT_READ ? " for reading" : "";
}

/* Which of the two lists the name is missing in. */
static const char *missing_in(const struct mf_permit *permit, const char *clean, unsigned int need)
{
	if (need & MF_PERMIT_WRITE &&
	    (!permit || !mf_permit_allows(permit, clean, MF_PERMIT_WRITE)))
		return "--allow-write";
	if (need & MF_PERMIT_READ && (!permit || !mf_permit_allows(permit, clean, MF_PERMIT_READ)))
		return "--allow-read";
	if (need & MF_PERMIT_EITHER &&
	    (!permit || !mf_permit_allows(permit, clean, MF_PERMIT_EITHER)))
		return "--allow-read";
	return NULL;
}

void mf_explain_path(const struct mf_process *process, const char *what, const char *clean,
		     unsigned int need, int code)
{
	const struct mf_permit *permit = process->policy->permit;
	char option[TEXT / 2];
	const char *list;

	if (!process->policy->explain || (code != -EACCES && code != -EPERM))
		return;
	list = missing_in(permit, clean, need);
	if (!list) {
		mf_explain(process, NULL,
			   "%s \"%.400s\"%s: the name is allowed, but not what it leads to: a "
			   "link to elsewhere, a device, /proc, or a file that this user may not "
			   "open",
			   what, clean, purpose_of(need));
		return;
	}
	snprintf(option, sizeof(option), "%s=%.250s", list, clean);
	mf_explain(process, option, "%s \"%.250s\"%s: not in %s", what, clean, purpose_of(need),
		   list);
}

void mf_explain_address(const struct mf_process *process, enum mf_net_use use,
			const struct sockaddr *address, socklen_t bytes)
{
	const char *list = use == MF_NET_LISTEN ? "--allow-listen" : "--allow-connect";
	char name[160];
	char option[200];

	if (!process->policy->explain)
		return;
	mf_permit_net_print(address, bytes, name, sizeof(name));
	snprintf(option, sizeof(option), "%s=%s", list, name);
	mf_explain(process, option, "%s %s: not in %s",
		   use == MF_NET_LISTEN ? "listen on" : "connect to", name, list);
}
