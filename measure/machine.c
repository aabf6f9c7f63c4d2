/* SPDX-License-Identifier: MIT */
#include "measure/machine.h"

#include "engine/kvm/kvm.h"

#include <cpuid.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* Text as it may stand in any output: printable, without quotes. */
static void clean(char *text)
{
	for (; *text; text++)
		if (!isprint((unsigned char)*text) || *text == '"' || *text == '\\')
			*text = '?';
}

static void put(char *to, size_t room, const char *text)
{
	snprintf(to, room, "%s", *text ? text : "unknown");
	clean(to);
}

static void cpu_model(char *model, size_t room)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[512];

	put(model, room, "");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n")] = '\0';
		put(model, room, value + 2);
		break;
	}
	if (file)
		fclose(file);
}

static void first_line(char *to, size_t room, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[128] = "";

	if (file) {
		if (!fgets(line, sizeof(line), file))
			line[0] = '\0';
		fclose(file);
	}
	line[strcspn(line, "\n")] = '\0';
	put(to, room, line);
}

/* CPUID 0x40000000, which hypervisors agree on, where leaf 1 says that there is one. */
static void hypervisor(char *to, size_t room)
{
	unsigned int a, b, c, d;
	char text[13] = "";

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 31))) {
		put(to, room, "none");
		return;
	}
	__cpuid(0x40000000, a, b, c, d);
	memcpy(text, &b, 4);
	memcpy(text + 4, &c, 4);
	memcpy(text + 8, &d, 4);
	put(to, room, text);
}

static void kvm_family(char *family, size_t room)
{
	struct mf_error err = {0};
	struct mf_kvm kvm;

	if (mf_kvm_open(&kvm, NULL, &err)) {
		put(family, room, "no");
		return;
	}
	put(family, room, mf_family_name(kvm.traits.family));
	mf_kvm_close(&kvm);
}

void mf_machine_look(struct mf_machine *machine)
{
	struct utsname name;

	*machine = (struct mf_machine){.load = -1};
	uname(&name);
	put(machine->kernel, sizeof(machine->kernel), name.release);
	put(machine->architecture, sizeof(machine->architecture), name.machine);
	cpu_model(machine->cpu, sizeof(machine->cpu));
	machine->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	machine->memory_gib =
		(double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30);
	kvm_family(machine->kvm, sizeof(machine->kvm));
	hypervisor(machine->virtualisation, sizeof(machine->virtualisation));
	first_line(machine->governor, sizeof(machine->governor),
		   "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
	first_line(machine->clock, sizeof(machine->clock),
		   "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	if (getloadavg(&machine->load, 1) != 1)
		machine->load = -1;
	machine->emulated =
		getenv("MAYFLY_EMULATED") || !strncmp(machine->virtualisation, "TCG", 3);
}

void mf_machine_print(FILE *file, const struct mf_machine *machine)
{
	fprintf(file,
		"%s, %ld CPUs, %.1f GiB, Linux %s, %s KVM%s, under %s, governor %s, clock %s, load "
		"%.2f",
		machine->cpu, machine->cpus, machine->memory_gib, machine->kernel, machine->kvm,
		machine->emulated ? ", emulated (times mean nothing)" : "", machine->virtualisation,
		machine->governor, machine->clock, machine->load);
}
