/* SPDX-License-Identifier: MIT */
/* /dev/shm: files in memory with names, as shm_open and sem_open of the C library use them. */
#include "case.h"

#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

static char own[64];

/* Natively the folder is everybody's. */
static const char *name_of(const char *name)
{
	static char names[4][64];
	static int next;
	char *text = names[next++ % 4];

	snprintf(text, 64, "/mf-case-%d-%s", getpid(), name);
	return text;
}

static const char *path_of(const char *name)
{
	static char paths[4][96];
	static int next;
	char *text = paths[next++ % 4];

	snprintf(text, 96, "/dev/shm%s", name_of(name));
	return text;
}

CASE(shared_memory_has_a_name, openat, unlink, ftruncate, mmap)
{
	const char *name = name_of("a");
	struct stat st;
	char *one, *two;
	int a, b;

	say("missing %d %m", shm_open(name, O_RDWR, 0600));
	a = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
	say("made %d", a >= 0);
	say("again %d %m", shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0640));
	SHOW(SYS(ftruncate, a, 8192));
	b = shm_open(name, O_RDONLY, 0);
	fstat(b, &st);
	say("size %d mode %o links %d", (int)st.st_size, st.st_mode, b >= 0);
	one = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, a, 0);
	two = mmap(NULL, 4096, PROT_READ, MAP_SHARED, b, 4096);
	strcpy(one + 4096, "seen by the other");
	say("%s", two);
	say("%d %m", mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, b, 0) == MAP_FAILED);
	say("%ld %m", (long)write(b, "x", 1));
	close(a);
	say("%d", shm_unlink(name));
	say("%d %m", shm_unlink(name));
	say("%s", two);
	say("gone %d %m", shm_open(name, O_RDWR, 0600));
	a = shm_open(name, O_RDWR | O_CREAT, 0600);
	fstat(a, &st);
	say("new %d", (int)st.st_size);
	shm_unlink(name);
}

CASE(files_of_dev_shm_are_files, openat, newfstatat, faccessat, rename, link, unlink, statfs)
{
	char text[32] = "", link[96];
	struct statfs fs;
	struct stat st;
	int fd = (int)SYS(openat, AT_FDCWD, path_of("f"), O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

	SHOW(write(fd, "some text", 9));
	SHOW(SYS(newfstatat, AT_FDCWD, path_of("f"), &st, 0));
	say("%d %o", (int)st.st_size, st.st_mode);
	SHOW(SYS(newfstatat, AT_FDCWD, path_of("g"), &st, 0));
	SHOW(SYS(faccessat, AT_FDCWD, path_of("f"), R_OK | W_OK));
	SHOW(SYS(statfs, path_of("f"), &fs));
	say("tmpfs %d", fs.f_type == 0x01021994);
	SHOW(SYS(link, path_of("f"), path_of("g")));
	SHOW(SYS(link, path_of("f"), path_of("g")));
	SHOW(SYS(rename, path_of("g"), path_of("h")));
	SHOW(SYS(rename, path_of("g"), path_of("h")));
	SHOW(SYS(rename, path_of("h"), "here"));
	SHOW(SYS(unlink, path_of("f")));
	fd = open(path_of("h"), O_RDWR | O_APPEND);
	SHOW(write(fd, "+more", 5));
	SHOW(pread(fd, text, 31, 0));
	say("%s", text);
	snprintf(own, sizeof(own), "/proc/self/fd/%d", fd);
	text[0] = 0;
	link[readlink(own, link, 95)] = 0;
	say("named %d", !strcmp(link, path_of("h")));
	SHOW(open(path_of("h"), O_RDONLY | O_DIRECTORY));
	SHOW(open(path_of("h"), O_RDONLY | O_TRUNC) >= 0);
	fstat(fd, &st);
	say("cut %d", (int)st.st_size);
	SHOW(SYS(unlink, path_of("h")));
	SHOW(SYS(unlink, path_of("h")));
}

CASE(dev_shm_lists_its_names, openat, getdents64)
{
	int found = 0;
	struct dirent *entry;
	DIR *folder;

	close(open(path_of("x"), O_RDWR | O_CREAT, 0600));
	close(open(path_of("y"), O_RDWR | O_CREAT, 0600));
	folder = opendir("/dev/shm");
	while (folder && (entry = readdir(folder)))
		found += !strcmp(entry->d_name, name_of("x") + 1) +
			 !strcmp(entry->d_name, name_of("y") + 1);
	say("%d", found);
	unlink(path_of("x"));
	unlink(path_of("y"));
}

CASE(semaphores_have_names, openat, link, unlink)
{
	const char *name = name_of("s");
	sem_t *a = sem_open(name, O_CREAT | O_EXCL, 0600, 2), *b;
	int value = -1;

	say("made %d", a != SEM_FAILED);
	say("again %d %m", sem_open(name, O_CREAT | O_EXCL, 0600, 2) == SEM_FAILED);
	b = sem_open(name, 0);
	say("%d", sem_wait(b));
	sem_getvalue(a, &value);
	say("%d", value);
	say("%d %d", sem_post(b), sem_trywait(a));
	say("%d %d", sem_close(a), sem_unlink(name));
	say("%d %m", sem_unlink(name));
	say("%d", sem_trywait(b));
}
