/* SPDX-License-Identifier: MIT */
/*
 * What stands behind the handles of <mayfly/mayfly.h>; for lib/ only. A public struct mf_vm is the
 * engine's VM inside a struct mf_lib_vm, a public struct mf_image the engine's inside a struct
 * mf_lib_image. Objects count their users, so that handles may be given up in any order.
 */
#ifndef MF_LIB_INTERNAL_H
#define MF_LIB_INTERNAL_H

#include <semaphore.h>
#include <signal.h>

#include <mayfly/mayfly.h>

#include "engine/image/delta.h"
#include "engine/linux/call.h"
#include "engine/linux/exec.h"
#include "engine/linux/permit.h"
#include "request-vm/function.h"
#include "engine/image/watchdog.h"

#define MF_LIB_SEATS 64u /* guests that run at a time: one bit each in struct mf_host.taken */

struct mf_host {
	unsigned int users; /* atomic: the handle and the images */
	struct mf_kvm kvm;
	struct mf_watchdog *watchdog; /* a seat is one of its workers */
	sem_t seats;
	uint64_t taken; /* atomic */
};

struct mf_lib_image {
	struct mf_image image;
	unsigned int users; /* atomic: the handle and the VMs */
	struct mf_host *host;
	struct mf_permit *permit;
	struct mf_policy policy;
	void (*output)(void *cookie, int fd, const void *bytes, size_t count);
	void *output_cookie;
	enum mf_ready ready_at;
	struct mf_ready_point ready;
	uint64_t base; /* of a position-independent program */
	struct mf_exec_files files;
};

enum mf_lib_state {
	MF_LIB_READY,  /* at its ready point */
	MF_LIB_CALLED, /* a function has returned */
	MF_LIB_ENDED,  /* nothing but a reset */
	MF_LIB_GONE,   /* could not be put back: nothing but its end */
};

struct mf_lib_vm {
	struct mf_process process;
	struct mf_lib_image *image;
	enum mf_lib_state state;
	struct mf_ready_point ready;
	struct mf_gva stack; /* of the next call */
	bool spoilt; /* at its memory limit: nothing that it touched is to be kept or learned */
	/* All resets and pages_copied; of the others what the VMs had that this one has replaced.
	 */
	struct mf_counters counted;
};

static inline struct mf_lib_image *mf_lib_image(const struct mf_image *image)
{
	return (struct mf_lib_image *)((char *)image - offsetof(struct mf_lib_image, image));
}

static inline struct mf_lib_vm *mf_lib_vm(const struct mf_vm *vm)
{
	return (struct mf_lib_vm *)((char *)vm - offsetof(struct mf_lib_vm, process.vm));
}

static inline void mf_lib_get(unsigned int *users)
{
	__atomic_add_fetch(users, 1, __ATOMIC_RELAXED);
}

/* True when that was the last. */
static inline bool mf_lib_put(unsigned int *users)
{
	return __atomic_sub_fetch(users, 1, __ATOMIC_ACQ_REL) == 0;
}

void mf_lib_host_put(struct mf_host *host);
void mf_lib_image_put(struct mf_lib_image *image);

/* The right of the calling thread to run a guest, watched. */
struct mf_lib_seat {
	struct mf_host *host;
	unsigned int index;
	struct mf_watch *watch;
	sigset_t mask; /* what the thread had blocked */
};

/* Waits for a free seat. */
void mf_lib_seat_take(struct mf_host *host, struct mf_lib_seat *seat);
void mf_lib_seat_leave(struct mf_lib_seat *seat);

/* CLOCK_MONOTONIC; 0 = no limit, as in the timeout. */
uint64_t mf_lib_deadline(uint64_t timeout_ns);

struct mf_lib_run {
	struct mf_lib_seat *seat;
	struct mf_lib_image *image;
	uint64_t deadline_ns;
	uint64_t private_pages; /* 0 = no limit */
	uint64_t faults_max;    /* the fault counter at which they are counted; 0 at first */
};

/*
 * Run until something that is neither a wait nor a line for the log: those are dealt with in here.
 * A deadline and too much private memory end as MF_EXIT_KICKED with that one reason.
 */
void mf_lib_run(struct mf_lib_run *run, struct mf_process *process, struct mf_exit *exit);

/* What an exit that was not hoped for means: an enum mf_stop with a sentence. */
int mf_lib_stop(const struct mf_process *process, const struct mf_exit *exit, struct mf_error *err);

/* A guest of this VM is about to run. -EBUSY when it must be reset before. */
int mf_lib_vm_begin(struct mf_lib_vm *vm, struct mf_error *err);
/* It came to an end: an enum mf_stop, or a negative errno. */
void mf_lib_vm_ended(struct mf_lib_vm *vm, int why);

#endif
