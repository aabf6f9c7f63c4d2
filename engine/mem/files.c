/* SPDX-License-Identifier: MIT */
/* Pieces of files, and windows, as guest memory: slots of their own above all frames. */
#include "engine/mem/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SLOT   1024u /* slot of the first file map */
#define WINDOWS_MAX 32u   /* bits in windows_open */

static size_t image_count(const struct mf_mem *mem)
{
	return mem->backing ? mem->backing->file_count : 0;
}

static const struct mf_file_map *file_at(const struct mf_mem *mem, size_t i)
{
	size_t image = image_count(mem);

	return i < image ? &mem->backing->files[i] : &mem->files[i - image];
}

static bool is_window(const struct mf_file_map *file)
{
	return file->bytes && file->fd < 0;
}

uint64_t mf_mem_files_end(const struct mf_mem *mem)
{
	uint64_t end = mem->limit_bytes;
	size_t i;

	for (i = 0; i < mem->file_count; i++) {
		const struct mf_file_map *file = file_at(mem, i);

		if (file->bytes && file->gpa + file->bytes > end)
			end = file->gpa + file->bytes;
	}
	return end;
}

static int map_one(struct mf_mem *mem, size_t i)
{
	const struct mf_file_map *file = file_at(mem, i);
	void *at = mmap(mem->guest + file->gpa, file->bytes,
			PROT_READ | (file->writable ? PROT_WRITE : 0), MAP_SHARED | MAP_FIXED,
			file->fd, (off_t)file->offset);

	if (at == MAP_FAILED)
		return -errno;
	return mf_kvm_vm_slot(mem->vm, FILE_SLOT + (uint32_t)i, file->gpa, file->bytes, at);
}

int mf_mem_map_image_files(struct mf_mem *mem)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < mem->file_count && !ret; i++)
		if (file_at(mem, i)->bytes && !is_window(file_at(mem, i)))
			ret = map_one(mem, i);
	return ret;
}

/* Two never adjoin: a flush of one run of pages must not reach into another's. */
static bool is_free_place(const struct mf_mem *mem, uint64_t at, uint64_t bytes)
{
	size_t i;

	if (at + bytes > mem->reserved_bytes - mem->arena_bytes)
		return false;
	for (i = 0; i < mem->file_count; i++) {
		const struct mf_file_map *file = file_at(mem, i);

		if (file->bytes && at <= file->gpa + file->bytes && file->gpa <= at + bytes)
			return false;
	}
	return true;
}

static uint64_t round_huge(uint64_t at)
{
	return (at + MF_HUGE - 1) & ~(uint64_t)(MF_HUGE - 1);
}

/* The lowest free place above the frames, aligned as large pages want it; 0: none. */
static uint64_t find_place(const struct mf_mem *mem, uint64_t bytes)
{
	uint64_t lowest = round_huge(mem->limit_bytes + MF_PAGE);
	uint64_t best = is_free_place(mem, lowest, bytes) ? lowest : 0;
	size_t i;

	for (i = 0; i < mem->file_count && best != lowest; i++) {
		const struct mf_file_map *file = file_at(mem, i);
		uint64_t end = round_huge(file->gpa + file->bytes + MF_PAGE);

		if (file->bytes && (!best || end < best) && is_free_place(mem, end, bytes))
			best = end;
	}
	return best;
}

/* A free entry of this VM's own, its place chosen; *index: the entry's. */
static int next_file(struct mf_mem *mem, size_t bytes, size_t *index)
{
	size_t image = image_count(mem);
	uint64_t at = bytes ? find_place(mem, bytes) : 0;
	size_t i = image;

	while (i < mem->file_count && file_at(mem, i)->bytes)
		i++;
	if (!at || i == MF_FILE_MAPS)
		return -ENOSPC;
	if (!mem->files)
		mem->files = calloc(MF_FILE_MAPS - image, sizeof(*mem->files));
	if (!mem->files)
		return -ENOMEM;
	mem->files[i - image] =
		(struct mf_file_map){.fd = -1, .bytes = bytes, .gpa = at, .pages = bytes / MF_PAGE};
	if (i == mem->file_count)
		mem->file_count++;
	*index = i;
	return 0;
}

