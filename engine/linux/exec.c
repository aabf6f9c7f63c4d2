/* SPDX-License-Identifier: MIT */
/* Loading a program: segments of it and of its interpreter, heap, windows. */
#include "engine/image/elf.h"
#include "engine/image/guest.h"
#include "engine/image/layout.h"
#include "engine/linux/credentials.h"
#include "engine/linux/exec.h"
#include "engine/linux/fd.h"
#include "engine/linux/filemap.h"
#include "engine/linux/memory.h"
#include "engine/linux/permit.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"
#include "engine/linux/thread.h"
#include "engine/linux/rlimit.h"
#include "engine/linux/vma.h"

#include <mayfly/abi/call.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define PIE_BASE  0x555555554000ull
#define STACK_TOP (MF_USER_TOP - MF_PAGE) /* one page of nothing between stack and engine */
/* Programs end below the stack's lowest page. */
#define USER_END (STACK_TOP - MF_STACK_RESERVE)

/* A file on its way into memory. */
struct part {
	const char *name;
	const uint8_t *bytes;
	size_t size;
	struct mf_elf elf;
	uint64_t base;
	int fd;        /* 0: all of it is copied */
	uint16_t file; /* its description + 1, while its segments are mapped */
};

static uint32_t segment_prot(const struct mf_elf_segment *segment)
{
	return (segment->prot & MF_ELF_R ? PROT_READ : 0) |
	       (segment->prot & MF_ELF_W ? PROT_WRITE : 0) |
	       (segment->prot & MF_ELF_X ? PROT_EXEC : 0);
}

void mf_exec_poke(struct mf_process *process, uint64_t va, const void *from, size_t bytes)
{
	struct mf_mem *mem = &process->vm.mem;
	const uint8_t *at = from;
	struct mf_gpa gpa;

	while (bytes) {
		size_t piece = MF_PAGE - (va & (MF_PAGE - 1));

		piece = piece < bytes ? piece : bytes;
		if (mf_pt_lookup(mem, MF_GVA(va), &gpa))
			memcpy(mem->guest + gpa.at, at, piece);
		va += piece;
		at += piece;
		bytes -= piece;
	}
}

/*
 * Linux maps whole pages of the file: what stands before a segment in its first page is there, too,
 * and what follows it in its last one, unless zeroes have to.
 */
static void fill_segment(struct mf_process *process, const struct part *part,
			 const struct mf_elf_segment *segment)
{
	uint64_t before = segment->offset & (MF_PAGE - 1);
	uint64_t end = segment->offset + segment->filesz_bytes;

	if (!segment->filesz_bytes)
		return;
	if (segment->filesz_bytes == segment->memsz_bytes)
		end = (end + MF_PAGE - 1) & ~(uint64_t)(MF_PAGE - 1);
	if (end > part->size)
		end = part->size;
	mf_exec_poke(process, part->base + segment->vaddr - before,
		     part->bytes + segment->offset - before, end - (segment->offset - before));
}

/* A part of the file as it is, and so large that a slot of its own is worth it. */
static bool is_constant(const struct mf_elf_segment *segment)
{
	return !(segment->prot & MF_ELF_W) && segment->filesz_bytes == segment->memsz_bytes &&
	       segment->filesz_bytes >= MF_FILE_ITSELF_BYTES;
}

/* The file's own pages. False: they have to be copied. */
static bool map_itself(struct mf_process *process, const struct part *part,
		       const struct mf_elf_segment *segment)
{
	uint64_t before = segment->offset & (MF_PAGE - 1);
	uint64_t start = part->base + segment->vaddr - before;
	struct mf_vma vma = {.start = start,
			     .end = start + mf_memory_round_up(before + segment->memsz_bytes),
			     .offset = segment->offset - before,
			     .file = part->file,
			     .prot = (uint8_t)segment_prot(segment),
			     .flags = MF_VMA_IS_PROGRAM};

	return part->file && vma.prot && is_constant(segment) && !mf_filemap_itself(process, vma);
}

