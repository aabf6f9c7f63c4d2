/* SPDX-License-Identifier: MIT */
/* mayfly bench host: a machine, characterised in about a minute. */
#include "cli/bench_page.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "measure/host.h"

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STATUS_NOT_ALL     1
#define STATUS_INTERRUPTED 130
#define CASES_MAX          32u

static volatile bool stopped;

struct session {
	struct mf_host host;
	struct mf_machine machine;
	FILE *json; /* NULL: not asked for */
	FILE *html;
	struct mf_page_case cases[CASES_MAX];
	struct mf_host_result results[CASES_MAX];
	size_t count;
	size_t failed;
};

/* ---- ^C ---- */

/* Only this thread takes signals: a vCPU that runs is not disturbed. The second one does not wait.
 */
static void *watch_signals(void *arg)
{
	sigset_t *set = arg;
	int number;

	sigwait(set, &number);
	stopped = true;
	sigwait(set, &number);
	_exit(STATUS_INTERRUPTED);
}

static int catch_signals(struct mf_error *err)
{
	static sigset_t set;
	pthread_t thread;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	ret = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (!ret)
		ret = pthread_create(&thread, NULL, watch_signals, &set);
	if (ret)
		return mf_error_set(err, -ret, "no thread for signals: %s", strerror(ret));
	pthread_detach(thread);
	return 0;
}

/* ---- the cases ---- */

static size_t case_count(void)
{
	size_t count = 0;

	while (mf_host_cases[count].name)
		count++;
	return count;
}

static void tell_progress(const struct mf_host_case *self, size_t number)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "[%zu/%zu] %s ...\033[K\r", number + 1, case_count(), self->name);
}

static void clear_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\033[K", stderr);
}

static void report(struct session *self, const struct mf_host_case *at,
		   struct mf_host_result *result)
{
	struct mf_page_case *to = &self->cases[self->count++];

	to->what = at->what;
	to->record = (struct mf_record){
		.name = at->name,
		.unit = "ns",
		.samples = &result->samples,
		.yardstick = result->yard.count ? at->yardstick : NULL,
		.yard = &result->yard,
		.counts = result->counts,
		.count_count = result->count_count,
		.warmup = result->warmup,
		.cpu = self->host.cpus.last,
	};
	mf_record_print(stdout, &to->record);
	if (self->json)
		mf_record_write(self->json, &to->record);
}

static void run_case(struct session *self, const struct mf_host_case *at)
{
	struct mf_host_result *result = &self->results[self->count];
	struct mf_error err = {0};
	int ret;

	tell_progress(at, (size_t)(at - mf_host_cases));
	mf_pin(self->host.cpus.last);
	ret = at->run(&self->host, at, result, &err);
	clear_progress();
	if (!ret && result->samples.count) {
		report(self, at, result);
		return;
	}
	if (!stopped) {
		printf("%-26s %s: %s\n", at->name, ret == MF_HOST_SKIPPED ? "skipped" : "FAILED",
		       err.text[0] ? err.text : "no sample was taken");
		fflush(stdout);
	}
	self->failed += ret != MF_HOST_SKIPPED && !stopped;
	mf_host_result_finish(result);
	*result = (struct mf_host_result){0};
}

static void run_cases(struct session *self)
{
	const struct mf_host_case *at;

	for (at = mf_host_cases; at->name && !stopped && self->count < CASES_MAX; at++)
		run_case(self, at);
}

/* ---- around them ---- */

static int open_output(const char *path, FILE **file, struct mf_error *err)
{
	if (!path)
		return 0;
	*file = fopen(path, "we");
	return *file ? 0
		     : mf_error_set(err, -errno, "%s cannot be written: %s", path, strerror(errno));
}

static int close_output(const char *path, FILE *file, struct mf_error *err)
{
	bool bad;

	if (!file)
		return 0;
	bad = ferror(file);
	bad |= fclose(file) != 0;
	return bad ? mf_error_set(err, -EIO, "%s could not be written to its end", path) : 0;
}

static void begin(struct session *self, bool quick)
{
	mf_machine_look(&self->machine);
	printf("machine: ");
	mf_machine_print(stdout, &self->machine);
	printf("\n");
	if (self->machine.emulated)
		printf("emulated: counts are exact, times mean nothing\n");
	mf_record_print_head(stdout);
	fflush(stdout);
	if (self->json)
		mf_record_write_head(self->json,
				     quick ? "mayfly bench host --quick" : "mayfly bench host",
				     &self->machine, quick);
}

static void end(struct session *self)
{
	if (stopped)
		printf("interrupted: not all cases were measured to their end\n");
	if (self->json)
		mf_record_write_end(self->json, stopped);
	if (self->html)
		mf_page_write(self->html, &self->machine, stopped, self->cases, self->count);
}

static int measure(const struct mf_bench_values *options, struct session *self,
		   struct mf_error *err)
{
	int ret = open_output(options->json, &self->json, err);

	if (!ret)
		ret = open_output(options->html, &self->html, err);
	if (!ret)
		ret = catch_signals(err);
	if (!ret) {
		self->host = (struct mf_host){mf_cpus(), options->quick, &stopped};
		begin(self, options->quick);
		run_cases(self);
		end(self);
	}
	if (close_output(options->json, self->json, ret ? NULL : err) && !ret)
		ret = -EIO;
	if (close_output(options->html, self->html, ret ? NULL : err) && !ret)
		ret = -EIO;
	if (!ret && !self->count && !stopped)
		ret = mf_error_set(err, -ENODEV,
				   "nothing could be measured; mayfly doctor says "
				   "what this machine lacks");
	while (self->count)
		mf_host_result_finish(&self->results[--self->count]);
	return ret;
}

int mf_verb_bench_host(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("bench host");
	struct session *self = calloc(1, sizeof(*self));
	struct mf_values values;
	struct mf_error err = {0};
	int status = 0;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		status = mf_cli_fail(verb->name, &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
	} else if (optind < argc) {
		mf_error_set(&err, -EINVAL, "%s is too much", argv[optind]);
		status = mf_cli_fail(verb->name, &err);
	} else if (!self || measure(&values.bench, self, &err)) {
		status = mf_cli_fail(verb->name, &err);
	} else {
		status = stopped ? STATUS_INTERRUPTED : self->failed ? STATUS_NOT_ALL : 0;
	}
	free(self);
	mf_values_finish(&values);
	return status;
}
