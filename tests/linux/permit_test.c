/* SPDX-License-Identifier: MIT */
/*
 * Permissions on files: a tree with a permitted part and a forbidden one, and every way that is
 * known from the first to the second. What is forbidden must not open whatever the name is made of.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/linux/permit.h"

/*
 * base/ok/         permitted; file, sub/file, links
 * base/ok2/        not permitted (the permitted name is a prefix of its own)
 * base/secret      not permitted
 */
static char base[64];
static char paths[8][PATH_MAX];

static const char *in_base(int slot, const char *name)
{
	snprintf(paths[slot], PATH_MAX, "%s/%s", base, name);
	return paths[slot];
}

static void put(const char *name, const char *text)
{
	int fd = open(in_base(7, name), O_CREAT | O_WRONLY | O_TRUNC, 0644);

	cr_assert(fd >= 0, "%s: %s", name, strerror(errno));
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void make_link(const char *target, const char *name)
{
	cr_assert_eq(symlink(target, in_base(7, name)), 0, "%s: %s", name, strerror(errno));
}

static void make_tree(void)
{
	strcpy(base, "/tmp/mf-permit-XXXXXX");
	cr_assert(mkdtemp(base));
	mkdir(in_base(0, "ok"), 0755);
	mkdir(in_base(0, "ok/sub"), 0755);
	mkdir(in_base(0, "ok2"), 0755);
	put("ok/file", "fine");
	put("ok/sub/file", "fine");
	put("ok2/file", "secret");
	put("secret", "secret");
}

static void remove_tree(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	if (system(command))
		fprintf(stderr, "%s stays\n", base);
}

TestSuite(permit, .init = make_tree, .fini = remove_tree, .timeout = 30);

/* A permit of at most one readable and one writable path; NULL: none. */
static struct mf_permit *permit_of(const char *read, const char *write)
{
	const struct mf_permit_paths reads = {.paths = &read, .count = read != NULL};
	const struct mf_permit_paths writes = {.paths = &write, .count = write != NULL};
	struct mf_permit *permit;
	struct mf_error err = {""};

	cr_assert_eq(mf_permit_create(&permit, &reads, &writes, &err), 0, "%s", err.text);
	return permit;
}

static struct mf_permit *read_all(void)
{
	const struct mf_permit_paths reads = {.all = true};
	struct mf_permit *permit;

	cr_assert_eq(mf_permit_create(&permit, &reads, NULL, NULL), 0);
	return permit;
}

/* Open and close: 0 or -errno. */
static int try_open(const struct mf_permit *permit, const char *path, int flags)
{
	int fd = mf_permit_open(permit, "/", path, flags, 0644);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int try_at(const struct mf_permit *permit, const char *cwd, const char *path, int flags)
{
	int fd = mf_permit_open(permit, in_base(6, cwd), path, flags, 0644);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int try_parent(const struct mf_permit *permit, const char *path, char *name)
{
	int fd = mf_permit_parent(permit, "/", path, name);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

#define OPENS(permit, name, flags)                                                 \
	cr_expect_eq(try_open(permit, in_base(5, name), flags), 0, "%s: %s", name, \
		     strerror(-try_open(permit, in_base(5, name), flags)))
#define FAILS(permit, name, flags, error)                                                 \
	cr_expect_eq(try_open(permit, in_base(5, name), flags), -(error), "%s: %d", name, \
		     try_open(permit, in_base(5, name), flags))

Test(permit, nothing_is_permitted_by_default)
{
	struct mf_permit *permit = permit_of(NULL, NULL);

	FAILS(permit, "ok/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/new", O_WRONLY | O_CREAT, EACCES);
	FAILS(permit, "missing", O_RDONLY, EACCES);
	cr_expect_eq(try_open(permit, "/", O_RDONLY | O_DIRECTORY), -EACCES);
	mf_permit_destroy(permit);
	mf_permit_destroy(NULL);
}

Test(permit, a_directory_permits_what_is_beneath_and_no_more)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);

	OPENS(permit, "ok/file", O_RDONLY);
	OPENS(permit, "ok/sub/file", O_RDONLY);
	OPENS(permit, "ok", O_RDONLY | O_DIRECTORY);
	OPENS(permit, "ok/", O_RDONLY | O_DIRECTORY);
	FAILS(permit, "ok/missing", O_RDONLY, ENOENT);
	FAILS(permit, "secret", O_RDONLY, EACCES);
	FAILS(permit, "missing", O_RDONLY, EACCES);
	FAILS(permit, "", O_RDONLY, EACCES);
	mf_permit_destroy(permit);
}

Test(permit, a_name_that_only_begins_alike_is_another)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);

	FAILS(permit, "ok2/file", O_RDONLY, EACCES);
	FAILS(permit, "ok2", O_RDONLY, EACCES);
	FAILS(permit, "o", O_RDONLY, EACCES);
	mf_permit_destroy(permit);
}

