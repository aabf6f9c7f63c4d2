/* SPDX-License-Identifier: MIT */
/* mayfly doctor: what this host can do, and how to mend what it cannot. */
#include "cli/options.h"
#include "cli/verbs.h"
#include "measure/record.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* How facts are printed. */
struct report {
	bool json;
	bool first;
};

static void __attribute__((format(printf, 4, 5)))
tell(struct report *report, const char *name, const char *mend, const char *format, ...)
{
	char value[200];
	va_list args;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	if (!report->json) {
		printf("%-27s %s%s%s%s\n", name, value, mend ? " (mend: " : "", mend ? mend : "",
		       mend ? ")" : "");
		return;
	}
	printf(report->first ? "[" : ",\n ");
	report->first = false;
	printf("{\"name\": ");
	mf_json_text(stdout, name);
	printf(", \"value\": ");
	mf_json_text(stdout, value);
	if (mend) {
		printf(", \"mend\": ");
		mf_json_text(stdout, mend);
	}
	putchar('}');
}

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

/* ---- KVM ---- */

static const char *mend_kvm(void)
{
	if (access("/dev/kvm", F_OK))
		return "load a KVM module (modprobe kvm_intel, kvm_amd), or let the container have "
		       "/dev/kvm";
	if (access("/dev/kvm", R_OK | W_OK))
		return "join its group: usermod -aG kvm USER, then log in again";
	return NULL;
}

static void tell_traits(struct report *report, const struct mf_traits *traits)
{
	tell(report, "KVM family", NULL, "%s", mf_family_name(traits->family));
	tell(report, "vector state (XCR0)", NULL, "0x%" PRIx64, traits->xcr0);
	tell(report, "TSS type for ring-3 I/O", NULL, "%u", traits->tss_type);
	tell(report, "host table edits are seen", NULL, "%s", yes(traits->host_edits_seen));
	tell(report, "vCPU statistics", NULL, "%s", yes(traits->binary_stats));
	tell(report, "page-map scan", NULL, "%s", yes(traits->pagemap_scan));
	tell(report, "huge pages on request",
	     traits->huge_pages ? NULL
				: "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled",
	     "%s", traits->huge_pages ? "yes" : "no: mayfly run is slower with much memory");
	tell(report, "guest TSC equals the host's", NULL, "%s", yes(traits->tsc_offset));
	tell(report, "MSR filter", NULL, "%s", yes(traits->msr_filter));
}

static bool tell_kvm(struct report *report)
{
	struct mf_kvm kvm;
	struct mf_error err = {0};

	if (mf_kvm_open(&kvm, NULL, &err)) {
		tell(report, "/dev/kvm", mend_kvm(), "cannot be used: %s", err.text);
		return false;
	}
	tell(report, "/dev/kvm", NULL, "can be used");
	tell_traits(report, &kvm.traits);
	mf_kvm_close(&kvm);
	return true;
}

/* ---- the kernel ---- */

/* A number in a file; -1 without it. */
static long long number_in(const char *path)
{
	FILE *file = fopen(path, "re");
	long long number = -1;

	if (file) {
		if (fscanf(file, "%lld", &number) != 1)
			number = -1;
		fclose(file);
	}
	return number;
}

static void tell_kernel(struct report *report)
{
	long long maps = number_in("/proc/sys/vm/max_map_count");
	long long ports = number_in("/proc/sys/net/ipv4/ip_unprivileged_port_start");
	int landlock = mf_confine_landlock_abi();

	tell(report, "Landlock ABI", landlock ? NULL : "boot with lsm=landlock,... and Linux 5.13",
	     "%d%s", landlock, landlock ? "" : ": file permissions rest on openat2 alone");
	if (maps >= 0)
		tell(report, "ranges of a process",
		     maps < 65530 ? "sysctl vm.max_map_count=65530" : NULL, "%lld", maps);
	if (ports >= 0)
		tell(report, "ports for everybody",
		     ports > 80 && geteuid() ? "sysctl net.ipv4.ip_unprivileged_port_start=80, or "
					       "let systemd open the sockets"
					     : NULL,
		     "from %lld on", ports);
}

static void tell_limit(struct report *report, const char *name, int resource, uint64_t enough,
		       const char *mend, const char *unit)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return;
	if (limit.rlim_max == RLIM_INFINITY)
		tell(report, name, NULL, "no limit");
	else
		tell(report, name, limit.rlim_max < enough ? mend : NULL, "%llu%s",
		     (unsigned long long)limit.rlim_max, unit);
}

static void tell_limits(struct report *report)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	tell(report, "file descriptors",
	     files.rlim_max < 4096 ? "raise it: ulimit -Hn, or LimitNOFILE of the unit" : NULL,
	     "%llu, room for some %llu VMs", (unsigned long long)files.rlim_max,
	     (unsigned long long)files.rlim_max / 3);
	/* Each VM has a kernel thread in its process. */
	tell_limit(report, "processes and threads", RLIMIT_NPROC, 1024,
		   "raise it: ulimit -Hu, or LimitNPROC of the unit", "");
}

/* ---- cgroups ---- */

/* Its own group in a hierarchy: what stands behind the second colon of its line. */
static bool own_group(const char *controller, char path[PATH_MAX])
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		char *names = strchr(line, ':');
		char *group = names ? strchr(names + 1, ':') : NULL;

		if (!group)
			continue;
		*names++ = *group++ = 0;
		group[strcspn(group, "\n")] = 0;
		found = !strcmp(names, controller);
		if (found)
			snprintf(path, PATH_MAX, "%s", group);
	}
	if (file)
		fclose(file);
	return found;
}

static void tell_hierarchy(struct report *report, const char *name, const char *root,
			   const char *controller)
{
	char group[PATH_MAX];
	char path[PATH_MAX + 64];

	if (!own_group(controller, group))
		return;
	snprintf(path, sizeof(path), "%s%s/cgroup.procs", root, strcmp(group, "/") ? group : "");
	if (!access(path, W_OK))
		tell(report, name, NULL, "may be used: cgroup = \"%s%s\"", root,
		     strcmp(group, "/") ? group : "");
	else
		tell(report, name, "Delegate=cpu memory in the unit; without it, nice is used",
		     "not delegated");
}

static void tell_cgroups(struct report *report)
{
	if (!access("/sys/fs/cgroup/cgroup.controllers", F_OK)) {
		tell_hierarchy(report, "cgroup (version 2)", "/sys/fs/cgroup", "");
		return;
	}
	tell_hierarchy(report, "cgroup cpu (version 1)", "/sys/fs/cgroup/cpu", "cpu");
	tell_hierarchy(report, "cgroup memory (version 1)", "/sys/fs/cgroup/memory", "memory");
}

int mf_verb_doctor(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("doctor");
	struct mf_values values;
	struct mf_error err = {0};
	struct report report = {.first = true};
	int status = MF_STATUS_FAILED;

	if (mf_values_init(&values, verb->place, &err) ||
	    mf_parse_flags(verb, argc, argv, &values, &err)) {
		mf_cli_fail("doctor", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else if (optind < argc) {
		mf_error_set(&err, -EINVAL, "%s is too much", argv[optind]);
		mf_cli_fail("doctor", &err);
	} else {
		report.json = values.doctor_json;
		status = tell_kvm(&report) ? 0 : MF_STATUS_FAILED;
		tell_kernel(&report);
		tell_limits(&report);
		tell_cgroups(&report);
		if (report.json)
			puts("]");
	}
	mf_values_finish(&values);
	return status;
}
