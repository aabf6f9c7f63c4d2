/* SPDX-License-Identifier: MIT */
/*
 * The Linux side of image files: the files that a frozen program holds open are named in the file,
 * and opened again where it is loaded, each in the place of the host descriptor that the frozen
 * state names. And the check of that state: from a file it is a claim.
 */
#ifndef MF_ENGINE_LINUX_IMAGE_H
#define MF_ENGINE_LINUX_IMAGE_H

#include "engine/image/file.h"
#include "engine/linux/process.h"

/* Host descriptors of an image have numbers from here on, so that they can be had again. */
#define MF_IMAGE_FDS_FROM 400

/* MF_SECTION_DESCRIPTORS of an image; *bytes is the caller's to free. -ENOTSUP with a sentence when
 * it holds something that has no name (a socket, a removed file). */
int mf_linux_image_files(const struct mf_image *image, void **bytes, size_t *size,
			 struct mf_error *err);

/*
 * Open the files of an image that was loaded and checked again, for what they were open for and
 * only if `permit` (NULL: nothing) has it. They are the image's then. -EBADMSG, -EACCES, -ENOENT
 * with a sentence; the image is still to be finished then.
 */
int mf_linux_image_open(const struct mf_image *image, const struct mf_image_file *file,
			const struct mf_image_load *load, struct mf_error *err);

static inline const struct mf_linux *mf_linux_of_image(const struct mf_image *image)
{
	const struct mf_arena *arena = (const struct mf_arena *)image->backing.map;

	return (const void *)(image->backing.map + arena->linux_offset);
}

/* NULL, or what in the state cannot be (struct mf_image_load.check). */
const char *mf_linux_check(const struct mf_image *image, uint64_t *owned);

#endif
