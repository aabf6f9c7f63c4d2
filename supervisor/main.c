/* SPDX-License-Identifier: MIT */
/* mayflyd: the supervisor of many tenants. */
#include "supervisor/supervisor.h"
#include "supervisor/exporter.h"
#include "supervisor/plane.h"
#include "supervisor/router.h"

#include "config/parse.h"
#include "ipc/socket/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATUS_BAD_FILE 1

#define WATCH_MS 5000

/* ---- signals, and what engines say ---- */

static void on_signal(uv_signal_t *handle, int signo)
{
	struct mf_supervisor *supervisor = handle->data;
	struct mf_error err;

	if (signo == SIGHUP && !supervisor->stopping)
		mf_supervisor_reload(supervisor, &err);
	else if (signo != SIGHUP)
		mf_supervisor_stop(supervisor, strsignal(signo));
}

static void on_notify(uv_poll_t *poll, int status, int events)
{
	struct mf_supervisor *supervisor = poll->data;
	char text[MF_NOTIFY_MAX];
	int rounds;
	pid_t pid;

	(void)status;
	(void)events;
	for (rounds = 0; rounds < 64 && mf_notify_receive(supervisor->notify_fd, text, &pid);
	     rounds++)
		mf_engine_heard(supervisor, pid, text);
}

static void on_watch(uv_timer_t *timer)
{
	mf_engines_watch(timer->data);
}

static void on_heartbeat(uv_timer_t *timer)
{
	const struct mf_supervisor *supervisor = timer->data;

	mf_notify_say(supervisor->parent_fd, "WATCHDOG=1");
}

/* ---- ending ---- */

void mf_supervisor_stop(struct mf_supervisor *supervisor, const char *why)
{
	struct mf_tenant *tenant;
	struct mf_engine *engine;

	if (supervisor->stopping) {
		TAILQ_FOREACH(engine, &supervisor->engines, all)
		mf_engine_kill(engine);
		return;
	}
	mf_log(supervisor, MF_LOG_INFO, "stopping", NULL, NULL, "%s: finishing what runs", why);
	mf_notify_say(supervisor->parent_fd, "STOPPING=1");
	mf_addresses_close(supervisor);
	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (!tenant->removed)
		mf_tenant_remove(tenant);
	/* Behind the removal: each tenant that has nothing left is gone now. */
	supervisor->stopping = true;
	mf_tenants_sweep(supervisor);
}

void mf_supervisor_ended(struct mf_supervisor *supervisor)
{
	unsigned int i;

	if (supervisor->ended)
		return;
	supervisor->ended = true;
	mf_front_stop(supervisor);
	mf_export_stop(supervisor);
	mf_plane_close(supervisor);
	if (supervisor->notify_fd >= 0)
		uv_close((uv_handle_t *)&supervisor->notify, NULL);
	uv_close((uv_handle_t *)&supervisor->watch, NULL);
	uv_close((uv_handle_t *)&supervisor->heartbeat, NULL);
	uv_close((uv_handle_t *)&supervisor->router_again, NULL);
	uv_close((uv_handle_t *)&supervisor->exporter_again, NULL);
	for (i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&supervisor->signals[i], NULL);
}

/* ---- beginning ---- */

static int make_runtime(struct mf_supervisor *supervisor, struct mf_error *err)
{
	const char *wanted = supervisor->config->values.daemon.runtime;
	char *made = supervisor->runtime;

	if (wanted && strlen(wanted) > 60)
		return mf_error_set(err, -ENAMETOOLONG,
				    "runtime %s has more than 60 bytes: sockets in it would have "
				    "no room",
				    wanted);
	if (wanted) {
		snprintf(made, sizeof(supervisor->runtime), "%s", wanted);
		if (mkdir(made, 0700) && errno != EEXIST)
			return mf_error_set(err, -errno, "cannot make %s: %s", made,
					    strerror(errno));
	} else {
		snprintf(made, sizeof(supervisor->runtime), "%s/mayflyd.XXXXXX",
			 access("/run", W_OK) ? "/tmp" : "/run");
		if (!mkdtemp(made))
			return mf_error_set(err, -errno, "cannot make a folder like %s: %s", made,
					    strerror(errno));
		supervisor->runtime_made = true;
	}
	return 0;
}

