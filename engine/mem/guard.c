/* SPDX-License-Identifier: MIT */
/*
 * Reaching a mapped file that somebody cuts short raises SIGBUS. In the file maps of the memory
 * that this thread reaches, a page of zeros takes the lost page's place, and the reader goes on.
 */
#include "engine/mem/mem.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

static __thread uintptr_t guarded_from;
static __thread uintptr_t guarded_to;
static struct sigaction before;

static void on_sigbus(int signo, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr & ~(uintptr_t)(MF_PAGE - 1);

	(void)context;
	if (at >= guarded_from && at < guarded_to &&
	    mmap((void *)at, MF_PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
		return;
	sigaction(signo, &before, NULL); /* not ours: happens again, to whoever it was for */
}

static void install(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGBUS, &action, &before);
}

void mf_mem_guard_bytes(const void *at, size_t bytes)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, install);
	guarded_from = (uintptr_t)at;
	guarded_to = (uintptr_t)at + bytes;
}

void mf_mem_guard_files(const struct mf_mem *mem)
{
	const uint8_t *from = mem->guest + mem->limit_bytes;

	mf_mem_guard_bytes(from, (size_t)(mem->base + mem->reserved_bytes - from));
}
