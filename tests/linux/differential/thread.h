/* SPDX-License-Identifier: MIT */
/* What the cases about threads share. */
#ifndef MF_TESTS_LINUX_DIFFERENTIAL_THREAD_H
#define MF_TESTS_LINUX_DIFFERENTIAL_THREAD_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* "what: value", or "what: -1 ENAME". */
#define TELL(what, ret)                                               \
	({                                                            \
		long told_;                                           \
		errno = 0;                                            \
		told_ = (long)(ret);                                  \
		say("%s: %ld%s%s", what, told_, told_ < 0 ? " " : "", \
		    told_ < 0 ? strerrorname_np(errno) : "");         \
	})

static inline pthread_t begin_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, arg))
		abort();
	return thread;
}

static inline long end_thread(pthread_t thread)
{
	void *value = NULL;

	if (pthread_join(thread, &value))
		abort();
	return (long)value;
}

#endif
