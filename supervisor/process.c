/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what)
{
	/* What cannot be said here is seen by its exit status. */
	if (write(STDERR_FILENO, what, strlen(what)) < 0)
		_exit(127);
}

static void default_signals(void)
{
	sigset_t none;
	int signo;

	for (signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Only what may be called between fork and exec. */
static void become(const struct mf_spawn *spawn, pid_t parent)
{
	const int *fd;
	int null;

	default_signals();
	/* Its own group: the terminal's signals are for us, who ends it in order. */
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	for (fd = spawn->cgroups; fd && *fd >= 0; fd++)
		if (write(*fd, "0", 1) != 1)
			say("mayflyd: cannot enter a cgroup\n");
	if (spawn->nice)
		setpriority(PRIO_PROCESS, 0, spawn->nice);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	if (spawn->output >= 0) {
		dup2(spawn->output, STDOUT_FILENO);
		dup2(spawn->output, STDERR_FILENO);
	}
	for (fd = spawn->keep; fd && *fd >= 0; fd++)
		fcntl(*fd, F_SETFD, 0);
	execve(spawn->program, spawn->argv, spawn->env);
	say("mayflyd: cannot run ");
	say(spawn->program);
	say("\n");
	_exit(127);
}

pid_t mf_spawn(const struct mf_spawn *spawn, int *pidfd)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0)
		become(spawn, parent);
	if (pid < 0)
		return -errno;
	*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*pidfd < 0) {
		int code = -errno;

		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return code;
	}
	fcntl(*pidfd, F_SETFD, FD_CLOEXEC);
	return pid;
}
