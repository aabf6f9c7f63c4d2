/* SPDX-License-Identifier: MIT */
/* A program at a terminal: signals that come, modes that it sets. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t came;

static void on_signal(int signo)
{
	came = signo;
}

/* Wait for a signal: in a call, or busy. */
static int wait_for(int busy)
{
	static const int list[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
	struct sigaction action = {.sa_handler = on_signal};
	unsigned int i;

	for (i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		sigaction(list[i], &action, NULL);
	puts("ready");
	fflush(stdout);
	while (!came)
		if (!busy)
			sleep(20);
	printf("%d\n", came);
	return 5;
}

static int show_modes(void)
{
	struct termios mode;
	struct winsize size = {0};

	if (tcgetattr(0, &mode))
		return 1;
	mode.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(0, TCSANOW, &mode) || tcgetattr(0, &mode) || ioctl(0, TIOCGWINSZ, &size))
		return 2;
	printf("echo %d rows %d columns %d\n", mode.c_lflag & ECHO ? 1 : 0, size.ws_row,
	       size.ws_col);
	return 0;
}

/* The terminal of the session, by its name: natively, and in a VM where the caller has one. */
static int use_terminal(void)
{
	struct winsize size = {.ws_row = 44, .ws_col = 55};
	int fd = open("/dev/tty", O_RDWR);
	char line[16] = "";
	int left = -1;

	printf("open %d\n", fd >= 0);
	printf("in front %d, leader %d\n", tcgetpgrp(fd) == getpgrp(), tcgetsid(0) == getsid(0));
	printf("group %d, nobody's %d\n", tcsetpgrp(fd, getpgrp()), tcsetpgrp(fd, 1 << 30));
	printf("size %d, %d\n", ioctl(fd, TIOCSWINSZ, &size), ioctl(0, TIOCGWINSZ, &size));
	printf("rows %d\n", size.ws_row);
	printf("flow %d, flush %d\n", tcflow(fd, TCOON), tcflush(fd, TCIFLUSH));
	fflush(stdout);
	if (write(fd, "password:\n", 10) != 10)
		return 1;
	printf("drain %d, left %d %d\n", tcdrain(fd), ioctl(fd, TIOCOUTQ, &left), left);
	printf("read %d ", (int)read(fd, line, sizeof(line) - 1));
	printf("%s", line);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "modes"))
		return show_modes();
	if (argc > 1 && !strcmp(argv[1], "uses"))
		return use_terminal();
	return wait_for(argc > 1 && !strcmp(argv[1], "busy"));
}
