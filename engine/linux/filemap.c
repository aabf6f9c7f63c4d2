/* SPDX-License-Identifier: MIT */
#include "engine/linux/filemap.h"
#include "engine/linux/fd.h"
#include "engine/linux/vma.h"
#include "engine/mem/frames.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLES_SPARE 64u /* frames that page tables may need */

const struct mf_fd *mf_filemap_fd(const struct mf_process *process, const struct mf_vma *vma)
{
	return vma->file ? mf_fd_at(process, vma->file - 1u) : NULL;
}

static uint64_t size_of(const struct mf_process *process, const struct mf_vma *vma)
{
	const struct mf_fd *entry = mf_filemap_fd(process, vma);
	struct stat st;

	return entry && !fstat(entry->host, &st) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t offset_at(const struct mf_vma *vma, uint64_t at)
{
	return vma->offset + (at - vma->start);
}

size_t mf_filemap_inside(const struct mf_process *process, const struct mf_vma *vma, uint64_t at,
			 size_t pages)
{
	uint64_t size = size_of(process, vma);
	uint64_t offset = offset_at(vma, at);
	uint64_t inside = size > offset ? (size - offset + MF_PAGE - 1) / MF_PAGE : 0;

	return inside < pages ? inside : pages;
}

/* Read until the piece is full or the file ends; what is behind that stays zero. */
static int read_piece(const struct mf_fd *entry, uint8_t *to, size_t bytes, uint64_t offset)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t got = pread(entry->host, to + done, bytes - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -EIO;
		if (!got)
			break;
		done += (size_t)got;
	}
	return 0;
}

int mf_filemap_fill(struct mf_process *process, const struct mf_vma *vma, uint64_t at, size_t pages)
{
	struct mf_mem *mem = &process->vm.mem;
	const struct mf_fd *entry = mf_filemap_fd(process, vma);
	int ret = entry ? 0 : -EIO;

	while (pages && !ret) {
		struct mf_gpa first;
		struct mf_gpa next;
		size_t run = 1;

		if (!mf_pt_lookup(mem, MF_GVA(at), &first))
			return -EIO;
		while (run < pages && mf_pt_lookup(mem, MF_GVA(at + run * MF_PAGE), &next) &&
		       next.at == first.at + run * MF_PAGE)
			run++;
		mf_mem_mark(mem, mem->guest + first.at, run * MF_PAGE);
		ret = read_piece(entry, mem->guest + first.at, run * MF_PAGE, offset_at(vma, at));
		at += run * MF_PAGE;
		pages -= run;
	}
	return ret;
}

/* A private range has as much of the slot as the file has now; a shared one has room for what the
 * file may still grow by. */
static uint64_t slot_bytes(const struct mf_process *process, const struct mf_vma *vma)
{
	uint64_t bytes = vma->end - vma->start;

	if (vma->flags & MF_VMA_IS_SHARED)
		return bytes;
	return mf_filemap_inside(process, vma, vma->start, bytes / MF_PAGE) * MF_PAGE;
}

int mf_filemap_itself(struct mf_process *process, struct mf_vma vma)
{
	struct mf_mem *mem = &process->vm.mem;
	const struct mf_fd *entry = mf_filemap_fd(process, &vma);
	bool shares = vma.flags & MF_VMA_IS_SHARED && vma.flags & MF_VMA_MAY_WRITE;
	uint64_t bytes = slot_bytes(process, &vma);
	int prot = mf_memory_prot(vma.prot) | MF_ENGINE;
	struct mf_gpa gpa;
	int ret;

	if (!entry || !bytes)
		return -ENOSPC;
	ret = shares ? mf_mem_share_file(mem, entry->host, vma.offset, bytes, &gpa)
		     : mf_mem_map_file(mem, entry->host, vma.offset, bytes, &gpa);
	if (ret)
		return ret;
	vma.kind = shares ? MF_VMA_SHARED : MF_VMA_FILE;
	vma.slot = (uint16_t)(mf_mem_file_index(mem, gpa) + 1);
	if (!(vma.flags & MF_VMA_IS_SHARED))
		prot &= ~MF_WRITE;
	ret = mf_pt_map(mem, MF_GVA(vma.start), gpa, bytes / MF_PAGE, prot);
	if (!ret)
		ret = mf_vma_add(process, vma);
	if (ret) {
		mf_pt_unmap(mem, MF_GVA(vma.start), bytes / MF_PAGE);
		mf_mem_unmap_file(mem, vma.slot - 1u, bytes / MF_PAGE);
	}
	return ret;
}

