/* SPDX-License-Identifier: MIT */
/*
 * The system calls that a guest sees: one table. A handler gets the six arguments and returns what
 * RAX is to hold (negative errno on failure), or MF_SYS_WAIT from a function of wait.h: the call
 * is then made again, with the same arguments, when the wait is over. Guest memory is reached only
 * through engine/mem/pt.h; an address that is not the program's is -EFAULT.
 */
#ifndef MF_ENGINE_LINUX_SYSCALL_H
#define MF_ENGINE_LINUX_SYSCALL_H

#include "engine/linux/process.h"
#include "engine/mem/pt.h"

#define MF_SYS_WAIT   INT64_MIN
#define MF_SYS_EXIT   (INT64_MIN + 1) /* the program has ended: see struct mf_linux.exited */
#define MF_SYS_LOADED (INT64_MIN + 2) /* the registers were replaced, RAX among them */
#define MF_SYS_GONE   (INT64_MIN + 3) /* the thread has ended, and there are others */

typedef int64_t mf_syscall_fn(struct mf_process *process, const uint64_t arg[6]);

enum mf_syscall_state {
	MF_SYS_ENOSYS = 0, /* not there: -ENOSYS */
	MF_SYS_DONE,
	MF_SYS_PARTIAL, /* a part of what Linux does; the rest fails with an errno */
	MF_SYS_REFUSED, /* known and not allowed: fails with `error` */
};

struct mf_syscall {
	const char *name;
	const char *format; /* a letter an argument for traces: d int, u unsigned, x hex, p pointer,
			       s path, o mode */
	const char *words; /* for people: what is missing, why it is refused; NULL or empty: none */
	enum mf_syscall_state state;
	int error; /* REFUSED, ENOSYS: what it fails with */
	mf_syscall_fn *call;
	bool no_files; /* it reaches no file, as whomever it is made */
};

#define MF_SYSCALLS 470u /* Linux 6.18 */
extern const struct mf_syscall mf_syscalls[MF_SYSCALLS];

/* Answer the call in the registers. */
int64_t mf_syscall_dispatch(struct mf_process *process, uint64_t number, const uint64_t arg[6]);

/* mmap.c, protect.c, mremap.c, advice.c, lock.c, brk.c */
mf_syscall_fn mf_sys_mmap, mf_sys_munmap, mf_sys_mprotect, mf_sys_mremap, mf_sys_madvise,
	mf_sys_brk, mf_sys_msync, mf_sys_mincore, mf_sys_mlock, mf_sys_mlock2, mf_sys_munlock,
	mf_sys_mlockall, mf_sys_munlockall;
/* misc.c: process, time, signals, limits */
mf_syscall_fn mf_sys_arch_prctl;
mf_syscall_fn mf_sys_getpid, mf_sys_getppid, mf_sys_getuid, mf_sys_getgid, mf_sys_uname;
mf_syscall_fn mf_sys_prlimit64, mf_sys_setrlimit, mf_sys_getrlimit, mf_sys_getrandom,
	mf_sys_clock_gettime;
mf_syscall_fn mf_sys_clock_getres, mf_sys_gettimeofday, mf_sys_time, mf_sys_nanosleep;
mf_syscall_fn mf_sys_clock_nanosleep, mf_sys_rt_sigaction, mf_sys_rt_sigprocmask,
	mf_sys_sigaltstack;
mf_syscall_fn mf_sys_kill, mf_sys_tgkill, mf_sys_tkill;
mf_syscall_fn mf_sys_getrusage, mf_sys_times, mf_sys_sysinfo, mf_sys_getgroups;
/* alarm.c */
mf_syscall_fn mf_sys_alarm, mf_sys_setitimer, mf_sys_getitimer, mf_sys_timer_create;
mf_syscall_fn mf_sys_timer_settime, mf_sys_timer_gettime, mf_sys_timer_getoverrun,
	mf_sys_timer_delete;
/* sigcalls.c, sigframe.c, signalfd.c: signals */
mf_syscall_fn mf_sys_signalfd, mf_sys_signalfd4;
mf_syscall_fn mf_sys_rt_sigpending, mf_sys_rt_sigqueueinfo, mf_sys_rt_tgsigqueueinfo;
mf_syscall_fn mf_sys_rt_sigtimedwait, mf_sys_rt_sigsuspend, mf_sys_rt_sigreturn, mf_sys_pause;
mf_syscall_fn mf_sys_umask, mf_sys_prctl;
/* credentials.c */
mf_syscall_fn mf_sys_geteuid, mf_sys_getegid;
mf_syscall_fn mf_sys_setuid, mf_sys_setgid, mf_sys_setreuid, mf_sys_setgroups, mf_sys_setregid,
	mf_sys_setresuid;
