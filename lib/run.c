/* SPDX-License-Identifier: MIT */
/*
 * Running a guest on the calling thread, from one event that the caller must know of to the next.
 */
#include "lib/internal.h"

#include "engine/mem/pt.h"

#include <poll.h>
#include <string.h>
#include <time.h>

#define LOG_BYTES 512u /* the SDK's longest line */

uint64_t mf_lib_deadline(uint64_t timeout_ns)
{
	uint64_t now = mf_now_ns();

	if (!timeout_ns)
		return 0;
	return timeout_ns < UINT64_MAX - now ? now + timeout_ns : UINT64_MAX;
}

/* Wait for what the program waits for. False when the deadline came first. */
static bool wait_for(const struct mf_exit *exit, uint64_t deadline_ns)
{
	struct pollfd fd = {.fd = exit->wait_fd, .events = exit->wait_events};
	uint64_t until = exit->wait_until_ns;
	uint64_t now = mf_now_ns();
	struct timespec span = {0};

	if (deadline_ns && deadline_ns < until)
		until = deadline_ns;
	if (until > now) {
		span.tv_sec = (time_t)((until - now) / 1000000000u);
		span.tv_nsec = (long)((until - now) % 1000000000u);
	}
	ppoll(&fd, fd.fd >= 0, until == UINT64_MAX ? NULL : &span, NULL);
	return !deadline_ns || mf_now_ns() < deadline_ns;
}

static void log_line(const struct mf_lib_image *image, struct mf_process *process,
		     const struct mf_exit *exit)
{
	char text[LOG_BYTES + 1];
	size_t bytes = exit->arg[1] < LOG_BYTES ? exit->arg[1] : LOG_BYTES;
	int ret = mf_pt_read(&process->vm.mem, MF_GVA(exit->arg[0]), text, bytes);

	text[bytes] = '\n';
	if (!ret && image->output)
		image->output(image->output_cookie, 2, text, bytes + 1);
	mf_vm_answer(&process->vm, ret);
}

static uint64_t faults(const struct mf_process *process)
{
	const struct mf_kvm_vm *kvm = &process->vm.kvm;

	return mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
}

/*
 * Each page that becomes private takes a fault at the least: so many more until it is worth a look.
 */
static bool over_memory(struct mf_lib_run *run, struct mf_process *process)
{
	long pages = mf_mem_private_pages(&process->vm.mem);

	if (pages < 0 || (uint64_t)pages > run->private_pages)
		return true;
	run->faults_max = faults(process) + run->private_pages - (uint64_t)pages;
	return false;
}

/* True when the guest is to end for it. */
static bool on_kick(struct mf_lib_run *run, struct mf_process *process, struct mf_exit *exit)
{
	if (exit->kicks & MF_KICK_DEADLINE)
		exit->kicks = MF_KICK_DEADLINE;
	else if (exit->kicks & MF_KICK_MEMORY && over_memory(run, process))
		exit->kicks = MF_KICK_MEMORY;
	else
		return false;
	return true;
}

static void run_once(const struct mf_lib_run *run, struct mf_process *process, struct mf_exit *exit)
{
	struct mf_watch_limits limits = {.deadline_ns = run->deadline_ns,
					 .faults_max = run->faults_max};

	mf_watch_enter(run->seat->watch, &process->vm, &limits);
	mf_process_run(process, exit);
	mf_watch_leave(run->seat->watch);
}

void mf_lib_run(struct mf_lib_run *run, struct mf_process *process, struct mf_exit *exit)
{
	if (run->private_pages && !run->faults_max)
		run->faults_max = faults(process) + run->private_pages;
	for (;;) {
		run_once(run, process, exit);
		if (exit->kind == MF_EXIT_LOG) {
			log_line(run->image, process, exit);
		} else if (exit->kind == MF_EXIT_WAIT) {
			if (!wait_for(exit, run->deadline_ns)) {
				exit->kind = MF_EXIT_KICKED;
				exit->kicks = MF_KICK_DEADLINE;
				return;
			}
		} else if (exit->kind != MF_EXIT_KICKED || on_kick(run, process, exit)) {
			return;
		}
	}
}

int mf_lib_stop(const struct mf_process *process, const struct mf_exit *exit, struct mf_error *err)
{
	bool is_end = exit->kind == MF_EXIT_EXITED || exit->kind == MF_EXIT_SIGNALED ||
		      exit->kind == MF_EXIT_CRASHED;

	if (is_end && process->out_of_memory)
		return mf_error_set(err, MF_STOP_MEMORY,
				    "the guest ended for want of memory; raise memory_bytes or "
				    "private_bytes");
	switch (exit->kind) {
	case MF_EXIT_KICKED:
		if (exit->kicks == MF_KICK_DEADLINE)
			return mf_error_set(err, MF_STOP_DEADLINE,
					    "the guest did not end in its time");
		return mf_error_set(
			err, MF_STOP_MEMORY,
			"the guest holds more private memory than private_bytes allows");
	case MF_EXIT_EXITED:
		return mf_error_set(err, MF_STOP_EXIT, "the guest exited with status %d",
				    exit->status);
	case MF_EXIT_READY:
		return mf_error_set(err, MF_STOP_NO_ANSWER,
				    "the guest waits for a request without having answered");
	case MF_EXIT_RETURN:
		return mf_error_set(err, MF_STOP_NO_ANSWER,
				    "the guest returned from a call that nobody made");
	default:
		return mf_error_set(err, MF_STOP_CRASH, "the guest died: %s", exit->text);
	}
}
