/* SPDX-License-Identifier: MIT */
#include "engine/linux/hosts.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/sched.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOK_AGAIN_NS 5000000ull

struct entry {
	uint32_t thread;
	int fd;
	short events;
};

struct list {
	struct entry *entries;
	size_t count;
	size_t room;
};

struct mf_hosts {
	struct list many;   /* of threads that wait for several (mf_wait.many) */
	struct list wanted; /* of all threads, when it was looked last */
	struct pollfd *fds; /* room for as many */
	size_t fds_room;
	struct list watched; /* by epoll_fd; one a descriptor */
	int epoll_fd;        /* -1: none */
	bool doubtful;       /* it may have spoken of a descriptor that nobody waits for */
};

static int append(struct list *list, struct entry entry)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct entry *more = realloc(list->entries, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->entries = more;
		list->room = room;
	}
	list->entries[list->count++] = entry;
	return 0;
}

static struct mf_hosts *get(struct mf_process *process)
{
	if (!process->hosts) {
		process->hosts = calloc(1, sizeof(*process->hosts));
		if (process->hosts)
			process->hosts->epoll_fd = -1;
	}
	return process->hosts;
}

static void drop(struct list *list, uint32_t thread)
{
	size_t kept = 0;
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (list->entries[i].thread != thread)
			list->entries[kept++] = list->entries[i];
	}
	list->count = kept;
}

int mf_hosts_add(struct mf_process *process, const struct pollfd *fds, size_t count)
{
	uint32_t thread = mf_linux(process)->current;
	struct mf_hosts *hosts = get(process);
	int added = 0;
	size_t i;

	mf_hosts_drop(process, thread);
	for (i = 0; i < count; i++) {
		if (fds[i].fd < 0)
			continue;
		if (!hosts ||
		    append(&hosts->many, (struct entry){thread, fds[i].fd, fds[i].events})) {
			mf_hosts_drop(process, thread);
			return -ENOMEM;
		}
		added++;
	}
	return added;
}

uint64_t mf_hosts_look_again(const struct mf_process *process, uint64_t until_ns)
{
	uint64_t again = mf_vm_now_ns(&process->vm) + LOOK_AGAIN_NS;

	return again < until_ns ? again : until_ns;
}

void mf_hosts_drop(struct mf_process *process, uint32_t thread)
{
	if (process->hosts)
		drop(&process->hosts->many, thread);
}

/* Those of one thread. False: there is no memory for them, or (in a fork) nobody has told them. */
static bool want(struct mf_hosts *hosts, uint32_t thread, const struct mf_wait *wait)
{
	size_t before = hosts->wanted.count;
	size_t i;

	if (!wait->many)
		return wait->fd < 0 ||
		       !append(&hosts->wanted, (struct entry){thread, wait->fd, wait->events});
	for (i = 0; i < hosts->many.count; i++) {
		if (hosts->many.entries[i].thread == thread &&
		    append(&hosts->wanted, hosts->many.entries[i]))
			return false;
	}
	return hosts->wanted.count > before;
}

/* Fill `wanted`; NULL when nobody waits for the host's descriptors. */
static struct mf_hosts *collect(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_hosts *hosts = process->hosts;
	int i = -1;

	if (hosts)
		hosts->wanted.count = 0;
	while ((i = mf_thread_set_next(&lx->outside, i)) >= 0) {
		const struct mf_wait *wait = &lx->threads[i].wait;

		if (wait->fd < 0 && !wait->many)
			continue;
		hosts = get(process);
		if (!hosts || !want(hosts, (uint32_t)i, wait))
			mf_sched_wake(process, (uint32_t)i);
	}
	return hosts && hosts->wanted.count ? hosts : NULL;
}

static struct pollfd *poll_list(struct mf_hosts *hosts)
{
	size_t i;

	if (hosts->fds_room < hosts->wanted.count) {
		struct pollfd *more = realloc(hosts->fds, hosts->wanted.room * sizeof(*more));

		if (!more)
			return NULL;
		hosts->fds = more;
		hosts->fds_room = hosts->wanted.room;
	}
	for (i = 0; i < hosts->wanted.count; i++)
		hosts->fds[i] = (struct pollfd){.fd = hosts->wanted.entries[i].fd,
						.events = hosts->wanted.entries[i].events};
	return hosts->fds;
}