mf_syscall_fn mf_sys_setresgid, mf_sys_getresuid, mf_sys_getresgid, mf_sys_setfsuid,
	mf_sys_setfsgid;
/* segment.c */
mf_syscall_fn mf_sys_shmget, mf_sys_shmat, mf_sys_shmdt, mf_sys_shmctl;
/* identity.c */
mf_syscall_fn mf_sys_getpgrp, mf_sys_getpgid, mf_sys_setpgid, mf_sys_setsid, mf_sys_capget;
mf_syscall_fn mf_sys_capset, mf_sys_wait4, mf_sys_waitid;
mf_syscall_fn mf_sys_personality;
/* filelock.c */
mf_syscall_fn mf_sys_flock;
/* attributes.c */
mf_syscall_fn mf_sys_utime, mf_sys_utimes, mf_sys_futimesat, mf_sys_chown, mf_sys_lchown;
mf_syscall_fn mf_sys_fchown, mf_sys_fchownat;
/* xattr.c */
mf_syscall_fn mf_sys_getxattr, mf_sys_lgetxattr, mf_sys_fgetxattr;
mf_syscall_fn mf_sys_setxattr, mf_sys_lsetxattr, mf_sys_fsetxattr;
mf_syscall_fn mf_sys_removexattr, mf_sys_lremovexattr, mf_sys_fremovexattr;
mf_syscall_fn mf_sys_listxattr, mf_sys_llistxattr, mf_sys_flistxattr;
/* inotify.c */
mf_syscall_fn mf_sys_inotify_init, mf_sys_inotify_init1, mf_sys_inotify_add_watch;
mf_syscall_fn mf_sys_inotify_rm_watch;
/* extent.c */
mf_syscall_fn mf_sys_copy_file_range, mf_sys_sync_file_range, mf_sys_readahead, mf_sys_sync;
mf_syscall_fn mf_sys_syncfs;
mf_syscall_fn mf_sys_getdents, mf_sys_mknod, mf_sys_mknodat;
/* self.c */
mf_syscall_fn mf_sys_process_vm_readv, mf_sys_process_vm_writev, mf_sys_kcmp, mf_sys_adjtimex;
mf_syscall_fn mf_sys_clock_adjtime;
/* thread.c, futex.c, robust.c, schedcalls.c */
mf_syscall_fn mf_sys_clone, mf_sys_clone3, mf_sys_exit, mf_sys_exit_group, mf_sys_gettid;
mf_syscall_fn mf_sys_set_tid_address, mf_sys_set_robust_list, mf_sys_get_robust_list, mf_sys_futex;
mf_syscall_fn mf_sys_sched_yield, mf_sys_sched_getaffinity, mf_sys_sched_setaffinity;
mf_syscall_fn mf_sys_sched_getparam, mf_sys_sched_setparam, mf_sys_sched_getscheduler;
mf_syscall_fn mf_sys_sched_setscheduler, mf_sys_sched_get_priority_max;
mf_syscall_fn mf_sys_sched_get_priority_min, mf_sys_sched_rr_get_interval, mf_sys_getpriority;
mf_syscall_fn mf_sys_sched_getattr, mf_sys_sched_setattr;
mf_syscall_fn mf_sys_setpriority, mf_sys_getcpu, mf_sys_membarrier;
/* io.c: reading and writing descriptors */
mf_syscall_fn mf_sys_read, mf_sys_write, mf_sys_readv, mf_sys_writev, mf_sys_pread64,
	mf_sys_pwrite64;
mf_syscall_fn mf_sys_preadv, mf_sys_pwritev, mf_sys_lseek, mf_sys_close, mf_sys_close_range,
	mf_sys_dup;
