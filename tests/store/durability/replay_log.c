/* SPDX-License-Identifier: MIT */
#include "tests/store/durability/replay_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void log_init(struct log *log)
{
	*log = (struct log){0};
	pthread_mutex_init(&log->lock, NULL);
}

void log_finish(struct log *log)
{
	for (size_t i = 0; i < log->count; i++)
		free(log->events[i].data);
	free(log->events);
	pthread_mutex_destroy(&log->lock);
}

size_t log_append(struct log *log, struct event event)
{
	if (log->count == log->room) {
		log->room = log->room ? 2 * log->room : 4096;
		log->events = realloc(log->events, log->room * sizeof(*log->events));
		if (!log->events)
			abort();
	}
	log->events[log->count] = event;
	return log->count++;
}

static bool is_hidden(int fd)
{
	char link[64];
	char path[4096];
	ssize_t bytes;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	bytes = readlink(link, path, sizeof(path) - 1);
	path[bytes > 0 ? bytes : 0] = 0;
	return !strstr(path, "/data.mdb");
}

static size_t begin(struct recorder *recorder, int fd, struct event event)
{
	struct stat st;
	size_t number;

	fstat(fd, &st);
	event.file = st.st_ino;
	event.folder = S_ISDIR(st.st_mode);
	event.hidden = !event.folder && is_hidden(fd);
	pthread_mutex_lock(&recorder->log.lock);
	if (recorder->look)
		recorder->look(recorder->cookie);
	number = log_append(&recorder->log, event);
	pthread_mutex_unlock(&recorder->log.lock);
	return number;
}

static void end(struct recorder *recorder, size_t of, bool error)
{
	pthread_mutex_lock(&recorder->log.lock);
	if (recorder->look)
		recorder->look(recorder->cookie);
	log_append(&recorder->log, (struct event){.kind = EVENT_END, .of = of, .error = error});
	pthread_mutex_unlock(&recorder->log.lock);
}

static void log_sync(struct recorder *recorder, int fd)
{
	end(recorder, begin(recorder, fd, (struct event){.kind = EVENT_SYNC}), false);
}

static void pay_sync(struct recorder *recorder)
{
	if (recorder->owed_fd >= 0)
		log_sync(recorder, recorder->owed_fd);
	recorder->owed_fd = -1;
}

static ssize_t record_write(void *cookie, int fd, const struct iovec *pieces, int count,
			    uint64_t offset, int rwf_flags, bool durable)
{
	struct recorder *recorder = cookie;
	struct event event = {.kind = EVENT_WRITE,
			      .offset = offset,
			      .durable = durable && !recorder->fault.durable_is_plain};
	ssize_t got;
	size_t number;
	bool failed;

	if (rwf_flags)
		return -EOPNOTSUPP; /* the log knows no appending */
	for (int i = 0; i < count; i++)
		event.bytes += pieces[i].iov_len;
	event.data = malloc(event.bytes);
	for (size_t i = 0, at = 0; i < (size_t)count; at += pieces[i++].iov_len)
		memcpy(event.data + at, pieces[i].iov_base, pieces[i].iov_len);
	number = begin(recorder, fd, event);
	got = TEMP_FAILURE_RETRY(pwritev(fd, pieces, count, (off_t)offset));
	if (got != (ssize_t)event.bytes)
		abort(); /* the test's own folder is full */
	failed = durable && ++recorder->durable_writes == recorder->fault.fail_durable;
	if (failed)
		recorder->failed = number;
	end(recorder, number, failed);
	if (durable)
		pay_sync(recorder);
	return failed ? -EIO : got;
}

static int record_truncate(void *cookie, int fd, uint64_t bytes)
{
	struct recorder *recorder = cookie;
	size_t number = begin(recorder, fd, (struct event){.kind = EVENT_TRUNCATE, .bytes = bytes});

	if (ftruncate(fd, (off_t)bytes))
		return -errno;
	end(recorder, number, false);
	return 0;
}

static int record_sync(void *cookie, int fd, bool data_only)
{
	struct recorder *recorder = cookie;
	unsigned int every = recorder->fault.skip_every;

	recorder->syncs++;
	if (every && recorder->syncs % every == 0)
		return 0;
	if (recorder->syncs == recorder->fault.fail_sync)
		return -EIO;
	if (recorder->fault.head_first && data_only)
		recorder->owed_fd = fd;
	else
		log_sync(recorder, fd);
	return 0;
}

void recorder_init(struct recorder *recorder, const struct fault *fault)
{
	*recorder = (struct recorder){.fault = *fault, .owed_fd = -1};
	recorder->door =
		(struct mf_file_door){record_write, record_truncate, record_sync, recorder};
	log_init(&recorder->log);
}

void recorder_finish(struct recorder *recorder)
{
	log_finish(&recorder->log);
}
