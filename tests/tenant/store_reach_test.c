/* SPDX-License-Identifier: MIT */
/*
 * What an engine with a store can reach once it is locked in, set up by the code that `mayfly serve
 * --store` runs: the store's folder and nothing else. Whoever has taken the process over asks here,
 * by system calls of his own.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tenant/program.h"
#include "tenant/store.h"

static char root[64];
static char path[128];

static const char *in_root(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void make_file(const char *name)
{
	int fd = open(in_root(name), O_CREAT | O_WRONLY, 0600);

	cr_assert_geq(fd, 0);
	close(fd);
}

static void make_root(void)
{
	strcpy(root, "/tmp/mayfly-reach-XXXXXX");
	cr_assert_not_null(mkdtemp(root));
	cr_assert_eq(mkdir(in_root("store"), 0700), 0);
	cr_assert_eq(mkdir(in_root("store-too"), 0700), 0);
	make_file("beside");
	make_file("store/data.mdb");
	make_file("store-too/data.mdb");
	cr_assert_eq(symlink("../beside", in_root("store/link")), 0);
}

static void remove_root(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	cr_expect_eq(system(command), 0);
}

TestSuite(reach, .init = make_root, .fini = remove_root, .timeout = 60);

#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			dprintf(STDERR_FILENO, "line %d: %s (errno %d)\n", __LINE__, #condition, \
				errno);                                                          \
			return 1;                                                                \
		}                                                                                \
	} while (0)
#define DENIED(call) CHECK((errno = 0, (call) == -1 && (errno == EACCES || errno == EXDEV)))

static int lock_in(void)
{
	static struct mf_program program;
	static struct mf_tenant_store store;
	char *argv[] = {"/proc/self/exe", NULL};
	struct mf_program_options options = {.argv = argv, .memory_bytes = 64u << 20};
	struct mf_tenant_store_options with = {
		.folder = in_root("store"), .size_bytes = 1u << 20, .memory_bytes = 64u << 20};
	struct mf_error err = {""};
	int ret = mf_program_open(&program, &options, &err);

	if (!ret)
		ret = mf_tenant_store_open(&store, &with, &program.kvm, 1, &err);
	if (!ret)
		ret = mf_program_confine(&program, store.permit, NULL, NULL, &err);
	if (ret)
		dprintf(STDERR_FILENO, "%s\n", err.text);
	return ret;
}

static int reach_out(void)
{
	char own[128];
	char other[128];

	CHECK(!lock_in());
	DENIED(open("/etc/passwd", O_RDONLY));
	DENIED(open("/", O_RDONLY | O_DIRECTORY));
	DENIED(open(root, O_RDONLY | O_DIRECTORY));
	DENIED(open(in_root("beside"), O_RDONLY));
	DENIED(open(in_root("store/link"), O_RDONLY));
	DENIED(open(in_root("store/../beside"), O_RDWR));
	DENIED(open(in_root("store-too/data.mdb"), O_RDONLY));
	DENIED(open(in_root("new"), O_CREAT | O_WRONLY, 0600));
	DENIED(mkdir(in_root("new"), 0700));
	DENIED(unlink(in_root("beside")));
	DENIED(rmdir(in_root("store-too")));
	DENIED(open("/proc/self/mem", O_RDWR));
	DENIED(open("/dev/kvm", O_RDWR));
	strcpy(own, in_root("store/data.mdb"));
	strcpy(other, in_root("moved"));
	DENIED(rename(own, other));
	DENIED(link(own, other));
	return 0;
}

static int use_the_folder(void)
{
	char from[128];

	CHECK(!lock_in());
	CHECK(open(in_root("store"), O_RDONLY | O_DIRECTORY) >= 0);
	CHECK(open(in_root("store/data.mdb"), O_RDWR) >= 0);
	CHECK(open(in_root("store/new"), O_CREAT | O_RDWR, 0600) >= 0);
	strcpy(from, in_root("store/new"));
	CHECK(!rename(from, in_root("store/newer")));
	CHECK(!unlink(in_root("store/newer")));
	return 0;
}

static void in_a_child(int (*body)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(body());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && !WEXITSTATUS(status), "status 0x%x", (unsigned int)status);
}

Test(reach, an_engine_with_a_store_reaches_nothing_outside_its_folder)
{
	in_a_child(reach_out);
}

Test(reach, an_engine_with_a_store_reaches_its_folder)
{
	in_a_child(use_the_folder);
}