Test(permit, dots_are_taken_out_before_the_name_is_judged)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);

	FAILS(permit, "ok/../secret", O_RDONLY, EACCES);
	FAILS(permit, "ok/sub/../../secret", O_RDONLY, EACCES);
	FAILS(permit, "ok/./../ok2/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/..", O_RDONLY, EACCES);
	OPENS(permit, "ok2/../ok/file", O_RDONLY);
	OPENS(permit, "ok//sub/..//./file", O_RDONLY);
	mf_permit_destroy(permit);
}

Test(permit, relative_names_start_at_the_programs_directory)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);

	cr_expect_eq(try_at(permit, "ok", "file", O_RDONLY), 0);
	cr_expect_eq(try_at(permit, "ok/sub", "../file", O_RDONLY), 0);
	cr_expect_eq(try_at(permit, "ok", "../secret", O_RDONLY), -EACCES);
	cr_expect_eq(try_at(permit, "", "ok/file", O_RDONLY), 0);
	cr_expect_eq(try_at(permit, "ok2", "file", O_RDONLY), -EACCES);
	mf_permit_destroy(permit);
}

Test(permit, links_lead_to_what_is_permitted_and_nowhere_else)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);

	make_link("sub/file", "ok/inside");
	make_link("../ok/file", "ok/round");
	make_link(in_base(0, "ok/file"), "ok/absolute");
	make_link("../secret", "ok/out");
	make_link(in_base(0, "secret"), "ok/absolute_out");
	make_link("..", "ok/up");
	make_link("/", "ok/root");
	make_link("up", "ok/twice");
	make_link("loop", "ok/loop");
	make_link("sub", "ok/dir");
	make_link("../../secret", "ok/sub/out");
	OPENS(permit, "ok/inside", O_RDONLY);
	OPENS(permit, "ok/round", O_RDONLY);
	OPENS(permit, "ok/absolute", O_RDONLY);
	OPENS(permit, "ok/up/ok/file", O_RDONLY);
	OPENS(permit, "ok/dir/file", O_RDONLY);
	FAILS(permit, "ok/out", O_RDONLY, EACCES);
	FAILS(permit, "ok/absolute_out", O_RDONLY, EACCES);
	FAILS(permit, "ok/up/secret", O_RDONLY, EACCES);
	FAILS(permit, "ok/twice/ok2/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/root/etc/passwd", O_RDONLY, EACCES);
	FAILS(permit, "ok/dir/out", O_RDONLY, EACCES);
	FAILS(permit, "ok/loop", O_RDONLY, ELOOP);
	FAILS(permit, "ok/inside", O_RDONLY | O_NOFOLLOW, ELOOP);
	OPENS(permit, "ok/out", O_PATH | O_NOFOLLOW);
	FAILS(permit, "ok/out", O_PATH, EACCES);
	mf_permit_destroy(permit);
}

