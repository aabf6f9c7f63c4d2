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
#include "sched.skel.h"

/* Number of the first PID namespace: PROC_PID_INIT_INO, include/linux/proc_ns.h. */
#define PIDNS_FIRST_INO 0xeffffffcul

/* The engine's own probes, in pairs; the end is attached first. */
static const struct {
	const char *done;
	const char *begin;
	const char *on_done;
	const char *on_begin;
} pairs[] = {
	{"reset__done", "reset__begin", "on_reset_done", "on_reset_begin"},
	{"request__done", "request__begin", "on_request_done", "on_request_begin"},
	{"fork__done", "fork__begin", "on_fork_done", "on_fork_begin"},
	{"call__done", "call__begin", "on_call_done", "on_call_begin"},
	{"commit__done", "commit__begin", "on_commit_done", "on_commit_begin"},
	{"storage__done", "storage__begin", "on_storage_done", "on_storage_begin"},
};
#define PAIRS (sizeof(pairs) / sizeof(pairs[0]))

struct mf_probes {
	struct probes_bpf *skel;
	struct follow_bpf *follow; /* NULL: children are not followed */
	struct sched_bpf *sched;   /* NULL: waits for a CPU are not measured */
	struct bpf_link *usdt[2 * PAIRS * MF_PROBES_FILES_MAX];
	size_t usdt_count;
	int cpus;
	bool runs;
	bool outside;
	bool entries;
	bool resets;
	struct mf_probes_notes notes;
	struct mf_probes_series *series;
	struct mf_hist *values; /* of one histogram, a CPU each */
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

const char *mf_probe_kind_name(enum mf_probe_kind kind)
{
	static const char *const names[MF_PROBE_KINDS] = {
		"run",    "outside", "before_guest", "in_guest",    "after_guest",  "user_space",
		"inside", "queued",  "wakeups",      "host_faults", "guest_faults", "guest_mapped",
		"reset",  "request", "fork",         "call",        "commit"};

	return names[kind];
}

const char *mf_probe_role_name(enum mf_probe_role role)
{
	return role == MF_PROBE_ROLE_STORAGE ? "storage" : "request";
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

static int load_sched(struct mf_probes *probes)
{
	struct sched_bpf *sched = sched_bpf__open();
	int ret;

	if (!sched)
		return -errno;
	ret = bpf_map__reuse_fd(sched->maps.threads, bpf_map__fd(probes->skel->maps.threads));
	if (!ret)
		ret = bpf_map__reuse_fd(sched->maps.hists, bpf_map__fd(probes->skel->maps.hists));
	if (!ret)
		ret = sched_bpf__load(sched);
	if (ret) {
		sched_bpf__destroy(sched);
		return ret;
	}
	probes->sched = sched;
	return 0;
}

static void attach_sched(struct mf_probes *probes)
{
	static const char what[] = "Waits for a CPU are";
	int ret = load_sched(probes);

	if (ret) {
		mf_probes_note(&probes->notes, "%s not measured here: %s.", what,
			       ret == -ESRCH ? "this kernel has no type information "
					       "(/sys/kernel/btf/vmlinux)"
					     : strerror(-ret));
		return;
	}
	attach(probes, probes->sched->progs.on_wakeup, &probes->sched->links.on_wakeup,
	       "sched_wakeup", what);
	attach(probes, probes->sched->progs.on_switch, &probes->sched->links.on_switch,
	       "sched_switch", what);
}

static void attach_counts(struct mf_probes *probes)
{
	struct probes_bpf *skel = probes->skel;

	attach(probes, skel->progs.on_fault_user, &skel->links.on_fault_user, "page_fault_user",
	       "Page faults of the process are");
	attach(probes, skel->progs.on_fault_kernel, &skel->links.on_fault_kernel,
	       "page_fault_kernel", "Page faults of the kernel for the process are");
	attach(probes, skel->progs.on_guest_fault, &skel->links.on_guest_fault, "kvm_page_fault",
	       "Page faults of the guest are");
	attach(probes, skel->progs.on_guest_mapped, &skel->links.on_guest_mapped,
	       "kvm_mmu_set_spte", "Pages mapped for the guest are");
	probes->entries = attach(probes, skel->progs.on_guest_exit, &skel->links.on_guest_exit,
				 "kvm_exit", "The time inside the guest alone is") &&
			  attach(probes, skel->progs.on_entry, &skel->links.on_entry, "kvm_entry",
				 "The time inside the guest alone is");
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

static struct bpf_link *attach_one(struct mf_probes *probes, pid_t pid, const char *path,
				   const char *program, const char *name)
{
	return bpf_program__attach_usdt(
		bpf_object__find_program_by_name(probes->skel->obj, program), pid, path, "mayfly",
		name, NULL);
}

/* Both probes of a pair, or none. */
static int attach_pair(struct mf_probes *probes, pid_t pid, const char *path, size_t pair)
{
	struct bpf_link *done;
	struct bpf_link *begin;
	int code;

	done = attach_one(probes, pid, path, pairs[pair].on_done, pairs[pair].done);
	if (!done)
		return -errno;
	begin = attach_one(probes, pid, path, pairs[pair].on_begin, pairs[pair].begin);
	if (!begin) {
		code = -errno;
		bpf_link__destroy(done);
		return code;
	}
	probes->usdt[probes->usdt_count++] = done;
	probes->usdt[probes->usdt_count++] = begin;
	return 0;
}

/* Resets are in every engine; the others in what has requests and a store. */
static int attach_file(struct mf_probes *probes, pid_t pid, const char *path)
{
	int ret = attach_pair(probes, pid, path, 0);
	size_t i;

	for (i = 1; !ret && i < PAIRS; i++) {
		int code = attach_pair(probes, pid, path, i);

		if (code && code != -ENOENT)
			mf_probes_note(&probes->notes, "%s is not measured here: %s.",
				       pairs[i].begin, strerror(-code));
	}
	return ret;
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
	probes->values = calloc((size_t)probes->cpus, sizeof(*probes->values));
	probes->series = calloc(MF_PROBE_SLOTS, sizeof(*probes->series));
	if (!probes->values || !probes->series) {
		mf_probes_close(probes);
		return mf_error_set(err, -ENOMEM, "not enough memory to measure");
	}
	attach_resets(probes, options);
	attach_counts(probes);
	attach_sched(probes);
	attach_runs(probes);
	if (options->follow)
		attach_follow(probes, options->pid);
	*out = probes;
	return 0;
}

/* Per-CPU values are padded to eight bytes each: these have that size already. */
static int read_hist(struct mf_probes *probes, uint32_t number, struct mf_hist *to)
{
	int cpu;
	int ret =
		bpf_map_lookup_elem(bpf_map__fd(probes->skel->maps.hists), &number, probes->values);

	memset(to, 0, sizeof(*to));
	for (cpu = 0; !ret && cpu < probes->cpus; cpu++)
		mf_hist_add(to, &probes->values[cpu]);
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
		.records = __atomic_load_n(&tally->records_lost, __ATOMIC_RELAXED),
		.spans = __atomic_load_n(&tally->spans_lost, __ATOMIC_RELAXED),
		.missed_runs = missed_by(probes->skel->obj),
	};

	if (probes->sched)
		lost.missed_runs += missed_by(probes->sched->obj);
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

static uint32_t parts_of(uint8_t kind)
{
	if (kind == MF_PROBE_RUN)
		return MF_PROBE_RUN_PARTS;
	return kind == MF_PROBE_QUEUED ? MF_PROBE_THREAD_PARTS : 1;
}

/* The histograms of a key, as many as have anything in them. */
static int read_block(struct mf_probes *probes, const struct mf_probe_key *key,
		      struct mf_measured *measured)
{
	uint32_t slot;
	uint32_t part;
	int ret = bpf_map_lookup_elem(bpf_map__fd(probes->skel->maps.slots), key, &slot);

	for (part = 0; !ret && part < parts_of(key->kind); part++) {
		struct mf_probes_series *series = &probes->series[measured->series_count];

		if (measured->series_count == MF_PROBE_SLOTS)
			return 0;
		series->key = *key;
		series->key.kind = (uint8_t)(key->kind + part);
		ret = read_hist(probes, slot + part, &series->hist);
		if (ret || !series->hist.count)
			continue;
		measured->series_count++;
	}
	return ret;
}

static int read_hists(struct mf_probes *probes, struct mf_measured *measured)
{
	int fd = bpf_map__fd(probes->skel->maps.slots);
	struct mf_probe_key key;
	struct mf_probe_key *last = NULL;
	int ret = 0;

	while (!ret && !bpf_map_get_next_key(fd, last, &key)) {
		ret = read_block(probes, &key, measured);
		last = &key;
	}
	return ret;
}

static bool has_kind(const struct mf_measured *measured, enum mf_probe_kind kind)
{
	size_t i;

	for (i = 0; i < measured->series_count; i++)
		if (measured->series[i].key.kind == kind)
			return true;
	return false;
}

/* What only hardware KVM tells. Said where there were exits. */
static void look_for_software(const struct mf_probes *probes, struct mf_measured *measured)
{
	if (!has_kind(measured, MF_PROBE_RUN) || !probes->entries ||
	    has_kind(measured, MF_PROBE_INSIDE))
		return;
	mf_probes_note(
		&measured->notes,
		"The time inside the guest alone is not measured here: tracepoints kvm_entry "
		"and kvm_exit never fired, as on software KVM; in_guest has what KVM answers "
		"by itself in it.");
	if (!has_kind(measured, MF_PROBE_GUEST_FAULTS))
		mf_probes_note(
			&measured->notes,
			"Page faults of the guest are not counted here: tracepoint "
			"kvm_page_fault never fired, as on software KVM; guest_mapped counts "
			"the pages that KVM mapped.");
}

int mf_probes_read(struct mf_probes *probes, struct mf_measured *measured)
{
	const struct mf_probe_tally *tally = &probes->skel->bss->tally;
	int ret;

	memset(measured, 0, sizeof(*measured));
	measured->series = probes->series;
	ret = read_hists(probes, measured);
	if (ret)
		return ret;
	mf_measured_sum(measured);
	measured->sched = probes->sched && probes->sched->links.on_switch;
	measured->runs = probes->runs;
	measured->outside = probes->runs && probes->outside;
	measured->resets = probes->resets;
	measured->notes = probes->notes;
	measured->pages_copied = __atomic_load_n(&tally->pages_copied, __ATOMIC_RELAXED);
	measured->resets_failed = __atomic_load_n(&tally->resets_failed, __ATOMIC_RELAXED);
	measured->lost = count_lost(probes);
	look_for_silence(measured);
	look_for_software(probes, measured);
	return 0;
}

void mf_probes_close(struct mf_probes *probes)
{
	if (!probes)
		return;
	while (probes->usdt_count)
		bpf_link__destroy(probes->usdt[--probes->usdt_count]);
	follow_bpf__destroy(probes->follow);
	sched_bpf__destroy(probes->sched);
	probes_bpf__destroy(probes->skel);
	free(probes->series);
	free(probes->values);
	free(probes);
}
