/* SPDX-License-Identifier: MIT */
#include "tenant/image.h"
#include "engine/linux/image.h"
#include "request-vm/output.h"
#include "tenant/store.h"
#include "tenant/warmup.h"

#include <mayfly/abi/ring_ops.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the section says that people read. */
struct info {
	char text[16384];
	size_t used;
};

static void say(struct info *info, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A line; control characters of a name or argument become '?'. What does not fit is left out. */
static void say(struct info *info, const char *name, const char *format, ...)
{
	char value[4096];
	va_list args;
	size_t i;
	int length;

	va_start(args, format);
	vsnprintf(value, sizeof(value), format, args);
	va_end(args);
	for (i = 0; value[i]; i++)
		if ((unsigned char)value[i] < ' ' || value[i] == 0x7f)
			value[i] = '?';
	length = snprintf(info->text + info->used, sizeof(info->text) - info->used, "%s: %s\n",
			  name, value);
	if (length > 0 && (size_t)length < sizeof(info->text) - info->used)
		info->used += (size_t)length;
}

static void describe(struct info *info, const struct mf_program_options *options,
		     const struct mf_image *image)
{
	time_t now = time(NULL);
	struct tm utc;
	char date[32];
	size_t i;

	gmtime_r(&now, &utc);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc);
	say(info, "built", "%s", date);
	say(info, "program", "%s", options->argv[0]);
	for (i = 1; options->argv[i]; i++)
		say(info, "argument", "%s", options->argv[i]);
	say(info, "warmed up with", "%llu requests",
	    (unsigned long long)(options->warmup ? mf_warmup_total(options->warmup) : 0));
	say(info, "memory in use", "%zu KiB",
	    (image->backing.bytes - image->backing.arena_bytes) / 1024);
	say(info, "learned", "%zu pages that requests write", image->learned_pages);
}

static int save(const struct mf_program *program, const struct mf_image *image,
		const struct mf_ready_point *ready, int fd, struct mf_error *err)
{
	struct info *info = calloc(1, sizeof(*info));
	struct mf_image_part parts[3] = {{MF_SECTION_READY, ready, sizeof(*ready)}};
	void *files = NULL;
	size_t files_bytes;
	int ret = info ? 0 : mf_error_set(err, -ENOMEM, "not enough memory");

	if (!ret)
		ret = mf_linux_image_files(image, &files, &files_bytes, err);
	if (!ret) {
		describe(info, program->options, image);
		parts[1] = (struct mf_image_part){MF_SECTION_DESCRIPTORS, files, files_bytes};
		parts[2] = (struct mf_image_part){MF_SECTION_INFO, info->text, info->used};
		ret = mf_image_save(image, fd, parts, 3, err);
	}
	free(files);
	free(info);
	return ret;
}

/* In a process of its own, confined: from the program to the bytes of the file. */
static int build_confined(struct mf_program *program, int fd, struct mf_error *err)
{
	struct mf_watchdog *dog = NULL;
	struct mf_ready_point ready;
	struct mf_image image;
	int ret = mf_watchdog_create(&dog, 1, err);

	if (ret)
		return ret;
	ret = mf_program_build(program, mf_watchdog_worker(dog, 0), &image, &ready, err);
	if (!ret) {
		ret = mf_program_learn(program, mf_watchdog_worker(dog, 0), &image, &ready, err);
		if (!ret)
			ret = save(program, &image, &ready, fd, err);
		mf_process_image_finish(&image);
	}
	mf_watchdog_destroy(dog);
	return ret;
}

static int build(const struct mf_image_options *options, int fd, struct mf_error *err)
{
	struct mf_program program;
	int ret;

	mf_program_calm_host();
	ret = mf_program_open(&program, &options->program, err);
	if (ret)
		return ret;
	mf_program_set_served(&program);
	if (options->program.stores)
		mf_tenant_store_set_windows(&program.policy,
					    mf_channel_bytes(MF_RING_BYTES_DEFAULT),
					    MF_TENANT_STORE_WINDOW_BYTES);
	ret = mf_program_confine(&program, NULL, NULL, NULL, err);
	if (!ret)
		ret = build_confined(&program, fd, err);
	mf_program_close(&program);
	return ret;
}

