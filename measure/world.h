/* SPDX-License-Identifier: MIT */
/*
 * What measurements of the engine stand on: an image of their guest (guest/measure), forks of it,
 * and one request to a fork, all without pool, front door and confinement: the guest is ours.
 */
#ifndef MF_MEASURE_WORLD_H
#define MF_MEASURE_WORLD_H

#include "request-vm/function.h"
#include "tenant/program.h"

struct mf_world {
	struct mf_program program;
	struct mf_program_options options;
	struct mf_image image;
	struct mf_ready_point ready;
	char *argv[3];
	char mib[16];
	char guest[64];
	int file; /* the guest, in memory */
};

/* How the image is made. */
struct mf_world_options {
	unsigned int mib;       /* filled before the ready point */
	uint64_t channel_bytes; /* a place for a channel; 0: none */
	uint64_t place_bytes;   /* and, with it, for so much of the store's file; 0: nothing */
	bool no_patch;          /* system calls stay as they are written: each goes by the stub */
};

/*
 * Build the image in a new world. -errno with a sentence, and nothing is left. The caller's to
 * close.
 */
int mf_world_open(struct mf_world **out, const struct mf_world_options *options,
		  struct mf_error *err);
/* NULL is fine. */
void mf_world_close(struct mf_world *world);
/* As it was built: what its VMs taught the image is forgotten. None lives. */
void mf_world_forget(struct mf_world *world);

struct mf_world_request {
	uint8_t bytes[256] __attribute__((aligned(16)));
	size_t size;
};

/* GET `target` with a number as its body. */
void mf_world_request_make(struct mf_world_request *request, const char *target, size_t times);

/* One request to a VM at a ready point: deliver, run to the answer. 0 when the status was 200. */
int mf_world_serve(struct mf_world *world, struct mf_process *vm,
		   const struct mf_world_request *request);

/* A blank fork; -errno with a sentence. */
int mf_world_fork(struct mf_world *world, struct mf_process *vm, struct mf_error *err);
/* A fork with its first requests and resets done, so that the image has learned and the VM is warm.
 */
int mf_world_fork_warm(struct mf_world *world, struct mf_process *vm,
		       const struct mf_world_request *request, struct mf_error *err);

/* Counts of a VM and of this thread, for differences. */
struct mf_tally {
	uint64_t user_exits;
	uint64_t page_faults;  /* of the vCPU: KVM's pf_taken */
	uint64_t minor_faults; /* of this thread: getrusage */
};
void mf_tally_read(const struct mf_process *vm, struct mf_tally *tally);
#endif
