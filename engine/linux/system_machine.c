/* SPDX-License-Identifier: MIT */
/*
 * What /proc and /sys tell of the machine: the VM's, which has one processor and the memory that
 * it was given. Layouts: proc(5), Documentation/filesystems/proc.rst.
 */
#include "engine/linux/system.h"

#include <cpuid.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <time.h>

#include "engine/image/guest.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/identity.h"

#define NUMBER(name, text)                                                          \
	void mf_text_##name(struct mf_process *process, FILE *out, uint32_t number) \
	{                                                                           \
		fputs(text "\n", out);                                              \
	}

NUMBER(zero, "0")
NUMBER(two, "2")
NUMBER(cpu_list, "0")
NUMBER(pid_max, "4194304")
NUMBER(threads_max, "1024")
NUMBER(entropy, "256")
NUMBER(poolsize, "256")
NUMBER(cap_last, "40")
NUMBER(ngroups, "64") /* MF_GROUPS */
NUMBER(core_pattern, "core")
NUMBER(map_count, "16384")
NUMBER(mmap_min, "65536")
NUMBER(ratio, "50")
NUMBER(somaxconn, "4096")
NUMBER(file_max, "9223372036854775807")
NUMBER(nr_open, "1048576")
NUMBER(pipe_max, "1048576")
NUMBER(huge_never, "always madvise [never]")
NUMBER(huge_bytes, "2097152")
NUMBER(clocksource, "tsc")

void mf_text_empty(struct mf_process *process, FILE *out, uint32_t number)
{
}

static unsigned long kib(uint64_t pages)
{
	return (unsigned long)(pages * (MF_PAGE / 1024));
}

void mf_text_meminfo(struct mf_process *process, FILE *out, uint32_t number)
{
	const struct mf_arena *arena = mf_mem_arena(&process->vm.mem);
	uint64_t left = arena->frames_limit - arena->frames_used;

	fprintf(out, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\n", kib(arena->frames_limit),
		kib(left));
	fprintf(out, "MemAvailable:   %8lu kB\nBuffers:        %8u kB\n", kib(left), 0);
	fprintf(out, "Cached:         %8u kB\nSwapCached:     %8u kB\n", 0, 0);
	fprintf(out, "Active:         %8lu kB\nInactive:       %8u kB\n", kib(arena->frames_used),
		0);
	fprintf(out, "SwapTotal:      %8u kB\nSwapFree:       %8u kB\n", 0, 0);
	fprintf(out, "Dirty:          %8u kB\nWriteback:      %8u kB\n", 0, 0);
	fprintf(out, "AnonPages:      %8lu kB\nMapped:         %8u kB\n", kib(arena->frames_used),
		0);
	fprintf(out, "Shmem:          %8u kB\nSlab:           %8u kB\n", 0, 0);
	fprintf(out, "CommitLimit:    %8lu kB\nCommitted_AS:   %8lu kB\n", kib(arena->frames_limit),
		kib(arena->frames_used));
	fprintf(out, "HugePages_Total: %7u\nHugePages_Free:  %7u\n", 0, 0);
	fprintf(out, "HugePages_Rsvd:  %7u\nHugePages_Surp:  %7u\n", 0, 0);
	fprintf(out, "Hugepagesize:   %8u kB\n", 2048);
}

/*
 * A register of a CPUID leaf as guests see it: 0 to 3 are EAX to EDX. Software KVM does not trap
 * the instruction: its guests see the host's own.
 */
static uint32_t cpuid(const struct mf_process *process, uint32_t leaf, uint32_t sub, int which)
{
	const struct kvm_cpuid2 *all = process->vm.kvm.kvm->cpuid;
	uint32_t host[4] = {0};
	uint32_t i;

	if (process->vm.kvm.kvm->traits.family == MF_FAMILY_SOFTWARE) {
		__get_cpuid_count(leaf, sub, &host[0], &host[1], &host[2], &host[3]);
		return host[which];
	}

	for (i = 0; i < all->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &all->entries[i];
		const uint32_t values[4] = {entry->eax, entry->ebx, entry->ecx, entry->edx};

		if (entry->function == leaf && entry->index == sub)
			return values[which];
	}
	return 0;
}

