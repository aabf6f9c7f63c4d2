/* SPDX-License-Identifier: MIT */
#include "engine/kvm/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define LANES_OWN (MF_STATS_LANES - 1) /* the last one is shared */

/* The memfd is mapped over this, so that a lane's address is good at any time, shown or not. */
static union {
	struct mf_abi_stats stats;
	uint8_t pages[sizeof(struct mf_abi_stats)];
} space __attribute__((aligned(4096))) = {
	.stats = {.magic = MF_STATS_MAGIC,
		  .version = MF_STATS_VERSION,
		  .bytes = sizeof(struct mf_abi_stats),
		  .lane_count = MF_STATS_LANES},
};

__thread struct mf_abi_stats_lane *mf_stats_mine;
struct mf_abi_stats_lane *const mf_stats_shared = &space.stats.lanes[LANES_OWN];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the next two */
static unsigned int shown;
static int memfd = -1;

static uint64_t taken; /* a bit a lane; not in the page: others may write there */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_end;
static bool has_key;

/* A memfd with what was counted so far in it. */
static int make_memfd(void)
{
	int fd = memfd_create(MF_STATS_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (write(fd, &space, sizeof(space)) == (ssize_t)sizeof(space) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) &&
	    mmap(&space, sizeof(space), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
		    MAP_FAILED)
		return fd;
	close(fd);
	return -EIO;
}

int mf_stats_show(void)
{
	int ret;

	pthread_mutex_lock(&lock);
	if (!shown++)
		memfd = make_memfd();
	ret = memfd;
	pthread_mutex_unlock(&lock);
	return ret;
}

void mf_stats_hide(void)
{
	pthread_mutex_lock(&lock);
	if (shown && !--shown && memfd >= 0) {
		close(memfd);
		memfd = -1;
	}
	pthread_mutex_unlock(&lock);
}

static void leave(void *lane)
{
	size_t i = (size_t)((struct mf_abi_stats_lane *)lane - space.stats.lanes);

	mf_stats_mine = NULL;
	/* Pairs with take(): who gets the lane next sees what was added to it. */
	__atomic_fetch_and(&taken, ~(1ull << i), __ATOMIC_RELEASE);
}

static void make_key(void)
{
	has_key = !pthread_key_create(&at_end, leave);
}

/* The number of a lane that is this thread's now; LANES_OWN when there is none. */
static unsigned int take(void)
{
	unsigned int i;

	for (i = 0; i < LANES_OWN; i++)
		if (!(__atomic_fetch_or(&taken, 1ull << i, __ATOMIC_ACQUIRE) >> i & 1))
			return i;
	return i;
}

struct mf_abi_stats_lane *mf_stats_join(void)
{
	struct mf_abi_stats_lane *lane = mf_stats_shared;

	pthread_once(&once, make_key);
	if (has_key)
		lane = &space.stats.lanes[take()];
	if (lane != mf_stats_shared && pthread_setspecific(at_end, lane)) {
		leave(lane);
		lane = mf_stats_shared;
	}
	mf_stats_mine = lane;
	return lane;
}
