/* SPDX-License-Identifier: MIT */
#include "tenant/program.h"
#include "engine/linux/connection.h"
#include "tenant/image.h"

#include "request-vm/output.h"
#include "tenant/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The one ioctl of engine/mem: PAGEMAP_SCAN (include/uapi/linux/fs.h, Linux 6.7). */
#define PAGEMAP_SCAN_REQUEST _IOWR('f', 16, uint64_t[12])

#define EXPLAIN_PATIENCE_MS 100

#define STORE_LOOK_NS 1000000ull

#define WARMUP_NS (60ull * 1000000000) /* for one request */

static bool any_paths(const struct mf_permit_paths *paths)
{
	return paths->all || paths->count;
}

static int make_permit(struct mf_program *program, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;
	const struct mf_permit_settings settings = {options->read, options->write, options->volumes,
						    options->volume_count};

	program->files_allowed =
		any_paths(&options->read) || any_paths(&options->write) || options->volume_count;
	return program->files_allowed ? mf_permit_create_from(&program->permit, &settings, err) : 0;
}

static bool any_rules(const struct mf_net_rules *rules)
{
	return rules->all || rules->count;
}

static int make_net(struct mf_program *program, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;

	if (!any_rules(&options->net) && !any_rules(&options->connect) &&
	    !any_rules(&options->listen))
		return 0;
	return mf_permit_net_create(&program->net, &options->net, &options->connect,
				    &options->listen, err);
}

/* The folder where the engine was started, if the program may know of it; else the root. */
static void choose_cwd(struct mf_program *program)
{
	const struct mf_permit *permit = program->permit;
	char *here;
	int fd;

	program->cwd = program->options->cwd;
	here = program->cwd || !program->files_allowed ? NULL : getcwd(NULL, 0);
	if (!here || *here != '/' || strlen(here) >= MF_PATH_MAX) {
		free(here);
		return;
	}
	fd = mf_permit_open_need(permit, "/", here, MF_PERMIT_EITHER, O_PATH | O_DIRECTORY, 0);
	if (fd >= 0 || mf_permit_leads_to(permit, here))
		program->cwd = program->cwd_owned = here;
	else
		free(here);
	if (fd >= 0)
		close(fd);
}

static void explain_line(void *cookie, const char *line)
{
	(void)cookie;
	mf_output_say(EXPLAIN_PATIENCE_MS, "%s\n", line);
}

static int make_explain(struct mf_program *program, struct mf_error *err)
{
	if (!program->options->explain)
		return 0;
	if (mf_explain_create(&program->explain, explain_line, NULL))
		return mf_error_set(err, -ENOMEM, "not enough memory for --explain");
	return 0;
}

/* As a shell looks for a program; without PATH, where Debian's shells look. */
static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

static int open_files(struct mf_program *program, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;
	int ret = mf_exec_open(&program->files, options->argv[0], options->argv, search_path(),
			       program->permit, err);

	if (ret)
		return ret;
	choose_cwd(program);
	return mf_exec_permit(&program->files, &program->permit, err);
}

/* An option that only an image file can heed. */
static int refuse_trust(const struct mf_program_options *options, struct mf_error *err)
{
	return options->trust_image
		       ? mf_error_set(err, -EINVAL,
				      "%s is no image file: --trust-image can have no effect",
				      options->argv[0])
		       : 0;
}

int mf_program_open(struct mf_program *program, const struct mf_program_options *options,
		    struct mf_error *err)
{
	int ret;

	*program = (struct mf_program){.options = options, .kvm.fd = -1, .kvm.pagemap_fd = -1};
	ret = make_permit(program, err);
	if (!ret)
		ret = make_net(program, err);
	if (!ret)
		ret = mf_kvm_open(&program->kvm, NULL, err);
	if (!ret)
		ret = mf_program_try_image(program, err);
	if (!ret && !program->is_image)
		ret = refuse_trust(options, err);
	if (!ret && !program->is_image)
		ret = open_files(program, err);
	if (!ret)
		ret = make_explain(program, err);
	program->policy = (struct mf_policy){
		.permit = program->permit,
		.net = program->net,
		.explain = program->explain,
		.stdin_fd = -1,
		.trace = options->trace ? stderr : NULL,
		.no_patch = options->no_patch,
		.output_limit = options->output_bytes,
		.cpu_limit_ns = options->cpu_ns,
		.files_limit = (uint32_t)options->files,
		.threads = (uint32_t)options->threads,
	};
	if (ret)
		mf_program_close(program);
	return ret;
}

