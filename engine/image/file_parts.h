/* SPDX-License-Identifier: MIT */
/* What file.c, file_save.c and file_load.c share. */
#ifndef MF_ENGINE_IMAGE_FILE_PARTS_H
#define MF_ENGINE_IMAGE_FILE_PARTS_H

#include "engine/image/digest.h"
#include "engine/image/file.h"

bool mf_image_is_zero(const uint8_t page[MF_PAGE]);

/* The next offset, a multiple of pages from `offset`, where the file may hold data; at most `end`.
 */
uint64_t mf_image_next_data(int fd, uint64_t offset, uint64_t end);

/*
 * The digest is over the header (its digest zero), the sections in their order, and of the memory
 * each page that is not zero behind its number.
 */
struct mf_digest *
mf_image_digest_header(const struct mf_image_header *header); /* NULL: no memory */
int mf_image_digest_sections(const struct mf_image_file *file, struct mf_digest *digest);
void mf_image_digest_page(struct mf_digest *digest, uint64_t number, const uint8_t page[MF_PAGE]);
/* Ends `digest`. -EBADMSG: it is not the file's. */
int mf_image_digest_compare(const struct mf_image_file *file, struct mf_digest *digest,
			    struct mf_error *err);

/* What this engine and this CPU are, as a header says it. */
int mf_image_identify(const struct mf_kvm *kvm, struct mf_image_header *header);

#endif
