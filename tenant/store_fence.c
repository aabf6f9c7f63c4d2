/* SPDX-License-Identifier: MIT */
#include "tenant/store_fence.h"

#include "engine/image/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* An engine looks at least so often while it does anything; a next one gives it that much time. */
#define LOOK_NS     5000000ull
#define PATIENCE_NS 1000000000ull

#define WORD "mayfly-epoch"
#define ROOM 64u

/* Who had the folder last. */
struct holder {
	uint64_t epoch;
	char state[ROOM]; /* open, closed */
	char boot[ROOM];  /* of the machine: a new one at each start */
	char pids[ROOM];  /* in which its process id means something */
	int64_t pid;
	uint64_t started; /* the process, in ticks since the boot */
};

static void read_line(const char *path, char text[ROOM])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? 0 : read(fd, text, ROOM - 1);

	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = 0;
	text[strcspn(text, " \n")] = 0;
	if (!text[0])
		snprintf(text, ROOM, "unknown");
}

/* 0: there is no such process. Field 22 of proc_pid_stat(5); the name may hold anything. */
static uint64_t start_of(int64_t pid)
{
	char path[ROOM], text[1024];
	char *at;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[got > 0 ? got : 0] = 0;
	at = strrchr(text, ')');
	for (unsigned int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static void describe_self(struct holder *self)
{
	ssize_t got = readlink("/proc/self/ns/pid", self->pids, ROOM - 1);

	self->pids[got > 0 ? got : 0] = 0;
	if (got <= 0)
		snprintf(self->pids, ROOM, "unknown");
	read_line("/proc/sys/kernel/random/boot_id", self->boot);
	self->pid = getpid();
	self->started = start_of(self->pid);
}

/* May it write yet? It does not when it has ended in order, or its process is known to be gone. */
static bool may_run(const struct holder *last, const struct holder *self)
{
	if (!last->epoch || !strcmp(last->state, "closed"))
		return false;
	if (last->pid <= 0 || last->pid > INT32_MAX)
		return true;
	if (!strcmp(self->boot, "unknown") || !strcmp(self->pids, "unknown") || !self->started ||
	    strcmp(last->boot, self->boot) || strcmp(last->pids, self->pids))
		return true;
	/* Where processes of others are hidden, a signal still finds them. */
	return start_of(last->pid) == last->started ||
	       (!start_of(last->pid) && (!kill((pid_t)last->pid, 0) || errno == EPERM));
}

static void write_down(const struct holder *holder, char text[MF_STORE_FENCE_BYTES])
{
	memset(text, ' ', MF_STORE_FENCE_BYTES);
	text[snprintf(text, MF_STORE_FENCE_BYTES, WORD " %" PRIu64 " %s %s %s %" PRId64 " %" PRIu64,
		      holder->epoch, holder->state, holder->boot, holder->pids, holder->pid,
		      holder->started)] = ' ';
	text[MF_STORE_FENCE_BYTES - 1] = '\n';
}

/* An empty file is one that somebody was about to write. */
static int read_last(int fd, struct holder *last)
{
	char text[MF_STORE_FENCE_BYTES + 1] = "";
	ssize_t got = pread(fd, text, MF_STORE_FENCE_BYTES, 0);

	*last = (struct holder){0};
	if (got <= 0)
		return got ? -errno : 0;
	if (sscanf(text, WORD " %" SCNu64 " %63s %63s %63s %" SCNd64 " %" SCNu64, &last->epoch,
		   last->state, last->boot, last->pids, &last->pid, &last->started) != 6 ||
	    !last->epoch || last->epoch == UINT64_MAX)
		return -EINVAL;
	return 0;
}

static int put(const struct mf_store_fence *fence)
{
	ssize_t got = pwrite(fence->fd, fence->own, MF_STORE_FENCE_BYTES, 0);

	if (got != MF_STORE_FENCE_BYTES)
		return got < 0 ? -errno : -ENOSPC;
	/* A file system that has nothing to sync says EINVAL. */
	if ((fsync(fence->fd) || fsync(fence->folder_fd)) && errno != EINVAL)
		return -errno;
	return 0;
}

static int raise_in(struct mf_store_fence *fence)
{
	const struct timespec patience = {PATIENCE_NS / 1000000000ull, PATIENCE_NS % 1000000000ull};
	struct holder last;
	struct holder self = {.state = "open"};
	int ret;

	fence->fd = openat(fence->folder_fd, MF_STORE_FENCE_NAME,
			   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fence->fd < 0)
		return -errno;
	ret = read_last(fence->fd, &last);
	if (ret)
		return ret;
	describe_self(&self);
	self.epoch = fence->epoch = last.epoch + 1;
	write_down(&self, fence->own);
	ret = put(fence);
	if (!ret && may_run(&last, &self))
		nanosleep(&patience, NULL);
	return ret ? ret : mf_store_fence_is_lost(fence, MF_DISK_ANEW) ? -EBUSY : 0;
}

int mf_store_fence_raise(struct mf_store_fence *fence, int folder_fd, const char *folder,
			 struct mf_error *err)
{
	int ret;

	*fence = (struct mf_store_fence){.folder_fd = folder_fd, .fd = -1};
	ret = raise_in(fence);
	if (!ret)
		return 0;
	if (fence->fd >= 0)
		close(fence->fd);
	fence->fd = -1;
	if (ret == -EBUSY)
		return mf_error_set(err, ret, "the store %s was opened by another engine just now",
				    folder);
	if (ret == -EINVAL)
		return mf_error_set(err, ret,
				    "%s/" MF_STORE_FENCE_NAME
				    " is no epoch of a store; if no engine serves it, remove that",
				    folder);
	return mf_error_set(err, ret, "cannot write %s/" MF_STORE_FENCE_NAME ": %s", folder,
			    strerror(-ret));
}

/* What the file of that name says: where files are shared between machines, it is the opening that
 * asks for what is new. */
static bool is_own(const struct mf_store_fence *fence, bool anew)
{
	char text[MF_STORE_FENCE_BYTES];
	int fd = anew ? openat(fence->folder_fd, MF_STORE_FENCE_NAME,
			       O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
		      : -1;
	ssize_t got;

	if (anew && fd < 0 && (errno == ENOENT || errno == ESTALE))
		return false;
	got = pread(fd < 0 ? fence->fd : fd, text, sizeof(text), 0);
	if (fd >= 0)
		close(fd);
	return got == sizeof(text) && !memcmp(text, fence->own, sizeof(text));
}

bool mf_store_fence_is_lost(struct mf_store_fence *fence, enum mf_disk_look look)
{
	uint64_t now = mf_now_ns();

	if (fence->fd < 0 || __atomic_load_n(&fence->lost, __ATOMIC_RELAXED))
		return fence->fd >= 0;
	if (look == MF_DISK_LATELY &&
	    now - __atomic_load_n(&fence->looked_ns, __ATOMIC_RELAXED) < LOOK_NS)
		return false;
	__atomic_store_n(&fence->looked_ns, now, __ATOMIC_RELAXED);
	if (is_own(fence, look == MF_DISK_ANEW))
		return false;
	__atomic_store_n(&fence->lost, true, __ATOMIC_RELAXED);
	return true;
}

void mf_store_fence_lower(struct mf_store_fence *fence)
{
	char *state;

	if (fence->fd < 0)
		return;
	if (!mf_store_fence_is_lost(fence, MF_DISK_ANEW)) {
		state = memmem(fence->own, MF_STORE_FENCE_BYTES, " open ", 6);
		memcpy(state, " closed ", 8); /* the words behind it count no more */
		put(fence);
	}
	close(fence->fd);
	fence->fd = -1;
}
