/* SPDX-License-Identifier: MIT */
/* Loading a program: segments, heap, stack, auxiliary vector. System V psABI x86-64, 3.4. */
#include "engine/image/elf.h"
#include "engine/image/guest.h"
#include "engine/image/layout.h"
#include "engine/linux/memory.h"
#include "engine/linux/syscall.h"

#include <mayfly/abi/call.h>
#include <mayfly/abi/ring.h>

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* Tells the SDK that it runs inside Mayfly. */

#define PIE_BASE        0x555555554000ull
#define STACK_TOP       (MF_USER_TOP - MF_PAGE) /* one page of nothing between stack and engine */
#define STACK_BYTES     (8ull << 20)
#define STACK_INITIAL   (128ull << 10)
#define HEAD_ROOM       (16ull << 10) /* of the initial stack, kept free of arguments */
#define CR4_FSGSBASE    (1ull << 16)
#define HWCAP2_FSGSBASE 2u

static uint32_t segment_prot(const struct mf_elf_segment *segment)
{
	return (segment->prot & MF_ELF_R ? PROT_READ : 0) |
	       (segment->prot & MF_ELF_W ? PROT_WRITE : 0) |
	       (segment->prot & MF_ELF_X ? PROT_EXEC : 0);
}

/* Copy into fresh pages whatever their protection. */
static void poke(struct mf_process *process, uint64_t va, const uint8_t *from, size_t bytes)
{
	struct mf_mem *mem = &process->vm.mem;
	struct mf_gpa gpa;

	while (bytes) {
		size_t part = MF_PAGE - (va & (MF_PAGE - 1));

		part = part < bytes ? part : bytes;
		if (mf_pt_lookup(mem, MF_GVA(va), &gpa))
			memcpy(mem->guest + gpa.at, from, part);
		va += part;
		from += part;
		bytes -= part;
	}
}

static int map_segment(struct mf_process *process, const struct mf_exec *exec,
		       const struct mf_elf_segment *segment, uint64_t base)
{
	uint64_t start = (base + segment->vaddr) & ~(uint64_t)(MF_PAGE - 1);
	uint64_t end = (base + segment->vaddr + segment->memsz_bytes + MF_PAGE - 1) &
		       ~(uint64_t)(MF_PAGE - 1);
	uint32_t prot = segment_prot(segment);
	int ret =
		mf_memory_map(process, start, end - start, prot ? prot : PROT_READ, MF_VMA_PROGRAM);

	if (!ret)
		poke(process, base + segment->vaddr, exec->elf + segment->offset,
		     segment->filesz_bytes);
	return ret;
}

static int map_program(struct mf_process *process, const struct mf_exec *exec,
		       const struct mf_elf *elf, uint64_t base, struct mf_error *err)
{
	unsigned int i;

	for (i = 0; i < elf->segment_count; i++)
		if (map_segment(process, exec, &elf->segments[i], base))
			return mf_error_set(
				err, -ENOMEM,
				"%s needs %llu KiB and does not fit into --memory; raise it",
				exec->exec_name, (unsigned long long)elf->load_bytes / 1024);
	MF_DIRTY(process, brk_start) = base + elf->high_vaddr;
	MF_DIRTY(process, brk) = base + elf->high_vaddr;
	return 0;
}

/* Builds the initial stack from the top down in one host buffer. */
struct stack {
	uint8_t bytes[STACK_INITIAL - HEAD_ROOM];
	size_t used; /* from the end */
};

static uint64_t stack_address(const struct stack *stack)
{
	return STACK_TOP - stack->used;
}

static uint64_t push(struct stack *stack, const void *from, size_t bytes)
{
	if (bytes > sizeof(stack->bytes) - stack->used)
		return 0;
	stack->used += bytes;
	memcpy(stack->bytes + sizeof(stack->bytes) - stack->used, from, bytes);
	return stack_address(stack);
}

static uint64_t push_string(struct stack *stack, const char *text)
{
	return push(stack, text, strlen(text) + 1);
}

#define STRINGS_MAX 1024u

/* Push the strings, note where they lie. -E2BIG. */
static int push_strings(struct stack *stack, char *const *strings, uint64_t *at, size_t *count)
{
	for (*count = 0; strings && strings[*count]; (*count)++) {
		if (*count == STRINGS_MAX)
			return -E2BIG;
		at[*count] = push_string(stack, strings[*count]);
		if (!at[*count])
			return -E2BIG;
	}
	return 0;
}

