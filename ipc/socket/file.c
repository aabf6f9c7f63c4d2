/* SPDX-License-Identifier: MIT */
#include "ipc/socket/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int mf_socket_address(struct sockaddr_un *out, const char *path, struct mf_error *err)
{
	size_t length = strlen(path);

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (length == 0)
		return mf_error_set(err, -EINVAL,
				    "unix: needs a path, as in unix:/run/mayfly.sock.");
	if (length >= sizeof(out->sun_path))
		return mf_error_set(
			err, -ENAMETOOLONG,
			"The socket path has %zu bytes and Linux takes at most %zu; use a "
			"shorter one or a relative path.",
			length, sizeof(out->sun_path) - 1);
	memcpy(out->sun_path, path, length + 1);
	return 0;
}

int mf_socket_listens(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int code;

	if (fd < 0)
		return -errno;
	code = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? 1 : -errno;
	close(fd);
	if (code == -ECONNREFUSED || code == -ENOENT)
		return 0;
	return code == -EAGAIN ? 1 : code; /* its queue is full: it lives */
}

/* Removes a socket file that nobody listens on. */
static int remove_stale(const struct sockaddr_un *address, struct mf_error *err)
{
	const char *path = address->sun_path;
	struct stat st;
	int code;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0
				       : mf_error_set(err, -errno, "Cannot look at %s: %m.", path);
	if (!S_ISSOCK(st.st_mode))
		return mf_error_set(
			err, -EEXIST,
			"%s exists and is not a socket; remove it or choose another path.", path);
	code = mf_socket_listens(address);
	if (code > 0)
		return mf_error_set(err, -EADDRINUSE,
				    "Another server listens on %s; stop it or choose another path.",
				    path);
	if (code < 0)
		return mf_error_set(err, code, "Cannot tell whether %s is in use: %s.", path,
				    strerror(-code));
	if (unlink(path) < 0 && errno != ENOENT)
		return mf_error_set(err, -errno, "Cannot remove the stale socket %s: %m.", path);
	return 0;
}

static void name_folder(char *folder, size_t room, const char *path)
{
	char *slash;

	snprintf(folder, room, "%s", path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	else
		snprintf(folder, room, ".");
}

static int lock_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 50 && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
	return fd;
}

static int check_folder(const char *folder, const char *path, struct mf_error *err)
{
	struct stat st;

	if (stat(folder, &st) < 0)
		return mf_error_set(err, -errno, "Cannot make the socket %s: %m.", path);
	if (!S_ISDIR(st.st_mode))
		return mf_error_set(err, -ENOTDIR, "Cannot make the socket %s: %s.", path,
				    strerror(ENOTDIR));
	return 0;
}

int mf_socket_file_claim(struct mf_socket_file *file, const char *path, struct mf_error *err)
{
	char folder[sizeof(file->address.sun_path) + 1];
	int code;

	*file = (struct mf_socket_file){.lock_fd = -1, .file_fd = -1};
	code = mf_socket_address(&file->address, path, err);
	if (code)
		return code;
	name_folder(folder, sizeof(folder), path);
	code = check_folder(folder, path, err);
	if (code)
		return code;
	file->lock_fd = lock_folder(folder);
	code = remove_stale(&file->address, err);
	if (code)
		mf_socket_file_unlock(file);
	return code;
}

int mf_socket_bind(int fd, const struct sockaddr_un *address)
{
	mode_t before = umask(0177);
	int code = bind(fd, (const struct sockaddr *)address, sizeof(*address)) ? -errno : 0;

	umask(before);
	return code;
}

int mf_socket_file_bind(struct mf_socket_file *file, int fd)
{
	int code = mf_socket_bind(fd, &file->address);

	if (!code)
		mf_socket_file_mark(file);
	return code;
}

void mf_socket_file_mark(struct mf_socket_file *file)
{
	file->file_fd = open(file->address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

void mf_socket_file_unlock(struct mf_socket_file *file)
{
	if (file->lock_fd >= 0)
		close(file->lock_fd);
	file->lock_fd = -1;
}

/* Whether the marked file still has its name: nobody removed or replaced it. */
static bool is_ours(const struct mf_socket_file *file)
{
	struct stat st;

	/* A file that was removed or replaced has no name left. A confined process may ask that,
	 * not stat a path. */
	return file->file_fd >= 0 && fstat(file->file_fd, &st) == 0 && st.st_nlink;
}

void mf_socket_file_remove(struct mf_socket_file *file)
{
	mf_socket_file_unlock(file);
	if (is_ours(file))
		unlink(file->address.sun_path);
	if (file->file_fd >= 0)
		close(file->file_fd);
	file->file_fd = -1;
}
