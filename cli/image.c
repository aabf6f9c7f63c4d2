/* SPDX-License-Identifier: MIT */
/* mayfly image: programs frozen at their ready points, in files. */
#include "cli/image_info.h"
#include "cli/options.h"
#include "cli/verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int parse_build(const struct mf_verb *verb, int argc, char **argv, struct mf_values *values,
		       struct mf_error *err)
{
	int ret = mf_parse_flags(verb, argc, argv, values, err);

	if (ret || values->help)
		return ret;
	if (!values->image_path)
		return mf_error_set(err, -EINVAL, "where the image goes is missing: -o FILE");
	if (optind >= argc)
		return mf_error_set(
			err, -EINVAL,
			"no program given; write mayfly image build -o FILE -- PROG [ARGS...]");
	values->program.argv = argv + optind;
	return mf_values_complete(values, environ, err);
}

static int build_image(int argc, char **argv)
{
	const struct mf_verb *verb = mf_verb_find("image build");
	struct mf_values values;
	struct mf_error err = {0};
	int status = MF_STATUS_FAILED;

	if (mf_values_init(&values, verb->place, &err) ||
	    parse_build(verb, argc, argv, &values, &err)) {
		mf_cli_fail("image build", &err);
	} else if (values.help) {
		mf_print_help(verb, stdout);
		status = 0;
	} else {
		struct mf_image_options options = {.program = values.program,
						   .path = values.image_path};

		if (mf_image_build(&options, &err))
			mf_cli_fail("image build", &err);
		else
			status = 0;
	}
	mf_values_finish(&values);
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
		mf_print_help(mf_verb_find("image build"), stdout);
		return 0;
	}
	mf_error_set(&err, -EINVAL, "%s; mayfly image --help tells what it does",
		     argc < 2 ? "build, info or verify is missing" : "there is no such word");
	return mf_cli_fail("image", &err);
}
