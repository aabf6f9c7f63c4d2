/* SPDX-License-Identifier: MIT */
#include "engine/image/check.h"
#include "engine/image/clock.h"
#include "engine/image/file_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Copy the pages that hold anything, and compare the digest of all that was read. */
static int copy_pages(const struct mf_image_file *file, const struct mf_image_section *memory,
		      uint8_t *to, struct mf_error *err)
{
	struct mf_digest *digest = mf_image_digest_header(&file->header);
	uint64_t end = memory->offset + memory->bytes;
	uint64_t at = mf_image_next_data(file->fd, memory->offset, end);
	int ret;

	if (!digest)
		return mf_error_set(err, -ENOMEM, "not enough memory for a digest");
	ret = mf_image_digest_sections(file, digest);
	while (!ret && at < end) {
		uint8_t page[MF_PAGE];

		ret = mf_file_read(file->fd, page, MF_PAGE, at);
		if (ret)
			break;
		/* A hole of the file stays one of the memory. */
		if (!mf_image_is_zero(page))
			memcpy(to + (at - memory->offset), page, MF_PAGE);
		mf_image_digest_page(digest, (at - memory->offset) / MF_PAGE, page);
		at += MF_PAGE;
		if (mf_image_is_zero(page))
			at = mf_image_next_data(file->fd, at, end);
	}
	if (!ret)
		return mf_image_digest_compare(file, digest, err);
	mf_digest_end(digest, NULL);
	return mf_error_set(err, ret, "cannot read the image file: %s", strerror(-ret));
}

/* Memory of our own, with the file's bytes; -1 or a descriptor that is not sealed yet. */
static int copy_memory(const struct mf_image_file *file, const struct mf_image_section *memory,
		       struct mf_error *err)
{
	int memfd = memfd_create("mayfly-image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *map = MAP_FAILED;
	int ret = memfd < 0 || ftruncate(memfd, (off_t)memory->bytes) ? -errno : 0;

	if (!ret) {
		map = mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
		ret = map == MAP_FAILED ? -errno : 0;
	}
	if (ret)
		mf_error_set(err, ret, "cannot get %llu MiB for the image: %s",
			     (unsigned long long)memory->bytes >> 20, strerror(-ret));
	else
		ret = copy_pages(file, memory, map, err);
	if (map != MAP_FAILED)
		munmap(map, memory->bytes);
	if (!ret)
		return memfd;
	if (memfd >= 0)
		close(memfd);
	return ret;
}

static int open_backing(struct mf_backing *backing, const struct mf_image_file *file, bool trusted,
			struct mf_error *err)
{
	const struct mf_image_section *memory = mf_image_file_section(file, MF_SECTION_MEMORY);