Test(permit, a_link_between_two_entries_may_be_followed)
{
	const char *both[] = {in_base(0, "ok"), in_base(1, "ok2")};
	const struct mf_permit_paths reads = {.paths = both, .count = 2};
	struct mf_permit *permit;

	make_link("../ok2/file", "ok/other");
	cr_assert_eq(mf_permit_create(&permit, &reads, NULL, NULL), 0);
	OPENS(permit, "ok/other", O_RDONLY);
	FAILS(permit, "secret", O_RDONLY, EACCES);
	mf_permit_destroy(permit);
}

Test(permit, writing_needs_its_own_permission)
{
	struct mf_permit *reader = permit_of(in_base(0, "ok"), NULL);
	struct mf_permit *writer = permit_of(NULL, in_base(0, "ok"));
	struct mf_permit *both = permit_of(in_base(0, "ok"), in_base(0, "ok"));

	FAILS(reader, "ok/file", O_WRONLY, EACCES);
	FAILS(reader, "ok/file", O_RDWR, EACCES);
	FAILS(reader, "ok/file", O_RDONLY | O_TRUNC, EACCES);
	FAILS(reader, "ok/new", O_RDONLY | O_CREAT, EACCES);
	FAILS(writer, "ok/file", O_RDONLY, EACCES);
	FAILS(writer, "ok/file", O_RDWR, EACCES);
	FAILS(writer, "ok/new2", O_RDWR | O_CREAT, EACCES);
	cr_expect(access(in_base(0, "ok/new"), F_OK) && access(in_base(0, "ok/new2"), F_OK));
	OPENS(writer, "ok/file", O_WRONLY);
	OPENS(writer, "ok/new", O_WRONLY | O_CREAT | O_EXCL);
	OPENS(both, "ok/new3", O_RDWR | O_CREAT);
	OPENS(both, "ok/file", O_RDWR);
	FAILS(both, "ok/../new", O_WRONLY | O_CREAT, EACCES);
	mf_permit_destroy(reader);
	mf_permit_destroy(writer);
	mf_permit_destroy(both);
}

/* Reading beneath one name and writing beneath another that is a link inside it. */
Test(permit, two_halves_of_a_permission_make_no_whole)
{
	struct mf_permit *permit;

	make_link("../ok2", "ok/linked");
	permit = permit_of(in_base(0, "ok"), in_base(1, "ok/linked"));
	OPENS(permit, "ok/linked/file", O_WRONLY);
	FAILS(permit, "ok/linked/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/linked/file", O_RDWR, EACCES);
	mf_permit_destroy(permit);
}

Test(permit, creating_does_not_follow_a_link_out)
{
	struct mf_permit *permit = permit_of(NULL, in_base(0, "ok"));

	make_link("../made", "ok/out");
	make_link(in_base(0, "made"), "ok/absolute");
	FAILS(permit, "ok/out", O_WRONLY | O_CREAT, EACCES);
	FAILS(permit, "ok/absolute", O_WRONLY | O_CREAT, EACCES);
	FAILS(permit, "ok/out", O_WRONLY | O_CREAT | O_EXCL, EEXIST);
	cr_expect(access(in_base(0, "made"), F_OK));
	mf_permit_destroy(permit);
}

Test(permit, a_single_file_permits_itself_only)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok/file"), NULL);

	OPENS(permit, "ok/file", O_RDONLY);
	OPENS(permit, "ok/sub/../file", O_RDONLY);
	FAILS(permit, "ok/file/", O_RDONLY, ENOTDIR);
	FAILS(permit, "ok/file/x", O_RDONLY, EACCES);
	FAILS(permit, "ok/file2", O_RDONLY, EACCES);
	FAILS(permit, "ok", O_RDONLY, EACCES);
	FAILS(permit, "ok/sub/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/file", O_WRONLY, EACCES);
	mf_permit_destroy(permit);
}

