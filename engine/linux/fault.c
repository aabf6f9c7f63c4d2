/* SPDX-License-Identifier: MIT */
/* Exceptions of ring 3 as signals (arch/x86/kernel/traps.c, arch/x86/mm/fault.c). */
#include "engine/image/guest.h"
#include "engine/image/layout.h"
#include "engine/linux/signal.h"
#include "engine/mem/pt.h"

#include <signal.h>
#include <string.h>

/* Exceptions, Intel SDM vol. 3, 6.3.1. */
enum vector {
	VECTOR_DE = 0,
	VECTOR_DB = 1,
	VECTOR_BP = 3,
	VECTOR_UD = 6,
	VECTOR_NP = 11,
	VECTOR_SS = 12,
	VECTOR_PF = 14,
	VECTOR_MF = 16,
	VECTOR_AC = 17,
	VECTOR_XM = 19,
};

#define PF_PRESENT 1u /* error code of #PF */

/* FXSAVE area: vol. 1, table 10-2. */
#define FX_FCW   0
#define FX_MXCSR 24

static int signal_of(unsigned int vector)
{
	switch (vector) {
	case VECTOR_DE:
	case VECTOR_MF:
	case VECTOR_XM:
		return SIGFPE;
	case VECTOR_DB:
	case VECTOR_BP:
		return SIGTRAP;
	case VECTOR_UD:
		return SIGILL;
	case VECTOR_NP:
	case VECTOR_SS:
	case VECTOR_AC:
		return SIGBUS;
	default:
		return SIGSEGV;
	}
}

/* Which of the unmasked exceptions it was (arch/x86/kernel/fpu/core.c, fpu__exception_code). */
static int fpe_code(unsigned int status)
{
	if (status & 0x01)
		return FPE_FLTINV;
	if (status & 0x04)
		return FPE_FLTDIV;
	if (status & 0x08)
		return FPE_FLTOVF;
	if (status & 0x12)
		return FPE_FLTUND;
	return status & 0x20 ? FPE_FLTRES : 0;
}

static int float_code(struct mf_process *process, unsigned int vector)
{
	struct kvm_xsave xsave;
	uint16_t control[2];
	uint32_t mxcsr;

	if (mf_kvm_vm_get_xsave(&process->vm.kvm, &xsave))
		return 0;
	memcpy(control, (const uint8_t *)xsave.region + FX_FCW, sizeof(control));
	memcpy(&mxcsr, (const uint8_t *)xsave.region + FX_MXCSR, sizeof(mxcsr));
	if (vector == VECTOR_MF)
		return fpe_code(control[1] & ~(unsigned int)control[0]);
	return fpe_code(mxcsr & ~(mxcsr >> 7));
}

/* What is told of it besides the number; SI_KERNEL where Linux says no more. */
static void describe(struct mf_process *process, const struct mf_vm_exit *fault,
		     enum mf_touch touch, struct mf_siginfo *info)
{
	info->signo = signal_of(fault->vector);
	info->code = SI_KERNEL;
	switch (fault->vector) {
	case VECTOR_DE:
		info->code = FPE_INTDIV;
		info->address = fault->rip;
		break;
	case VECTOR_DB:
		info->code = TRAP_TRACE;
		info->address = fault->rip;
		break;
	case VECTOR_UD:
		info->code = ILL_ILLOPN;
		info->address = fault->rip;
		break;
	case VECTOR_PF:
		info->code = touch == MF_TOUCH_DENIED ? SEGV_ACCERR : SEGV_MAPERR;
		if (touch == MF_TOUCH_BEYOND) {
			info->signo = SIGBUS;
			info->code = BUS_ADRERR;
		}
		info->address = fault->address;
		break;
	case VECTOR_AC:
		info->code = BUS_ADRALN;
		break;
	case VECTOR_MF:
	case VECTOR_XM:
		info->code = float_code(process, fault->vector);
		info->address = fault->rip;
		break;
	}
}

/*
 * A system call and the instruction behind it are one step, as on Linux. Software KVM steps through
 * the entry stub; on both families there is a step between the stub and the program.
 */
static bool is_step_of_stub(const struct mf_process *process, uint64_t rip)
{
	static const uint8_t syscall[2] = {0x0f, 0x05};
	uint8_t code[sizeof(syscall)];

	return rip - MF_VA_ENTRY < MF_PAGE || mf_guest_in_fast(rip) ||
	       (!mf_pt_read(&process->vm.mem, MF_GVA(rip - sizeof(code)), code, sizeof(code)) &&
		!memcmp(code, syscall, sizeof(code)));
}

int64_t mf_signal_fault(struct mf_process *process, const struct mf_vm_exit *fault,
			enum mf_touch touch)
{
	struct mf_siginfo info = {0};

	if (fault->vector == VECTOR_DB && is_step_of_stub(process, fault->rip))
		return 0;
	describe(process, fault, touch, &info);
	MF_THREAD_DIRTY(process, fault_vector) = fault->vector;
	MF_THREAD_DIRTY(process, fault_error) = fault->error_code;
	if (fault->vector == VECTOR_PF) {
		MF_THREAD_DIRTY(process, fault_address) = fault->address;
		/* Nobody is to learn what is mapped up there (set_signal_archinfo). */
		if (fault->address >= MF_USER_TOP)
			MF_THREAD_DIRTY(process, fault_error) |= PF_PRESENT;
	}
	return mf_signal_force(process, &info);
}