static int open_notify(struct mf_supervisor *supervisor, struct mf_error *err)
{
	snprintf(supervisor->notify_path, sizeof(supervisor->notify_path), "%.60s/notify",
		 supervisor->runtime);
	unlink(supervisor->notify_path);
	supervisor->notify_fd = mf_notify_bind(supervisor->notify_path);
	if (supervisor->notify_fd < 0)
		return mf_error_set(err, supervisor->notify_fd, "cannot make %s: %s",
				    supervisor->notify_path, strerror(-supervisor->notify_fd));
	uv_poll_init(&supervisor->loop, &supervisor->notify, supervisor->notify_fd);
	supervisor->notify.data = supervisor;
	return uv_poll_start(&supervisor->notify, UV_READABLE, on_notify);
}

static void start_timers(struct mf_supervisor *supervisor)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT};
	uint64_t beat = mf_notify_watchdog_ms();
	unsigned int i;

	for (i = 0; i < 3; i++) {
		uv_signal_init(&supervisor->loop, &supervisor->signals[i]);
		supervisor->signals[i].data = supervisor;
		uv_signal_start(&supervisor->signals[i], on_signal, signals[i]);
	}
	uv_timer_init(&supervisor->loop, &supervisor->watch);
	uv_timer_init(&supervisor->loop, &supervisor->heartbeat);
	uv_timer_init(&supervisor->loop, &supervisor->router_again);
	uv_timer_init(&supervisor->loop, &supervisor->exporter_again);
	supervisor->exporter_again.data = supervisor;
	supervisor->watch.data = supervisor->heartbeat.data = supervisor->router_again.data =
		supervisor;
	uv_timer_start(&supervisor->watch, on_watch, WATCH_MS, WATCH_MS);
	if (beat)
		uv_timer_start(&supervisor->heartbeat, on_heartbeat, beat, beat);
}

/* mayfly beside mayflyd, or where the build has it. */
static int find_engine(struct mf_supervisor *supervisor, struct mf_error *err)
{
	static const char *const places[] = {"mayfly", "../cli/mayfly"};
	static char path[PATH_MAX + 16];
	char self[PATH_MAX] = "";
	unsigned int i;

	supervisor->program = supervisor->config->values.daemon.engine;
	if (supervisor->program)
		return 0;
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0)
		dirname(self);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", self, places[i]);
		if (!access(path, X_OK)) {
			supervisor->program = path;
			return 0;
		}
	}
	return mf_error_set(err, -ENOENT, "there is no mayfly in %s; name it: engine = \"PATH\"",
			    self);
}

static void raise_limits(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
}

static int start(struct mf_supervisor *supervisor, struct mf_error *err)
{
	const char *control = supervisor->config->values.daemon.control;
	int ret;

	start_timers(supervisor);
	ret = find_engine(supervisor, err);
	if (!ret)
		ret = make_runtime(supervisor, err);
	if (!ret)
		ret = open_notify(supervisor, err);
	if (ret)
		return ret;
	mf_share_prepare(supervisor);
	ret = mf_front_start(supervisor, err);
	if (!ret && control)
		ret = mf_plane_open(supervisor, control, err);
	if (!ret)
		ret = mf_export_start(supervisor, err);
	if (!ret)
		ret = mf_tenants_apply(supervisor, supervisor->config, MF_BY_FILE, err);
	return ret;
}

