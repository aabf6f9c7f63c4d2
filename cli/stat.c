/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/stat_report.h"
#include "cli/stat_target.h"
#include "cli/verbs.h"
#include "engine/image/watchdog.h"
#include "ipc/control/client.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The counters of a command are looked for often at its beginning: it may be short. */
#define LOOK_SOON_MS   2
#define LOOK_LATER_MS  20
#define LOOK_SOON_NS   2000000000ull
#define PROBES_PATHS   3u
#define ASK_MS         5000u
#define MAP_LINES_PATH 4096

struct stat_options {
	char **argv; /* NULL with --pid */
	pid_t pid;
	uint64_t duration_ns;
	uint64_t interval_ns;
	const char *output;
	struct mf_stat_rows rows;
	bool json;
};

struct session {
	const struct stat_options *options;
	struct mf_target target;
	struct mf_probes *probes; /* NULL: no BPF */
	struct mf_engines engines;
	struct mf_probes_notes notes;
	struct mf_error why_no_probes;
	FILE *file;
	char name[256];
	char paths[PROBES_PATHS][PATH_MAX]; /* files that may have probes */
	size_t path_count;
	uint64_t begin_ns;
	uint64_t told_ns; /* the last report of an interval */
	struct mf_measured_before before;
	struct mf_abi_stats_lane engine_before;
};

/* The process that serves a tenant now; one that takes its place is another one. */
static int find_tenant(const struct mf_stat_values *values, pid_t *pid, struct mf_error *err)
{
	struct mf_control_reply reply;
	size_t i;
	int ret;

	if (!values->control)
		return mf_error_set(err, -EINVAL, "--tenant needs --control unix:PATH, of mayflyd");
	ret = mf_control_ask(values->control, "list", ASK_MS, &reply, err);
	if (ret)
		return ret;
	for (i = 0; i < reply.tenant_count; i++)
		if (!strcmp(reply.tenants[i].name, values->tenant))
			break;
	if (!reply.ok)
		ret = mf_error_set(err, -EPROTO, "%s", reply.error.text);
	else if (i == reply.tenant_count)
		ret = mf_error_set(err, -ENOENT, "there is no tenant %s", values->tenant);
	else if (!reply.tenants[i].pid)
		ret = mf_error_set(err, -ESRCH, "tenant %s has no process: it is %s",
				   values->tenant, reply.tenants[i].state);
	else
		*pid = (pid_t)reply.tenants[i].pid;
	mf_control_reply_finish(&reply);
	return ret;
}

static int take(const struct mf_stat_values *values, int argc, char **argv,
		struct stat_options *options, struct mf_error *err)
{
	options->pid = (pid_t)values->pid;
	options->duration_ns = values->duration_ns;
	options->output = values->output;
	options->interval_ns = values->interval_ns;
	options->rows = (struct mf_stat_rows){values->by, values->histogram};
	options->json = values->json;
	if (optind < argc)
		options->argv = argv + optind;
	if (values->control && !values->tenant)
		return mf_error_set(err, -EINVAL, "--control is for --tenant");
	if (values->tenant && (options->argv || options->pid))
		return mf_error_set(err, -EINVAL,
				    "--tenant, --pid and a command: one of them is to be measured");
	if (values->tenant)
		return find_tenant(values, &options->pid, err);
	if (options->argv && options->pid)
		return mf_error_set(err, -EINVAL, "--pid and a command: one of them is too many");
	if (!options->argv && !options->pid)
		return mf_error_set(err, -EINVAL,
				    "nothing to measure; write mayfly stat -- COMMAND, mayfly stat "
				    "--pid N, or mayfly stat --tenant NAME --control unix:PATH");
	if (options->argv && options->duration_ns)
		return mf_error_set(err, -EINVAL,
				    "--duration is for --pid; a command is measured to its end");
	return 0;
}

static void add_path(struct session *session, const char *path)
{
	size_t i;

	for (i = 0; i < session->path_count; i++)
		if (!strcmp(session->paths[i], path))
			return;
	if (session->path_count < PROBES_PATHS && strlen(path) < PATH_MAX)
		strcpy(session->paths[session->path_count++], path);
}