/* A flag's name in /proc/cpuinfo and where CPUID has it (arch/x86/include/asm/cpufeatures.h). */
struct flag {
	const char *name;
	uint32_t leaf;
	uint8_t which;
	uint8_t bit;
};

static const struct flag flags[] = {
	{"fpu", 1, 3, 0},
	{"tsc", 1, 3, 4},
	{"cx8", 1, 3, 8},
	{"cmov", 1, 3, 15},
	{"clflush", 1, 3, 19},
	{"mmx", 1, 3, 23},
	{"fxsr", 1, 3, 24},
	{"sse", 1, 3, 25},
	{"sse2", 1, 3, 26},
	{"ht", 1, 3, 28},
	{"syscall", 0x80000001, 3, 11},
	{"nx", 0x80000001, 3, 20},
	{"rdtscp", 0x80000001, 3, 27},
	{"lm", 0x80000001, 3, 29},
	{"pni", 1, 2, 0},
	{"pclmulqdq", 1, 2, 1},
	{"ssse3", 1, 2, 9},
	{"fma", 1, 2, 12},
	{"cx16", 1, 2, 13},
	{"sse4_1", 1, 2, 19},
	{"sse4_2", 1, 2, 20},
	{"movbe", 1, 2, 22},
	{"popcnt", 1, 2, 23},
	{"aes", 1, 2, 25},
	{"xsave", 1, 2, 26},
	{"avx", 1, 2, 28},
	{"f16c", 1, 2, 29},
	{"rdrand", 1, 2, 30},
	{"hypervisor", 1, 2, 31},
	{"lahf_lm", 0x80000001, 2, 0},
	{"abm", 0x80000001, 2, 5},
	{"sse4a", 0x80000001, 2, 6},
	{"fsgsbase", 7, 1, 0},
	{"bmi1", 7, 1, 3},
	{"avx2", 7, 1, 5},
	{"bmi2", 7, 1, 8},
	{"erms", 7, 1, 9},
	{"avx512f", 7, 1, 16},
	{"avx512dq", 7, 1, 17},
	{"rdseed", 7, 1, 18},
	{"adx", 7, 1, 19},
	{"avx512ifma", 7, 1, 21},
	{"clflushopt", 7, 1, 23},
	{"clwb", 7, 1, 24},
	{"avx512cd", 7, 1, 28},
	{"sha_ni", 7, 1, 29},
	{"avx512bw", 7, 1, 30},
	{"avx512vl", 7, 1, 31},
	{"avx512vbmi", 7, 2, 1},
	{"avx512_vbmi2", 7, 2, 6},
	{"gfni", 7, 2, 8},
	{"vaes", 7, 2, 9},
	{"vpclmulqdq", 7, 2, 10},
	{"avx512_vnni", 7, 2, 11},
	{"avx512_bitalg", 7, 2, 12},
	{"avx512_vpopcntdq", 7, 2, 14},
	{"fsrm", 7, 3, 4},
};

static void print_model(const struct mf_process *process, FILE *out)
{
	uint32_t words[12];
	uint32_t i;

	for (i = 0; i < 12; i++)
		words[i] = cpuid(process, 0x80000002u + i / 4, 0, (int)(i % 4));
	fprintf(out, "model name\t: %.48s\n", (const char *)words);
}

void mf_text_cpuinfo(struct mf_process *process, FILE *out, uint32_t number)
{
	uint32_t id = cpuid(process, 1, 0, 0);
	uint32_t family = id >> 8 & 15, model = id >> 4 & 15;
	uint32_t vendor[3] = {cpuid(process, 0, 0, 1), cpuid(process, 0, 0, 3),
			      cpuid(process, 0, 0, 2)};
	uint64_t khz = process->vm.kvm.kvm->traits.tsc_khz;
	size_t i;

	if (family == 6 || family == 15)
		model += (id >> 16 & 15) << 4;
	if (family == 15)
		family += id >> 20 & 255;
	fprintf(out, "processor\t: 0\nvendor_id\t: %.12s\ncpu family\t: %u\nmodel\t\t: %u\n",
		(const char *)vendor, family, model);
	print_model(process, out);
	fprintf(out, "stepping\t: %u\ncpu MHz\t\t: %llu.%03llu\ncache size\t: 0 KB\n", id & 15,
		(unsigned long long)khz / 1000, (unsigned long long)khz % 1000);
	fputs("physical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\napicid\t\t: 0\n"
	      "initial apicid\t: 0\nfpu\t\t: yes\nfpu_exception\t: yes\n",
	      out);
	fprintf(out, "cpuid level\t: %u\nwp\t\t: yes\nflags\t\t:", cpuid(process, 0, 0, 0));
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (cpuid(process, flags[i].leaf, 0, flags[i].which) >> flags[i].bit & 1)
			fprintf(out, " %s", flags[i].name);
	}
	fprintf(out,
		"\nbugs\t\t:\nbogomips\t: %llu.%02llu\nclflush size\t: 64\ncache_alignment\t: 64\n"
		"address sizes\t: 48 bits physical, 48 bits virtual\npower management:\n\n",
		(unsigned long long)khz / 500, (unsigned long long)khz / 5 % 100);
}

