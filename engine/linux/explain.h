/* SPDX-License-Identifier: MIT */
/*
 * --explain: each access that was refused for want of a permission is told in one line, with the
 * option that would allow it; what is told already is counted, and the counts are told at the end.
 * Shared by all forks and threads of a policy. It decides nothing.
 */
#ifndef MF_ENGINE_LINUX_EXPLAIN_H
#define MF_ENGINE_LINUX_EXPLAIN_H

#include <sys/socket.h>

#include "engine/linux/permit_net.h"
#include "engine/linux/process.h"

#define MF_EXPLAIN_LINE 768u /* bytes of a line at most, with its NUL */

/* Where lines go, without a newline; any thread. It must not block. */
typedef void mf_explain_fn(void *cookie, const char *line);

struct mf_explain;

/* -ENOMEM. */
int mf_explain_create(struct mf_explain **explain, mf_explain_fn *line, void *cookie);
/* Tell the counts of what was told once and happened again; safe on NULL, as is destroy. */
void mf_explain_sum(struct mf_explain *explain);
void mf_explain_destroy(struct mf_explain *explain);

/* All of the following do nothing when the policy has no mf_explain. */

/*
 * A call on a file's name (absolute, clean) failed with `code`, a negative errno: tell, if it was
 * the permission that it lacked. `what`: "open", "make"...; `need`: enum mf_permit_need's set.
 */
void mf_explain_path(const struct mf_process *process, const char *what, const char *clean,
		     unsigned int need, int code);

/* An address that no rule allows. */
void mf_explain_address(const struct mf_process *process, enum mf_net_use use,
			const struct sockaddr *address, socklen_t bytes);

/* Anything else. `option` would allow it; NULL: none would. `format` says what was tried and why it
 * was refused; what comes of the guest is made harmless for a terminal. */
void mf_explain(const struct mf_process *process, const char *option, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
