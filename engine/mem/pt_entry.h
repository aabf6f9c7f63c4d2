/* SPDX-License-Identifier: MIT */
/* Entries of guest page tables, for pt.c and pt_check.c alone. */
#ifndef MF_ENGINE_MEM_PT_ENTRY_H
#define MF_ENGINE_MEM_PT_ENTRY_H

#include <stdint.h>

/* Intel SDM vol. 3, 4.5.4: 4-level paging entries. Bits 9 to 11 are ours to use. */
#define PTE_P    0x001ull
#define PTE_W    0x002ull
#define PTE_U    0x004ull
#define PTE_A    0x020ull
#define PTE_D    0x040ull
#define PTE_HELD 0x400ull /* maps something, if only without any access */
#define PTE_OWN  0x200ull /* the frame goes back to the allocator at unmap */
#define PTE_PS   0x080ull /* of an entry above the leaf tables: maps 2 MiB itself */
#define PTE_NX   (1ull << 63)
#define PTE_ADDR 0x000ffffffffff000ull
#define TABLE    (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)

#define ENTRIES 512u

#endif
