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

/* `path` made absolute and clean, without a slash at its end. */
static char *clean_path(const char *path, int *ret)
{
	char clean[PATH_MAX];
	char *cwd = getcwd(NULL, 0);
	char *copy;

	*ret = cwd ? mf_permit_clean(cwd, path, clean) : -errno;
	free(cwd);
	if (*ret < 0)
		return NULL;
	if (*ret > 1 && clean[*ret - 1] == '/')
		clean[*ret - 1] = 0;
	copy = strdup(clean);
	*ret = copy ? 0 : -ENOMEM;
	return copy;
}

static int entry_init(struct permit_entry *entry, const char **name, const char *path, bool write)
{
	bool missing;
	int ret;

	entry->path = clean_path(path, &ret);
	if (!entry->path)
		return ret;
	entry->real = real_name(path, entry->path, write, &missing);
	return entry->real ? entry_open(entry, name, missing) : -errno;
}

/* One more, empty entry; NULL: no memory. */
static struct permit_entry *list_grow(struct permit_list *list)
{
	struct permit_entry *entries =
		realloc(list->entries, (list->count + 1) * sizeof(*list->entries));
	const char **names = realloc(list->names, (list->count + 1) * sizeof(*list->names));

	if (entries)
		list->entries = entries;
	if (names)
		list->names = names;
	if (!entries || !names)
		return NULL;
	entries[list->count] = (struct permit_entry){.fd = -1};
	names[list->count] = NULL;
	return &entries[list->count++];
}

static void entry_finish(struct permit_entry *entry)
{
	if (entry->fd >= 0)
		close(entry->fd);
	free(entry->path);
	free(entry->real);
	free(entry->file);
}

/* Take the last one off, half-built as it may be. */
static int list_shrink(struct permit_list *list, int ret)
{
	if (ret) {
		list->count--;
		entry_finish(&list->entries[list->count]);
		free((char *)list->names[list->count]);
	}
	return ret;
}

int mf_permit_add(struct permit_list *list, const char *path, bool write)
{
	struct permit_entry *entry = list_grow(list);

	if (!entry)
		return -ENOMEM;
	return list_shrink(list, entry_init(entry, &list->names[list->count - 1], path, write));
}

static int cannot_permit(const char *path, bool write, int ret, struct mf_error *err)
{
	return mf_error_set(err, ret, "cannot permit %s '%s': %s", write ? "writing" : "reading",
			    path, strerror(-ret));
}

/* A name beneath a volume could mean the volume's file or the host's. */
static int check_not_hidden(const struct mf_permit *permit, const char *path, bool write,
			    struct mf_error *err)
{
	int ret;
	char *clean = clean_path(path, &ret);

	if (!clean)
		return cannot_permit(path, write, ret, err);
	if (mf_permit_in_volume(permit, clean))
		ret = mf_error_set(err, -EINVAL,
				   "'%s' is hidden by a --volume; make it a --volume, too, or "
				   "leave it to that one",
				   path);
	free(clean);
	return ret;
}

static int list_fill(struct mf_permit *permit, const struct mf_permit_paths *paths, bool write,
		     struct mf_error *err)
{
	struct permit_list *list = write ? &permit->write : &permit->read;
	size_t i;
	int ret = 0;

	if (paths->all && !mf_permit_in_volume(permit, "/"))
		ret = mf_permit_add(list, "/", write);
	if (ret)
		return cannot_permit("/", write, ret, err);
	for (i = 0; !ret && !paths->all && i < paths->count; i++) {
		ret = check_not_hidden(permit, paths->paths[i], write, err);
		if (ret)
			return ret;
		ret = mf_permit_add(list, paths->paths[i], write);
		if (ret)
			cannot_permit(paths->paths[i], write, ret, err);
	}
	return ret;
}

/* The entry of a volume: what is at `host`, under the name `guest`. */
static int volume_init(struct permit_entry *entry, const char **name, const char *host,
		       const char *guest)
{
	entry->volume = true;
	entry->path = strdup(guest);
	if (!entry->path)
		return -ENOMEM;
	entry->real = realpath(host, NULL);
	return entry->real ? entry_open(entry, name, false) : -errno;
}

