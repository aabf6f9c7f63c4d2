/* SPDX-License-Identifier: MIT */
#include "lib/internal.h"

#include "engine/linux/guestmem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void at_ready_point(struct mf_lib_vm *vm)
{
	vm->state = MF_LIB_READY;
	vm->spoilt = false;
	vm->ready = vm->image->ready;
	vm->stack = mf_process_stack(&vm->process);
}

static int fork_process(struct mf_lib_vm *vm, struct mf_error *err)
{
	struct mf_lib_image *image = vm->image;
	int ret = mf_process_fork(&vm->process, &image->image, &image->policy, err);

	if (ret)
		return ret;
	ret = mf_vm_prepare(&vm->process.vm);
	if (ret) {
		mf_process_finish(&vm->process);
		return mf_error_set(err, ret, "cannot prepare a VM: %s", strerror(-ret));
	}
	at_ready_point(vm);
	return 0;
}

int mf_image_fork(struct mf_image *image, struct mf_vm **out, struct mf_error *err)
{
	struct mf_lib_vm *vm = calloc(1, sizeof(*vm));
	int ret;

	if (!vm)
		return mf_error_set(err, -ENOMEM, "not enough memory for a VM");
	vm->image = mf_lib_image(image);
	ret = fork_process(vm, err);
	if (ret) {
		free(vm);
		return ret;
	}
	mf_lib_get(&vm->image->users);
	*out = &vm->process.vm;
	return 0;
}

void mf_vm_destroy(struct mf_vm *handle)
{
	struct mf_lib_vm *vm = handle ? mf_lib_vm(handle) : NULL;

	if (!vm)
		return;
	mf_process_finish(&vm->process);
	mf_lib_image_put(vm->image);
	free(vm);
}

static int check_not_gone(const struct mf_lib_vm *vm, struct mf_error *err)
{
	if (vm->state != MF_LIB_GONE)
		return 0;
	return mf_error_set(err, -EIO, "the VM could not be reset; destroy it and fork another");
}

int mf_lib_vm_begin(struct mf_lib_vm *vm, struct mf_error *err)
{
	if (vm->state == MF_LIB_ENDED)
		return mf_error_set(err, -EBUSY,
				    "the VM was stopped in the middle; reset it first");
	if (vm->state == MF_LIB_GONE)
		return check_not_gone(vm, err);
	/* A deadline that came while the last call was returning is not this one's. */
	mf_vm_take_kicks(&vm->process.vm);
	vm->process.out_of_memory = false;
	return 0;
}

void mf_lib_vm_ended(struct mf_lib_vm *vm, int why)
{
	vm->state = MF_LIB_ENDED;
	vm->spoilt = why == MF_STOP_MEMORY;
}

int mf_vm_push(struct mf_vm *handle, const void *bytes, size_t size, uint64_t *address,
	       struct mf_error *err)
{
	struct mf_lib_vm *vm = mf_lib_vm(handle);
	int ret = mf_lib_vm_begin(vm, err);

	if (ret)
		return ret;
	ret = mf_process_push(&vm->process, &vm->stack, bytes, size);
	switch (ret) {
	case 0:
		*address = vm->stack.at;
		return 0;
	case -ENOSPC:
		return mf_error_set(err, ret,
				    "%zu bytes do not fit onto the guest's stack; let the program "
				    "have a buffer and use mf_vm_write()",
				    size);
	case -ENOMEM:
		return mf_error_set(
			err, ret,
			"the VM may have no more memory; raise memory_bytes or private_bytes");
	default:
		return mf_error_set(err, ret,
				    "the guest's stack pointer does not point at a stack");
	}
}

static void run_function(struct mf_lib_vm *vm, uint64_t timeout_ns, struct mf_exit *exit)
{
	struct mf_lib_seat seat;
	struct mf_lib_run run = {
		.seat = &seat,
		.image = vm->image,
		.deadline_ns = mf_lib_deadline(timeout_ns),
		.private_pages = vm->image->policy.private_pages,
	};

	mf_lib_seat_take(vm->image->host, &seat);
	do {
		mf_lib_run(&run, &vm->process, exit);
		if (exit->kind == MF_EXIT_RESPOND) /* there is no request */
			mf_vm_answer(&vm->process.vm, -EINVAL);
	} while (exit->kind == MF_EXIT_RESPOND);
	mf_lib_seat_leave(&seat);
}

