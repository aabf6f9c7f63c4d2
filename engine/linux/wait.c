/* SPDX-License-Identifier: MIT */
#include "engine/linux/wait.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/hosts.h"
#include "engine/linux/sched.h"
#include "engine/linux/syscall.h"

static int64_t park(struct mf_process *process, struct mf_wait wait)
{
	MF_THREAD_DIRTY(process, wait) = wait;
	return MF_SYS_WAIT;
}

int64_t mf_wait_host(struct mf_process *process, int fd, short events)
{
	return park(process, (struct mf_wait){.until_ns = MF_FOREVER, .fd = fd, .events = events});
}

int64_t mf_wait_hosts(struct mf_process *process, const struct pollfd *fds, size_t count,
		      uint64_t until_ns)
{
	struct mf_wait wait = {.until_ns = until_ns, .fd = -1};
	int added;

	if (count == 1 && fds[0].fd >= 0) {
		wait.fd = fds[0].fd;
		wait.events = fds[0].events;
		return park(process, wait);
	}
	added = mf_hosts_add(process, fds, count);
	if (added < 0)
		wait.until_ns = mf_hosts_look_again(process, until_ns);
	wait.many = added > 0;
	return park(process, wait);
}

int64_t mf_wait_until(struct mf_process *process, uint64_t until_ns)
{
	return park(process, (struct mf_wait){.until_ns = until_ns, .fd = -1});
}

int64_t mf_wait_object(struct mf_process *process, uint64_t object, uint64_t until_ns)
{
	return park(process, (struct mf_wait){.until_ns = until_ns, .object = object, .fd = -1});
}

void mf_wait_wake(struct mf_process *process, uint64_t object)
{
	const struct mf_linux *lx = mf_linux(process);
	int i = -1;

	while ((i = mf_thread_set_next(&lx->inside, i)) >= 0) {
		if (lx->threads[i].wait.object == object)
			mf_sched_wake(process, (uint32_t)i);
	}
}

uint64_t mf_wait_deadline(struct mf_process *process, uint64_t span_ns)
{
	uint64_t until = mf_thread(process)->call_until_ns;
	uint64_t now;

	if (until || span_ns == MF_FOREVER)
		return until ? until : MF_FOREVER;
	now = mf_vm_now_ns(&process->vm);
	until = span_ns < MF_FOREVER - 1 - now ? now + span_ns : MF_FOREVER - 1;
	MF_THREAD_DIRTY(process, call_until_ns) = until;
	return until;
}