mf_syscall_fn mf_sys_dup2, mf_sys_dup3, mf_sys_fcntl, mf_sys_ioctl, mf_sys_pipe, mf_sys_pipe2;
mf_syscall_fn mf_sys_preadv2, mf_sys_pwritev2, mf_sys_eventfd, mf_sys_eventfd2;
mf_syscall_fn mf_sys_epoll_create, mf_sys_epoll_create1, mf_sys_epoll_ctl, mf_sys_epoll_wait,
	mf_sys_epoll_pwait, mf_sys_epoll_pwait2, mf_sys_timerfd_create, mf_sys_timerfd_settime,
	mf_sys_timerfd_gettime, mf_sys_memfd_create, mf_sys_splice, mf_sys_tee, mf_sys_vmsplice;
mf_syscall_fn mf_sys_poll, mf_sys_ppoll, mf_sys_select, mf_sys_pselect6, mf_sys_ftruncate;
mf_syscall_fn mf_sys_fsync, mf_sys_fdatasync, mf_sys_fallocate, mf_sys_fadvise64, mf_sys_sendfile;
/* socket.c, socket_calls.c, socket_message.c, socket_option.c */
mf_syscall_fn mf_sys_socket, mf_sys_socketpair, mf_sys_bind, mf_sys_listen, mf_sys_accept;
mf_syscall_fn mf_sys_accept4, mf_sys_connect, mf_sys_shutdown, mf_sys_getsockname;
mf_syscall_fn mf_sys_getpeername, mf_sys_sendto, mf_sys_sendmsg, mf_sys_sendmmsg, mf_sys_recvfrom;
mf_syscall_fn mf_sys_recvmsg, mf_sys_recvmmsg, mf_sys_setsockopt, mf_sys_getsockopt;
/* files.c: names */
mf_syscall_fn mf_sys_open, mf_sys_openat, mf_sys_openat2, mf_sys_creat, mf_sys_stat, mf_sys_lstat,
	mf_sys_fstat;
mf_syscall_fn mf_sys_newfstatat, mf_sys_statx, mf_sys_access, mf_sys_faccessat, mf_sys_faccessat2;
mf_syscall_fn mf_sys_getcwd, mf_sys_chdir, mf_sys_fchdir, mf_sys_getdents64, mf_sys_readlink;
mf_syscall_fn mf_sys_readlinkat, mf_sys_mkdir, mf_sys_mkdirat, mf_sys_unlink, mf_sys_unlinkat;
mf_syscall_fn mf_sys_rmdir, mf_sys_rename, mf_sys_renameat, mf_sys_renameat2, mf_sys_truncate;
mf_syscall_fn mf_sys_statfs, mf_sys_fstatfs, mf_sys_link, mf_sys_linkat, mf_sys_symlink;
mf_syscall_fn mf_sys_symlinkat, mf_sys_chmod, mf_sys_fchmod, mf_sys_fchmodat, mf_sys_fchmodat2,
	mf_sys_utimensat;

/* sendmmsg and recvmmsg (messages at va), interrupted with a part done: how many messages that is.
 */
int64_t mf_socket_messages_done(struct mf_process *process, uint64_t va);
/* CPU time that the program has used since its fork or reset; to be asked during a run, on its
 * thread. */
uint64_t mf_cpu_ns(const struct mf_process *process);
/* The calling thread's: what the host's scheduler gave to others meanwhile is not in it. */
uint64_t mf_cpu_of_thread_ns(void);

/* Descriptors (io.c). The entry, or NULL when fd is not open. */
const struct mf_fd *mf_fd_get(const struct mf_process *process, uint64_t fd);
/* Put `entry` at the lowest free number >= from: the number or -EMFILE. The host descriptor is the
 * entry's from then on (on failure it stays the caller's). */
int64_t mf_fd_install(struct mf_process *process, const struct mf_fd *entry, uint64_t from);
/* Descriptors that a program may ask for: RLIMIT_NOFILE's hard limit. */
uint64_t mf_fd_hard_limit(const struct mf_process *process);
/* Standard descriptors of a new program. */
void mf_fd_init(struct mf_process *process);
/* Close host descriptors that this process has and its image has not; all of them without an image.
 */
void mf_fd_close_own(struct mf_process *process);
/* Close the host descriptors that an image holds. */
void mf_fd_close_image(const struct mf_image *image);
/* Give host descriptors numbers from MF_IMAGE_FDS_FROM on, where the loader of an image file can
 * put them again. Those for which there is no room stay. */
void mf_fd_settle(struct mf_process *process);
/* -EBUSY with a sentence when a descriptor cannot be shared by forks. */
int mf_fd_check_freeze(const struct mf_process *process, struct mf_error *err);

#endif
