/* SPDX-License-Identifier: MIT */
/* The blobs of stub.S, as the engine copies them. */
#ifndef MF_GUEST_STUB_STUB_H
#define MF_GUEST_STUB_STUB_H

#define MF_STUB_THREAD 0xff8 /* in the page of the entry stub: struct mf_stub_thread */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* The thread on the vCPU, for answers of the stub. */
struct mf_stub_thread {
	uint32_t tid;
	uint32_t others; /* not 0: there are other threads */
};

extern const uint8_t mf_stub_software[], mf_stub_software_end[];
extern const uint8_t mf_stub_hardware[], mf_stub_hardware_end[];
extern const uint8_t mf_stub_user[], mf_stub_user_touch[], mf_stub_user_end[];
extern const uint8_t mf_stub_handlers[], mf_stub_reload[], mf_stub_handlers_end[];

/* The constants that the stub answers with are first emitted as these words. */
#define MF_STUB_PATCH_PID 0x11111111u
#define MF_STUB_PATCH_UID 0x22222222u
#define MF_STUB_PATCH_GID 0x33333333u

#endif /* __ASSEMBLER__ */
#endif