Test(permit, a_single_file_that_was_replaced_is_found_unless_by_a_link)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok/file"), NULL);

	put("ok/next", "newer");
	cr_assert_eq(rename(in_base(0, "ok/next"), in_base(1, "ok/file")), 0);
	OPENS(permit, "ok/file", O_RDONLY);
	cr_assert_eq(unlink(in_base(0, "ok/file")), 0);
	FAILS(permit, "ok/file", O_RDONLY, ENOENT);
	make_link("../secret", "ok/file");
	FAILS(permit, "ok/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/file", O_PATH | O_NOFOLLOW, EACCES);
	cr_assert_eq(unlink(in_base(0, "ok/file")), 0);
	cr_assert_eq(mkdir(in_base(0, "ok/file"), 0755), 0);
	FAILS(permit, "ok/file", O_RDONLY, EACCES);
	FAILS(permit, "ok/file/", O_RDONLY, ENOTDIR);
	mf_permit_destroy(permit);
}

Test(permit, a_single_file_may_be_missing_when_it_is_to_be_written)
{
	struct mf_permit *permit = permit_of(NULL, in_base(0, "ok/output"));
	const char *const *names;
	char name[NAME_MAX + 2];
	size_t count;

	names = mf_permit_paths(permit, true, &count);
	cr_assert_eq(count, 1);
	cr_expect_str_eq(names[0], in_base(0, "ok"));
	FAILS(permit, "ok/output", O_WRONLY, ENOENT);
	OPENS(permit, "ok/output", O_WRONLY | O_CREAT);
	FAILS(permit, "ok/file", O_WRONLY, EACCES);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/output"), name), -EACCES);
	mf_permit_destroy(permit);
}

Test(permit, the_path_of_an_entry_must_exist)
{
	const char *missing = in_base(0, "missing/file");
	const struct mf_permit_paths list = {.paths = &missing, .count = 1};
	struct mf_permit *permit;
	struct mf_error err = {""};

	cr_expect_eq(mf_permit_create(&permit, &list, NULL, &err), -ENOENT);
	cr_expect(!permit && strstr(err.text, missing));
	cr_expect_eq(mf_permit_create(&permit, NULL, &list, &err), -ENOENT);
	cr_expect_null(permit);
}

Test(permit, an_entry_that_is_a_link_stands_for_what_it_led_to)
{
	struct mf_permit *permit;

	make_link("ok", "alias");
	permit = permit_of(in_base(0, "alias"), NULL);
	OPENS(permit, "alias/file", O_RDONLY);
	OPENS(permit, "ok/file", O_RDONLY);
	cr_assert_eq(unlink(in_base(0, "alias")), 0);
	make_link("ok2", "alias");
	FAILS(permit, "ok2/file", O_RDONLY, EACCES);
	OPENS(permit, "alias/sub/file", O_RDONLY); /* still the first */
	mf_permit_destroy(permit);
}

Test(permit, procfs_is_out_of_reach_even_with_all)
{
	static const char *const names[] = {
		"/proc/self/root/etc/passwd",
		"/proc/self/mem",
		"/proc/self/environ",
		"/proc/self/fd/0",
		"/proc/self/exe",
		"/proc/self/cwd/x",
		"/proc/self",
		"/proc",
		"/dev/fd/0",
		"/dev/stdin",
		"/proc/thread-self/root/tmp",
	};
	struct mf_permit *permit = read_all();
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int ret = try_open(permit, names[i], O_RDONLY);

		cr_expect(ret == -EACCES || ret == -ELOOP, "%s: %d", names[i], ret);
		ret = try_open(permit, names[i], O_PATH);
		cr_expect(ret == -EACCES || ret == -ELOOP, "%s: %d", names[i], ret);
	}
	make_link("/proc/self/root", "ok/magic");
	FAILS(permit, "ok/magic/etc/passwd", O_RDONLY, ELOOP);
	OPENS(permit, "secret", O_RDONLY);
	cr_expect_eq(try_open(permit, "/etc/passwd", O_RDONLY), 0);
	cr_expect_eq(try_open(permit, "/tmp/does-not-exist-at-all", O_RDONLY), -ENOENT);
	mf_permit_destroy(permit);
}