static int map_segment(struct mf_process *process, const struct part *part,
		       const struct mf_elf_segment *segment)
{
	uint64_t start = (part->base + segment->vaddr) & ~(uint64_t)(MF_PAGE - 1);
	uint64_t end = (part->base + segment->vaddr + segment->memsz_bytes + MF_PAGE - 1) &
		       ~(uint64_t)(MF_PAGE - 1);
	uint32_t prot = segment_prot(segment);
	int ret;

	if (map_itself(process, part, segment))
		return 0;
	ret = mf_memory_map(process, start, end - start, prot ? prot : PROT_READ, MF_VMA_PROGRAM);
	if (!ret)
		fill_segment(process, part, segment);
	return ret;
}

static int map_segments(struct mf_process *process, const struct part *part, struct mf_error *err)
{
	unsigned int i;

	for (i = 0; i < part->elf.segment_count; i++)
		if (map_segment(process, part, &part->elf.segments[i]))
			return mf_error_set(
				err, -ENOMEM,
				"%s needs %llu KiB and does not fit into --memory; raise it",
				part->name, (unsigned long long)part->elf.load_bytes / 1024);
	return 0;
}

/* While its segments are mapped, the program's file is one of its descriptors. */
static int map_part(struct mf_process *process, struct part *part, struct mf_error *err)
{
	int64_t fd = -1;
	int ret;

	if (part->fd)
		fd = mf_fd_install_host(process, fcntl(part->fd, F_DUPFD_CLOEXEC, 3), O_RDONLY,
					part->name);
	if (fd >= 0)
		part->file = (uint16_t)(mf_fd_index(process, mf_fd_get(process, (uint64_t)fd)) + 1);
	ret = map_segments(process, part, err);
	if (fd >= 0)
		mf_fd_close(process, (uint64_t)fd);
	return ret;
}