static int serve(struct mf_supervisor *supervisor, struct mf_error *err)
{
	int ret = start(supervisor, err);

	if (ret) {
		mf_supervisor_stop(supervisor, err->text);
	} else {
		mf_log(supervisor, MF_LOG_INFO, "started", NULL, NULL, "mayflyd %s: %zu tenants",
		       MF_VERSION, supervisor->config->tenant_count);
		/* Addresses listen and clients are answered, be it by 503, from now on. */
		mf_notify_say(supervisor->parent_fd, "READY=1");
	}
	uv_run(&supervisor->loop, UV_RUN_DEFAULT);
	uv_loop_close(&supervisor->loop);
	mf_log(supervisor, MF_LOG_INFO, "ended", NULL, NULL, "nothing is left");
	return ret;
}

static void tidy_up(struct mf_supervisor *supervisor)
{
	if (*supervisor->notify_path)
		unlink(supervisor->notify_path);
	if (supervisor->runtime_made)
		rmdir(supervisor->runtime);
	if (supervisor->notify_fd >= 0)
		close(supervisor->notify_fd);
	if (supervisor->parent_fd >= 0)
		close(supervisor->parent_fd);
}

static void destroy(struct mf_supervisor *supervisor)
{
	if (!supervisor)
		return;
	mf_config_put(supervisor->config);
	free(supervisor->path);
	free(supervisor);
}

/* Relative names in the file begin at its folder. */
static int enter_folder(struct mf_supervisor *supervisor, const char *path, struct mf_error *err)
{
	char *copy = strdup(path);

	supervisor->path = realpath(path, NULL);
	if (!supervisor->path || !copy || chdir(dirname(copy))) {
		free(copy);
		return mf_error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	}
	free(copy);
	return 0;
}

static int run(const char *path, bool check_only)
{
	struct mf_supervisor *supervisor = calloc(1, sizeof(*supervisor));
	struct mf_error err = {0};
	int ret = supervisor ? enter_folder(supervisor, path, &err) : -ENOMEM;

	if (!ret)
		ret = mf_config_load(&supervisor->config, supervisor->path, &err);
	if (!ret && check_only) {
		printf("%s is good: %zu tenants\n", path, supervisor->config->tenant_count);
	} else if (!ret) {
		TAILQ_INIT(&supervisor->tenants);
		TAILQ_INIT(&supervisor->engines);
		TAILQ_INIT(&supervisor->addresses);
		supervisor->link_fd = supervisor->router_pidfd = supervisor->notify_fd = -1;
		supervisor->exported.fd = supervisor->exporter_pidfd = -1;
		supervisor->log_json = supervisor->config->values.daemon.log_json;
		supervisor->parent_fd = mf_notify_open();
		if (getrandom(&supervisor->random, sizeof(supervisor->random), GRND_NONBLOCK) < 0)
			supervisor->random = (uint64_t)getpid();
		raise_limits();
		uv_loop_init(&supervisor->loop);
		ret = serve(supervisor, &err);
		tidy_up(supervisor);
	}
	if (ret)
		fprintf(stderr, "mayflyd: %s\n", err.text);
	destroy(supervisor);
	return !ret ? 0 : ret == -EINVAL ? STATUS_BAD_FILE : MF_STATUS_FAILED;
}

int main(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("mayflyd");
	struct mf_values values;
	struct mf_error err = {0};
	int status = 0;
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return MF_STATUS_FAILED;
	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err) ||
	    (!values.help && !values.version && !values.router_link && !values.exporter_fd &&
	     !values.config_file &&
	     mf_error_set(&err, -EINVAL, "no configuration; write mayflyd --config FILE")) ||
	    (optind < argc && mf_error_set(&err, -EINVAL, "%s is too much", argv[optind]))) {
		fprintf(stderr, "mayflyd: %s\n", err.text);
		return MF_STATUS_FAILED;
	}
	if (values.help)
		mf_print_help(verb, stdout);
	else if (values.version)
		puts("mayflyd " MF_VERSION);
	else if (values.router_link)
		status = mf_router_run(values.router_link);
	else if (values.exporter_fd)
		status = mf_exporter_run(values.exporter_fd, values.exporter_control);
	else
		status = run(values.config_file, values.check_only);
	mf_values_finish(&values);
	return status;
}
