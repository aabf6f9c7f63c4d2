/* SPDX-License-Identifier: MIT */
/*
 * The Linux state of an image file, before anything believes it: no index leads out of its table,
 * no list runs in a circle, no count is of something else.
 */
#include "engine/linux/credentials.h"
#include "engine/linux/image_check.h"
#include "engine/image/check.h"
#include "engine/image/layout.h"
#include "engine/linux/alarm.h"
#include "engine/linux/fd.h"
#include "engine/linux/segment.h"

#include <signal.h>
#include <string.h>

#define PROT_BITS 7u

/* A string of at most `bytes` with its NUL, absolute. */
static bool is_path(const char *text, size_t bytes)
{
	return text[0] == '/' && memchr(text, 0, bytes);
}

static const char *check_vma(const struct mf_linux *lx, const struct mf_vma *vma)
{
	if (vma->start % MF_PAGE || vma->end % MF_PAGE || vma->start >= vma->end ||
	    vma->end > MF_USER_TOP || vma->offset % MF_PAGE || vma->offset > INT64_MAX)
		return "a range of its memory";
	if ((vma->file && (vma->file > lx->fds_high || !mf_fd_of(lx, vma->file - 1u)->users ||
			   mf_fd_of(lx, vma->file - 1u)->kind != MF_FD_FILE)) ||
	    vma->slot > MF_FILE_MAPS)
		return "the file of a range of its memory";
	if (vma->kind < MF_VMA_PROGRAM || vma->kind > MF_VMA_TRAMPOLINES ||
	    vma->prot & ~PROT_BITS || vma->flags & ~MF_VMA_FLAGS)
		return "what a range of its memory is";
	return NULL;
}

/* From the top down, none over another. */
static const char *check_vmas(const struct mf_linux *lx)
{
	const char *wrong = NULL;
	uint64_t above = MF_USER_TOP;
	uint32_t i;

	if (lx->vma_count > MF_VMAS)
		return "the number of its ranges of memory";
	for (i = 0; i < lx->vma_count && !wrong; i++) {
		wrong = check_vma(lx, &lx->vmas[i]);
		if (!wrong && lx->vmas[i].end > above)
			wrong = "the order of its ranges of memory";
		above = lx->vmas[i].start;
	}
	if (lx->brk < lx->brk_start || lx->brk > MF_USER_TOP || lx->stack_end > lx->stack_low ||
	    lx->stack_low > MF_USER_TOP || lx->stack_end % MF_PAGE || lx->stack_low % MF_PAGE)
		return "where its heap and stack are";
	return wrong;
}

static const char *check_thread(const struct mf_check *check, uint32_t i)
{
	const struct mf_thread *thread = &check->lx->threads[i];

	if (thread->state > MF_THREAD_PARKED || thread->call_pending > 1 || thread->mask_kept > 1)
		return "the state of a thread";
	if (thread->state == MF_THREAD_FREE)
		return NULL;
	/* A host descriptor's number means nothing in another process. */
	if (!thread->tid || thread->tid > INT32_MAX ||
	    (thread->state == MF_THREAD_PARKED && thread->wait.fd != -1))
		return "what a thread waits for";
	if (i == check->lx->current)
		return NULL;
	if (!mf_regs_are_sane(&thread->context.regs) || thread->context.fs_base >> 47 ||
	    thread->context.gs_base >> 47 ||
	    !mf_xsave_is_sane(&check->lx->xsaves[i], check->image->kvm->traits.xcr0))
		return "the registers of a thread";
	return NULL;
}

static bool is_in(const struct mf_thread_set *set, uint32_t i)
{
	return set->bits[i / 64] >> (i % 64) & 1;
}

/* A thread stands where its state says; what sleeps on a futex is parked, once. */
static const char *check_sets(const struct mf_linux *lx)
{
	struct mf_thread_set asleep = {0};
	uint32_t i;

	for (i = 0; i < MF_THREADS; i++) {
		bool parked = is_in(&lx->outside, i) || is_in(&lx->inside, i);
		uint8_t state = lx->threads[i].state;

		if (is_in(&lx->runnable, i) != (state == MF_THREAD_RUNNABLE) ||
		    (parked && state != MF_THREAD_PARKED))
			return "which of its threads run";
	}
	if (lx->futex_count > MF_THREADS)
		return "the number of threads that sleep";
	for (i = 0; i < lx->futex_count; i++) {
		uint32_t thread = lx->futexes[i].thread;

		if (thread >= lx->threads_high || lx->threads[thread].state == MF_THREAD_FREE ||
		    is_in(&asleep, thread) || lx->futexes[i].pi > 1)
			return "a thread that sleeps";
		asleep.bits[thread / 64] |= 1ull << (thread % 64);
	}
	return NULL;
}