/* The host's mapping goes, its address space stays reserved. The slot is gone, or never was. */
static void forget(struct mf_mem *mem, size_t i)
{
	struct mf_file_map *file = &mem->files[i - image_count(mem)];

	if (mmap(mem->guest + file->gpa, file->bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		mem->broken = true; /* somebody's file would stay within reach */
	if (file->fd >= 0)
		close(file->fd);
	*file = (struct mf_file_map){.fd = -1};
}

static void take_away(struct mf_mem *mem, size_t i)
{
	const struct mf_file_map *file = &mem->files[i - image_count(mem)];

	if (mf_kvm_vm_slot(mem->vm, FILE_SLOT + (uint32_t)i, file->gpa, 0, NULL))
		mem->broken = true; /* likewise */
	forget(mem, i);
}

static int map_new(struct mf_mem *mem, int fd, uint64_t offset, size_t bytes, bool writable,
		   struct mf_gpa *gpa)
{
	struct mf_file_map *file;
	size_t i;
	int ret = next_file(mem, bytes, &i);

	if (ret)
		return ret;
	file = &mem->files[i - image_count(mem)];
	file->offset = offset;
	file->writable = writable;
	file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	ret = file->fd < 0 ? -errno : map_one(mem, i);
	if (ret) {
		forget(mem, i);
		return ret;
	}
	*gpa = MF_GPA(file->gpa);
	return 0;
}

int mf_mem_map_file(struct mf_mem *mem, int fd, uint64_t offset, size_t bytes, struct mf_gpa *gpa)
{
	return map_new(mem, fd, offset, bytes, false, gpa);
}

int mf_mem_share_file(struct mf_mem *mem, int fd, uint64_t offset, size_t bytes, struct mf_gpa *gpa)
{
	return map_new(mem, fd, offset, bytes, true, gpa);
}

int mf_mem_add_window(struct mf_mem *mem, size_t bytes, struct mf_gpa *gpa)
{
	size_t i;
	int ret = mem->backing ? -ENOTSUP : next_file(mem, bytes, &i);

	if (ret)
		return ret;
	if (i >= WINDOWS_MAX) {
		mem->files[i] = (struct mf_file_map){.fd = -1};
		return -ENOSPC;
	}
	*gpa = MF_GPA(mem->files[i].gpa);
	return 0;
}

static int open_window(struct mf_mem *mem, struct mf_gpa gpa, int fd, uint64_t offset, int prot)
{
	const struct mf_file_map *file = NULL;
	uint32_t i;
	void *at;
	int ret;

	for (i = 0; i < mem->file_count && i < WINDOWS_MAX; i++) {
		file = file_at(mem, i);
		if (file->gpa == gpa.at && is_window(file))
			break;
	}
	if (i == mem->file_count || i == WINDOWS_MAX)
		return -EINVAL;
	if (mem->windows_open >> i & 1)
		return -EBUSY;
	at = mmap(mem->guest + gpa.at, file->bytes, prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE,
		  fd, (off_t)offset);
	if (at == MAP_FAILED)
		return -errno;
	ret = mf_kvm_vm_slot(mem->vm, FILE_SLOT + i, gpa.at, file->bytes, at);
	if (ret)
		return ret;
	mem->windows_open |= 1u << i;
	mem->views_open |= prot & PROT_WRITE ? 0 : 1u << i;
	return 0;
}

int mf_mem_open_window(struct mf_mem *mem, struct mf_gpa gpa, int fd, uint64_t offset)
{
	return open_window(mem, gpa, fd, offset, PROT_READ | PROT_WRITE);
}

int mf_mem_open_view(struct mf_mem *mem, struct mf_gpa gpa, int fd, uint64_t offset)
{
	return open_window(mem, gpa, fd, offset, PROT_READ);
}

static bool is_view(const struct mf_mem *mem, size_t i)
{
	return i < WINDOWS_MAX && mem->views_open >> i & 1;
}

/* The entry that holds gpa, or file_count. */
static size_t find_file(const struct mf_mem *mem, uint64_t gpa)
{
	size_t i;

	for (i = 0; i < mem->file_count; i++) {
		const struct mf_file_map *file = file_at(mem, i);

		if (gpa >= file->gpa && gpa < file->gpa + file->bytes)
			break;
	}
	return i;
}

uint32_t mf_mem_file_index(const struct mf_mem *mem, struct mf_gpa gpa)
{
	return (uint32_t)find_file(mem, gpa.at);
}

const struct mf_file_map *mf_mem_file(const struct mf_mem *mem, uint32_t index)
{
	return index < mem->file_count && file_at(mem, index)->bytes ? file_at(mem, index) : NULL;
}

void mf_mem_unmap_file(struct mf_mem *mem, uint32_t index, size_t pages)
{
	size_t image = image_count(mem);
	struct mf_file_map *file;

	if (index >= mem->file_count || index < image || is_window(file_at(mem, index)))
		return;
	file = &mem->files[index - image];
	file->pages -= pages < file->pages ? pages : file->pages;
	if (!file->pages)
		take_away(mem, index);
}

void mf_mem_forget_files(struct mf_mem *mem)
{
	size_t image = image_count(mem);
	size_t i;

	for (i = image; i < mem->file_count; i++)
		if (mem->files[i - image].bytes)
			take_away(mem, i);
	if (mem->file_count > image)
		mem->file_count = image;
}

void mf_mem_close_files(struct mf_mem *mem)
{
	size_t image = image_count(mem);
	size_t i;

	for (i = image; i < mem->file_count; i++)
		if (mem->files[i - image].bytes && mem->files[i - image].fd >= 0)
			close(mem->files[i - image].fd);
	mem->file_count = 0;
}

bool mf_mem_is_writable(const struct mf_mem *mem, struct mf_gpa gpa)
{
	size_t i;

	if (!mf_mem_is_file(mem, gpa))
		return true;
	i = find_file(mem, gpa.at);
	return i < mem->file_count &&
	       ((is_window(file_at(mem, i)) && !is_view(mem, i)) || file_at(mem, i)->writable);
}

/* The number of an entry is its window's bit and its slot: entries that are free stay. */
void mf_mem_hand_over_files(struct mf_mem *mem, struct mf_backing *backing)
{
	backing->file_count = mem->file_count;
	if (mem->file_count)
		memcpy(backing->files, mem->files, mem->file_count * sizeof(*mem->files));
	mem->file_count = 0;
}

void mf_backing_close_files(struct mf_backing *backing)
{
	size_t i;

	for (i = 0; i < backing->file_count; i++)
		if (backing->files[i].bytes && backing->files[i].fd >= 0)
			close(backing->files[i].fd);
	backing->file_count = 0;
}

/* Behind the end of a file there is nothing, although it is mapped. */
static bool is_inside(const struct mf_file_map *file, uint64_t gpa, size_t bytes)
{
	uint64_t end = file->offset + (gpa - file->gpa) + bytes;
	struct stat st;

	if (fstat(file->fd, &st))
		return false;
	return end <= (((uint64_t)st.st_size + MF_PAGE - 1) & ~(uint64_t)(MF_PAGE - 1));
}

void *mf_mem_at(const struct mf_mem *mem, struct mf_gpa gpa, size_t bytes)
{
	const struct mf_file_map *file;
	size_t i;

	if (!mf_mem_is_file(mem, gpa))
		return gpa.at <= mem->guest_bytes && bytes <= mem->guest_bytes - gpa.at
			       ? mem->guest + gpa.at
			       : NULL;
	i = find_file(mem, gpa.at);
	if (i == mem->file_count)
		return NULL;
	file = file_at(mem, i);
	if ((is_window(file) && !is_view(mem, i)) || bytes > file->gpa + file->bytes - gpa.at ||
	    (file->writable && !is_inside(file, gpa.at, bytes)))
		return NULL;
	mf_mem_guard_files(mem);
	return mem->guest + gpa.at;
}