	*backing = (struct mf_backing){
		.memfd = -1,
		.bytes = memory->bytes,
		.arena_bytes = file->header.arena_bytes,
		.limit_bytes = file->header.limit_bytes,
	};
	if (trusted) {
		backing->offset = memory->offset;
		backing->memfd = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
		if (backing->memfd < 0)
			return mf_error_set(err, -errno, "cannot hold the image file open: %s",
					    strerror(errno));
	} else {
		int memfd = copy_memory(file, memory, err);

		if (memfd < 0)
			return memfd;
		backing->memfd = memfd;
		if (fcntl(memfd, F_ADD_SEALS,
			  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
			return mf_error_set(err, -errno, "cannot seal the image: %s",
					    strerror(errno));
	}
	backing->map = mmap(NULL, backing->bytes, PROT_READ, MAP_SHARED, backing->memfd,
			    (off_t)backing->offset);
	if (backing->map != MAP_FAILED)
		return 0;
	backing->map = NULL;
	return mf_error_set(err, -errno, "cannot map the image: %s", strerror(errno));
}

static int open_file(const struct mf_image_map *map, const char *name,
		     const struct mf_image_load *load, struct mf_error *err)
{
	bool shared = map->kind == MF_IMAGE_MAP_SHARED;
	int fd = load->open ? load->open(load->cookie, name, shared ? O_RDWR : O_RDONLY, err)
			    : -EACCES;
	int ret;

	if (fd < 0)
		return fd;
	/* What is written changes: only its name counts. */
	ret = shared || mf_image_is_file(fd, &map->identity) ? 0 : mf_image_stale(err, name);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* The maps' table, and where the names lie. */
struct map_table {
	void *bytes;
	size_t size;
	size_t count;
	const char *name;
	size_t names_left;
};

static int bad_maps(struct mf_error *err)
{
	return mf_image_damaged(err, "its list of mapped files");
}

/* The entries lie in front of the names; how many there are shows in the sizes of the names. */
static int read_maps(const struct mf_image_file *file, struct map_table *table,
		     struct mf_error *err)
{
	const struct mf_image_map *maps;
	size_t names = 0;
	int ret = mf_image_file_read(file, MF_SECTION_FILES, &table->bytes, &table->size, err);

	if (ret)
		return ret;
	maps = table->bytes;
	table->count = 0;
	while (table->count * sizeof(*maps) + names < table->size) {
		if (table->count == MF_FILE_MAPS ||
		    (table->count + 1) * sizeof(*maps) + names > table->size ||
		    maps[table->count].name_bytes > table->size)
			return bad_maps(err);
		names += maps[table->count++].name_bytes;
	}
	if (table->count * sizeof(*maps) + names != table->size)
		return bad_maps(err);
	table->name = (const char *)table->bytes + table->count * sizeof(*maps);
	table->names_left = names;
	return 0;
}

/* Whole pages, above the frames, over no other. */
static bool map_is_sane(const struct mf_image_map *map, const struct mf_backing *backing)
{
	size_t i;

	for (i = 0; i < backing->file_count; i++)
		if (map->gpa < backing->files[i].gpa + backing->files[i].bytes &&
		    backing->files[i].gpa < map->gpa + map->bytes)
			return false;
	return map->bytes && !(map->bytes % MF_PAGE) && !(map->offset % MF_PAGE) &&
	       !(map->gpa % MF_PAGE) && map->gpa >= backing->limit_bytes &&
	       map->bytes <= 1ull << 40 && map->gpa <= 1ull << 45 &&
	       map->offset <= INT64_MAX - map->bytes;
}

static int open_clock(const struct mf_image_map *map, const struct mf_kvm *kvm, int *fd,
		      struct mf_error *err)
{
	int clock = mf_clock_page(kvm);

	if (map->bytes != MF_PAGE || map->offset)
		return bad_maps(err);
	*fd = clock < 0 ? clock : fcntl(clock, F_DUPFD_CLOEXEC, 3);
	return *fd >= 0 ? 0 : mf_error_set(err, -EMFILE, "no descriptor is left for the clock");
}

static int open_named(struct map_table *table, const struct mf_image_map *map,
		      const struct mf_image_load *load, int *fd, struct mf_error *err)
{
	char name[4096];

	if (!map->name_bytes || map->name_bytes >= sizeof(name) ||
	    map->name_bytes > table->names_left || table->name[0] != '/')
		return bad_maps(err);
	memcpy(name, table->name, map->name_bytes);
	name[map->name_bytes] = 0;
	table->name += map->name_bytes;
	table->names_left -= map->name_bytes;
	*fd = open_file(map, name, load, err);
	return *fd < 0 ? *fd : 0;
}

static int open_map(struct map_table *table, const struct mf_image_map *map,
		    const struct mf_kvm *kvm, const struct mf_image_load *load, int *fd,
		    struct mf_error *err)
{
	switch (map->kind) {
	case MF_IMAGE_MAP_WINDOW:
		*fd = -1;
		return 0;
	case MF_IMAGE_MAP_CLOCK:
		return open_clock(map, kvm, fd, err);
	case MF_IMAGE_MAP_FILE:
	case MF_IMAGE_MAP_SHARED:
		return open_named(table, map, load, fd, err);
	default:
		return bad_maps(err);
	}
}

static int open_maps(struct mf_backing *backing, const struct mf_image_file *file,
		     const struct mf_kvm *kvm, const struct mf_image_load *load,
		     struct mf_error *err)
{
	struct map_table table = {.bytes = NULL};
	const struct mf_image_map *maps;
	size_t i;
	int ret = read_maps(file, &table, err);

	maps = table.bytes;
	for (i = 0; i < table.count && !ret; i++) {
		int fd = -1;

		ret = map_is_sane(&maps[i], backing)
			      ? open_map(&table, &maps[i], kvm, load, &fd, err)
			      : bad_maps(err);
		if (!ret)
			backing->files[backing->file_count++] = (struct mf_file_map){
				.fd = fd,
				.writable = maps[i].kind == MF_IMAGE_MAP_SHARED,
				.offset = maps[i].offset,
				.bytes = maps[i].bytes,
				.gpa = maps[i].gpa,
				.pages = maps[i].pages,
			};
	}
	free(table.bytes);
	return ret;
}

static int read_cpu(struct mf_image *image, const struct mf_image_file *file, struct mf_error *err)
{
	void *bytes;
	size_t size;
	int ret = mf_image_file_read(file, MF_SECTION_CPU, &bytes, &size, err);

	if (!ret && size != sizeof(image->cpu))
		ret = mf_error_set(err, -EBADMSG,
				   "the image file has no registers; build it again");
	if (!ret)
		memcpy(&image->cpu, bytes, sizeof(image->cpu));
	free(bytes);
	return ret;
}

#define CLOCK_MAX_NS (100ull * 365 * 86400 * 1000000000) /* a host that is up for a century */

static int read_clock(struct mf_image *image, const struct mf_image_file *file,
		      struct mf_error *err)
{
	void *bytes;
	size_t size;
	int ret = mf_image_file_read(file, MF_SECTION_CLOCK, &bytes, &size, err);

	if (!ret && size == sizeof(image->frozen_ns))
		memcpy(&image->frozen_ns, bytes, sizeof(image->frozen_ns));
	free(bytes);
	if (!ret && (size != sizeof(image->frozen_ns) || image->frozen_ns > CLOCK_MAX_NS))
		ret = mf_image_damaged(err, "its clock");
	return ret;
}

/* What requests are known to write; a hint, so a part that makes no sense is left out. */
static void read_learned(struct mf_image *image, const struct mf_image_file *file)
{
	uint64_t *words;
	size_t size;
	size_t i;
	void *bytes;

	if (mf_image_file_read(file, MF_SECTION_LEARNED, &bytes, &size, NULL) || !bytes)
		return;
	words = bytes;
	for (i = 0; size == (image->pages + 63) / 64 * 8 && i < size / 8; i++) {
		uint64_t word = words[i];

		if (i == size / 8 - 1 && image->pages % 64)
			word &= (1ull << (image->pages % 64)) - 1;
		image->learned[i] = word;
		image->learned_pages += (size_t)__builtin_popcountll(word);
	}
	image->lessons = image->learned_pages ? 1 : 0;
	free(bytes);
}

static int check(const struct mf_image *image, const struct mf_image_load *load,
		 struct mf_error *err)
{
	size_t frames = image->backing.limit_bytes / MF_PAGE;
	uint64_t *owned = calloc((frames + 63) / 64, sizeof(*owned));
	const char *wrong = NULL;
	int ret = owned ? mf_image_check(image, load->linux_bytes, owned, err)
			: mf_error_set(err, -ENOMEM, "not enough memory to check the image");

	if (!ret && load->check)
		wrong = load->check(image, owned);
	free(owned);
	return wrong ? mf_image_damaged(err, wrong) : ret;
}

int mf_image_load(struct mf_image *image, const struct mf_kvm *kvm,
		  const struct mf_image_file *file, const struct mf_image_load *load,
		  struct mf_error *err)
{
	int ret;

	*image = (struct mf_image){.kvm = kvm, .backing.memfd = -1};
	ret = mf_image_file_fits(file, kvm, err);
	if (!ret)
		ret = read_cpu(image, file, err);
	if (!ret)
		ret = read_clock(image, file, err);
	if (!ret)
		ret = open_backing(&image->backing, file, load->trusted, err);
	if (!ret)
		ret = open_maps(&image->backing, file, kvm, load, err);
	if (!ret)
		ret = mf_image_account(image, err);
	if (!ret)
		ret = check(image, load, err);
	if (ret) {
		mf_image_finish(image);
		return ret;
	}
	read_learned(image, file);
	return 0;
}
