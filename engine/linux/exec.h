/* SPDX-License-Identifier: MIT */
/*
 * Loading a program, in two steps. mf_exec_open finds the files: the program by its name, through
 * `#!` lines to the interpreter of a script, and the ELF interpreter (PT_INTERP) of a dynamic
 * program; it belongs to the set-up phase, before the engine is confined. mf_process_exec puts what
 * was read into a blank VM; it opens nothing and may be repeated.
 */
#ifndef MF_ENGINE_LINUX_EXEC_H
#define MF_ENGINE_LINUX_EXEC_H

#include "engine/linux/process.h"

#define MF_EXEC_SCRIPTS 5u /* scripts that may be each other's interpreters, as with Linux */

struct mf_exec_file {
	char *path; /* owned, absolute; NULL: there is no such file */
	char *real; /* owned: without links, as /proc/self/exe has it; of a volume's file, `path` */
	uint8_t *bytes; /* owned: the whole of it; read within mf_exec_file_guard() */
	size_t size;
	int fd; /* owned, for reading; 0: it is small, and `bytes` is a copy of it */
};

/* What a command line leads to. */
struct mf_exec_files {
	struct mf_exec_file program;    /* an ELF program */
	struct mf_exec_file interp;     /* its interpreter (ld.so), if it names one */
	char *scripts[MF_EXEC_SCRIPTS]; /* absolute names of the scripts on the way, owned */
	size_t script_count;
	char *name;  /* what was started, absolute: the script, or the program; owned */
	char **argv; /* what the program is to get, NULL-ended; strings and list owned */
};

/*
 * Find and read what `name` means: a path, or a name that is looked for in `search` (a PATH; NULL:
 * none) as a shell does. A relative name is made absolute, because the program may have a working
 * directory of its own. What lies in a volume of `view` (NULL: none) is looked up there, all else
 * on the host. Files must be regular and executable. On success mf_exec_close frees it; on
 * failure nothing is left behind, -errno with a sentence: -ENOENT, -EACCES, -ENOEXEC (neither ELF
 * nor script; or a bad `#!` line), -ELOOP (scripts nested too deep), -ENOMEM.
 */
int mf_exec_open(struct mf_exec_files *files, const char *name, char *const *argv,
		 const char *search, const struct mf_permit *view, struct mf_error *err);
void mf_exec_close(struct mf_exec_files *files); /* a zeroed one is fine */

/* This thread is about to read `bytes` of a file, which is mapped when it is large: should somebody
 * cut it short, they are zero. Holds until the next such call, or mf_mem_guard_files(). */
void mf_exec_file_guard(const struct mf_exec_file *file);

/*
 * Let `*permit` (NULL: an empty one is made, the caller's) allow what the program needs to start:
 * to read its own file and its scripts, and what the dynamic linker loads (mf_permit_start). A
 * static program that is no script needs nothing, and *permit stays as it is. -ENOMEM with a
 * sentence.
 */
int mf_exec_permit(const struct mf_exec_files *files, struct mf_permit **permit,
		   struct mf_error *err);

/* The whole of one file, the caller's to free. -errno with a sentence, *elf is then NULL. */
int mf_exec_read(const char *path, uint8_t **elf, size_t *bytes, struct mf_error *err);

/*
 * Load a program into a blank VM: `elf` is the whole file (guarded by the
 * caller), argv and envp NULL-ended,
 * `exec_name` what AT_EXECFN says. -ENOEXEC and friends with a sentence; nothing is left behind on
 * failure. limit_bytes: guest memory. -E2BIG: arguments and environment are longer than Linux
 * takes. -ENOTSUP: it needs an interpreter and `interp` is NULL.
 */
struct mf_exec {
	const uint8_t *elf;
	size_t elf_bytes;
	int elf_fd; /* the same file: its large constant segments are mapped, not copied. 0: all is
		       copied */
	const uint8_t *interp; /* NULL: none */
	size_t interp_bytes;
	const char *exec_name;
	const char *exe; /* what /proc/self/exe leads to; NULL: exec_name */
	char *const *argv;
	char *const *envp;
	const char *cwd;
	size_t limit_bytes;
	bool plain; /* never frozen: memory may be of huge pages */
};
/* What the files say of it; they must outlive it. environment, directory and limits are the
 * caller's to set. This thread guards the program's file from here on (mf_exec_file_guard). */
struct mf_exec mf_exec_of(const struct mf_exec_files *files);

int mf_process_exec(struct mf_process *process, const struct mf_kvm *kvm,
		    const struct mf_policy *policy, const struct mf_exec *exec,
		    struct mf_error *err);

/* exec_stack.c. Where a program's parts were put. */
struct mf_exec_places {
	uint64_t base;        /* of the program; 0: it is where it was linked for */
	uint64_t interp_base; /* 0: no interpreter */
	uint64_t entry;       /* the first instruction of all */
};

/*
 * Make the stack below `top` with arguments, environment and auxiliary vector (psABI x86-64, 3.4),
 * and set RSP to it. -E2BIG, -ENOMEM, with a sentence.
 */
struct mf_elf;
int mf_exec_stack(struct mf_process *process, const struct mf_exec *exec, const struct mf_elf *elf,
		  const struct mf_exec_places *places, uint64_t top, struct mf_error *err);

/* Copy into fresh pages whatever their protection. */
void mf_exec_poke(struct mf_process *process, uint64_t va, const void *from, size_t bytes);

#endif
