/* SPDX-License-Identifier: MIT */
#include "tenant/serve.h"
#include "tenant/run.h"
#include "tenant/status.h"

#include "ipc/control/exposition.h"
#include "ipc/control/server.h"
#include "ipc/socket/notify.h"
#include "ipc/store/wire.h"
#include "request-vm/front/health.h"
#include "request-vm/output.h"

#include <mayfly/abi/ring.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* VM, vCPU and statistics. */
#define FILES_A_VM 3u

struct server {
	const struct mf_serve_options *options;
	struct mf_program program;
	struct mf_tenant_store store;
	struct mf_fetch_host *fetches; /* NULL: no address is allowed */
	struct mf_listener listener;
	struct mf_listener health_listener;
	struct mf_watchdog *watchdog;
	struct mf_image image;
	struct mf_ready_point ready;
	uv_loop_t loop; /* of the main thread: signals, health, shutdown */
	uv_signal_t signals[2];
	uv_signal_t hang_up; /* with a log */
	struct mf_journal *access_log;
	uv_timer_t patience;
	uv_async_t joined;
	struct mf_health *health;
	struct mf_rate rate;
	int notify_fd;                  /* who is told that this is ready; -1: nobody */
	uv_timer_t heartbeat;           /* with notify_fd, if that is wanted */
	struct mf_status_source status; /* the workers are in there */
	int guests_end;                 /* host descriptors that programs may have */
	struct mf_control *control;
	uv_async_t command;    /* from the control thread */
	unsigned int commands; /* atomic: enum command */
	pthread_mutex_t lock;  /* of `ended`: nobody may wake a loop that is gone */
	bool ended;
};

enum command {
	COMMAND_DRAIN = 1,
	COMMAND_STOP = 2,
};

static unsigned int choose_workers(const struct mf_serve_options *options)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int count =
		options->workers ? options->workers : (unsigned int)(cores > 0 ? cores : 1);

	return count < options->pool.vms ? count : options->pool.vms;
}

static bool may_connect(const struct mf_program_options *program)
{
	return program->net.all || program->net.count || program->connect.all ||
	       program->connect.count;
}

/* Enough descriptors for VMs and connections, or a sentence. Guests get numbers below *guests_end.
 */
static int check_files(const struct mf_serve_options *options, unsigned int workers,
		       int *guests_end, struct mf_error *err)
{
	uint64_t clients = (uint64_t)(options->connections + MF_FRONT_SPARE_FILES +
				      (may_connect(&options->program) ? MF_FETCH_FILES : 0)) *
				   workers +
			   (options->control ? MF_CONTROL_FILES : 0) +
			   (options->store.folder ? MF_STORE_SOCKET_FILES : 0);
	uint64_t need = (uint64_t)options->pool.vms * FILES_A_VM + clients + 64;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < need)
		return mf_error_set(err, -EMFILE,
				    "%u VMs and %u connections need %llu file descriptors, the "
				    "limit is %llu; raise "
				    "it (`ulimit -Hn`), or lower --vms or --connections",
				    options->pool.vms, options->connections,
				    (unsigned long long)need, (unsigned long long)limit.rlim_max);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	*guests_end = (int)(limit.rlim_max - clients);
	return 0;
}

static bool is_draining(const struct server *server)
{
	return __atomic_load_n(&server->status.state, __ATOMIC_RELAXED) == MF_SERVE_DRAINING;
}

static const char *not_ready_reason(void *arg)
{
	const struct server *server = arg;

	return is_draining(server) ? "draining\n" : NULL;
}

/* Hold back, or let in again, the signals that end the server; for this thread and those that it
 * makes. */
static void hold_signals(int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(how, &set, NULL);
}

/* From here on another signal has nothing to hurry, and must not kill the process before it has
 * tidied up. */
