/* SPDX-License-Identifier: MIT */
/*
 * Volumes, and what a program needs to start: names that lead to other files than the host's, and
 * every way that is known from them to a file that was not meant.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/linux/permit.h"

/*
 * base/in/         the volume; file ("in"), sub/file
 * base/in2/        another one; file ("in2")
 * base/host/       of the host; file ("host"), v/file ("hidden")
 * base/secret      of the host ("secret")
 */
static char base[64];
static struct mf_permit *permit;

static const char *in_base(const char *name)
{
	static char names[8][PATH_MAX];
	static unsigned int next;
	char *text = names[next++ % 8];

	snprintf(text, PATH_MAX, "%s/%s", base, name);
	return text;
}

static void put(const char *name, const char *text)
{
	int fd = open(in_base(name), O_CREAT | O_WRONLY | O_TRUNC, 0644);

	cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", name);
	close(fd);
}

static void make_link(const char *target, const char *name)
{
	cr_assert_eq(symlink(target, in_base(name)), 0, "%s: %s", name, strerror(errno));
}

static void make_tree(void)
{
	strcpy(base, "/tmp/mf-volume-XXXXXX");
	cr_assert(mkdtemp(base));
	mkdir(in_base("in"), 0755);
	mkdir(in_base("in/sub"), 0755);
	mkdir(in_base("in2"), 0755);
	mkdir(in_base("host"), 0755);
	mkdir(in_base("host/v"), 0755);
	put("in/file", "in");
	put("in/sub/file", "sub");
	put("in2/file", "in2");
	put("host/file", "host");
	put("host/v/file", "hidden");
	put("secret", "secret");
}

static void remove_tree(void)
{
	char command[128];

	mf_permit_destroy(permit);
	permit = NULL;
	snprintf(command, sizeof(command), "rm -rf '%s'", base);
	if (system(command))
		fprintf(stderr, "%s stays\n", base);
}

TestSuite(volume, .init = make_tree, .fini = remove_tree, .timeout = 30);
TestSuite(start, .init = make_tree, .fini = remove_tree, .timeout = 30);

static int try_volumes(const struct mf_permit_volume *volumes, size_t count, const char *read,
		       const char *write, struct mf_error *err)
{
	struct mf_permit_settings settings = {
		.read = {.paths = &read, .count = read != NULL},
		.write = {.paths = &write, .count = write != NULL},
		.volumes = volumes,
		.volume_count = count,
	};

	if (read && !strcmp(read, "all"))
		settings.read = (struct mf_permit_paths){.all = true};
	if (write && !strcmp(write, "all"))
		settings.write = (struct mf_permit_paths){.all = true};
	return mf_permit_create_from(&permit, &settings, err);
}

static void one_volume(const char *host, const char *guest, bool writable, const char *read)
{
	struct mf_permit_volume volume = {host, guest, writable};
	struct mf_error err = {0};

	cr_assert_eq(try_volumes(&volume, 1, read, NULL, &err), 0, "%s", err.text);
}

/* What is read there, or "E" and the error. */
static const char *content(const char *path)
{
	static char text[64];
	int fd = mf_permit_open(permit, "/", path, O_RDONLY, 0);
	ssize_t bytes;

	if (fd < 0) {
		snprintf(text, sizeof(text), "E%d", -fd);
		return text;
	}
	bytes = read(fd, text, sizeof(text) - 1);
	text[bytes > 0 ? bytes : 0] = 0;
	close(fd);
	return text;
}

#define READS(path, wanted) cr_expect_str_eq(content(path), wanted, "%s: %s", path, content(path))
#define DENIED(path)        READS(path, "E13")

