/* SPDX-License-Identifier: MIT */
/*
 *	tour BUILD [--no-wait] [SCENE...]
 *
 * Runs the scenes, each in a process of its own. Exit status: 0 when every claim held, 1 when one
 * did not, 2 for wrong use, 130 when interrupted. No process of ours outlives it.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "folder.h"
#include "say.h"
#include "server.h"
#include "times.h"
#include "tour.h"

#define SLOWER_EMULATED 10 /* time limits */
#define BURIAL_MAX_NS   15000000000ull

struct scene {
	const char *title;
	void (*show)(const struct tour *tour);
	unsigned int seconds; /* at most; 0: until Enter */
};

static const struct scene scenes[] = {
	{"Honest clients: every package of this machine through a program that nobody trusts",
	 scene_honest, 20},
	{"Takeover: what a crafted request steals and leaves behind", scene_takeover, 20},
	{"A thousand live VMs", scene_many, 30},
	{"What a request costs", scene_table, 30},
	{"Import: the same packages into a store that outlives its requests", scene_import, 60},
	{"A hostile crowd beside honest clients", scene_crowd, 30},
	{"Pull the plug: the server is killed in the middle of writes", scene_plug, 60},
	{"Measured from outside: what the probes see", scene_probes, 20},
	{"Your turn", scene_visit, 20},
};
#define SCENES ((int)(sizeof(scenes) / sizeof(scenes[0])))

static volatile sig_atomic_t stopped;
static volatile sig_atomic_t timed_out;
static volatile pid_t running;

static void on_signal(int signo)
{
	if (signo == SIGALRM)
		timed_out = 1;
	else
		stopped = 1;
	if (running > 0)
		kill(running, SIGKILL);
}

static void handle_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM};
	struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* The scene's own process: the interrupt is its parent's affair. */
__attribute__((noreturn)) static void play(const struct tour *tour, const struct scene *scene)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	scene->show(tour);
	fflush(stdout);
	_exit(claims_failed() ? 1 : 0);
}

/* Servers whose scene was killed die with it; they are ours to bury. False: one does not die. */
static bool bury(void)
{
	struct timespec nap = {.tv_nsec = 5000000};
	uint64_t until = now_ns() + BURIAL_MAX_NS;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) >= 0 && now_ns() < until)
		if (pid == 0)
			nanosleep(&nap, NULL);
	return pid < 0;
}

static bool run(struct tour *tour, int index)
{
	char *folder = folder_make();
	const struct scene *scene = &scenes[index];
	unsigned int seconds = scene->seconds * (tour->emulated ? SLOWER_EMULATED : 1);
	int status = -1;
	pid_t pid;

	say_scene(index + 1, scene->title);
	if (!folder)
		return claim(false, "no temporary folder ($TMPDIR or /tmp): %s", strerror(errno));
	tour->folder = folder;
	timed_out = 0;
	pid = fork_bound();
	if (pid == 0)
		play(tour, scene);
	running = pid;
	alarm(tour->wait && scene->show == scene_visit ? 0 : seconds);
	if (stopped && pid > 0)
		kill(pid, SIGKILL);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	running = -1;
	alarm(0);
	if (!bury())
		claim(false, "a process that this scene started does not end");
	if (!folder_remove(folder))
		claim(false, "%s cannot be removed: %s", folder, strerror(errno));
	free(folder);
	if (timed_out)
		claim(false, "this took longer than %u seconds and was stopped", seconds);
	else if (!stopped && (!WIFEXITED(status) || WEXITSTATUS(status) > 1))
		claim(false, "the scene itself died (status 0x%x)", status);
	return status == 0 && !timed_out;
}

static int usage(void)
{
	fprintf(stderr, "usage: tour BUILD [--no-wait] [SCENE...]\n"
			"  BUILD      folder with the built project\n"
			"  --no-wait  end the last scene without waiting for Enter\n"
			"  SCENE      numbers from 1; without any, all are shown\n");
	return 2;
}

/* A program of the build, the first of two places that exists; owned by nobody. */
static const char *find(const char *build, const char *here, const char *there)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", build, here) > 0 && access(path, X_OK) == 0)
		return path;
	free(path);
	if (there)
		return find(build, there, NULL);
	fprintf(stderr, "tour: there is no program %s/%s: build it first\n", build, here);
	return NULL;
}

static bool parse(struct tour *tour, bool *wanted, int argc, char **argv)
{
	bool any = false;

	for (int i = 2; i < argc; i++) {
		int number = atoi(argv[i]);

		if (strcmp(argv[i], "--no-wait") == 0) {
			tour->wait = false;
		} else if (number >= 1 && number <= SCENES) {
			wanted[number - 1] = any = true;
		} else {
			return false;
		}
	}
	for (int i = 0; i < SCENES && !any; i++)
		wanted[i] = true;
	return true;
}

static int show_all(struct tour *tour, const bool *wanted)
{
	uint64_t start = now_ns();
	int failed = 0, shown = 0;

	printf("%s packages (%s), %s bytes.\n", with_commas(tour->stanzas.count),
	       tour->stanzas.source, with_commas(tour->stanzas.bytes));
	for (int i = 0; i < SCENES && !stopped; i++) {
		if (!wanted[i])
			continue;
		failed += !run(tour, i);
		shown++;
	}
	if (stopped)
		return 130;
	printf("\n%d scenes, %d failed; %.0f seconds.\n", shown, failed,
	       (double)(now_ns() - start) / 1e9);
	return failed != 0;
}

int main(int argc, char **argv)
{
	struct tour tour = {
		.emulated = getenv("MAYFLY_EMULATED") != NULL,
		.wait = isatty(STDIN_FILENO) && !getenv("MAYFLY_EMULATED"),
	};
	bool wanted[SCENES] = {false};
	int status;

	if (argc < 2 || !parse(&tour, wanted, argc, argv))
		return usage();
	tour.mayfly = find(argv[1], "cli/mayfly", "mayfly");
	tour.stanza = find(argv[1], "examples/demo/stanza", NULL);
	if (!tour.mayfly || !tour.stanza)
		return 2;
	status = stanzas_load(&tour.stanzas);
	if (status < 0) {
		fprintf(stderr, "tour: no stanzas: %s\n", strerror(-status));
		return 2;
	}
	handle_signals();
	status = show_all(&tour, wanted);
	stanzas_finish(&tour.stanzas);
	free((char *)tour.mayfly);
	free((char *)tour.stanza);
	return status;
}
