/* SPDX-License-Identifier: MIT */
/*
 * An image on disk (docs/formats/image.md): a header, sections of the layers that made it, and the
 * memory, at whole pages and with holes where it is zero, so that it can be mapped as it lies. A
 * file comes from anyone: every offset, size and count is checked against the file before it is
 * used, and what the memory and the registers say is checked by mf_image_check(). The digest is
 * SHA-256 over all of it but itself.
 */
#ifndef MF_ENGINE_IMAGE_FILE_H
#define MF_ENGINE_IMAGE_FILE_H

#include "engine/image/image.h"

#define MF_IMAGE_MAGIC         "MFIMAGE\n"
#define MF_IMAGE_FILE_VERSION  1u
#define MF_IMAGE_DIGEST_BYTES  32u
#define MF_IMAGE_SECTIONS      16u
#define MF_IMAGE_SECTION_BYTES (8u << 20) /* the most that one but the memory may have */

/* Sections; those of the layers above are opaque here. Each at most once. */
enum mf_section_kind {
	MF_SECTION_CPU = 1,     /* struct mf_cpu_state */
	MF_SECTION_FILES,       /* what the image maps: struct mf_image_map, then their names */
	MF_SECTION_LEARNED,     /* one bit a page: worth having private before the first request */
	MF_SECTION_MEMORY,      /* arena and guest memory; whole pages, the last section */
	MF_SECTION_DESCRIPTORS, /* engine/linux: files to be opened again */
	MF_SECTION_READY,       /* the role's: where the program waits */
	MF_SECTION_INFO,        /* for people: lines of `name: value` */
	MF_SECTION_CLOCK, /* uint64_t: its program's monotonic clock, in ns, when it was frozen */
	MF_SECTION_KINDS
};

struct mf_image_section {
	uint32_t kind;
	uint32_t reserved; /* 0 */
	uint64_t offset;
	uint64_t bytes;
};

/* The first page of the file; little-endian as all of it. */
struct mf_image_header {
	char magic[8];
	uint32_t version;
	uint32_t family;     /* enum mf_family */
	uint64_t file_bytes; /* of the whole file */
	uint64_t arena_bytes;
	uint64_t limit_bytes;                         /* guest memory that a fork may have */
	uint8_t engine_digest[MF_IMAGE_DIGEST_BYTES]; /* layout of the state, stub and vDSO */
	uint8_t cpu_digest[MF_IMAGE_DIGEST_BYTES];    /* what guests are shown of the CPU */
	char engine[32];                              /* version of the engine that made it */
	char cpu[64];                                 /* the CPU's name */
	uint32_t section_count;
	uint32_t reserved; /* 0 */
	struct mf_image_section sections[MF_IMAGE_SECTIONS];
	uint8_t digest[MF_IMAGE_DIGEST_BYTES];
};

/* What a file must be still, for what is mapped of it to be right. */
struct mf_image_identity {
	uint64_t file_bytes;
	int64_t mtime_ns;
	uint8_t digest[MF_IMAGE_DIGEST_BYTES]; /* of all of it */
};

/* Take a regular file's; -errno. */
int mf_image_identify_file(int fd, struct mf_image_identity *identity);

/* Is it that file, by size and time of modification, or else by its digest? */
bool mf_image_is_file(int fd, const struct mf_image_identity *identity);

/* -ESTALE with the sentence for one that is not. */
int mf_image_stale(struct mf_error *err, const char *name);

/* Read all of it, or -EIO. */
int mf_file_read(int fd, void *to, size_t bytes, uint64_t offset);

/* A piece of a file that guests have mapped: in MF_SECTION_FILES, in the order of addresses. */
struct mf_image_map {
	uint32_t kind;       /* enum mf_image_map_kind */
	uint32_t name_bytes; /* of the name behind the table; 0 for what has none */
	uint64_t offset;
	uint64_t bytes;
	uint64_t gpa;
	uint64_t pages; /* of it that the program has mapped */
	struct mf_image_identity identity;
};

enum mf_image_map_kind {
	MF_IMAGE_MAP_FILE = 1,
	MF_IMAGE_MAP_WINDOW,
	MF_IMAGE_MAP_CLOCK,
	MF_IMAGE_MAP_SHARED, /* a file that is written, too */
};

/* A section to be written. */
struct mf_image_part {
	enum mf_section_kind kind;
	const void *bytes;
	size_t size;
};

/*
 * Write the image to `fd`, an empty regular file, with sections of the layers above. -errno with a
 * sentence; what was written then is no image.
 */
int mf_image_save(const struct mf_image *image, int fd, const struct mf_image_part *parts,
		  size_t count, struct mf_error *err);

/* An image file that was opened; its header is copied and checked. */
struct mf_image_file {
	int fd; /* the caller's */
	struct mf_image_header header;
};

/*
 * Read and check the header. -ENOEXEC: no image file; -EBADMSG: one that contradicts itself;
 * -EPROTO: of another version; with a sentence that says what to do.
 */
int mf_image_file_open(struct mf_image_file *file, int fd, struct mf_error *err);

/* Can this host run it? -EXDEV with a sentence when CPU, family or engine is another. */
int mf_image_file_fits(const struct mf_image_file *file, const struct mf_kvm *kvm,
		       struct mf_error *err);

/* The section of that kind, or NULL. */
const struct mf_image_section *mf_image_file_section(const struct mf_image_file *file,
						     enum mf_section_kind kind);

/* A copy of it, the caller's to free; NULL with *size 0 when there is none. -ENOMEM, -EIO. */
int mf_image_file_read(const struct mf_image_file *file, enum mf_section_kind kind, void **bytes,
		       size_t *size, struct mf_error *err);

/* Read everything and compare with the digest. -EBADMSG with a sentence. */
int mf_image_file_verify(const struct mf_image_file *file, struct mf_error *err);

/* How a file that the image has in use is found again, for O_RDONLY, O_WRONLY or O_RDWR. Returns a
 * descriptor, the caller's, or -errno with a sentence. */
typedef int mf_image_open_fn(void *cookie, const char *path, int mode, struct mf_error *err);

struct mf_permit_net;

struct mf_image_load {
	/*
	 * The file cannot change under us (fs-verity, or its owner's promise): forks map it as it
	 * lies. Otherwise it is copied into sealed memory, and the digest is checked on the way.
	 */
	bool trusted;
	size_t linux_bytes; /* what the layer above keeps in the arena */
	/*
	 * The layer above looks at what it keeps there, before anything believes it. `owned`: one
	 * bit a guest frame that is a page table or mapped. NULL, or what cannot be.
	 */
	const char *(*check)(const struct mf_image *image, uint64_t *owned);
	mf_image_open_fn *open;
	void *cookie;
	const struct mf_permit_net *net; /* the layer above's: addresses that its sockets may have
					  */
};

/*
 * Make the image that mf_vm_fork() takes, checked as far as this layer can. On success the caller
 * owns it (mf_image_finish); nothing is left behind on failure. -errno with a sentence.
 */
int mf_image_load(struct mf_image *image, const struct mf_kvm *kvm,
		  const struct mf_image_file *file, const struct mf_image_load *load,
		  struct mf_error *err);

#endif
