/* SPDX-License-Identifier: MIT */
#include "tenant/program.h"

#include "request-vm/output.h"

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

static int make_permit(struct mf_program *program, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;
	struct mf_permit_paths reads = {options->read_all, options->read_paths,
					options->read_count};
	struct mf_permit_paths writes = {options->write_all, options->write_paths,
					 options->write_count};

	if (!reads.all && !reads.count && !writes.all && !writes.count)
		return 0;
	return mf_permit_create(&program->permit, &reads, &writes, err);
}

/* As a shell looks for a program; without PATH, where Debian's shells look. */
static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

int mf_program_open(struct mf_program *program, const struct mf_program_options *options,
		    struct mf_error *err)
{
	int ret;

	*program = (struct mf_program){.options = options, .kvm.fd = -1, .kvm.pagemap_fd = -1};
	ret = mf_exec_open(&program->files, options->argv[0], options->argv, search_path(), err);
	if (!ret)
		ret = make_permit(program, err);
	if (!ret)
		ret = mf_kvm_open(&program->kvm, NULL, err);
	program->policy = (struct mf_policy){
		.permit = program->permit,
		.stdin_fd = -1,
		.trace = options->trace ? stderr : NULL,
		.output_limit = options->output_bytes,
	};
	if (ret)
		mf_program_close(program);
	return ret;
}

void mf_program_close(struct mf_program *program)
{
	mf_kvm_close(&program->kvm);
	mf_permit_destroy(program->permit);
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

	for (; count < mf_kvm_ioctls_count && count + 2 < room; count++)
		list[count] = (uint32_t)mf_kvm_ioctls[count];
	list[count++] = (uint32_t)PAGEMAP_SCAN_REQUEST;
	list[count++] = TIOCGWINSZ;
	return count;
}

/* The paths that Landlock is to allow: of both permits, or everything. */
struct path_list {
	const char *paths[2 * MF_PATHS_MAX + 2];
	size_t count;
};

static void add_paths(struct path_list *list, const struct mf_permit *permit, bool writable)
{
	const char *const *paths;
	size_t count = 0;
	size_t i;

	paths = permit ? mf_permit_paths(permit, writable, &count) : NULL;
	for (i = 0; i < count && list->count < sizeof(list->paths) / sizeof(list->paths[0]); i++)
		list->paths[list->count++] = paths[i];
}

static struct path_list list_paths(const struct mf_program *program, const struct mf_permit *also,
				   bool writable)
{
	const struct mf_program_options *options = program->options;
	struct path_list list = {.count = 0};

	if (writable ? options->write_all : options->read_all)
		return (struct path_list){{"/"}, 1};
	add_paths(&list, program->permit, writable);
	add_paths(&list, also, writable);
	return list;
}

int mf_program_confine(const struct mf_program *program, const struct mf_permit *also,
		       const char *const *unlink_dirs, struct mf_error *err)
{
	struct path_list reads = list_paths(program, also, false);
	struct path_list writes = list_paths(program, also, true);
	bool files = program->permit || also;
	struct mf_confine_report report = {0};
	uint32_t ioctls[64];
	int ret;
	struct mf_confine confine = {
		.ioctls = ioctls,
		.unlink_dirs = unlink_dirs,
		.read_paths = reads.paths,
		.read_path_count = reads.count,
		.write_paths = writes.paths,
		.write_path_count = writes.count,
		.flags = (files ? MF_CONFINE_OPEN_FILES : 0) |
			 (writes.count ? MF_CONFINE_CHANGE_FILES : 0),
	};

	while (unlink_dirs && unlink_dirs[confine.unlink_dir_count])
		confine.unlink_dir_count++;
	confine.ioctl_count = list_ioctls(ioctls, 64);
	umask(0); /* a guest's own alone decides; sockets are made already */
	ret = mf_confine_enter(&confine, &report, err);
	if (!ret && files && !report.landlock_abi)
		mf_output_say(0, "mayfly: this kernel has no Landlock: that the program reaches "
				 "only the files that "
				 "were allowed rests on openat2 alone\n");
	return ret;
}

