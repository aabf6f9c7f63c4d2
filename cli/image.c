/* SPDX-License-Identifier: MIT */
/* mayfly image: programs frozen at their ready points, in files. */
#include "cli/image_info.h"
#include "cli/options.h"
#include "cli/program_options.h"
#include "cli/verbs.h"
#include "tenant/image.h"
#include "tenant/warmup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_help(FILE *out)
{
	fputs("usage: mayfly image build -o FILE [OPTIONS] -- PROG [ARGS...]\n"
	      "       mayfly image info FILE [--json]\n"
	      "       mayfly image verify FILE\n"
	      "\n"
	      "build   run a program to the point where it waits for a request, warm it up, and\n"
	      "        write it down; `mayfly serve` and `run` take the file in PROG's place\n"
	      "info    say what is in a file, and whether this machine can run it\n"
	      "verify  read all of it and compare it with its digest\n"
	      "\n"
	      "  -o, --output-file FILE where the image goes; what is there is replaced\n"
	      "  --warmup WHAT          METHOD:PATH[*N], or a file of recorded HTTP/1 requests:\n"
	      "                         answered before it is frozen; may be repeated\n"
	      "  --boot-deadline TIME   for reaching its ready point (60s)\n",
	      out);
	mf_cli_program_help(out);
	fputs("\n"
	      "Exit status: 0; 1 when a file is not fit to run here; 125 when something failed.\n",
	      out);
}

enum {
	OPT_OUTPUT = MF_OPT_VERB,
	OPT_WARMUP,
	OPT_BOOT_DEADLINE,
	OPT_HELP,
};

static const struct option build_options[] = {
	{"output-file", required_argument, NULL, OPT_OUTPUT},
	{"warmup", required_argument, NULL, OPT_WARMUP},
	{"boot-deadline", required_argument, NULL, OPT_BOOT_DEADLINE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

struct build {
	struct mf_cli_program program;
	struct mf_warmup warmup;
	struct mf_image_options options;
	bool help_wanted;
};

static int take_option(struct build *build, int option, char **argv, struct mf_error *err)
{
	switch (option) {
	case 'o':
	case OPT_OUTPUT:
		build->options.path = optarg;
		return 0;
	case OPT_WARMUP:
		return mf_warmup_add(&build->warmup, optarg, err);
	case OPT_BOOT_DEADLINE:
		return mf_parse_duration("boot-deadline", optarg,
					 &build->program.options.boot_deadline_ns, err);
	case OPT_HELP:
	case 'h':
		build->help_wanted = true;
		return 0;
	case ':':
	case '?':
		return mf_cli_bad_option("image build", option, argv, err);
	default:
		return mf_cli_program_option(&build->program, option, optarg, err);
	}
}

static int parse_build(struct build *build, int argc, char **argv, struct mf_error *err)
{
	struct option list[MF_OPTIONS_MAX];
	int option;
	int ret = 0;

	build->program.options.boot_deadline_ns = 60ull * 1000000000;
	mf_cli_program_list(build_options, list);
	while (!ret && (option = getopt_long(argc, argv, "+:ho:", list, NULL)) != -1)
		ret = take_option(build, option, argv, err);
	if (ret || build->help_wanted)
		return ret;
	if (!build->options.path)
		return mf_error_set(err, -EINVAL, "where the image goes is missing: -o FILE");
	if (optind >= argc)
		return mf_error_set(
			err, -EINVAL,
			"no program given; write mayfly image build -o FILE -- PROG [ARGS...]");
	build->program.options.argv = argv + optind;
	build->program.options.warmup = build->warmup.count ? &build->warmup : NULL;
	return mf_cli_program_complete(&build->program, environ, err);
}

static int build_image(int argc, char **argv)
{
	struct build *build = calloc(1, sizeof(*build));
	struct mf_error err = {0};
	int status = MF_STATUS_FAILED;

	if (!build)
		return status;
	mf_cli_program_init(&build->program);
	if (parse_build(build, argc, argv, &err)) {
		mf_cli_fail("image build", &err);
	} else if (build->help_wanted) {
		print_help(stdout);
		status = 0;
	} else {
		build->options.program = build->program.options;
		if (mf_image_build(&build->options, &err))
			mf_cli_fail("image build", &err);
		else
			status = 0;
	}
	mf_warmup_finish(&build->warmup);
	mf_cli_program_finish(&build->program);
	free(build);
	return status;
}

/* info and verify take one file. */
static int open_one(const char *verb, int argc, char **argv, struct mf_image_file *file)
{
	struct mf_error err = {0};
	int fd;

	if (argc < 2) {
		mf_error_set(&err, -EINVAL, "no file given; write mayfly image %s FILE", verb);
		return mf_cli_fail("image", &err);
	}
	fd = open(argv[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		mf_error_set(&err, -errno, "cannot open %s: %s", argv[1], strerror(errno));
	else if (!mf_image_file_open(file, fd, &err))
		return 0;
	if (fd >= 0)
		close(fd);
	return mf_cli_fail("image", &err);
}

static int verify(int argc, char **argv)
{
	struct mf_image_file file;
	struct mf_error err = {0};
	int status = open_one("verify", argc, argv, &file);

	if (status)
		return status;
	if (mf_image_file_verify(&file, &err)) {
		mf_cli_fail("image", &err);
		status = 1;
	}
	close(file.fd);
	return status;
}

static int info(int argc, char **argv)
{
	bool json = argc > 2 && !strcmp(argv[argc - 1], "--json");
	struct mf_image_file file;
	struct mf_error err = {0};
	int status = open_one("info", argc, argv, &file);

	if (status)
		return status;
	status = mf_image_info_print(&file, json, stdout, &err);
	if (status < 0)
		status = mf_cli_fail("image", &err);
	close(file.fd);
	return status;
}

int mf_verb_image(int argc, char **argv)
{
	struct mf_error err = {0};

	if (argc >= 2 && !strcmp(argv[1], "build"))
		return build_image(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "info"))
		return info(argc - 1, argv + 1);
	if (argc >= 2 && !strcmp(argv[1], "verify"))
		return verify(argc - 1, argv + 1);
	if (argc >= 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		print_help(stdout);
		return 0;
	}
	mf_error_set(&err, -EINVAL, "%s; mayfly image --help tells what it does",
		     argc < 2 ? "build, info or verify is missing" : "there is no such word");
	return mf_cli_fail("image", &err);
}
