/* SPDX-License-Identifier: MIT */
/* The guest's vDSO, carried by the engine as bytes (at most two pages). */
#ifndef MF_GUEST_VDSO_BLOB_H
#define MF_GUEST_VDSO_BLOB_H

#include <stdint.h>

extern const uint8_t mf_vdso_start[], mf_vdso_end[];

#endif
