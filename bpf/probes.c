/* SPDX-License-Identifier: MIT */
#include "bpf/probes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "follow.skel.h"
#include "probes.skel.h"

/* Number of the first PID namespace: PROC_PID_INIT_INO, include/linux/proc_ns.h. */
#define PIDNS_FIRST_INO 0xeffffffcul

struct mf_probes {
	struct probes_bpf *skel;
	struct follow_bpf *follow; /* NULL: children are not followed */
	struct bpf_link *usdt[2 * MF_PROBES_FILES_MAX];
	size_t usdt_count;
	int cpus;
	bool runs;
	bool outside;
	bool resets;
	struct mf_probes_notes notes;
};

/* What libbpf said last: one line of it explains a failure better than an errno. */
static char said[160];

static int listen_to_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && !said[0])
		vsnprintf(said, sizeof(said), format, args);
	said[strcspn(said, "\n")] = '\0';
	return 0;
}

void mf_probes_note(struct mf_probes_notes *notes, const char *format, ...)
{
	va_list args;

	if (notes->count == MF_PROBES_NOTES_MAX)
		return;
	va_start(args, format);
	vsnprintf(notes->text[notes->count++], sizeof(notes->text[0]), format, args);
	va_end(args);
}

const char *mf_exit_class_name(enum mf_abi_exit_class class)
{
	static const char *const names[MF_EXIT_CLASSES] = {
		"io",        "mmio",           "hlt",          "shutdown",   "interrupted",
		"hypercall", "internal_error", "fail_entry",   "irq_window", "debug",
		"rdmsr",     "wrmsr",          "system_event", "failed",     "other",
		"unknown"};

	return names[class];
}

static bool locked_down(void)
{
	char line[128] = "";
	FILE *file = fopen("/sys/kernel/security/lockdown", "re");

	if (file && !fgets(line, sizeof(line), file))
		line[0] = '\0';
	if (file)
		fclose(file);
	return strstr(line, "[confidentiality]");
}

static int say_why(int code, struct mf_error *err)
{
	if (locked_down())
		return mf_error_set(err, code,
				    "this kernel is locked down (confidentiality) and lets nobody "
				    "measure by BPF");
	switch (code) {
	case -EPERM:
	case -EACCES:
		return mf_error_set(
			err, -EPERM,
			"this user may not use BPF: run it as root, or with CAP_BPF and "
			"CAP_PERFMON");
	case -ENOSYS:
		return mf_error_set(err, code, "this kernel has no BPF");
	default:
		return mf_error_set(err, code, "the kernel does not take the BPF programs: %s (%s)",
				    strerror(-code), said[0] ? said : "no more is known");
	}
}

/* Inside a PID namespace the kernel has to look for the process by its number there. */
static void set_target(struct mf_probe_target *target, pid_t pid)
{
	struct stat st;

	target->pid = (uint32_t)pid;
	if (stat("/proc/self/ns/pid", &st) || st.st_ino == PIDNS_FIRST_INO)
		return;
	target->pidns_dev = st.st_dev;
	target->pidns_ino = st.st_ino;
}

static int load(struct mf_probes *probes, const struct mf_probes_options *options)
{
	uint32_t pid = (uint32_t)options->pid;
	uint8_t yes = 1;
	int ret;

	probes->skel = probes_bpf__open();
	if (!probes->skel)
		return -errno;
	set_target(&probes->skel->rodata->target, options->pid);
	if (options->threads_max)
		bpf_map__set_max_entries(probes->skel->maps.threads, options->threads_max);
	ret = probes_bpf__load(probes->skel);
	if (!ret && !probes->skel->rodata->target.pidns_ino)
		ret = bpf_map__update_elem(probes->skel->maps.processes, &pid, sizeof(pid), &yes,
					   sizeof(yes), BPF_ANY);
	if (ret) {
		probes_bpf__destroy(probes->skel);
		probes->skel = NULL;
	}
	return ret;
}

static bool attach(struct mf_probes *probes, struct bpf_program *program, struct bpf_link **link,
		   const char *tracepoint, const char *what)
{
	*link = bpf_program__attach_raw_tracepoint(program, tracepoint);
	if (*link)
		return true;
	mf_probes_note(&probes->notes, "%s not measured here: tracepoint %s: %s.", what, tracepoint,
		       errno == ENOENT ? "this kernel has none, or its KVM is not loaded"
				       : strerror(errno));
	*link = NULL;
	return false;
}

