/* SPDX-License-Identifier: MIT */
/*
 * Locks the engine process in before the first guest instruction: no new privileges, resource
 * limits, Landlock (files, TCP) and a seccomp allow-list with KVM ioctls by number. Whatever a
 * guest that broke out of KVM runs, runs in here. Called once, at the end of the set-up phase, by
 * `run` and `serve` alike; it opens nothing for its caller.
 *
 * What a system call meets afterwards:
 *   allowed     memory without PROT_EXEC, threads, signals within the process, clocks, event
 *               loops, reads and writes on descriptors that are open, accepting on sockets that
 *               listen, memfds, the ioctls given here; file calls when a flag asks for them.
 *   an errno    what a C library or an event loop tries by itself and survives: EACCES from the
 *               open family (Landlock's own answer); ENOSYS from calls newer than Debian 12's libc
 *               or with a fallback (clone3, io_uring_*); EPERM for the rest: a call on no list, or
 *               one with arguments that are not allowed (an ioctl that is not listed, PROT_EXEC, a
 *               signal to another process, an unusual setsockopt).
 *   the end     what only an intruder asks for: execve, fork, ptrace, process_vm_*, pidfd_getfd, a
 *               new socket or connection where no address is allowed, mount and namespaces, bpf,
 * perf, userfaultfd, keys, kernel modules, iopl, personality...: one sentence on stderr, then the
 * whole process dies of SIGSYS. So does a call through another ABI (int 0x80, x32) and any attempt
 * to change what SIGSYS does.
 *
 * Not covered: stat on a path (newfstatat and statx must stay, libc's fstat is made of them) tells
 * whether a file exists and how large it is. Cannot be had: tkill, which no filter can bind to a
 * process, and sched_setaffinity for another thread than the caller.
 *
 * Sources: Linux Documentation/userspace-api/{seccomp_filter,landlock,no_new_privs}.rst,
 * seccomp(2), landlock(7). Works for an ordinary user without capabilities, under Docker's default
 * profile.
 */
#ifndef TENANT_CONFINE_H
#define TENANT_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/linux/permit_net.h"
#include "include/mayfly/error.h"
#include "tenant/priority.h"

enum mf_confine_flags {
	/* openat, openat2, readlink, getdents and the like work; Landlock says on which paths. */
	MF_CONFINE_OPEN_FILES = 1u << 0,
	/* So do mkdir, rename, unlink, link, symlink, truncate, fchmod. Needs OPEN_FILES. */
	MF_CONFINE_CHANGE_FILES = 1u << 1,
	/* Refuse to go on where this kernel cannot do Landlock (else: see the report). */
	MF_CONFINE_NEED_LANDLOCK = 1u << 2,
};

/*
 * What the process may still do. All zero is the tightest. Everything stays the caller's and is not
 * referred to after mf_confine_enter. A path is a file or a directory (then: all beneath it), must
 * exist (checked where there is Landlock), and is resolved now. A path to be read and written
 * stands in both lists.
 */
struct mf_confine {
	unsigned flags;                /* enum mf_confine_flags */
	const char *const *read_paths; /* open for reading, list; needs MF_CONFINE_OPEN_FILES */
	size_t read_path_count;
	const char *const *write_paths; /* open for writing; create, remove, rename beneath */
	size_t write_path_count;
	const char *const
		*open_paths; /* open for reading alone: files, or all beneath a directory */
	size_t open_path_count;
	const char *const *unlink_dirs; /* unlink beneath (one's own Unix socket); needs no flag */
	size_t unlink_dir_count;
	const struct mf_permit_net *net; /* addresses; NULL: no socket but pairs of Unix sockets */
	const uint32_t *ioctls; /* request numbers, compared in their low 32 bits; besides */
	size_t ioctl_count;     /*   FIONREAD, FIONBIO, FIOCLEX, TCGETS: always allowed */
	const struct mf_priority
		*priority;      /* between which a thread may change its own; NULL: none */
	uint64_t nproc_max;     /* RLIMIT_NPROC, counted by user, KVM's threads too; 0 = leave */
	uint64_t memlock_bytes; /* RLIMIT_MEMLOCK, at most the hard limit; 0 = leave */
};

/* What was applied; for logs and `doctor`. */
struct mf_confine_report {
	int landlock_abi;     /* of this kernel; 0: none: with OPEN_FILES any path can be opened */
	bool landlock_net;    /* TCP bind and connect denied by Landlock too (ABI 4) */
	bool landlock_scoped; /* no signal or abstract socket out of the process (ABI 6) */
	bool landlock_all;    /* no thread existed that Landlock does not cover */
	bool seccomp;         /* the filter is on, in all threads */
	bool sanitizer;       /* built with ASan or TSan: ptrace, clone, /proc and more are open */
	unsigned threads;     /* how many there were; 0 when /proc does not tell */
	unsigned syscall_count; /* system calls that the filter knows by name or number */
	uint64_t nofile;        /* RLIMIT_NOFILE now */
};

/* The Landlock ABI of the running kernel, or 0 when it has none, it is off, or it is denied. */
int mf_confine_landlock_abi(void);

/*
 * Confine this process: irrevocable. seccomp covers threads that exist already; Landlock covers the
 * calling thread and those it makes later, so with MF_CONFINE_OPEN_FILES the process must be
 * single-threaded (otherwise an older thread could open anything). Installs a SIGSYS handler. Not
 * thread-safe; may block. `report` may be NULL.
 *
 * Returns 0, or with a sentence in `err`; after a failure the process may be confined in part and
 * is good for nothing but to end:
 *   -EINVAL   paths without their flag, an unknown flag
 *   -EBUSY    MF_CONFINE_OPEN_FILES and other threads exist (or /proc is missing)
 *   -ENOTSUP  MF_CONFINE_NEED_LANDLOCK and there is none
 *   -ENOENT, -EACCES, ...  a path in a list cannot be opened
 *   -ENOMEM, -EPERM, ...   what the kernel or libseccomp said
 */
int mf_confine_enter(const struct mf_confine *confine, struct mf_confine_report *report,
		     struct mf_error *err);

#endif
