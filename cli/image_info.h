/* SPDX-License-Identifier: MIT */
/* mayfly image info: what an image file is. */
#ifndef MF_CLI_IMAGE_INFO_H
#define MF_CLI_IMAGE_INFO_H

#include <stdio.h>

#include "engine/image/file.h"

/*
 * Print it, for people or as JSON, and whether this machine can run it: 0; 1 when it cannot, with
 * the reason in what is printed; -errno with a sentence.
 */
int mf_image_info_print(const struct mf_image_file *file, bool json, FILE *out,
			struct mf_error *err);

#endif
