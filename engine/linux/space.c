/* SPDX-License-Identifier: MIT */
#include "engine/linux/space.h"
#include "engine/linux/fd.h"
#include "engine/linux/filemap.h"
#include "engine/linux/vma.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static uint64_t pages_of(const struct mf_vma *vma)
{
	return (vma->end - vma->start) / MF_PAGE;
}

struct mf_memory_sizes mf_memory_sizes(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_memory_sizes sizes = {.resident = mf_mem_arena(&process->vm.mem)->frames_used};
	uint32_t i;

	for (i = 0; i < lx->vma_count; i++) {
		const struct mf_vma *vma = &lx->vmas[i];
		uint64_t pages = pages_of(vma);

		sizes.total += pages;
		if (vma->slot)
			sizes.shared += pages;
		if (vma->prot & PROT_EXEC && !(vma->prot & PROT_WRITE))
			sizes.text += pages;
		if (vma->prot & PROT_WRITE && !(vma->flags & MF_VMA_IS_SHARED))
			sizes.data += pages;
		if (vma->kind == MF_VMA_STACK)
			sizes.stack += pages;
		if (vma->flags & MF_VMA_IS_LOCKED)
			sizes.locked += pages;
	}
	sizes.resident += sizes.shared;
	return sizes;
}

bool mf_space_allows(const struct mf_process *process, uint64_t bytes)
{
	uint64_t limit = mf_linux(process)->address_limit;

	if (!limit) /* none was set */
		return true;
	return bytes <= limit && mf_memory_sizes(process).total * MF_PAGE <= limit - bytes;
}

/* As the host calls it: the name under which a descriptor was opened. */
static void name_of(const struct mf_process *process, const struct mf_vma *vma, char *name,
		    size_t size)
{
	const struct mf_fd *entry = mf_filemap_fd(process, vma);
	char link[64];
	ssize_t got;

	name[0] = 0;
	if (entry) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", entry->host);
		got = readlink(link, name, size - 1);
		name[got > 0 ? got : 0] = 0;
	} else if (vma->kind == MF_VMA_PROGRAM) {
		snprintf(name, size, "%s", mf_linux(process)->exe);
	} else if (vma->kind == MF_VMA_HEAP) {
		snprintf(name, size, "[heap]");
	} else if (vma->kind == MF_VMA_STACK) {
		snprintf(name, size, "[stack]");
	} else if (vma->flags & MF_VMA_IS_SHARED) {
		snprintf(name, size, "/dev/zero (deleted)");
	}
}

size_t mf_vma_print(const struct mf_process *process, uint64_t *at, char *line, size_t size)
{
	const struct mf_vma *vma = mf_vma_from(process, *at);
	const struct mf_fd *entry = vma ? mf_filemap_fd(process, vma) : NULL;
	struct stat st = {.st_ino = 0};
	char name[MF_PATH_MAX];
	int head;
	int got;

	if (!vma)
		return 0;
	if (entry && fstat(entry->host, &st))
		st.st_ino = 0;
	name_of(process, vma, name, sizeof(name));
	*at = vma->end;
	head = snprintf(line, size, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %llu ",
			(unsigned long long)vma->start, (unsigned long long)vma->end,
			vma->prot & PROT_READ ? 'r' : '-', vma->prot & PROT_WRITE ? 'w' : '-',
			vma->prot & PROT_EXEC ? 'x' : '-',
			vma->flags & MF_VMA_IS_SHARED ? 's' : 'p', (unsigned long long)vma->offset,
			major(st.st_dev), minor(st.st_dev), (unsigned long long)st.st_ino);
	if (head < 0 || (size_t)head >= size)
		return 0;
	/* Names stand in column 74, as Linux has them. */
	got = snprintf(line + head, size - (size_t)head, "%*s%s\n",
		       name[0] && head < 73 ? 73 - head : 0, "", name);
	return got > 0 && (size_t)(head + got) < size ? (size_t)(head + got) : 0;
}