/* The command's file as exec will find it, and this program, which a script may run. */
static void find_command_files(struct session *session, const char *name)
{
	const char *folders = getenv("PATH");
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (length > 0) {
		path[length] = '\0';
		add_path(session, path);
	}
	if (strchr(name, '/') && realpath(name, path))
		add_path(session, path);
	while (!strchr(name, '/') && folders && *folders) {
		size_t bytes = strcspn(folders, ":");
		char *candidate = NULL;

		if (asprintf(&candidate, "%.*s/%s", (int)bytes, folders, name) < 0)
			return;
		if (!access(candidate, X_OK) && realpath(candidate, path)) {
			add_path(session, path);
			folders = NULL;
		} else {
			folders += bytes + (folders[bytes] == ':');
		}
		free(candidate);
	}
}

/* The process's program, and libmayfly if it is mapped; by its own eyes, in a container too. */
static void find_process_files(struct session *session, pid_t pid)
{
	char line[MAP_LINES_PATH];
	char path[PATH_MAX + 32];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	add_path(session, path);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		char *file = strchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		if (!file || !strstr(file, "/libmayfly.so"))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/root%s", pid, file);
		add_path(session, path);
	}
	if (maps)
		fclose(maps);
}

static void read_name(pid_t pid, char *name)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, 256, file))
		strcpy(name, "?");
	name[strcspn(name, "\n")] = '\0';
	for (; *name; name++) /* the process chose it */
		if (*name < ' ' || *name > '~')
			*name = '?';
	if (file)
		fclose(file);
}

static int join(struct session *session, struct mf_error *err)
{
	pid_t pid = session->options->pid;
	int ret = mf_target_join(&session->target, pid, err);

	if (ret)
		return ret;
	read_name(pid, session->name);
	ret = mf_process_uses_kvm(pid);
	if (!ret)
		return mf_error_set(err, -EINVAL,
				    "process %d (%s) has no virtual machine of KVM's: there is "
				    "nothing to measure",
				    pid, session->name);
	if (ret < 0)
		mf_probes_note(&session->notes, "Whether process %d uses KVM cannot be seen: %s.",
			       pid, ret == -EACCES ? "it belongs to another user" : strerror(-ret));
	find_process_files(session, pid);
	return 0;
}

static int begin(struct session *session, struct mf_error *err)
{
	char **argv = session->options->argv;

	if (!argv)
		return join(session, err);
	snprintf(session->name, sizeof(session->name), "%s", argv[0]);
	session->engines.from_zero = true;
	find_command_files(session, argv[0]);
	return mf_target_start(&session->target, argv, err);
}

static void attach(struct session *session)
{
	struct mf_probes_options options = {
		.pid = session->target.pid,
		.follow = session->target.started,
		.file_count = session->path_count,
	};
	struct mf_error err = {0};
	size_t i;

	for (i = 0; i < session->path_count; i++)
		options.files[i] = session->paths[i];
	if (!mf_probes_open(&session->probes, &options, &err))
		return;
	session->why_no_probes = err;
	mf_probes_note(&session->notes,
		       "Times are not measured here: %s. What an engine counts by itself is "
		       "all there is.",
		       err.text);
}

static int next_wait_ms(const struct session *session, uint64_t now)
{
	uint64_t limit = session->options->duration_ns;
	uint64_t left;

	if (session->target.started)
		return now - session->begin_ns < LOOK_SOON_NS ? LOOK_SOON_MS : LOOK_LATER_MS;
	if (!limit)
		return LOOK_LATER_MS;
	left = (session->begin_ns + limit - now) / 1000000 + 1;
	return left < LOOK_LATER_MS ? (int)left : LOOK_LATER_MS;
}

