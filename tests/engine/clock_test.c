/* SPDX-License-Identifier: MIT */
/*
 * The clock of a fork goes on from its image's freeze when it is first entered after a fork or a
 * reset, and what the program waited for then happens as much later as it would have. Nothing is
 * asked of the host's speed: what a request reads is held against how long it took.
 */
#include "tests/engine/harness.h"

#include "engine/image/watchdog.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ll
/* The vDSO's clock and the host's are brought together twice a second. */
#define APART (5 * MS)

static struct lab lab;
static struct guest guest;
static int64_t opened; /* how long the image was built: from any reading before the freeze to it */

/* As tests/guests/clock.c tells it, and how long the request took by the host's clock. */
struct told {
	int64_t since, last, back, of_day, left, most;
	int soon, day, slept, rung;
	int64_t uptime, ticks, setting;
	int64_t took;
};

static int64_t host_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000000000ll + now.tv_nsec;
}

static struct told ask(const char *target)
{
	struct told told = {0};
	int64_t before = host_ns(CLOCK_MONOTONIC);
	int64_t day = host_ns(CLOCK_REALTIME);
	int got;

	guest_ask(&guest, target, NULL, 0);
	told.took = host_ns(CLOCK_MONOTONIC) - before + APART;
	got = sscanf(guest.answer,
		     "%" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
		     " %d %d %d %d %" SCNd64 " %" SCNd64 " %" SCNd64,
		     &told.since, &told.last, &told.back, &told.of_day, &told.left, &told.most,
		     &told.soon, &told.day, &told.slept, &told.rung, &told.uptime, &told.ticks,
		     &told.setting);
	cr_assert_eq(got, 13, "%s", guest.answer);
	cr_assert_leq(told.back, APART, "a step back of %" PRId64 " ns", told.back);
	cr_assert(told.of_day >= day - 1000 * MS && told.of_day <= day + told.took + 1000 * MS,
		  "the time of day: %" PRId64 ", not %" PRId64, told.of_day, day);
	cr_assert_eq(told.day, 1, "a timer of the time of day has run out");
	cr_assert(told.uptime >= 0 && told.uptime <= told.took / (1000 * MS) + 1, "sysinfo");
	cr_assert(told.ticks >= 0 && told.ticks <= told.took / (1000 * MS) + 1, "times");
	return told;
}

static void open(const char *span_ms)
{
	struct lab_options options = {.argument = span_ms, .watched = true};

	run_max_us = 60000000;
	opened = host_ns(CLOCK_MONOTONIC);
	lab_open(&lab, "clock", &options);
	opened = host_ns(CLOCK_MONOTONIC) - opened;
	guest_fork(&guest, &lab);
}

static void check_fresh(const struct told *told, const char *what)
{
	int64_t most = told->took + opened;

	cr_assert_geq(told->since, 0, "%s: it is %" PRId64 " ns before the freeze", what,
		      told->since);
	cr_assert_leq(told->last, most, "%s: %" PRId64 " ns behind it, of %" PRId64, what,
		      told->last, most);
}

Test(clock, a_request_begins_at_the_freeze_however_old_the_image_is, .timeout = 120)
{
	unsigned int i;

	open("3600000");
	for (i = 0; i < 3; i++) {
		struct told told;

		usleep(i == 1 ? 1500000 : 1000);
		told = ask("/look");
		check_fresh(&told, "a request");
		cr_assert(told.left >= 3600000 * MS - told.last - told.setting - APART &&
				  told.most <= 3600000 * MS,
			  "timers have %" PRId64 " to %" PRId64 " ns left", told.left, told.most);
		cr_assert(!told.soon && !told.slept && !told.rung, "%s", guest.answer);
		guest_reset_and_audit(&guest, "/look");
	}
	guest_finish(&guest);
	/* A fork waits, too, before it is asked. */
	guest_fork(&guest, &lab);
	usleep(700000);
	struct told told = ask("/look");
	check_fresh(&told, "a new fork");
	guest_finish(&guest);
	lab_close(&lab);
}

Test(clock, without_a_reset_it_goes_on_as_the_hosts_does, .timeout = 60)
{
	struct told first, second;
	int64_t between;

	open("3600000");
	first = ask("/look");
	between = host_ns(CLOCK_MONOTONIC);
	usleep(300000);
	between = host_ns(CLOCK_MONOTONIC) - between;
	second = ask("/look");
	cr_assert_geq(second.since - first.last, between - APART);
	cr_assert_leq(second.since - first.last, between + first.took + second.took);
	guest_finish(&guest);
	lab_close(&lab);
}

Test(clock, what_the_image_waited_for_happens_at_its_time, .timeout = 120)
{
	unsigned int i;

	open("400");
	usleep(600000);
	for (i = 0; i < 3; i++) {
		struct told told = ask("/look");

		cr_assert(!(told.soon || told.slept || told.rung) ||
				  told.last + told.setting >= 400 * MS - APART,
			  "too early: %s", guest.answer);
		guest_reset_and_audit(&guest, "/look");
		told = ask("/all");
		cr_assert(told.soon && told.slept == 4 && told.rung == 1, "%s", guest.answer);
		cr_assert_geq(told.since + told.setting, 400 * MS - APART);
		/* It was waited for by the host's clock as well. */
		cr_assert_geq(told.took + opened, 400 * MS);
		guest_reset_and_audit(&guest, "/all");
	}
	guest_finish(&guest);
	lab_close(&lab);
}

/* As an image file of another host: its clock may stand anywhere. */
Test(clock, an_image_may_have_any_time, .timeout = 120)
{
	static const uint64_t frozen[] = {1, 1000000000ull, 50ull * 365 * 86400 * 1000000000};
	uint64_t before;
	unsigned int i;

	open("400");
	before = lab.image.frozen_ns;
	for (i = 0; i < sizeof(frozen) / sizeof(frozen[0]); i++) {
		struct told told;

		lab.image.frozen_ns = frozen[i];
		guest_reset(&guest);
		guest_ask(&guest, frozen[i] < before ? "/look" : "/all", NULL, 0);
		sscanf(guest.answer, "%" SCNd64 " %" SCNd64, &told.since, &told.last);
		cr_assert_geq(told.since, (int64_t)(frozen[i] - before));
		cr_assert_leq(told.back = told.last - told.since, 60000 * MS);
		/* Timers of a later clock have run out, those of an earlier one are far. */
		cr_assert(strstr(guest.answer, frozen[i] < before ? " 0 1 0 0 " : " 1 1 4 1 "),
			  "%s", guest.answer);
	}
	lab.image.frozen_ns = before;
	guest_reset_and_audit(&guest, "back");
	guest_finish(&guest);
	lab_close(&lab);
}
