/* SPDX-License-Identifier: MIT */
/*
 * What /proc/self tells of the program. Layouts: proc(5), Documentation/filesystems/proc.rst; what
 * a VM does not know is zero.
 */
#include "engine/linux/filemap.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/memory.h"
#include "engine/linux/signal.h"
#include "engine/linux/space.h"
#include "engine/linux/system.h"
#include "engine/linux/vma.h"

#include <elf.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/image/guest.h"

#define TICKS_NS (1000000000ull / 100)

#define NAME_COLUMN 73
#define PHDRS_MAX   128u

static uint64_t aux_value(const struct mf_process *process, uint64_t type)
{
	const uint64_t *auxv = mf_linux(process)->auxv;
	size_t i;

	for (i = 0; i < MF_AUX_WORDS - 2 && auxv[i]; i += 2)
		if (auxv[i] == type)
			return auxv[i + 1];
	return 0;
}

/* Guest memory as it is now; what is not there ends it. */
static void print_memory(struct mf_process *process, FILE *out, uint64_t start, uint64_t end)
{
	char buffer[1024];

	while (start < end) {
		size_t bytes = end - start < sizeof(buffer) ? end - start : sizeof(buffer);

		if (mf_guest_read(process, start, buffer, bytes))
			return;
		fwrite(buffer, 1, bytes, out);
		start += bytes;
	}
}

void mf_text_cmdline(struct mf_process *process, FILE *out, uint32_t number)
{
	print_memory(process, out, mf_linux(process)->arg_start, mf_linux(process)->arg_end);
}

void mf_text_environ(struct mf_process *process, FILE *out, uint32_t number)
{
	print_memory(process, out, mf_linux(process)->env_start, mf_linux(process)->env_end);
}

void mf_text_auxv(struct mf_process *process, FILE *out, uint32_t number)
{
	const uint64_t *auxv = mf_linux(process)->auxv;
	size_t words = 0;

	while (words < MF_AUX_WORDS - 2 && auxv[words])
		words += 2;
	fwrite(auxv, sizeof(*auxv), words + 2, out);
}

static const struct mf_thread *thread_of(const struct mf_process *process, uint32_t tid)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->threads_high && i < MF_THREADS; i++) {
		if (lx->threads[i].state != MF_THREAD_FREE && lx->threads[i].tid == tid)
			return &lx->threads[i];
	}
	return mf_thread(process);
}

static void comm_of(const struct mf_process *process, uint32_t tid, char comm[16])
{
	snprintf(comm, 16, "%.15s", thread_of(process, tid)->name);
}

void mf_text_comm(struct mf_process *process, FILE *out, uint32_t number)
{
	char comm[16];

	comm_of(process, number, comm);
	fprintf(out, "%s\n", comm);
}

/* A line of /proc/self/maps; the name stands in its column (fs/proc/task_mmu.c). */
static void print_range(FILE *out, const struct mf_vma *vma, const struct stat *st,
			const char *name)
{
	int used =
		fprintf(out, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
			(unsigned long long)vma->start, (unsigned long long)vma->end,
			vma->prot & PROT_READ ? 'r' : '-', vma->prot & PROT_WRITE ? 'w' : '-',
			vma->prot & PROT_EXEC ? 'x' : '-',
			vma->flags & MF_VMA_IS_SHARED ? 's' : 'p', (unsigned long long)vma->offset,
			major(st->st_dev), minor(st->st_dev), (unsigned long long)st->st_ino);

	fprintf(out, "%*s%s\n", *name && used < NAME_COLUMN ? NAME_COLUMN - used : 0, "", name);
}

/* The program's interpreter as its headers name it; false: it has none, or has changed them. */
static bool interpreter(struct mf_process *process, char name[PATH_MAX])
{
	uint64_t table = aux_value(process, AT_PHDR), count = aux_value(process, AT_PHNUM);
	Elf64_Phdr header;
	uint64_t base = 0;
	uint64_t i;

	for (i = 0; i < count && i < PHDRS_MAX; i++) {
		if (mf_guest_read(process, table + i * sizeof(header), &header, sizeof(header)))
			return false;
		if (header.p_type == PT_PHDR)
			base = table - header.p_vaddr;
		if (header.p_type == PT_INTERP)
			return mf_guest_string(process, base + header.p_vaddr, name, PATH_MAX) > 0;
	}
	return false;
}