static int try_write(const char *path, int flags)
{
	int fd = mf_permit_open(permit, "/", path, O_WRONLY | flags, 0644);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

static void named(const char *host, const char *wanted)
{
	char name[PATH_MAX];

	strcpy(name, host);
	cr_expect_eq(mf_permit_guest_name(permit, name), (int)strlen(wanted), "%s", host);
	cr_expect_str_eq(name, wanted, "%s: %s", host, name);
}

Test(volume, a_file_of_the_hosts_has_the_guests_name)
{
	const struct mf_permit_volume volumes[] = {{in_base("in"), "/data", false},
						   {in_base("in/sub"), "/data/deep/er", true}};

	cr_assert_eq(try_volumes(volumes, 2, in_base("host"), NULL, NULL), 0);
	named(in_base("in/file"), "/data/file");
	named(in_base("in"), "/data");
	named(in_base("in/sub/file"), "/data/deep/er/file");
	named(in_base("host/file"), in_base("host/file"));
	named(in_base("in2/file"), in_base("in2/file"));
	mf_permit_destroy(permit);
	cr_assert_eq(try_volumes((struct mf_permit_volume[]){{in_base("in"), "/", false}}, 1, NULL,
				 NULL, NULL),
		     0);
	named(in_base("in/file"), "/file");
	named(in_base("in"), "/");
}

Test(volume, its_files_have_the_guests_names_alone)
{
	one_volume(in_base("in"), "/data", false, NULL);
	READS("/data/file", "in");
	READS("/data/sub/file", "sub");
	READS("/data/sub/../file", "in");
	READS("/data/none", "E2");
	DENIED(in_base("in/file"));
	DENIED("/data/../etc/passwd");
	DENIED("/database/file");
	DENIED("/etc/passwd");
	cr_expect(mf_permit_in_volume(permit, "/data") && mf_permit_in_volume(permit, "/data/x"));
	cr_expect_not(mf_permit_in_volume(permit, "/dat") || mf_permit_in_volume(permit, "/data2"));
	cr_expect(mf_permit_leads_to(permit, "/data") && mf_permit_leads_to(permit, "/"));
	cr_expect_not(mf_permit_leads_to(permit, base), "where it is on the host is not told");
}

Test(volume, its_links_lead_where_the_guests_names_do)
{
	make_link("sub/file", "in/inside");
	make_link("/data/file", "in/absolute");
	make_link(in_base("in/file"), "in/by_hosts_name");
	make_link("../secret", "in/out");
	make_link("/etc/passwd", "in/passwd");
	make_link("../../../../../../../../etc/passwd", "in/far_out");
	make_link("/", "in/root");
	make_link("..", "in/sub/up");
	make_link("/proc/self/root", "in/proc");
	one_volume(in_base("in"), "/data", false, NULL);
	READS("/data/inside", "sub");
	READS("/data/absolute", "in");
	READS("/data/root/data/file", "in");
	READS("/data/sub/up/file", "in");
	DENIED("/data/by_hosts_name");
	DENIED("/data/out");
	DENIED("/data/passwd");
	DENIED("/data/far_out");
	DENIED("/data/root/etc/passwd");
	DENIED("/data/proc/etc/passwd");
}

Test(volume, at_the_root_it_is_all_there_is)
{
	make_link("/sub/file", "in/absolute");
	make_link("/../../sub/file", "in/above");
	make_link(base, "in/host");
	one_volume(in_base("in"), "/", false, "all");
	READS("/file", "in");
	READS("/absolute", "sub");
	READS("/above", "sub");
	READS("/../file", "in");
	READS("/host/secret", "E2");
	READS("/etc/passwd", "E2");
	READS(in_base("secret"), "E2");
}

Test(volume, it_hides_what_the_host_has_there)
{
	one_volume(in_base("in"), in_base("host/v"), false, in_base("host"));
	READS(in_base("host/file"), "host");
	READS(in_base("host/v/file"), "in");
	READS(in_base("host/v/sub/file"), "sub");
}

Test(volume, a_link_of_the_host_does_not_lead_behind_it)
{
	make_link("v/file", "host/relative");
	make_link(in_base("host/v/file"), "host/absolute");
	make_link("v", "host/dir");
	make_link("../host/v", "host/round");
	make_link("loop", "host/loop");
	one_volume(in_base("in"), in_base("host/v"), false, "all");
	READS(in_base("host/relative"), "in");
	READS(in_base("host/absolute"), "in");
	READS(in_base("host/dir/file"), "in");
	READS(in_base("host/round/file"), "in");
	READS(in_base("host/loop"), "E40");
	READS(in_base("host/file"), "host");
}

Test(volume, writing_needs_rw)
{
	struct mf_permit_volume volumes[] = {{in_base("in"), "/ro", false},
					     {in_base("in2"), "/rw", true}};
	char name[NAME_MAX + 2];
	struct stat st;
	int fd;

	cr_assert_eq(try_volumes(volumes, 2, NULL, NULL, NULL), 0);
	READS("/rw/file", "in2");
	cr_expect_eq(try_write("/ro/file", 0), -EACCES);
	cr_expect_eq(try_write("/ro/new", O_CREAT), -EACCES);
	cr_expect_eq(try_write("/rw/new", O_CREAT | O_EXCL), 0);
	cr_expect_eq(try_write("/rw/../ro/new", O_CREAT), -EACCES);
	cr_expect_eq(stat(in_base("in2/new"), &st), 0);
	cr_expect_eq(mf_permit_parent(permit, "/", "/ro/x", name), -EACCES);
	fd = mf_permit_parent(permit, "/", "/rw/x", name);
	cr_assert_geq(fd, 0);
	close(fd);
}

Test(volume, its_own_name_cannot_be_removed)
{
	struct mf_permit_volume volume = {in_base("in"), in_base("host/v"), true};
	char name[NAME_MAX + 2];

	cr_assert_eq(try_volumes(&volume, 1, NULL, "all", NULL), 0);
	cr_expect_eq(mf_permit_parent(permit, "/", in_base("host/v"), name), -EBUSY);
	cr_expect_eq(mf_permit_parent(permit, "/", in_base("host/v/"), name), -EBUSY);
	cr_expect_eq(mf_permit_parent(permit, "/", in_base("host/x/../v"), name), -EBUSY);
}

Test(volume, one_in_another_is_found_first)
{
	struct mf_permit_volume volumes[] = {{in_base("in"), "/", false},
					     {in_base("in2"), "/sub", false}};

	make_link("sub/file", "in/relative");
	make_link("/sub/file", "in/absolute");
	cr_assert_eq(try_volumes(volumes, 2, NULL, NULL, NULL), 0);
	READS("/file", "in");
	READS("/sub/file", "in2");
	READS("/relative", "in2");
	READS("/absolute", "in2");
}

Test(volume, a_single_file_can_be_one)
{
	one_volume(in_base("in/file"), "/etc/passwd", false, NULL);
	READS("/etc/passwd", "in");
	DENIED("/etc/sub/file");
	DENIED("/etc/group");
}

Test(volume, what_could_mean_two_files_is_refused)
{
	struct mf_permit_volume volumes[] = {{in_base("in"), "/data", false},
					     {in_base("in2"), "/data/", false}};
	struct mf_error err = {0};

	cr_expect_eq(try_volumes(volumes, 2, NULL, NULL, &err), -EINVAL);
	cr_expect_not_null(strstr(err.text, "two volumes"), "%s", err.text);
	volumes[0].guest = in_base("host");
	cr_expect_eq(try_volumes(volumes, 1, in_base("host/v"), NULL, &err), -EINVAL);
	cr_expect_not_null(strstr(err.text, "hidden by a --volume"), "%s", err.text);
	cr_expect_eq(try_volumes(volumes, 1, NULL, in_base("host"), &err), -EINVAL);
	volumes[0].host = "/nowhere/at/all";
	cr_expect_eq(try_volumes(volumes, 1, NULL, NULL, &err), -ENOENT);
	cr_expect_not_null(strstr(err.text, "/nowhere/at/all"), "%s", err.text);
	cr_expect_null(permit);
}

static atomic_bool stop;

/* `in/door` is by turns a directory and a link out of the volume. */
static void *swing(void *unused)
{
	while (!atomic_load(&stop)) {
		rename(in_base("in/door"), in_base("in/dir"));
		rename(in_base("in/link"), in_base("in/door"));
		rename(in_base("in/door"), in_base("in/link"));
		rename(in_base("in/dir"), in_base("in/door"));
	}
	return unused;
}

Test(volume, a_race_of_renames_never_leads_out)
{
	struct timespec begin, now;
	pthread_t thread;
	unsigned int opened = 0;

	mkdir(in_base("in/door"), 0755);
	put("in/door/secret", "fine");
	make_link("..", "in/link");
	one_volume(in_base("in"), "/data", false, NULL);
	pthread_create(&thread, NULL, swing, NULL);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		const char *text = content("/data/door/secret");

		cr_assert_str_neq(text, "secret");
		opened += !strcmp(text, "fine");
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - begin.tv_sec < 2);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	cr_expect_gt(opened, 0);
}

