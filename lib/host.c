/* SPDX-License-Identifier: MIT */
#include "lib/internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

const char *mf_version(void)
{
	return MF_VERSION;
}

int mf_host_open(struct mf_host **out, struct mf_error *err)
{
	struct mf_host *host = calloc(1, sizeof(*host));
	int ret;

	if (!host)
		return mf_error_set(err, -ENOMEM, "not enough memory for a host");
	host->users = 1;
	ret = mf_kvm_open(&host->kvm, NULL, err);
	if (ret) {
		free(host);
		return ret;
	}
	ret = mf_watchdog_create(&host->watchdog, MF_LIB_SEATS, err);
	if (ret) {
		mf_kvm_close(&host->kvm);
		free(host);
		return ret;
	}
	sem_init(&host->seats, 0, MF_LIB_SEATS);
	*out = host;
	return 0;
}

void mf_lib_host_put(struct mf_host *host)
{
	if (!mf_lib_put(&host->users))
		return;
	mf_watchdog_destroy(host->watchdog);
	mf_kvm_close(&host->kvm);
	sem_destroy(&host->seats);
	free(host);
}

void mf_host_close(struct mf_host *host)
{
	if (host)
		mf_lib_host_put(host);
}

/* One of the free bits; the semaphore says that there is one. */
static unsigned int take_bit(uint64_t *taken)
{
	uint64_t now = __atomic_load_n(taken, __ATOMIC_RELAXED);
	uint64_t bit;

	do {
		while (now == UINT64_MAX)
			now = __atomic_load_n(taken, __ATOMIC_RELAXED);
		bit = ~now & (now + 1);
		/* Acquire pairs with the release in mf_lib_seat_leave(): the seat's watch is handed
		 * over. */
	} while (!__atomic_compare_exchange_n(taken, &now, now | bit, true, __ATOMIC_ACQUIRE,
					      __ATOMIC_RELAXED));
	return (unsigned int)__builtin_ctzll(bit);
}

void mf_lib_seat_take(struct mf_host *host, struct mf_lib_seat *seat)
{
	sigset_t kick;

	while (sem_wait(&host->seats) && errno == EINTR)
		;
	seat->host = host;
	seat->index = take_bit(&host->taken);
	/* Blocked, the signal would not make KVM_RUN return, and no deadline would ever come. */
	sigemptyset(&kick);
	sigaddset(&kick, MF_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &kick, &seat->mask);
	seat->watch = mf_watchdog_worker(host->watchdog, seat->index);
}

void mf_lib_seat_leave(struct mf_lib_seat *seat)
{
	pthread_sigmask(SIG_SETMASK, &seat->mask, NULL);
	__atomic_and_fetch(&seat->host->taken, ~(1ull << seat->index), __ATOMIC_RELEASE);
	sem_post(&seat->host->seats);
}
