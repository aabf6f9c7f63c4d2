/* SPDX-License-Identifier: MIT */
#include "cli/stat_target.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#define STATUS_NOT_FOUND  127
#define STATUS_NOT_TO_RUN 126

static const struct mf_target none = {
	.pid = -1, .pidfd = -1, .signals = -1, .gate = -1, .failure = -1};

static void our_signals(sigset_t *set)
{
	static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
	size_t i;

	sigemptyset(set);
	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		sigaddset(set, list[i]);
}

static int hold_signals(struct mf_target *target)
{
	sigset_t set;

	our_signals(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	target->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return target->signals < 0 ? -errno : 0;
}

static int open_pidfd(struct mf_target *target)
{
	target->pidfd = (int)syscall(SYS_pidfd_open, target->pid, 0);
	return target->pidfd < 0 ? -errno : 0;
}

/* In the child: nothing but system calls until exec. */
static void become(char **argv, int gate, int failure, const sigset_t *mask)
{
	int code;
	char byte;

	if (read(gate, &byte, 1) != 1)
		_exit(STATUS_NOT_TO_RUN);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	code = errno;
	if (write(failure, &code, sizeof(code)) < 0)
		_exit(STATUS_NOT_TO_RUN);
	_exit(code == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_TO_RUN);
}

static int start(struct mf_target *target, char **argv)
{
	int gate[2];
	int failure[2];
	sigset_t before;
	int ret;

	sigprocmask(SIG_SETMASK, NULL, &before);
	ret = hold_signals(target);
	if (ret)
		return ret;
	if (pipe2(gate, O_CLOEXEC))
		return -errno;
	if (pipe2(failure, O_CLOEXEC)) {
		ret = -errno;
		close(gate[0]);
		close(gate[1]);
		return ret;
	}
	target->pid = fork();
	ret = target->pid < 0 ? -errno : 0;
	if (!target->pid) {
		close(gate[1]); /* else it would keep its own gate open */
		become(argv, gate[0], failure[1], &before);
	}
	close(gate[0]);
	close(failure[1]);
	target->gate = gate[1];
	target->failure = failure[0];
	target->started = !ret;
	return ret ? ret : open_pidfd(target);
}

int mf_target_start(struct mf_target *target, char **argv, struct mf_error *err)
{
	int ret;

	*target = none;
	ret = start(target, argv);
	if (!ret)
		return 0;
	mf_target_finish(target);
	return mf_error_set(err, ret, "cannot start a process: %s", strerror(-ret));
}

static void collect(struct mf_target *target)
{
	siginfo_t info = {0};

	target->ended = true;
	if (!target->started || waitid(P_PID, (id_t)target->pid, &info, WEXITED))
		return;
	target->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

int mf_target_release(struct mf_target *target, const char *name, struct mf_error *err)
{
	ssize_t got;
	int code = 0;

	if (write(target->gate, "", 1) != 1)
		return mf_error_set(err, -EPIPE, "the process for %s is gone", name);
	close(target->gate);
	target->gate = -1;
	do {
		got = read(target->failure, &code, sizeof(code));
	} while (got < 0 && errno == EINTR);
	if (got != sizeof(code))
		return 0;
	collect(target);
	return mf_error_set(err, -code, "cannot run %s: %s", name, strerror(code));
}

int mf_target_join(struct mf_target *target, pid_t pid, struct mf_error *err)
{
	int ret;

	*target = none;
	target->pid = pid;
	ret = open_pidfd(target);
	if (!ret)
		ret = hold_signals(target);
	if (!ret)
		return 0;
	mf_target_finish(target);
	if (ret == -ESRCH || ret == -EINVAL)
		return mf_error_set(err, ret, "there is no process %d", pid);
	return mf_error_set(err, ret, "cannot watch process %d: %s", pid, strerror(-ret));
}

/* The terminal sends ^C to all of its foreground: the command has that already. */
static bool on_signal(struct mf_target *target)
{
	struct signalfd_siginfo info;

	if (read(target->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (!target->started)
		return true;
	if (info.ssi_code != SI_KERNEL)
		kill(target->pid, (int)info.ssi_signo);
	return false;
}

bool mf_target_wait(struct mf_target *target, int timeout_ms)
{
	struct pollfd fds[2] = {{.fd = target->pidfd, .events = POLLIN},
				{.fd = target->signals, .events = POLLIN}};

	if (poll(fds, 2, timeout_ms) <= 0)
		return false;
	if (fds[1].revents && on_signal(target))
		return true;
	if (!fds[0].revents)
		return false;
	collect(target);
	return true;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void mf_target_finish(struct mf_target *target)
{
	close_fd(&target->gate);
	close_fd(&target->failure);
	if (target->started && !target->ended)
		collect(target);
	close_fd(&target->pidfd);
	close_fd(&target->signals);
}
