/* SPDX-License-Identifier: MIT */
#include "bench/nuisance.h"
#include "bench/harness.h"
#include "bench/socket.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct crowd {
	const struct bench_nuisance *nuisance;
	int epoll;
	int *fds;
	char request[128];
	size_t request_bytes;
};

/* False: not now. */
static bool dial(struct crowd *crowd, unsigned int client)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = client};
	int fd = bench_connect(crowd->nuisance->address);

	crowd->fds[client] = fd;
	if (fd < 0)
		return false;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, fd, &event);
	return true;
}

static void hang_up(struct crowd *crowd, unsigned int client)
{
	close(crowd->fds[client]);
	crowd->fds[client] = -1;
}

static bool ask(struct crowd *crowd, unsigned int client)
{
	if (crowd->fds[client] < 0 && !dial(crowd, client))
		return false;
	if (write(crowd->fds[client], crowd->request, crowd->request_bytes) > 0)
		return true;
	hang_up(crowd, client);
	return false;
}

/* Answers are small: what can be read is one. */
static void hear(struct crowd *crowd, unsigned int client)
{
	char answer[4096];

	if (read(crowd->fds[client], answer, sizeof(answer)) <= 0 || crowd->nuisance->reconnect)
		hang_up(crowd, client);
	ask(crowd, client);
}

static void be_a_nuisance(struct crowd *crowd)
{
	unsigned int clients = crowd->nuisance->clients;
	struct epoll_event events[256];
	unsigned int next = 0;
	int count, i;

	for (;;) {
		/* Those who hang and could not dial: a few at a time. */
		for (i = 0; i < 64; i++, next = (next + 1) % clients)
			if (crowd->fds[next] < 0 && !ask(crowd, next))
				break;
		count = epoll_wait(crowd->epoll, events, 256, 1);
		for (i = 0; i < count; i++)
			hear(crowd, events[i].data.u32);
	}
}

static void become(const struct bench_nuisance *nuisance)
{
	struct sched_param none = {0};
	struct crowd crowd = {.nuisance = nuisance};
	struct rlimit files;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	sched_setscheduler(0, SCHED_IDLE, &none);
	bench_pin(-1);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	crowd.request_bytes =
		(size_t)snprintf(crowd.request, sizeof(crowd.request),
				 "GET %s HTTP/1.1\r\nHost: noisy\r\n\r\n", nuisance->target);
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	crowd.fds = calloc(nuisance->clients, sizeof(int));
	for (i = 0; crowd.fds && i < nuisance->clients; i++)
		crowd.fds[i] = -1;
	if (crowd.fds && crowd.epoll >= 0)
		be_a_nuisance(&crowd);
	_exit(1);
}

bool bench_nuisance_start(struct bench_nuisance *nuisance)
{
	nuisance->pid = fork();
	if (nuisance->pid == 0)
		become(nuisance);
	return nuisance->pid > 0;
}

void bench_nuisance_pause(const struct bench_nuisance *nuisance, bool pause)
{
	kill(nuisance->pid, pause ? SIGSTOP : SIGCONT);
}

void bench_nuisance_stop(struct bench_nuisance *nuisance)
{
	if (nuisance->pid <= 0)
		return;
	kill(nuisance->pid, SIGKILL);
	waitpid(nuisance->pid, NULL, 0);
	nuisance->pid = 0;
}
