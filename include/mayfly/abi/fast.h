/* SPDX-License-Identifier: MIT */
/*
 * System calls that are answered in the guest: the shape of the *fast area*, memory that the engine
 * and the code of guest/fast share. The area is mapped for reading and writing in ring 3, so
 * everything in it is a claim. What was answered there is in its log, as calls that the engine
 * makes up for at the next exit; nothing can be logged that the program could not have called.
 */
#ifndef MAYFLY_ABI_FAST_H
#define MAYFLY_ABI_FAST_H

/* Where it lies; engine/image/layout.h has its neighbours. */
#define MF_FAST_STUB_VA    0x7fffffe00000
#define MF_FAST_CODE_VA    0x7fffffe05000
#define MF_FAST_CODE_PAGES 3
#define MF_FAST_AREA_VA    0x7fffffe10000

/* Ways in, as offsets in the code's first page. */
#define MF_FAST_ENTER \
	0x00 /* by a jump: RCX = return address, R11 is free, RAX and arguments as at SYSCALL */
#define MF_FAST_CALL 0x20 /* from the entry stub that stays in ring 3: as behind SYSCALL */
#define MF_FAST_KEPT 0x40 /* from the one in ring 0: RCX is in the area */
#define MF_FAST_BAIL 0x60 /* a call that met a bad address: as if nothing had been tried */

#define MF_FAST_KEPT_RCX  0 /* offset in the area */
#define MF_FAST_STACK_TOP 0x1000
#define MF_FAST_STACK     1536 /* bytes below it */

/* What the code says of a call that it does not answer. */
#define MF_FAST_NOT_HERE (-0x7fffffffffffffff - 1)

/* Calls from this number on leave by the ordinary way. */
#define MF_FAST_NUMBERS 320

#define MF_FAST_FDS   8
#define MF_FAST_FREE  8
#define MF_FAST_ITEMS 8
#define MF_FAST_LOG   64
#define MF_FAST_LOOKS 16 /* then the engine looks */
#define MF_FAST_IN    8192
#define MF_FAST_OUT   16384

#ifndef __ASSEMBLER__
#include <stdint.h>

#include <mayfly/abi/call.h>

enum mf_fast_kind {
	MF_FAST_NONE = 0,
	MF_FAST_LISTENER,
	MF_FAST_CONNECTION,
	MF_FAST_EPOLL,
	MF_FAST_OUTPUT, /* a standard stream that takes whatever is written */
};

enum mf_fast_flag {
	MF_FAST_NONBLOCK = 1,
	MF_FAST_CLOEXEC = 2,
	MF_FAST_END = 4,   /* behind the input is the end of the stream */
	MF_FAST_MORE = 8,  /* behind the input is more, which the engine has */
	MF_FAST_MUTE = 16, /* writing is the engine's */
	MF_FAST_INET = 32, /* TCP options make sense */
	MF_FAST_SETS = 64, /* there is room for what is set of it */
};

/* A descriptor, or (fd -1) a connection that waits to be accepted. */
struct mf_fast_fd {
	int32_t fd;
	uint16_t kind;  /* enum mf_fast_kind */
	uint16_t flags; /* enum mf_fast_flag */
	int32_t parent; /* of a connection that waits: the listener's number; else -1 */
	uint32_t poll; /* POLL* that hold now; a connection's POLLIN and POLLRDNORM follow the input
			*/
	uint32_t input; /* CONNECTION: bytes [input, input_end) of area.in are to be read */
	uint32_t input_end;
	uint32_t room;       /* CONNECTION: bytes that may be written still */
	uint32_t name_bytes; /* CONNECTION: the client's address */
	uint8_t name[112];
	uint32_t own_bytes; /* and the program's */
	uint8_t own[112];
};

/* A descriptor that an epoll watches; both are in fds[]. */
struct mf_fast_item {
	int32_t epoll; /* descriptor numbers; -1: free */
	int32_t fd;
	uint32_t events;
	uint32_t
		ready; /* its place among those that may be ready, the lowest first; 0: not there */
	uint64_t data;
};

/* struct epoll_event */
struct mf_fast_event {
	uint32_t events;
	uint64_t data;
} __attribute__((packed));

/* A call that was answered: as the program made it, but for its pointers. */
struct mf_fast_entry {
	uint32_t number; /* of the system call */
	uint32_t reserved;
	int64_t result;
	uint64_t arg[4];
	uint8_t bytes[16]; /* what a pointer led to */
};

/* What the code goes by. */
struct mf_fast_state {
	uint64_t kept_rcx; /* MF_FAST_KEPT_RCX */
	uint64_t user_rsp; /* of the call that is being answered */
	/* Numbers that the engine keeps true. */
	uint32_t tid;
	uint32_t others;   /* there are other threads */
	uint32_t sleepers; /* threads that sleep on futexes */
	uint32_t pid;
	uint32_t uid;
	uint32_t gid;
	uint32_t euid;
	uint32_t egid;
	uint32_t active;    /* something is known of descriptors */
	uint32_t order;     /* the last place that was given to an item */
	uint32_t out_bytes; /* in use */
	uint32_t log_count;
	uint32_t free_count;
	int32_t free[MF_FAST_FREE]; /* numbers that new descriptors get, the lowest first */
	uint32_t looks; /* times that nothing was found ready, and nobody but the area was asked */
	struct mf_fast_fd fds[MF_FAST_FDS];
	struct mf_fast_item items[MF_FAST_ITEMS];
};

struct mf_fast_area {
	union {
		struct mf_fast_state state;
		uint8_t state_and_stack[MF_FAST_STACK_TOP];
	};
	struct mf_fast_entry log[MF_FAST_LOG];
	uint8_t in[MF_FAST_IN];
	uint8_t out[MF_FAST_OUT];
};

MF_ABI_ASSERT(sizeof(struct mf_fast_fd) == 260, "ABI");
MF_ABI_ASSERT(sizeof(struct mf_fast_item) == 24, "ABI");
MF_ABI_ASSERT(sizeof(struct mf_fast_entry) == 64, "ABI");
MF_ABI_ASSERT(sizeof(struct mf_fast_state) + MF_FAST_STACK <= MF_FAST_STACK_TOP, "ABI");
MF_ABI_ASSERT(__builtin_offsetof(struct mf_fast_area, log) == MF_FAST_STACK_TOP, "ABI");

#define MF_FAST_AREA_PAGES ((sizeof(struct mf_fast_area) + 4095) / 4096)

#endif /* __ASSEMBLER__ */
#endif
