/* SPDX-License-Identifier: MIT */
#include "engine/linux/syscall.h"

#include <errno.h>
#include <string.h>

#define LOG_MAX_BYTES 511u

void mf_process_log(struct mf_process *process, const struct mf_exit *exit)
{
	static const char *const levels[] = {"debug: ", "", "warning: ", "error: "};
	const char *level = levels[exit->arg[2] < 4 ? exit->arg[2] : 1];
	char text[16 + LOG_MAX_BYTES + 1];
	size_t bytes = exit->arg[1] < LOG_MAX_BYTES ? exit->arg[1] : LOG_MAX_BYTES;
	size_t head = strlen(level);

	memcpy(text, level, head);
	if (mf_pt_read(&process->vm.mem, MF_GVA(exit->arg[0]), text + head, bytes)) {
		mf_vm_answer(&process->vm, -EFAULT);
		return;
	}
	text[head + bytes] = '\n';
	process->output_bytes += head + bytes + 1;
	if (process->policy->output_limit &&
	    process->output_bytes > process->policy->output_limit) {
		mf_vm_answer(&process->vm, -ENOSPC);
		return;
	}
	if (process->policy->output)
		process->policy->output(process->policy->output_cookie, 2, text, head + bytes + 1);
	mf_vm_answer(&process->vm, 0);
}
