/* SPDX-License-Identifier: MIT */
/* The stack that a program begins with. System V psABI x86-64, 3.4; Linux fs/exec.c,
 * fs/binfmt_elf.c. */
#include "engine/image/elf.h"
#include "engine/image/layout.h"
#include "engine/linux/credentials.h"
#include "engine/linux/exec.h"
#include "engine/linux/memory.h"
#include "engine/linux/renew.h"

#include <mayfly/abi/call.h>
#include <mayfly/abi/ring.h>

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define STACK_INITIAL   (128ull << 10)
#define HEAD_ROOM       (16ull << 10) /* of the initial stack, kept free of arguments */
#define STRING_MAX      (128u << 10)  /* Linux' MAX_ARG_STRLEN */
#define STRINGS_MAX     (2ull << 20)  /* a quarter of a usual RLIMIT_STACK */
#define CR4_FSGSBASE    (1ull << 16)
#define HWCAP2_FSGSBASE 2u
/* What a signal frame holds besides the XSAVE area: arch/x86/kernel/signal.c, get_sigframe_size. */
#define SIGFRAME_FIXED 560u
#define PLATFORM       "x86_64"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

struct strings {
	char *const *list; /* may be NULL */
	size_t count;
	size_t bytes; /* with their NULs */
	uint64_t at;  /* where the first one lies; each follows the one before */
};

/* The stack in one host buffer, filled from its end. */
struct stack {
	uint8_t *bytes;
	size_t size;
	size_t used;
	uint64_t top;
};

struct aux {
	uint64_t pairs[MF_AUX_WORDS];
	size_t count;
};

static uint64_t push(struct stack *stack, const void *from, size_t bytes)
{
	stack->used += bytes;
	memcpy(stack->bytes + stack->size - stack->used, from, bytes);
	return stack->top - stack->used;
}

static void align(struct stack *stack, size_t bytes)
{
	stack->used = (stack->used + bytes - 1) & ~(bytes - 1);
}

/* -E2BIG: one of them is longer than Linux takes. */
static int measure(struct strings *strings)
{
	for (; strings->list && strings->list[strings->count]; strings->count++) {
		size_t bytes = strlen(strings->list[strings->count]) + 1;

		strings->bytes += bytes;
		if (bytes > STRING_MAX || strings->bytes > STRINGS_MAX)
			return -E2BIG;
	}
	return 0;
}

static void push_strings(struct stack *stack, struct strings *strings)
{
	size_t i;

	for (i = strings->count; i-- > 0;)
		push(stack, strings->list[i], strlen(strings->list[i]) + 1);
	strings->at = stack->top - stack->used;
}

/* The NULL-ended list of where they lie. */
static void push_list(struct stack *stack, const struct strings *strings)
{
	uint64_t at = strings->at + strings->bytes;
	static const uint64_t zero;
	size_t i;

	push(stack, &zero, sizeof(zero));
	for (i = strings->count; i-- > 0;) {
		at -= strlen(strings->list[i]) + 1;
		push(stack, &at, sizeof(at));
	}
}

static void aux_add(struct aux *aux, uint64_t type, uint64_t value)
{
	aux->pairs[aux->count++] = type;
	aux->pairs[aux->count++] = value;
}

static bool has_channel(const struct mf_policy *policy)
{
	return policy->windows[0].bytes && policy->windows[0].va == MF_CHANNEL_VA;
}

static void aux_machine(const struct mf_process *process, struct aux *aux)
{
	const struct mf_kvm *kvm = process->vm.kvm.kvm;

	aux_add(aux, AT_SYSINFO_EHDR, MF_VA_VDSO);
	aux_add(aux, AT_MINSIGSTKSZ, (SIGFRAME_FIXED + mf_kvm_xsave_bytes(kvm) + 15) & ~15u);
	aux_add(aux, AT_HWCAP, mf_kvm_cpuid_1_edx(kvm));
	aux_add(aux, AT_PAGESZ, MF_PAGE);
	aux_add(aux, AT_CLKTCK, 100);
}

static void aux_program(const struct mf_process *process, struct aux *aux, const struct mf_elf *elf,
			const struct mf_exec_places *places)
{
	aux_add(aux, AT_PHDR, elf->phdr_vaddr ? places->base + elf->phdr_vaddr : 0);
	aux_add(aux, AT_PHENT, elf->phentsize);
	aux_add(aux, AT_PHNUM, elf->phnum);
	aux_add(aux, AT_BASE, places->interp_base);
	aux_add(aux, AT_FLAGS, 0);
	aux_add(aux, AT_ENTRY, places->base + elf->entry);
	aux_add(aux, AT_UID, mf_uid(process));
	aux_add(aux, AT_EUID, mf_uid(process));
	aux_add(aux, AT_GID, mf_gid(process));
	aux_add(aux, AT_EGID, mf_gid(process));
	aux_add(aux, AT_SECURE, 0);
}

