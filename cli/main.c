/* SPDX-License-Identifier: MIT */
#include "cli/verbs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] = "usage: mayfly VERB [OPTIONS]\n"
			   "\n"
			   "  run     run a program in a virtual machine of its own\n"
			   "  serve   serve HTTP, every request in a fresh virtual machine\n"
			   "  image   freeze a program at its ready point into a file\n"
			   "  ctl     ask a serving engine how it is, or tell it to end\n"
			   "  store   look at, check, copy and mend a store\n"
			   "  stat    measure the exits and resets of a command or process\n"
			   "  top     show live what tenants do, and why they are slow\n"
			   "  bench   measure this machine, and compare two results\n"
			   "  config  check or show a configuration file of mayflyd\n"
			   "  doctor  say what this host can do, and how to mend it\n"
			   "\n"
			   "mayfly VERB --help tells more; mayfly --version its version.\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"run", mf_verb_run},       {"serve", mf_verb_serve}, {"image", mf_verb_image},
	{"ctl", mf_verb_ctl},       {"stat", mf_verb_stat},   {"config", mf_verb_config},
	{"doctor", mf_verb_doctor}, {"store", mf_verb_store}, {"top", mf_verb_top},
	{"bench", mf_verb_bench},
};

/* Else the first files that are opened become what a guest prints on. */
static int open_missing_streams(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	size_t i;

	if (open_missing_streams())
		return MF_STATUS_FAILED;
	if (argc < 2) {
		fputs(help, stderr);
		return MF_STATUS_FAILED;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		fputs(help, stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version")) {
		puts("mayfly " MF_VERSION);
		return 0;
	}
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	fprintf(stderr, "mayfly: there is no verb %s; mayfly --help lists them\n", argv[1]);
	return MF_STATUS_FAILED;
}