void mf_hosts_look(struct mf_process *process)
{
	struct mf_hosts *hosts = collect(process);
	struct pollfd *fds = hosts ? poll_list(hosts) : NULL;
	size_t i;

	if (!fds)
		return;
	hosts->doubtful = poll(fds, hosts->wanted.count, 0) <= 0;
	for (i = 0; i < hosts->wanted.count && !hosts->doubtful; i++) {
		if (fds[i].revents)
			mf_sched_wake_by_host(process, hosts->wanted.entries[i].thread);
	}
}

static int by_fd(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	return x->fd < y->fd ? -1 : x->fd > y->fd;
}

/* One entry a descriptor, with the events of all who wait for it. */
static void merge(struct list *list)
{
	size_t last = 0;
	size_t i;

	qsort(list->entries, list->count, sizeof(list->entries[0]), by_fd);
	for (i = 1; i < list->count; i++) {
		struct entry *to = &list->entries[last];

		if (list->entries[i].fd == to->fd)
			to->events = (short)(to->events | list->entries[i].events);
		else
			list->entries[++last] = list->entries[i];
	}
	list->count = last + 1;
}

static void close_epoll(struct mf_hosts *hosts)
{
	if (hosts->epoll_fd >= 0)
		close(hosts->epoll_fd);
	hosts->epoll_fd = -1;
	hosts->watched.count = 0;
}

static int watch(const struct mf_hosts *hosts, const struct entry *entry)
{
	struct epoll_event event = {.events = (uint16_t)entry->events, .data.fd = entry->fd};

	if (!epoll_ctl(hosts->epoll_fd, EPOLL_CTL_MOD, entry->fd, &event))
		return 0;
	if (errno == ENOENT && !epoll_ctl(hosts->epoll_fd, EPOLL_CTL_ADD, entry->fd, &event))
		return 0;
	return -errno;
}

/* Take out those that nobody waits for any more; both lists stand in order. */
static void unwatch(struct mf_hosts *hosts)
{
	const struct list *wanted = &hosts->wanted;
	size_t at = 0;
	size_t i;

	for (i = 0; i < hosts->watched.count; i++) {
		int fd = hosts->watched.entries[i].fd;

		while (at < wanted->count && wanted->entries[at].fd < fd)
			at++;
		if (at == wanted->count || wanted->entries[at].fd != fd)
			epoll_ctl(hosts->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	}
	hosts->watched.count = 0;
}

/*
 * Bring the epoll descriptor to what is wanted. A number may mean another file than the last time,
 * so every one is told anew. What has no readiness (-EPERM: a file; -EBADF) is ready.
 */
static int watch_all(struct mf_hosts *hosts)
{
	int ret = 0;
	size_t i;

	if (hosts->doubtful)
		close_epoll(hosts);
	hosts->doubtful = false;
	if (hosts->epoll_fd < 0)
		hosts->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (hosts->epoll_fd < 0)
		return -errno;
	unwatch(hosts);
	for (i = 0; i < hosts->wanted.count && !ret; i++) {
		ret = watch(hosts, &hosts->wanted.entries[i]);
		if (!ret)
			ret = append(&hosts->watched, hosts->wanted.entries[i]);
	}
	if (ret)
		close_epoll(hosts);
	return ret;
}

void mf_hosts_exit(struct mf_process *process, struct mf_exit *exit)
{
	struct mf_hosts *hosts = collect(process);

	exit->wait_fd = -1;
	exit->wait_events = 0;
	if (!hosts)
		return;
	merge(&hosts->wanted);
	if (hosts->wanted.count == 1) {
		exit->wait_fd = hosts->wanted.entries[0].fd;
		exit->wait_events = hosts->wanted.entries[0].events;
	} else if (watch_all(hosts)) {
		exit->wait_until_ns = mf_hosts_look_again(process, exit->wait_until_ns);
	} else {
		exit->wait_fd = hosts->epoll_fd;
		exit->wait_events = POLLIN;
	}
}

void mf_hosts_finish(struct mf_process *process)
{
	struct mf_hosts *hosts = process->hosts;

	process->hosts = NULL;
	if (!hosts)
		return;
	close_epoll(hosts);
	free(hosts->many.entries);
	free(hosts->wanted.entries);
	free(hosts->watched.entries);
	free(hosts->fds);
	free(hosts);
}
