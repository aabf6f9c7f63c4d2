/* SPDX-License-Identifier: MIT */
/* The same requests, one client, three ways to serve them: what each costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "lab.h"
#include "native.h"
#include "say.h"
#include "server.h"
#include "times.h"
#include "tour.h"

#define REQUESTS          2000
#define REQUESTS_EMULATED 100
#define WARM_UP           100
#define WARM_UP_EMULATED  20

/* One way. Counts are a request's. */
struct way {
	const char *name;
	struct times times;
	size_t wrong;
	double exits; /* < 0: there is no such thing */
	double faults;
	long private_kib;
	bool measured;
};

struct counts {
	size_t warm_up;
	size_t requests;
};

static struct counts counts_of(const struct tour *tour)
{
	return tour->emulated ? (struct counts){WARM_UP_EMULATED, REQUESTS_EMULATED}
			      : (struct counts){WARM_UP, REQUESTS};
}

static const struct stanza *pick(const struct tour *tour, size_t i)
{
	return &tour->stanzas.list[i % tour->stanzas.count];
}

static void time_requests(struct way *way, const struct tour *tour, struct client *client)
{
	struct counts counts = counts_of(tour);

	for (size_t i = 0; i < counts.requests; i++) {
		uint64_t start = now_ns();

		way->wrong += !client_post(client, pick(tour, counts.warm_up + i));
		times_add(&way->times, now_ns() - start);
		say_progress(way->name, i + 1, counts.requests);
	}
}

static void warm_up(struct way *way, const struct tour *tour, struct client *client)
{
	struct counts counts = counts_of(tour);

	for (size_t i = 0; i < counts.warm_up; i++)
		way->wrong += !client_post(client, pick(tour, i));
}

static bool ask_usage(struct client *client, const struct tour *tour, long *faults, long *kib)
{
	const struct stanza *stanza = pick(tour, 0);
	struct ask ask = {"POST", NATIVE_USAGE_TARGET, NULL, stanza->text.data,
			  stanza->text.length};
	struct answer answer;

	return client_ask(client, &ask, &answer) == 0 &&
	       sscanf(answer.body, "%ld %ld", faults, kib) == 2;
}

static void measure_native(struct way *way, const struct tour *tour, bool fork_per_request)
{
	struct native native;
	struct client client;
	long before, after;

	way->exits = -1;
	if (native_start(&native, fork_per_request) < 0) {
		claim(false, "the server does not start: %s", way->name);
		return;
	}
	client_init(&client, native.port);
	warm_up(way, tour, &client);
	way->measured = ask_usage(&client, tour, &before, &way->private_kib);
	time_requests(way, tour, &client);
	way->measured &= ask_usage(&client, tour, &after, &way->private_kib);
	way->faults = (double)(after - before) / (double)way->times.count;
	client_finish(&client);
	native_stop(&native);
}

static void measure_server(struct way *way, const struct tour *tour)
{
	static const char *const options[] = {"--workers", "1", NULL};
	struct server_end end;
	struct server server;
	struct client client;

	if (!server_start(&server, tour, options))
		return;
	client_init(&client, server.port);
	warm_up(way, tour, &client);
	time_requests(way, tour, &client);
	client_finish(&client);
	server_settle(tour);
	way->measured = server_stop(&server, &end) && end.failed == 0 && end.requests == end.resets;
}

/* One request to a VM of our own, counted from delivery to answer; the reset is not part of it. */
static bool count_one(struct lab *lab, struct mf_process *vm, const struct stanza *stanza,
		      double *exits, double *faults)
{
	const struct mf_kvm_vm *kvm = &vm->vm.kvm;
	uint32_t which = lab->program.kvm.stat_pf_taken;
	uint64_t exits_before = kvm->user_exits;
	uint64_t faults_before = mf_kvm_vm_stat(kvm, which);
	struct mf_http_message message;
	struct mf_exit exit;
	bool served = lab_stanza(&message, stanza) && lab_serve(lab, vm, &message, &exit) &&
		      exit.kind == MF_EXIT_READY;

	mf_http_message_finish(&message);
	*exits += (double)(kvm->user_exits - exits_before);
	*faults += (double)(mf_kvm_vm_stat(kvm, which) - faults_before);
	return mf_process_reset(vm) == 0 && served;
}

/* Exits and faults do not show from outside: count them on the same requests in this process. */
static void count_mayfly(struct way *way, const struct tour *tour)
{
	struct counts counts = counts_of(tour);
	double exits = 0, faults = 0;
	struct mf_error err = {0};
	struct mf_process vm;
	struct lab lab;

	way->measured &= lab_open(&lab, tour->stanza);
	if (!way->measured)
		return;
	if (mf_process_fork(&vm, &lab.image, &lab.program.policy, &err) < 0) {
		claim(false, "fork: %s", err.text);
		return;
	}
	for (size_t i = 0; i < counts.warm_up + counts.requests; i++) {
		if (i == counts.warm_up)
			exits = faults = 0;
		way->wrong += !count_one(&lab, &vm, pick(tour, i), &exits, &faults);
		say_progress("requests counted", i + 1, counts.warm_up + counts.requests);
	}
	way->exits = exits / (double)counts.requests;
	way->faults = faults / (double)counts.requests;
	way->private_kib = mf_mem_private_pages(&vm.vm.mem) * 4;
	mf_process_finish(&vm);
	lab_close(&lab);
}

static void show(struct way *way, double native_us, bool emulated)
{
	char exits[16] = "-", p50[24] = "-", ratio[16] = "-";

	if (way->exits >= 0)
		snprintf(exits, sizeof(exits), "%.2f", way->exits);
	if (!emulated) {
		snprintf(p50, sizeof(p50), "%.0f us", times_us(&way->times, 50));
		snprintf(ratio, sizeof(ratio), "%.1f", times_us(&way->times, 50) / native_us);
	}
	say("  %-26s %9s %9s %10s %12.2f %11ld KiB", way->name, p50, ratio, exits, way->faults,
	    way->private_kib);
}

void scene_table(const struct tour *tour)
{
	struct way ways[] = {{.name = "native, no isolation"},
			     {.name = "native, fork per request"},
			     {.name = "Mayfly"}};
	size_t wrong = 0;
	bool measured = true;
	double native_us;

	measure_native(&ways[0], tour, false);
	measure_native(&ways[1], tour, true);
	measure_server(&ways[2], tour);
	count_mayfly(&ways[2], tour);
	native_us = times_us(&ways[0].times, 50);
	say("One client, one connection, %s stanzas each way.",
	    with_commas(counts_of(tour).requests));
	say_blank();
	say("  %-26s %9s %9s %10s %12s %15s", "", "p50", "x native", "user exits", "page faults",
	    "own memory");
	for (int i = 0; i < 3; i++) {
		show(&ways[i], native_us, tour->emulated);
		wrong += ways[i].wrong;
		measured &= ways[i].measured;
		times_finish(&ways[i].times);
	}
	say_blank();
	say("A user exit is a return from the VM to the engine. Exits and faults are a request's; "
	    "own");
	say("memory is what the serving process or VM shares with no other (kernel's part: scene "
	    "3).");
	claim(measured && wrong == 0, "the same answers every way: %zu wrong", wrong);
	claim(ways[2].exits == 1, "a request to Mayfly is one user exit");
}
