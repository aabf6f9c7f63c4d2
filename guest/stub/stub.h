/* SPDX-License-Identifier: MIT */
/* The blobs of stub.S, as the engine copies them. */
#ifndef MF_GUEST_STUB_STUB_H
#define MF_GUEST_STUB_STUB_H

#include <stdint.h>

extern const uint8_t mf_stub_software[], mf_stub_software_end[];
extern const uint8_t mf_stub_hardware[], mf_stub_hardware_end[];
extern const uint8_t mf_stub_user[], mf_stub_user_touch[], mf_stub_user_end[];
extern const uint8_t mf_stub_handlers[], mf_stub_reload[], mf_stub_handlers_end[];

/* The constants that the stub answers with are first emitted as these words. */
#define MF_STUB_PATCH_PID 0x11111111u
#define MF_STUB_PATCH_UID 0x22222222u
#define MF_STUB_PATCH_GID 0x33333333u

#endif