bool mf_filemap_gpa(const struct mf_process *process, const struct mf_vma *vma, uint64_t at,
		    struct mf_gpa *gpa)
{
	const struct mf_file_map *file =
		vma->slot ? mf_mem_file(&process->vm.mem, vma->slot - 1u) : NULL;
	uint64_t offset = offset_at(vma, at);

	if (!file || offset < file->offset || offset - file->offset >= file->bytes)
		return false;
	*gpa = MF_GPA(file->gpa + (offset - file->offset));
	return true;
}

enum mf_touch mf_filemap_copy(struct mf_process *process, uint64_t page, const struct mf_vma *vma)
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa file;
	struct mf_gpa copy;
	const void *from;

	if (!mf_pt_lookup(mem, MF_GVA(page), &file) || !mf_mem_is_file(mem, file) ||
	    vma->flags & MF_VMA_IS_SHARED)
		return MF_TOUCH_DENIED;
	from = mf_mem_at(mem, file, MF_PAGE);
	if (!from)
		return MF_TOUCH_BEYOND;
	if (!mf_frames_take(mem, 1, &copy))
		return MF_TOUCH_NO_MEMORY;
	mf_mem_mark(mem, mem->guest + copy.at, MF_PAGE);
	memcpy(mem->guest + copy.at, from, MF_PAGE);
	mf_pt_unmap(mem, MF_GVA(page), 1);
	mf_pt_map(mem, MF_GVA(page), copy, 1, mf_memory_prot(vma->prot));
	return MF_TOUCH_OK;
}

void mf_filemap_release(struct mf_process *process, const struct mf_vma *vma, uint64_t start,
			uint64_t end)
{
	struct mf_mem *mem = &process->vm.mem;
	const struct mf_file_map *file = vma->slot ? mf_mem_file(mem, vma->slot - 1u) : NULL;
	uint64_t from = offset_at(vma, start);
	uint64_t to = offset_at(vma, end);

	if (!file)
		return;
	if (from < file->offset)
		from = file->offset;
	if (to > file->offset + file->bytes)
		to = file->offset + file->bytes;
	if (from < to)
		mf_mem_unmap_file(mem, vma->slot - 1u, (to - from) / MF_PAGE);
}

/* Those of one range. */
static bool cut_range(struct mf_process *process, const struct mf_vma *vma)
{
	struct mf_mem *mem = &process->vm.mem;
	size_t pages = (vma->end - vma->start) / MF_PAGE;
	size_t inside = mf_filemap_inside(process, vma, vma->start, pages);
	uint64_t at;
	bool cut = false;

	for (at = vma->start + inside * MF_PAGE; at < vma->end; at += MF_PAGE) {
		struct mf_gpa gpa;

		if (!mf_pt_lookup(mem, MF_GVA(at), &gpa) || !mf_mem_is_file(mem, gpa))
			continue;
		mf_pt_unmap(mem, MF_GVA(at), 1);
		cut = true;
	}
	return cut;
}

bool mf_filemap_cut(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	bool cut = false;
	uint32_t i;

	for (i = 0; i < lx->vma_count; i++) {
		if (lx->vmas[i].slot && mf_filemap_fd(process, &lx->vmas[i]))
			cut |= cut_range(process, &lx->vmas[i]);
	}
	return cut;
}

enum mf_touch mf_filemap_back(struct mf_process *process, uint64_t page, const struct mf_vma *vma)
{
	struct mf_gpa gpa;

	if (!mf_filemap_fd(process, vma) || !mf_filemap_inside(process, vma, page, 1) ||
	    !mf_filemap_gpa(process, vma, page, &gpa))
		return MF_TOUCH_BEYOND;
	return mf_pt_map(&process->vm.mem, MF_GVA(page), gpa, 1, mf_memory_prot(vma->prot))
		       ? MF_TOUCH_NO_MEMORY
		       : MF_TOUCH_OK;
}

