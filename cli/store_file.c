/* SPDX-License-Identifier: MIT */
#include "cli/store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SNAPSHOT_TRIES 100u

static bool is_stream(const char *name)
{
	return !name || !strcmp(name, "-");
}

int store_file_open(struct store_file *file, const char *name, struct mf_error *err)
{
	*file = (struct store_file){STDIN_FILENO, "standard input", true};
	if (is_stream(name))
		return 0;
	*file = (struct store_file){open(name, O_RDONLY | O_CLOEXEC), name, false};
	return file->fd < 0 ? mf_error_set(err, -errno, "cannot open %s: %s", name, strerror(errno))
			    : 0;
}

int store_file_create(struct store_file *file, const char *name, bool force, struct mf_error *err)
{
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL);

	*file = (struct store_file){STDOUT_FILENO, "standard output", true};
	if (is_stream(name))
		return 0;
	*file = (struct store_file){open(name, flags, 0600), name, false};
	if (file->fd >= 0)
		return 0;
	return errno == EEXIST
		       ? mf_error_set(err, -EEXIST, "%s is there already; --force replaces it",
				      name)
		       : mf_error_set(err, -errno, "cannot make %s: %s", name, strerror(errno));
}

int store_file_read(struct store_file *file, void *to, size_t *bytes, struct mf_error *err)
{
	size_t done = 0;

	while (done < *bytes) {
		ssize_t got = read(file->fd, (char *)to + done, *bytes - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mf_error_set(err, -errno, "cannot read %s: %s", file->name,
					    strerror(errno));
		if (!got)
			break;
		done += (size_t)got;
	}
	*bytes = done;
	return 0;
}

static int not_written(const struct store_file *file, struct mf_error *err)
{
	return mf_error_set(err, -errno, "cannot write %s: %s", file->name, strerror(errno));
}

int store_file_write(struct store_file *file, const void *from, size_t bytes, struct mf_error *err)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t put = write(file->fd, (const char *)from + done, bytes - done);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return not_written(file, err);
		done += (size_t)put;
	}
	return 0;
}

int store_file_finish(struct store_file *file, struct mf_error *err)
{
	/* Pipes and the like have nothing to sync. */
	if (fsync(file->fd) && errno != EINVAL && errno != EROFS)
		return not_written(file, err);
	if (file->is_stream)
		return 0;
	return close(file->fd) ? not_written(file, err) : 0;
}

void store_file_spoil(struct store_file *file)
{
	/* As good as this can do: there is no end in it either way. */
	if (!file->is_stream && ftruncate(file->fd, 0))
		return;
}

int store_open_snapshot(struct store_job *job, struct mf_abi_admin_snapshot *snapshot,
			struct mf_error *err)
{
	int ret = -EAGAIN;

	for (unsigned int i = 0; i < SNAPSHOT_TRIES && ret == -EAGAIN; i++)
		ret = store_call(job, MF_ADMIN_OPEN, NULL, 0);
	if (!ret && job->reply_bytes != sizeof(*snapshot))
		ret = -EPROTO;
	if (ret)
		return store_explain(job, ret, err);
	memcpy(snapshot, job->reply, sizeof(*snapshot));
	return 0;
}
