/* SPDX-License-Identifier: MIT */
/*
 * The frame that a handler finds on its stack, and the way back (arch/x86/kernel/signal_64.c,
 * fpu/signal.c; include/uapi/asm/sigcontext.h, ucontext.h). What comes back is whatever the program
 * left there: nothing of it is believed.
 */
#include "engine/kvm/cpu.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

#define RED_ZONE_BYTES 128u
#define MIN_STACK      2048u /* MINSIGSTKSZ */

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define RESTORER 0x04000000u /* SA_RESTORER */

#define UC_FP_XSTATE         1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

/* Selectors as programs know them; the vCPU's own are others (engine/kvm/cpu.h). */
#define USER_CS 0x33
#define USER_SS 0x2b

#define FLAGS_CLEARED  0x10500ull /* RF, DF, TF: a handler begins without */
#define FLAGS_RESTORED 0x40dd5ull /* AC, OF, DF, TF, SF, ZF, AF, PF, CF */
#define CANONICAL_END  (1ull << 47)

/* struct sigcontext_64 */
struct context {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};

struct frame {
	uint64_t pretcode;
	uint64_t flags;
	uint64_t link;
	struct mf_altstack stack;
	struct context context;
	uint64_t mask;
	struct mf_siginfo info;
	uint8_t info_rest[128 - sizeof(struct mf_siginfo)];
};
_Static_assert(sizeof(struct context) == 256, "struct sigcontext_64");
_Static_assert(sizeof(struct frame) == 440, "rt_sigframe of x86-64");
_Static_assert(offsetof(struct frame, info) == 312, "rt_sigframe of x86-64");

/* XSAVE area, Intel SDM vol. 1, 13.4, and what Linux keeps in its legacy region's last 48 bytes. */
#define XSAVE_HEADER   512
#define XSAVE_MIN      576
#define XSAVE_MAX      ((uint32_t)sizeof(struct kvm_xsave))
#define FX_FCW         0
#define FX_MXCSR       24
#define FX_MXCSR_MASK  28
#define FX_SW_RESERVED 464
#define FX_BYTES       512
#define MXCSR_DEFAULT  0x1f80u
#define FCW_DEFAULT    0x37fu
#define MAGIC1         0x46505853u
#define MAGIC2         0x46505845u
#define XSTATE_FP_SSE  3ull

struct sw_reserved {
	uint32_t magic1;
	uint32_t extended_bytes;
	uint64_t components;
	uint32_t xstate_bytes;
	uint32_t padding[7];
};
_Static_assert(sizeof(struct sw_reserved) == FX_BYTES - FX_SW_RESERVED, "_fpx_sw_bytes");

struct xsave_header {
	uint64_t xstate_bv;
	uint64_t xcomp_bv;
	uint64_t reserved[6];
};

/* How much of an XSAVE area the guest's components take (CPUID leaf 0xd). */
static uint32_t xstate_bytes(const struct mf_kvm *kvm)
{
	uint32_t bytes = XSAVE_MIN;
	uint32_t i;

	for (i = 0; i < kvm->cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &kvm->cpuid->entries[i];

		if (entry->function != 0xd || entry->index < 2 || entry->index > 62 ||
		    !(kvm->traits.xcr0 >> entry->index & 1))
			continue;
		if (entry->ebx + entry->eax > bytes && entry->ebx + entry->eax <= XSAVE_MAX)
			bytes = entry->ebx + entry->eax;
	}
	return bytes;
}

bool mf_signal_on_altstack(const struct mf_process *process, uint64_t rsp)
{
	const struct mf_thread *thread = mf_thread(process);

	return rsp > thread->altstack_sp && rsp - thread->altstack_sp <= thread->altstack_size;
}

static bool is_armed_on(const struct mf_process *process, uint64_t rsp)
{
	return !(mf_thread(process)->altstack_flags & SS_AUTODISARM) &&
	       mf_signal_on_altstack(process, rsp);
}

