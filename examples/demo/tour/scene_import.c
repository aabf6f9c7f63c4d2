/* SPDX-License-Identifier: MIT */
/* The package database into a store: every stanza by a request of its own, read back from disk by
 * another server. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client.h"
#include "crew.h"
#include "say.h"
#include "server.h"
#include "tour.h"

/* One server over the folder, one job for the crew, and what it took. */
struct leg {
	const char *name;
	struct crew crew;
	struct server_end end;
	bool ended; /* well */
};

static bool travel(struct leg *leg, const struct tour *tour)
{
	const char *const options[] = {"--audit", "--store", tour->folder, NULL};
	struct server server;

	leg->crew.tour = tour;
	leg->crew.what = leg->name;
	if (!server_start(&server, tour, options))
		return false;
	leg->crew.port = server.port;
	crew_work(&leg->crew);
	server_settle(tour);
	leg->ended = server_stop(&server, &leg->end);
	return leg->ended;
}

static double exits(unsigned long long all, const struct leg *leg)
{
	return (double)all / (double)leg->crew.done;
}

static void show(const struct leg *leg, bool emulated)
{
	double a_second = (double)leg->crew.done * 1e9 / (double)leg->crew.ns;
	const char *rate = emulated ? "-" : with_commas((unsigned long long)a_second);

	say("  %-12s %9s %12s %10s %12.2f %12.2f %9s", leg->name, with_commas(leg->crew.done),
	    with_commas(leg->crew.bytes), rate, exits(leg->end.exits, leg),
	    exits(leg->end.store_exits, leg), with_commas(leg->end.commits));
}

/* Let the kernel forget the file. True: it did, reading it means going to the disk. */
static bool drop_from_cache(const struct tour *tour)
{
	char name[4096];
	char byte;
	struct iovec to = {&byte, 1};
	int fd;
	bool gone;

	snprintf(name, sizeof(name), "%s/data.mdb", tour->folder);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	gone = preadv2(fd, &to, 1, 0, RWF_NOWAIT) < 0 && errno == EAGAIN;
	close(fd);
	return gone;
}

static bool as_it_should(const struct leg *leg, size_t count)
{
	const struct server_end *end = &leg->end;

	return leg->ended && end->requests == count && end->failed == 0 &&
	       end->calls + end->in_place == count && end->audits == count && end->unclean == 0;
}

void scene_import(const struct tour *tour)
{
	struct leg in = {.name = "kept", .crew = {.ask = client_put}};
	struct leg out = {.name = "read back", .crew = {.ask = client_get}};
	size_t count = crew_count(tour);
	bool dropped;

	if (tour->emulated)
		say("in the emulated machine: one stanza of %u", CREW_STEP(tour));
	say("%d clients PUT each package's stanza under its name: the request checks it and calls "
	    "the",
	    CREW_CLIENTS);
	say("store, and the client has its answer once it is on the disk. Then the server ends, "
	    "and a new");
	say("one over the same folder is asked for all of them.");
	if (!travel(&in, tour))
		return;
	dropped = drop_from_cache(tour);
	if (!travel(&out, tour))
		return;
	say_blank();
	say("  %-12s %9s %12s %10s %12s %12s", "", "", "", "requests", "user exits",
	    "storage VM's");
	say("  %-12s %9s %12s %10s %12s %12s %9s", "packages", "requests", "bytes", "a second",
	    "a request", "(with start)", "commits");
	show(&in, tour->emulated);
	show(&out, tour->emulated);
	say_blank();
	claim(in.crew.done == count && in.crew.wrong == 0, "kept: %s packages, %s bytes; not: %zu",
	      with_commas(count), with_commas(in.crew.bytes), in.crew.wrong);
	claim(out.crew.wrong == 0 && out.crew.bytes == in.crew.bytes,
	      "read back, packages that differ by any byte: %zu%s", out.crew.wrong,
	      dropped ? " (the page cache had been dropped)" : "");
	claim(as_it_should(&in, count) && as_it_should(&out, count),
	      "a call to the store for each request, or a read of its file in place (%s); %s "
	      "audits, %llu unclean",
	      with_commas(out.end.in_place), with_commas(in.end.audits + out.end.audits),
	      in.end.unclean + out.end.unclean);
}
