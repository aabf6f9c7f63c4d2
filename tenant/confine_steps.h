/* SPDX-License-Identifier: MIT */
/* The steps of mf_confine_enter, one file each. For confine.c only. */
#ifndef TENANT_CONFINE_STEPS_H
#define TENANT_CONFINE_STEPS_H

#include "tenant/confine.h"

/* Sanitizer runtimes ptrace their own process and read /proc at exit: leave them the means. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MF_CONFINE_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define MF_CONFINE_SANITIZER 1
#endif
#endif
#ifndef MF_CONFINE_SANITIZER
#define MF_CONFINE_SANITIZER 0
#endif

/* Needs no-new-privs. Covers the calling thread. Fills the report's landlock_* except _all. */
int mf_confine_landlock(const struct mf_confine *confine, struct mf_confine_report *report,
			struct mf_error *err);

/* Last step: afterwards none of the others could run. Needs no-new-privs. Covers all threads. */
int mf_confine_seccomp(const struct mf_confine *confine, struct mf_confine_report *report,
		       struct mf_error *err);

#endif
