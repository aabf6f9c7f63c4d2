/* SPDX-License-Identifier: MIT */
/*
 * The one module that edits guest page tables, and that knows how an edit becomes visible on each
 * family of KVM. Gaining a right needs nothing. Losing one: software KVM keeps shadow entries until
 * the host protection of the *old data pages* is flipped (or any memslot moves); hardware must
 * reload CR3 at the next entry (mem->flush_pending, obeyed by engine/image/vm.c). Accessed and
 * dirty bits are preset. Tables live in frames that no guest address maps.
 *
 * 2 MiB that are aligned in both spaces are mapped by one entry, without a table; nobody has to
 * know: what changes a part of them splits the entry first. Software KVM: an entry that led to a
 * table or to 2 MiB leads to something else only after a full flush (engine/mem/flush.c).
 *
 * A page is mapped to a frame or absent. A page without any access keeps its frame in a non-present
 * entry, so that it costs no content when it is protected and unprotected.
 */
#ifndef MF_ENGINE_MEM_PT_H
#define MF_ENGINE_MEM_PT_H

#include "engine/mem/mem.h"

enum mf_prot {
	MF_READ = 1,
	MF_WRITE = 2,
	MF_EXEC = 4,
	MF_SUPERVISOR = 8, /* the engine's own pages: not for ring 3 */
	MF_ENGINE = 16,    /* frame not given back at unmap */
};

/* Make the root table. -ENOMEM. */
int mf_pt_init(struct mf_mem *mem);

/*
 * Map `pages` pages at va to adjoining frames; by entries of 2 MiB where addresses are so aligned
 * and no table is there. Pages must be absent. -ENOMEM (nothing is mapped).
 */
int mf_pt_map(struct mf_mem *mem, struct mf_gva va, struct mf_gpa gpa, size_t pages, int prot);

/* Make the tables for a range without mapping anything: later mappings there add no table. */
int mf_pt_prepare(struct mf_mem *mem, struct mf_gva va, size_t pages);

/* Change the protection of those pages of the range that are there. */
void mf_pt_protect(struct mf_mem *mem, struct mf_gva va, size_t pages, int prot);

/* Make what is there of the range read as zero (files' pages stay as they are). */
void mf_pt_zero(struct mf_mem *mem, struct mf_gva va, size_t pages);

/* Make the range absent and give its frames back. */
void mf_pt_unmap(struct mf_mem *mem, struct mf_gva va, size_t pages);

/* Move mappings (mremap): same frames, new addresses; the target must be absent. -ENOMEM (nothing
 * moved) is impossible where the target was prepared. */
int mf_pt_move(struct mf_mem *mem, struct mf_gva from, struct mf_gva to, size_t pages);

/* Where va lies, if it may be accessed so from ring 3 (`prot`: MF_READ, MF_WRITE, MF_EXEC). */
bool mf_pt_translate(const struct mf_mem *mem, struct mf_gva va, int prot, struct mf_gpa *gpa);
/* The frame of va whatever its protection; false when absent. */
bool mf_pt_lookup(const struct mf_mem *mem, struct mf_gva va, struct mf_gpa *gpa);

/* How many pages from va on are absent, at most `pages`. */
size_t mf_pt_absent(const struct mf_mem *mem, struct mf_gva va, size_t pages);

/* Visit every page that ring 3 can read. */
typedef void mf_pt_page_fn(void *cookie, struct mf_gva va, struct mf_gpa gpa);
void mf_pt_each_user_page(const struct mf_mem *mem, mf_pt_page_fn *fn, void *cookie);

/* Visit every 2 MiB that are one entry, of frames, and that ring 3 can read and not write. */
void mf_pt_each_constant_huge(const struct mf_mem *mem, mf_pt_page_fn *fn, void *cookie);

/* Put every table back to the image, with whatever flush that takes. Before mf_mem_copy_back(). */
void mf_pt_reset(struct mf_mem *mem);

/* After tables were replaced wholesale (a delta): no cached translation may survive. */
void mf_pt_flush_all(struct mf_mem *mem);

/* Host access to guest memory by virtual address, with ring 3's rights. -EFAULT where they end;
 * bytes before the fault may have been copied. */
int mf_pt_read(const struct mf_mem *mem, struct mf_gva va, void *to, size_t bytes);
int mf_pt_write(struct mf_mem *mem, struct mf_gva va, const void *from, size_t bytes);

/*
 * The host pointer of the longest prefix of [va, va+bytes) that is one piece in host memory and may
 * be accessed so; 0 when not even the first byte is. With MF_WRITE the pages are marked as written;
 * mf_pt_run() leaves that to who may write less (mf_mem_mark).
 */
size_t mf_pt_run(struct mf_mem *mem, struct mf_gva va, size_t bytes, int prot, void **at);
size_t mf_pt_span(struct mf_mem *mem, struct mf_gva va, size_t bytes, int prot, void **at);

#endif
