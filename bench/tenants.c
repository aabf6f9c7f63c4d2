/* SPDX-License-Identifier: MIT */
/*
 * Tenants of one mayflyd: what a neighbour's noise does to a tenant's requests, and what the way
 * through the router costs. The noise is clients on as many connections as fit, which keep all VMs
 * of the noisy tenant computing.
 */
#include "bench/client.h"
#include "bench/socket.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOISY_CLIENTS 12u
#define CALM_CLIENTS  2u
#define REQUESTS      3000u

struct world {
	char folder[64];
	char config[96];
	char calm[96];
	char noisy[96];
	struct bench_server server; /* mayflyd; its clients are the calm tenant's */
	pid_t noise;
};

static bool write_config(const struct world *world, unsigned int share)
{
	FILE *file = fopen(world->config, "w");

	if (!file)
		return false;
	fprintf(file,
		"runtime = \"%s/run\"\n"
		"tenants = {\n"
		" calm = { program = \"%s\"; listen = \"%s\"; vms = 4; }\n",
		world->folder, bench_path("../examples/hello"), world->calm);
	fprintf(file,
		" noisy = { program = \"%s\"; listen = \"%s\"; vms = 16; queue = 64; cpu-share = "
		"%u; }\n};\n",
		bench_path("../examples/hello"), world->noisy, share);
	return fclose(file) == 0;
}

static bool start(struct world *world, unsigned int share)
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
	return write_config(world, share) &&
	       bench_server_start(&world->server, world->calm, argv, -1, CALM_CLIENTS);
}

/* A process of clients that never stop. */
static bool make_noise(struct world *world)
{
	world->noise = fork();
	if (world->noise == 0) {
		struct bench_server noisy = {0};

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(noisy.address, sizeof(noisy.address), "%s", world->noisy);
		while (!bench_server_connect(&noisy, NOISY_CLIENTS, false))
			usleep(10000);
		for (;;)
			bench_burst(&noisy, 1000, false);
	}
	return world->noise > 0;
}

static void stop(struct world *world)
{
	char run[96];

	if (world->noise > 0) {
		kill(world->noise, SIGKILL);
		waitpid(world->noise, NULL, 0);
	}
	bench_server_stop(&world->server);
	unlink(world->config);
	snprintf(run, sizeof(run), "%s/run", world->folder);
	rmdir(run);
	rmdir(world->folder);
}

static unsigned int rounds(void)
{
	return bench.quick ? REQUESTS / 10 : REQUESTS;
}

/* Its requests, as samples of a report. */
static bool measure(struct world *world, struct bench_samples *samples)
{
	bool good = bench_burst(&world->server, rounds() / 10, false) &&
		    bench_burst(&world->server, rounds(), true);

	*samples = world->server.samples;
	world->server.samples = (struct bench_samples){0};
	return good;
}

/* arg: the noisy tenant's share; 0: no noise. */
static int run_noise(const struct bench_case *self)
{
	struct bench_report report = {.name = self->name, .unit = "ns"};
	struct world world;
	bool good = start(&world, self->arg ? self->arg : 100);

	if (good && self->arg)
		good = make_noise(&world);
	good = good && measure(&world, &report.samples);
	stop(&world);
	if (!good)
		return bench_fail(self, "a request was not answered");
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
	bool good = start(&world, 100) && bench_server_connect(&world.server, CALM_CLIENTS, true) &&
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
		direct.samples = (struct bench_samples){0};
		bench_server_stop(&direct);
	}
	if (!good)
		return bench_fail(self, "a request was not answered");
	bench_print(&report);
	return 0;
}

const struct bench_case bench_cases[] = {
	{"tenants/alone", run_noise, 0, 0, false},
	{"tenants/beside-noise", run_noise, 0, 100, false},
	{"tenants/beside-noise-of-a-tenth", run_noise, 0, 10, false},
	{"tenants/connect", run_connect, 0, 0, false},
	{NULL, NULL, 0, 0, false},
};
