/* SPDX-License-Identifier: MIT */
/* The code that answers system calls in ring 3, carried by the engine as bytes. */
#ifndef MF_GUEST_FAST_BLOB_H
#define MF_GUEST_FAST_BLOB_H

#include <stdint.h>

extern const uint8_t mf_fast_start[], mf_fast_end[];

#endif
