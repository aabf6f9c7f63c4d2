/* SPDX-License-Identifier: MIT */
/* From an image file to an image that is run or served. */
#include "engine/image/check.h"
#include "engine/linux/image.h"
#include "tenant/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * What a program would need no permission for to start with, its own file and its libraries, an
 * image needs none for: whatever this user may execute is no secret from what this user runs.
 */
static int open_executable(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_mode & 0111))
		return fd < 0 ? -errno : fd;
	close(fd);
	return -EACCES;
}

/* A file that the image has in use, by its name. */
static int open_used(void *cookie, const char *path, int mode, struct mf_error *err)
{
	static const unsigned int needs[] = {[O_RDONLY] = MF_PERMIT_READ,
					     [O_WRONLY] = MF_PERMIT_WRITE,
					     [O_RDWR] = MF_PERMIT_READ | MF_PERMIT_WRITE};
	struct mf_program *program = cookie;
	int fd = -EACCES;

	if (program->permit && mode <= O_RDWR)
		fd = mf_permit_open_need(program->permit, "/", path, needs[mode], mode | O_CLOEXEC,
					 0);
	if (fd < 0 && mode == O_RDONLY)
		fd = open_executable(path);
	if (fd >= 0)
		return fd;
	return mf_error_set(err, fd,
			    "the image has %s in use, and it cannot be opened: %s; if it is there, "
			    "allow it with --allow-%s=%s",
			    path, strerror(-fd),
			    mode == O_RDONLY ? "read" : "read and --allow-write", path);
}

/* Sealed by the file system: nobody can change a byte of it. Documentation/filesystems/fsverity.rst
 */
static bool is_sealed(int fd)
{
	unsigned int flags = 0;

	return !ioctl(fd, FS_IOC_GETFLAGS, &flags) && flags & FS_VERITY_FL;
}

static int load(struct mf_program *program, const struct mf_image_file *file, struct mf_error *err)
{
	struct mf_image_load how = {
		.trusted = program->options->trust_image || is_sealed(file->fd),
		.linux_bytes = sizeof(struct mf_linux),
		.check = mf_linux_check,
		.open = open_used,
		.cookie = program,
		.net = program->net,
	};
	int ret = mf_image_file_ready(file, &program->ready, err);

	if (!ret)
		ret = mf_image_load(&program->image, &program->kvm, file, &how, err);
	if (ret)
		return ret;
	if (program->ready.kind == MF_READY_LISTENER && !mf_linux_of_image(&program->image)->door)
		ret = mf_image_damaged(err, "where its program listens");
	else
		ret = mf_linux_image_open(&program->image, file, &how, err);
	if (ret)
		mf_image_finish(&program->image);
	program->is_image = !ret;
	return ret;
}

int mf_program_try_image(struct mf_program *program, struct mf_error *err)
{
	const struct mf_program_options *options = program->options;
	struct mf_image_file file;
	char magic[8] = "";
	int fd = open(options->argv[0], O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO is none */
	int ret = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic) ||
	    memcmp(magic, MF_IMAGE_MAGIC, sizeof(magic))) {
		close(fd);
		return 0;
	}
	if (options->argv[1])
		ret = mf_error_set(err, -EINVAL,
				   "%s is an image: its program has its arguments already, and can "
				   "get no others",
				   options->argv[0]);
	if (!ret && options->start_option)
		ret = mf_error_set(err, -EINVAL,
				   "%s is an image: --%s can have no effect, for %s; it belongs to "
				   "`mayfly image build`",
				   options->argv[0], options->start_option,
				   options->start_option_why);
	if (!ret)
		ret = mf_image_file_open(&file, fd, err);
	if (!ret)
		ret = load(program, &file, err);
	close(fd);
	return ret;
}

/* Is there a place for a channel to a store, which only the engine opens? */
static bool has_channel(const struct mf_image *image)
{
	size_t i;

	for (i = 0; i < image->backing.file_count; i++)
		if (image->backing.files[i].bytes && image->backing.files[i].fd < 0)
			return true;
	return false;
}

int mf_program_check_store(const struct mf_program *program, struct mf_error *err)
{
	const char *name = program->options->argv[0];
	bool has = has_channel(&program->image);

	if (has == !!program->policy.windows[0].bytes)
		return 0;
	return has ? mf_error_set(err, -EINVAL,
				  "%s was built with --store, and its program may call the store: "
				  "serve it with --store DIR",
				  name)
		   : mf_error_set(err, -EINVAL,
				  "%s was built without --store, and its program has no way to a "
				  "store: build it again with `mayfly image build --store`, or "
				  "serve it without",
				  name);
}

int mf_program_take_image(struct mf_program *program, struct mf_image *image,
			  struct mf_ready_point *ready, struct mf_error *err)
{
	int ret = mf_program_check_store(program, err);

	if (ret)
		return ret;
	if (program->options->warmup)
		return mf_error_set(
			err, -EINVAL,
			"%s is an image: requests to warm it up belong to `mayfly image "
			"build`",
			program->options->argv[0]);
	*image = program->image;
	*ready = program->ready;
	program->is_image = false;
	return 0;
}