Test(permit, devices_and_fifos_are_not_opened)
{
	struct mf_permit *permit = read_all();
	struct mf_permit *writer = permit_of(in_base(0, "ok"), in_base(0, "ok"));

	cr_assert_eq(mkfifo(in_base(0, "ok/fifo"), 0600), 0);
	FAILS(writer, "ok/fifo", O_RDONLY, EACCES);
	FAILS(writer, "ok/fifo", O_WRONLY, EACCES);
	FAILS(writer, "ok/fifo", O_RDWR, EACCES);
	FAILS(writer, "ok/fifo", O_RDONLY | O_NOFOLLOW, EACCES);
	OPENS(writer, "ok/fifo", O_PATH);
	cr_expect_eq(try_open(permit, "/dev/tty", O_RDONLY), -EACCES);
	cr_expect_eq(try_open(permit, "/dev/kvm", O_RDONLY | O_NOFOLLOW),
		     access("/dev/kvm", F_OK) ? -ENOENT : -EACCES);
	mf_permit_destroy(permit);
	mf_permit_destroy(writer);
}

Test(permit, trailing_slashes_mean_a_directory)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), in_base(0, "ok"));

	OPENS(permit, "ok/sub/", O_RDONLY);
	OPENS(permit, "ok/sub///", O_RDONLY);
	OPENS(permit, "ok/sub/.", O_RDONLY);
	FAILS(permit, "ok/file/", O_RDONLY, ENOTDIR);
	FAILS(permit, "ok/file/.", O_RDONLY, ENOTDIR);
	FAILS(permit, "ok/new/", O_WRONLY | O_CREAT, EISDIR);
	FAILS(permit, "ok/sub", O_WRONLY, EISDIR);
	mf_permit_destroy(permit);
}

Test(permit, empty_and_overlong_names_are_refused)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);
	static char name[2 * PATH_MAX];
	char clean[PATH_MAX];

	cr_expect_eq(try_open(permit, "", O_RDONLY), -ENOENT);
	memset(name, '/', sizeof(name) - 1);
	cr_expect_eq(try_open(permit, name, O_RDONLY), -ENAMETOOLONG);
	memset(name + 1, 'x', sizeof(name) - 2);
	cr_expect_eq(try_open(permit, name, O_RDONLY), -ENAMETOOLONG);
	name[NAME_MAX + 2] = 0; /* one part that is too long */
	cr_expect_eq(mf_permit_clean("/", name, clean), -ENAMETOOLONG);
	name[NAME_MAX + 1] = 0;
	cr_expect_eq(mf_permit_clean("/", name, clean), NAME_MAX + 1);
	memset(name, 'x', PATH_MAX);
	for (size_t i = 0; i < PATH_MAX; i += 100)
		name[i] = '/';
	name[PATH_MAX - 1] = 0;
	cr_expect_eq(mf_permit_clean("/cwd", name, clean) < 0, 1);
	cr_expect_eq(mf_permit_clean("/cwd", name + 1, clean), -ENAMETOOLONG);
	mf_permit_destroy(permit);
}

Test(permit, names_are_cleaned_as_text)
{
	static const struct {
		const char *cwd, *path, *clean;
	} rows[] = {
		{"/", "/", "/"},
		{"/", "a", "/a"},
		{"/x", "a", "/x/a"},
		{"/x", "/a", "/a"},
		{"/x", ".", "/x/"},
		{"/x", "..", "/"},
		{"/x/y", "..", "/x/"},
		{"/", "../../..", "/"},
		{"/", "/a//b/", "/a/b/"},
		{"/", "/a/./b", "/a/b"},
		{"/", "/a/b/..", "/a/"},
		{"/", "/a/...", "/a/..."},
		{"/", "/.a/..b", "/.a/..b"},
		{"/", "//", "/"},
		{"/x/", "a", "/x/a"},
	};
	char clean[PATH_MAX];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int bytes = mf_permit_clean(rows[i].cwd, rows[i].path, clean);

		cr_expect_str_eq(clean, rows[i].clean, "%s + %s: %s", rows[i].cwd, rows[i].path,
				 clean);
		cr_expect_eq(bytes, (int)strlen(rows[i].clean));
	}
}

