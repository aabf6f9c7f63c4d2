/* SPDX-License-Identifier: MIT */
#include "cli/top_screen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* The other screen, no cursor; and back. */
#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

/* Lines beside those of tenants: two above the table, its head, one below. */
#define OTHER_LINES 4u

struct screen {
	const struct mf_top_options *options;
	struct mf_top_view view;
	struct mf_survey now;
	struct mf_survey before;
	struct mf_error trouble; /* "": the last survey was one */
	struct termios modes;    /* as they were */
	unsigned int height;
	unsigned int width;
	size_t tenants;
	bool help;
	int signals;
	/* the thread that asks */
	pthread_t thread;
	int asked; /* eventfds: ask; it has answered; end */
	int answered;
	pthread_mutex_t lock; /* of what follows */
	bool fresh;
	bool ending;
	struct mf_survey survey;
	struct mf_error survey_trouble;
};

/* ---- the terminal ---- */

static void put_all(const char *text, size_t bytes)
{
	while (bytes) {
		ssize_t put = write(STDOUT_FILENO, text, bytes);

		if (put < 0 && errno != EINTR && errno != EAGAIN)
			return; /* it is gone; its end is read next */
		if (put > 0) {
			text += put;
			bytes -= (size_t)put;
		}
	}
}

static void enter(struct screen *screen)
{
	struct termios raw = screen->modes;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_oflag &= ~(tcflag_t)OPOST;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	put_all(ENTER, strlen(ENTER));
}

static void leave(const struct screen *screen)
{
	put_all(LEAVE, strlen(LEAVE));
	tcsetattr(STDIN_FILENO, TCSADRAIN, &screen->modes);
}

static void measure(struct screen *screen)
{
	struct winsize size = {0};

	ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	screen->height = size.ws_row ? size.ws_row : 24;
	screen->width = size.ws_col ? size.ws_col : 80;
	screen->view.width = screen->width;
	screen->view.lines = screen->height > OTHER_LINES ? screen->height - OTHER_LINES : 1;
}

/* ---- what is on it ---- */

static const char keys[] = "q quit  < > or a letter: sort  R reverse  j k: scroll  ? keys";
static const char help[] =
	"\033[K\r\n  T tenant   N requests/s   5 p50    9 p99     W wait (queue)   V VMs\033[K\r\n"
	"  X exits a request   F faults a request   S store calls/s   C cpu   Y "
	"why\033[K\r\n\033[K\r\n"
	"  WAIT   requests without a VM       VMS  busy/all of its VMs\033[K\r\n"
	"  EX/R   user exits a request        PF/R page faults a request\033[K\r\n"
	"  WHY    what most of the requests' time went to; behind <, what the VMs do\033[K\r\n"
	"         that a queue waits for: queue, processor, program, turns (others of\033[K\r\n"
	"         its worker), store, calls (a time, a socket), client\033[K\r\n";

/* As much of a line as there is room for. */
static void put_line(FILE *to, const char *text, unsigned int width, const char *end)
{
	fprintf(to, "%.*s\033[K%s", (int)width, text, end);
}

static void draw_head(FILE *to, const struct screen *screen)
{
	char line[sizeof(struct mf_error) + 64];
	char when[16] = "";
	time_t seconds = time(NULL);
	struct tm now;
	char *sum = NULL;
	size_t bytes = 0;
	FILE *text = open_memstream(&sum, &bytes);

	if (localtime_r(&seconds, &now))
		strftime(when, sizeof(when), "%H:%M:%S", &now);
	snprintf(line, sizeof(line), "mayfly top  %s  every %.1fs  %s", when,
		 (double)screen->options->interval_ns / 1e9, screen->options->path);
	put_line(to, line, screen->width, "\r\n");
	if (!text)
		return;
	if (screen->trouble.text[0])
		fprintf(text, "no answer: %s", screen->trouble.text);
	else
		mf_top_sum(text, &screen->now, &screen->before);
	if (!fclose(text))
		put_line(to, sum, screen->width, "\r\n");
	free(sum);
}

