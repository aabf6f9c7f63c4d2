/* SPDX-License-Identifier: MIT */
/*
 * Where the engine's own pages lie in a guest's address space: the last 2 MiB of the lower half,
 * out of any program's way. The top page is never mapped: a return address behind it would not be
 * canonical (Intel SDM vol. 2, SYSRET).
 */
#ifndef MF_ENGINE_IMAGE_LAYOUT_H
#define MF_ENGINE_IMAGE_LAYOUT_H

#include <mayfly/abi/call.h>
#include <mayfly/abi/fast.h>

#define MF_USER_TOP 0x7fffffe00000ull /* programs live below */

#define MF_VA_ENTRY    (MF_USER_TOP + 0x0000) /* system-call entry stub */
#define MF_VA_USER     (MF_USER_TOP + 0x1000) /* ring-3 helpers: return, touch */
#define MF_VA_CLOCK    (MF_USER_TOP + 0x2000) /* struct mf_abi_clock, read-only */
#define MF_VA_VDSO     (MF_USER_TOP + 0x3000) /* at most MF_VDSO_PAGES */
#define MF_VA_FAST     (MF_USER_TOP + 0x5000) /* calls that are answered in ring 3 */
#define MF_VA_GDT      (MF_USER_TOP + 0x8000) /* supervisor from here on */
#define MF_VA_IDT      (MF_USER_TOP + 0x8800)
#define MF_VA_TSS      (MF_USER_TOP + 0x9000)
#define MF_VA_HANDLERS (MF_USER_TOP + 0xa000)
#define MF_VA_STACK    (MF_USER_TOP + 0xb000) /* IST stack, one page */

/*
 * struct mf_abi_clock_own, ring 3's to read: the first bytes of the exception stack's page, which
 * is each VM's own and put back at every reset, mapped a second time.
 */
#define MF_VA_CLOCK_OWN (MF_USER_TOP + 0xc000)

#define MF_VA_AREA (MF_USER_TOP + 0x10000) /* struct mf_fast_area, ring 3's to write */

#define MF_VA_END (MF_USER_TOP + (2ull << 20)) /* nothing is mapped in the page below */

#define MF_VDSO_PAGES 2

_Static_assert(MF_VA_ENTRY == MF_FAST_STUB_VA && MF_VA_FAST == MF_FAST_CODE_VA &&
		       MF_VA_AREA == MF_FAST_AREA_VA &&
		       MF_VA_CLOCK_OWN - MF_VA_CLOCK == MF_CLOCK_OWN_PAGES * 0x1000ull,
	       "ABI");

#endif
