/* SPDX-License-Identifier: MIT */
#include "bench/harness.h"
#include "measure/machine.h"

#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

struct bench_options bench;

static FILE *json;
static int pinned;
static size_t warmup; /* rounds of the case that runs */

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

void bench_pin(int cpu)
{
	pinned = cpu;
	mf_pin(cpu);
}

pid_t bench_spawn(char *const *argv, int cpu)
{
	pid_t pid = fork();
	int nothing;

	if (pid)
		return pid;
	nothing = open("/dev/null", O_RDWR);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(nothing, 0);
	dup2(nothing, 1);
	if (!getenv("BENCH_VERBOSE"))
		dup2(nothing, 2);
	bench_pin(cpu);
	execv(argv[0], argv);
	_exit(127);
}

size_t bench_rounds(size_t rounds)
{
	return bench.quick ? rounds / 10 + 10 : rounds;
}

void bench_warmed_up(const struct mf_loop *loop)
{
	warmup += loop->warmup;
}

bool bench_next(struct mf_loop *loop)
{
	size_t before = loop->warmup;
	bool goes_on;

	if (!loop->start_ns)
		loop->rounds = bench_rounds(loop->rounds);
	goes_on = mf_loop_next(loop);
	warmup += loop->warmup - before;
	return goes_on;
}

bool bench_measured(const struct mf_loop *loop)
{
	return mf_loop_measured(loop);
}

void bench_count(struct bench_report *report, const char *name, double value)
{
	if (report->count_count == BENCH_COUNTS_MAX)
		abort();
	report->counts[report->count_count].name = name;
	report->counts[report->count_count++].value = value;
}

void bench_print(struct bench_report *report)
{
	struct mf_record record = {
		.name = report->name,
		.unit = report->unit,
		.samples = &report->samples,
		.yardstick = report->yardstick,
		.yard = &report->yard,
		.counts = report->counts,
		.count_count = report->count_count,
		.warmup = warmup,
		.cpu = pinned,
	};

	mf_record_print(stdout, &record);
	if (json && report->samples.count)
		mf_record_write(json, &record);
	mf_samples_free(&report->samples);
	mf_samples_free(&report->yard);
}

void bench_print_value(const char *name, const char *unit, double value)
{
	struct bench_report report = {.name = name, .unit = unit};

	mf_samples_add(&report.samples, value);
	bench_print(&report);
}

static void say(const struct bench_case *self, const char *what, const char *format, va_list args)
{
	printf("%-26s %s: ", self->name, what);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
}

int bench_skip(const struct bench_case *self, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(self, "skipped", format, args);
	va_end(args);
	return BENCH_SKIPPED;
}

int bench_fail(const struct bench_case *self, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(self, "FAILED", format, args);
	va_end(args);
	return 1;
}

const char *bench_path(const char *relative)
{
	static char path[2][4096];
	static unsigned int turn;
	char *to = path[turn++ % 2];
	ssize_t length = readlink("/proc/self/exe", to, 2048);
	char *slash;

	to[length > 0 ? length : 0] = '\0';
	slash = strrchr(to, '/');
	if (slash)
		snprintf(slash + 1, 2000, "%s", relative);
	return to;
}

double bench_available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[256];
	double kib = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "MemAvailable: %lf", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * 1024;
}

/* `only` is a case, or the beginning of names up to a slash. */
static bool wanted(const struct bench_case *self, const char *only)
{
	size_t length = only ? strlen(only) : 0;

	if (bench.quick && !self->quick)
		return false;
	if (!length)
		return true;
	return !strncmp(self->name, only, length) &&
	       (!self->name[length] || self->name[length] == '/');
}

static void choose_cpus(void)
{
	struct mf_cpus cpus = mf_cpus();

	bench.first_cpu = cpus.first;
	bench.last_cpu = cpus.last;
	bench_pin(bench.last_cpu);
}

static int run_cases(const char *only, bool list)
{
	const struct bench_case *self;
	int failed = 0;

	for (self = bench_cases; self->name; self++) {
		int ret;

		if (!wanted(self, only))
			continue;
		if (list) {
			puts(self->name);
			continue;
		}
		warmup = 0;
		ret = self->run(self);
		failed |= ret && ret != BENCH_SKIPPED;
	}
	return failed;
}

/* What stands before all cases: for machines in the file, for people on the screen. */
static int begin(const char *command)
{
	struct mf_machine machine;

	mf_machine_look(&machine);
	printf("machine: ");
	mf_machine_print(stdout, &machine);
	printf(", pinned to CPU %d\n", bench.last_cpu);
	mf_record_print_head(stdout);
	if (json)
		mf_record_write_head(json, command, &machine, bench.quick);
	return 0;
}

static int end(void)
{
	if (json)
		mf_record_write_end(json, false);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"only", required_argument, NULL, 'o'},
						{"json", required_argument, NULL, 'j'},
						{"quick", no_argument, NULL, 'q'},
						{"list", no_argument, NULL, 'l'},
						{"begin", required_argument, NULL, 'b'},
						{"end", no_argument, NULL, 'e'},
						{NULL, 0, NULL, 0}};
	const char *command = NULL;
	const char *only = NULL;
	bool last = false;
	bool list = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'o')
			only = optarg;
		else if (option == 'q')
			bench.quick = true;
		else if (option == 'l')
			list = true;
		else if (option == 'b')
			command = optarg;
		else if (option == 'e')
			last = true;
		else if (option != 'j' || !(json = fopen(optarg, "ae")))
			return 2;
	}
	choose_cpus();
	if (command || last)
		return command ? begin(command) : end();
	return run_cases(only, list);
}
