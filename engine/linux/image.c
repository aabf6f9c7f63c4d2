/* SPDX-License-Identifier: MIT */
#include "engine/linux/image.h"
#include "engine/image/check.h"
#include "engine/linux/fd.h"
#include "engine/linux/socket_image.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* An entry of MF_SECTION_DESCRIPTORS; its name follows, or its struct mf_socket_image. */
struct record {
	uint32_t index; /* of the description */
	uint32_t name_bytes;
	uint32_t mapped; /* the program has parts of it in its memory: it must be the same still */
	uint32_t is_socket;
	struct mf_image_identity identity;
};

struct list {
	uint8_t *bytes;
	size_t size;
};

static int append(struct list *list, const void *bytes, size_t size)
{
	uint8_t *more = realloc(list->bytes, list->size + size);

	if (!more)
		return -ENOMEM;
	memcpy(more + list->size, bytes, size);
	list->bytes = more;
	list->size += size;
	return 0;
}

static bool is_named(const struct mf_fd *entry)
{
	return entry->kind == MF_FD_FILE || entry->kind == MF_FD_DIR;
}

static bool is_mapped(const struct mf_linux *lx, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < lx->vma_count; i++)
		if (lx->vmas[i].file == index + 1 && !(lx->vmas[i].flags & MF_VMA_IS_SHARED))
			return true;
	return false;
}

static int add_socket(struct list *list, const struct mf_linux *lx, uint32_t index,
		      struct mf_error *err)
{
	struct record record = {
		.index = index, .name_bytes = sizeof(struct mf_socket_image), .is_socket = 1};
	struct mf_socket_image socket;
	int ret = mf_socket_image_save(mf_fd_of(lx, index), &socket, err);

	if (!ret &&
	    (append(list, &record, sizeof(record)) || append(list, &socket, sizeof(socket))))
		ret = mf_error_set(err, -ENOMEM, "not enough memory for the image's sockets");
	return ret;
}

static int add_file(struct list *list, const struct mf_linux *lx, uint32_t index,
		    struct mf_error *err)
{
	const struct mf_fd *entry = mf_fd_of(lx, index);
	struct record record = {.index = index, .mapped = is_mapped(lx, index)};
	char link[64];
	char name[PATH_MAX];
	struct stat st;
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", entry->host);
	length = readlink(link, name, sizeof(name) - 1);
	if (length < 0 || fstat(entry->host, &st))
		return mf_error_set(err, -errno, "cannot name a file that the program has open: %s",
				    strerror(errno));
	name[length] = 0;
	if (!is_named(entry) || !st.st_nlink || name[0] != '/')
		return mf_error_set(err, -ENOTSUP,
				    "the program holds %s open at its ready point, which an image "
				    "file cannot name: close it before",
				    name);
	record.name_bytes = (uint32_t)length;
	if (record.mapped && mf_image_identify_file(entry->host, &record.identity))
		return mf_error_set(err, -EIO, "cannot read %s, which the program has mapped",
				    name);
	if (append(list, &record, sizeof(record)) || append(list, name, (size_t)length))
		return mf_error_set(err, -ENOMEM, "not enough memory for the image's files");
	return 0;
}

int mf_linux_image_files(const struct mf_image *image, void **bytes, size_t *size,
			 struct mf_error *err)
{
	const struct mf_linux *lx = mf_linux_of_image(image);
	struct list list = {.bytes = NULL};
	uint32_t i;
	int ret = 0;

	for (i = 0; i < lx->fds_high && i < MF_FDS && !ret; i++) {
		const struct mf_fd *entry = mf_fd_of(lx, i);

		if (mf_fd_has_host(entry))
			ret = entry->kind == MF_FD_SOCKET ? add_socket(&list, lx, i, err)
							  : add_file(&list, lx, i, err);
	}
	*bytes = list.bytes;
	*size = list.size;
	if (!ret)
		return 0;
	free(list.bytes);
	*bytes = NULL;
	return ret;
}

/* In the place of the host descriptor that the frozen state has for it. Owns fd. */
static int put_in_place(const struct mf_fd *entry, int fd, struct mf_error *err)
{
	int ret = 0;

	if (fcntl(entry->host, F_GETFD) >= 0 || dup3(fd, entry->host, O_CLOEXEC) < 0)
		ret = mf_error_set(
			err, -EMFILE,
			"there is no room for the image's files; raise the limit of open "
			"files (`ulimit -n`)");
	close(fd);
	return ret;
}

static int check_type(const struct mf_fd *entry, int fd, const char *name, struct mf_error *err)
{
	struct stat st;

	if (!fstat(fd, &st) &&
	    (entry->kind == MF_FD_DIR ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)))
		return 0;
	return mf_error_set(err, -ESTALE, "%s is not what it was when the image was built", name);
}