static void aux_rest(const struct mf_process *process, struct aux *aux, uint64_t name,
		     uint64_t platform)
{
	bool fsgsbase = process->vm.kvm.kvm->traits.cr4_extra & CR4_FSGSBASE;

	aux_add(aux, AT_RANDOM, mf_linux(process)->random_at);
	aux_add(aux, MF_AUX_GENERATION,
		mf_linux(process)->random_at + offsetof(struct mf_renewed, generation));
	aux_add(aux, AT_HWCAP2, fsgsbase ? HWCAP2_FSGSBASE : 0);
	aux_add(aux, AT_EXECFN, name);
	aux_add(aux, AT_PLATFORM, platform);
	aux_add(aux, MF_AUX_TYPE,
		MF_AUX_INSIDE | (has_channel(process->policy) ? MF_AUX_CHANNEL : 0));
	aux_add(aux, AT_NULL, 0);
}

/* What /proc/self tells of this: see struct mf_linux. */
static void remember(struct mf_process *process, const struct strings *args,
		     const struct strings *envs, const struct aux *aux)
{
	MF_DIRTY(process, arg_start) = args->at;
	MF_DIRTY(process, arg_end) = args->at + args->bytes;
	MF_DIRTY(process, env_start) = envs->at;
	MF_DIRTY(process, env_end) = envs->at + envs->bytes;
	memcpy(MF_DIRTY(process, auxv), aux->pairs, aux->count * sizeof(aux->pairs[0]));
}

/* From the top: name, environment, arguments, platform, random bytes; the vectors; their count. */
static int fill(struct mf_process *process, struct stack *stack, const struct mf_exec *exec,
		struct strings *args, struct strings *envs, const struct mf_elf *elf,
		const struct mf_exec_places *places)
{
	static const uint64_t zero;
	struct mf_renewed renewed = {.generation = 0};
	uint64_t name;
	uint64_t platform;
	uint64_t argc = args->count;
	struct aux aux = {.count = 0};

	if (getrandom(renewed.random, sizeof(renewed.random), 0) != sizeof(renewed.random))
		return -EIO;
	push(stack, &zero, sizeof(zero));
	name = push(stack, exec->exec_name, strlen(exec->exec_name) + 1);
	push_strings(stack, envs);
	push_strings(stack, args);
	align(stack, 16);
	platform = push(stack, PLATFORM, sizeof(PLATFORM));
	align(stack, MF_RENEWED_ALIGN);
	MF_DIRTY(process, random_at) = push(stack, &renewed, sizeof(renewed));
	aux_machine(process, &aux);
	aux_program(process, &aux, elf, places);
	aux_rest(process, &aux, name, platform);
	/* argc, argv, NULL, envp, NULL and the pairs must end on a 16-byte boundary. */
	if ((1 + args->count + 1 + envs->count + 1) % 2)
		push(stack, &zero, sizeof(zero));
	push(stack, aux.pairs, aux.count * sizeof(aux.pairs[0]));
	push_list(stack, envs);
	push_list(stack, args);
	push(stack, &argc, sizeof(argc));
	remember(process, args, envs, &aux);
	return 0;
}

static int map_stack(struct mf_process *process, const struct stack *stack,
		     const struct mf_elf *elf, struct mf_error *err)
{
	uint32_t prot = PROT_READ | PROT_WRITE | (elf->stack_exec ? PROT_EXEC : 0);
	uint64_t bytes = (stack->used + HEAD_ROOM + MF_PAGE - 1) & ~(uint64_t)(MF_PAGE - 1);

	bytes = bytes < STACK_INITIAL ? STACK_INITIAL : bytes;
	MF_DIRTY(process, stack_end) = stack->top - MF_STACK_RESERVE;
	MF_DIRTY(process, stack_low) = stack->top - bytes;
	if (mf_memory_map(process, stack->top - bytes, bytes, prot, MF_VMA_STACK))
		return mf_error_set(err, -ENOMEM, "--memory is too small for a stack; raise it");
	mf_exec_poke(process, stack->top - stack->used, stack->bytes + stack->size - stack->used,
		     stack->used);
	mf_vm_regs_rw(&process->vm)->rsp = stack->top - stack->used;
	return 0;
}

int mf_exec_stack(struct mf_process *process, const struct mf_exec *exec, const struct mf_elf *elf,
		  const struct mf_exec_places *places, uint64_t top, struct mf_error *err)
{
	struct strings args = {.list = exec->argv};
	struct strings envs = {.list = exec->envp};
	struct stack stack = {.top = top};
	int ret;

	if (measure(&args) || measure(&envs) ||
	    args.bytes + envs.bytes + strlen(exec->exec_name) + 1 + 8 * (args.count + envs.count) >
		    STRINGS_MAX)
		return mf_error_set(err, -E2BIG,
				    "arguments and environment of %s are longer than Linux takes: "
				    "%llu KiB in all, %u KiB each; pass fewer, or less of the "
				    "environment",
				    exec->exec_name, STRINGS_MAX / 1024, STRING_MAX / 1024);
	stack.size = STRINGS_MAX + MF_PAGE;
	stack.bytes = calloc(1, stack.size);
	if (!stack.bytes)
		return mf_error_set(err, -ENOMEM, "not enough memory for a stack");
	ret = fill(process, &stack, exec, &args, &envs, elf, places);
	if (ret)
		mf_error_set(err, ret, "the host gives no random bytes");
	else
		ret = map_stack(process, &stack, elf, err);
	free(stack.bytes);
	return ret;
}