static void draw(struct screen *screen)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *to = open_memstream(&text, &bytes);

	if (!to)
		return;
	fputs("\033[H", to);
	draw_head(to, screen);
	if (screen->help)
		fputs(help, to);
	else
		screen->tenants = mf_top_print(to, &screen->now, &screen->before, &screen->view);
	fprintf(to, "\033[J\033[%u;1H", screen->height);
	put_line(to, keys, screen->width - 1, "");
	if (!fclose(to))
		put_all(text, bytes);
	free(text);
}

/* ---- the thread that asks ---- */

static void ask(const struct screen *screen)
{
	uint64_t one = 1;

	if (write(screen->asked, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes it always */
}

static bool is_ending(struct screen *screen)
{
	bool ending;

	pthread_mutex_lock(&screen->lock);
	ending = screen->ending;
	pthread_mutex_unlock(&screen->lock);
	return ending;
}

static void give(struct screen *screen, const struct mf_survey *survey, const struct mf_error *err)
{
	uint64_t one = 1;

	pthread_mutex_lock(&screen->lock);
	if (screen->fresh)
		mf_survey_finish(&screen->survey);
	screen->survey = *survey;
	screen->survey_trouble = *err;
	screen->fresh = true;
	pthread_mutex_unlock(&screen->lock);
	if (write(screen->answered, &one, sizeof(one)) < 0)
		abort();
}

static void *survey(void *arg)
{
	struct screen *screen = arg;
	uint64_t times;

	while (read(screen->asked, &times, sizeof(times)) > 0 && !is_ending(screen)) {
		struct mf_survey survey = {0};
		struct mf_error err = {0};

		mf_survey_take(&survey, screen->options->path, screen->options->timeout_ms, &err);
		give(screen, &survey, &err);
	}
	return NULL;
}

static void take_answer(struct screen *screen)
{
	uint64_t times;

	if (read(screen->answered, &times, sizeof(times)) < 0)
		return;
	pthread_mutex_lock(&screen->lock);
	screen->trouble = screen->survey_trouble;
	if (screen->fresh && screen->trouble.text[0]) {
		mf_survey_finish(&screen->survey);
	} else if (screen->fresh) {
		mf_survey_finish(&screen->before);
		screen->before = screen->now;
		screen->now = screen->survey;
	}
	screen->fresh = false;
	pthread_mutex_unlock(&screen->lock);
}

/* ---- keys and signals ---- */

static void sort_by(struct screen *screen, int column)
{
	screen->view.sort = (enum mf_top_column)((column + MF_TOP_COLUMNS) % MF_TOP_COLUMNS);
	screen->view.first = 0;
}

static void scroll(struct screen *screen, int by)
{
	long first = (long)screen->view.first + by;
	long last = (long)screen->tenants - (long)screen->view.lines;

	first = first > last ? last : first;
	screen->view.first = first > 0 ? (unsigned int)first : 0;
}

/* False: that is the end. */
static bool take_key(struct screen *screen, int key)
{
	static const char letters[MF_TOP_COLUMNS + 1] = "tn59wvxfscy";
	const char *at = key ? strchr(letters, key | (key >= 'A' && key <= 'Z' ? 0x20 : 0)) : NULL;

	if (key == 'q' || key == 'Q')
		return false;
	if (key == '?' || key == 'h')
		screen->help = !screen->help;
	else if (key == '<')
		sort_by(screen, (int)screen->view.sort - 1);
	else if (key == '>')
		sort_by(screen, (int)screen->view.sort + 1);
	else if (key == 'R' || key == 'r')
		screen->view.reversed = !screen->view.reversed;
	else if (key == 'j' || key == 'k')
		scroll(screen, key == 'j' ? 1 : -1);
	else if (key == ' ')
		ask(screen);
	else if (at)
		sort_by(screen, (int)(at - letters));
	return true;
}

/* Arrows come as ESC [ A..D. */
static bool take_keys(struct screen *screen)
{
	static const char arrows[] = "kj><";
	char bytes[64];
	ssize_t got = read(STDIN_FILENO, bytes, sizeof(bytes));
	ssize_t i;

	if (got <= 0)
		return got < 0 && (errno == EINTR || errno == EAGAIN);
	for (i = 0; i < got; i++) {
		int key = bytes[i];

		if (key == '\033' && i + 2 < got && bytes[i + 1] == '[') {
			i += 2;
			key = bytes[i] >= 'A' && bytes[i] <= 'D' ? arrows[bytes[i] - 'A'] : 0;
		}
		if (!take_key(screen, key))
			return false;
	}
	return true;
}

/* The signal stops us as if we had no terminal to put back. */
static void stop(struct screen *screen)
{
	sigset_t one;

	leave(screen);
	raise(SIGSTOP);
	sigemptyset(&one);
	enter(screen);
	measure(screen);
}

static bool take_signal(struct screen *screen)
{
	struct signalfd_siginfo signal;

	if (read(screen->signals, &signal, sizeof(signal)) != sizeof(signal))
		return true;
	if (signal.ssi_signo == SIGWINCH)
		measure(screen);
	else if (signal.ssi_signo == SIGTSTP)
		stop(screen);
	else if (signal.ssi_signo != SIGCONT)
		return false;
	return true;
}

/* ---- its life ---- */

static void run(struct screen *screen)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = screen->signals, .events = POLLIN},
			       {.fd = screen->answered, .events = POLLIN}};
	uint64_t left = screen->options->count;
	int interval_ms = (int)(screen->options->interval_ns / 1000000);
	bool goes_on = true;
	struct timespec at;
	int64_t next_ms = 0;

	while (goes_on) {
		int64_t now_ms;

		clock_gettime(CLOCK_MONOTONIC, &at);
		now_ms = (int64_t)at.tv_sec * 1000 + at.tv_nsec / 1000000;
		if (now_ms >= next_ms) {
			ask(screen);
			next_ms = now_ms + interval_ms;
		}
		if (poll(fds, 3, (int)(next_ms - now_ms)) < 0 && errno != EINTR)
			return;
		if (fds[2].revents) {
			take_answer(screen);
			goes_on = !left || --left;
		}
		if (fds[1].revents)
			goes_on = goes_on && take_signal(screen);
		if (fds[0].revents)
			goes_on = goes_on && take_keys(screen);
		if (fds[0].revents || fds[1].revents || fds[2].revents)
			draw(screen);
	}
}

