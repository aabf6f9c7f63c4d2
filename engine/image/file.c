/* SPDX-License-Identifier: MIT */
/* Image files: what both writing and loading need, and looking at one. */
#include "engine/image/check.h"
#include "engine/image/file_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_BYTES_MAX (1ull << 40)

int mf_file_read(int fd, void *to, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = TEMP_FAILURE_RETRY(
			pread(fd, (uint8_t *)to + done, bytes - done, (off_t)(offset + done)));

		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		done += (size_t)got;
	}
	return 0;
}

bool mf_image_is_zero(const uint8_t page[MF_PAGE])
{
	return !page[0] && !memcmp(page, page + 1, MF_PAGE - 1);
}

void mf_image_digest_page(struct mf_digest *digest, uint64_t number, const uint8_t page[MF_PAGE])
{
	if (mf_image_is_zero(page))
		return;
	mf_digest_add(digest, &number, sizeof(number));
	mf_digest_add(digest, page, MF_PAGE);
}

static int64_t mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000ll + st->st_mtim.tv_nsec;
}

int mf_image_identify_file(int fd, struct mf_image_identity *identity)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	identity->file_bytes = (uint64_t)st.st_size;
	identity->mtime_ns = mtime_ns(&st);
	return mf_digest_file(fd, identity->digest);
}

bool mf_image_is_file(int fd, const struct mf_image_identity *identity)
{
	uint8_t digest[MF_DIGEST_BYTES];
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != identity->file_bytes)
		return false;
	if (mtime_ns(&st) == identity->mtime_ns)
		return true;
	return !mf_digest_file(fd, digest) && !memcmp(digest, identity->digest, sizeof(digest));
}

int mf_image_stale(struct mf_error *err, const char *name)
{
	return mf_error_set(err, -ESTALE,
			    "%s has changed since the image was built, and the image has parts of "
			    "it in use: build the image again",
			    name);
}

struct mf_digest *mf_image_digest_header(const struct mf_image_header *header)
{
	struct mf_digest *digest = mf_digest_begin();
	struct mf_image_header copy = *header;

	memset(copy.digest, 0, sizeof(copy.digest));
	if (digest)
		mf_digest_add(digest, &copy, sizeof(copy));
	return digest;
}

int mf_image_damaged(struct mf_error *err, const char *what)
{
	return mf_error_set(err, -EBADMSG,
			    "the image file is damaged or not made by Mayfly: %s; build it again "
			    "with `mayfly image build`",
			    what);
}

/* Sections follow one another behind the header, inside the file; no kind twice. */
static bool sections_are_sane(const struct mf_image_header *header)
{
	uint64_t end = MF_PAGE;
	uint32_t seen = 0;
	uint32_t i;

	if (!header->section_count || header->section_count > MF_IMAGE_SECTIONS)
		return false;
	for (i = 0; i < header->section_count; i++) {
		const struct mf_image_section *section = &header->sections[i];
		bool memory = section->kind == MF_SECTION_MEMORY;

		if (!section->kind || section->kind >= MF_SECTION_KINDS || section->reserved ||
		    seen >> section->kind & 1)
			return false;
		if (section->offset < end || section->offset > header->file_bytes ||
		    section->bytes > header->file_bytes - section->offset ||
		    section->bytes > (memory ? MEMORY_BYTES_MAX : MF_IMAGE_SECTION_BYTES))
			return false;
		seen |= 1u << section->kind;
		end = section->offset + section->bytes;
	}
	return end == header->file_bytes &&
	       header->sections[header->section_count - 1].kind == MF_SECTION_MEMORY;
}

static bool sizes_are_sane(const struct mf_image_header *header)
{
	const struct mf_image_section *memory = &header->sections[header->section_count - 1];

	return header->arena_bytes && !(header->arena_bytes % MF_PAGE) && header->limit_bytes &&
	       !(header->limit_bytes % MF_PAGE) && header->limit_bytes <= MEMORY_BYTES_MAX &&
	       !(memory->offset % MF_PAGE) && !(memory->bytes % MF_PAGE) &&
	       memory->bytes > header->arena_bytes &&
	       memory->bytes - header->arena_bytes <= header->limit_bytes;
}

static bool texts_end(const struct mf_image_header *header)
{
	return memchr(header->engine, 0, sizeof(header->engine)) &&
	       memchr(header->cpu, 0, sizeof(header->cpu));
}

