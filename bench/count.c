/* SPDX-License-Identifier: MIT */
#include "bench/count.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* tracefs as a mount that only this descriptor knows: it may be mounted nowhere. */
static int tracefs(void)
{
	int context = (int)syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC);
	int mount = -1;

	if (context < 0)
		return -1;
	if (!syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	close(context);
	return mount;
}

/* The number of a tracepoint; 0 when it cannot be had. */
static uint64_t event_id(const char *event)
{
	char path[128];
	char text[32] = "";
	int root = tracefs();
	int fd = -1;

	snprintf(path, sizeof(path), "events/%s/id", event);
	if (root >= 0)
		fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	if (fd >= 0)
		close(fd);
	if (root >= 0)
		close(root);
	return strtoull(text, NULL, 10);
}

static bool add(struct bench_counter *counter, uint64_t id, pid_t tid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr), .config = id};
	int fd;

	if (counter->count == sizeof(counter->fds) / sizeof(counter->fds[0]))
		return false;
	fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		return false;
	counter->fds[counter->count++] = fd;
	return true;
}

static bool add_threads(struct bench_counter *counter, uint64_t id, pid_t pid)
{
	char path[64];
	struct dirent *entry;
	bool good = true;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	folder = opendir(path);
	if (!folder)
		return false;
	while (good && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			good = add(counter, id, atoi(entry->d_name));
	closedir(folder);
	return good;
}

bool bench_counter_open(struct bench_counter *counter, const char *event, pid_t pid)
{
	uint64_t id = event_id(event);
	bool good = id;

	counter->count = 0;
	if (good)
		good = pid ? add_threads(counter, id, pid) : add(counter, id, 0);
	if (!good)
		bench_counter_close(counter);
	return good;
}

uint64_t bench_counter_read(const struct bench_counter *counter)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < counter->count; i++) {
		uint64_t value = 0;

		if (read(counter->fds[i], &value, sizeof(value)) == sizeof(value))
			sum += value;
	}
	return sum;
}

void bench_counter_close(struct bench_counter *counter)
{
	while (counter->count)
		close(counter->fds[--counter->count]);
}