static void end_loop(struct server *server)
{
	unsigned int i;

	hold_signals(SIG_BLOCK);
	for (i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&server->signals[i], NULL);
	uv_close((uv_handle_t *)&server->hang_up, NULL);
	uv_close((uv_handle_t *)&server->patience, NULL);
	uv_close((uv_handle_t *)&server->heartbeat, NULL);
	if (server->health)
		mf_health_close(server->health, NULL, NULL);
	server->health = NULL;
	pthread_mutex_lock(&server->lock);
	server->ended = true;
	uv_close((uv_handle_t *)&server->command, NULL);
	pthread_mutex_unlock(&server->lock);
}

static void stop_workers(struct server *server, bool hurry)
{
	unsigned int i;

	for (i = 0; i < server->status.started; i++)
		mf_worker_stop(&server->status.workers[i], hurry);
}

static void on_impatient(uv_timer_t *timer)
{
	struct server *server = timer->data;

	stop_workers(server, true);
	mf_watch_stop(server->watchdog);
}

static void begin_draining(struct server *server, const char *why)
{
	__atomic_store_n(&server->status.state, MF_SERVE_DRAINING, __ATOMIC_RELAXED);
	mf_notify_say(server->notify_fd, "STOPPING=1");
	if (!server->options->quiet)
		mf_output_say(0, "mayfly: %s: finishing what runs, taking nothing new\n", why);
	stop_workers(server, false);
	uv_timer_start(&server->patience, on_impatient, server->options->drain_ns / 1000000, 0);
}

/* The first signal drains, the second hurries. Workers are joined once the loop has ended. */
static void on_signal(uv_signal_t *handle, int signo)
{
	struct server *server = handle->data;

	if (is_draining(server))
		on_impatient(&server->patience);
	else
		begin_draining(server, strsignal(signo));
}

/* The same two by command; but the second drain changes nothing. */
static void on_command(uv_async_t *handle)
{
	struct server *server = handle->data;
	unsigned int commands = __atomic_exchange_n(&server->commands, 0, __ATOMIC_RELAXED);

	if (commands && !is_draining(server))
		begin_draining(server, commands & COMMAND_STOP ? "told to stop" : "told to drain");
	if (commands & COMMAND_STOP)
		on_impatient(&server->patience);
}

/* On the control thread. While the program boots, commands wait until it is ready. */
static void command(struct server *server, enum command command)
{
	pthread_mutex_lock(&server->lock);
	__atomic_or_fetch(&server->commands, command, __ATOMIC_RELAXED);
	if (!server->ended)
		uv_async_send(&server->command);
	pthread_mutex_unlock(&server->lock);
}

static void control_status(void *arg, struct mf_control_status *status,
			   struct mf_control_times *times)
{
	struct server *server = arg;

	mf_status_gather(&server->status, status, times, MF_STATUS_PATIENCE_NS);
}

/* On the loop of health and signals, which waits for nobody long. */
#define METRICS_PATIENCE_NS 200000000ull

static char *metrics(void *arg)
{
	struct server *server = arg;
	struct mf_control_sample *sample = calloc(1, sizeof(*sample));
	char *text = NULL;

	if (sample) {
		sample->answered = true;
		mf_status_gather(&server->status, &sample->status, &sample->times,
				 METRICS_PATIENCE_NS);
		text = mf_control_exposition(sample, 1);
	}
	free(sample);
	return text;
}

static void control_drain(void *arg)
{
	command(arg, COMMAND_DRAIN);
}

static void control_stop(void *arg)
{
	command(arg, COMMAND_STOP);
}

/* Whoever watches is told that all goes well as long as every worker has answered the last time. */
static void on_heartbeat(uv_timer_t *timer)
{
	struct server *server = timer->data;
	struct mf_worker_report report;
	bool well = true;
	unsigned int i;

	for (i = 0; i < server->status.started; i++) {
		well &= mf_worker_told(&server->status.workers[i], &report, 0);
		mf_worker_ask(&server->status.workers[i]);
	}
	if (well)
		mf_notify_say(server->notify_fd, "WATCHDOG=1");
}

static const struct mf_control_ops control_ops = {
	.status = control_status, .drain = control_drain, .stop = control_stop};

