/* SPDX-License-Identifier: MIT */
#include "engine/image/clock.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define SHIFT     32
#define SECOND_NS 1000000000ll
/* A clock that runs ahead is slowed by at most this until true time has caught up. */
#define SLEW_PPM 500

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct mf_abi_clock *page;
static int page_fd = -1;
static uint64_t nominal_mult;

static int64_t host_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return now.tv_sec * SECOND_NS + now.tv_nsec;
}

uint64_t mf_clock_ns(clockid_t clock)
{
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI)
		return (uint64_t)host_ns(clock);
	return (uint64_t)host_ns(CLOCK_MONOTONIC);
}

/* What a guest would read at this TSC. */
static int64_t guest_view(uint64_t tsc)
{
	uint64_t ticks = tsc > page->tsc_base ? tsc - page->tsc_base : 0;

	return (int64_t)(page->monotonic_ns +
			 (uint64_t)((unsigned __int128)ticks * page->mult >> SHIFT));
}

static void update(void)
{
	int64_t real = host_ns(CLOCK_REALTIME);
	int64_t true_ns = (int64_t)mf_clock_ns(CLOCK_MONOTONIC);
	uint64_t tsc = __rdtsc();
	int64_t view = page->mult ? guest_view(tsc) : true_ns;
	uint32_t sequence = page->sequence;

	/* Pairs with the guest's reads of `sequence` before and after (guest/vdso/vdso.c). */
	__atomic_store_n(&page->sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	page->shift = SHIFT;
	page->tsc_base = tsc;
	page->monotonic_ns = (uint64_t)(view > true_ns ? view : true_ns);
	page->mult =
		view > true_ns ? nominal_mult - nominal_mult / 1000000 * SLEW_PPM : nominal_mult;
	page->realtime_minus_monotonic_ns = real - true_ns;
	__atomic_store_n(&page->sequence, sequence + 2, __ATOMIC_RELEASE);
}

void mf_clock_update(void)
{
	/* Pairs with make_page. */
	if (!__atomic_load_n(&page, __ATOMIC_ACQUIRE) || pthread_mutex_trylock(&lock))
		return; /* another thread is at it */
	update();
	pthread_mutex_unlock(&lock);
}

void mf_clock_bounds(uint64_t *least, uint64_t *most)
{
	uint64_t now = mf_clock_ns(CLOCK_MONOTONIC);
	uint64_t view = now;

	pthread_mutex_lock(&lock);
	if (page && page->mult)
		view = (uint64_t)guest_view(__rdtsc());
	pthread_mutex_unlock(&lock);
	*least = view < now ? view : now;
	*most = view < now ? now : view;
}

static int make_page(void)
{
	void *map;
	int fd = memfd_create("mayfly-clock", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sysconf(_SC_PAGESIZE))) {
		close(fd);
		return -errno;
	}
	map = mmap(NULL, (size_t)sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		close(fd);
		return -ENOMEM;
	}
	page_fd = fd;
	__atomic_store_n(&page, map, __ATOMIC_RELEASE);
	return 0;
}

int mf_clock_page(const struct mf_kvm *kvm)
{
	int ret = 0;

	pthread_mutex_lock(&lock);
	if (!page)
		ret = make_page();
	/* Without a rate `mult` stays 0, and guests ask by system call. */
	if (!ret && kvm->traits.tsc_khz) {
		nominal_mult = (1000000ull << SHIFT) / kvm->traits.tsc_khz;
		update();
	}
	pthread_mutex_unlock(&lock);
	return ret ? ret : page_fd;
}
