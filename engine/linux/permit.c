/* SPDX-License-Identifier: MIT */
#include "engine/linux/permit.h"
#include "engine/linux/permit_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void list_finish(struct permit_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++) {
		if (list->entries[i].fd >= 0)
			close(list->entries[i].fd);
		free(list->entries[i].path);
		free(list->entries[i].real);
		free(list->entries[i].file);
	}
	for (i = 0; i < list->count; i++)
		free((char *)list->names[i]);
	free(list->entries);
	free(list->names);
}

/*
 * realpath of `path`, whose clean form is `clean`; where its last part is missing and may be, of
 * the directory, with that part: then *missing. NULL with errno.
 */
static char *real_name(const char *path, const char *clean, bool may_miss, bool *missing)
{
	char *real = realpath(path, NULL);
	const char *slash = strrchr(clean, '/');
	char *parent, *joined = NULL;
	struct stat st;

	*missing = false;
	if (real || errno != ENOENT || !may_miss || !lstat(path, &st))
		return real;
	parent = strndup(clean, slash == clean ? 1 : (size_t)(slash - clean));
	real = parent ? realpath(parent, NULL) : NULL;
	free(parent);
	if (!real)
		return NULL;
	*missing = true;
	if (asprintf(&joined, "%s/%s", strcmp(real, "/") ? real : "", slash + 1) < 0)
		joined = NULL;
	free(real);
	return joined;
}

/* The directory of entry->real; its last part becomes entry->file. NULL: no memory. */
static char *split_file(struct permit_entry *entry)
{
	char *slash = strrchr(entry->real, '/');
	size_t bytes = slash == entry->real ? 1 : (size_t)(slash - entry->real);

	entry->file = strdup(slash + 1);
	return entry->file ? strndup(entry->real, bytes) : NULL;
}

/* Open what entry->real names: a directory, or the directory of a file. 0 or -errno. */
static int entry_open(struct permit_entry *entry, const char **name, bool missing)
{
	char *directory = NULL;
	struct stat st = {.st_mode = S_IFREG};
	int ret = 0;

	if (!missing && stat(entry->real, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode)) {
		directory = split_file(entry);
		if (!directory)
			return -ENOMEM;
	}
	entry->fd = open(directory ? directory : entry->real, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (entry->fd < 0)
		ret = -errno;
	*name = strdup(missing ? directory : entry->real);
	free(directory);
	return ret || *name ? ret : -ENOMEM;
}

static int entry_init(struct permit_entry *entry, const char **name, const char *path, bool write)
{
	char clean[PATH_MAX];
	char *cwd;
	bool missing;
	int ret;

	cwd = getcwd(NULL, 0);
	if (!cwd)
		return -errno;
	ret = mf_permit_clean(cwd, path, clean);
	free(cwd);
	if (ret < 0)
		return ret;
	if (ret > 1 && clean[ret - 1] == '/')
		clean[ret - 1] = 0;
	entry->path = strdup(clean);
	if (!entry->path)
		return -ENOMEM;
	entry->real = real_name(path, clean, write, &missing);
	return entry->real ? entry_open(entry, name, missing) : -errno;
}

static int list_init(struct permit_list *list, const struct mf_permit_paths *paths, bool write,
		     struct mf_error *err)
{
	static const char *const root[] = {"/"};
	const char *const *from = paths && paths->all ? root : paths ? paths->paths : NULL;
	size_t count = paths ? paths->all ? 1 : paths->count : 0;

	if (!count)
		return 0;
	list->entries = calloc(count, sizeof(*list->entries));
	list->names = calloc(count, sizeof(*list->names));
	if (!list->entries || !list->names)
		return mf_error_set(err, -ENOMEM, "not enough memory for the list of paths");
	for (; list->count < count; list->count++) {
		struct permit_entry *entry = &list->entries[list->count];
		const char *path = from[list->count];
		int ret;

		entry->fd = -1;
		ret = entry_init(entry, &list->names[list->count], path, write);
		if (ret) {
			list->count++; /* the half-built one is finished, too */
			return mf_error_set(err, ret, "cannot permit %s '%s': %s",
					    write ? "writing" : "reading", path, strerror(-ret));
		}
	}
	return 0;
}

int mf_permit_create(struct mf_permit **permit, const struct mf_permit_paths *read,
		     const struct mf_permit_paths *write, struct mf_error *err)
{
	struct mf_permit *made = calloc(1, sizeof(*made));
	int ret;

	*permit = NULL;
	if (!made)
		return mf_error_set(err, -ENOMEM, "not enough memory for the list of paths");
	ret = list_init(&made->read, read, false, err);
	if (!ret)
		ret = list_init(&made->write, write, true, err);
	if (ret) {
		mf_permit_destroy(made);
		return ret;
	}
	*permit = made;
	return 0;
}

void mf_permit_destroy(struct mf_permit *permit)
{
	if (!permit)
		return;
	list_finish(&permit->read);
	list_finish(&permit->write);
	free(permit);
}

const char *const *mf_permit_paths(const struct mf_permit *permit, bool writable, size_t *count)
{
	const struct permit_list *list = writable ? &permit->write : &permit->read;

	*count = list->count;
	return list->names;
}

/* Append one part of a path; `..` takes one off. -ENAMETOOLONG. */
static int add_part(char out[PATH_MAX], size_t *length, const char *part, size_t bytes)
{
	if (bytes == 1 && part[0] == '.')
		return 0;
	if (bytes == 2 && part[0] == '.' && part[1] == '.') {
		while (*length && out[--*length] != '/')
			;
		return 0;
	}
	if (bytes > NAME_MAX || *length + 1 + bytes + 2 > PATH_MAX)
		return -ENAMETOOLONG;
	out[(*length)++] = '/';
	memcpy(out + *length, part, bytes);
	*length += bytes;
	return 0;
}

static int add_parts(char out[PATH_MAX], size_t *length, const char *path)
{
	int ret = 0;

	while (!ret && *path) {
		size_t bytes = strcspn(path, "/");

		if (bytes)
			ret = add_part(out, length, path, bytes);
		path += bytes + (path[bytes] == '/');
	}
	return ret;
}

int mf_permit_clean(const char *cwd, const char *path, char out[PATH_MAX])
{
	size_t bytes = strnlen(path, PATH_MAX);
	size_t length = 0;
	const char *last;
	int ret = 0;

	if (!bytes)
		return -ENOENT;
	if (bytes >= PATH_MAX)
		return -ENAMETOOLONG;
	if (path[0] != '/')
		ret = add_parts(out, &length, cwd);
	if (!ret)
		ret = add_parts(out, &length, path);
	if (ret)
		return ret;
	/* "a/", "a/." and "a/.." can only be directories, and say so. */
	last = strrchr(path, '/');
	last = last ? last + 1 : path;
	if (!length || !*last || !strcmp(last, ".") || !strcmp(last, ".."))
		out[length++] = '/';
	out[length] = 0;
	return (int)length;
}