/* Give the finished file its name, in the place of what had it. */
static int name_file(int dir, int fd, const char *name, struct mf_error *err)
{
	char self[64];
	char temporary[64];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	snprintf(temporary, sizeof(temporary), ".mayfly-image-%d", (int)getpid());
	if (fsync(fd) || linkat(AT_FDCWD, self, dir, temporary, AT_SYMLINK_FOLLOW))
		return mf_error_set(err, -errno, "cannot finish the image file: %s",
				    strerror(errno));
	if (!renameat(dir, temporary, dir, name))
		return fsync(dir) ? mf_error_set(err, -errno, "cannot finish the image file: %s",
						 strerror(errno))
				  : 0;
	mf_error_set(err, -errno, "cannot name the image file %s: %s", name, strerror(errno));
	unlinkat(dir, temporary, 0);
	return -EIO;
}

/* The child's sentence comes through a pipe, its errno as its status. */
static int wait_for_child(pid_t child, int sentence, struct mf_error *err)
{
	char text[sizeof(err->text)];
	ssize_t got = TEMP_FAILURE_RETRY(read(sentence, text, sizeof(text) - 1));
	int status;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	text[got > 0 ? got : 0] = 0;
	return mf_error_set(err, WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO, "%s",
			    text[0] ? text : "the process that built the image was ended");
}

static int build_in_child(const struct mf_image_options *options, int fd, struct mf_error *err)
{
	int sentence[2];
	pid_t child;
	int ret;

	if (pipe2(sentence, O_CLOEXEC))
		return mf_error_set(err, -errno, "no pipe: %s", strerror(errno));
	fflush(NULL);
	child = fork();
	if (child < 0)
		return mf_error_set(err, -errno, "no process: %s", strerror(errno));
	if (!child) {
		struct mf_error mine = {0};

		ret = build(options, fd, &mine);
		if (ret && write(sentence[1], mine.text, strlen(mine.text)) < 0)
			ret = -EIO;
		_exit(ret ? (-ret & 127 ? -ret & 127 : EIO) : 0);
	}
	close(sentence[1]);
	ret = wait_for_child(child, sentence[0], err);
	close(sentence[0]);
	return ret;
}

int mf_image_build(const struct mf_image_options *options, struct mf_error *err)
{
	char *folder = strdup(options->path);
	char *file = strdup(options->path);
	int dir = -1;
	int fd = -1;
	int ret = folder && file ? 0 : mf_error_set(err, -ENOMEM, "not enough memory");

	if (!ret) {
		dir = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd = dir < 0 ? -1 : openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
		if (fd < 0)
			ret = mf_error_set(err, -errno, "cannot write into the folder of %s: %s",
					   options->path, strerror(errno));
	}
	if (!ret)
		ret = build_in_child(options, fd, err);
	if (!ret)
		ret = name_file(dir, fd, basename(file), err);
	if (fd >= 0)
		close(fd);
	if (dir >= 0)
		close(dir);
	free(folder);
	free(file);
	return ret;
}

int mf_image_file_ready(const struct mf_image_file *file, struct mf_ready_point *ready,
			struct mf_error *err)
{
	void *bytes;
	size_t size;
	int ret = mf_image_file_read(file, MF_SECTION_READY, &bytes, &size, err);

	if (ret)
		return ret;
	if (size == sizeof(*ready))
		memcpy(ready, bytes, sizeof(*ready));
	free(bytes);
	if (size != sizeof(*ready) || !mf_ready_point_is_sane(ready))
		return mf_error_set(err, -EBADMSG,
				    "the image file does not say where its program waits; build it "
				    "again with `mayfly image build`");
	return 0;
}
