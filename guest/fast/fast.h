/* SPDX-License-Identifier: MIT */
/*
 * Inside the code that answers system calls in ring 3 (guest/fast). One call runs at a time, and
 * any instruction that reaches the caller's memory may end it (MF_FAST_BAIL): until the last such
 * access nothing may have changed that a second try would not do again. Freestanding; no data but
 * the area.
 */
#ifndef MF_GUEST_FAST_FAST_H
#define MF_GUEST_FAST_FAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mayfly/abi/fast.h>

#define USER_TOP 0x7fffffe00000ull

/* The registers of a call, as entry.S pushes them. */
struct call {
	uint64_t r9, r8, r10, rdx, rsi, rdi, rax;
};

extern struct mf_fast_area mf_fast_area __attribute__((visibility("hidden")));

#define area (&mf_fast_area.state)

static inline bool is_user(uint64_t at, uint64_t bytes)
{
	return at < USER_TOP && bytes <= USER_TOP - at;
}

/* Either side may be the caller's memory. */
static inline void copy(void *to, const void *from, uint64_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes)::"memory");
}

/* The descriptor's entry, or NULL. */
struct mf_fast_fd *fast_find(uint64_t fd, enum mf_fast_kind kind);

/* The next entry of the log, to be filled and then counted by fast_logged(); NULL: it is full. */
struct mf_fast_entry *fast_entry(void);
void fast_logged(struct mf_fast_entry *entry, uint32_t number, int64_t result, uint64_t a,
		 uint64_t b, uint64_t c, uint64_t d);

/* Which of POLL* hold now. */
uint32_t fast_poll(const struct mf_fast_fd *fd);

/* Calls: the result, or MF_FAST_NOT_HERE. */
int64_t fast_name(const struct call *call);
int64_t fast_accept(const struct call *call);
int64_t fast_read(const struct call *call);
int64_t fast_readv(const struct call *call);
int64_t fast_recvfrom(const struct call *call);
int64_t fast_recvmsg(const struct call *call);
int64_t fast_write(const struct call *call);
int64_t fast_writev(const struct call *call);
int64_t fast_sendto(const struct call *call);
int64_t fast_sendmsg(const struct call *call);
int64_t fast_close(const struct call *call);
int64_t fast_shutdown(const struct call *call);
int64_t fast_fcntl(const struct call *call);
int64_t fast_ioctl(const struct call *call);
int64_t fast_setsockopt(const struct call *call);
int64_t fast_epoll_ctl(const struct call *call);
int64_t fast_epoll_wait(const struct call *call);
int64_t fast_poll_list(const struct call *call);

/* A descriptor is closed: no epoll watches it any more. */
void fast_epoll_forget(int32_t fd);

#endif