Test(permit, flags_that_are_not_known_are_refused)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), in_base(0, "ok"));

	FAILS(permit, "ok/file", O_ACCMODE, EINVAL);
	FAILS(permit, "ok/file", 1 << 30, EINVAL);
	FAILS(permit, "ok/sub", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, EINVAL);
	FAILS(permit, "ok/sub", O_TMPFILE | O_RDONLY, EINVAL);
	mf_permit_destroy(permit);
}

Test(permit, files_without_a_name_are_made_where_one_may_write)
{
	struct mf_permit *both = permit_of(in_base(0, "ok"), in_base(1, "ok"));
	struct mf_permit *reads = permit_of(in_base(2, "ok"), NULL);
	struct mf_permit *writes = permit_of(NULL, in_base(3, "ok"));

	OPENS(both, "ok/sub", O_TMPFILE | O_RDWR);
	FAILS(both, "ok/file", O_TMPFILE | O_RDWR, ENOTDIR);
	FAILS(both, "", O_TMPFILE | O_RDWR, EACCES);
	FAILS(reads, "ok/sub", O_TMPFILE | O_RDWR, EACCES);
	OPENS(writes, "ok/sub", O_TMPFILE | O_WRONLY);
	FAILS(writes, "ok/sub", O_TMPFILE | O_RDWR, EACCES);
	mf_permit_destroy(both);
	mf_permit_destroy(reads);
	mf_permit_destroy(writes);
}

static int try_in(const struct mf_permit *permit, const char *dir, const char *path, int flags,
		  uint64_t resolve)
{
	int fd = mf_permit_open_in(permit, dir, path, flags, 0600, resolve);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

Test(permit, what_is_resolved_beneath_a_directory_stays_in_it)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);
	const char *ok = in_base(1, "ok");
	const uint64_t ways[] = {RESOLVE_BENEATH, RESOLVE_IN_ROOT};
	size_t i;

	make_link("..", "ok/up");
	make_link("/", "ok/root");
	for (i = 0; i < 2; i++) {
		cr_expect_eq(try_in(permit, ok, "sub/../file", O_RDONLY, ways[i]), 0);
		cr_expect_lt(try_in(permit, ok, "up/missing-above", O_RDONLY, ways[i]), 0);
		cr_expect_lt(try_in(permit, ok, "../../../../etc/passwd", O_RDONLY, ways[i]), 0);
		cr_expect_lt(try_in(permit, ok, "root/etc/passwd", O_RDONLY, ways[i]), 0);
		cr_expect_eq(try_in(permit, ok, "new", O_CREAT | O_WRONLY, ways[i]), -EACCES);
		cr_expect_eq(try_in(permit, in_base(2, ""), "ok/file", O_RDONLY, ways[i]), -EACCES);
		cr_expect_eq(try_in(permit, "/", "etc/passwd", O_RDONLY, ways[i]), -EACCES);
	}
	cr_expect_eq(try_in(permit, ok, "up", O_PATH, RESOLVE_NO_SYMLINKS), -ELOOP);
	cr_expect_eq(try_in(permit, ok, "file", O_RDONLY, RESOLVE_NO_SYMLINKS), 0);
	cr_expect_eq(try_in(permit, "/", "/etc/passwd", O_RDONLY, RESOLVE_NO_SYMLINKS), -EACCES);
	mf_permit_destroy(permit);
}

