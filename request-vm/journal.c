// SPDX-License-Identifier: MIT
#include "request-vm/journal.h"
#include "request-vm/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_MS 100 /* how often a writer that nobody reads looks whether it is to end */
#define LAST_MS 1000

struct mf_journal {
	char *path; /* NULL: standard output */
	int fd;
	bool is_file; /* a write there waits for no reader */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t news;
	char *waiting; /* MF_JOURNAL_BYTES, as `written` */
	size_t bytes;
	bool started, reopen, ending;
	uint64_t dropped, said;
	/* the thread's */
	char *written;
	int patience_ms; /* with `ending` */
};

static int open_file(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

static bool look_at(struct mf_journal *journal)
{
	struct stat st;

	journal->is_file = !fstat(journal->fd, &st) && S_ISREG(st.st_mode);
	return journal->is_file;
}

int mf_journal_open(struct mf_journal **out, const char *path, struct mf_error *err)
{
	struct mf_journal *journal = calloc(1, sizeof(*journal));
	int code = 0;

	*out = journal;
	if (journal) {
		journal->fd = -1;
		journal->waiting = malloc(MF_JOURNAL_BYTES);
		journal->written = malloc(MF_JOURNAL_BYTES);
		journal->patience_ms = LAST_MS;
		pthread_mutex_init(&journal->lock, NULL);
		pthread_cond_init(&journal->news, NULL);
		if (strcmp(path, "-") != 0)
			journal->path = strdup(path);
	}
	if (!journal || !journal->waiting || !journal->written ||
	    (!journal->path && strcmp(path, "-") != 0)) {
		code = mf_error_set(err, -ENOMEM, "no memory for the log %s", path);
	} else {
		journal->fd = journal->path ? open_file(path) : STDOUT_FILENO;
		if (journal->fd < 0)
			code = mf_error_set(err, -errno, "cannot write to the log %s: %s", path,
					    strerror(errno));
	}
	if (code) {
		mf_journal_close(journal);
		*out = NULL;
		return code;
	}
	look_at(journal);
	return 0;
}

/* Is it time to give up on somebody who does not read? */
static bool is_over(struct mf_journal *journal)
{
	bool ending;

	pthread_mutex_lock(&journal->lock);
	ending = journal->ending;
	pthread_mutex_unlock(&journal->lock);
	if (!ending)
		return false;
	journal->patience_ms -= LOOK_MS;
	return journal->patience_ms < 0;
}

/* All of it, or as much as somebody takes before the end. A failing disk loses lines, no more. */
static void write_all(struct mf_journal *journal, const char *text, size_t bytes)
{
	struct pollfd log = {.fd = journal->fd, .events = POLLOUT};

	while (bytes > 0) {
		/* a pipe that can be written takes so much without waiting */
		size_t step = journal->is_file || bytes < PIPE_BUF ? bytes : PIPE_BUF;
		ssize_t put;

		if (!journal->is_file && poll(&log, 1, LOOK_MS) <= 0) {
			if (is_over(journal))
				return;
			continue;
		}
		put = write(journal->fd, text, step);
		if (put < 0 && errno != EINTR && errno != EAGAIN)
			return;
		text += put > 0 ? put : 0;
		bytes -= put > 0 ? (size_t)put : 0;
	}
}

static void open_again(struct mf_journal *journal)
{
	int fd = journal->path ? open_file(journal->path) : -1;

	if (!journal->path)
		return;
	if (fd < 0) {
		mf_output_say(0, "mayfly: cannot open the log %s again: %s; the old one goes on\n",
			      journal->path, strerror(errno));
		return;
	}
	close(journal->fd);
	journal->fd = fd;
	look_at(journal);
}

/* Waits for lines; takes them over. False: there are none and there will be none. */
static bool take(struct mf_journal *journal, size_t *bytes, bool *reopen, uint64_t *lost)
{
	char *full;

	pthread_mutex_lock(&journal->lock);
	while (!journal->bytes && !journal->ending && !journal->reopen)
		pthread_cond_wait(&journal->news, &journal->lock);
	full = journal->waiting;
	*bytes = journal->bytes;
	*reopen = journal->reopen;
	*lost = journal->dropped - journal->said;
	journal->said = journal->dropped;
	journal->waiting = journal->written;
	journal->written = full;
	journal->bytes = 0;
	journal->reopen = false;
	full = journal->ending && !*bytes ? NULL : full;
	pthread_mutex_unlock(&journal->lock);
	return full;
}

static void *work(void *arg)
{
	struct mf_journal *journal = arg;
	uint64_t lost;
	size_t bytes;
	bool reopen;

	pthread_setname_np(pthread_self(), "journal");
	while (take(journal, &bytes, &reopen, &lost)) {
		if (reopen)
			open_again(journal);
		write_all(journal, journal->written, bytes);
		if (lost)
			mf_output_say(0, "mayfly: %llu lines of the access log were dropped\n",
				      (unsigned long long)lost);
	}
	return NULL;
}

int mf_journal_start(struct mf_journal *journal, struct mf_error *err)
{
	sigset_t all, before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&journal->thread, NULL, work, journal);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	journal->started = !code;
	return code ? mf_error_set(err, -code, "cannot start the log's thread: %s", strerror(code))
		    : 0;
}

void mf_journal_put(struct mf_journal *journal, const char *line, size_t bytes)
{
	pthread_mutex_lock(&journal->lock);
	if (bytes > MF_JOURNAL_BYTES - journal->bytes) {
		journal->dropped++;
	} else {
		memcpy(journal->waiting + journal->bytes, line, bytes);
		journal->bytes += bytes;
		pthread_cond_signal(&journal->news);
	}
	pthread_mutex_unlock(&journal->lock);
}

void mf_journal_reopen(struct mf_journal *journal)
{
	pthread_mutex_lock(&journal->lock);
	journal->reopen = true;
	pthread_cond_signal(&journal->news);
	pthread_mutex_unlock(&journal->lock);
}

void mf_journal_close(struct mf_journal *journal)
{
	if (!journal)
		return;
	if (journal->started) {
		pthread_mutex_lock(&journal->lock);
		journal->ending = true;
		pthread_cond_signal(&journal->news);
		pthread_mutex_unlock(&journal->lock);
		pthread_join(journal->thread, NULL);
	}
	if (journal->path && journal->fd >= 0)
		close(journal->fd);
	pthread_mutex_destroy(&journal->lock);
	pthread_cond_destroy(&journal->news);
	free(journal->waiting);
	free(journal->written);
	free(journal->path);
	free(journal);
}