static void end_thread(struct screen *screen)
{
	pthread_mutex_lock(&screen->lock);
	screen->ending = true;
	pthread_mutex_unlock(&screen->lock);
	ask(screen);
	pthread_join(screen->thread, NULL);
	if (screen->fresh)
		mf_survey_finish(&screen->survey);
}

/* All threads hold them back: they are read. */
static int open_signals(void)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP, SIGCONT};
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int mf_top_screen(const struct mf_top_options *options, struct mf_error *err)
{
	struct screen screen = {
		.options = options,
		.view = {.sort = options->sort, .colours = true, .end = "\033[K\r\n"},
		.lock = PTHREAD_MUTEX_INITIALIZER};
	int code;

	/* Before there are threads, those of the client too. */
	screen.signals = open_signals();
	code = mf_survey_take(&screen.now, options->path, options->timeout_ms, err);
	if (code)
		return code;
	screen.asked = eventfd(0, EFD_CLOEXEC);
	screen.answered = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (screen.signals < 0 || screen.asked < 0 || screen.answered < 0 ||
	    tcgetattr(STDIN_FILENO, &screen.modes) ||
	    pthread_create(&screen.thread, NULL, survey, &screen)) {
		mf_survey_finish(&screen.now);
		return mf_error_set(err, -EIO, "cannot use this terminal: %s", strerror(errno));
	}
	measure(&screen);
	enter(&screen);
	draw(&screen);
	run(&screen);
	leave(&screen);
	end_thread(&screen);
	mf_survey_finish(&screen.now);
	mf_survey_finish(&screen.before);
	return 0;
}