/* What the engine says happened and no probe saw. */
static void compare(struct session *session, struct mf_measured *measured,
		    const struct mf_abi_stats_lane *engine)
{
	uint64_t runs = 0;
	uint64_t own = 0;
	unsigned int i;

	for (i = 0; i < MF_EXIT_CLASSES; i++) {
		runs += measured->run[i].count;
		own += engine->user_exits[i];
	}
	if (measured->runs && !runs && own)
		mf_probes_note(&session->notes,
			       "User exits are not measured here: the probes never fired, although "
			       "KVM_RUN returned %llu times.",
			       (unsigned long long)own);
	if (session->target.started && session->engines.count && runs > own)
		mf_probes_note(&session->notes,
			       "The engine's own counters are not all: processes that ended before "
			       "they were looked at, or no engines, made %llu user exits.",
			       (unsigned long long)(runs - own));
	if (measured->resets && !measured->reset.count && !session->engines.count) {
		measured->resets = false;
		mf_probes_note(&session->notes,
			       "Resets are not measured here: no process with Mayfly's "
			       "probes was seen.");
	}
	if (measured->resets && !measured->reset.count && engine->resets)
		mf_probes_note(&session->notes,
			       "Resets are not measured here: the probes never fired, although the "
			       "engine made %llu. One that is linked with libmayfly: use --pid.",
			       (unsigned long long)engine->resets);
}

static void note_engines(struct session *session)
{
	if (session->engines.too_many)
		mf_probes_note(&session->notes,
			       "More than %u processes keep counters: those of the others are not "
			       "shown.",
			       MF_ENGINES_MAX);
	if (session->engines.count)
		return;
	if (session->target.started)
		mf_probes_note(&session->notes,
			       "The engine's own counters are not shown: none was found in the "
			       "command's processes (no engine of this version and user, or gone "
			       "at once).");
	else
		mf_probes_note(&session->notes,
			       "The engine's own counters are not shown: process %d keeps none (it "
			       "is no engine of this version), or belongs to another user.",
			       session->target.pid);
}

static void write_report(struct session *session, const struct mf_stat_report *report)
{
	if (session->options->json)
		mf_stat_print_json(session->file, report);
	else
		mf_stat_print_text(session->file, report);
	fflush(session->file);
}

static void print(struct session *session, struct mf_measured *measured, double seconds)
{
	struct mf_abi_stats_lane engine;
	struct mf_stat_report report = {
		.name = session->name,
		.pid = session->target.pid,
		.seconds = seconds,
		.rows = session->options->rows,
		.measured = measured,
		.engines = &session->engines,
		.engine = &engine,
		.notes = &session->notes,
	};
	size_t i;

	mf_engines_sum(&session->engines, &engine);
	for (i = 0; measured && i < measured->notes.count; i++)
		mf_probes_note(&session->notes, "%s", measured->notes.text[i]);
	if (measured)
		compare(session, measured, &engine);
	note_engines(session);
	if (session->target.ended && !session->target.started)
		mf_probes_note(&session->notes, "Process %d ended after %.2f s.",
			       session->target.pid, seconds);
	write_report(session, &report);
}

/* NULL: nothing by BPF. To be freed. */
static struct mf_measured *read_measured(const struct session *session)
{
	struct mf_measured *measured = session->probes ? calloc(1, sizeof(*measured)) : NULL;

	if (measured && mf_probes_read(session->probes, measured)) {
		free(measured);
		measured = NULL;
	}
	return measured;
}

static void take_away(struct mf_abi_stats_lane *lane, const struct mf_abi_stats_lane *before)
{
	size_t i;

	for (i = 0; i < sizeof(*lane) / sizeof(uint64_t); i++)
		((uint64_t *)lane)[i] -= ((const uint64_t *)before)[i];
}

