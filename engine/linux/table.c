/* SPDX-License-Identifier: MIT */
/*
 * The one table of system calls, by number (arch/x86/entry/syscalls/syscall_64.tbl). docs/linux.md
 * is printed from it by scripts/linux-table: a call that is DONE needs a differential case, and one
 * that is not says in words what is missing or why it is refused.
 */
#include "engine/linux/credentials.h"
#include "engine/linux/syscall.h"

#include <asm/unistd_64.h>
#include <errno.h>
#include <string.h>

/* What the oldest kernel headers that it is built with do not know. */
enum {
	NR_uretprobe = 335, /* 6.11 */
	NR_uprobe,          /* 6.18 */
	NR_cachestat = 451, /* 6.5 */
	NR_fchmodat2,       /* 6.6 */
	NR_map_shadow_stack,
	NR_futex_wake, /* 6.7 */
	NR_futex_wait,
	NR_futex_requeue,
	NR_statmount, /* 6.8 */
	NR_listmount,
	NR_lsm_get_self_attr,
	NR_lsm_set_self_attr,
	NR_lsm_list_modules,
	NR_mseal,      /* 6.10 */
	NR_setxattrat, /* 6.13 */
	NR_getxattrat,
	NR_listxattrat,
	NR_removexattrat,
	NR_open_tree_attr, /* 6.15 */
	NR_file_getattr,   /* 6.17 */
	NR_file_setattr,
};

#define WATCHES_MISSING "by `mayfly run` alone: ENOSYS to a program that may be frozen"

