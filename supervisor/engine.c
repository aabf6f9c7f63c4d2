/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include "ipc/socket/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beside what its own limits allow it. */
#define GRACE_MS 5000

/* Of connections on their way to an engine; the kernel gives less where net.core.wmem_max says so.
 */
#define HANDOFFS_BYTES (1 << 17)

/* An engine that has said nothing for so long is stuck; it speaks twice in this time. */
#define SILENCE_MS 60000

/* ---- its command line ---- */

/* Strings that are freed together; NULL without memory from then on. */
struct words {
	char **words;
	size_t count;
	bool failed;
};

static void add(struct words *words, const char *format, const char *a, const char *b)
{
	char **grown = realloc(words->words, (words->count + 2) * sizeof(*grown));
	char *word = NULL;

	if (grown)
		words->words = grown;
	if (!grown || asprintf(&word, format, a, b) < 0) {
		words->failed = true;
		return;
	}
	grown[words->count++] = word;
	grown[words->count] = NULL;
}

static void finish_words(struct words *words)
{
	while (words->count)
		free(words->words[--words->count]);
	free(words->words);
}

/* What the file says of a tenant is what the flags of mayfly serve say. */
static void add_settings(struct words *words, const struct mf_settings *settings)
{
	size_t i;

	for (i = 0; i < settings->count; i++) {
		const struct mf_setting *setting = &settings->settings[i];

		if (!(setting->option->places & MF_IN_SERVE))
			continue;
		if (setting->text)
			add(words, "--%s=%s", setting->option->name, setting->text);
		else
			add(words, "--%s%s", setting->option->name, "");
	}
}

static void make_argv(struct words *words, const struct mf_engine *engine, int router_fd)
{
	const struct mf_config_tenant *config = engine->tenant->config;
	const struct mf_texts *program = &config->values.tenant.program;
	char number[16];
	size_t i;

	snprintf(number, sizeof(number), "%d", router_fd);
	add(words, "%s%s", "mayfly", "");
	add(words, "%s%s", "serve", "");
	add(words, "--router=%s%s", number, "");
	snprintf(number, sizeof(number), "%d", engine->bound_fd);
	if (engine->bound_fd >= 0)
		add(words, "--store-bound=%s%s", number, "");
	add(words, "--control=unix:%s%s", engine->control, "");
	if (!config->values.serve.quiet)
		add(words, "--quiet%s%s", "", "");
	add_settings(words, &config->settings);
	add(words, "--%s%s", "", "");
	for (i = 0; i < program->count; i++)
		add(words, "%s%s", program->texts[i], "");
}

/* Ours, without what is about us. */
static void make_env(struct words *words, const struct mf_supervisor *supervisor)
{
	static const char *const ours[] = {"NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_", "MAYFLYD_"};
	const char *control = supervisor->config->values.daemon.control;
	char silence[24];
	char **at;
	size_t i;

	for (at = environ; *at; at++) {
		for (i = 0; i < 4; i++)
			if (!strncmp(*at, ours[i], strlen(ours[i])))
				break;
		if (i == 4)
			add(words, "%s%s", *at, "");
	}
	snprintf(silence, sizeof(silence), "%u", SILENCE_MS * 1000u);
	add(words, "NOTIFY_SOCKET=%s%s", supervisor->notify_path, "");
	add(words, "WATCHDOG_USEC=%s%s", silence, "");
	if (control)
		add(words, "MAYFLYD_SOCKETS=%s:%s.events", control, control);
}

/* ---- what it prints ---- */

static void say_line(struct mf_engine *engine)
{
	if (engine->line_bytes)
		mf_log(engine->supervisor, MF_LOG_INFO, "output", engine->tenant, engine, "%.*s",
		       (int)engine->line_bytes, engine->line);
	engine->line_bytes = 0;
}

/* False: that was all for now. */
static bool read_log(struct mf_engine *engine)
{
	char bytes[4096];
	ssize_t got = read(engine->log_fd, bytes, sizeof(bytes));
	ssize_t i;

	for (i = 0; i < got; i++) {
		if (bytes[i] == '\n' || engine->line_bytes == sizeof(engine->line))
			say_line(engine);
		if (bytes[i] != '\n')
			engine->line[engine->line_bytes++] = bytes[i];
	}
	return got > 0;
}

static void on_log(uv_poll_t *poll, int status, int events)
{
	struct mf_engine *engine = poll->data;

	(void)status;
	(void)events;
	if (!read_log(engine) && errno != EAGAIN)
		uv_poll_stop(poll);
}

void mf_engine_log_end(struct mf_engine *engine)
{
	int rounds;

	/* It is dead: this ends. */
	for (rounds = 0; rounds < 256 && read_log(engine); rounds++)
		;
	say_line(engine);
}