static int load_follow(struct mf_probes *probes, pid_t pid)
{
	struct follow_bpf *follow = follow_bpf__open();
	int ret;

	if (!follow)
		return -errno;
	set_target(&follow->rodata->target, pid);
	ret = bpf_map__reuse_fd(follow->maps.processes, bpf_map__fd(probes->skel->maps.processes));
	if (!ret)
		ret = follow_bpf__load(follow);
	if (ret) {
		follow_bpf__destroy(follow);
		return ret;
	}
	probes->follow = follow;
	return 0;
}

static void attach_follow(struct mf_probes *probes, pid_t pid)
{
	int ret = load_follow(probes, pid);

	if (!ret)
		attach(probes, probes->follow->progs.on_fork, &probes->follow->links.on_fork,
		       "sched_process_fork", "Processes that the command makes are");
	else
		mf_probes_note(&probes->notes,
			       "Processes that the command makes are not followed: %s.",
			       ret == -ESRCH ? "this kernel has no type information "
					       "(/sys/kernel/btf/vmlinux)"
					     : strerror(-ret));
}

static void attach_runs(struct mf_probes *probes)
{
	struct probes_bpf *skel = probes->skel;

	attach(probes, skel->progs.on_exit, &skel->links.on_exit, "sched_process_exit",
	       "The end of threads is");
	/* From the end to the beginning, so that nothing begins that would not be seen to end. */
	probes->runs = attach(probes, skel->progs.on_sys_exit, &skel->links.on_sys_exit, "sys_exit",
			      "User exits are");
	attach(probes, skel->progs.on_userspace_exit, &skel->links.on_userspace_exit,
	       "kvm_userspace_exit", "The reasons of user exits are");
	probes->outside = attach(probes, skel->progs.on_kvm_fpu, &skel->links.on_kvm_fpu, "kvm_fpu",
				 "The part of an exit outside the guest is");
	probes->runs =
		probes->runs && attach(probes, skel->progs.on_sys_enter, &skel->links.on_sys_enter,
				       "sys_enter", "User exits are");
}

/* Both probes of one file, or none. */
static int attach_file(struct mf_probes *probes, pid_t pid, const char *path)
{
	struct probes_bpf *skel = probes->skel;
	struct bpf_link *done;
	struct bpf_link *begin;
	int code;

	done = bpf_program__attach_usdt(skel->progs.on_reset_done, pid, path, "mayfly",
					"reset__done", NULL);
	if (!done)
		return -errno;
	begin = bpf_program__attach_usdt(skel->progs.on_reset_begin, pid, path, "mayfly",
					 "reset__begin", NULL);
	if (!begin) {
		code = -errno;
		bpf_link__destroy(done);
		return code;
	}
	probes->usdt[probes->usdt_count++] = done;
	probes->usdt[probes->usdt_count++] = begin;
	return 0;
}

static void attach_resets(struct mf_probes *probes, const struct mf_probes_options *options)
{
	/* Whoever maps the file while children are followed; the programs look who it is. */
	pid_t pid = options->follow ? -1 : options->pid;
	int why = -ENOENT;
	size_t i;

	for (i = 0; i < options->file_count && i < MF_PROBES_FILES_MAX; i++) {
		int ret = attach_file(probes, pid, options->files[i]);

		if (!ret)
			probes->resets = true;
		else if (ret != -ENOENT)
			why = ret;
	}
	if (probes->resets)
		return;
	if (why == -ENOENT)
		mf_probes_note(&probes->notes,
			       "Resets are not measured here: the program has no probes of Mayfly "
			       "(it is not an engine of this version).");
	else
		mf_probes_note(&probes->notes,
			       "Resets are not measured here: the kernel takes no probe in the "
			       "program: %s.",
			       strerror(-why));
}

int mf_probes_open(struct mf_probes **out, const struct mf_probes_options *options,
		   struct mf_error *err)
{
	struct mf_probes *probes = calloc(1, sizeof(*probes));
	int ret;

	if (!probes)
		return mf_error_set(err, -ENOMEM, "not enough memory to measure");
	libbpf_set_print(listen_to_libbpf);
	said[0] = '\0';
	ret = load(probes, options);
	if (ret) {
		free(probes);
		return say_why(ret, err);
	}
	probes->cpus = libbpf_num_possible_cpus();
	attach_resets(probes, options);
	attach_runs(probes);
	if (options->follow)
		attach_follow(probes, options->pid);
	*out = probes;
	return 0;
}

