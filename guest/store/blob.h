/* SPDX-License-Identifier: MIT */
/* Mayfly's storage program, a static ELF file, carried as bytes. */
#ifndef MF_GUEST_STORE_BLOB_H
#define MF_GUEST_STORE_BLOB_H

#include <stdint.h>

extern const uint8_t mf_store_program[], mf_store_program_end[];

#endif