/* Time since the host's start, which the clocks tell, too; what was not the program's is idle. */
static void up_and_cpu(const struct mf_process *process, uint64_t *up_ns, uint64_t *cpu_ns)
{
	*up_ns = mf_vm_clock_ns(&process->vm, CLOCK_BOOTTIME);
	*cpu_ns = mf_cpu_ns(process);
}

void mf_text_uptime(struct mf_process *process, FILE *out, uint32_t number)
{
	uint64_t up, cpu;

	up_and_cpu(process, &up, &cpu);
	fprintf(out, "%.2f %.2f\n", (double)(up / 10000000) / 100,
		(double)((up - cpu) / 10000000) / 100);
}

void mf_text_cpu_stat(struct mf_process *process, FILE *out, uint32_t number)
{
	struct timespec now;
	uint64_t up, cpu;
	unsigned long user, idle;

	up_and_cpu(process, &up, &cpu);
	clock_gettime(CLOCK_REALTIME, &now);
	user = (unsigned long)(cpu / 10000000);
	idle = (unsigned long)((up - cpu) / 10000000);
	fprintf(out, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\ncpu0 %lu 0 0 %lu 0 0 0 0 0 0\n", user, idle,
		user, idle);
	fprintf(out, "intr 0\nctxt 0\nbtime %lld\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
		(long long)now.tv_sec - (long long)(up / 1000000000ull));
}

void mf_text_loadavg(struct mf_process *process, FILE *out, uint32_t number)
{
	fprintf(out, "0.00 0.00 0.00 1/%u %u\n", mf_linux(process)->thread_count, MF_GUEST_PID);
}

void mf_text_version(struct mf_process *process, FILE *out, uint32_t number)
{
	struct utsname name;

	mf_identity_name(&name);
	fprintf(out, "%s version %s (mayfly) %s\n", name.sysname, name.release, name.version);
}

/* One of the strings of uname. */
static void print_name(FILE *out, size_t offset)
{
	struct utsname name;

	mf_identity_name(&name);
	fprintf(out, "%s\n", (const char *)&name + offset);
}

void mf_text_osrelease(struct mf_process *process, FILE *out, uint32_t number)
{
	print_name(out, offsetof(struct utsname, release));
}

void mf_text_ostype(struct mf_process *process, FILE *out, uint32_t number)
{
	print_name(out, offsetof(struct utsname, sysname));
}

void mf_text_kernel_version(struct mf_process *process, FILE *out, uint32_t number)
{
	print_name(out, offsetof(struct utsname, version));
}

void mf_text_hostname(struct mf_process *process, FILE *out, uint32_t number)
{
	print_name(out, offsetof(struct utsname, nodename));
}

void mf_text_domainname(struct mf_process *process, FILE *out, uint32_t number)
{
	print_name(out, offsetof(struct utsname, domainname));
}

void mf_text_filesystems(struct mf_process *process, FILE *out, uint32_t number)
{
	fputs("nodev\tproc\nnodev\tsysfs\nnodev\tdevtmpfs\n\text4\n", out);
}

/* RFC 9562, version 4. */
void mf_text_uuid(struct mf_process *process, FILE *out, uint32_t number)
{
	uint8_t id[16] = {0};
	size_t i;

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return;
	id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
	id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
	for (i = 0; i < sizeof(id); i++)
		fprintf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", id[i]);
	fputc('\n', out);
}