static void print_vma(struct mf_process *process, FILE *out, const struct mf_vma *vma)
{
	const struct mf_fd *entry = mf_filemap_fd(process, vma);
	uint64_t base = aux_value(process, AT_BASE);
	char name[PATH_MAX] = "";
	struct stat st = {0};

	if (entry && !fstat(entry->host, &st))
		mf_system_file_name(process, entry, name);
	else if (vma->kind == MF_VMA_STACK)
		strcpy(name, "[stack]");
	else if (vma->kind == MF_VMA_HEAP)
		strcpy(name, "[heap]");
	else if (mf_vma_is_program(vma) &&
		 !(base && vma->start >= base && interpreter(process, name)))
		strcpy(name, mf_linux(process)->exe);
	print_range(out, vma, &st, name);
}

void mf_text_maps(struct mf_process *process, FILE *out, uint32_t number)
{
	const struct mf_vma *vma;

	for (vma = mf_vma_from(process, 0); vma; vma = mf_vma_from(process, vma->end))
		print_vma(process, out, vma);
	print_range(out,
		    &(struct mf_vma){.start = MF_VA_VDSO,
				     .end = MF_VA_VDSO + MF_VDSO_PAGES * MF_PAGE,
				     .prot = PROT_READ | PROT_EXEC},
		    &(struct stat){0}, "[vdso]");
}

void mf_text_statm(struct mf_process *process, FILE *out, uint32_t number)
{
	struct mf_memory_sizes sizes = mf_memory_sizes(process);

	fprintf(out, "%llu %llu 0 %llu 0 %llu 0\n", (unsigned long long)sizes.total,
		(unsigned long long)sizes.resident, (unsigned long long)sizes.text,
		(unsigned long long)(sizes.data + sizes.stack));
}

/* Signals that are ignored, or have a handler. */
static uint64_t dispositions(const struct mf_process *process, bool ignored)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t set = 0;
	uint32_t i;

	for (i = 1; i < MF_SIGNALS; i++) {
		uint64_t handler = lx->sigactions[i].handler;

		if (ignored ? handler == 1 : handler > 1)
			set |= 1ull << (i - 1);
	}
	return set;
}

static char state_of(const struct mf_process *process, const struct mf_thread *thread)
{
	return thread == mf_thread(process) || thread->state == MF_THREAD_RUNNABLE ? 'R' : 'S';
}

void mf_text_stat(struct mf_process *process, FILE *out, uint32_t number)
{
	const struct mf_linux *lx = mf_linux(process);
	const struct mf_thread *thread = thread_of(process, number);
	struct mf_memory_sizes sizes = mf_memory_sizes(process);
	char comm[16];

	comm_of(process, thread->tid, comm);
	fprintf(out, "%u (%s) %c 1 %u %u 0 -1 4194304 ", thread->tid, comm,
		state_of(process, thread), MF_GUEST_PID, MF_GUEST_PID);
	fprintf(out, "0 0 0 0 %llu 0 0 0 20 0 %u 0 0 ",
		(unsigned long long)(mf_cpu_ns(process) / TICKS_NS), lx->thread_count);
	fprintf(out, "%llu %llu 18446744073709551615 0 0 %llu 0 0 ",
		(unsigned long long)(sizes.total * MF_PAGE), (unsigned long long)sizes.resident,
		(unsigned long long)(lx->arg_start));
	fprintf(out, "%llu %llu %llu %llu ", (unsigned long long)(lx->sigpending & INT32_MAX),
		(unsigned long long)(thread->sigmask & INT32_MAX),
		(unsigned long long)(dispositions(process, true) & INT32_MAX),
		(unsigned long long)(dispositions(process, false) & INT32_MAX));
	fprintf(out, "0 0 0 17 0 0 0 0 0 0 0 0 %llu %llu %llu %llu %llu 0\n",
		(unsigned long long)lx->brk_start, (unsigned long long)lx->arg_start,
		(unsigned long long)lx->arg_end, (unsigned long long)lx->env_start,
		(unsigned long long)lx->env_end);
}