static void *join_workers(void *arg)
{
	struct server *server = arg;
	unsigned int i;

	for (i = 0; i < server->status.started; i++)
		mf_worker_join(&server->status.workers[i]);
	uv_async_send(&server->joined);
	return NULL;
}

static void on_joined(uv_async_t *handle)
{
	struct server *server = handle->data;

	uv_close((uv_handle_t *)&server->joined, NULL);
	end_loop(server);
}

/* No body that the program's buffer cannot take; heads are small beside it. */
static uint32_t body_limit(const struct server *server)
{
	uint64_t room = server->ready.buffer_bytes;

	if (server->ready.kind == MF_READY_LISTENER)
		return MF_HTTP_BODY_MAX;
	return (uint32_t)(room < MF_HTTP_BODY_MAX ? room : MF_HTTP_BODY_MAX);
}

/* Of a time that is none: one. */
static uint32_t milliseconds(uint64_t ns)
{
	uint64_t ms = ns / 1000000;

	return ms > UINT32_MAX ? UINT32_MAX : ms ? (uint32_t)ms : 1;
}

static void set_front(struct mf_front_settings *settings, const struct server *server)
{
	const struct mf_serve_options *options = server->options;

	mf_front_settings_default(settings);
	settings->max_connections = options->connections;
	settings->forwarded = options->forwarded;
	settings->preamble = options->proxy_protocol;
	settings->kept_timeout_ms = milliseconds(options->connection_idle_ns);
	settings->http.body_bytes = body_limit(server);
	if (server->ready.kind == MF_READY_LISTENER)
		settings->form = options->protocol == MF_SERVE_RAW ? MF_FRONT_RAW : MF_FRONT_WIRE;
}

/* VMs are counted through all workers: this one has `vms` from `first` on. */
static void set_pool(struct mf_pool_settings *settings, struct server *server, unsigned int first,
		     unsigned int vms)
{
	*settings = server->options->pool;
	settings->first_vm = first;
	settings->vms = vms;
	settings->load = &server->status.load;
	settings->peer = server->store.store ? mf_store_peer(server->store.store) : NULL;
	settings->private_store = server->options->store.scope != MF_STORE_SCOPE_TENANT;
	settings->fetches = server->fetches;
}

static void set_worker(struct mf_worker *worker, struct server *server)
{
	set_front(&worker->front_settings, server);
	worker->access_log = server->access_log;
	worker->access_form = server->options->access_form;
	worker->image = &server->image;
	worker->ready = &server->ready;
	worker->policy = &server->program.policy;
	worker->priority = &server->program.priority;
	worker->watchdog = server->watchdog;
	worker->rate = &server->rate;
	worker->is_router = server->listener.is_router;
}

static int open_worker(struct mf_worker *worker, const struct server *server, struct mf_error *err)
{
	int ret;

	worker->listen_fd = fcntl(server->listener.fd, F_DUPFD_CLOEXEC, 0);
	if (worker->listen_fd < 0)
		return mf_error_set(err, -errno, "cannot share the listening socket: %s",
				    strerror(errno));
	ret = mf_worker_open(worker, err);
	return ret ? ret : mf_worker_start(worker, err);
}

static int open_workers(struct server *server, struct mf_error *err)
{
	unsigned int vms, left = server->options->pool.vms;
	unsigned int count = server->status.worker_count;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count && !ret; i++, left -= vms) {
		struct mf_worker *worker = &server->status.workers[i];

		vms = (left + count - i - 1) / (count - i);
		worker->index = i;
		set_pool(&worker->settings, server, server->options->pool.vms - left, vms);
		set_worker(worker, server);
		ret = open_worker(worker, server, err);
		/* Pairs with the acquire in mf_status_gather(). */
		if (!ret)
			__atomic_add_fetch(&server->status.started, 1, __ATOMIC_RELEASE);
	}
	return ret;
}

/* The log was moved away. */
static void on_hang_up(uv_signal_t *handle, int signo)
{
	struct server *server = handle->data;

	(void)signo;
	mf_journal_reopen(server->access_log);
}

