/* SPDX-License-Identifier: MIT */
/*
 * Tenants of one mayflyd: what a neighbour's noise does to a tenant's requests, and what the way
 * through the router costs. Each noise is alone. Calm and noisy seconds take turns in one run, with
 * the same processes; what is asked in both is an open loop far below what the tenant could do.
 */
#include "bench/arrivals.h"
#include "bench/client.h"
#include "bench/nuisance.h"
#include "bench/socket.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CALM_CLIENTS 2u
#define REQUESTS     3000u
#define TURNS        12u
#define CALM_RATE    400.0

enum noise { NONE, SPIN, EAT, LOG, PUT, CONNECTIONS, DIALS };

/* What the noisy tenant's clients do, and how its requests end. */
static const struct {
	const char *target;
	unsigned int clients;
	bool reconnect;
} noises[] = {
	[SPIN] = {"/s", 8, false}, [EAT] = {"/e", 8, false},           [LOG] = {"/l", 8, false},
	[PUT] = {"/p", 8, false},  [CONNECTIONS] = {"/", 10000, true}, [DIALS] = {"/", 10000, true},
};

struct world {
	char folder[64];
	char config[96];
	char calm[96];
	char noisy[96];
	struct bench_server server; /* mayflyd; its clients are the calm tenant's */
	struct bench_nuisance noise;
};

static void write_noisy(const struct world *world, FILE *file, enum noise noise)
{
	fprintf(file,
		" noisy = { program = \"%s\"; listen = \"%s\"; vms = 8; queue = 64; memory = "
		"\"64M\"; deadline = \"300ms\"; connections = 4096; ",
		bench_path("bench-noise"), world->noisy);
	if (noise == PUT)
		fprintf(file, "store = \"%s/store\"; ", world->folder);
	fprintf(file, "};\n");
}

static bool write_config(const struct world *world, enum noise noise)
{
	FILE *file = fopen(world->config, "w");

	if (!file)
		return false;
	fprintf(file,
		"runtime = \"%s/run\"\n"
		"tenants = {\n"
		" calm = { program = \"%s\"; listen = \"%s\"; vms = 4; };\n",
		world->folder, bench_path("../examples/hello"), world->calm);
	if (noise)
		write_noisy(world, file, noise);
	fprintf(file, "};\n");
	return fclose(file) == 0;
}

static bool start(struct world *world, enum noise noise)
{
	char *argv[] = {(char *)(uintptr_t)bench_path("../supervisor/mayflyd"), "--config",
			world->config, NULL};
	char program[4096];

	*world = (struct world){.folder = "/tmp/mayfly-bench-XXXXXX"};
	if (!mkdtemp(world->folder))
		return false;
	snprintf(world->config, sizeof(world->config), "%s/mayfly.conf", world->folder);
	snprintf(world->calm, sizeof(world->calm), "unix:%s/calm", world->folder);
	snprintf(world->noisy, sizeof(world->noisy), "unix:%s/noisy", world->folder);
	snprintf(program, sizeof(program), "%s", argv[0]);
	argv[0] = program;
	/* All processors: what is measured is how they are shared. */
	return write_config(world, noise) &&
	       bench_server_start(&world->server, world->calm, argv, -1, CALM_CLIENTS);
}

static bool start_noise(struct world *world, enum noise noise)
{
	int fd = -1;
	int i;

	/* Its engine may be ready later than the neighbour's. */
	for (i = 0; i < 200 && (fd = bench_connect(world->noisy)) < 0; i++)
		usleep(50000);
	if (fd < 0)
		return false;
	close(fd);
	world->noise = (struct bench_nuisance){.address = world->noisy,
					       .target = noises[noise].target,
					       .clients = noises[noise].clients,
					       .reconnect = noises[noise].reconnect};
	return bench_nuisance_start(&world->noise);
}

static void stop(struct world *world)
{
	char path[96];
	const char *const files[] = {"store/data.mdb", "store/lock.mdb", "mayfly.conf"};
	const char *const folders[] = {"store", "run", ""};
	size_t i;

	bench_nuisance_stop(&world->noise);
	bench_server_stop(&world->server);
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", world->folder, files[i]);
		unlink(path);
	}
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", world->folder, folders[i]);
		rmdir(path);
	}
}

static unsigned int rounds(void)
{
	return bench.quick ? REQUESTS / 10 : REQUESTS;
}

/* Its requests, as samples of a report. */
static bool measure(struct world *world, struct mf_samples *samples)
{
	bool good = bench_burst(&world->server, rounds() / 10, false) &&
		    bench_burst(&world->server, rounds(), true);

	*samples = world->server.samples;
	world->server.samples = (struct mf_samples){0};
	return good;
}

static void wait_ms(unsigned int ms)
{
	const struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&span, NULL);
}