static int add_windows(struct mf_process *process, struct mf_error *err)
{
	unsigned int i;

	for (i = 0; i < MF_WINDOWS && process->policy->windows[i].bytes; i++) {
		const struct mf_window *window = &process->policy->windows[i];
		struct mf_gpa gpa;
		int ret = mf_memory_add_window(process, window->va, window->bytes, window->view);

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

static int too_wide(const struct part *part, struct mf_error *err)
{
	return mf_error_set(err, -ENOEXEC, "%s is too wide for the address space of a program",
			    part->name);
}

static int place_program(struct part *part, struct mf_error *err)
{
	const struct mf_elf *elf = &part->elf;
	uint64_t base = (PIE_BASE + elf->align - 1) & ~(elf->align - 1);
	uint64_t room = USER_END - elf->high_vaddr;

	if (elf->type == MF_ELF_FIXED)
		return 0;
	/* A program that is wide goes lower; the parser saw to it that some place is free. */
	part->base = base <= room ? base : room & ~(elf->align - 1);
	if (part->base < MF_ELF_VADDR_MIN || part->base + elf->high_vaddr > USER_END)
		return too_wide(part, err);
	return 0;
}

/* Where a library would go. */
static int place_interp(const struct mf_process *process, struct part *part, struct mf_error *err)
{
	const struct mf_elf *elf = &part->elf;
	uint64_t span = elf->high_vaddr - elf->low_vaddr + elf->align - MF_PAGE;
	uint64_t at;

	if (elf->type == MF_ELF_FIXED)
		return mf_error_set(err, -ENOEXEC, "%s cannot be moved", part->name);
	at = mf_vma_gap(process, span);
	if (!at)
		return too_wide(part, err);
	part->base = ((at + elf->align - 1) & ~(elf->align - 1)) - elf->low_vaddr;
	if (part->base % elf->align)
		return too_wide(part, err);
	return 0;
}

static const char *exe_of(const struct mf_exec *exec)
{
	return exec->exe ? exec->exe : exec->exec_name;
}

static int set_names(struct mf_process *process, const struct mf_exec *exec, struct mf_error *err)
{
	const char *cwd = exec->cwd ? exec->cwd : "/";
	const char *exe = exe_of(exec);

	if (strlen(cwd) >= MF_PATH_MAX)
		return mf_error_set(err, -ENAMETOOLONG, "the working directory's name is too long");
	if (strlen(exe) >= MF_PATH_MAX)
		return mf_error_set(err, -ENAMETOOLONG, "the program's name is too long");
	strcpy(MF_DIRTY(process, cwd), cwd);
	strcpy(MF_DIRTY(process, exe), exe);
	return 0;
}

/* Program and interpreter, the break behind the program, the stack. */
static int map_parts(struct mf_process *process, const struct mf_exec *exec, struct part *program,
		     struct part *interp, struct mf_error *err)
{
	struct mf_exec_places places = {.base = program->base,
					.entry = program->base + program->elf.entry};
	int ret = map_part(process, program, err);

	if (ret)
		return ret;
	MF_DIRTY(process, brk_start) = program->base + program->elf.high_vaddr;
	MF_DIRTY(process, brk) = program->base + program->elf.high_vaddr;
	MF_DIRTY(process, stack_end) = USER_END;
	if (interp->bytes) {
		ret = place_interp(process, interp, err);
		if (!ret)
			ret = map_part(process, interp, err);
		places.interp_base = interp->base;
		places.entry = interp->base + interp->elf.entry;
	}
	if (!ret)
		ret = mf_exec_stack(process, exec, &program->elf, &places, STACK_TOP, err);
	mf_vm_regs_rw(&process->vm)->rip = places.entry;
	return ret;
}

static void ignore_signals(struct mf_process *process)
{
	int signo;

	for (signo = 1; signo < (int)MF_SIGNALS; signo++)
		if (process->policy->ignored & MF_SIGBIT(signo))
			MF_DIRTY(process, sigactions[signo].handler) = MF_SIG_IGN;
}

static int load(struct mf_process *process, const struct mf_exec *exec, struct part *program,
		struct part *interp, struct mf_error *err)
{
	int ret = set_names(process, exec, err);

	if (ret)
		return ret;
	mf_ids_begin(process);
	MF_DIRTY(process, umask) = process->policy->umask ? process->policy->umask - 1 : 022;
	mf_limit_init(process);
	ignore_signals(process);
	mf_thread_first(process, exec->exec_name);
	mf_fd_init(process);
	ret = map_parts(process, exec, program, interp, err);
	return ret ? ret : add_windows(process, err);
}

static int parse(struct part *part, const struct mf_exec *exec, struct mf_error *err)
{
	/* What is mapped takes none of the program's memory; whether the rest fits will be seen. */
	struct mf_elf_limits limits = {.vaddr_end = USER_END,
				       .load_bytes_max =
					       exec->limit_bytes + (part->fd ? part->size : 0)};

	return mf_elf_parse(&part->elf, part->bytes, part->size, &limits, err);
}

/* An interpreter's own interpreter is not looked at, as with Linux. */
static int parse_parts(const struct mf_exec *exec, struct part *program, struct part *interp,
		       struct mf_error *err)
{
	int ret = parse(program, exec, err);

	if (!ret)
		ret = place_program(program, err);
	if (ret)
		return ret;
	if (!program->elf.interp_bytes)
		interp->bytes = NULL;
	else if (!interp->bytes)
		return mf_error_set(err, -ENOTSUP,
				    "%s is a dynamic program, and those cannot be loaded here; "
				    "link it with -static",
				    program->name);
	else
		ret = parse(interp, exec, err);
	return ret;
}

/* Not of a file that the program itself could write to; and what an image is made of must stay as
 * it is, whatever becomes of the file. */
static bool may_be_mapped(const struct mf_policy *policy, const struct mf_exec *exec)
{
	return exec->plain &&
	       !(policy->permit && mf_permit_allows(policy->permit, exe_of(exec), MF_PERMIT_WRITE));
}

int mf_process_exec(struct mf_process *process, const struct mf_kvm *kvm,
		    const struct mf_policy *policy, const struct mf_exec *exec,
		    struct mf_error *err)
{
	struct part program = {.name = exec->exec_name,
			       .bytes = exec->elf,
			       .size = exec->elf_bytes,
			       .fd = may_be_mapped(policy, exec) ? exec->elf_fd : 0};
	struct part interp = {
		.name = "its interpreter", .bytes = exec->interp, .size = exec->interp_bytes};
	int ret;

	*process = (struct mf_process){.policy = policy};
	ret = parse_parts(exec, &program, &interp, err);
	if (ret)
		return ret;
	ret = mf_vm_create_blank(&process->vm, kvm, exec->plain, exec->limit_bytes,
				 sizeof(struct mf_linux), err);
	if (ret)
		return ret;
	process->vm.mem.touch = mf_memory_touch_mem;
	ret = load(process, exec, &program, &interp, err);
	if (ret)
		mf_process_finish(process);
	return ret;
}
