/* SPDX-License-Identifier: MIT */
/*
 * The same program natively and under `mayfly run`, in turns. What is told of programs of ours is
 * what the work took by their own clock; of others the processor time of the whole run, the VM's
 * beginning and end included. Exits and faults are counted in a pass of their own.
 */
#include "bench/harness.h"
#include "engine/image/watchdog.h"
#include "tenant/program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_MIB 2560

struct job {
	const char *name;
	const char *program; /* NULL: ours, which prints its own time */
	char *args[4];
	double units; /* of work in a run: the unit of the figure */
	bool small_pages;
	const char *input; /* of stdin; NULL: nothing */
};

struct taken {
	double own_ns;
	double cpu_ns;
	double wall_ns;
};

static const struct job jobs[] = {
	{.name = "native/int", .args = {"int", "20"}, .units = 20},
	{.name = "native/float", .args = {"float", "80"}, .units = 80},
	{.name = "native/hash", .args = {"hash", "80"}, .units = 80},
	{.name = "native/xz",
	 .program = "xz",
	 .args = {"-1", "-T1", "-c"},
	 .units = 1,
	 .input = "/usr/lib/x86_64-linux-gnu/libc.so.6"},
	{.name = "native/gzip",
	 .program = "gzip",
	 .args = {"-9", "-c"},
	 .units = 1,
	 .input = "/usr/lib/x86_64-linux-gnu/libc.so.6"},
	{.name = "native/chase/256M/huge", .args = {"chase", "4000000", "256"}, .units = 4e6},
	{.name = "native/chase/256M/small",
	 .args = {"chase", "4000000", "256"},
	 .units = 4e6,
	 .small_pages = true},
	{.name = "native/chase/1G/huge", .args = {"chase", "4000000", "1024"}, .units = 4e6},
	{.name = "native/chase/1G/small",
	 .args = {"chase", "4000000", "1024"},
	 .units = 4e6,
	 .small_pages = true},
	{.name = "native/fault/1M", .args = {"fault", "200"}, .units = 200 * 256},
	{.name = "native/fault/64M/huge", .args = {"large", "4", "64"}, .units = 4 * 64 * 256},
	{.name = "native/fault/64M/small",
	 .args = {"large", "4", "64"},
	 .units = 4 * 64 * 256,
	 .small_pages = true},
	{.name = "native/call", .args = {"call", "5000"}, .units = 5000},
	{.name = "native/swap", .args = {"swap", "2000"}, .units = 2000},
	{.name = "native/protect", .args = {"protect", "500"}, .units = 500},
	{.name = "native/drop", .args = {"drop", "200"}, .units = 200 * 256},
};

/* Where it is: ours beside us, others in PATH. */
static const char *path_of(const struct job *job)
{
	static char path[4096];
	const char *folders[] = {"/usr/bin", "/bin", "/usr/local/bin"};
	size_t i;

	if (!job->program)
		return bench_path("bench-native-guest");
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], job->program);
		if (!access(path, X_OK))
			return path;
	}
	return NULL;
}

static void run_child(const struct job *job, const char *path, bool in_vm, int out)
{
	static char memory[16];
	char *argv[16];
	int n = 0;
	int i;
	int in = open(job->input ? job->input : "/dev/null", O_RDONLY);

	snprintf(memory, sizeof(memory), "%uM", MEMORY_MIB);
	if (in_vm) {
		argv[n++] = (char *)bench_path("../mayfly");
		argv[n++] = "run";
		argv[n++] = "--memory";
		argv[n++] = memory;
		argv[n++] = "--allow-read";
		argv[n++] = "--";
	}
	argv[n++] = (char *)path;
	for (i = 0; i < 4 && job->args[i]; i++)
		argv[n++] = job->args[i];
	argv[n] = NULL;
	if (job->small_pages)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	dup2(in, 0);
	dup2(out, 1);
	execv(argv[0], argv);
	_exit(127);
}

/* What the program printed, if that is a number; the rest is thrown away. */
static double read_output(int fd)
{
	char text[65536];
	char head[32] = "";
	ssize_t got = read(fd, text, sizeof(text));

	if (got > 0)
		memcpy(head, text, (size_t)got < sizeof(head) - 1 ? (size_t)got : sizeof(head) - 1);
	while (got > 0)
		got = read(fd, text, sizeof(text));
	return strtod(head, NULL);
}

static bool run(const struct job *job, const char *path, bool in_vm, struct taken *taken)
{
	uint64_t start = bench_now_ns();
	struct rusage usage;
	int pipe_fds[2];
	int status = 0;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return false;
	pid = fork();
	if (!pid)
		run_child(job, path, in_vm, pipe_fds[1]);
	close(pipe_fds[1]);
	taken->own_ns = read_output(pipe_fds[0]);
	close(pipe_fds[0]);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || status)
		return false;
	taken->wall_ns = (double)(bench_now_ns() - start);
	taken->cpu_ns = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e9 +
			(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e3;
	return true;
}

static ssize_t swallow(void *cookie, int fd, const void *bytes, size_t count)
{
	(void)cookie;
	(void)fd;
	(void)bytes;
	return (ssize_t)count;
}

