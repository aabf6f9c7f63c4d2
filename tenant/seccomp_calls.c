/* SPDX-License-Identifier: MIT */
#include "tenant/seccomp_calls.h"

#include <sys/syscall.h>

#define LIST(array)                                         \
	{                                                   \
		(array), sizeof(array) / sizeof((array)[0]) \
	}

static const int base[] = {
	/* descriptors that are open */
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_preadv,
	SYS_pwritev,
	SYS_preadv2,
	SYS_pwritev2,
	SYS_lseek,
	SYS_close,
	SYS_dup,
	SYS_dup2,
	SYS_dup3,
	SYS_fstat,
	SYS_ftruncate,
	SYS_fallocate,
	SYS_fsync,
	SYS_fdatasync,
	SYS_sync_file_range,
	SYS_pipe2,
	SYS_memfd_create,
	/* sockets that are open or come from one that listens */
	SYS_accept,
	SYS_accept4,
	SYS_listen /* an event loop does it again; bind is not possible */,
	SYS_recvfrom,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_shutdown,
	SYS_getsockname,
	SYS_getpeername,
	SYS_getsockopt,
	/* event loops */
	SYS_poll,
	SYS_ppoll,
	SYS_select,
	SYS_pselect6,
	SYS_epoll_create1,
	SYS_epoll_ctl,
	SYS_epoll_wait,
	SYS_epoll_pwait,
	SYS_epoll_pwait2,
	SYS_eventfd2,
	SYS_timerfd_create,
	SYS_timerfd_settime,
	SYS_timerfd_gettime,
	/* memory; mmap and mprotect depend on their arguments */
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_mincore,
	SYS_msync,
	SYS_mlock,
	SYS_mlock2,
	SYS_munlock,
	SYS_brk,
	/* threads; clone depends on its arguments */
	SYS_futex,
	SYS_set_robust_list,
	SYS_rseq,
	SYS_membarrier,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_sched_getparam,
	SYS_sched_getscheduler,
	SYS_sched_get_priority_max,
	SYS_sched_get_priority_min,
	SYS_getcpu,
	SYS_exit,
	SYS_exit_group,
	/* signals; rt_sigaction, kill and tgkill depend on their arguments */
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_rt_sigpending,
	SYS_rt_sigtimedwait,
	SYS_rt_sigsuspend,
	SYS_sigaltstack,
	SYS_pause,
	SYS_restart_syscall,
	/* clocks and timers */
	SYS_clock_gettime,
	SYS_clock_getres,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_gettimeofday,
	SYS_time,
	SYS_timer_create,
	SYS_timer_settime,
	SYS_timer_gettime,
	SYS_timer_getoverrun,
	SYS_timer_delete,
	/* facts about oneself */
	SYS_getrandom,
	SYS_getpid,
	SYS_getppid,
	SYS_gettid,
	SYS_getuid,
	SYS_geteuid,
	SYS_getgid,
	SYS_getegid,
	SYS_getgroups,
	SYS_getrlimit,
	SYS_getrusage,
	SYS_times,
	SYS_uname,
	SYS_sysinfo,
	/* as whom a thread reaches files; without privilege nothing comes of them */
	SYS_setfsuid,
	SYS_setfsgid,
	SYS_setgroups,
};

static const int open_files[] = {
	SYS_openat,
	SYS_open,
	SYS_openat2,
	SYS_stat,
	SYS_lstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_access,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_readlink,
	SYS_readlinkat,
	SYS_getdents64,
	SYS_getcwd,
	SYS_flock,
	SYS_statfs,
	SYS_fstatfs,
	SYS_fadvise64,
	SYS_copy_file_range,
	SYS_fgetxattr,
	SYS_flistxattr,
	SYS_inotify_init1,
	SYS_inotify_add_watch,
	SYS_inotify_rm_watch,
};

/* Landlock does not know chmod, chown, utime and xattr: only their descriptor forms are here. */
static const int change_files[] = {
	SYS_mkdir,    SYS_mkdirat,   SYS_rmdir,  SYS_unlink, SYS_unlinkat,  SYS_rename,
	SYS_renameat, SYS_renameat2, SYS_link,   SYS_linkat, SYS_symlink,   SYS_symlinkat,
	SYS_truncate, SYS_fchmod,    SYS_fchown, SYS_creat,  SYS_fsetxattr, SYS_fremovexattr,
};

static const int unlink_only[] = {SYS_unlink, SYS_unlinkat};

/* LeakSanitizer stops the process with a tracer thread (StopTheWorld); all read /proc/self/maps. */
static const int sanitizer[] = {
	SYS_ptrace,      SYS_process_vm_readv,
	SYS_wait4,       SYS_waitid,
	SYS_prctl,       SYS_open,
	SYS_openat,      SYS_readlink,
	SYS_readlinkat,  SYS_getdents64,
	SYS_clone,       SYS_stat,
	SYS_access,      SYS_newfstatat,
	SYS_prlimit64,   SYS_tkill,
	SYS_personality, SYS_statx,
	SYS_getcwd,      SYS_kill,
	SYS_getdents,
};

const struct call_list mf_calls_base = LIST(base);
const struct call_list mf_calls_open = LIST(open_files);
const struct call_list mf_calls_change = LIST(change_files);
const struct call_list mf_calls_unlink = LIST(unlink_only);
const struct call_list mf_calls_sanitizer = LIST(sanitizer);

#define CALL(name)                \
	{                         \
		SYS_##name, #name \
	}

const struct call_name mf_calls_deadly[] = {
	/* another program, another process, another process's memory or descriptors */
	CALL(execve),
	CALL(execveat),
	CALL(fork),
	CALL(vfork),
	CALL(clone), /* without CLONE_THREAD */
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(pidfd_getfd),
	CALL(setns),
	CALL(unshare),
	CALL(personality), /* READ_IMPLIES_EXEC would defeat the rule on PROT_EXEC */
	/* the network */
	CALL(socket),
	CALL(connect),
	CALL(bind),
	/* the file system's shape, and files by handle */
	CALL(mount),
	CALL(umount2),
	CALL(open_tree),
	CALL(move_mount),
	CALL(fsopen),
	CALL(fsconfig),
	CALL(fsmount),
	CALL(fspick),
	CALL(mount_setattr),
	CALL(pivot_root),
	CALL(chroot),
	CALL(open_by_handle_at),
	CALL(swapon),
	CALL(swapoff),
	CALL(quotactl),
	CALL(acct),
	/* the kernel */
	CALL(bpf),
	CALL(perf_event_open),
	CALL(userfaultfd),
	CALL(keyctl),
	CALL(add_key),
	CALL(request_key),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(kexec_load),
	CALL(kexec_file_load),
	CALL(reboot),
	CALL(iopl),
	CALL(ioperm),
	CALL(modify_ldt),
	{-1, NULL},
};

const char *mf_calls_name(int number)
{
	for (const struct call_name *c = mf_calls_deadly; c->name != NULL; c++) {
		if (c->number == number)
			return c->name;
	}
	return "unknown";
}