static void init_main_loop(struct server *server)
{
	static const int signals[2] = {SIGTERM, SIGINT};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		uv_signal_init(&server->loop, &server->signals[i]);
		server->signals[i].data = server;
		uv_signal_start(&server->signals[i], on_signal, signals[i]);
	}
	uv_signal_init(&server->loop, &server->hang_up);
	server->hang_up.data = server;
	if (server->access_log)
		uv_signal_start(&server->hang_up, on_hang_up, SIGHUP);
	uv_timer_init(&server->loop, &server->patience);
	server->patience.data = server;
	uv_timer_init(&server->loop, &server->heartbeat);
	server->heartbeat.data = server;
	if (server->notify_fd >= 0 && mf_notify_watchdog_ms())
		uv_timer_start(&server->heartbeat, on_heartbeat, 0, mf_notify_watchdog_ms());
	uv_async_init(&server->loop, &server->joined, on_joined);
	server->joined.data = server;
}

static void say_start(const struct server *server)
{
	const struct mf_serve_options *options = server->options;

	if (options->quiet)
		return;
	mf_output_say(0, "mayfly: %s on %s: %u VMs on %u workers, image %.1f MiB, %s KVM\n",
		      options->program.argv[0], server->listener.name, options->pool.vms,
		      server->status.worker_count, (double)server->image.backing.bytes / 1048576,
		      mf_family_name(server->status.family));
}

static void say_end(struct server *server)
{
	uint64_t requests = 0;
	uint64_t failed = 0;
	uint64_t resets = 0;
	uint64_t audits = 0;
	uint64_t unclean = 0;
	uint64_t user_exits = 0;
	char audited[80] = "";
	unsigned int i;

	for (i = 0; i < server->status.started; i++) {
		const struct mf_pool_stats *stats = &server->status.workers[i].pool_stats;

		requests += stats->requests;
		failed += stats->requests - stats->outcomes[MF_OUTCOME_OK];
		resets += stats->resets;
		audits += stats->audits;
		unclean += stats->audit_failures;
		user_exits += stats->user_exits;
	}
	if (server->options->quiet)
		return;
	if (server->options->pool.audit)
		snprintf(audited, sizeof(audited), ", %llu audits, %llu unclean",
			 (unsigned long long)audits, (unsigned long long)unclean);
	mf_output_say(
		1000,
		"mayfly: %llu requests, %llu of them failed, %llu resets%s, %llu user exits\n",
		(unsigned long long)requests, (unsigned long long)failed,
		(unsigned long long)resets, audited, (unsigned long long)user_exits);
	mf_tenant_store_say_end(&server->store);
}

/* Everything from here on runs confined. */
static int serve(struct server *server, struct mf_error *err)
{
	pthread_t joiner;
	int ret;

	init_main_loop(server);
	ret = open_workers(server, err);
	if (!ret && server->options->health)
		ret = mf_health_open(&server->health, &server->loop, &server->health_listener,
				     not_ready_reason, metrics, server, err);
	if (ret)
		stop_workers(server, true);
	else
		say_start(server);
	if (!ret) {
		__atomic_store_n(&server->status.state, MF_SERVE_SERVING, __ATOMIC_RELAXED);
		mf_notify_say(server->notify_fd, "READY=1");
	}
	/* The workers have copies: once theirs are closed, new clients are refused. */
	close(server->listener.fd);
	server->listener.fd = -1;
	hold_signals(SIG_BLOCK);
	if (pthread_create(&joiner, NULL, join_workers, server)) {
		mf_output_say(0, "mayfly serve: cannot start a thread; raise `ulimit -u`\n");
		_exit(MF_STATUS_FAILED);
	}
	hold_signals(SIG_UNBLOCK);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	pthread_join(joiner, NULL);
	if (!ret)
		say_end(server);
	return ret;
}