/* One run in this process, for what it counts. */
static int count(const struct job *job, const char *path, struct bench_report *report)
{
	static const char *no_env[] = {NULL};
	static const char *everything = "/";
	char *argv[6] = {(char *)path, job->args[0], job->args[1], job->args[2], job->args[3]};
	struct mf_program_options options = {.argv = argv,
					     .env = no_env,
					     .memory_bytes = (uint64_t)MEMORY_MIB << 20,
					     .read = {.paths = &everything, .count = 1}};
	struct mf_program program;
	struct mf_process process;
	struct mf_watchdog *dog;
	struct mf_exit exit;
	struct mf_error err = {0};

	if (job->small_pages)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	if (mf_program_open(&program, &options, &err))
		return -1;
	program.plain = true;
	program.policy.output = swallow;
	program.policy.stdin_fd = open(job->input ? job->input : "/dev/null", O_RDONLY | O_CLOEXEC);
	if (mf_watchdog_create(&dog, 1, &err))
		return -1;
	if (!mf_program_exec(&program, &process, &err)) {
		const struct mf_kvm_vm *kvm = &process.vm.kvm;
		const struct mf_program_run how = {.watch = mf_watchdog_worker(dog, 0)};

		mf_program_drive(&process, &how, NULL, &exit);
		bench_count(report, "user_exits", (double)kvm->user_exits);
		bench_count(report, "page_faults",
			    (double)mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken));
		mf_process_finish(&process);
	}
	mf_watchdog_destroy(dog);
	close(program.policy.stdin_fd);
	mf_program_close(&program);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	return 0;
}

static double figure(const struct job *job, const struct taken *taken)
{
	return (job->program ? taken->cpu_ns : taken->own_ns) / job->units;
}

static int run_job(const struct bench_case *self)
{
	const struct job *job = &jobs[self->arg];
	struct bench_report report = {.name = self->name, .unit = "ns", .yardstick = "native"};
	struct mf_loop loop = {.rounds = 23, .seconds = 30};
	struct mf_samples wall = {0};
	struct mf_samples native_wall = {0};
	struct mf_samples ratio = {0};
	const char *path = path_of(job);

	if (!path)
		return bench_skip(self, "there is no %s", job->program);
	if (job->args[2] && bench_available_bytes() < 3e9)
		return bench_skip(self, "it needs 3 GB of free memory");
	while (bench_next(&loop)) {
		struct taken native = {0};
		struct taken vm = {0};
		bool good = loop.done % 2
				    ? run(job, path, true, &vm) && run(job, path, false, &native)
				    : run(job, path, false, &native) && run(job, path, true, &vm);

		if (!good)
			return bench_fail(self, "%s did not come to its end", path);
		if (!bench_measured(&loop))
			continue;
		mf_samples_add(&report.samples, figure(job, &vm));
		mf_samples_add(&report.yard, figure(job, &native));
		mf_samples_add(&ratio, figure(job, &native) / figure(job, &vm) * 100);
		mf_samples_add(&wall, vm.wall_ns);
		mf_samples_add(&native_wall, native.wall_ns);
	}
	bench_count(&report, "of_native_percent_p50", mf_samples_percentile(&ratio, 0.5));
	bench_count(&report, "of_native_percent_p10", mf_samples_percentile(&ratio, 0.1));
	bench_count(&report, "of_native_percent_p90", mf_samples_percentile(&ratio, 0.9));
	/* Of the undisturbed rounds: what is left when others want the same CPU. */
	bench_count(&report, "of_native_percent_best",
		    mf_samples_percentile(&report.yard, 0) /
			    mf_samples_percentile(&report.samples, 0) * 100);
	bench_count(&report, "whole_run_ms_p50", mf_samples_percentile(&wall, 0.5) / 1e6);
	bench_count(&report, "native_whole_run_ms_p50",
		    mf_samples_percentile(&native_wall, 0.5) / 1e6);
	count(job, path, &report);
	bench_print(&report);
	mf_samples_free(&wall);
	mf_samples_free(&native_wall);
	mf_samples_free(&ratio);
	return 0;
}

const struct bench_case bench_cases[] = {
	{.name = "native/int", .run = run_job, .arg = 0, .quick = true},
	{.name = "native/float", .run = run_job, .arg = 1, .quick = true},
	{.name = "native/hash", .run = run_job, .arg = 2, .quick = true},
	{.name = "native/xz", .run = run_job, .arg = 3},
	{.name = "native/gzip", .run = run_job, .arg = 4},
	{.name = "native/chase/256M/huge", .run = run_job, .arg = 5},
	{.name = "native/chase/256M/small", .run = run_job, .arg = 6},
	{.name = "native/chase/1G/huge", .run = run_job, .arg = 7},
	{.name = "native/chase/1G/small", .run = run_job, .arg = 8},
	{.name = "native/fault/1M", .run = run_job, .arg = 9},
	{.name = "native/fault/64M/huge", .run = run_job, .arg = 10},
	{.name = "native/fault/64M/small", .run = run_job, .arg = 11},
	{.name = "native/call", .run = run_job, .arg = 12},
	{.name = "native/swap", .run = run_job, .arg = 13},
	{.name = "native/protect", .run = run_job, .arg = 14},
	{.name = "native/drop", .run = run_job, .arg = 15},
	{0},
};