static int check_header(const struct mf_image_header *header, const struct stat *st,
			struct mf_error *err)
{
	if (memcmp(header->magic, MF_IMAGE_MAGIC, sizeof(header->magic)))
		return mf_error_set(err, -ENOEXEC, "this is no image file of Mayfly's");
	if (header->version != MF_IMAGE_FILE_VERSION)
		return mf_error_set(err, -EPROTO,
				    "the image file is of format %u and this version reads format "
				    "%u; build it again with `mayfly image build`",
				    header->version, MF_IMAGE_FILE_VERSION);
	if ((uint64_t)st->st_size != header->file_bytes)
		return mf_image_damaged(err, "its length is not what it says");
	if (!texts_end(header) || header->reserved || header->family > MF_FAMILY_SOFTWARE)
		return mf_image_damaged(err, "its header");
	if (!sections_are_sane(header))
		return mf_image_damaged(err, "its table of sections");
	if (!sizes_are_sane(header))
		return mf_image_damaged(err, "the size of its memory");
	return 0;
}

int mf_image_file_open(struct mf_image_file *file, int fd, struct mf_error *err)
{
	struct stat st;
	int ret;

	file->fd = fd;
	if (fstat(fd, &st))
		return mf_error_set(err, -errno, "cannot look at the image file: %s",
				    strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size < MF_PAGE)
		return mf_error_set(err, -ENOEXEC, "this is no image file of Mayfly's");
	ret = mf_file_read(fd, &file->header, sizeof(file->header), 0);
	if (ret)
		return mf_error_set(err, ret, "cannot read the image file: %s", strerror(-ret));
	return check_header(&file->header, &st, err);
}

const struct mf_image_section *mf_image_file_section(const struct mf_image_file *file,
						     enum mf_section_kind kind)
{
	uint32_t i;

	for (i = 0; i < file->header.section_count; i++)
		if (file->header.sections[i].kind == kind)
			return &file->header.sections[i];
	return NULL;
}

int mf_image_file_read(const struct mf_image_file *file, enum mf_section_kind kind, void **bytes,
		       size_t *size, struct mf_error *err)
{
	const struct mf_image_section *section = mf_image_file_section(file, kind);
	int ret;

	*bytes = NULL;
	*size = 0;
	if (!section || kind == MF_SECTION_MEMORY)
		return 0;
	*bytes = malloc(section->bytes + 1); /* a byte more: none is empty */
	if (!*bytes)
		return mf_error_set(err, -ENOMEM, "not enough memory for a part of the image file");
	ret = mf_file_read(file->fd, *bytes, section->bytes, section->offset);
	if (ret) {
		free(*bytes);
		*bytes = NULL;
		return mf_error_set(err, ret, "cannot read the image file: %s", strerror(-ret));
	}
	*size = section->bytes;
	return 0;
}

/* The next page that may be more than a hole; `end` when there is none. */
uint64_t mf_image_next_data(int fd, uint64_t offset, uint64_t end)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? end : offset;
	at -= (off_t)((uint64_t)at - offset) % MF_PAGE;
	return (uint64_t)at < end ? (uint64_t)at : end;
}

static int add_memory(const struct mf_image_file *file, const struct mf_image_section *section,
		      struct mf_digest *digest)
{
	uint64_t end = section->offset + section->bytes;
	uint64_t at = mf_image_next_data(file->fd, section->offset, end);
	uint8_t page[MF_PAGE];
	int ret = 0;

	while (!ret && at < end) {
		ret = mf_file_read(file->fd, page, MF_PAGE, at);
		if (!ret)
			mf_image_digest_page(digest, (at - section->offset) / MF_PAGE, page);
		at += MF_PAGE;
		if (!ret && mf_image_is_zero(page))
			at = mf_image_next_data(file->fd, at, end);
	}
	return ret;
}

int mf_image_digest_sections(const struct mf_image_file *file, struct mf_digest *digest)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < file->header.section_count && !ret; i++) {
		void *bytes;
		size_t size;

		ret = mf_image_file_read(file, file->header.sections[i].kind, &bytes, &size, NULL);
		if (!ret && bytes)
			mf_digest_add(digest, bytes, size);
		free(bytes);
	}
	return ret;
}

int mf_image_digest_compare(const struct mf_image_file *file, struct mf_digest *digest,
			    struct mf_error *err)
{
	uint8_t value[MF_DIGEST_BYTES];
	int ret = mf_digest_end(digest, value);

	if (ret)
		return mf_error_set(err, ret, "cannot compute a digest");
	if (memcmp(value, file->header.digest, sizeof(value)))
		return mf_image_damaged(err, "its bytes do not have the digest that it names");
	return 0;
}

int mf_image_file_verify(const struct mf_image_file *file, struct mf_error *err)
{
	struct mf_digest *digest = mf_image_digest_header(&file->header);
	int ret;

	if (!digest)
		return mf_error_set(err, -ENOMEM, "not enough memory for a digest");
	ret = mf_image_digest_sections(file, digest);
	if (!ret)
		ret = add_memory(file, &file->header.sections[file->header.section_count - 1],
				 digest);
	if (!ret)
		return mf_image_digest_compare(file, digest, err);
	mf_digest_end(digest, NULL);
	return mf_error_set(err, ret, "cannot read the image file: %s", strerror(-ret));
}