static int volume_add(struct permit_list *list, const char *host, const char *guest)
{
	struct permit_entry *entry = list_grow(list);

	if (!entry)
		return -ENOMEM;
	return list_shrink(list, volume_init(entry, &list->names[list->count - 1], host, guest));
}

static int add_volume(struct mf_permit *permit, const struct mf_permit_volume *volume,
		      struct mf_error *err)
{
	int ret;
	char *guest = clean_path(volume->guest, &ret);
	size_t i;

	for (i = 0; guest && i < permit->volume_count; i++)
		if (!strcmp(permit->volumes[i], guest)) {
			free(guest);
			return mf_error_set(err, -EINVAL, "there are two volumes at %s",
					    volume->guest);
		}
	if (guest) {
		permit->volumes[permit->volume_count++] = guest;
		ret = volume_add(&permit->read, volume->host, guest);
	}
	if (!ret && volume->writable)
		ret = volume_add(&permit->write, volume->host, guest);
	return ret ? mf_error_set(err, ret, "cannot make %s the volume %s: %s", volume->host,
				  volume->guest, strerror(-ret))
		   : 0;
}

/* A link in one that has volumes beneath it might lead into them. */
static void mark_stepwise(const struct mf_permit *permit, struct permit_list *list)
{
	size_t i;
	size_t j;

	for (i = 0; i < list->count; i++)
		for (j = 0; j < permit->volume_count; j++)
			if (strcmp(list->entries[i].path, permit->volumes[j]) &&
			    (mf_permit_prefix(list->entries[i].path, permit->volumes[j]) ||
			     mf_permit_prefix(list->entries[i].real, permit->volumes[j])))
				list->entries[i].stepwise = true;
}

static int fill(struct mf_permit *permit, const struct mf_permit_settings *settings,
		struct mf_error *err)
{
	size_t i;
	int ret = 0;

	permit->volumes = calloc(settings->volume_count + 1, sizeof(*permit->volumes));
	if (!permit->volumes)
		return mf_error_set(err, -ENOMEM, "not enough memory for the list of volumes");
	for (i = 0; !ret && i < settings->volume_count; i++)
		ret = add_volume(permit, &settings->volumes[i], err);
	if (!ret)
		ret = list_fill(permit, &settings->read, false, err);
	if (!ret)
		ret = list_fill(permit, &settings->write, true, err);
	mark_stepwise(permit, &permit->read);
	mark_stepwise(permit, &permit->write);
	return ret;
}

int mf_permit_create_from(struct mf_permit **permit, const struct mf_permit_settings *settings,
			  struct mf_error *err)
{
	struct mf_permit *made = calloc(1, sizeof(*made));
	int ret;

	*permit = NULL;
	if (!made)
		return mf_error_set(err, -ENOMEM, "not enough memory for the list of paths");
	ret = fill(made, settings, err);
	if (ret) {
		mf_permit_destroy(made);
		return ret;
	}
	*permit = made;
	return 0;
}

int mf_permit_create(struct mf_permit **permit, const struct mf_permit_paths *read,
		     const struct mf_permit_paths *write, struct mf_error *err)
{
	struct mf_permit_settings settings = {0};

	if (read)
		settings.read = *read;
	if (write)
		settings.write = *write;
	return mf_permit_create_from(permit, &settings, err);
}

static void list_finish(struct permit_list *list)
{
	while (list->count)
		list_shrink(list, -1);
	free(list->entries);
	free(list->names);
}

void mf_permit_destroy(struct mf_permit *permit)
{
	if (!permit)
		return;
	list_finish(&permit->read);
	list_finish(&permit->write);
	list_finish(&permit->start);
	while (permit->volume_count)
		free(permit->volumes[--permit->volume_count]);
	free(permit->volumes);
	free(permit);
}

const char *const *mf_permit_start_paths(const struct mf_permit *permit, size_t *count)
{
	*count = permit->start.count;
	return permit->start.names;
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
