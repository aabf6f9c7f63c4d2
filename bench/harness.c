/* SPDX-License-Identifier: MIT */
#include "bench/harness.h"
#include "bench/machine.h"

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

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

void bench_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	sched_setaffinity(0, sizeof(set), &set);
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

void bench_add(struct bench_samples *samples, double value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room ? samples->room * 2 : 4096;
		samples->at = realloc(samples->at, samples->room * sizeof(*samples->at));
		if (!samples->at)
			abort();
	}
	samples->at[samples->count++] = value;
}

void bench_free(struct bench_samples *samples)
{
	free(samples->at);
	*samples = (struct bench_samples){0};
}

struct bench_samples bench_copy(const struct bench_samples *samples)
{
	struct bench_samples copy = {0};
	size_t i;

	for (i = 0; i < samples->count; i++)
		bench_add(&copy, samples->at[i]);
	return copy;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_percentile(struct bench_samples *samples, double fraction)
{
	size_t rank = (size_t)(fraction * (double)samples->count);

	if (!samples->count)
		return 0;
	qsort(samples->at, samples->count, sizeof(*samples->at), compare);
	return samples->at[rank < samples->count ? rank : samples->count - 1];
}

bool bench_next(struct bench_loop *loop)
{
	uint64_t now = bench_now_ns();

	loop->now_ns = now;
	if (!loop->start_ns) {
		loop->start_ns = now;
		if (bench.quick)
			loop->rounds = loop->rounds / 10 + 10;
		loop->rounds += loop->rounds / 10;
		return true;
	}
	loop->done++;
	if (loop->done >= 23 && (double)(now - loop->start_ns) > loop->seconds * 1e9)
		return false;
	return loop->done < loop->rounds;
}

bool bench_measured(const struct bench_loop *loop)
{
	bool warm_by_time = (double)(loop->now_ns - loop->start_ns) > loop->seconds * 1e8;

	return loop->done >= loop->rounds / 11 || loop->done >= 100 ||
	       (loop->done >= 3 && warm_by_time);
}

void bench_count(struct bench_report *report, const char *name, double value)
{
	if (report->count_count == BENCH_COUNTS_MAX)
		abort();
	report->counts[report->count_count].name = name;
	report->counts[report->count_count++].value = value;
}

/* Whole numbers as such; fractions where they matter. */
static const char *number(double value)
{
	static char text[8][32];
	static unsigned int turn;
	char *to = text[turn++ % 8];
	bool whole = value == (double)(long long)value || value >= 1000 || value <= -1000;

	snprintf(to, sizeof(text[0]), whole ? "%.0f" : "%.3f", value);
	return to;
}

static void print_json(struct bench_report *report)
{
	struct bench_samples *samples = &report->samples;
	size_t i;

	if (!json)
		return;
	fprintf(json,
		"{\"case\":\"%s\",\"unit\":\"%s\",\"n\":%zu,\"p50\":%s,\"p99\":%s,\"p999\":%s,"
		"\"max\":%s",
		report->name, report->unit, samples->count, number(bench_percentile(samples, 0.5)),
		number(bench_percentile(samples, 0.99)), number(bench_percentile(samples, 0.999)),
		number(bench_percentile(samples, 1)));
	if (report->yardstick)
		fprintf(json, ",\"yardstick\":{\"name\":\"%s\",\"p50\":%s}", report->yardstick,
			number(bench_percentile(&report->yard, 0.5)));
	fprintf(json, ",\"counts\":{");
	for (i = 0; i < report->count_count; i++)
		fprintf(json, "%s\"%s\":%s", i ? "," : "", report->counts[i].name,
			number(report->counts[i].value));
	fprintf(json, "}}\n");
	fflush(json);
}

static void print_table(struct bench_report *report)
{
	struct bench_samples *samples = &report->samples;
	double p50 = bench_percentile(samples, 0.5);
	double yard = bench_percentile(&report->yard, 0.5);
	size_t i;

	printf("%-26s %-5s %6zu %11s %11s %11s %11s", report->name, report->unit, samples->count,
	       number(p50), number(bench_percentile(samples, 0.99)),
	       number(bench_percentile(samples, 0.999)), number(bench_percentile(samples, 1)));
	if (report->yardstick)
		printf("  %s %s", report->yardstick, number(yard));
	if (report->yardstick && yard > 0)
		printf(" (x%.2f)", p50 / yard);
	putchar('\n');
	for (i = 0; i < report->count_count; i++)
		printf("%s%s=%s",
		       i % 6 ? "  "
		       : i   ? "\n    "
			     : "    ",
		       report->counts[i].name, number(report->counts[i].value));
	if (report->count_count)
		putchar('\n');
	fflush(stdout);
}

void bench_print(struct bench_report *report)
{
	print_table(report);
	print_json(report);
	bench_free(&report->samples);
	bench_free(&report->yard);
}

void bench_print_value(const char *name, const char *unit, double value)
{
	struct bench_report report = {.name = name, .unit = unit};

	bench_add(&report.samples, value);
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
	cpu_set_t set;
	int cpu;

	bench.first_cpu = -1;
	CPU_ZERO(&set);
	sched_getaffinity(0, sizeof(set), &set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (bench.first_cpu < 0)
			bench.first_cpu = cpu;
		bench.last_cpu = cpu;
	}
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
		ret = self->run(self);
		failed |= ret && ret != BENCH_SKIPPED;
	}
	return failed;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"only", required_argument, NULL, 'o'}, {"json", required_argument, NULL, 'j'},
		{"quick", no_argument, NULL, 'q'},      {"list", no_argument, NULL, 'l'},
		{"machine", no_argument, NULL, 'm'},    {NULL, 0, NULL, 0}};
	const char *only = NULL;
	bool machine = false;
	bool list = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'o')
			only = optarg;
		else if (option == 'q')
			bench.quick = true;
		else if (option == 'l')
			list = true;
		else if (option == 'm')
			machine = true;
		else if (option != 'j' || !(json = fopen(optarg, "ae")))
			return 2;
	}
	choose_cpus();
	if (machine) {
		bench_machine(json);
		printf("%-26s %-5s %6s %11s %11s %11s %11s  yardstick p50\n", "case", "unit", "n",
		       "p50", "p99", "p99.9", "max");
		return 0;
	}
	return run_cases(only, list);
}
