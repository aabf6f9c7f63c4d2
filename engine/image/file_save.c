/* SPDX-License-Identifier: MIT */
#include "engine/image/clock.h"
#include "engine/image/file_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct writer {
	int fd;
	uint64_t at;
	struct mf_image_header header;
	struct mf_digest *digest;
	struct mf_error *err;
};

static int put(struct writer *writer, const void *bytes, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t put = TEMP_FAILURE_RETRY(pwrite(writer->fd, (const uint8_t *)bytes + done,
							size - done, (off_t)(offset + done)));

		if (put <= 0)
			return mf_error_set(writer->err, put ? -errno : -EIO,
					    "cannot write the image file: %s",
					    strerror(put ? errno : EIO));
		done += (size_t)put;
	}
	return 0;
}

static int add_section(struct writer *writer, enum mf_section_kind kind, uint64_t bytes)
{
	struct mf_image_header *header = &writer->header;

	if (header->section_count == MF_IMAGE_SECTIONS ||
	    (kind != MF_SECTION_MEMORY && bytes > MF_IMAGE_SECTION_BYTES))
		return mf_error_set(writer->err, -EFBIG, "a part of the image is too large");
	header->sections[header->section_count++] =
		(struct mf_image_section){.kind = kind, .offset = writer->at, .bytes = bytes};
	writer->at += bytes;
	return 0;
}

static int put_section(struct writer *writer, const struct mf_image_part *part)
{
	uint64_t at = writer->at;
	int ret = add_section(writer, part->kind, part->size);

	return ret ? ret : put(writer, part->bytes, part->size, at);
}

/* The file's name and what it must still be when the image is loaded. */
static int identify_file(const struct mf_file_map *file, struct mf_image_map *map,
			 char name[PATH_MAX], struct mf_error *err)
{
	char link[64];
	struct stat st;
	ssize_t length;
	int ret;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
	length = readlink(link, name, PATH_MAX - 1);
	if (length < 0 || fstat(file->fd, &st))
		return mf_error_set(err, -errno, "cannot name a file that the program maps: %s",
				    strerror(errno));
	name[length] = 0;
	if (!st.st_nlink || name[0] != '/')
		return mf_error_set(err, -ENOENT,
				    "the program maps %s, which has no name any more: an image "
				    "file cannot find it again",
				    name);
	map->name_bytes = (uint32_t)length;
	ret = mf_image_identify_file(file->fd, &map->identity);
	return ret ? mf_error_set(err, ret, "cannot read %s: %s", name, strerror(-ret)) : 0;
}