struct aux {
	uint64_t pairs[2 * 24];
	size_t count;
};

static void aux_add(struct aux *aux, uint64_t type, uint64_t value)
{
	aux->pairs[aux->count++] = type;
	aux->pairs[aux->count++] = value;
}

static bool has_channel(const struct mf_policy *policy)
{
	return policy->windows[0].bytes && policy->windows[0].va == MF_CHANNEL_VA;
}

static void fill_aux(const struct mf_process *process, struct aux *aux, const struct mf_elf *elf,
		     uint64_t base, uint64_t random, uint64_t name)
{
	aux_add(aux, AT_SYSINFO_EHDR, MF_VA_VDSO);
	aux_add(aux, AT_PHDR, elf->phdr_vaddr ? base + elf->phdr_vaddr : 0);
	aux_add(aux, AT_PHENT, elf->phentsize);
	aux_add(aux, AT_PHNUM, elf->phnum);
	aux_add(aux, AT_PAGESZ, MF_PAGE);
	aux_add(aux, AT_BASE, 0);
	aux_add(aux, AT_FLAGS, 0);
	aux_add(aux, AT_ENTRY, base + elf->entry);
	aux_add(aux, AT_UID, getuid());
	aux_add(aux, AT_EUID, getuid());
	aux_add(aux, AT_GID, getgid());
	aux_add(aux, AT_EGID, getgid());
	aux_add(aux, AT_SECURE, 0);
	aux_add(aux, AT_CLKTCK, 100);
	aux_add(aux, AT_RANDOM, random);
	aux_add(aux, AT_EXECFN, name);
	aux_add(aux, AT_HWCAP2,
		process->vm.kvm.kvm->traits.cr4_extra & CR4_FSGSBASE ? HWCAP2_FSGSBASE : 0);
	aux_add(aux, MF_AUX_TYPE,
		MF_AUX_INSIDE | (has_channel(process->policy) ? MF_AUX_CHANNEL : 0));
	aux_add(aux, AT_NULL, 0);
}

static int push_vectors(struct mf_process *process, struct stack *stack, const struct mf_exec *exec,
			const struct mf_elf *elf, uint64_t base)
{
	static const uint64_t zero;
	uint64_t argv[STRINGS_MAX];
	uint64_t envp[STRINGS_MAX];
	size_t argc;
	size_t envc;
	uint64_t random[2];
	uint64_t random_at;
	uint64_t name;
	struct aux aux = {.count = 0};
	uint64_t number;

	name = push_string(stack, exec->exec_name);
	if (!name || push_strings(stack, exec->envp, envp, &envc) ||
	    push_strings(stack, exec->argv, argv, &argc))
		return -E2BIG;
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	random_at = push(stack, random, sizeof(random));
	stack->used = (stack->used + 15) & ~(size_t)15;
	fill_aux(process, &aux, elf, base, random_at, name);
	/* argc, argv, NULL, envp, NULL and the pairs must end on a 16-byte boundary. */
	if ((1 + argc + 1 + envc + 1 + aux.count) % 2)
		push(stack, &zero, 8);
	number = argc;
	if (!push(stack, aux.pairs, aux.count * 8) || !push(stack, &zero, 8) ||
	    !push(stack, envp, envc * 8) || !push(stack, &zero, 8) ||
	    !push(stack, argv, argc * 8) || !push(stack, &number, 8))
		return -E2BIG;
	return 0;
}

static int make_stack(struct mf_process *process, const struct mf_exec *exec,
		      const struct mf_elf *elf, uint64_t base, struct mf_error *err)
{
	static struct stack
		stack; /* too large for a thread's stack; loading is the set-up phase's */
	uint32_t prot = PROT_READ | PROT_WRITE | (elf->stack_exec ? PROT_EXEC : 0);
	struct kvm_regs *regs;

	memset(&stack, 0, sizeof(stack));
	MF_DIRTY(process, stack_end) = STACK_TOP - STACK_BYTES;
	MF_DIRTY(process, stack_low) = STACK_TOP - STACK_INITIAL;
	if (mf_memory_map(process, STACK_TOP - STACK_INITIAL, STACK_INITIAL, prot, MF_VMA_STACK))
		return mf_error_set(err, -ENOMEM, "--memory is too small for a stack; raise it");
	if (push_vectors(process, &stack, exec, elf, base))
		return mf_error_set(err, -E2BIG,
				    "arguments and environment of %s are longer than %zu KiB",
				    exec->exec_name, sizeof(stack.bytes) / 1024);
	poke(process, stack_address(&stack), stack.bytes + sizeof(stack.bytes) - stack.used,
	     stack.used);
	regs = mf_vm_regs_rw(&process->vm);
	regs->rsp = stack_address(&stack);
	regs->rip = base + elf->entry;
	return 0;
}