/* Per-CPU values are padded to eight bytes each: these have that size already. */
static int read_hist(struct mf_probes *probes, uint32_t number, struct mf_hist *values,
		     struct mf_hist *to)
{
	int cpu;
	int ret = bpf_map_lookup_elem(bpf_map__fd(probes->skel->maps.hists), &number, values);

	memset(to, 0, sizeof(*to));
	for (cpu = 0; !ret && cpu < probes->cpus; cpu++)
		mf_hist_add(to, &values[cpu]);
	return ret;
}

static uint64_t missed_by(const struct bpf_object *object)
{
	struct bpf_program *program;
	uint64_t missed = 0;

	bpf_object__for_each_program(program, object)
	{
		struct bpf_prog_info info = {0};
		uint32_t bytes = sizeof(info);

		if (!bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &bytes))
			missed += info.recursion_misses;
	}
	return missed;
}

static struct mf_probes_lost count_lost(const struct mf_probes *probes)
{
	const struct mf_probe_tally *tally = &probes->skel->bss->tally;
	struct mf_probes_lost lost = {
		.threads = __atomic_load_n(&tally->threads_lost, __ATOMIC_RELAXED),
		.processes = __atomic_load_n(&tally->processes_lost, __ATOMIC_RELAXED),
		.missed_runs = missed_by(probes->skel->obj),
	};

	if (!probes->follow)
		return lost;
	tally = &probes->follow->bss->tally;
	lost.processes += __atomic_load_n(&tally->processes_lost, __ATOMIC_RELAXED);
	lost.missed_runs += missed_by(probes->follow->obj);
	return lost;
}

/* A probe that attached and never fired, although what it watches has happened. */
static void look_for_silence(struct mf_measured *measured)
{
	uint64_t runs = 0;
	uint64_t outside = 0;
	uint32_t i;

	for (i = 0; i < MF_EXIT_CLASSES; i++) {
		runs += measured->run[i].count;
		outside += measured->out[i].count;
	}
	if (!runs)
		return;
	if (measured->run[MF_EXIT_CLASS_UNKNOWN].count == runs)
		mf_probes_note(&measured->notes,
			       "The reasons of user exits are not measured here: tracepoint "
			       "kvm_userspace_exit never fired, although KVM_RUN returned %llu "
			       "times.",
			       (unsigned long long)runs);
	if (measured->outside && !outside) {
		measured->outside = false;
		mf_probes_note(&measured->notes,
			       "The part of an exit outside the guest is not measured here: "
			       "tracepoint kvm_fpu never fired, although KVM_RUN returned %llu "
			       "times.",
			       (unsigned long long)runs);
	}
}

static int read_hists(struct mf_probes *probes, struct mf_measured *measured)
{
	struct mf_hist *values = calloc((size_t)probes->cpus, sizeof(*values));
	int ret = values ? 0 : -ENOMEM;
	uint32_t i;

	for (i = 0; !ret && i < MF_EXIT_CLASSES; i++) {
		ret = read_hist(probes, MF_HIST_RUN + i, values, &measured->run[i]);
		if (!ret)
			ret = read_hist(probes, MF_HIST_OUTSIDE + i, values, &measured->out[i]);
	}
	if (!ret)
		ret = read_hist(probes, MF_HIST_RESET, values, &measured->reset);
	free(values);
	return ret;
}

int mf_probes_read(struct mf_probes *probes, struct mf_measured *measured)
{
	const struct mf_probe_tally *tally = &probes->skel->bss->tally;
	int ret = read_hists(probes, measured);

	if (ret)
		return ret;
	measured->runs = probes->runs;
	measured->outside = probes->runs && probes->outside;
	measured->resets = probes->resets;
	measured->notes = probes->notes;
	measured->pages_copied = __atomic_load_n(&tally->pages_copied, __ATOMIC_RELAXED);
	measured->resets_failed = __atomic_load_n(&tally->resets_failed, __ATOMIC_RELAXED);
	measured->lost = count_lost(probes);
	look_for_silence(measured);
	return 0;
}

void mf_probes_close(struct mf_probes *probes)
{
	if (!probes)
		return;
	while (probes->usdt_count)
		bpf_link__destroy(probes->usdt[--probes->usdt_count]);
	follow_bpf__destroy(probes->follow);
	probes_bpf__destroy(probes->skel);
	free(probes);
}
