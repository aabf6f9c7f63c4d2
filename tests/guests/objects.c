/* SPDX-License-Identifier: MIT */
/*
 * The program of objects_test. At its ready point it holds a pipe with bytes, an event counter, a
 * semaphore, a timer that has run out and an epoll that watches them, one within another. "/look"
 * says what they are like; "/change" changes all of them, then says the same; "/fill" writes to
 * pipes, "/file" to a file without a name, until there is no memory; "/sleep" waits for what never
 * comes.
 */
#include <mayfly/sdk.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static int ends[2], counter, semaphore, timer, epoll, outer;
static char answer[1024];
static size_t used;
static char page[4096];

#define SAY(...) (used += (size_t)snprintf(answer + used, sizeof(answer) - used, __VA_ARGS__))

static void watch(int in, int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};

	epoll_ctl(in, EPOLL_CTL_ADD, fd, &event);
}

static void prepare(void)
{
	struct itimerspec soon = {.it_value = {.tv_nsec = 1}};

	if (pipe2(ends, O_NONBLOCK) || write(ends[1], "of the image", 12) != 12)
		SAY("no pipe ");
	counter = eventfd(3, EFD_NONBLOCK);
	semaphore = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	timerfd_settime(timer, 0, &soon, NULL);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	outer = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, ends[0], EPOLLIN | EPOLLET);
	watch(epoll, counter, EPOLLIN | EPOLLONESHOT);
	watch(epoll, semaphore, EPOLLIN);
	watch(epoll, timer, EPOLLIN);
	watch(outer, epoll, EPOLLIN);
}

static void look_epoll(const char *what, int fd)
{
	struct epoll_event events[8];
	int count = epoll_wait(fd, events, 8, 0);
	int i;

	SAY("%s %d:", what, count);
	for (i = 0; i < count; i++)
		SAY(" %d=%x", events[i].data.fd, events[i].events);
	SAY(" ");
}

static void look(void)
{
	struct pollfd list[] = {{ends[0], POLLIN, 0}, {counter, POLLIN, 0}, {timer, POLLIN, 0}};
	char text[64] = "";
	uint64_t value = 0;
	int bytes = -1;

	look_epoll("outer", outer);
	look_epoll("first", epoll);
	look_epoll("second", epoll);
	SAY("poll %d ", poll(list, 3, 0));
	ioctl(ends[0], FIONREAD, &bytes);
	SAY("pipe %d %ld ", bytes, (long)read(ends[0], text, sizeof(text) - 1));
	SAY("[%s] ", text);
	SAY("counter %ld ", (long)read(counter, &value, 8));
	SAY("%llu ", (unsigned long long)value);
	SAY("semaphore %ld ", (long)read(semaphore, &value, 8));
	SAY("timer %ld ", (long)read(timer, &value, 8));
	SAY("flags %x %x next %d", (unsigned int)fcntl(ends[0], F_GETFL),
	    (unsigned int)fcntl(outer, F_GETFD), dup(0));
}

static void change(void)
{
	struct itimerspec late = {.it_value = {.tv_sec = 1000}};
	uint64_t value = 40;
	int more[2], i;

	look();
	write(ends[1], "of a request", 12);
	write(counter, &value, 8);
	write(semaphore, &value, 8);
	timerfd_settime(timer, 0, &late, NULL);
	epoll_ctl(epoll, EPOLL_CTL_DEL, semaphore, NULL);
	fcntl(ends[0], F_SETFL, 0);
	fcntl(outer, F_SETFD, 0);
	for (i = 0; i < 50 && !pipe(more); i++)
		write(more[1], page, sizeof(page));
	watch(epoll, more[1], EPOLLOUT);
	close(semaphore);
	close(outer);
	close(ends[1]);
}

/* How many bytes pipes took until something was refused, and what that said. */
static void fill(void)
{
	unsigned long long bytes = 0;
	int fds[2], error = 0;

	while (!error) {
		long got = 1;

		if (pipe2(fds, O_NONBLOCK)) {
			error = errno;
			break;
		}
		fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
		for (; got > 0; bytes += got > 0 ? (unsigned long long)got : 0)
			got = write(fds[1], page, sizeof(page));
		error = errno == EAGAIN ? 0 : errno;
	}
	SAY("%llu %s", bytes >> 20, strerrorname_np(error));
}

/* The same of a file without a name. */
static void fill_file(void)
{
	int fd = memfd_create("m", 0);
	long got;

	while ((got = write(fd, page, sizeof(page))) > 0)
		;
	SAY("%ld %s ", (long)(lseek(fd, 0, SEEK_CUR) >> 20), strerrorname_np(errno));
	SAY("%d %s", ftruncate(fd, 1l << 40), strerrorname_np(errno));
}

static void sleep_for_ever(void)
{
	struct epoll_event event;

	epoll_ctl(epoll, EPOLL_CTL_DEL, semaphore, NULL);
	epoll_ctl(epoll, EPOLL_CTL_DEL, timer, NULL);
	look_epoll("last", epoll);
	epoll_wait(epoll, &event, 1, -1);
	SAY("woken");
}

int main(void)
{
	const struct mf_request *request;

	prepare();
	while ((request = mf_wait())) {
		const char *target = mf_request_target(request).data;

		used = 0;
		answer[0] = 0;
		if (!strcmp(target, "/change"))
			change();
		else if (!strcmp(target, "/fill"))
			fill();
		else if (!strcmp(target, "/file"))
			fill_file();
		else if (!strcmp(target, "/sleep"))
			sleep_for_ever();
		else
			look();
		mf_respond(200, "text/plain", answer, used);
	}
	return 0;
}