/* What came since the last one; what cannot be measured is said at the end, once. */
static void tell_interval(struct session *session, uint64_t now)
{
	static const struct mf_probes_notes no_notes;
	struct mf_abi_stats_lane engine;
	struct mf_abi_stats_lane all;
	struct mf_stat_report report = {
		.name = session->name,
		.pid = session->target.pid,
		.interval = true,
		.rows = session->options->rows,
		.engines = &session->engines,
		.engine = &engine,
		.notes = &no_notes,
	};
	struct mf_measured *measured;

	if (!session->options->interval_ns ||
	    now - session->told_ns < session->options->interval_ns)
		return;
	report.seconds = (double)(now - session->told_ns) / 1e9;
	session->told_ns = now;
	mf_engines_sum(&session->engines, &all);
	engine = all;
	take_away(&engine, &session->engine_before);
	session->engine_before = all;
	measured = read_measured(session);
	if (measured && mf_measured_since(measured, &session->before)) {
		free(measured);
		measured = NULL;
	}
	report.measured = measured;
	write_report(session, &report);
	free(measured);
}

static void watch(struct session *session)
{
	uint64_t limit = session->options->duration_ns;
	uint64_t now;

	do {
		now = mf_now_ns();
		if (limit && now - session->begin_ns >= limit)
			return;
		tell_interval(session, now);
		mf_engines_look(&session->engines, session->target.pid, session->target.started);
	} while (!mf_target_wait(&session->target, next_wait_ms(session, now)));
}

static void finish(struct session *session)
{
	double seconds = (double)(mf_now_ns() - session->begin_ns) / 1e9;
	struct mf_measured *measured = read_measured(session);

	if (session->probes && !measured)
		mf_probes_note(&session->notes, "What was measured could not be read.");
	print(session, measured, seconds);
	free(measured);
}

static int nothing_to_see(const struct session *session, struct mf_error *err)
{
	mf_error_set(err, -EPERM,
		     "nothing of process %d can be measured: %s. It shows no counters of an engine "
		     "either: it is none of this version, or belongs to another user",
		     session->target.pid, session->why_no_probes.text);
	return MF_STATUS_FAILED;
}

static int measure(struct session *session, struct mf_error *err)
{
	int ret = begin(session, err);

	if (ret)
		return MF_STATUS_FAILED;
	attach(session);
	if (session->target.started && mf_target_release(&session->target, session->name, err))
		return session->target.status ? session->target.status : MF_STATUS_FAILED;
	session->begin_ns = session->told_ns = mf_now_ns();
	mf_engines_look(&session->engines, session->target.pid, session->target.started);
	if (!session->probes && !session->engines.count && !session->target.started)
		return nothing_to_see(session, err);
	watch(session);
	finish(session);
	return session->target.status;
}

static int open_output(struct session *session, struct mf_error *err)
{
	const char *path = session->options->output;

	session->file = path ? fopen(path, "we") : stderr;
	return session->file
		       ? 0
		       : mf_error_set(err, -errno, "cannot write %s: %s", path, strerror(errno));
}

static int stat_target(const struct stat_options *options, struct mf_error *err)
{
	struct session *session = calloc(1, sizeof(*session));
	int status = MF_STATUS_FAILED;

	if (!session)
		return mf_error_set(err, -ENOMEM, "not enough memory"), status;
	session->options = options;
	session->target = (struct mf_target){
		.pid = -1, .pidfd = -1, .signals = -1, .gate = -1, .failure = -1};
	if (!open_output(session, err)) {
		status = measure(session, err);
		mf_target_finish(&session->target);
		mf_probes_close(session->probes);
		mf_engines_finish(&session->engines);
		mf_measured_before_finish(&session->before);
		if (options->output && fclose(session->file) && !err->text[0])
			mf_error_set(err, -errno, "cannot write %s: %s", options->output,
				     strerror(errno));
	}
	free(session);
	return status;
}

int mf_verb_stat(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("stat");
	struct mf_values values;
	struct stat_options options = {0};
	struct mf_error err = {0};
	int status = MF_STATUS_FAILED;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		mf_cli_fail("stat", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else if (take(&values.stat, argc, argv, &options, &err)) {
		mf_cli_fail("stat", &err);
	} else {
		status = stat_target(&options, &err);
		if (err.text[0])
			mf_cli_fail("stat", &err);
	}
	mf_values_finish(&values);
	return status;
}