static void print_size(FILE *out, const char *name, uint64_t pages)
{
	fprintf(out, "%s:\t%8llu kB\n", name, (unsigned long long)(pages * (MF_PAGE / 1024)));
}

static void print_sizes(const struct mf_process *process, FILE *out)
{
	struct mf_memory_sizes sizes = mf_memory_sizes(process);

	print_size(out, "VmPeak", sizes.total);
	print_size(out, "VmSize", sizes.total);
	print_size(out, "VmLck", 0);
	print_size(out, "VmPin", 0);
	print_size(out, "VmHWM", sizes.resident);
	print_size(out, "VmRSS", sizes.resident);
	print_size(out, "RssAnon", sizes.resident);
	print_size(out, "RssFile", 0);
	print_size(out, "RssShmem", 0);
	print_size(out, "VmData", sizes.data);
	print_size(out, "VmStk", sizes.stack);
	print_size(out, "VmExe", sizes.text);
	print_size(out, "VmLib", 0);
	print_size(out, "VmPTE", 0);
	print_size(out, "VmSwap", 0);
}

static void print_set(FILE *out, const char *name, uint64_t set)
{
	fprintf(out, "%s:\t%016llx\n", name, (unsigned long long)set);
}

static void print_ids(FILE *out, const struct mf_ids *ids)
{
	uint32_t i;

	fprintf(out, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n", ids->uid[MF_ID_REAL],
		ids->uid[MF_ID_EFFECTIVE], ids->uid[MF_ID_SAVED], ids->uid[MF_ID_FILES],
		ids->gid[MF_ID_REAL], ids->gid[MF_ID_EFFECTIVE], ids->gid[MF_ID_SAVED],
		ids->gid[MF_ID_FILES]);
	fprintf(out, "FDSize:\t%u\nGroups:\t", 64u);
	for (i = 0; i < ids->group_count; i++)
		fprintf(out, "%u ", ids->groups[i]);
	fputs(ids->group_count ? "\n" : " \n", out);
}

void mf_text_status(struct mf_process *process, FILE *out, uint32_t number)
{
	const struct mf_linux *lx = mf_linux(process);
	const struct mf_thread *thread = thread_of(process, number);
	char state = state_of(process, thread);
	const struct mf_ids *ids = &lx->ids;
	char comm[16];

	comm_of(process, thread->tid, comm);
	fprintf(out, "Name:\t%s\nUmask:\t%04o\nState:\t%c (%s)\nTgid:\t%u\nNgid:\t0\n", comm,
		lx->umask, state, state == 'R' ? "running" : "sleeping", MF_GUEST_PID);
	fprintf(out, "Pid:\t%u\nPPid:\t1\nTracerPid:\t0\n", thread->tid);
	print_ids(out, &lx->ids);
	fprintf(out, "NStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\n", MF_GUEST_PID,
		thread->tid, MF_GUEST_PID, MF_GUEST_PID);
	print_sizes(process, out);
	fprintf(out, "CoreDumping:\t0\nTHP_enabled:\t0\nThreads:\t%u\nSigQ:\t0/1024\n",
		lx->thread_count);
	print_set(out, "SigPnd", thread->sigpending);
	print_set(out, "ShdPnd", lx->sigpending);
	print_set(out, "SigBlk", thread->sigmask);
	print_set(out, "SigIgn", dispositions(process, true));
	print_set(out, "SigCgt", dispositions(process, false));
	print_set(out, "CapInh", 0);
	print_set(out, "CapPrm", ids->permitted);
	print_set(out, "CapEff", ids->effective);
	print_set(out, "CapBnd", 0);
	print_set(out, "CapAmb", 0);
	fputs("NoNewPrivs:\t1\nSeccomp:\t0\nSeccomp_filters:\t0\nCpus_allowed:\t1\n"
	      "Cpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
	      "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n",
	      out);
}