/* ---- its end ---- */

static void on_closed(uv_handle_t *handle)
{
	struct mf_engine *engine = handle->data;
	struct mf_supervisor *supervisor = engine->supervisor;

	if (--engine->handles)
		return;
	close(engine->pidfd);
	close(engine->log_fd);
	close(engine->router_end);
	if (engine->bound_fd >= 0)
		close(engine->bound_fd);
	unlink(engine->control);
	TAILQ_REMOVE(&supervisor->engines, engine, all);
	if (!--engine->tenant->engines)
		mf_tenant_engines_gone(engine->tenant);
	free(engine);
	mf_tenants_sweep(supervisor);
}

static void close_handles(struct mf_engine *engine)
{
	uv_close((uv_handle_t *)&engine->exited, on_closed);
	uv_close((uv_handle_t *)&engine->log, on_closed);
	uv_close((uv_handle_t *)&engine->limit, on_closed);
}

static void on_exited(uv_poll_t *poll, int code, int events)
{
	struct mf_engine *engine = poll->data;
	int status = 0;

	(void)code;
	(void)events;
	if (waitpid(engine->pid, &status, WNOHANG) != engine->pid)
		return;
	uv_poll_stop(poll);
	mf_engine_log_end(engine);
	mf_tenant_engine_ended(engine, status);
	close_handles(engine);
}

static void send_signal(const struct mf_engine *engine, int signo)
{
	syscall(SYS_pidfd_send_signal, engine->pidfd, signo, NULL, 0);
}

void mf_engine_kill(struct mf_engine *engine)
{
	engine->killed = true;
	send_signal(engine, SIGKILL);
}

static void on_limit(uv_timer_t *timer)
{
	struct mf_engine *engine = timer->data;

	mf_log(engine->supervisor, MF_LOG_WARNING, "engine-late", engine->tenant, engine, "%s",
	       engine->state == MF_ENGINE_DRAINING ? "does not end in time: it is killed"
						   : "is not ready in time: it is killed");
	mf_engine_kill(engine);
}

void mf_engine_drain(struct mf_engine *engine)
{
	uint64_t patience = engine->tenant->config->values.serve.drain_ns / 1000000;

	if (engine->state == MF_ENGINE_DRAINING)
		return;
	engine->state = MF_ENGINE_DRAINING;
	/* It reads its connections to their end, which is the router's to say. */
	if (engine->supervisor->link_fd < 0)
		shutdown(engine->router_end, SHUT_WR);
	send_signal(engine, SIGTERM);
	uv_timer_start(&engine->limit, on_limit, patience + GRACE_MS, 0);
}

/* ---- its beginning ---- */

int mf_engine_bound(struct mf_engine *engine)
{
	const struct mf_tenant_store_options *store = &engine->tenant->config->values.serve.store;
	const struct mf_store_bound bound = {.quota_bytes = mf_tenant_store_quota(store),
					     .evicts = store->evicts};

	if (engine->bound_fd < 0)
		return 0;
	return pwrite(engine->bound_fd, &bound, sizeof(bound), 0) == sizeof(bound) ? 0 : -errno;
}

/* The file of its store's bounds, if it has a store. */
static int open_bound(struct mf_engine *engine)
{
	engine->bound_fd = -1;
	if (!engine->has_store)
		return 0;
	engine->bound_fd = memfd_create("mayfly-store-bound", MFD_CLOEXEC);
	return engine->bound_fd < 0 ? -errno : mf_engine_bound(engine);
}

static int open_pipes(struct mf_engine *engine, int *router_fd, int *output)
{
	int pair[2];
	int pipes[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (pipe2(pipes, O_CLOEXEC)) {
		close(pair[0]);
		close(pair[1]);
		return -errno;
	}
	/* The engine's end waits for nobody either: its printing gives up by itself. */
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	/* A burst of new clients waits here for the engine's workers. */
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &(int){HANDOFFS_BYTES}, sizeof(int));
	engine->router_end = pair[0];
	*router_fd = pair[1];
	engine->log_fd = pipes[0];
	*output = pipes[1];
	return 0;
}

static void name_control(struct mf_engine *engine)
{
	char folder[MF_PATH_ROOM];

	mf_tenant_folder(engine->tenant, folder);
	mkdir(folder, 0700);
	snprintf(engine->control, sizeof(engine->control), "%.95s/%u", folder, engine->number);
}

static uint64_t largest_share(const struct mf_supervisor *supervisor)
{
	const struct mf_tenant *tenant;
	uint64_t largest = 1;

	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (!tenant->removed && tenant->config->values.tenant.cpu_share > largest)
		largest = tenant->config->values.tenant.cpu_share;
	return largest;
}

