/* SPDX-License-Identifier: MIT */
/* The places that would be patched in the code of a file: FILE OFFSET BYTES; a line each, with its
 * kind, offset in the code and, of a short one, its detour. For patch_sites_test.py. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/linux/patch.h"

#define SPENT_MAX 4096u

int main(int argc, char **argv)
{
	uint32_t offset = argc == 4 ? (uint32_t)atoi(argv[2]) : 0;
	uint32_t bytes = argc == 4 ? (uint32_t)atoi(argv[3]) : 0;
	int fd = bytes ? open(argv[1], O_RDONLY) : -1;
	uint8_t *code = malloc(bytes + 1);
	uint32_t *spent = calloc(SPENT_MAX, sizeof(*spent));
	uint32_t count = 0;
	uint32_t at;

	if (fd < 0 || !code || !spent || pread(fd, code, bytes, offset) != (ssize_t)bytes)
		return 1;
	for (at = 0; at + 2 <= bytes; at++) {
		struct mf_patch_site site;

		if (code[at] != 0x0f || code[at + 1] != 0x05)
			continue;
		site = mf_patch_look(code, bytes, at, spent, count);
		if (site.kind == MF_PATCH_NONE)
			continue;
		printf("%d %u %u\n", site.kind, site.at, site.detour);
		if (site.detour && count < SPENT_MAX)
			spent[count++] = site.detour;
	}
	free(spent);
	free(code);
	close(fd);
	return 0;
}