struct opener {
	const struct mf_linux *lx;
	const struct mf_image_load *load;
	struct mf_error *err;
	uint64_t opened[MF_FDS / 64]; /* one bit a description */
};

static bool is_opened(const struct opener *opener, uint32_t index)
{
	return opener->opened[index / 64] >> (index % 64) & 1;
}

static void note_opened(struct opener *opener, uint32_t index)
{
	opener->opened[index / 64] |= 1ull << (index % 64);
}

static int open_file(struct opener *opener, const struct record *record, const char *text)
{
	const struct mf_fd *entry = mf_fd_of(opener->lx, record->index);
	char name[PATH_MAX];
	int ret;
	int fd;

	if (!is_named(entry) || !record->name_bytes || record->name_bytes >= sizeof(name) ||
	    text[0] != '/' || record->mapped != is_mapped(opener->lx, record->index) ||
	    is_opened(opener, record->index))
		return mf_image_damaged(opener->err, "its list of open files");
	memcpy(name, text, record->name_bytes);
	name[record->name_bytes] = 0;
	fd = opener->load->open(opener->load->cookie, name, (int)(entry->flags & O_ACCMODE),
				opener->err);
	if (fd < 0)
		return fd;
	ret = record->mapped && !mf_image_is_file(fd, &record->identity)
		      ? mf_image_stale(opener->err, name)
		      : check_type(entry, fd, name, opener->err);
	if (ret) {
		close(fd);
		return ret;
	}
	ret = put_in_place(entry, fd, opener->err);
	if (!ret)
		note_opened(opener, record->index);
	return ret;
}

/* The first record of a pair makes both ends. */
static int make_socket(struct opener *opener, const struct record *record, const char *bytes)
{
	const struct mf_fd *entry = mf_fd_of(opener->lx, record->index);
	struct mf_socket_image socket;
	int hosts[2];
	int ret;

	if (entry->kind != MF_FD_SOCKET || record->name_bytes != sizeof(socket))
		return mf_image_damaged(opener->err, "its list of sockets");
	memcpy(&socket, bytes, sizeof(socket));
	if (is_opened(opener, record->index))
		return mf_socket_image_options(entry->host, &socket, opener->err);
	ret = mf_socket_image_make(entry, &socket, opener->load->net, hosts, opener->err);
	if (ret)
		return ret;
	ret = put_in_place(entry, hosts[0], opener->err);
	if (!ret)
		note_opened(opener, record->index);
	if (hosts[1] < 0)
		return ret;
	if (!ret)
		ret = put_in_place(mf_fd_of(opener->lx, entry->object - 1), hosts[1], opener->err);
	else
		close(hosts[1]);
	if (!ret)
		note_opened(opener, entry->object - 1);
	return ret;
}

static int open_record(struct opener *opener, const struct record *record, const char *bytes)
{
	if (record->index >= MF_FDS || !mf_fd_has_host(mf_fd_of(opener->lx, record->index)))
		return mf_image_damaged(opener->err, "its list of open files");
	return record->is_socket ? make_socket(opener, record, bytes)
				 : open_file(opener, record, bytes);
}

static int open_records(struct opener *opener, const uint8_t *bytes, size_t size)
{
	struct record record;
	int ret = 0;

	while (size && !ret) {
		if (size < sizeof(record))
			return mf_image_damaged(opener->err, "its list of open files");
		memcpy(&record, bytes, sizeof(record));
		bytes += sizeof(record);
		size -= sizeof(record);
		if (record.name_bytes > size)
			return mf_image_damaged(opener->err, "its list of open files");
		ret = open_record(opener, &record, (const char *)bytes);
		bytes += record.name_bytes;
		size -= record.name_bytes;
	}
	return ret;
}

/* What the state has for an open file must now be one. */
static int check_all_open(const struct opener *opener)
{
	uint32_t i;

	for (i = 0; i < opener->lx->fds_high; i++)
		if (mf_fd_has_host(mf_fd_of(opener->lx, i)) && !is_opened(opener, i))
			return mf_image_damaged(opener->err, "its list of open files lacks one");
	return 0;
}

static void close_opened(const struct opener *opener)
{
	uint32_t i;

	for (i = 0; i < MF_FDS; i++)
		if (is_opened(opener, i))
			close(mf_fd_of(opener->lx, i)->host);
}

int mf_linux_image_open(const struct mf_image *image, const struct mf_image_file *file,
			const struct mf_image_load *load, struct mf_error *err)
{
	struct opener opener = {.lx = mf_linux_of_image(image), .load = load, .err = err};
	void *bytes;
	size_t size;
	int ret;

	ret = mf_image_file_read(file, MF_SECTION_DESCRIPTORS, &bytes, &size, err);
	if (!ret)
		ret = open_records(&opener, bytes, size);
	free(bytes);
	if (!ret)
		ret = check_all_open(&opener);
	if (ret)
		close_opened(&opener);
	return ret;
}
