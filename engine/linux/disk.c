/* SPDX-License-Identifier: MIT */
#include "engine/linux/disk.h"
#include "engine/image/watchdog.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLOW_NS 100000000ull

enum kind { WRITE, TRUNCATE, SYNC };

struct job {
	struct job *next;
	uint32_t thread; /* whose it is, by index */
	bool over;
	int fd; /* its own */
	enum kind kind;
	bool flag; /* WRITE: durable; SYNC: data alone */
	int rwf;
	uint64_t at; /* offset or length */
	ssize_t result;
	int count;
	struct iovec pieces[MF_PIECES];
};

struct mf_disk {
	struct mf_disk_settings settings;
	pthread_t thread;
	bool started;
	int event;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock; the jobs in the order in which they came, and the first that is not over
	 */
	struct job *jobs;
	bool stop;
	unsigned int news; /* atomic: results that were not fetched */
};

static ssize_t host_write(void *cookie, int fd, const struct iovec *pieces, int count,
			  uint64_t offset, int rwf_flags, bool durable)
{
	int rwf = rwf_flags | (durable ? RWF_DSYNC : 0);
	ssize_t got = TEMP_FAILURE_RETRY(pwritev2(fd, pieces, count, (off_t)offset, rwf));

	(void)cookie;
	return got < 0 ? -errno : got;
}

static int host_truncate(void *cookie, int fd, uint64_t bytes)
{
	(void)cookie;
	return ftruncate(fd, (off_t)bytes) ? -errno : 0;
}

static int host_sync(void *cookie, int fd, bool data_only)
{
	(void)cookie;
	return (data_only ? fdatasync(fd) : fsync(fd)) ? -errno : 0;
}

static const struct mf_file_door host_door = {host_write, host_truncate, host_sync, NULL};

int mf_disk_create(struct mf_disk **out, const struct mf_disk_settings *settings,
		   struct mf_error *err)
{
	struct mf_disk *disk = calloc(1, sizeof(*disk));

	if (!disk)
		return mf_error_set(err, -ENOMEM, "not enough memory for the disk's thread");
	disk->settings = *settings;
	if (!settings->door)
		disk->settings.door = &host_door;
	pthread_mutex_init(&disk->lock, NULL);
	pthread_cond_init(&disk->changed, NULL);
	disk->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (disk->event < 0) {
		int code = -errno;

		mf_disk_destroy(disk);
		return mf_error_set(err, code,
				    "no descriptor is left for the disk's thread; raise the limit "
				    "of open files (ulimit -n)");
	}
	*out = disk;
	return 0;
}

/* The first that is not over. */
static struct job *next_job(const struct mf_disk *disk)
{
	struct job *job = disk->jobs;

	while (job && job->over)
		job = job->next;
	return job;
}

static int ask_gate(const struct mf_disk *disk, enum mf_disk_look look)
{
	return disk->settings.gate ? disk->settings.gate(disk->settings.cookie, look) : 0;
}

int mf_disk_gate(const struct mf_disk *disk)
{
	return disk ? ask_gate(disk, MF_DISK_LATELY) : 0;
}

static ssize_t do_open_job(const struct mf_disk *disk, const struct job *job)
{
	const struct mf_file_door *door = disk->settings.door;

	if (job->kind == WRITE)
		return door->write(door->cookie, job->fd, job->pieces, job->count, job->at,
				   job->rwf, job->flag);
	if (job->kind == TRUNCATE)
		return door->truncate(door->cookie, job->fd, job->at);
	return door->sync(door->cookie, job->fd, job->flag);
}

/* Of what took so long nothing is known any more that was looked at before. */
static ssize_t do_job(const struct mf_disk *disk, const struct job *job)
{
	bool lasts = job->kind == WRITE && job->flag;
	uint64_t began = mf_now_ns();
	ssize_t ret = ask_gate(disk, lasts ? MF_DISK_ANEW : MF_DISK_NOW);

	if (ret)
		return ret;
	ret = do_open_job(disk, job);
	if (ret < 0 || (!lasts && job->kind != SYNC))
		return ret;
	if (ask_gate(disk, mf_now_ns() - began > SLOW_NS ? MF_DISK_ANEW : MF_DISK_NOW))
		return -ECONNRESET;
	return ret;
}

static void tell(struct mf_disk *disk)
{
	uint64_t one = 1;

	__atomic_add_fetch(&disk->news, 1, __ATOMIC_SEQ_CST);
	/* It cannot be full, and of a lost wake-up the role learns by done(). */
	if (write(disk->event, &one, sizeof(one)) < 0)
		return;
}

static void *run(void *arg)
{
	struct mf_disk *disk = arg;
	struct job *job;

	pthread_mutex_lock(&disk->lock);
	while ((job = next_job(disk)) || !disk->stop) {
		if (!job) {
			pthread_cond_wait(&disk->changed, &disk->lock);
			continue;
		}
		pthread_mutex_unlock(&disk->lock);
		job->result = do_job(disk, job);
		close(job->fd);
		pthread_mutex_lock(&disk->lock);
		job->over = true;
		tell(disk);
		pthread_cond_broadcast(&disk->changed);
		pthread_mutex_unlock(&disk->lock);
		if (disk->settings.done)
			disk->settings.done(disk->settings.cookie);
		pthread_mutex_lock(&disk->lock);
	}
	pthread_mutex_unlock(&disk->lock);
	return NULL;
}