/* ---- what a program needs to start ---- */

static void start_with(const char *name, bool libraries)
{
	static const struct mf_permit_settings nothing;
	struct mf_error err = {0};

	cr_assert_eq(mf_permit_create_from(&permit, &nothing, &err), 0, "%s", err.text);
	cr_assert_eq(mf_permit_start(permit, &name, name != NULL, libraries, &err), 0, "%s",
		     err.text);
}

static const char *kind(const char *path)
{
	static char text[8];

	snprintf(text, sizeof(text), "%.4s", content(path));
	return !memcmp(text, "\177ELF", 4) ? "ELF" : text[0] == 'E' ? text : "text";
}

#define IS(path, wanted) cr_expect_str_eq(kind(path), wanted, "%s: %s", path, kind(path))

/* Where glibc's C library is. */
static const char libc[] = "/lib/x86_64-linux-gnu/libc.so.6";

Test(start, the_programs_own_file_and_nothing_beside)
{
	make_link("in/file", "link");
	start_with(in_base("link"), false);
	READS(in_base("link"), "in");
	READS(in_base("in/file"), "in");
	DENIED(in_base("in/sub/file"));
	DENIED(in_base("secret"));
	DENIED(libc);
	DENIED("/etc/ld.so.cache");
	cr_expect_eq(try_write(in_base("in/file"), 0), -EACCES);
	cr_expect_eq(try_write(in_base("in/file"), O_TRUNC), -EACCES);
	cr_expect_eq(mf_permit_open(permit, "/", in_base("in/file"), O_RDONLY | O_TRUNC, 0),
		     -EACCES);
	READS(in_base("in/file"), "in");
}