int mf_signal_set_altstack(struct mf_process *process, const struct mf_altstack *stack)
{
	uint32_t mode = (uint32_t)stack->flags & ~SS_AUTODISARM;
	bool off = mode == SS_DISABLE;

	if (is_armed_on(process, mf_vm_regs(&process->vm)->rsp))
		return -EPERM;
	if (mode != SS_DISABLE && mode != SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (!off && stack->bytes < MIN_STACK)
		return -ENOMEM;
	MF_THREAD_DIRTY(process, altstack_sp) = off ? 0 : stack->sp;
	MF_THREAD_DIRTY(process, altstack_size) = off ? 0 : stack->bytes;
	MF_THREAD_DIRTY(process, altstack_flags) = (uint32_t)stack->flags;
	return 0;
}

static struct mf_altstack altstack_of(const struct mf_thread *thread)
{
	return (struct mf_altstack){
		.sp = thread->altstack_sp,
		.flags = (int32_t)thread->altstack_flags,
		.bytes = thread->altstack_size,
	};
}

/* Where on which stack; false: the alternative stack has no room. */
struct place {
	uint64_t frame;
	uint64_t fpstate;
	uint32_t xstate_bytes;
};

static bool place_frame(const struct mf_process *process, const struct mf_sigaction *action,
			struct place *place)
{
	const struct mf_thread *thread = mf_thread(process);
	uint64_t sp = mf_vm_regs(&process->vm)->rsp - RED_ZONE_BYTES;
	bool on_alt = is_armed_on(process, sp);

	if (action->flags & SA_ONSTACK && thread->altstack_size && !on_alt) {
		sp = thread->altstack_sp + thread->altstack_size;
		on_alt = true;
	}
	place->xstate_bytes = xstate_bytes(process->vm.kvm.kvm);
	place->fpstate = (sp - place->xstate_bytes - sizeof(uint32_t)) & ~63ull;
	place->frame = ((place->fpstate - sizeof(struct frame)) & ~15ull) - 8;
	return !on_alt || mf_signal_on_altstack(process, place->frame);
}

static void fill_context(const struct mf_process *process, struct context *to, uint64_t mask)
{
	const struct mf_thread *thread = mf_thread(process);
	const struct kvm_regs *regs = mf_vm_regs(&process->vm);

	*to = (struct context){
		.r8 = regs->r8,
		.r9 = regs->r9,
		.r10 = regs->r10,
		.r11 = regs->r11,
		.r12 = regs->r12,
		.r13 = regs->r13,
		.r14 = regs->r14,
		.r15 = regs->r15,
		.rdi = regs->rdi,
		.rsi = regs->rsi,
		.rbp = regs->rbp,
		.rbx = regs->rbx,
		.rdx = regs->rdx,
		.rax = regs->rax,
		.rcx = regs->rcx,
		.rsp = regs->rsp,
		.rip = regs->rip,
		.rflags = regs->rflags,
		.cs = USER_CS,
		.ss = USER_SS,
		.err = thread->fault_error,
		.trapno = thread->fault_vector,
		.oldmask = mask,
		.cr2 = thread->fault_address,
	};
}

/* The area as a program finds it: in standard form, with Linux' marks. */
static void fill_xstate(const struct mf_process *process, uint8_t *to,
			const struct kvm_xsave *xsave, uint32_t bytes)
{
	struct sw_reserved marks = {
		.magic1 = MAGIC1,
		.extended_bytes = bytes + (uint32_t)sizeof(uint32_t),
		.components = process->vm.kvm.kvm->traits.xcr0,
		.xstate_bytes = bytes,
	};
	uint32_t magic2 = MAGIC2;
	struct xsave_header header;

	memcpy(to, xsave, bytes);
	memcpy(to + FX_SW_RESERVED, &marks, sizeof(marks));
	memcpy(&header, to + XSAVE_HEADER, sizeof(header));
	header.xstate_bv |= XSTATE_FP_SSE;
	memcpy(to + XSAVE_HEADER, &header, sizeof(header));
	memcpy(to + bytes, &magic2, sizeof(magic2));
}

/* Every component as a new program has it; the mask of MXCSR is the CPU's. */
static void initial_xstate(struct kvm_xsave *xsave)
{
	uint8_t *bytes = (uint8_t *)xsave->region;
	uint32_t mxcsr = MXCSR_DEFAULT;
	uint16_t fcw = FCW_DEFAULT;
	uint64_t bv = XSTATE_FP_SSE;
	uint32_t mask;

	memcpy(&mask, bytes + FX_MXCSR_MASK, sizeof(mask));
	memset(xsave, 0, sizeof(*xsave));
	memcpy(bytes + FX_FCW, &fcw, sizeof(fcw));
	memcpy(bytes + FX_MXCSR, &mxcsr, sizeof(mxcsr));
	memcpy(bytes + FX_MXCSR_MASK, &mask, sizeof(mask));
	memcpy(bytes + XSAVE_HEADER, &bv, sizeof(bv));
}

static void enter_handler(struct mf_process *process, const struct mf_sigaction *action, int signo,
			  uint64_t frame)
{
	const struct kvm_sregs *sregs = &process->vm.kvm.run->s.regs.sregs;
	struct kvm_regs regs = *mf_vm_regs(&process->vm);

	regs.rdi = (uint64_t)signo;
	regs.rsi = frame + offsetof(struct frame, info);
	regs.rdx = frame + offsetof(struct frame, flags);
	regs.rax = 0;
	regs.rsp = frame;
	/* Linux goes there and faults; so does this, at an address that no program has. */
	regs.rip = action->handler < CANONICAL_END ? action->handler : 0;
	regs.rflags = ((regs.rflags & MF_RFLAGS_RING_3) | MF_RFLAGS_USER) & ~FLAGS_CLEARED;
	mf_vm_load_user(&process->vm, &regs, sregs->fs.base, sregs->gs.base);
}

static int write_frame(struct mf_process *process, const struct place *place,
		       const struct frame *frame, const struct kvm_xsave *xsave)
{
	uint8_t bytes[sizeof(struct kvm_xsave) + 1024] = {0};
	size_t gap = place->fpstate - place->frame;
	size_t size = gap + place->xstate_bytes + sizeof(uint32_t);

	memcpy(bytes, frame, sizeof(*frame));
	fill_xstate(process, bytes + gap, xsave, place->xstate_bytes);
	return mf_guest_write(process, place->frame, bytes, size);
}

int mf_signal_frame(struct mf_process *process, const struct mf_sigaction *action,
		    const struct mf_siginfo *info, uint64_t mask)
{
	struct frame frame = {
		.pretcode = action->restorer,
		.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.stack = altstack_of(mf_thread(process)),
		.mask = mask,
	};
	struct kvm_xsave xsave;
	struct place place;
	int ret;

	if (!(action->flags & RESTORER) || !place_frame(process, action, &place))
		return -EFAULT;
	if (action->flags & SA_SIGINFO)
		frame.info = *info;
	ret = mf_kvm_vm_get_xsave(&process->vm.kvm, &xsave);
	if (ret)
		return ret;
	fill_context(process, &frame.context, mask);
	frame.context.fpstate = place.fpstate;
	ret = write_frame(process, &place, &frame, &xsave);
	if (ret)
		return ret;
	initial_xstate(&xsave);
	ret = mf_kvm_vm_set_xsave(&process->vm.kvm, &xsave);
	if (ret)
		return ret;
	enter_handler(process, action, info->signo, place.frame);
	if (mf_thread(process)->altstack_flags & SS_AUTODISARM) {
		MF_THREAD_DIRTY(process, altstack_sp) = 0;
		MF_THREAD_DIRTY(process, altstack_size) = 0;
		MF_THREAD_DIRTY(process, altstack_flags) = SS_DISABLE;
	}
	return 0;
}

/* Is it a whole XSAVE area of ours? Otherwise its legacy part alone counts. */
static bool is_whole(const struct mf_process *process, uint64_t va, const uint8_t *legacy,
		     uint32_t bytes, struct sw_reserved *marks)
{
	uint32_t magic2;

	memcpy(marks, legacy + FX_SW_RESERVED, sizeof(*marks));
	return marks->magic1 == MAGIC1 && marks->xstate_bytes >= XSAVE_MIN &&
	       marks->xstate_bytes <= bytes && marks->xstate_bytes <= marks->extended_bytes &&
	       !mf_pt_read(&process->vm.mem, MF_GVA(va + marks->xstate_bytes), &magic2,
			   sizeof(magic2)) &&
	       magic2 == MAGIC2;
}

/* What XRSTOR checks (Intel SDM vol. 1, 13.8.1); the rest of the header is nobody's. */
static bool check_header(struct xsave_header *header, uint64_t xcr0)
{
	bool good = !header->xcomp_bv && !header->reserved[0] && !(header->xstate_bv & ~xcr0);

	memset(header->reserved, 0, sizeof(header->reserved));
	return good;
}

/* What the frame says of the vector registers, made fit for the CPU. -EFAULT where XRSTOR would
 * refuse it. `xsave`: the CPU's own, replaced. */
static int read_xstate(struct mf_process *process, uint64_t va, struct kvm_xsave *xsave)
{
	const struct mf_mem *mem = &process->vm.mem;
	uint64_t xcr0 = process->vm.kvm.kvm->traits.xcr0;
	uint8_t *bytes = (uint8_t *)xsave->region;
	struct xsave_header header = {.xstate_bv = XSTATE_FP_SSE};
	struct sw_reserved marks;
	uint32_t mask, mxcsr;

	memcpy(&mask, bytes + FX_MXCSR_MASK, sizeof(mask));
	memset(xsave, 0, sizeof(*xsave));
	if (va & 63 || mf_pt_read(mem, MF_GVA(va), bytes, FX_BYTES))
		return -EFAULT;
	if (is_whole(process, va, bytes, xstate_bytes(process->vm.kvm.kvm), &marks)) {
		if (mf_pt_read(mem, MF_GVA(va), bytes, marks.xstate_bytes))
			return -EFAULT;
		memcpy(&header, bytes + XSAVE_HEADER, sizeof(header));
		if (!check_header(&header, xcr0))
			return -EFAULT;
		header.xstate_bv &= marks.components;
	}
	memset(bytes + FX_SW_RESERVED, 0, sizeof(marks));
	memcpy(&mxcsr, bytes + FX_MXCSR, sizeof(mxcsr));
	memcpy(bytes + FX_MXCSR_MASK, &mask, sizeof(mask));
	memcpy(bytes + XSAVE_HEADER, &header, sizeof(header));
	return mxcsr & ~(mask ? mask : 0xffbfu) ? -EFAULT : 0;
}

static int restore_xstate(struct mf_process *process, uint64_t va)
{
	struct kvm_xsave xsave;
	int ret = mf_kvm_vm_get_xsave(&process->vm.kvm, &xsave);

	if (ret)
		return ret;
	if (va)
		ret = read_xstate(process, va, &xsave);
	else
		initial_xstate(&xsave);
	return ret ? ret : mf_kvm_vm_set_xsave(&process->vm.kvm, &xsave);
}

static void load_context(struct mf_process *process, const struct context *from)
{
	const struct kvm_sregs *sregs = &process->vm.kvm.run->s.regs.sregs;
	uint64_t flags = mf_vm_regs(&process->vm)->rflags;
	struct kvm_regs regs = {
		.r8 = from->r8,
		.r9 = from->r9,
		.r10 = from->r10,
		.r11 = from->r11,
		.r12 = from->r12,
		.r13 = from->r13,
		.r14 = from->r14,
		.r15 = from->r15,
		.rdi = from->rdi,
		.rsi = from->rsi,
		.rbp = from->rbp,
		.rbx = from->rbx,
		.rdx = from->rdx,
		.rax = from->rax,
		.rcx = from->rcx,
		.rsp = from->rsp,
		.rip = from->rip,
		.rflags = ((flags & ~FLAGS_RESTORED) & MF_RFLAGS_RING_3) |
			  (from->rflags & FLAGS_RESTORED) | MF_RFLAGS_USER,
	};

	mf_vm_load_user(&process->vm, &regs, sregs->fs.base, sregs->gs.base);
}

/* Segments that IRET would take, and an address that can be one. */
static bool can_go_there(const struct frame *frame)
{
	const struct context *context = &frame->context;

	if ((context->cs | 3) != USER_CS || context->rip >= CANONICAL_END)
		return false;
	return !(frame->flags & UC_STRICT_RESTORE_SS) || (context->ss | 3) == USER_SS;
}

/* The vCPU may now hold what no ring 3 can have: it is in front of a handler before it is entered.
 */
static int64_t refuse(struct mf_process *process, const struct frame *frame)
{
	struct mf_siginfo info = {.signo = SIGSEGV, .code = SI_KERNEL};

	if (frame && frame->context.rip >= -CANONICAL_END) {
		info.code = SEGV_MAPERR;
		info.address = frame->context.rip;
	}
	return mf_signal_force(process, &info) == MF_SYS_EXIT ? MF_SYS_EXIT : MF_SYS_LOADED;
}

int64_t mf_sys_rt_sigreturn(struct mf_process *process, const uint64_t arg[6])
{
	uint64_t at = mf_vm_regs(&process->vm)->rsp - sizeof(uint64_t);
	struct frame frame;

	if (!mf_vm_settle(&process->vm))
		return -EFAULT; /* a call is always settled */
	if (mf_pt_read(&process->vm.mem, MF_GVA(at), &frame, sizeof(frame)))
		return refuse(process, NULL);
	mf_signal_set_mask(process, frame.mask);
	load_context(process, &frame.context);
	if (restore_xstate(process, frame.context.fpstate) || !can_go_there(&frame))
		return refuse(process, &frame);
	mf_signal_set_altstack(process, &frame.stack);
	return MF_SYS_LOADED;
}
