/* SPDX-License-Identifier: MIT */
/*
 * A VM: vCPU + memory + the registers it is to be put back to. Runs guest code from one exit to the
 * next and classifies the exit; knows no system call. One thread at a time, except for mf_vm_kick.
 */
#ifndef MF_ENGINE_IMAGE_VM_H
#define MF_ENGINE_IMAGE_VM_H

#include "engine/mem/mem.h"

/* Everything a vCPU carries from one instruction to the next. */
struct mf_cpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_debugregs debugregs;
	struct kvm_xsave xsave;
};

struct mf_image;
struct mf_watch;

enum mf_vm_exit_kind {
	MF_VM_CALL,   /* the call port: number and arguments in the registers */
	MF_VM_FAULT,  /* an exception of ring 3 */
	MF_VM_KICKED, /* mf_vm_kick, or a signal */
	MF_VM_CRASH,  /* anything else; the vCPU is unclean */
};

struct mf_vm_exit {
	enum mf_vm_exit_kind kind;
	/* MF_VM_FAULT */
	uint8_t vector;
	uint64_t error_code;
	uint64_t address; /* CR2 for #PF, else 0 */
	uint64_t rip;
	uint64_t rsp;
	uint64_t rflags;
	/* MF_VM_CRASH: KVM's exit reason, or the negative errno of KVM_RUN */
	int reason;
};

/* Which steps of a reset to leave out: only the mutation tests set any. */
enum mf_reset_step {
	MF_STEP_TABLES = 1 << 0,
	MF_STEP_MEMORY = 1 << 1,
	MF_STEP_LEARN = 1 << 2,
	MF_STEP_REGS = 1 << 3,
	MF_STEP_SREGS = 1 << 4,
	MF_STEP_XSAVE = 1 << 5,
	MF_STEP_EVENTS = 1 << 6,
	MF_STEP_DEBUG = 1 << 7,
	MF_STEP_DRAIN = 1 << 8,
	MF_STEP_DESCRIPTORS = 1 << 9,
};

struct mf_vm {
	struct mf_kvm_vm kvm;
	struct mf_mem mem;
	struct mf_image *image; /* NULL while one is being built */
	uint64_t generation;    /* raised by every reset; operations in flight carry it */
	uint64_t resets;
	uint64_t private_pages; /* that a request may hold; 0 = no limit. Reset keeps well below it
				 */
	bool prepared;          /* has touched what others had: teaches no reading any more */
	bool flooded; /* the last request made very many pages private for the first time */
	bool unclean; /* KVM may hold half an instruction: drain before memory is restored */
	bool lost;    /* KVM reset the vCPU, model-specific registers too: of no more use */
	bool at_exit; /* registers are those of the last exit (reset and fork load others) */
	struct mf_vm_exit last; /* the last exit */
	uint64_t pio_rip; /* KVM steps over the `out` there if RIP is still this at the next entry;
			     0: nothing to step over */
	bool faulted;     /* an exception was delivered: debug registers may have moved */
	uint32_t kicked;  /* reasons given to mf_vm_kick, taken by mf_vm_take_kicks */
	unsigned int skip_steps; /* enum mf_reset_step; tests only */
	struct mf_watch
		*watch;       /* who watches it while it runs (engine/image/watchdog.h), or NULL */
	uint64_t turn_end_ns; /* as given to mf_watch_turn; 0: none */
	uint64_t behind_ns;   /* its monotonic clock, of the host's; modulo 2^64: vm_clock.h */
	void *owner;          /* the layer above */
};

/* A blank VM: engine pages in place, no program; `plain`: it will not be frozen. -errno with a
 * sentence. */
int mf_vm_create_blank(struct mf_vm *vm, const struct mf_kvm *kvm, bool plain, size_t limit_bytes,
		       size_t linux_bytes, struct mf_error *err);
void mf_vm_finish(struct mf_vm *vm);

/* Run until the next exit. Always fills `exit`; guest behaviour is never an error. */
void mf_vm_run(struct mf_vm *vm, struct mf_vm_exit *exit);

/*
 * After a CALL, FAULT or KICKED exit: put the vCPU where ring 3 will be when it goes on (behind the
 * system call, at the instruction that faulted), so that its registers can be saved, changed and
 * replaced. False, with nothing changed: it is on its way into or out of ring 0, as it may also be
 * where an image was taken; run it on.
 */
bool mf_vm_settle(struct mf_vm *vm);

/* After a FAULT exit in the code that answers calls in ring 3 (guest/fast): the call there is given
 * up, and leaves by the call port as if nothing had been tried. */
void mf_vm_bail(struct mf_vm *vm);

/* Ring 3's segments, where the last exit left those of ring 0. */
void mf_vm_enter_ring_3(struct mf_vm *vm);

/* Replace the registers of a settled vCPU by others of ring 3. The XSAVE area is the caller's. */
void mf_vm_load_user(struct mf_vm *vm, const struct kvm_regs *regs, uint64_t fs_base,
		     uint64_t gs_base);

/* The registers at the last exit, for reading; and for writing (they take effect at the next run).
 */
static inline const struct kvm_regs *mf_vm_regs(const struct mf_vm *vm)
{
	return &vm->kvm.run->s.regs.regs;
}

static inline struct kvm_regs *mf_vm_regs_rw(struct mf_vm *vm)
{
	vm->kvm.run->kvm_dirty_regs |= KVM_SYNC_X86_REGS;
	return &vm->kvm.run->s.regs.regs;
}

static inline struct kvm_sregs *mf_vm_sregs_rw(struct mf_vm *vm)
{
	vm->kvm.run->kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
	return &vm->kvm.run->s.regs.sregs;
}

/* Set RAX: the result of a call. */
static inline void mf_vm_answer(struct mf_vm *vm, int64_t result)
{
	mf_vm_regs_rw(vm)->rax = (uint64_t)result;
}

/*
 * Make the VM leave guest code soon with MF_VM_KICKED; `reason` is a bit. Any thread. The thread
 * that runs the VM must also be sent a signal if it may be inside KVM_RUN.
 */
void mf_vm_kick(struct mf_vm *vm, uint32_t reason);
/* Reasons since the last call; the kick is then spent. The VM's own thread. */
uint32_t mf_vm_take_kicks(struct mf_vm *vm);

/* mf_kvm_vm_drain() that spends no kick, be it one that comes meanwhile. The VM's own thread. */
int mf_vm_drain(struct mf_vm *vm);

/* Read or load everything in struct mf_cpu_state by ioctls; vCPU clean. */
int mf_vm_save_cpu(struct mf_vm *vm, struct mf_cpu_state *state);
int mf_vm_load_cpu(struct mf_vm *vm, const struct mf_cpu_state *state);

/* Name of a KVM exit reason or exception, for messages. */
const char *mf_vm_crash_name(int reason);

#endif