static int add_windows(struct mf_process *process, struct mf_error *err)
{
	unsigned int i;

	for (i = 0; i < MF_WINDOWS && process->policy->windows[i].bytes; i++) {
		const struct mf_window *window = &process->policy->windows[i];
		struct mf_gpa gpa;
		int ret = mf_memory_add_window(process, window->va, window->bytes);

		if (!ret && window->fd >= 0) {
			mf_pt_lookup(&process->vm.mem, MF_GVA(window->va), &gpa);
			ret = mf_mem_open_window(&process->vm.mem, gpa, window->fd, window->offset);
		}
		if (ret)
			return mf_error_set(err, ret,
					    "cannot map %llu MiB of channels into a VM: %s; raise "
					    "--memory or lower --vms",
					    (unsigned long long)window->bytes >> 20,
					    strerror(-ret));
	}
	return 0;
}

/* Programs end below the stack's lowest page. */
#define USER_END (STACK_TOP - STACK_BYTES)

static uint64_t choose_base(const struct mf_elf *elf)
{
	uint64_t base = (PIE_BASE + elf->align - 1) & ~(elf->align - 1);
	uint64_t room = USER_END - elf->high_vaddr;

	if (elf->type == MF_ELF_FIXED)
		return 0;
	/* A program that is wide goes lower; the parser saw to it that some place is free. */
	return base <= room ? base : room & ~(elf->align - 1);
}

/* The first thread: the one that the program begins as. */
static void first_thread(struct mf_process *process)
{
	MF_DIRTY(process, threads[0]) =
		(struct mf_thread){.tid = MF_GUEST_PID, .state = MF_THREAD_RUNNABLE};
	MF_DIRTY(process, threads_high) = 1;
	MF_DIRTY(process, thread_count) = 1;
}

static int load(struct mf_process *process, const struct mf_exec *exec, const struct mf_elf *elf,
		uint64_t base, struct mf_error *err)
{
	const char *cwd = exec->cwd ? exec->cwd : "/";
	int ret;

	if (strlen(cwd) >= MF_PATH_MAX)
		return mf_error_set(err, -ENAMETOOLONG, "the working directory's name is too long");
	strcpy(MF_DIRTY(process, cwd), cwd);
	MF_DIRTY(process, umask) = 022;
	MF_DIRTY(process, nofile) = MF_FDS;
	first_thread(process);
	mf_fd_init(process);
	ret = map_program(process, exec, elf, base, err);
	if (!ret)
		ret = make_stack(process, exec, elf, base, err);
	/* Room for tables beside heap and mappings, so that a request adds none. */
	if (!ret && (mf_pt_prepare(&process->vm.mem, MF_GVA(mf_linux(process)->brk), 1024) ||
		     mf_pt_prepare(&process->vm.mem,
				   MF_GVA(mf_linux(process)->stack_end - (4ull << 20)), 1024)))
		ret = mf_error_set(err, -ENOMEM, "--memory is too small; raise it");
	return ret ? ret : add_windows(process, err);
}

int mf_process_exec(struct mf_process *process, const struct mf_kvm *kvm,
		    const struct mf_policy *policy, const struct mf_exec *exec,
		    struct mf_error *err)
{
	struct mf_elf_limits limits = {.vaddr_end = USER_END, .load_bytes_max = exec->limit_bytes};
	struct mf_elf elf;
	uint64_t base;
	int ret;

	*process = (struct mf_process){.policy = policy};
	ret = mf_elf_parse(&elf, exec->elf, exec->elf_bytes, &limits, err);
	if (ret)
		return ret;
	base = choose_base(&elf);
	if (base && (base < MF_ELF_VADDR_MIN || base + elf.high_vaddr > USER_END))
		return mf_error_set(err, -ENOEXEC,
				    "%s is too wide for the address space of a program",
				    exec->exec_name);
	ret = mf_vm_create_blank(&process->vm, kvm, exec->limit_bytes, sizeof(struct mf_linux),
				 err);
	if (ret)
		return ret;
	ret = load(process, exec, &elf, base, err);
	if (ret)
		mf_process_finish(process);
	return ret;
}
