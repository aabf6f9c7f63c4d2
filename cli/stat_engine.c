/* SPDX-License-Identifier: MIT */
#include "cli/stat_engine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNTERS (sizeof(struct mf_abi_stats_lane) / sizeof(uint64_t))

/* Descendants that are looked at: a bound, not a promise. */
#define DEPTH_MAX 16u

/* Called for each descriptor of a process: its number, and what its link says. True: enough. */
typedef bool each_fn(void *cookie, pid_t pid, const char *number, const char *link);

static int each_descriptor(pid_t pid, each_fn *each, void *cookie)
{
	char folder_name[64];
	char link[128];
	struct dirent *entry;
	DIR *folder;

	snprintf(folder_name, sizeof(folder_name), "/proc/%d/fd", pid);
	folder = opendir(folder_name);
	if (!folder)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((entry = readdir(folder))) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, link, sizeof(link) - 1);

		if (length < 0)
			continue;
		link[length] = '\0';
		if (each(cookie, pid, entry->d_name, link))
			break;
	}
	closedir(folder);
	return 0;
}

/* All lanes into one. False when it is not what it should be. */
static bool read_counters(int fd, struct mf_abi_stats_lane *sum)
{
	static struct mf_abi_stats stats;
	uint64_t *to = (uint64_t *)sum;
	size_t lane;
	size_t i;

	*sum = (struct mf_abi_stats_lane){0};
	if (pread(fd, &stats, sizeof(stats), 0) != (ssize_t)sizeof(stats) ||
	    stats.magic != MF_STATS_MAGIC || stats.version != MF_STATS_VERSION ||
	    stats.bytes != sizeof(stats) || stats.lane_count != MF_STATS_LANES)
		return false;
	for (lane = 0; lane < MF_STATS_LANES; lane++)
		for (i = 0; i < COUNTERS; i++)
			to[i] += ((const uint64_t *)&stats.lanes[lane])[i];
	return true;
}

static bool known(const struct mf_engines *engines, ino_t ino)
{
	size_t i;

	for (i = 0; i < engines->count; i++)
		if (engines->list[i].ino == ino)
			return true;
	return false;
}

/* A memfd of that name; that it is one is checked by what it says. */
static bool take_counters(void *cookie, pid_t pid, const char *number, const char *link)
{
	struct mf_engines *engines = cookie;
	struct mf_engine *engine = &engines->list[engines->count];
	struct mf_abi_stats_lane now;
	char path[96];
	struct stat st;
	int fd;

	if (strcmp(link, "/memfd:" MF_STATS_NAME " (deleted)"))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	engines->too_many |= engines->count == MF_ENGINES_MAX;
	if (fstat(fd, &st) || known(engines, st.st_ino) || engines->too_many ||
	    !read_counters(fd, &now)) {
		close(fd);
		return false;
	}
	*engine = (struct mf_engine){.pid = pid, .fd = fd, .ino = st.st_ino};
	if (!engines->from_zero)
		engine->before = now;
	engines->count++;
	return true;
}

static bool has_counters(const struct mf_engines *engines, pid_t pid)
{
	size_t i;

	for (i = 0; i < engines->count; i++)
		if (engines->list[i].pid == pid)
			return true;
	return false;
}

static void look_at_children(struct mf_engines *engines, pid_t pid, unsigned int depth);

static int look(struct mf_engines *engines, pid_t pid, unsigned int depth)
{
	int ret = has_counters(engines, pid) ? 0 : each_descriptor(pid, take_counters, engines);

	if (depth)
		look_at_children(engines, pid, depth - 1);
	return ret;
}

/* The children of one thread: /proc/PID/task/TID/children, where the kernel has it. */
static void look_at_list(struct mf_engines *engines, const char *path, unsigned int depth)
{
	FILE *file = fopen(path, "re");
	int child;

	while (file && fscanf(file, "%d", &child) == 1)
		look(engines, child, depth);
	if (file)
		fclose(file);
}

static void look_at_children(struct mf_engines *engines, pid_t pid, unsigned int depth)
{
	char path[384];
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, entry->d_name);
		look_at_list(engines, path, depth);
	}
	if (folder)
		closedir(folder);
}

int mf_engines_look(struct mf_engines *engines, pid_t pid, bool children)
{
	return look(engines, pid, children ? DEPTH_MAX : 0);
}

void mf_engines_sum(const struct mf_engines *engines, struct mf_abi_stats_lane *sum)
{
	uint64_t *to = (uint64_t *)sum;
	size_t i;
	size_t k;

	*sum = (struct mf_abi_stats_lane){0};
	for (i = 0; i < engines->count; i++) {
		struct mf_abi_stats_lane now;

		if (!read_counters(engines->list[i].fd, &now))
			continue;
		for (k = 0; k < COUNTERS; k++)
			to[k] += ((const uint64_t *)&now)[k] -
				 ((const uint64_t *)&engines->list[i].before)[k];
	}
}

void mf_engines_finish(struct mf_engines *engines)
{
	while (engines->count)
		close(engines->list[--engines->count].fd);
}

static bool is_kvm(void *cookie, pid_t pid, const char *number, const char *link)
{
	bool *found = cookie;

	*found = !strncmp(link, "anon_inode:kvm-v", 16);
	return *found;
}

int mf_process_uses_kvm(pid_t pid)
{
	bool found = false;
	int ret = each_descriptor(pid, is_kvm, &found);

	return ret ? ret : found;
}