static int cannot_call(const struct mf_lib_vm *vm, int ret, struct mf_error *err)
{
	if (ret == -EINVAL)
		return mf_error_set(err, ret, "a function can be given at most %u arguments",
				    MF_CALL_ARGS_MAX);
	if (vm->process.out_of_memory)
		return mf_error_set(err, MF_STOP_MEMORY, "no memory for the function's stack");
	return mf_error_set(err, MF_STOP_CRASH,
			    "the guest's stack pointer does not point at a stack");
}

int mf_vm_call(struct mf_vm *handle, uint64_t function, const uint64_t *args, size_t count,
	       uint64_t timeout_ns, uint64_t *result, struct mf_error *err)
{
	struct mf_lib_vm *vm = mf_lib_vm(handle);
	struct mf_call call = {MF_GVA(function), vm->stack, args, count};
	struct mf_exit exit;
	int ret = mf_lib_vm_begin(vm, err);

	if (ret)
		return ret;
	ret = mf_process_call(&vm->process, &call);
	if (ret) {
		ret = cannot_call(vm, ret, err);
		if (ret > 0)
			mf_lib_vm_ended(vm, ret);
		return ret;
	}
	run_function(vm, timeout_ns, &exit);
	if (exit.kind != MF_EXIT_RETURN) {
		ret = mf_lib_stop(&vm->process, &exit, err);
		mf_lib_vm_ended(vm, ret);
		return ret;
	}
	vm->state = MF_LIB_CALLED;
	if (result)
		*result = exit.arg[0];
	return 0;
}

int mf_vm_read(struct mf_vm *vm, uint64_t address, void *bytes, size_t size, struct mf_error *err)
{
	if (check_not_gone(mf_lib_vm(vm), err))
		return -EIO;
	if (!mf_guest_read(&mf_lib_vm(vm)->process, address, bytes, size))
		return 0;
	return mf_error_set(err, -EFAULT, "the guest cannot read %zu bytes at 0x%llx", size,
			    (unsigned long long)address);
}

int mf_vm_write(struct mf_vm *vm, uint64_t address, const void *bytes, size_t size,
		struct mf_error *err)
{
	if (check_not_gone(mf_lib_vm(vm), err))
		return -EIO;
	if (!mf_guest_write(&mf_lib_vm(vm)->process, address, bytes, size))
		return 0;
	return mf_error_set(err, -EFAULT, "the guest cannot write %zu bytes at 0x%llx", size,
			    (unsigned long long)address);
}

/* A new VM in the old one's place: the handle and what was counted stay. */
static int replace(struct mf_lib_vm *vm, struct mf_error *err)
{
	int ret;

	mf_vm_counters(&vm->process.vm, &vm->counted);
	mf_process_finish(&vm->process);
	vm->state = MF_LIB_GONE;
	ret = fork_process(vm, err);
	if (!ret)
		vm->counted.resets++;
	return ret;
}

int mf_vm_reset_to_image(struct mf_vm *handle, struct mf_error *err)
{
	struct mf_lib_vm *vm = mf_lib_vm(handle);
	int ret = check_not_gone(vm, err);

	if (ret)
		return ret;
	if (vm->spoilt)
		return replace(vm, err);
	if (mf_process_reset(&vm->process)) {
		vm->state = MF_LIB_GONE;
		return check_not_gone(vm, err);
	}
	vm->counted.resets++;
	vm->counted.pages_copied += vm->process.vm.mem.ws.run_pages;
	at_ready_point(vm);
	return 0;
}

void mf_vm_counters(const struct mf_vm *handle, struct mf_counters *counters)
{
	const struct mf_lib_vm *vm = mf_lib_vm(handle);

	*counters = vm->counted;
	counters->user_exits += handle->kvm.user_exits;
	counters->page_faults += mf_kvm_vm_stat(&handle->kvm, handle->kvm.kvm->stat_pf_taken);
	counters->syscalls += vm->process.syscalls;
}