static void print_limit(FILE *out, uint64_t value)
{
	if (value == RLIM_INFINITY)
		fprintf(out, "%-20s ", "unlimited");
	else
		fprintf(out, "%-20llu ", (unsigned long long)value);
}

void mf_text_limits(struct mf_process *process, FILE *out, uint32_t number)
{
	static const struct {
		const char *name;
		const char *unit;
		int resource;
	} limits[] = {
		{"Max cpu time", "seconds", RLIMIT_CPU},
		{"Max file size", "bytes", RLIMIT_FSIZE},
		{"Max data size", "bytes", RLIMIT_DATA},
		{"Max stack size", "bytes", RLIMIT_STACK},
		{"Max core file size", "bytes", RLIMIT_CORE},
		{"Max resident set", "bytes", RLIMIT_RSS},
		{"Max processes", "processes", RLIMIT_NPROC},
		{"Max open files", "files", RLIMIT_NOFILE},
		{"Max locked memory", "bytes", RLIMIT_MEMLOCK},
		{"Max address space", "bytes", RLIMIT_AS},
		{"Max file locks", "locks", RLIMIT_LOCKS},
		{"Max pending signals", "signals", RLIMIT_SIGPENDING},
		{"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE},
		{"Max nice priority", "", RLIMIT_NICE},
		{"Max realtime priority", "", RLIMIT_RTPRIO},
		{"Max realtime timeout", "us", RLIMIT_RTTIME},
	};
	size_t i;

	fprintf(out, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit limit;

		mf_limit_get(process, (uint64_t)limits[i].resource, &limit);
		fprintf(out, "%-25s ", limits[i].name);
		print_limit(out, limit.rlim_cur);
		print_limit(out, limit.rlim_max);
		fprintf(out, "%-10s\n", limits[i].unit);
	}
}

void mf_text_mounts(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("mayfly / mayfly rw,relatime 0 0\nproc /proc proc rw,relatime 0 0\n"
	      "sysfs /sys sysfs ro,relatime 0 0\ndevtmpfs /dev devtmpfs rw,relatime 0 0\n",
	      out);
}

void mf_text_mountinfo(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("1 1 0:21 / / rw,relatime - mayfly mayfly rw\n"
	      "2 1 0:22 / /proc rw,relatime - proc proc rw\n"
	      "3 1 0:23 / /sys ro,relatime - sysfs sysfs ro\n"
	      "4 1 0:24 / /dev rw,relatime - devtmpfs devtmpfs rw\n",
	      out);
}

void mf_text_cgroup(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("0::/\n", out);
}

void mf_text_id_map(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("         0          0 4294967295\n", out);
}

void mf_text_schedstat(struct mf_process *process, FILE *out, uint32_t number)
{
	fprintf(out, "%llu 0 0\n", (unsigned long long)mf_cpu_ns(process));
}

void mf_text_io(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("rchar: 0\nwchar: 0\nsyscr: 0\nsyscw: 0\nread_bytes: 0\nwrite_bytes: 0\n"
	      "cancelled_write_bytes: 0\n",
	      out);
}

void mf_text_loginuid(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("4294967295", out);
}

void mf_text_wchan(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("0", out);
}

void mf_text_personality(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("00000000\n", out);
}

void mf_text_coredump_filter(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("00000033\n", out);
}

void mf_text_fdinfo(struct mf_process *process, FILE *out, uint32_t number)
{
	const struct mf_fd *entry = mf_fd_get(process, number);

	if (!entry)
		return;
	fprintf(out, "pos:\t%llu\nflags:\t0%o\nmnt_id:\t1\nino:\t0\n",
		(unsigned long long)(mf_fd_ops(entry)->traits & MF_FD_SEEKS ? entry->offset : 0),
		entry->flags | (mf_fd_cloexec(process, number) ? 02000000u : 0u));
}
