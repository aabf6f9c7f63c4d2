/* SPDX-License-Identifier: MIT */
#include "bench/machine.h"
#include "bench/harness.h"

#include "engine/kvm/kvm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void cpu_model(char *model, size_t room)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[512];

	snprintf(model, room, "unknown CPU");
	while (file && fgets(line, sizeof(line), file)) {
		char *value = strstr(line, ": ");

		if (strncmp(line, "model name", 10) || !value)
			continue;
		value[strcspn(value, "\n\"\\")] = '\0';
		snprintf(model, room, "%s", value + 2);
		break;
	}
	if (file)
		fclose(file);
}

static void kvm_family(char *family, size_t room)
{
	struct mf_error err = {0};
	struct mf_kvm kvm;

	if (mf_kvm_open(&kvm, NULL, &err)) {
		snprintf(family, room, "no");
		return;
	}
	snprintf(family, room, "%s", mf_family_name(kvm.traits.family));
	mf_kvm_close(&kvm);
}

/* What else runs here disturbs the figures: one number tells. */
static double load(void)
{
	double average = 0;

	return getloadavg(&average, 1) == 1 ? average : -1;
}

void bench_machine(FILE *json)
{
	const char *emulated = getenv("MAYFLY_EMULATED");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	double gib = (double)sysconf(_SC_PHYS_PAGES) * 4096 / (1 << 30);
	struct utsname name;
	char family[32];
	char model[128];

	uname(&name);
	cpu_model(model, sizeof(model));
	kvm_family(family, sizeof(family));
	printf("machine: %s, %ld CPUs, %.1f GiB, Linux %s, %s KVM%s, load %.2f, pinned to CPU %d\n",
	       model, cpus, gib, name.release, family,
	       emulated ? ", emulated (times mean nothing)" : "", load(), bench.last_cpu);
	if (json)
		fprintf(json,
			"{\"machine\":{\"cpu\":\"%s\",\"cpus\":%ld,\"memory_gib\":%.1f,\"kernel\":"
			"\"%s\",\"kvm\":\"%s\","
			"\"emulated\":%s,\"scaled_down\":%s,\"load\":%.2f}}\n",
			model, cpus, gib, name.release, family, emulated ? "true" : "false",
			bench.quick ? "true" : "false", load());
}