static bool is_clock(const struct mf_kvm *kvm, const struct mf_file_map *file)
{
	int clock = mf_clock_page(kvm);
	struct stat a;
	struct stat b;

	return clock >= 0 && !fstat(clock, &a) && !fstat(file->fd, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

struct map_list {
	struct mf_image_map maps[MF_FILE_MAPS];
	char *names;
	size_t names_bytes;
	size_t count;
};

static int add_map(struct map_list *list, const struct mf_image *image, size_t i,
		   struct mf_error *err)
{
	const struct mf_file_map *file = &image->backing.files[i];
	struct mf_image_map *map = &list->maps[list->count];
	char name[PATH_MAX] = "";
	char *names;
	int ret = 0;

	if (!file->bytes)
		return 0;
	list->count++;
	*map = (struct mf_image_map){.offset = file->offset,
				     .bytes = file->bytes,
				     .gpa = file->gpa,
				     .pages = file->pages};
	if (file->fd < 0) {
		map->kind = MF_IMAGE_MAP_WINDOW;
	} else if (is_clock(image->kvm, file)) {
		map->kind = MF_IMAGE_MAP_CLOCK;
	} else {
		map->kind = file->writable ? MF_IMAGE_MAP_SHARED : MF_IMAGE_MAP_FILE;
		ret = identify_file(file, map, name, err);
	}
	if (ret || !map->name_bytes)
		return ret;
	names = realloc(list->names, list->names_bytes + map->name_bytes);
	if (!names)
		return mf_error_set(err, -ENOMEM, "not enough memory for the image's files");
	list->names = names;
	memcpy(names + list->names_bytes, name, map->name_bytes);
	list->names_bytes += map->name_bytes;
	return 0;
}

static int put_maps(struct writer *writer, const struct mf_image *image)
{
	struct map_list *list = calloc(1, sizeof(*list));
	uint64_t at = writer->at;
	size_t i;
	int ret = list ? 0 : mf_error_set(writer->err, -ENOMEM, "not enough memory");

	for (i = 0; i < image->backing.file_count && !ret; i++)
		ret = add_map(list, image, i, writer->err);
	if (!ret)
		ret = add_section(writer, MF_SECTION_FILES,
				  list->count * sizeof(list->maps[0]) + list->names_bytes);
	if (!ret)
		ret = put(writer, list->maps, list->count * sizeof(list->maps[0]), at);
	if (!ret)
		ret = put(writer, list->names, list->names_bytes,
			  at + list->count * sizeof(list->maps[0]));
	if (list)
		free(list->names);
	free(list);
	return ret;
}

/* Pages that are zero stay holes. */
static int put_memory(struct writer *writer, const struct mf_image *image)
{
	const struct mf_image_section *section;
	size_t page;
	int ret;

	writer->at = (writer->at + MF_PAGE - 1) & ~(uint64_t)(MF_PAGE - 1);
	ret = add_section(writer, MF_SECTION_MEMORY, image->backing.bytes);
	section = &writer->header.sections[writer->header.section_count - 1];
	if (!ret && ftruncate(writer->fd, (off_t)writer->at))
		ret = mf_error_set(writer->err, -errno, "cannot write the image file: %s",
				   strerror(errno));
	for (page = 0; page < image->pages && !ret; page++) {
		const uint8_t *bytes = image->backing.map + page * MF_PAGE;

		if (!mf_image_is_zero(bytes))
			ret = put(writer, bytes, MF_PAGE, section->offset + page * MF_PAGE);
	}
	return ret;
}

/* The header's digest can be computed once all else of it is known. */
static int put_header(struct writer *writer, const struct mf_image *image)
{
	struct mf_image_file file = {.fd = writer->fd};
	struct mf_digest *digest;
	size_t page;
	int ret;

	writer->header.file_bytes = writer->at;
	file.header = writer->header;
	digest = mf_image_digest_header(&writer->header);
	if (!digest)
		return mf_error_set(writer->err, -ENOMEM, "not enough memory for a digest");
	ret = mf_image_digest_sections(&file, digest);
	for (page = 0; page < image->pages && !ret; page++)
		mf_image_digest_page(digest, page, image->backing.map + page * MF_PAGE);
	if (mf_digest_end(digest, ret ? NULL : writer->header.digest) && !ret)
		ret = -EIO;
	if (ret)
		return mf_error_set(writer->err, ret, "cannot compute the image's digest: %s",
				    strerror(-ret));
	return put(writer, &writer->header, sizeof(writer->header), 0);
}

static int put_own_parts(struct writer *writer, const struct mf_image *image)
{
	const struct mf_image_part parts[] = {
		{MF_SECTION_CPU, &image->cpu, sizeof(image->cpu)},
		{MF_SECTION_CLOCK, &image->frozen_ns, sizeof(image->frozen_ns)},
		{MF_SECTION_LEARNED, image->learned, (image->pages + 63) / 64 * 8},
	};
	size_t i;
	int ret = 0;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]) && !ret; i++)
		ret = put_section(writer, &parts[i]);
	return ret ? ret : put_maps(writer, image);
}

int mf_image_save(const struct mf_image *image, int fd, const struct mf_image_part *parts,
		  size_t count, struct mf_error *err)
{
	struct writer writer = {.fd = fd, .at = MF_PAGE, .err = err};
	size_t i;
	int ret;

	memcpy(writer.header.magic, MF_IMAGE_MAGIC, sizeof(writer.header.magic));
	writer.header.version = MF_IMAGE_FILE_VERSION;
	writer.header.arena_bytes = image->backing.arena_bytes;
	writer.header.limit_bytes = image->backing.limit_bytes;
	ret = mf_image_identify(image->kvm, &writer.header);
	if (ret)
		return mf_error_set(err, ret, "cannot describe this machine's CPU");
	ret = put_own_parts(&writer, image);
	for (i = 0; i < count && !ret; i++)
		ret = put_section(&writer, &parts[i]);
	if (!ret)
		ret = put_memory(&writer, image);
	return ret ? ret : put_header(&writer, image);
}