/* Calm and noisy seconds in turns. What the noise had begun is over after its deadline. */
static bool take_turns(struct world *world, struct bench_arrivals *calm,
		       struct bench_arrivals *beside)
{
	unsigned int turn;

	for (turn = 0; turn < (bench.quick ? 1 : TURNS); turn++) {
		bench_nuisance_pause(&world->noise, true);
		wait_ms(700);
		calm->seed = turn + 1;
		if (!bench_arrivals_run(calm))
			return false;
		bench_nuisance_pause(&world->noise, false);
		wait_ms(300);
		beside->seed = turn + 1;
		if (!bench_arrivals_run(beside))
			return false;
	}
	return !calm->lost && !calm->others && !beside->lost && !beside->others &&
	       !calm->refused.count && !beside->refused.count;
}

static double load_average(void)
{
	double load = 0;

	return getloadavg(&load, 1) == 1 ? load : 0;
}

static void report_noise(struct bench_report *report, struct mf_samples *calm,
			 struct mf_samples *beside)
{
	static const struct {
		const char *alone, *ratio;
		double fraction;
	} points[] = {{"alone_p50", "ratio_p50", 0.5},
		      {"alone_p99", "ratio_p99", 0.99},
		      {"alone_p999", "ratio_p999", 0.999}};
	size_t i;

	for (i = 0; i < 3; i++) {
		double value = mf_samples_percentile(calm, points[i].fraction);

		bench_count(report, points[i].alone, value);
		bench_count(report, points[i].ratio,
			    mf_samples_percentile(beside, points[i].fraction) / value);
	}
	report->samples = *beside;
	report->yardstick = "alone, in turns";
	report->yard = *calm;
}

/* arg: the noise. */
static int run_noise(const struct bench_case *self)
{
	struct bench_report report = {.name = self->name, .unit = "ns"};
	struct bench_arrivals calm = {.target = "/",
				      .rate = CALM_RATE,
				      .seconds = 1,
				      .connections = 16,
				      .reconnect = self->arg == DIALS,
				      .from_send = true};
	struct bench_arrivals beside;
	struct world world;
	bool first;
	bool good = start(&world, self->arg) && start_noise(&world, self->arg);

	/* Clients of one's own are late when they have to wait for a processor. */
	bench_pin(-1);
	first = bench_go_first();
	calm.address = world.calm;
	beside = calm;
	good = good && take_turns(&world, &calm, &beside);
	stop(&world);
	if (!good)
		return bench_fail(self, "%llu requests were lost, %zu refused",
				  (unsigned long long)(calm.lost + beside.lost),
				  calm.refused.count + beside.refused.count);
	report_noise(&report, &calm.served, &beside.served);
	bench_count(&report, "client_goes_first", first);
	bench_count(&report, "load", load_average());
	bench_print(&report);
	return 0;
}

/* A connection for each request: through the router, and to an engine that accepts it itself. */
static int run_connect(const struct bench_case *self)
{
	struct bench_report report = {
		.name = self->name, .unit = "ns", .yardstick = "accepted by the engine"};
	char serve[4096], guest[4096];
	struct bench_server direct;
	struct world world;
	bool good = start(&world, NONE) &&
		    bench_server_connect(&world.server, CALM_CLIENTS, true) &&
		    measure(&world, &report.samples);

	stop(&world);
	snprintf(serve, sizeof(serve), "%s", bench_path("../cli/mayfly"));
	snprintf(guest, sizeof(guest), "%s", bench_path("../examples/hello"));
	if (good) {
		char *argv[] = {serve,   "serve", "--listen", "unix:/tmp/mayfly-bench-direct",
				"--vms", "4",     "--",       guest,
				NULL};

		good = bench_server_start(&direct, "unix:/tmp/mayfly-bench-direct", argv, -1,
					  CALM_CLIENTS) &&
		       bench_server_connect(&direct, CALM_CLIENTS, true) &&
		       bench_burst(&direct, rounds(), true);
		report.yard = direct.samples;
		direct.samples = (struct mf_samples){0};
		bench_server_stop(&direct);
	}
	if (!good)
		return bench_fail(self, "a request was not answered");
	bench_print(&report);
	return 0;
}

const struct bench_case bench_cases[] = {
	{"tenants/beside-spin", run_noise, 0, SPIN, false},
	{"tenants/beside-memory", run_noise, 0, EAT, false},
	{"tenants/beside-connections", run_noise, 0, CONNECTIONS, false},
	{"tenants/beside-connections-dialling", run_noise, 0, DIALS, false},
	{"tenants/beside-store", run_noise, 0, PUT, false},
	{"tenants/beside-log", run_noise, 0, LOG, false},
	{"tenants/connect", run_connect, 0, 0, false},
	{NULL, NULL, 0, 0, false},
};
