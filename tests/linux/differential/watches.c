/* SPDX-License-Identifier: MIT */
/* Watching files. */
#include "case.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* What has happened: all events that are there. */
static void show_events(int fd)
{
	char bytes[4096] __attribute__((aligned(8)));
	ssize_t got = read(fd, bytes, sizeof(bytes));
	ssize_t at = 0;

	if (got < 0)
		say("no events: %s", strerrorname_np(errno));
	while (at < got) {
		const struct inotify_event *event = (const void *)(bytes + at);

		say("watch %d: %#x cookie %d \"%s\"", event->wd, event->mask, !!event->cookie,
		    event->len ? event->name : "");
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

CASE(a_folder_is_watched, inotify_init1, inotify_add_watch, inotify_rm_watch)
{
	struct pollfd ready;
	int fd, bytes = 0;

	SHOW(SYS(inotify_init1, 0x12345));
	SHOW(fd = (int)SYS(inotify_init1, IN_NONBLOCK | IN_CLOEXEC));
	mkdir("d", 0700);
	put_file("d/old", "text");
	ready = (struct pollfd){.fd = fd, .events = POLLIN};
	SHOW(SYS(inotify_add_watch, fd, "d",
		 IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVE));
	SHOW(SYS(inotify_add_watch, fd, "d/old", IN_MODIFY | IN_ATTRIB));
	SHOW(poll(&ready, 1, 0));
	show_events(fd);
	put_file("d/new", "more");
	SHOW(chmod("d/old", 0600));
	SHOW(truncate("d/old", 1));
	SHOW(rename("d/new", "d/moved"));
	SHOW(mkdir("d/e", 0700));
	SHOW(unlink("d/moved"));
	SHOW(poll(&ready, 1, 0));
	SHOW(ioctl(fd, FIONREAD, &bytes));
	say("%d bytes", bytes);
	SHOW(read(fd, &ready, 4));
	show_events(fd);
	SHOW(SYS(inotify_rm_watch, fd, 1));
	SHOW(SYS(inotify_rm_watch, fd, 1));
	show_events(fd);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(lseek(fd, 0, SEEK_SET));
}

CASE(watches_are_refused, inotify_init, inotify_add_watch, inotify_rm_watch)
{
	int fd;

	SHOW(fd = (int)SYS(inotify_init));
	put_file("f", "");
	mkdir("d", 0700);
	if (symlink("d", "link"))
		abort();
	SHOW(SYS(inotify_add_watch, fd, "missing", IN_CREATE));
	SHOW(SYS(inotify_add_watch, fd, "f", IN_CREATE | IN_ONLYDIR));
	SHOW(SYS(inotify_add_watch, fd, "f", 0));
	SHOW(SYS(inotify_add_watch, fd, NOWHERE, IN_CREATE));
	SHOW(SYS(inotify_add_watch, 0, "f", IN_CREATE));
	SHOW(SYS(inotify_add_watch, 999, "f", IN_CREATE));
	SHOW(SYS(inotify_add_watch, fd, "f", IN_MODIFY | IN_MASK_CREATE));
	SHOW(SYS(inotify_add_watch, fd, "f", IN_MODIFY | IN_MASK_CREATE));
	SHOW(SYS(inotify_add_watch, fd, "f", IN_OPEN));
	SHOW(SYS(inotify_add_watch, fd, "link", IN_DELETE_SELF));
	SHOW(SYS(inotify_add_watch, fd, "link", IN_DELETE_SELF | IN_DONT_FOLLOW));
	SHOW(SYS(inotify_rm_watch, fd, 77));
	SHOW(SYS(inotify_rm_watch, 0, 1));
	SHOW(unlink("link"));
	SHOW(rmdir("d"));
	show_events(fd);
}

CASE(watches_wake_who_waits, inotify_init1, inotify_add_watch)
{
	struct epoll_event event = {.events = EPOLLIN};
	int fd = inotify_init1(0), epoll = epoll_create1(0);

	SHOW(inotify_add_watch(fd, ".", IN_CREATE));
	SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	SHOW(epoll_wait(epoll, &event, 1, 0));
	put_file("f", "");
	SHOW(epoll_wait(epoll, &event, 1, -1));
	show_events(fd);
	SHOW(epoll_wait(epoll, &event, 1, 0));
}