static bool is_file(const struct mf_fd *entry, const struct stat *st)
{
	struct stat other;

	return entry && entry->kind == MF_FD_FILE && !fstat(entry->host, &other) &&
	       other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

/* Has nothing else of the program this file: no number, no other range? */
static bool is_lonely(const struct mf_process *process, const struct mf_vma *vma)
{
	const struct mf_linux *lx = mf_linux(process);
	const struct mf_fd *entry = mf_filemap_fd(process, vma);
	struct stat st;
	uint32_t i;

	if (vma->kind != MF_VMA_SHARED || !entry || !(entry->marks & MF_FD_IS_MEMFD) ||
	    fstat(entry->host, &st))
		return false;
	for (i = mf_fd_next(process, 0); i < MF_FDS; i = mf_fd_next(process, i + 1))
		if (is_file(mf_fd_get(process, i), &st))
			return false;
	for (i = 0; i < MF_SHM_NAMES; i++)
		if (lx->shm[i].name[0] && is_file(mf_fd_at(process, lx->shm[i].file), &st))
			return false;
	for (i = 0; i < lx->vma_count; i++)
		if (&lx->vmas[i] != vma && lx->vmas[i].file &&
		    is_file(mf_filemap_fd(process, &lx->vmas[i]), &st))
			return false;
	return true;
}

/* Put bytes into pages that are there, whatever the program may do with them. */
static void fill_pages(struct mf_process *process, uint64_t at, const uint8_t *from, size_t bytes)
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa gpa;

	for (; bytes >= MF_PAGE; bytes -= MF_PAGE, at += MF_PAGE, from += MF_PAGE)
		if (mf_pt_lookup(mem, MF_GVA(at), &gpa) && !mf_mem_is_file(mem, gpa)) {
			mf_mem_mark(mem, mem->guest + gpa.at, MF_PAGE);
			memcpy(mem->guest + gpa.at, from, MF_PAGE);
		}
}

/* False: it stays as it is. */
static bool make_own(struct mf_process *process, struct mf_vma vma)
{
	uint64_t bytes = vma.end - vma.start;
	bool fits = bytes / MF_PAGE + TABLES_SPARE < mf_frames_left(&process->vm.mem);
	uint8_t *copy = fits ? calloc(1, bytes) : NULL;
	const struct mf_fd *entry = mf_filemap_fd(process, &vma);
	uint32_t prot = vma.prot;

	if (!copy || read_piece(entry, copy, bytes, vma.offset) ||
	    mf_memory_unmap(process, vma.start, bytes)) {
		free(copy);
		return false;
	}
	vma = (struct mf_vma){.start = vma.start,
			      .end = vma.end,
			      .prot = PROT_READ | PROT_WRITE,
			      .kind = MF_VMA_MMAP,
			      .flags = vma.flags & (MF_VMA_IS_SHARED | MF_VMA_IS_LOCKED)};
	mf_memory_add(process, vma);
	mf_memory_back(process, vma.start, bytes);
	fill_pages(process, vma.start, copy, bytes);
	free(copy);
	if (prot != vma.prot && !mf_vma_protect(process, vma.start, vma.end, prot))
		mf_pt_protect(&process->vm.mem, MF_GVA(vma.start), bytes / MF_PAGE,
			      mf_memory_prot(prot));
	return true;
}

void mf_filemap_settle(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i = 0;

	/* The list changes when a range does: from the beginning then. */
	while (i < lx->vma_count)
		i = is_lonely(process, &lx->vmas[i]) && make_own(process, lx->vmas[i]) ? 0 : i + 1;
}

int mf_filemap_check_freeze(const struct mf_process *process, struct mf_error *err)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->vma_count; i++) {
		const struct mf_fd *entry = mf_filemap_fd(process, &lx->vmas[i]);
		struct stat st;

		if (lx->vmas[i].kind == MF_VMA_SHARED && entry && !fstat(entry->host, &st) &&
		    !st.st_nlink)
			return mf_error_set(
				err, -EBUSY,
				"the program has a file without a name mapped for writing "
				"(MAP_SHARED, at 0x%llx) at its ready point, and forks would share "
				"it: unmap it before",
				(unsigned long long)lx->vmas[i].start);
	}
	return 0;
}
