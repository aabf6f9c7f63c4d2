/* SPDX-License-Identifier: MIT */
#include "engine/linux/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROGRAM_MAX_BYTES (4ull << 30)

static int read_all(int fd, uint8_t *to, size_t bytes)
{
	while (bytes) {
		ssize_t got = read(fd, to, bytes);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		to += got;
		bytes -= (size_t)got;
	}
	return 0;
}

static int cannot_read(const char *path, int code, struct mf_error *err)
{
	if (code == -ENOENT)
		return mf_error_set(err, code, "there is no file %s; name the program by its path",
				    path);
	return mf_error_set(err, code, "cannot read the program %s: %s", path, strerror(-code));
}

static int read_open_file(const char *path, int fd, uint8_t **elf, size_t *bytes,
			  struct mf_error *err)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return cannot_read(path, -errno, err);
	if (!S_ISREG(st.st_mode))
		return mf_error_set(err, -EISDIR, "%s is not a regular file", path);
	if (!st.st_size || (uint64_t)st.st_size > PROGRAM_MAX_BYTES)
		return mf_error_set(err, -ENOEXEC, "%s is %s", path,
				    st.st_size ? "larger than 4 GiB" : "empty");
	*bytes = (size_t)st.st_size;
	*elf = malloc(*bytes);
	ret = *elf ? read_all(fd, *elf, *bytes) : -ENOMEM;
	if (!ret)
		return 0;
	free(*elf);
	*elf = NULL;
	return cannot_read(path, ret, err);
}

int mf_exec_read(const char *path, uint8_t **elf, size_t *bytes, struct mf_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret;

	*elf = NULL;
	if (fd < 0)
		return cannot_read(path, -errno, err);
	ret = read_open_file(path, fd, elf, bytes, err);
	close(fd);
	return ret;
}
