/* SPDX-License-Identifier: MIT */
/* The blobs of stub.S, as the engine copies them. */
#ifndef MF_GUEST_STUB_STUB_H
#define MF_GUEST_STUB_STUB_H

/* In the page of the entry stub: */
#define MF_STUB_THREAD 0xfe8 /* struct mf_stub_thread; from here on it changes */
#define MF_STUB_IDS    0xff0 /* struct mf_stub_ids */

#ifndef __ASSEMBLER__
#include <stdint.h>

/* The thread on the vCPU, for answers of the stub. */
struct mf_stub_thread {
	uint32_t tid;
	uint32_t others; /* not 0: there are other threads */
};

/* Of the program, real and effective. */
struct mf_stub_ids {
	uint32_t uid;
	uint32_t euid;
	uint32_t gid;
	uint32_t egid;
};

extern const uint8_t mf_stub_software[], mf_stub_software_end[];
extern const uint8_t mf_stub_hardware[], mf_stub_hardware_end[];
extern const uint8_t mf_stub_user[], mf_stub_user_touch[], mf_stub_user_end[];
extern const uint8_t mf_stub_handlers[], mf_stub_reload[], mf_stub_handlers_end[];

/* The constant that the stub answers with is first emitted as this word. */
#define MF_STUB_PATCH_PID 0x11111111u

#endif /* __ASSEMBLER__ */
#endif