/* A program that starts computes, and nobody waits for an answer of it yet. */
static int build(struct server *server, struct mf_error *err)
{
	struct mf_watch *watch = mf_watchdog_worker(server->watchdog, 0);
	int ret;

	mf_priority_set(&server->program.priority, true);
	ret = mf_program_build(&server->program, watch, &server->image, &server->ready, err);
	if (!ret) {
		ret = mf_program_learn(&server->program, watch, &server->image, &server->ready,
				       err);
		if (ret)
			mf_process_image_finish(&server->image);
	}
	mf_priority_set(&server->program.priority, false);
	return ret;
}

static int build_and_serve(struct server *server, struct mf_error *err)
{
	/* One more for the store's thread. */
	int ret = mf_watchdog_create(&server->watchdog, server->status.worker_count + 1, err);

	if (ret)
		return ret;
	server->store.priority = &server->program.priority;
	ret = mf_tenant_store_start(&server->store, server->watchdog, server->status.worker_count,
				    err);
	if (!ret)
		ret = build(server, err);
	if (!ret) {
		ret = serve(server, err);
		mf_process_image_finish(&server->image);
	}
	mf_tenant_store_stop(&server->store);
	mf_watchdog_destroy(server->watchdog);
	return ret;
}

static void close_sockets(struct server *server)
{
	mf_control_close(server->control);
	server->control = NULL;
	mf_listen_close(&server->listener);
	mf_listen_close(&server->health_listener);
}

static int open_sockets(struct server *server, struct mf_error *err)
{
	const struct mf_serve_options *options = server->options;
	int ret = 0;

	if (options->listen)
		ret = mf_listen_open(&server->listener, options->listen, err);
	else
		server->listener = (struct mf_listener){
			.fd = options->router_fd, .is_router = true, .name = "a router"};

	if (!ret && options->health)
		ret = mf_listen_open(&server->health_listener, options->health, err);
	if (!ret && options->control)
		ret = mf_control_open(&server->control, options->control, &control_ops, server,
				      err);
	if (ret)
		close_sockets(server);
	return ret;
}

/* The folder of a Unix socket is one of those where the confined process may remove files. */
static const char *folder_of(const char *path, char *buffer, size_t room)
{
	snprintf(buffer, room, "%s", path);
	return dirname(buffer);
}

/* No program may connect to the engine's own sockets, whatever it is allowed. */
static void add_own_socket(struct server *server, const char *path)
{
	struct mf_own_sockets *own = &server->program.policy.own_sockets;
	struct stat st;

	if (own->count == MF_OWN_SOCKETS || stat(path, &st))
		return;
	own->files[own->count].device = st.st_dev;
	own->files[own->count++].inode = st.st_ino;
}

/* Those of whoever supervises this process. */
static void add_supervisors_sockets(struct server *server)
{
	const char *notify = getenv("NOTIFY_SOCKET");
	const char *others = getenv("MAYFLYD_SOCKETS");
	char *copy = others ? strdup(others) : NULL;
	char *rest = copy;
	char *path;

	if (notify && *notify == '/')
		add_own_socket(server, notify);
	while ((path = strsep(&rest, ":")))
		add_own_socket(server, path);
	free(copy);
}

static int confine(struct server *server, struct mf_error *err)
{
	const struct mf_listener *listeners[2] = {&server->listener, &server->health_listener};
	char buffers[3][128];
	const char *folders[4] = {NULL};
	char log_buffer[PATH_MAX];
	const char *log_folder = NULL;
	size_t count = 0;
	unsigned int i;

	for (i = 0; i < 2; i++)
		if (listeners[i]->is_unix) {
			const char *path = listeners[i]->file.address.sun_path;

			folders[count++] = folder_of(path, buffers[i], sizeof(buffers[i]));
			add_own_socket(server, path);
		}
	if (server->control) {
		folders[count++] =
			folder_of(server->options->control, buffers[2], sizeof(buffers[2]));
		add_own_socket(server, server->options->control);
	}
	add_supervisors_sockets(server);
	if (server->store.socket) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/" MF_STORE_SOCKET_NAME, server->store.folder);
		add_own_socket(server, path);
	}
	if (server->options->access_log && strcmp(server->options->access_log, "-") != 0)
		log_folder = folder_of(server->options->access_log, log_buffer, sizeof(log_buffer));
	return mf_program_confine(&server->program, server->store.permit, folders, log_folder, err);
}