Test(permit, names_are_changed_beneath_a_writable_directory_only)
{
	struct mf_permit *permit = permit_of(in_base(0, ""), in_base(1, "ok"));
	char name[NAME_MAX + 2];

	make_link("..", "ok/up");
	cr_expect_eq(try_parent(permit, in_base(0, "ok/new"), name), 0);
	cr_expect_str_eq(name, "new");
	cr_expect_eq(try_parent(permit, in_base(0, "ok/sub/new/"), name), 0);
	cr_expect_str_eq(name, "new/");
	cr_expect_eq(try_parent(permit, in_base(0, "ok/up/ok/new"), name), 0);
	cr_expect_eq(try_parent(permit, in_base(0, "ok"), name), -EACCES);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/"), name), -EACCES);
	cr_expect_eq(try_parent(permit, in_base(0, "secret"), name), -EACCES);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/up/secret"), name), -EACCES);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/up/new"), name), -EACCES);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/sub/."), name), -EINVAL);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/sub/.."), name), -EINVAL);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/missing/new"), name), -ENOENT);
	cr_expect_eq(try_parent(permit, in_base(0, "ok/file/new"), name), -ENOTDIR);
	cr_expect_eq(try_parent(permit, "/", name), -EACCES);
	cr_expect_eq(try_parent(permit, "", name), -ENOENT);
	mf_permit_destroy(permit);
}

Test(permit, directories_above_are_known_and_nothing_beside)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok/sub"), NULL);

	cr_expect(mf_permit_leads_to(permit, "/"));
	cr_expect(mf_permit_leads_to(permit, "/tmp/"));
	cr_expect(mf_permit_leads_to(permit, in_base(0, "ok")));
	cr_expect(mf_permit_leads_to(permit, in_base(0, "ok/sub")));
	cr_expect(!mf_permit_leads_to(permit, in_base(0, "ok2")));
	cr_expect(!mf_permit_leads_to(permit, in_base(0, "ok/su")));
	cr_expect(!mf_permit_leads_to(permit, in_base(0, "ok/sub/file")));
	cr_expect(mf_permit_allows(permit, in_base(0, "ok/sub/file"), MF_PERMIT_READ));
	cr_expect(!mf_permit_allows(permit, in_base(0, "ok/sub/file"), MF_PERMIT_WRITE));
	mf_permit_destroy(permit);
}

/* One thread swaps a directory for a link that leads out, another opens through it. */
static atomic_bool stop;

static void *swap(void *unused)
{
	char dir[128], link[128], spare[128];

	snprintf(dir, sizeof(dir), "%s/ok/moving", base);
	snprintf(link, sizeof(link), "%s/ok/leading_out", base);
	snprintf(spare, sizeof(spare), "%s/ok2/away", base);
	while (!atomic_load(&stop)) {
		renameat2(AT_FDCWD, dir, AT_FDCWD, link, RENAME_EXCHANGE);
		renameat2(AT_FDCWD, dir, AT_FDCWD, spare, RENAME_EXCHANGE);
	}
	return unused;
}

Test(permit, a_race_of_renames_never_leads_out)
{
	struct mf_permit *permit = permit_of(in_base(0, "ok"), NULL);
	time_t end = time(NULL) + 2;
	int opened = 0, refused = 0;
	pthread_t thread;

	mkdir(in_base(0, "ok/moving"), 0755);
	put("ok/moving/file", "fine");
	mkdir(in_base(0, "outside"), 0755);
	put("outside/file", "secret");
	make_link("../outside", "ok/leading_out");
	make_link("../ok/sub", "ok2/away");
	make_link("moving/../moving/../sub/../moving", "ok/winding");
	cr_assert_eq(pthread_create(&thread, NULL, swap, NULL), 0);
	while (time(NULL) <= end) {
		static const char *const names[] = {"ok/moving/file", "ok/winding/file",
						    "ok/leading_out/file"};
		char text[8] = "";
		int i;

		for (i = 0; i < 3; i++) {
			int fd = mf_permit_open(permit, "/", in_base(0, names[i]), O_RDONLY, 0);

			if (fd < 0) {
				refused++;
				continue;
			}
			opened++;
			cr_assert_eq(read(fd, text, 4), 4);
			cr_assert_str_eq(text, "fine");
			close(fd);
		}
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	cr_expect(opened && refused, "%d opened, %d refused: no race", opened, refused);
	mf_permit_destroy(permit);
}
