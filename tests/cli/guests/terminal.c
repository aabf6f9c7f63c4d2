/* SPDX-License-Identifier: MIT */
/* A program at a terminal: signals that come, modes that it sets. */
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

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "modes"))
		return show_modes();
	return wait_for(argc > 1 && !strcmp(argv[1], "busy"));
}
