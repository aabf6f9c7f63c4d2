/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A step of nice is a quarter more or less of the processor (Linux, kernel/sched/core.c,
 * sched_prio_to_weight). */
int mf_share_nice(uint64_t share, uint64_t largest)
{
	int nice = 0;

	while (nice < 19 && share * 9 < largest * 8) {
		share = share * 5 / 4 + 1;
		nice++;
	}
	return nice;
}

/* Writes a value into a file of a group. */
static bool set(const char *folder, const char *name, const char *value)
{
	char path[PATH_MAX];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	done = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return done;
}

static void set_number(const char *folder, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	set(folder, name, text);
}

/* Which of these files are there depends on the version and the controllers. */
static void set_limits(const char *folder, const struct mf_tenant_values *values)
{
	set_number(folder, "cpu.weight", values->cpu_share);
	set_number(folder, "cpu.shares",
		   values->cpu_share * 1024 / 100 > 2 ? values->cpu_share * 1024 / 100 : 2);
	if (values->memory_limit_bytes) {
		set_number(folder, "memory.max", values->memory_limit_bytes);
		set_number(folder, "memory.limit_in_bytes", values->memory_limit_bytes);
	}
}

static void name_group(char out[PATH_MAX], const char *folder, const char *name)
{
	snprintf(out, PATH_MAX, "%s/%s", folder, name);
}

void mf_share_open(struct mf_supervisor *supervisor, const struct mf_tenant *tenant,
		   int files[MF_CGROUPS + 1])
{
	const struct mf_texts *folders = &supervisor->config->values.daemon.cgroups;
	char group[PATH_MAX];
	char procs[PATH_MAX + 16];
	size_t count = 0;
	size_t i;

	for (i = 0; i < folders->count && count < MF_CGROUPS; i++) {
		name_group(group, folders->texts[i], tenant->name);
		if (mkdir(group, 0755) && errno != EEXIST) {
			mf_log(supervisor, MF_LOG_WARNING, "cgroup-failed", tenant, NULL,
			       "cannot make the cgroup %s: %s", group, strerror(errno));
			continue;
		}
		set_limits(group, &tenant->config->values.tenant);
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", group);
		files[count] = open(procs, O_WRONLY | O_CLOEXEC);
		if (files[count] >= 0)
			count++;
	}
	files[count] = -1;
}

void mf_share_remove(struct mf_supervisor *supervisor, const struct mf_tenant *tenant)
{
	const struct mf_texts *folders = &supervisor->config->values.daemon.cgroups;
	char group[PATH_MAX];
	size_t i;

	for (i = 0; i < folders->count; i++) {
		name_group(group, folders->texts[i], tenant->name);
		rmdir(group);
	}
}

/* In version 2 a group with children has no processes of its own, and lends its children what it
 * says it does (Linux, Documentation/admin-guide/cgroup-v2.rst). */
void mf_share_prepare(struct mf_supervisor *supervisor)
{
	const struct mf_texts *folders = &supervisor->config->values.daemon.cgroups;
	char own[PATH_MAX];
	size_t i;

	for (i = 0; i < folders->count; i++) {
		name_group(own, folders->texts[i], "cgroup.subtree_control");
		if (access(own, W_OK))
			continue;
		name_group(own, folders->texts[i], "mayflyd");
		if (!mkdir(own, 0755) || errno == EEXIST)
			set(own, "cgroup.procs", "0");
		set(folders->texts[i], "cgroup.subtree_control", "+cpu");
		set(folders->texts[i], "cgroup.subtree_control", "+memory");
	}
}