int mf_program_exec(struct mf_program *program, struct mf_process *process, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;
	struct mf_exec exec = {
		.elf = program->files.program.bytes,
		.elf_bytes = program->files.program.size,
		.interp = program->files.interp.bytes,
		.interp_bytes = program->files.interp.size,
		.exec_name = program->files.name,
		.exe = program->files.program.path,
		.argv = program->files.argv,
		.envp = (char *const *)options->env,
		.cwd = options->cwd,
		.limit_bytes = options->memory_bytes,
		.plain = program->plain,
	};

	return mf_process_exec(process, &program->kvm, &program->policy, &exec, err);
}

/* Wait for what the program waits for. False when the deadline came first. */
static bool wait_for(const struct mf_exit *exit, uint64_t deadline_ns)
{
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
	ppoll(&fd, fd.fd >= 0, until == UINT64_MAX ? NULL : &span, NULL);
	return !deadline_ns || mf_now_ns() < deadline_ns;
}

void mf_program_drive(struct mf_process *process, struct mf_watch *watch, uint64_t deadline_ns,
		      struct mf_exit *exit)
{
	struct mf_watch_limits limits = {.deadline_ns = deadline_ns};

	for (;;) {
		mf_watch_enter(watch, &process->vm, &limits);
		mf_process_run(process, exit);
		mf_watch_leave(watch);
		if (exit->kind != MF_EXIT_WAIT)
			return;
		if (!wait_for(exit, deadline_ns)) {
			exit->kind = MF_EXIT_KICKED;
			exit->kicks = MF_KICK_DEADLINE;
			return;
		}
	}
}

static int not_ready(const struct mf_program *program, const struct mf_exit *exit,
		     struct mf_error *err)
{
	const char *name = program->options->argv[0];

	switch (exit->kind) {
	case MF_EXIT_KICKED:
		return mf_error_set(err, -ETIMEDOUT,
				    "%s did not become ready in time; raise --boot-deadline or see "
				    "what it waits "
				    "for with `mayfly run --trace-syscalls`",
				    name);
	case MF_EXIT_EXITED:
		return mf_error_set(
			err, -ENOEXEC,
			"%s ended with status %d before it was ready; a program to be served calls "
			"mf_wait() of <mayfly/sdk.h>",
			name, exit->status);
	default:
		return mf_error_set(err, -ENOEXEC, "%s died before it was ready: %s", name,
				    exit->text);
	}
}

/* What it prints on the way to the ready point goes to stderr, tagged. */
static void boot(struct mf_process *process, struct mf_watch *watch, uint64_t deadline,
		 struct mf_exit *exit)
{
	const struct mf_policy *quiet = process->policy;
	struct mf_output_meter meter = {0};
	struct mf_output output = {.meter = &meter, .tag = "boot"};
	struct mf_policy loud = *quiet;

	if (!loud.output) {
		loud.output = mf_output_write;
		loud.output_cookie = &output;
	}
	process->policy = &loud;
	do {
		mf_program_drive(process, watch, deadline, exit);
		if (exit->kind == MF_EXIT_LOG)
			mf_process_log(process, exit);
	} while (exit->kind == MF_EXIT_LOG);
	process->policy = quiet;
	mf_output_flush(&output);
}

int mf_program_build(struct mf_program *program, struct mf_watch *watch, struct mf_image *image,
		     struct mf_ready_point *ready, struct mf_error *err)
{
	uint64_t limit = program->options->boot_deadline_ns;
	struct mf_process process;
	struct mf_exit exit;
	int ret = mf_program_exec(program, &process, err);

	if (ret)
		return ret;
	boot(&process, watch, limit ? mf_now_ns() + limit : 0, &exit);
	if (exit.kind != MF_EXIT_READY)
		ret = not_ready(program, &exit, err);
	else if (mf_function_ready(&process, &exit, ready))
		ret = mf_error_set(
			err, -ENOEXEC,
			"%s asks for requests in a way that this version does not know; rebuild it "
			"with this version's SDK",
			program->options->argv[0]);
	if (ret) {
		mf_process_finish(&process);
		return ret;
	}
	return mf_process_freeze(&process, image, err);
}
