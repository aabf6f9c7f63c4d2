/* SPDX-License-Identifier: MIT */
/* The guest of measurements, a static ELF file, carried as bytes. */
#ifndef MF_GUEST_MEASURE_BLOB_H
#define MF_GUEST_MEASURE_BLOB_H

#include <stdint.h>

extern const uint8_t mf_measure_program[], mf_measure_program_end[];

#endif