/* clang-format off */
#define DONE(name_, format_, call_) \
	{.name = #name_, .format = format_, .state = MF_SYS_DONE, .call = mf_sys_##call_}
#define PARTIAL(name_, format_, call_, ...) \
	{.name = #name_, .format = format_, .state = MF_SYS_PARTIAL, .call = mf_sys_##call_, .words = "" __VA_ARGS__}
/* Not allowed: fails with that errno. */
#define REFUSED(name_, format_, errno_, words_) \
	{.name = #name_, .format = format_, .state = MF_SYS_REFUSED, .error = errno_, .words = words_}
#define ENOSYS_(name_, ...) \
	{.name = #name_, .state = MF_SYS_ENOSYS, .error = ENOSYS, .words = "" __VA_ARGS__}
#define NO_FILES(name_) [__NR_##name_].no_files = true
/* clang-format on */

const struct mf_syscall mf_syscalls[MF_SYSCALLS] = {
	[__NR_read] = DONE(read, "dxu", read),
	[__NR_write] = DONE(write, "dbu", write),
	[__NR_open] = DONE(open, "sxo", open),
	[__NR_close] = DONE(close, "d", close),
	[__NR_stat] = DONE(stat, "sx", stat),
	[__NR_fstat] = DONE(fstat, "dx", fstat),
	[__NR_lstat] = DONE(lstat, "sx", lstat),
	[__NR_poll] = DONE(poll, "pud", poll),
	[__NR_lseek] = DONE(lseek, "ddd", lseek),
	[__NR_mmap] =
		PARTIAL(mmap, "pxxxdx", mmap,
			"MAP_HUGETLB is ENOMEM; a private page of a file is read at its first "
			"touch and does not change with the file afterwards"),
	[__NR_mprotect] = DONE(mprotect, "pxx", mprotect),
	[__NR_munmap] = DONE(munmap, "px", munmap),
	[__NR_brk] = DONE(brk, "p", brk),
	[__NR_rt_sigaction] = DONE(rt_sigaction, "dppu", rt_sigaction),
	[__NR_rt_sigprocmask] = DONE(rt_sigprocmask, "dppu", rt_sigprocmask),
	[__NR_rt_sigreturn] = DONE(rt_sigreturn, "", rt_sigreturn),
	[__NR_ioctl] = PARTIAL(
		ioctl, "dxp", ioctl,
		"TCGETS, TCSETS*, TCFLSH, TCXONC, tcdrain's, window size, process group and "
		"session of standard streams, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX; others "
		"ENOTTY"),
	[__NR_pread64] = DONE(pread64, "dxuu", pread64),
	[__NR_pwrite64] = DONE(pwrite64, "dbuu", pwrite64),
	[__NR_readv] = DONE(readv, "dpd", readv),
	[__NR_writev] = DONE(writev, "dpd", writev),
	[__NR_access] = DONE(access, "so", access),
	[__NR_pipe] = DONE(pipe, "p", pipe),
	[__NR_select] = DONE(select, "dpppp", select),
	[__NR_sched_yield] = DONE(sched_yield, "", sched_yield),
	[__NR_mremap] = PARTIAL(mremap, "pxxxp", mremap,
				"within one range; another mapping of shared memory that is no "
				"file (old size 0) is EINVAL"),
	[__NR_msync] = DONE(msync, "pxx", msync),
	[__NR_mincore] = PARTIAL(mincore, "pxp", mincore,
				 "pages that are there but were never touched count as resident"),
	[__NR_madvise] = PARTIAL(madvise, "pxd", madvise,
				 "hints are taken and change nothing; MADV_COLLAPSE, HWPOISON, "
				 "SOFT_OFFLINE and GUARD_* are EINVAL"),
	[__NR_shmget] = DONE(shmget, "xux", shmget),
	[__NR_shmat] = DONE(shmat, "dpx", shmat),
	[__NR_shmctl] = PARTIAL(shmctl, "ddp", shmctl,
				"IPC_STAT, IPC_SET, IPC_RMID; SHM_LOCK is EPERM, the rest EINVAL"),
	[__NR_dup] = DONE(dup, "d", dup),
	[__NR_dup2] = DONE(dup2, "dd", dup2),
	[__NR_pause] = DONE(pause, "", pause),
	[__NR_nanosleep] = DONE(nanosleep, "pp", nanosleep),
	[__NR_getitimer] = DONE(getitimer, "dp", getitimer),
	[__NR_alarm] = DONE(alarm, "u", alarm),
	[__NR_setitimer] = DONE(setitimer, "dpp", setitimer),
	[__NR_getpid] = DONE(getpid, "", getpid),
	[__NR_sendfile] = DONE(sendfile, "ddpu", sendfile),
	[__NR_socket] =
		PARTIAL(socket, "dxd", socket,
			"Unix, TCP, UDP, and questions to NETLINK_ROUTE; as --allow-net allows"),
	[__NR_connect] = DONE(connect, "dpu", connect),
	[__NR_accept] = DONE(accept, "dpp", accept),
	[__NR_sendto] = DONE(sendto, "dbuxpu", sendto),
	[__NR_recvfrom] = DONE(recvfrom, "dpuxpp", recvfrom),
	[__NR_sendmsg] = PARTIAL(sendmsg, "dpx", sendmsg,
				 "out of the VM, only files and sockets can be sent"),
	[__NR_recvmsg] = PARTIAL(recvmsg, "dpx", recvmsg,
				 "from outside, only files and sockets can be received"),
	[__NR_shutdown] = DONE(shutdown, "dd", shutdown),
	[__NR_bind] = DONE(bind, "dpu", bind),
	[__NR_listen] = DONE(listen, "dd", listen),
	[__NR_getsockname] = DONE(getsockname, "dpp", getsockname),
	[__NR_getpeername] = DONE(getpeername, "dpp", getpeername),
	[__NR_socketpair] = DONE(socketpair, "dxdp", socketpair),
	[__NR_setsockopt] = PARTIAL(setsockopt, "dddpu", setsockopt,
				    "options by a list; others are ENOPROTOOPT"),
	[__NR_getsockopt] = PARTIAL(getsockopt, "dddpp", getsockopt,
				    "options by a list; others are ENOPROTOOPT"),
	[__NR_clone] =
		PARTIAL(clone, "xpppp", clone, "threads that share all; another process: EPERM"),
	[__NR_fork] = REFUSED(fork, "", EPERM, "one process"),
	[__NR_vfork] = REFUSED(vfork, "", EPERM, "one process"),
	[__NR_execve] = REFUSED(execve, "spp", EPERM, "one program"),
	[__NR_exit] = DONE(exit, "d", exit),
	[__NR_wait4] = DONE(wait4, "dpxp", wait4),
	[__NR_kill] = PARTIAL(
		kill, "dd", kill,
		"a signal that would stop the program: EPERM; other processes there are none"),
	[__NR_uname] = DONE(uname, "p", uname),
	[__NR_semget] = ENOSYS_(semget, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_semop] = ENOSYS_(semop, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_semctl] = ENOSYS_(semctl, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_shmdt] = DONE(shmdt, "p", shmdt),
	[__NR_msgget] = ENOSYS_(msgget, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_msgsnd] = ENOSYS_(msgsnd, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_msgrcv] = ENOSYS_(msgrcv, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_msgctl] = ENOSYS_(msgctl, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_fcntl] = PARTIAL(fcntl, "ddx", fcntl,
			       "DUPFD, GETFD, SETFD, GETFL, SETFL (APPEND, NONBLOCK, a pipe's "
			       "DIRECT), record locks, GETPIPE_SZ, SETPIPE_SZ; others EINVAL"),
	[__NR_flock] = DONE(flock, "dd", flock),
	[__NR_fsync] = DONE(fsync, "d", fsync),
	[__NR_fdatasync] = DONE(fdatasync, "d", fdatasync),
	[__NR_truncate] = DONE(truncate, "su", truncate),
	[__NR_ftruncate] = DONE(ftruncate, "du", ftruncate),
	[__NR_getdents] = DONE(getdents, "dpu", getdents),
	[__NR_getcwd] = DONE(getcwd, "pu", getcwd),
	[__NR_chdir] = DONE(chdir, "s", chdir),
	[__NR_fchdir] = DONE(fchdir, "d", fchdir),
	[__NR_rename] = DONE(rename, "ss", rename),
	[__NR_mkdir] = DONE(mkdir, "so", mkdir),
	[__NR_rmdir] = DONE(rmdir, "s", rmdir),
	[__NR_creat] = DONE(creat, "so", creat),
	[__NR_link] = DONE(link, "ss", link),
	[__NR_unlink] = DONE(unlink, "s", unlink),
	[__NR_symlink] = DONE(symlink, "ss", symlink),
	[__NR_readlink] = DONE(readlink, "spu", readlink),
	[__NR_chmod] = PARTIAL(
		chmod, "so", chmod,
		"not of a file that may be neither read nor written; set-id bits are EPERM"),
	[__NR_fchmod] = PARTIAL(
		fchmod, "do", fchmod,
		"not of a file that may be neither read nor written; set-id bits are EPERM"),
	[__NR_chown] = PARTIAL(chown, "sdd", chown,
			       "within what the host lets the engine; of a file that may be read "
			       "or written, and no link"),
	[__NR_fchown] = PARTIAL(fchown, "ddd", fchown,
				"within what the host lets the engine; of a file that may be read "
				"or written, and no link"),
	[__NR_lchown] = PARTIAL(lchown, "sdd", lchown,
				"within what the host lets the engine; of a file that may be read "
				"or written, and no link"),
	[__NR_umask] = DONE(umask, "o", umask),
	[__NR_gettimeofday] = DONE(gettimeofday, "pp", gettimeofday),
	[__NR_getrlimit] = DONE(getrlimit, "dp", getrlimit),
	[__NR_getrusage] = PARTIAL(getrusage, "dp", getrusage,
				   "CPU time as user time, and the peak of memory"),
	[__NR_sysinfo] = DONE(sysinfo, "p", sysinfo),
	[__NR_times] = PARTIAL(times, "p", times, "CPU time as user time"),
	[__NR_ptrace] = REFUSED(ptrace, "", EPERM, "there is no other process to trace"),
	[__NR_getuid] = DONE(getuid, "", getuid),
	[__NR_syslog] = REFUSED(syslog, "", EPERM, "needs privilege"),
	[__NR_getgid] = DONE(getgid, "", getgid),
	[__NR_setuid] = DONE(setuid, "u", setuid),
	[__NR_setgid] = DONE(setgid, "u", setgid),
	[__NR_geteuid] = DONE(geteuid, "", geteuid),
	[__NR_getegid] = DONE(getegid, "", getegid),
	[__NR_setpgid] = DONE(setpgid, "dd", setpgid),
	[__NR_getppid] = DONE(getppid, "", getppid),
	[__NR_getpgrp] = DONE(getpgrp, "", getpgrp),
	[__NR_setsid] = DONE(setsid, "", setsid),
	[__NR_setreuid] = DONE(setreuid, "dd", setreuid),
	[__NR_setregid] = DONE(setregid, "dd", setregid),
	[__NR_getgroups] = DONE(getgroups, "up", getgroups),
	[__NR_setgroups] = PARTIAL(setgroups, "dp", setgroups, "at most 64"),
	[__NR_setresuid] = DONE(setresuid, "ddd", setresuid),
	[__NR_getresuid] = DONE(getresuid, "ppp", getresuid),
	[__NR_setresgid] = DONE(setresgid, "ddd", setresgid),
	[__NR_getresgid] = DONE(getresgid, "ppp", getresgid),
	[__NR_getpgid] = DONE(getpgid, "d", getpgid),
	[__NR_setfsuid] = DONE(setfsuid, "d", setfsuid),
	[__NR_setfsgid] = DONE(setfsgid, "d", setfsgid),
	[__NR_getsid] = DONE(getsid, "d", getpgid),
	[__NR_capget] = DONE(capget, "pp", capget),
	[__NR_capset] = DONE(capset, "pp", capset),
	[__NR_rt_sigpending] = DONE(rt_sigpending, "pu", rt_sigpending),
	[__NR_rt_sigtimedwait] = DONE(rt_sigtimedwait, "pppu", rt_sigtimedwait),
	[__NR_rt_sigqueueinfo] = PARTIAL(rt_sigqueueinfo, "ddp", rt_sigqueueinfo, "as kill"),
	[__NR_rt_sigsuspend] = DONE(rt_sigsuspend, "pu", rt_sigsuspend),
	[__NR_sigaltstack] = DONE(sigaltstack, "pp", sigaltstack),
	[__NR_utime] = DONE(utime, "sp", utime),
	[__NR_mknod] = PARTIAL(mknod, "sox", mknod, "regular files; FIFOs and sockets are EPERM"),
	[__NR_uselib] = ENOSYS_(uselib, "obsolete"),
	[__NR_personality] =
		PARTIAL(personality, "x", personality, "only PER_LINUX, without options"),
	[__NR_ustat] = ENOSYS_(ustat, "obsolete"),
	[__NR_statfs] = DONE(statfs, "sp", statfs),
	[__NR_fstatfs] = DONE(fstatfs, "dp", fstatfs),
	[__NR_sysfs] = ENOSYS_(sysfs, "obsolete"),
	[__NR_getpriority] = DONE(getpriority, "dd", getpriority),
	[__NR_setpriority] = DONE(setpriority, "ddd", setpriority),
	[__NR_sched_setparam] = DONE(sched_setparam, "dp", sched_setparam),
	[__NR_sched_getparam] = DONE(sched_getparam, "dp", sched_getparam),
	[__NR_sched_setscheduler] = DONE(sched_setscheduler, "ddp", sched_setscheduler),
	[__NR_sched_getscheduler] = DONE(sched_getscheduler, "d", sched_getscheduler),
	[__NR_sched_get_priority_max] = DONE(sched_get_priority_max, "d", sched_get_priority_max),
	[__NR_sched_get_priority_min] = DONE(sched_get_priority_min, "d", sched_get_priority_min),
	[__NR_sched_rr_get_interval] =
		PARTIAL(sched_rr_get_interval, "dp", sched_rr_get_interval, "a turn of Mayfly's"),
	[__NR_mlock] = DONE(mlock, "px", mlock),
	[__NR_munlock] = DONE(munlock, "px", munlock),
	[__NR_mlockall] = DONE(mlockall, "x", mlockall),
	[__NR_munlockall] = DONE(munlockall, "", munlockall),
	[__NR_vhangup] = REFUSED(vhangup, "", EPERM, "needs privilege"),
	[__NR_modify_ldt] = ENOSYS_(modify_ldt, "no 32-bit code and no LDT"),
	[__NR_pivot_root] = REFUSED(pivot_root, "", EPERM, "needs privilege"),
	[__NR__sysctl] = ENOSYS_(_sysctl, "no such call in Linux any more"),
	[__NR_prctl] =
		PARTIAL(prctl, "dxxxx", prctl,
			"NAME, PDEATHSIG, DUMPABLE, KEEPCAPS, CHILD_SUBREAPER, NO_NEW_PRIVS, "
			"THP_DISABLE, and what TSC, SECCOMP and SECUREBITS are; others EINVAL"),
	[__NR_arch_prctl] = PARTIAL(arch_prctl, "xp", arch_prctl,
				    "SET_FS, SET_GS, GET_FS, GET_GS; others EINVAL"),
	[__NR_adjtimex] = PARTIAL(adjtimex, "p", adjtimex,
				  "read only; whether the clock is synchronised is not told"),
	[__NR_setrlimit] = DONE(setrlimit, "dp", setrlimit),
	[__NR_chroot] = REFUSED(chroot, "", EPERM, "needs privilege"),
	[__NR_sync] = PARTIAL(sync, "", sync, "the files that the program has open"),
	[__NR_acct] = REFUSED(acct, "", EPERM, "needs privilege"),
	[__NR_settimeofday] = REFUSED(settimeofday, "", EPERM, "needs privilege"),
	[__NR_mount] = REFUSED(mount, "", EPERM, "needs privilege"),
	[__NR_umount2] = REFUSED(umount2, "", EPERM, "needs privilege"),
	[__NR_swapon] = REFUSED(swapon, "", EPERM, "needs privilege"),
	[__NR_swapoff] = REFUSED(swapoff, "", EPERM, "needs privilege"),
	[__NR_reboot] = REFUSED(reboot, "", EPERM, "needs privilege"),
	[__NR_sethostname] = REFUSED(sethostname, "", EPERM, "needs privilege"),
	[__NR_setdomainname] = REFUSED(setdomainname, "", EPERM, "needs privilege"),
	[__NR_iopl] = REFUSED(iopl, "", EPERM, "needs privilege"),
	[__NR_ioperm] = REFUSED(ioperm, "", EPERM, "needs privilege"),
	[__NR_create_module] = ENOSYS_(create_module, "no such call in Linux any more"),
	[__NR_init_module] = REFUSED(init_module, "", EPERM, "needs privilege"),
	[__NR_delete_module] = REFUSED(delete_module, "", EPERM, "needs privilege"),
	[__NR_get_kernel_syms] = ENOSYS_(get_kernel_syms, "no such call in Linux any more"),
	[__NR_query_module] = ENOSYS_(query_module, "no such call in Linux any more"),
	[__NR_quotactl] = REFUSED(quotactl, "", EPERM, "needs privilege"),
	[__NR_nfsservctl] = ENOSYS_(nfsservctl, "no such call in Linux any more"),
	[__NR_getpmsg] = ENOSYS_(getpmsg, "no such call in Linux any more"),
	[__NR_putpmsg] = ENOSYS_(putpmsg, "no such call in Linux any more"),
	[__NR_afs_syscall] = ENOSYS_(afs_syscall, "no such call in Linux any more"),
	[__NR_tuxcall] = ENOSYS_(tuxcall, "no such call in Linux any more"),
	[__NR_security] = ENOSYS_(security, "no such call in Linux any more"),
	[__NR_gettid] = DONE(gettid, "", gettid),
	[__NR_readahead] = DONE(readahead, "duu", readahead),
	[__NR_setxattr] = PARTIAL(setxattr, "ssbux", setxattr,
				  "of the user; an access list (system.posix_acl_*) is EOPNOTSUPP"),
	[__NR_lsetxattr] =
		PARTIAL(lsetxattr, "ssbux", lsetxattr,
			"of the user; an access list (system.posix_acl_*) is EOPNOTSUPP"),
	[__NR_fsetxattr] =
		PARTIAL(fsetxattr, "dsbux", fsetxattr,
			"of the user; an access list (system.posix_acl_*) is EOPNOTSUPP"),
	[__NR_getxattr] = DONE(getxattr, "sspu", getxattr),
	[__NR_lgetxattr] = DONE(lgetxattr, "sspu", lgetxattr),
	[__NR_fgetxattr] = DONE(fgetxattr, "dspu", fgetxattr),
	[__NR_listxattr] = DONE(listxattr, "spu", listxattr),
	[__NR_llistxattr] = DONE(llistxattr, "spu", llistxattr),
	[__NR_flistxattr] = DONE(flistxattr, "dpu", flistxattr),
	[__NR_removexattr] =
		PARTIAL(removexattr, "ss", removexattr,
			"of the user; an access list (system.posix_acl_*) is EOPNOTSUPP"),
	[__NR_lremovexattr] =
		PARTIAL(lremovexattr, "ss", lremovexattr,
			"of the user; an access list (system.posix_acl_*) is EOPNOTSUPP"),
	[__NR_fremovexattr] =
		PARTIAL(fremovexattr, "ds", fremovexattr,
			"of the user; an access list (system.posix_acl_*) is EOPNOTSUPP"),
	[__NR_tkill] = PARTIAL(tkill, "dd", tkill, "as kill"),
	[__NR_time] = DONE(time, "p", time),
	[__NR_futex] = PARTIAL(futex, "pduppx", futex,
			       "WAIT_REQUEUE_PI, CMP_REQUEUE_PI and FD are ENOSYS"),
	[__NR_sched_setaffinity] = DONE(sched_setaffinity, "dup", sched_setaffinity),
	[__NR_sched_getaffinity] =
		PARTIAL(sched_getaffinity, "dup", sched_getaffinity, "there is one CPU"),
	[__NR_set_thread_area] = ENOSYS_(set_thread_area, "no 32-bit code and no LDT"),
	[__NR_io_setup] =
		ENOSYS_(io_setup, "no asynchronous I/O of the kernel, as one without CONFIG_AIO"),
	[__NR_io_destroy] =
		ENOSYS_(io_destroy, "no asynchronous I/O of the kernel, as one without CONFIG_AIO"),
	[__NR_io_getevents] = ENOSYS_(
		io_getevents, "no asynchronous I/O of the kernel, as one without CONFIG_AIO"),
	[__NR_io_submit] =
		ENOSYS_(io_submit, "no asynchronous I/O of the kernel, as one without CONFIG_AIO"),
	[__NR_io_cancel] =
		ENOSYS_(io_cancel, "no asynchronous I/O of the kernel, as one without CONFIG_AIO"),
	[__NR_get_thread_area] = ENOSYS_(get_thread_area, "no 32-bit code and no LDT"),
	[__NR_lookup_dcookie] = ENOSYS_(lookup_dcookie, "no such call in Linux any more"),
	[__NR_epoll_create] = DONE(epoll_create, "d", epoll_create),
	[__NR_epoll_ctl_old] = ENOSYS_(epoll_ctl_old, "no such call in Linux any more"),
	[__NR_epoll_wait_old] = ENOSYS_(epoll_wait_old, "no such call in Linux any more"),
	[__NR_remap_file_pages] = ENOSYS_(remap_file_pages),
	[__NR_getdents64] = DONE(getdents64, "dpu", getdents64),
	[__NR_set_tid_address] = DONE(set_tid_address, "p", set_tid_address),
	[__NR_restart_syscall] = ENOSYS_(restart_syscall),
	[__NR_semtimedop] =
		ENOSYS_(semtimedop, "no System V IPC, as a kernel without CONFIG_SYSVIPC"),
	[__NR_fadvise64] = DONE(fadvise64, "duud", fadvise64),
	[__NR_timer_create] = DONE(timer_create, "dpp", timer_create),
	[__NR_timer_settime] = DONE(timer_settime, "dxpp", timer_settime),
	[__NR_timer_gettime] = DONE(timer_gettime, "dp", timer_gettime),
	[__NR_timer_getoverrun] = DONE(timer_getoverrun, "d", timer_getoverrun),
	[__NR_timer_delete] = DONE(timer_delete, "d", timer_delete),
	[__NR_clock_settime] = REFUSED(clock_settime, "", EPERM, "needs privilege"),
	[__NR_clock_gettime] = DONE(clock_gettime, "dp", clock_gettime),
	[__NR_clock_getres] = DONE(clock_getres, "dp", clock_getres),
	[__NR_clock_nanosleep] = PARTIAL(clock_nanosleep, "dxpp", clock_nanosleep,
					 "not by CPU-time clocks: EOPNOTSUPP"),
	[__NR_exit_group] = DONE(exit_group, "d", exit_group),
	[__NR_epoll_wait] = DONE(epoll_wait, "dpdd", epoll_wait),
	[__NR_epoll_ctl] = DONE(epoll_ctl, "dddp", epoll_ctl),
	[__NR_tgkill] = PARTIAL(tgkill, "ddd", tgkill, "as kill"),
	[__NR_utimes] = DONE(utimes, "sp", utimes),
	[__NR_vserver] = ENOSYS_(vserver, "no such call in Linux any more"),
	[__NR_mbind] = ENOSYS_(mbind, "one node, as a kernel without CONFIG_NUMA"),
	[__NR_set_mempolicy] = ENOSYS_(set_mempolicy, "one node, as a kernel without CONFIG_NUMA"),
	[__NR_get_mempolicy] = ENOSYS_(get_mempolicy, "one node, as a kernel without CONFIG_NUMA"),
	[__NR_mq_open] =
		ENOSYS_(mq_open, "no message queues, as a kernel without CONFIG_POSIX_MQUEUE"),
	[__NR_mq_unlink] =
		ENOSYS_(mq_unlink, "no message queues, as a kernel without CONFIG_POSIX_MQUEUE"),
	[__NR_mq_timedsend] =
		ENOSYS_(mq_timedsend, "no message queues, as a kernel without CONFIG_POSIX_MQUEUE"),
	[__NR_mq_timedreceive] = ENOSYS_(
		mq_timedreceive, "no message queues, as a kernel without CONFIG_POSIX_MQUEUE"),
	[__NR_mq_notify] =
		ENOSYS_(mq_notify, "no message queues, as a kernel without CONFIG_POSIX_MQUEUE"),
	[__NR_mq_getsetattr] = ENOSYS_(
		mq_getsetattr, "no message queues, as a kernel without CONFIG_POSIX_MQUEUE"),
	[__NR_kexec_load] = REFUSED(kexec_load, "", EPERM, "needs privilege"),
	[__NR_waitid] = DONE(waitid, "ddpxp", waitid),
	[__NR_add_key] = ENOSYS_(add_key, "no keys, as a kernel without CONFIG_KEYS"),
	[__NR_request_key] = ENOSYS_(request_key, "no keys, as a kernel without CONFIG_KEYS"),
	[__NR_keyctl] = ENOSYS_(keyctl, "no keys, as a kernel without CONFIG_KEYS"),
	[__NR_ioprio_set] = ENOSYS_(ioprio_set, "no block devices"),
	[__NR_ioprio_get] = ENOSYS_(ioprio_get, "no block devices"),
	[__NR_inotify_init] = PARTIAL(inotify_init, "", inotify_init, WATCHES_MISSING),
	[__NR_inotify_add_watch] =
		PARTIAL(inotify_add_watch, "dsx", inotify_add_watch, WATCHES_MISSING),
	[__NR_inotify_rm_watch] =
		PARTIAL(inotify_rm_watch, "dd", inotify_rm_watch, WATCHES_MISSING),
	[__NR_migrate_pages] = ENOSYS_(migrate_pages, "one node, as a kernel without CONFIG_NUMA"),
	[__NR_openat] = DONE(openat, "dsxo", openat),
	[__NR_mkdirat] = DONE(mkdirat, "dso", mkdirat),
	[__NR_mknodat] =
		PARTIAL(mknodat, "dsox", mknodat, "regular files; FIFOs and sockets are EPERM"),
	[__NR_fchownat] = PARTIAL(fchownat, "dsddx", fchownat,
				  "within what the host lets the engine; of a file that may be "
				  "read or written, and no link"),
	[__NR_futimesat] = DONE(futimesat, "dsp", futimesat),
	[__NR_newfstatat] = DONE(newfstatat, "dspx", newfstatat),
	[__NR_unlinkat] = DONE(unlinkat, "dsx", unlinkat),
	[__NR_renameat] = DONE(renameat, "dsds", renameat),
	[__NR_linkat] = DONE(linkat, "dsdsx", linkat),
	[__NR_symlinkat] = DONE(symlinkat, "sds", symlinkat),
	[__NR_readlinkat] = DONE(readlinkat, "dspu", readlinkat),
	[__NR_fchmodat] = PARTIAL(
		fchmodat, "dso", fchmodat,
		"not of a file that may be neither read nor written; set-id bits are EPERM"),
	[__NR_faccessat] = DONE(faccessat, "dso", faccessat),
	[__NR_pselect6] = PARTIAL(pselect6, "dppppp", pselect6, "as select"),
	[__NR_ppoll] = PARTIAL(ppoll, "pupp", ppoll, "as poll"),
	[__NR_unshare] = REFUSED(unshare, "", EPERM, "needs privilege"),
	[__NR_set_robust_list] = DONE(set_robust_list, "pu", set_robust_list),
	[__NR_get_robust_list] = DONE(get_robust_list, "dpp", get_robust_list),
	[__NR_splice] = PARTIAL(splice, "dpdpux", splice, "copies; at most 64 KiB a call"),
	[__NR_tee] = PARTIAL(tee, "ddux", tee, "copies; at most 64 KiB a call"),
	[__NR_sync_file_range] = DONE(sync_file_range, "duux", sync_file_range),
	[__NR_vmsplice] = PARTIAL(vmsplice, "dpux", vmsplice,
				  "copies: later changes of the memory are not seen"),
	[__NR_move_pages] = ENOSYS_(move_pages, "one node, as a kernel without CONFIG_NUMA"),
	[__NR_utimensat] = PARTIAL(utimensat, "dspx", utimensat,
				   "times of a symbolic link itself are EOPNOTSUPP"),
	[__NR_epoll_pwait] = DONE(epoll_pwait, "dpddpu", epoll_pwait),
	[__NR_signalfd] = DONE(signalfd, "dpu", signalfd),
	[__NR_timerfd_create] = DONE(timerfd_create, "dx", timerfd_create),
	[__NR_eventfd] = DONE(eventfd, "u", eventfd),
	[__NR_fallocate] = DONE(fallocate, "dxuu", fallocate),
	[__NR_timerfd_settime] =
		PARTIAL(timerfd_settime, "dxpp", timerfd_settime,
			"TFD_TIMER_CANCEL_ON_SET of a timer of the time of day is EINVAL"),
	[__NR_timerfd_gettime] = DONE(timerfd_gettime, "dp", timerfd_gettime),
	[__NR_accept4] = DONE(accept4, "dppx", accept4),
	[__NR_signalfd4] = DONE(signalfd4, "dpux", signalfd4),
	[__NR_eventfd2] = DONE(eventfd2, "ux", eventfd2),
	[__NR_epoll_create1] = DONE(epoll_create1, "x", epoll_create1),
	[__NR_dup3] = DONE(dup3, "ddx", dup3),
	[__NR_pipe2] = DONE(pipe2, "px", pipe2),
	[__NR_inotify_init1] = PARTIAL(inotify_init1, "x", inotify_init1, WATCHES_MISSING),
	[__NR_preadv] = DONE(preadv, "dpduu", preadv),
	[__NR_pwritev] = DONE(pwritev, "dpduu", pwritev),
	[__NR_rt_tgsigqueueinfo] = PARTIAL(rt_tgsigqueueinfo, "dddp", rt_tgsigqueueinfo, "as kill"),
	[__NR_perf_event_open] = REFUSED(perf_event_open, "", EACCES,
					 "counters of the host's processor would tell of others"),
	[__NR_recvmmsg] =
		PARTIAL(recvmmsg, "dpuxp", recvmmsg, "the time limit ends the waiting, too"),
	[__NR_fanotify_init] = REFUSED(fanotify_init, "", EPERM, "needs privilege"),
	[__NR_fanotify_mark] = ENOSYS_(fanotify_mark, "needs privilege"),
	[__NR_prlimit64] = PARTIAL(prlimit64, "ddpp", prlimit64, "of the program itself"),
	[__NR_name_to_handle_at] =
		REFUSED(name_to_handle_at, "", EOPNOTSUPP, "a handle reaches past permissions"),
	[__NR_open_by_handle_at] = REFUSED(open_by_handle_at, "", EPERM, "needs privilege"),
	[__NR_clock_adjtime] =
		PARTIAL(clock_adjtime, "dp", clock_adjtime, "as adjtimex; of CLOCK_REALTIME"),
	[__NR_syncfs] = PARTIAL(syncfs, "d", syncfs, "the files that the program has open"),
	[__NR_sendmmsg] = PARTIAL(sendmmsg, "dpux", sendmmsg, "as sendmsg"),
	[__NR_setns] = REFUSED(setns, "", EPERM, "needs privilege"),
	[__NR_getcpu] = DONE(getcpu, "ppp", getcpu),
	[__NR_process_vm_readv] = DONE(process_vm_readv, "dpupux", process_vm_readv),
	[__NR_process_vm_writev] = DONE(process_vm_writev, "dpupux", process_vm_writev),
	[__NR_kcmp] = DONE(kcmp, "dddxx", kcmp),
	[__NR_finit_module] = REFUSED(finit_module, "", EPERM, "needs privilege"),
	[__NR_sched_setattr] = DONE(sched_setattr, "dpx", sched_setattr),
	[__NR_sched_getattr] = DONE(sched_getattr, "dpux", sched_getattr),
	[__NR_renameat2] = DONE(renameat2, "dsdsx", renameat2),
	[__NR_seccomp] =
		ENOSYS_(seccomp, "no filters inside a VM, as a kernel without CONFIG_SECCOMP"),
	[__NR_getrandom] = DONE(getrandom, "pux", getrandom),
	[__NR_memfd_create] = PARTIAL(
		memfd_create, "sx", memfd_create,
		"no huge pages of their own: ENOSYS; a program that has one open cannot be frozen"),
	[__NR_kexec_file_load] = REFUSED(kexec_file_load, "", EPERM, "needs privilege"),
	[__NR_bpf] = REFUSED(bpf, "", EPERM, "needs privilege"),
	[__NR_execveat] = ENOSYS_(execveat, "one program"),
	[__NR_userfaultfd] = REFUSED(userfaultfd, "", EPERM, "faults are the engine's to handle"),
	[__NR_membarrier] = DONE(membarrier, "dxd", membarrier),
	[__NR_mlock2] = DONE(mlock2, "pxx", mlock2),
	[__NR_copy_file_range] = DONE(copy_file_range, "dpdpux", copy_file_range),
	[__NR_preadv2] = DONE(preadv2, "dpduux", preadv2),
	[__NR_pwritev2] = DONE(pwritev2, "dpduux", pwritev2),
	[__NR_pkey_mprotect] = ENOSYS_(pkey_mprotect, "no protection keys"),
	[__NR_pkey_alloc] = ENOSYS_(pkey_alloc, "no protection keys"),
	[__NR_pkey_free] = ENOSYS_(pkey_free, "no protection keys"),
	[__NR_statx] = DONE(statx, "dsxxp", statx),
	[__NR_io_pgetevents] = ENOSYS_(
		io_pgetevents, "no asynchronous I/O of the kernel, as one without CONFIG_AIO"),
	[__NR_rseq] = ENOSYS_(rseq, "as a kernel without CONFIG_RSEQ"),
	[NR_uretprobe] = ENOSYS_(uretprobe, "for probes of the kernel's own"),
	[NR_uprobe] = ENOSYS_(uprobe, "for probes of the kernel's own"),
	[__NR_pidfd_send_signal] = ENOSYS_(pidfd_send_signal, "there is no other process"),
	[__NR_io_uring_setup] =
		ENOSYS_(io_uring_setup, "no io_uring, as a kernel without CONFIG_IO_URING"),
	[__NR_io_uring_enter] =
		ENOSYS_(io_uring_enter, "no io_uring, as a kernel without CONFIG_IO_URING"),
	[__NR_io_uring_register] =
		ENOSYS_(io_uring_register, "no io_uring, as a kernel without CONFIG_IO_URING"),
	[__NR_open_tree] = REFUSED(open_tree, "", EPERM, "needs privilege"),
	[__NR_move_mount] = REFUSED(move_mount, "", EPERM, "needs privilege"),
	[__NR_fsopen] = REFUSED(fsopen, "", EPERM, "needs privilege"),
	[__NR_fsconfig] = REFUSED(fsconfig, "", EPERM, "needs privilege"),
	[__NR_fsmount] = REFUSED(fsmount, "", EPERM, "needs privilege"),
	[__NR_fspick] = REFUSED(fspick, "", EPERM, "needs privilege"),
	[__NR_pidfd_open] = ENOSYS_(pidfd_open, "there is no other process"),
	[__NR_clone3] = PARTIAL(clone3, "pu", clone3, "as clone"),
	[__NR_close_range] = DONE(close_range, "uux", close_range),
	[__NR_openat2] =
		PARTIAL(openat2, "dspu", openat2, "RESOLVE_CACHED is EAGAIN: nothing is cached"),
	[__NR_pidfd_getfd] = ENOSYS_(pidfd_getfd, "there is no other process"),
	[__NR_faccessat2] = DONE(faccessat2, "dsox", faccessat2),
	[__NR_process_madvise] = ENOSYS_(process_madvise, "there is no other process"),
	[__NR_epoll_pwait2] = DONE(epoll_pwait2, "dpdppu", epoll_pwait2),
	[__NR_mount_setattr] = REFUSED(mount_setattr, "", EPERM, "needs privilege"),
	[__NR_quotactl_fd] = REFUSED(quotactl_fd, "", EPERM, "needs privilege"),
	[__NR_landlock_create_ruleset] =
		ENOSYS_(landlock_create_ruleset, "no Landlock inside a VM, as a kernel without it"),
	[__NR_landlock_add_rule] =
		ENOSYS_(landlock_add_rule, "no Landlock inside a VM, as a kernel without it"),
	[__NR_landlock_restrict_self] =
		ENOSYS_(landlock_restrict_self, "no Landlock inside a VM, as a kernel without it"),
	[__NR_memfd_secret] = ENOSYS_(memfd_secret, "no secret memory, as a kernel without it"),
	[__NR_process_mrelease] = ENOSYS_(process_mrelease, "there is no other process"),
	[__NR_futex_waitv] = ENOSYS_(futex_waitv),
	[__NR_set_mempolicy_home_node] =
		ENOSYS_(set_mempolicy_home_node, "one node, as a kernel without CONFIG_NUMA"),
	[NR_cachestat] = ENOSYS_(cachestat, "newer than Linux 6.1"),
	[NR_fchmodat2] = PARTIAL(
		fchmodat2, "dsox", fchmodat2,
		"not of a file that may be neither read nor written; set-id bits are EPERM"),
	[NR_map_shadow_stack] = ENOSYS_(map_shadow_stack, "newer than Linux 6.1"),
	[NR_futex_wake] = ENOSYS_(futex_wake, "newer than Linux 6.1"),
	[NR_futex_wait] = ENOSYS_(futex_wait, "newer than Linux 6.1"),
	[NR_futex_requeue] = ENOSYS_(futex_requeue, "newer than Linux 6.1"),
	[NR_statmount] = ENOSYS_(statmount, "newer than Linux 6.1"),
	[NR_listmount] = ENOSYS_(listmount, "newer than Linux 6.1"),
	[NR_lsm_get_self_attr] =
		ENOSYS_(lsm_get_self_attr, "no Landlock inside a VM, as a kernel without it"),
	[NR_lsm_set_self_attr] =
		ENOSYS_(lsm_set_self_attr, "no Landlock inside a VM, as a kernel without it"),
	[NR_lsm_list_modules] =
		ENOSYS_(lsm_list_modules, "no Landlock inside a VM, as a kernel without it"),
	[NR_mseal] = ENOSYS_(mseal, "newer than Linux 6.1"),
	[NR_setxattrat] = ENOSYS_(setxattrat, "newer than Linux 6.1"),
	[NR_getxattrat] = ENOSYS_(getxattrat, "newer than Linux 6.1"),
	[NR_listxattrat] = ENOSYS_(listxattrat, "newer than Linux 6.1"),
	[NR_removexattrat] = ENOSYS_(removexattrat, "newer than Linux 6.1"),
	[NR_open_tree_attr] = ENOSYS_(open_tree_attr, "newer than Linux 6.1"),
	[NR_file_getattr] = ENOSYS_(file_getattr, "newer than Linux 6.1"),
	[NR_file_setattr] = ENOSYS_(file_setattr, "newer than Linux 6.1"),

	NO_FILES(rt_sigprocmask),
	NO_FILES(rt_sigreturn),
	NO_FILES(sched_yield),
	NO_FILES(nanosleep),
	NO_FILES(clock_nanosleep),
	NO_FILES(clock_gettime),
	NO_FILES(gettimeofday),
	NO_FILES(time),
	NO_FILES(getpid),
	NO_FILES(gettid),
	NO_FILES(getuid),
	NO_FILES(geteuid),
	NO_FILES(getgid),
	NO_FILES(getegid),
	NO_FILES(getppid),
	NO_FILES(futex),
	NO_FILES(tgkill),
	NO_FILES(getrandom),
};

/* The program is somebody else than the engine: see credentials.h. */
static int64_t call_as_program(struct mf_process *process, const struct mf_syscall *call,
			       const uint64_t arg[6])
{
	bool taken = mf_ids_enter(process);
	int64_t ret;

	if (!taken && strchr(call->format, 's'))
		return -EPERM;
	ret = call->call(process, arg);
	if (taken)
		mf_ids_leave();
	return ret;
}

int64_t mf_syscall_dispatch(struct mf_process *process, uint64_t number, const uint64_t arg[6])
{
	const struct mf_syscall *call = number < MF_SYSCALLS ? &mf_syscalls[number] : NULL;

	if (call && call->call)
		return mf_linux(process)->ids.changed && !call->no_files
			       ? call_as_program(process, call, arg)
			       : call->call(process, arg);
	return call && call->error ? -call->error : -ENOSYS;
}
