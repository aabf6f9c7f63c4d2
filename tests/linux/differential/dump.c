/* SPDX-License-Identifier: MIT */
/* Prints the engine's table of system calls, a line a number: number, name, state, error, words. */
#include <stdio.h>
#include <string.h>

#include "engine/linux/syscall.h"

int main(void)
{
	static const char *const states[] = {[MF_SYS_ENOSYS] = "ENOSYS",
					     [MF_SYS_DONE] = "done",
					     [MF_SYS_PARTIAL] = "partial",
					     [MF_SYS_REFUSED] = "refused"};
	unsigned int i;

	for (i = 0; i < MF_SYSCALLS; i++) {
		const struct mf_syscall *call = &mf_syscalls[i];

		if (!call->name)
			continue;
		printf("%u\t%s\t%s\t%s\t%s\t%s\n", i, call->name, states[call->state],
		       call->error ? strerrorname_np(call->error) : "", call->words ?: "",
		       call->call ? "handler" : "");
	}
	return 0;
}