/* What the control thread needs before it is there. */
static void init_command(struct server *server)
{
	pthread_mutex_init(&server->lock, NULL);
	uv_async_init(&server->loop, &server->command, on_command);
	server->command.data = server;
	server->status.listen = server->listener.name;
	server->status.store = server->store.store;
	server->status.family = server->program.kvm.traits.family;
}

/* The loop closes the handle itself if it ever ran. */
static void finish_command(struct server *server)
{
	if (!server->ended)
		uv_close((uv_handle_t *)&server->command, NULL);
	uv_run(&server->loop, UV_RUN_DEFAULT);
	pthread_mutex_destroy(&server->lock);
}

static int confine_and_serve(struct server *server, struct mf_error *err)
{
	int ret;

	init_command(server);
	ret = confine(server, err);
	if (!ret && server->control)
		ret = mf_control_start(server->control, err);
	if (!ret && server->access_log)
		ret = mf_journal_start(server->access_log, err);
	if (!ret)
		ret = build_and_serve(server, err);
	/* The control thread uses the handle. */
	close_sockets(server);
	finish_command(server);
	return ret;
}

/* Requests for programs, if there is anywhere that they may go. */
static int open_fetches(struct server *server, struct mf_error *err)
{
	const struct mf_permit_net *net = server->program.net;

	if (!mf_permit_net_has(net, MF_NET_CONNECT, AF_INET) &&
	    !mf_permit_net_has(net, MF_NET_CONNECT, AF_INET6))
		return 0;
	return mf_fetch_host_open(&server->fetches, err);
}

static int set_up(struct server *server, struct mf_error *err)
{
	int ret = mf_program_open(&server->program, &server->options->program, err);

	if (ret)
		return ret;
	mf_program_set_served(&server->program);
	mf_priority_prepare(&server->program.priority);
	server->status.begun_ns = mf_now_ns();
	server->program.policy.host_fd_end = server->guests_end;
	ret = mf_tenant_store_open(&server->store, &server->options->store, &server->program.kvm,
				   server->options->pool.vms, err);
	if (ret) {
		mf_program_close(&server->program);
		return ret;
	}
	if (server->store.store)
		mf_program_set_store(&server->program, mf_store_peer(server->store.store));
	if (server->store.store)
		mf_tenant_store_set_windows(&server->program.policy,
					    mf_store_window_bytes(server->store.store),
					    mf_tenant_store_place_bytes(&server->options->store));
	ret = open_fetches(server, err);
	if (!ret)
		ret = open_sockets(server, err);
	if (!ret && server->options->access_log)
		ret = mf_journal_open(&server->access_log, server->options->access_log, err);
	if (!ret)
		ret = confine_and_serve(server, err);
	mf_fetch_host_close(server->fetches);
	mf_journal_close(server->access_log);
	mf_tenant_store_close(&server->store);
	mf_program_close(&server->program);
	return ret;
}

int mf_serve(const struct mf_serve_options *options, struct mf_error *err)
{
	struct server server = {
		.options = options,
		.listener.fd = -1,
		.health_listener.fd = -1,
		.rate = options->rate,
		.notify_fd = mf_notify_open(),
		.status = {.options = options, .worker_count = choose_workers(options)},
	};
	int ret;

	mf_output_set_json(options->log_json);
	mf_program_calm_host();
	server.status.workers = calloc(server.status.worker_count, sizeof(*server.status.workers));
	ret = check_files(options, server.status.worker_count, &server.guests_end, err);
	if (!ret && (!server.status.workers || uv_loop_init(&server.loop)))
		ret = mf_error_set(err, -ENOMEM, "not enough memory to start");
	if (!ret) {
		ret = set_up(&server, err);
		uv_loop_close(&server.loop);
	}
	free(server.status.workers);
	if (server.notify_fd >= 0)
		close(server.notify_fd);
	return ret ? MF_STATUS_FAILED : 0;
}