void mf_program_close(struct mf_program *program)
{
	if (program->is_image)
		mf_process_image_finish(&program->image);
	mf_kvm_close(&program->kvm);
	mf_explain_sum(program->explain);
	mf_explain_destroy(program->explain);
	mf_permit_destroy(program->permit);
	mf_permit_net_destroy(program->net);
	free(program->cwd_owned);
	mf_exec_close(&program->files);
	*program = (struct mf_program){.kvm.fd = -1, .kvm.pagemap_fd = -1};
}

void mf_program_calm_host(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static size_t list_ioctls(uint32_t *list, size_t room)
{
	size_t count = 0;

	for (; count < mf_kvm_ioctls_count && count + 12 < room; count++)
		list[count] = (uint32_t)mf_kvm_ioctls[count];
	list[count++] = (uint32_t)PAGEMAP_SCAN_REQUEST;
	list[count++] = TIOCGWINSZ;
	list[count++] = TCSETS;
	list[count++] = TCSETSW;
	list[count++] = TCSETSF;
	list[count++] = TIOCSWINSZ;
	list[count++] = TIOCGSID;
	list[count++] = TIOCOUTQ;
	list[count++] = TCFLSH;
	list[count++] = TCXONC;
	return count;
}

/* The paths that Landlock is to allow: of both permits. `at` is the caller's to free. */
struct path_list {
	const char **at;
	size_t count;
};

static int add_paths(struct path_list *list, const char *const *paths, size_t count)
{
	const char **grown = realloc(list->at, (list->count + count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	list->at = grown;
	if (count)
		memcpy(grown + list->count, paths, count * sizeof(*grown));
	list->count += count;
	return 0;
}

struct landlock_paths {
	struct path_list reads;
	struct path_list writes;
	struct path_list starts;
};

static int add_permit(struct landlock_paths *paths, const struct mf_permit *permit)
{
	const char *const *names;
	size_t count;
	int ret;

	if (!permit)
		return 0;
	names = mf_permit_paths(permit, false, &count);
	ret = add_paths(&paths->reads, names, count);
	names = mf_permit_paths(permit, true, &count);
	if (!ret)
		ret = add_paths(&paths->writes, names, count);
	names = mf_permit_start_paths(permit, &count);
	return ret ? ret : add_paths(&paths->starts, names, count);
}

static int confine(const struct mf_program *program, const struct mf_permit *also,
		   const char *const *unlink_dirs, bool log, struct landlock_paths *paths,
		   struct mf_error *err)
{
	bool files = program->permit || also || log;
	struct mf_confine_report report = {0};
	uint32_t ioctls[64];
	int ret;
	struct mf_confine confine = {
		.net = program->policy.net,
		.priority = &program->priority,
		.ioctls = ioctls,
		.unlink_dirs = unlink_dirs,
		.read_paths = paths->reads.at,
		.read_path_count = paths->reads.count,
		.write_paths = paths->writes.at,
		.write_path_count = paths->writes.count,
		.open_paths = paths->starts.at,
		.open_path_count = paths->starts.count,
		.flags = (files ? MF_CONFINE_OPEN_FILES : 0) |
			 (paths->writes.count ? MF_CONFINE_CHANGE_FILES : 0),
	};

	while (unlink_dirs && unlink_dirs[confine.unlink_dir_count])
		confine.unlink_dir_count++;
	confine.ioctl_count = list_ioctls(ioctls, 64);
	umask(0); /* a guest's own alone decides; sockets are made already */
	ret = mf_confine_enter(&confine, &report, err);
	if (!ret && (program->files_allowed || also) && !report.landlock_abi)
		mf_output_say(0, "mayfly: this kernel has no Landlock: that the program reaches "
				 "only the files that "
				 "were allowed rests on openat2 alone\n");
	return ret;
}

int mf_program_confine(const struct mf_program *program, const struct mf_permit *also,
		       const char *const *unlink_dirs, const char *log_folder, struct mf_error *err)
{
	struct landlock_paths paths = {0};
	int ret = add_permit(&paths, program->permit);

	if (!ret)
		ret = add_permit(&paths, also);
	if (!ret && log_folder)
		ret = add_paths(&paths.writes, &log_folder, 1);
	if (ret)
		mf_error_set(err, ret, "not enough memory for the list of paths");
	else
		ret = confine(program, also, unlink_dirs, log_folder != NULL, &paths, err);
	free(paths.reads.at);
	free(paths.writes.at);
	free(paths.starts.at);
	return ret;
}

int mf_program_exec(struct mf_program *program, struct mf_process *process, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;
	struct mf_exec exec;

	if (program->is_image) {
		int ret = mf_program_check_store(program, err);

		return ret ? ret : mf_process_fork(process, &program->image, &program->policy, err);
	}
	exec = mf_exec_of(&program->files);
	exec.envp = (char *const *)options->env;
	exec.cwd = program->cwd;
	exec.limit_bytes = options->memory_bytes;
	exec.plain = program->plain;
	return mf_process_exec(process, &program->kvm, &program->policy, &exec, err);
}

bool mf_program_wait(const struct mf_process *process, const struct mf_exit *exit,
		     uint64_t deadline_ns)
{
	sigset_t before;
	struct pollfd fd = {.fd = exit->wait_fd, .events = exit->wait_events};
	uint64_t until = exit->wait_until_ns;
	struct timespec span;
	uint64_t now = mf_now_ns();

	if (deadline_ns && deadline_ns < until)
		until = deadline_ns;
	if (until > now && until != UINT64_MAX) {
		span.tv_sec = (time_t)((until - now) / 1000000000ull);
		span.tv_nsec = (long)((until - now) % 1000000000ull);
	} else {
		span = (struct timespec){0};
	}
	mf_relay_block(&before);
	if (!__atomic_load_n(&process->vm.kicked, __ATOMIC_RELAXED))
		ppoll(&fd, fd.fd >= 0, until == UINT64_MAX ? NULL : &span, &before);
	mf_relay_unblock(&before);
	return !deadline_ns || mf_now_ns() < deadline_ns;
}

/* At connections to the store, which nobody else sees. True: the program runs on. */
static bool on_store(struct mf_streams *streams, struct mf_process *process, struct mf_watch *watch,
		     const struct mf_exit *exit)
{
	if (exit->kind == MF_EXIT_CONNECTION && exit->news & MF_NEWS_STORE) {
		mf_streams_move(streams, process, watch);
		return !(exit->news & MF_NEWS_CLIENT);
	}
	return exit->kind == MF_EXIT_WAIT && mf_streams_move(streams, process, watch);
}

/* The store's answer is looked for again after a short while; nobody rings for it here. */
static bool wait_or_look(const struct mf_streams *streams, const struct mf_process *process,
			 const struct mf_exit *exit, uint64_t deadline_ns)
{
	struct mf_exit soon = *exit;
	uint64_t look = mf_now_ns() + STORE_LOOK_NS;

	if (streams && mf_streams_wait(streams) && soon.wait_until_ns > look)
		soon.wait_until_ns = look;
	return mf_program_wait(process, &soon, deadline_ns);
}

void mf_program_drive(struct mf_process *process, const struct mf_program_run *run,
		      mf_program_ends_fn *ends, struct mf_exit *exit)
{
	struct mf_watch_limits limits = {.deadline_ns = run->deadline_ns};
	struct mf_streams *streams = run->streams;

	for (;;) {
		mf_watch_enter(run->watch, &process->vm, &limits);
		mf_process_run(process, exit);
		mf_watch_leave(run->watch);
		if (streams && on_store(streams, process, run->watch, exit))
			continue;
		if (exit->kind == MF_EXIT_KICKED && exit->kicks == MF_KICK_RELAY) {
			if (mf_relay_deliver(process, exit))
				return;
			continue;
		}
		if (exit->kind != MF_EXIT_WAIT ||
		    (ends && ends(process) && !(streams && mf_streams_wait(streams))))
			return;
		if (!wait_or_look(streams, process, exit, run->deadline_ns)) {
			exit->kind = MF_EXIT_KICKED;
			exit->kicks = MF_KICK_DEADLINE;
			return;
		}
		if (__atomic_load_n(&process->vm.kicked, __ATOMIC_RELAXED) == MF_KICK_RELAY) {
			mf_vm_take_kicks(&process->vm);
			if (mf_relay_deliver(process, exit))
				return;
		}
	}
}

static int not_ready(const struct mf_program *program, const struct mf_process *process,
		     const struct mf_exit *exit, struct mf_error *err)
{
	const char *name = program->options->argv[0];

	switch (exit->kind) {
	case MF_EXIT_KICKED:
		return mf_error_set(err, -ETIMEDOUT,
				    "%s did not become ready in time: it %s; raise --boot-deadline "
				    "or see what it waits for with `mayfly run --trace-syscalls`",
				    name,
				    mf_listener_is_there(process)
					    ? "listens, but does not wait for connections"
					    : "neither listens nor calls mf_wait()");
	case MF_EXIT_EXITED:
		return mf_error_set(
			err, -ENOEXEC,
			"%s ended with status %d before it was ready; a program to be served "
			"listens and waits for connections, or calls mf_wait() of <mayfly/sdk.h>",
			name, exit->status);
	default:
		return mf_error_set(err, -ENOEXEC, "%s died before it was ready: %s", name,
				    exit->text);
	}
}

/* What it prints on the way to the ready point goes to stderr, tagged. */
static void boot(struct mf_process *process, const struct mf_program_run *run,
		 mf_program_ends_fn *ends, struct mf_exit *exit)
{
	const struct mf_policy *quiet = process->policy;
	struct mf_output_meter meter = {0};
	struct mf_output output = {.meter = &meter, .tag = "boot"};
	struct mf_policy loud = *quiet;

	loud.cpu_limit_ns = 0; /* of a request */
	if (!loud.output) {
		loud.output = mf_output_write;
		loud.output_cookie = &output;
	}
	process->policy = &loud;
	do {
		mf_program_drive(process, run, ends, exit);
		if (exit->kind == MF_EXIT_LOG)
			mf_process_log(process, exit);
	} while (exit->kind == MF_EXIT_LOG);
	process->policy = quiet;
	mf_output_flush(&output);
}

/* A request to warm up with may take as long as any. */
static void drive_warmup(void *cookie, struct mf_process *process, mf_program_ends_fn *ends,
			 struct mf_exit *exit)
{
	struct mf_program_run run = *(const struct mf_program_run *)cookie;

	run.deadline_ns = mf_now_ns() + WARMUP_NS;
	boot(process, &run, ends, exit);
}

static void never_wakes(struct mf_waiter *waiter)
{
	(void)waiter;
}

/* While nobody serves, the first request VM's way to the store is the builder's; it may only read.
 */
static void begin_store(const struct mf_program *program, struct mf_streams *streams)
{
	mf_streams_init(streams, program->store, 0, never_wakes);
	streams->read_only = true;
	if (program->store)
		program->store->begin(program->store, 0, true);
}

static void end_store(const struct mf_program *program, struct mf_streams *streams)
{
	mf_streams_end(streams);
	while (program->store && program->store->end(program->store, 0, true) == -EBUSY)
		usleep(1000);
}

int mf_program_learn(struct mf_program *program, struct mf_watch *watch, struct mf_image *image,
		     const struct mf_ready_point *ready, struct mf_error *err)
{
	struct mf_streams streams;
	struct mf_program_run run = {.watch = watch, .streams = &streams};
	int ret;

	if (!program->options->warmup)
		return 0;
	begin_store(program, &streams);
	ret = mf_warmup_learn(program->options->warmup, image, &program->policy, ready,
			      drive_warmup, &run, err);
	end_store(program, &streams);
	return ret;
}

void mf_program_set_store(struct mf_program *program, struct mf_peer *store)
{
	program->store = store;
	program->policy.has_store = true;
}

void mf_program_set_served(struct mf_program *program)
{
	program->policy.listens_within = true;
	program->policy.listens_at = program->options->guest_listen;
}

/* Where it stands now: 0, or -ENOEXEC, -ETIMEDOUT with a sentence. */
static int find_ready(const struct mf_program *program, const struct mf_process *process,
		      const struct mf_exit *exit, struct mf_ready_point *ready,
		      struct mf_error *err)
{
	if (exit->kind == MF_EXIT_WAIT) {
		*ready = (struct mf_ready_point){.kind = MF_READY_LISTENER};
		return 0;
	}
	if (exit->kind != MF_EXIT_READY)
		return not_ready(program, process, exit, err);
	if (!mf_function_ready(process, exit, ready))
		return 0;
	return mf_error_set(err, -ENOEXEC,
			    "%s asks for requests in a way that this version does not know; "
			    "rebuild it with this version's SDK",
			    program->options->argv[0]);
}

/* To its ready point, and warm. */
static int get_ready(struct mf_program *program, struct mf_process *process, struct mf_watch *watch,
		     struct mf_ready_point *ready, struct mf_error *err)
{
	uint64_t limit = program->options->boot_deadline_ns;
	struct mf_streams streams;
	struct mf_program_run run = {.watch = watch,
				     .deadline_ns = limit ? mf_now_ns() + limit : 0,
				     .streams = &streams};
	struct mf_exit exit;
	int ret;

	begin_store(program, &streams);
	boot(process, &run, mf_listener_waits, &exit);
	ret = find_ready(program, process, &exit, ready, err);
	if (!ret && program->options->warmup)
		ret = mf_warmup_run(program->options->warmup, process, ready, drive_warmup, &run,
				    err);
	end_store(program, &streams);
	return ret;
}

int mf_program_build(struct mf_program *program, struct mf_watch *watch, struct mf_image *image,
		     struct mf_ready_point *ready, struct mf_error *err)
{
	struct mf_process process;
	int ret;

	if (program->is_image)
		return mf_program_take_image(program, image, ready, err);
	ret = mf_program_exec(program, &process, err);
	if (ret)
		return ret;
	ret = get_ready(program, &process, watch, ready, err);
	if (ret) {
		mf_process_finish(&process);
		return ret;
	}
	return mf_process_freeze(&process, image, err);
}