static const char *check_threads(const struct mf_check *check)
{
	const struct mf_linux *lx = check->lx;
	const char *wrong = NULL;
	uint32_t alive = 0;
	uint32_t i;

	/* The one that was on the vCPU last may have ended, while others wait. */
	if (lx->threads_high > MF_THREADS || lx->current >= lx->threads_high || !lx->thread_count)
		return "its running thread";
	for (i = 0; i < MF_THREADS && !wrong; i++) {
		wrong = check_thread(check, i);
		alive += lx->threads[i].state != MF_THREAD_FREE;
		if (!wrong && i >= lx->threads_high && lx->threads[i].state)
			wrong = "a thread that it does not count";
	}
	if (!wrong && alive != lx->thread_count)
		wrong = "the number of its threads";
	return wrong ? wrong : check_sets(lx);
}

static const char *check_signals(const struct mf_linux *lx)
{
	uint32_t used = 0;
	uint32_t i;

	if (lx->sigqueue_high > MF_SIGQUEUE)
		return "its queue of signals";
	for (i = 0; i < MF_SIGQUEUE; i++) {
		const struct mf_sigqueue *entry = &lx->sigqueue[i];

		if (!entry->order)
			continue;
		if (i >= lx->sigqueue_high || entry->thread > lx->threads_high ||
		    entry->info.signo < 1 || entry->info.signo >= (int)MF_SIGNALS ||
		    entry->order > lx->sigqueue_order || entry->timer > MF_ALARMS)
			return "a signal in its queue";
		used++;
	}
	return used == lx->sigqueue_used ? NULL : "the number of signals in its queue";
}

static const char *check_alarms(const struct mf_linux *lx)
{
	uint32_t i;

	for (i = 0; i < MF_ALARMS; i++) {
		const struct mf_alarm *alarm = &lx->alarms[i];
		bool armed = lx->alarms_armed[i / 64] >> (i % 64) & 1;

		if ((armed && !alarm->used) ||
		    (alarm->used && !mf_alarm_is_sound(alarm, i < MF_ALARM_CREATED)))
			return "a timer";
	}
	return NULL;
}

static const char *check_limits(const struct mf_linux *lx)
{
	uint32_t i;

	for (i = 0; i < MF_SHM_NAMES; i++)
		if (lx->shm[i].name[0])
			return "a name in /dev/shm";

	if (mf_segment_any(lx))
		return "a segment of shared memory";
	for (i = 0; i < MF_LIMITS; i++)
		if (lx->limits[i].soft > lx->limits[i].hard)
			return "its limits";
	return NULL;
}

static const char *check_names(const struct mf_linux *lx)
{
	uint32_t i;

	if (!is_path(lx->cwd, sizeof(lx->cwd)) || !is_path(lx->exe, sizeof(lx->exe)))
		return "its working directory or its program's name";
	for (i = 0; i < MF_DIRS; i++)
		if (lx->dirs[i][0] && !is_path(lx->dirs[i], sizeof(lx->dirs[i])))
			return "the name of a directory that it has open";
	return lx->auxv[MF_AUX_WORDS - 1] || lx->auxv[MF_AUX_WORDS - 2]
		       ? "its auxiliary vector has no end"
		       : NULL;
}

const char *mf_linux_check(const struct mf_image *image, uint64_t *owned)
{
	struct mf_check check = {.image = image,
				 .lx = mf_linux_of_image(image),
				 .arena = (const struct mf_arena *)image->backing.map,
				 .owned = owned};
	const char *wrong = check_vmas(check.lx);

	if (check.lx->exited || check.lx->exit_signal || check.lx->umask > 0777)
		wrong = "its program has ended";
	if (!wrong && !mf_ids_are_sound(&check.lx->ids))
		wrong = "who it is, or it was built by another user";
	if (!wrong)
		wrong = check_threads(&check);
	if (!wrong)
		wrong = check_signals(check.lx);
	if (!wrong)
		wrong = check_alarms(check.lx);
	if (!wrong)
		wrong = check_names(check.lx);
	if (!wrong)
		wrong = check_limits(check.lx);
	if (!wrong)
		wrong = mf_check_descriptors(&check);
	if (!wrong)
		wrong = mf_check_pipes(&check);
	if (!wrong)
		wrong = mf_check_connections(&check);
	return wrong ? wrong : mf_check_watches(&check);
}