Test(start, libraries_are_opened_by_every_name_they_have)
{
	static const char *const names[] = {
		"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libc.so.6",
		"/lib64/ld-linux-x86-64.so.2", "/usr/lib/../lib/x86_64-linux-gnu/libm.so.6"};
	size_t i;

	if (access(libc, R_OK))
		cr_skip_test("no %s here", libc);
	start_with(NULL, true);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		IS(names[i], "ELF");
	READS("/lib/x86_64-linux-gnu/libnone.so.1", "E2");
	IS("/etc/ld.so.cache", "text");
}

Test(start, nothing_else_of_the_library_folders_is_opened)
{
	static const char *const names[] = {
		"/usr/lib/os-release",
		"/etc/os-release",
		"/etc/passwd",
		"/etc/ld.so.conf",
		"/etc/ld.so.cache/",
		"/etc/alternatives/README",
		"/lib",
		"/usr/lib",
		"/usr/lib/x86_64-linux-gnu",
		"/etc/alternatives",
		"/usr/lib/x86_64-linux-gnu/../../../etc/passwd",
		"/lib/x86_64-linux-gnu/libc.so.6/../../../../etc/passwd",
		"/usr/lib/python3",
		"/usr/bin/env",
		"/",
	};
	size_t i;

	start_with(NULL, true);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *said = content(names[i]);

		cr_expect(!strcmp(said, "E13") || !strcmp(said, "E20"), "%s: %s", names[i], said);
	}
	cr_expect_eq(try_write(libc, 0), -EACCES);
	cr_expect_eq(try_write("/usr/lib/new.so", O_CREAT), -EACCES);
	cr_expect_eq(mf_permit_open(permit, "/", "/usr/lib/new.so", O_RDONLY | O_CREAT, 0),
		     -EACCES);
	cr_expect_eq(mf_permit_open(permit, "/", libc, O_RDWR, 0), -EACCES);
	cr_expect_lt(mf_permit_open(permit, "/", "/usr/lib", O_RDONLY | O_DIRECTORY, 0), 0);
}

/* Only who may write to the library folders can do this; it must not help him. */
Test(start, a_name_alone_makes_no_library)
{
	char name[] = "/usr/local/lib/mayfly-test-XXXXXX.so";
	char linked[] = "/usr/local/lib/mayfly-link-XXXXXX.so";
	int fd = mkstemps(name, 3);

	if (fd < 0)
		cr_skip_test("/usr/local/lib is not for us to write");
	cr_expect_eq(write(fd, "secret", 6), 6);
	close(fd);
	close(mkstemps(linked, 3));
	unlink(linked);
	start_with(NULL, true);
	DENIED(name);
	cr_expect_eq(symlink("/etc/passwd", linked), 0);
	DENIED(linked);
	unlink(linked);
	cr_expect_eq(symlink("/proc/self/mem", linked), 0);
	DENIED(linked);
	unlink(linked);
	cr_expect_eq(mkfifo(linked, 0644), 0);
	DENIED(linked);
	unlink(linked);
	unlink(name);
}

Test(start, it_adds_nothing_to_what_may_be_changed_or_is_told_as_allowed)
{
	size_t count;

	start_with(in_base("in/file"), true);
	mf_permit_paths(permit, false, &count);
	cr_expect_eq(count, 0);
	mf_permit_paths(permit, true, &count);
	cr_expect_eq(count, 0);
	mf_permit_start_paths(permit, &count);
	cr_expect_gt(count, 2);
	cr_expect_not(mf_permit_allows(permit, libc, MF_PERMIT_READ));
}

Test(start, a_volume_hides_the_hosts_libraries)
{
	const char *name = "/file";
	struct mf_permit_volume volume = {in_base("in"), "/", false};

	cr_assert_eq(try_volumes(&volume, 1, NULL, NULL, NULL), 0);
	cr_assert_eq(mf_permit_start(permit, &name, 1, true, NULL), 0);
	READS(libc, "E2");
	READS("/file", "in");
}
