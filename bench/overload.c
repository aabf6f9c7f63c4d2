/* SPDX-License-Identifier: MIT */
/*
 * A server that is asked ten times what it can do: how long those wait who are served, how soon the
 * others are told, and what memory it takes. Requests of some two milliseconds of computing; the
 * capacity is what a closed loop of as many clients as VMs gets served.
 */
#include "bench/arrivals.h"
#include "bench/client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS 8u
#define TIMES   10.0
/* All that may be in flight: more than VMs and queue hold. */
#define CONNECTIONS 400u
#define SECONDS     60.0

struct world {
	struct bench_server server;
	double capacity; /* requests a second */
};

static bool start(struct world *world)
{
	char serve[4096], guest[4096];
	char *argv[] = {serve,   "serve", "--listen",   "unix:/tmp/mayfly-bench-overload",
			"--vms", "8",     "--deadline", "60s",
			"--",    guest,   NULL};

	snprintf(serve, sizeof(serve), "%s", bench_path("../cli/mayfly"));
	snprintf(guest, sizeof(guest), "%s", bench_path("bench-noise"));
	return bench_server_start(&world->server, argv[3], argv, -1, CLIENTS);
}

/* In KiB; 0: not told. */
static double status_of(const struct world *world, const char *field)
{
	char path[64], line[256];
	double kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)world->server.pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, field, strlen(field)))
			sscanf(line + strlen(field), ": %lf", &kib);
	if (file)
		fclose(file);
	return kib;
}

static bool find_capacity(struct world *world)
{
	unsigned int each = bench.quick ? 100 : 500;

	world->server.target = "/work";
	if (!bench_burst(&world->server, each / 4, false) ||
	    !bench_burst(&world->server, each, true))
		return false;
	world->capacity = (double)world->server.samples.count / (world->server.busy_ns / 1e9);
	return bench_server_connect(&world->server, 0, false);
}

static bool ask(struct world *world, struct bench_arrivals *arrivals, double times, bool reconnect)
{
	*arrivals = (struct bench_arrivals){.address = world->server.address,
					    .target = "/work",
					    .rate = world->capacity * times,
					    .seconds = bench.quick ? 10 : SECONDS,
					    .connections = CONNECTIONS,
					    .reconnect = reconnect,
					    .seed = 1};
	return bench_arrivals_run(arrivals);
}

static void report_served(const struct bench_case *self, struct world *world,
			  struct bench_arrivals *usual, struct bench_arrivals *over,
			  const double kib[3])
{
	struct bench_report report = {.name = self->name,
				      .unit = "ns",
				      .samples = over->served,
				      .yardstick = "at capacity",
				      .yard = usual->served};
	double p99 = mf_samples_percentile(&usual->served, 0.99);

	bench_count(&report, "capacity", world->capacity);
	bench_count(&report, "capacity_p99", p99);
	bench_count(&report, "ratio_p99", mf_samples_percentile(&over->served, 0.99) / p99);
	bench_count(&report, "served_at_capacity", (double)usual->served.count);
	bench_count(&report, "refused_at_capacity", (double)usual->refused.count);
	bench_count(&report, "sent", (double)over->sent);
	bench_count(&report, "others", (double)(usual->others + over->others));
	bench_count(&report, "lost", (double)(usual->lost + over->lost));
	bench_count(&report, "resident_kib_before", kib[0]);
	bench_count(&report, "resident_kib_peak", kib[1]);
	bench_count(&report, "resident_kib_after", kib[2]);
	bench_count(&report, "sent_late_max", over->behind_ns);
	bench_print(&report);
}

/* arg: each request on a connection of its own. */
static int run_overload(const struct bench_case *self)
{
	struct bench_arrivals usual = {0}, over = {0};
	struct world world = {0};
	char name[64];
	double kib[3] = {0};
	bool good;

	/* Who asks is not to be what limits it. */
	bench_pin(-1);
	bench_go_first();
	good = start(&world) && find_capacity(&world);
	good = good && ask(&world, &usual, 1, self->arg);
	kib[0] = status_of(&world, "VmRSS");
	good = good && ask(&world, &over, TIMES, self->arg);
	kib[1] = status_of(&world, "VmHWM");
	kib[2] = status_of(&world, "VmRSS");
	bench_server_stop(&world.server);
	if (!good)
		return bench_fail(self, "the server did not answer");
	report_served(self, &world, &usual, &over, kib);
	snprintf(name, sizeof(name), "%s/refused", self->name);
	bench_print(&(struct bench_report){.name = name, .unit = "ns", .samples = over.refused});
	mf_samples_free(&usual.refused);
	return 0;
}

const struct bench_case bench_cases[] = {
	{"overload/kept", run_overload, 0, false, true},
	{"overload/dials", run_overload, 0, true, true},
	{NULL, NULL, 0, 0, false},
};
