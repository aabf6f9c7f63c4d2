/* SPDX-License-Identifier: MIT */
/*
 * Mapped files. A range names the open file description that it was made of, and holds it, so that
 * a closed descriptor's file stays. Pages of a private mapping are filled from the file when they
 * are touched; large read-only and all shared ones are the file's own pages (struct mf_file_map).
 */
#ifndef MF_ENGINE_LINUX_FILEMAP_H
#define MF_ENGINE_LINUX_FILEMAP_H

#include "engine/linux/memory.h"

/* Private ranges from this size on that are only read are the page cache itself, while an image is
 * built. Each costs every fork a slot. */
#define MF_FILE_ITSELF_BYTES (4u << 20)

/* The description of a range's file, or NULL. */
const struct mf_fd *mf_filemap_fd(const struct mf_process *process, const struct mf_vma *vma);

/* How many pages of [at, at + pages) the file has: what is behind its end is SIGBUS. */
size_t mf_filemap_inside(const struct mf_process *process, const struct mf_vma *vma, uint64_t at,
			 size_t pages);

/* Fill pages that were just backed from the file. -EIO: it cannot be read. */
int mf_filemap_fill(struct mf_process *process, const struct mf_vma *vma, uint64_t at,
		    size_t pages);

/* Map the file's own pages at a range that is free: adds it to the list (kind MF_VMA_FILE, or
 * MF_VMA_SHARED when it is for writing, too). -ENOSPC, -ENOMEM, what the host says. */
int mf_filemap_itself(struct mf_process *process, struct mf_vma vma);

/* A write to a page that is the file's own and the program's to change: give it a copy. */
enum mf_touch mf_filemap_copy(struct mf_process *process, uint64_t page, const struct mf_vma *vma);

/* [start, end), part of one range of the file's own pages, is mapped no more. */
void mf_filemap_release(struct mf_process *process, const struct mf_vma *vma, uint64_t start,
			uint64_t end);

/* Where its slot has the page at `at`; false: behind what is mapped. */
bool mf_filemap_gpa(const struct mf_process *process, const struct mf_vma *vma, uint64_t at,
		    struct mf_gpa *gpa);

/* The vCPU met the end of a file: pages that are behind the ends of files by now are mapped no
 * more, so that touching them is a fault. False: there were none. */
bool mf_filemap_cut(struct mf_process *process);

/* A touch of a page that was cut off: map it again if its file has it by now. */
enum mf_touch mf_filemap_back(struct mf_process *process, uint64_t page, const struct mf_vma *vma);

/*
 * Before a freeze: memory that is shared by a file without a name, which only this mapping has any
 * more, becomes the program's own, with what is in it: so every fork can have it. Where there is
 * not enough memory for that it stays.
 */
void mf_filemap_settle(struct mf_process *process);

/* -EBUSY with a sentence when a mapping cannot be had by every fork: memory that is shared with
 * nobody but the program itself, by a file without a name. */
int mf_filemap_check_freeze(const struct mf_process *process, struct mf_error *err);

#endif