static pid_t spawn(struct mf_engine *engine, int router_fd, int output)
{
	struct mf_supervisor *supervisor = engine->supervisor;
	int keep[] = {router_fd, engine->bound_fd, -1};
	int cgroups[MF_CGROUPS + 1] = {-1};
	struct words argv = {0};
	struct words env = {0};
	struct mf_spawn how = {.program = supervisor->program, .keep = keep, .output = output};
	pid_t pid = -ENOMEM;
	int *fd;

	make_argv(&argv, engine, router_fd);
	make_env(&env, supervisor);
	how.argv = argv.words;
	how.env = env.words;
	how.cgroups = cgroups;
	mf_share_open(supervisor, engine->tenant, cgroups);
	if (cgroups[0] < 0)
		how.nice = mf_share_nice(engine->tenant->config->values.tenant.cpu_share,
					 largest_share(supervisor));
	if (!argv.failed && !env.failed)
		pid = mf_spawn(&how, &engine->pidfd);
	for (fd = cgroups; *fd >= 0; fd++)
		close(*fd);
	finish_words(&argv);
	finish_words(&env);
	return pid;
}

static void watch(struct mf_engine *engine)
{
	struct mf_supervisor *supervisor = engine->supervisor;
	uint64_t limit = engine->tenant->config->values.program.boot_deadline_ns / 1000000;

	engine->handles = 3;
	uv_poll_init(&supervisor->loop, &engine->exited, engine->pidfd);
	uv_poll_init(&supervisor->loop, &engine->log, engine->log_fd);
	uv_timer_init(&supervisor->loop, &engine->limit);
	engine->exited.data = engine->log.data = engine->limit.data = engine;
	uv_poll_start(&engine->exited, UV_READABLE, on_exited);
	uv_poll_start(&engine->log, UV_READABLE, on_log);
	uv_timer_start(&engine->limit, on_limit, 2 * limit + GRACE_MS, 0);
	engine->started_ms = engine->heard_ms = uv_now(&supervisor->loop);
}

struct mf_engine *mf_engine_start(struct mf_tenant *tenant, struct mf_error *err)
{
	struct mf_supervisor *supervisor = tenant->supervisor;
	struct mf_engine *engine = calloc(1, sizeof(*engine));
	int router_fd = -1, output = -1;
	int code = engine ? 0 : -ENOMEM;

	if (!code) {
		engine->supervisor = supervisor;
		engine->tenant = tenant;
		engine->number = ++supervisor->last_engine;
		engine->has_store = tenant->config->values.serve.store.folder;
		name_control(engine);
		code = open_bound(engine);
		if (!code)
			code = open_pipes(engine, &router_fd, &output);
	}
	if (!code) {
		engine->pid = spawn(engine, router_fd, output);
		close(router_fd);
		close(output);
		if (engine->pid < 0) {
			code = engine->pid;
			close(engine->router_end);
			close(engine->log_fd);
		}
	}
	if (code) {
		if (engine && engine->bound_fd >= 0)
			close(engine->bound_fd);
		free(engine);
		mf_error_set(err, code, "cannot start its engine: %s", strerror(-code));
		return NULL;
	}
	TAILQ_INSERT_TAIL(&supervisor->engines, engine, all);
	tenant->engines++;
	watch(engine);
	return engine;
}

void mf_engine_heard(struct mf_supervisor *supervisor, pid_t pid, const char *text)
{
	struct mf_engine *engine;

	TAILQ_FOREACH(engine, &supervisor->engines, all)
	if (engine->pid == pid)
		break;
	if (!engine)
		return;
	engine->heard_ms = uv_now(&supervisor->loop);
	if (mf_notify_has(text, "READY=1") && engine->state == MF_ENGINE_STARTING) {
		engine->state = MF_ENGINE_READY;
		engine->ready_ms = engine->heard_ms;
		uv_timer_stop(&engine->limit);
		mf_tenant_engine_ready(engine);
	}
	if (mf_notify_has(text, "STOPPING=1") && engine->state == MF_ENGINE_READY)
		mf_tenant_engine_stopping(engine);
}

/* Of all engines, now and then. */
void mf_engines_watch(struct mf_supervisor *supervisor)
{
	uint64_t now = uv_now(&supervisor->loop);
	struct mf_engine *engine;

	TAILQ_FOREACH(engine, &supervisor->engines, all)
	if (engine->state == MF_ENGINE_READY && now - engine->heard_ms > SILENCE_MS &&
	    !engine->killed) {
		mf_log(supervisor, MF_LOG_ERROR, "engine-stuck", engine->tenant, engine,
		       "has not spoken for %u s: it is killed", SILENCE_MS / 1000);
		mf_engine_kill(engine);
	}
}
