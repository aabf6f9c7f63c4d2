/* SPDX-License-Identifier: MIT */
/*
 * Calling a function of the guest program from the host: puts the vCPU of a waiting VM in front of
 * the function with a stack, arguments and a return address as the System V psABI (x86-64, 3.2) has
 * them. Running it is the caller's: mf_process_run() until MF_EXIT_RETURN, whose first argument is
 * the function's value; every other exit means that the function did not return. For a VM that was
 * just forked or reset, or whose last call returned. Called by the library.
 */
#ifndef MF_ENGINE_LINUX_CALL_H
#define MF_ENGINE_LINUX_CALL_H

#include "engine/linux/process.h"

#define MF_CALL_ARGS_MAX 6u /* in registers */

/* What mf_process_push() leaves of the program's stack for the function that is called. */
#define MF_CALL_STACK_BYTES (256u << 10)

struct mf_call {
	struct mf_gva function;
	struct mf_gva stack; /* the function's frames lie below */
	const uint64_t *args;
	size_t count;
};

/* Where the stack of a call may begin: below the red zone of where the program stands now. */
struct mf_gva mf_process_stack(const struct mf_process *process);

/*
 * Copy a block onto the stack of calls to come: *stack is moved below it and is then its address,
 * 16-byte aligned. -ENOSPC when the stack has no room for it, -ENOMEM when the VM has no memory,
 * -EFAULT when the program's stack pointer does not point at a stack; *stack is then unchanged.
 */
int mf_process_push(struct mf_process *process, struct mf_gva *stack, const void *bytes,
		    size_t size);

/* Put the vCPU in front of the function. -EINVAL: too many arguments; -EFAULT as above. */
int mf_process_call(struct mf_process *process, const struct mf_call *call);

/*
 * A program that has ended by exit() may be frozen and its functions called: forget the end, and
 * stand in ring 3 whatever the exit's way was. Before mf_process_freeze().
 */
void mf_process_stay(struct mf_process *process);

#endif