int mf_disk_start(struct mf_disk *disk, struct mf_error *err)
{
	sigset_t all;
	sigset_t before;
	int ret;

	/* Signals of the process are for other threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&disk->thread, NULL, run, disk);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret)
		return mf_error_set(err, -ret,
				    "cannot start the disk's thread: %s; raise `ulimit -u`",
				    strerror(ret));
	disk->started = true;
	return 0;
}

void mf_disk_destroy(struct mf_disk *disk)
{
	if (!disk)
		return;
	if (disk->started) {
		mf_disk_drain(disk);
		pthread_mutex_lock(&disk->lock);
		disk->stop = true;
		pthread_cond_broadcast(&disk->changed);
		pthread_mutex_unlock(&disk->lock);
		pthread_join(disk->thread, NULL);
	}
	if (disk->event >= 0)
		close(disk->event);
	pthread_mutex_destroy(&disk->lock);
	pthread_cond_destroy(&disk->changed);
	free(disk);
}

int mf_disk_fd(const struct mf_disk *disk)
{
	return disk->event;
}

bool mf_disk_has_news(const struct mf_disk *disk)
{
	return __atomic_load_n(&disk->news, __ATOMIC_SEQ_CST) != 0;
}

bool mf_disk_is_busy(struct mf_disk *disk)
{
	bool busy;

	pthread_mutex_lock(&disk->lock);
	busy = next_job(disk) != NULL;
	pthread_mutex_unlock(&disk->lock);
	return busy;
}

bool mf_disk_takes(const struct mf_disk *disk, bool durable)
{
	return disk && (durable || disk->settings.all_writes);
}

/* A result is fetched, or forgotten. Lock held. */
static void remove_job(struct mf_disk *disk, struct job **at)
{
	struct job *job = *at;
	uint64_t count;

	*at = job->next;
	free(job);
	/* Readable no more when it was the last: there is nothing to be read then, or all of it. */
	if (!__atomic_sub_fetch(&disk->news, 1, __ATOMIC_SEQ_CST) &&
	    read(disk->event, &count, sizeof(count)) < 0)
		return;
}

void mf_disk_drain(struct mf_disk *disk)
{
	pthread_mutex_lock(&disk->lock);
	while (next_job(disk))
		pthread_cond_wait(&disk->changed, &disk->lock);
	while (disk->jobs)
		remove_job(disk, &disk->jobs);
	pthread_mutex_unlock(&disk->lock);
}

static struct job **find(struct mf_disk *disk, uint32_t thread)
{
	struct job **at = &disk->jobs;

	while (*at && (*at)->thread != thread)
		at = &(*at)->next;
	return at;
}

bool mf_disk_waits(const struct mf_process *process)
{
	struct mf_disk *disk = process->policy->disk;
	bool waits;

	if (!disk)
		return false;
	pthread_mutex_lock(&disk->lock);
	waits = *find(disk, mf_linux(process)->current) != NULL;
	pthread_mutex_unlock(&disk->lock);
	return waits;
}

static int begin(struct mf_disk *disk, struct job **last, const struct job *wanted,
		 const struct iovec *pieces)
{
	struct job *job;
	int fd = fcntl(wanted->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	job = malloc(sizeof(*job));
	if (!job) {
		close(fd);
		return -ENOMEM;
	}
	memcpy(job, wanted, offsetof(struct job, pieces));
	if (job->count)
		memcpy(job->pieces, pieces, (size_t)job->count * sizeof(*pieces));
	job->fd = fd;
	*last = job;
	pthread_cond_broadcast(&disk->changed);
	return -EINPROGRESS;
}

static ssize_t ask(struct mf_process *process, struct job *wanted, const struct iovec *pieces)
{
	struct mf_disk *disk = process->policy->disk;
	struct job **at;
	ssize_t ret;

	wanted->thread = mf_linux(process)->current;
	pthread_mutex_lock(&disk->lock);
	at = find(disk, wanted->thread);
	if (!*at) {
		ret = begin(disk, at, wanted, pieces);
	} else if (!(*at)->over) {
		ret = -EINPROGRESS;
	} else {
		ret = (*at)->result;
		remove_job(disk, at);
	}
	pthread_mutex_unlock(&disk->lock);
	if (ret == -EINPROGRESS)
		mf_wait_host(process, disk->event, POLLIN);
	return ret;
}

ssize_t mf_disk_write(struct mf_process *process, int fd, const struct iovec *pieces, int count,
		      uint64_t offset, int rwf_flags, bool durable)
{
	struct job job = {.fd = fd,
			  .kind = WRITE,
			  .flag = durable,
			  .rwf = rwf_flags,
			  .at = offset,
			  .count = count};

	return ask(process, &job, pieces);
}

int mf_disk_truncate(struct mf_process *process, int fd, uint64_t bytes)
{
	struct job job = {.fd = fd, .kind = TRUNCATE, .at = bytes};

	return (int)ask(process, &job, NULL);
}

int mf_disk_sync(struct mf_process *process, int fd, bool data_only)
{
	struct job job = {.fd = fd, .kind = SYNC, .flag = data_only};

	return (int)ask(process, &job, NULL);
}
