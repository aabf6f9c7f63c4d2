/* SPDX-License-Identifier: MIT */
/* `mayfly image`: a program frozen at its ready point, in a file (docs/formats/image.md). */
#ifndef MF_TENANT_IMAGE_H
#define MF_TENANT_IMAGE_H

#include "engine/image/file.h"
#include "tenant/program.h"

struct mf_image_options {
	struct mf_program_options program;
	const char *path; /* of the image file; replaced if it is there */
	bool quiet;
};

/*
 * Run the program to its ready point, warm it up, freeze it and write the file, confined as a
 * program that is run. The file appears whole or not at all. A process of its own does it:
 * single-threaded callers only. -errno with a sentence.
 */
int mf_image_build(const struct mf_image_options *options, struct mf_error *err);

/* Where an image waits, as its file says it; checked. -EBADMSG with a sentence. */
int mf_image_file_ready(const struct mf_image_file *file, struct mf_ready_point *ready,
			struct mf_error *err);

/*
 * Is argv[0] an image file, told by its first bytes? Then load it, with what it maps and holds open
 * found again under the program's permissions: program->is_image. Set-up phase.
 */
int mf_program_try_image(struct mf_program *program, struct mf_error *err);

/* -EINVAL with a sentence when the loaded image has a place for a channel to a store and there is
 * no store, or the other way round. */
int mf_program_check_store(const struct mf_program *program, struct mf_error *err);

/* Hand the loaded image out; it is then the caller's. */
int mf_program_take_image(struct mf_program *program, struct mf_image *image,
			  struct mf_ready_point *ready, struct mf_error *err);

#endif
