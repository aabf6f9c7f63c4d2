/* SPDX-License-Identifier: MIT */
/* Who a process is, and that there is no other. */
#include "case.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

CASE(setting_ids, setuid, setgid, setreuid, setregid, setresuid, setresgid, getresuid, getresgid,
     setfsuid, setfsgid)
{
	unsigned int uid = getuid(), gid = getgid(), a[3] = {0};

	SHOW(SYS(getresuid, &a[0], &a[1], &a[2]));
	SHOW(a[0] == uid && a[1] == uid && a[2] == uid);
	SHOW(SYS(getresgid, &a[0], &a[1], &a[2]));
	SHOW(a[0] == gid && a[1] == gid && a[2] == gid);
	SHOW(SYS(getresuid, NOWHERE, &a[1], &a[2]));
	SHOW(SYS(getresuid, &a[0], &a[1], NULL));
	SHOW(SYS(setuid, uid));
	SHOW(SYS(setuid, 0));
	SHOW(SYS(setuid, -1));
	SHOW(SYS(setgid, gid));
	SHOW(SYS(setgid, 0));
	SHOW(SYS(setgid, -1));
	SHOW(SYS(setreuid, -1, uid));
	SHOW(SYS(setreuid, -1, 5));
	SHOW(SYS(setreuid, -1, -1));
	SHOW(SYS(setregid, gid, gid));
	SHOW(SYS(setregid, 5, gid));
	SHOW(SYS(setresuid, uid, -1, uid));
	SHOW(SYS(setresuid, uid, -1, 5));
	SHOW(SYS(setresgid, -1, -1, -1));
	SHOW(SYS(setresgid, -1, 5, -1));
	SHOW(SYS(setfsuid, uid) == uid);
	SHOW(SYS(setfsuid, 0) == uid);
	SHOW(SYS(setfsuid, -1) == uid);
	SHOW(SYS(setfsgid, 5) == gid);
	SHOW(SYS(setgroups, 0, NULL));
}

CASE(a_session_of_its_own, getpgrp, getpgid, getsid, setpgid, setsid)
{
	SHOW(SYS(getpgrp) == getpid());
	SHOW(SYS(getpgid, 0) == getpid());
	SHOW(SYS(getpgid, getpid()) == getpid());
	SHOW(SYS(getpgid, 99999999));
	SHOW(SYS(getpgid, -1));
	SHOW(SYS(getsid, 0) == getpid());
	SHOW(SYS(getsid, 99999999));
	SHOW(SYS(setsid));
	SHOW(SYS(setpgid, 0, 0));
	SHOW(SYS(setpgid, 0, -1));
	SHOW(SYS(setpgid, 99999999, 0));
}

CASE(no_capabilities, capget, capset)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	memset(data, 7, sizeof(data));
	SHOW(SYS(capget, &header, data));
	SHOW(data[0].effective | data[0].permitted | data[0].inheritable);
	SHOW(data[1].effective | data[1].permitted | data[1].inheritable);
	SHOW(SYS(capset, &header, data));
	data[0].effective = 1;
	SHOW(SYS(capset, &header, data));
	header.version = 0;
	SHOW(SYS(capget, &header, NULL));
	SHOW(header.version);
	header.version = 1;
	SHOW(SYS(capget, &header, data));
	SHOW(header.version);
	header.version = 1;
	SHOW(SYS(capset, &header, data));
	header.pid = 99999999;
	SHOW(SYS(capget, &header, data));
	SHOW(SYS(capset, &header, data));
	header.pid = -1;
	SHOW(SYS(capget, &header, data));
	SHOW(SYS(capget, NOWHERE, data));
	header.pid = 0;
	SHOW(SYS(capget, &header, NOWHERE));
	SHOW(SYS(capset, &header, NULL));
}

CASE(no_children, wait4, waitid)
{
	siginfo_t info;
	int status;

	SHOW(SYS(wait4, -1, &status, 0, NULL));
	SHOW(SYS(wait4, -1, &status, WNOHANG, NULL));
	SHOW(SYS(wait4, 77, &status, WUNTRACED, NULL));
	SHOW(SYS(wait4, 0, NULL, 0, NULL));
	SHOW(SYS(wait4, -1, &status, 0x100, NULL));
	SHOW(SYS(wait4, 1u << 31, &status, 0, NULL));
	SHOW(SYS(waitid, P_ALL, 0, &info, WEXITED, NULL));
	SHOW(SYS(waitid, P_ALL, 0, &info, 0, NULL));
	SHOW(SYS(waitid, P_PID, 77, &info, WEXITED | WNOHANG, NULL));
	SHOW(SYS(waitid, P_PID, 0, &info, WEXITED, NULL));
	SHOW(SYS(waitid, P_PGID, 0, &info, WEXITED, NULL));
	SHOW(SYS(waitid, P_PGID, -1, &info, WEXITED, NULL));
	SHOW(SYS(waitid, 9, 77, &info, WEXITED, NULL));
	SHOW(SYS(waitid, P_ALL, 0, &info, WEXITED | 0x100, NULL));
}

CASE(nice_values, getpriority, setpriority)
{
	SHOW(SYS(getpriority, PRIO_PROCESS, 0));
	SHOW(SYS(getpriority, PRIO_PROCESS, getpid()));
	SHOW(SYS(getpriority, PRIO_PROCESS, 99999999));
	SHOW(SYS(getpriority, PRIO_USER, getuid()));
	SHOW(SYS(getpriority, 3, 0));
	SHOW(SYS(setpriority, PRIO_PROCESS, 0, 0));
	SHOW(SYS(setpriority, PRIO_PROCESS, 0, -5));
	SHOW(SYS(setpriority, 3, 0, 0));
}

CASE(its_own_memory, process_vm_readv, process_vm_writev)
{
	char from[9] = "abcdefgh", a[4] = "", b[8] = "";
	struct iovec local[2] = {{a, 3}, {b, 7}}, remote[2] = {{from, 4}, {from + 4, 4}};
	struct iovec bad[2] = {{from, 4}, {NOWHERE, 4}};

	SHOW(SYS(process_vm_readv, getpid(), local, 2, remote, 2, 0));
	show_bytes("a", a, 3);
	show_bytes("b", b, 7);
	memcpy(a, "xyz", 3);
	SHOW(SYS(process_vm_writev, getpid(), local, 1, remote, 2, 0));
	show_bytes("from", from, 8);
	SHOW(SYS(process_vm_readv, getpid(), local, 2, bad, 2, 0));
	SHOW(SYS(process_vm_readv, getpid(), local, 2, bad + 1, 1, 0));
	SHOW(SYS(process_vm_readv, getpid(), NOWHERE, 2, remote, 2, 0));
	SHOW(SYS(process_vm_readv, getpid(), local, 2, NOWHERE, 2, 0));
	SHOW(SYS(process_vm_readv, getpid(), local, 2, remote, 2, 1));
	SHOW(SYS(process_vm_readv, getpid(), local, 2, remote, 1025, 0));
	SHOW(SYS(process_vm_readv, getpid(), local, 0, remote, 2, 0));
	SHOW(SYS(process_vm_readv, 99999999, local, 2, remote, 2, 0));
}

CASE(comparing_with_itself, kcmp)
{
	int fd = open(".", O_RDONLY), other = dup(fd), third = open(".", O_RDONLY);
	int pid = getpid();

	SHOW(SYS(kcmp, pid, pid, KCMP_FILE, fd, other));
	SHOW(SYS(kcmp, pid, pid, KCMP_FILE, fd, third) > 0);
	SHOW(SYS(kcmp, pid, pid, KCMP_FILE, fd, 99));
	SHOW(SYS(kcmp, pid, pid, KCMP_VM, 0, 0));
	SHOW(SYS(kcmp, pid, pid, KCMP_FS, 0, 0));
	SHOW(SYS(kcmp, pid, pid, 77, 0, 0));
	SHOW(SYS(kcmp, pid, 99999999, KCMP_VM, 0, 0));
}

/* What a process says of itself and is told again. */
CASE(prctl_keeps_what_it_is_told, prctl)
{
	int value = -1;

	SHOW(SYS(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_DUMPABLE, 2, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_PDEATHSIG, &value, 0, 0, 0));
	SHOW(value);
	SHOW(SYS(prctl, PR_GET_PDEATHSIG, NOWHERE, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_PDEATHSIG, 99, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_KEEPCAPS, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_KEEPCAPS, 2, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_CHILD_SUBREAPER, 5, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_CHILD_SUBREAPER, &value, 0, 0, 0));
	SHOW(value);
	SHOW(SYS(prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_THP_DISABLE, 1, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0));
	SHOW(SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_NO_NEW_PRIVS, 0, 1, 0, 0));
	SHOW(SYS(prctl, PR_GET_TSC, &value, 0, 0, 0));
	SHOW(value);
	SHOW(SYS(prctl, PR_GET_SECCOMP, 0, 0, 0, 0));
	SHOW(SYS(prctl, PR_GET_SECUREBITS, 0, 0, 0, 0));
	SHOW(SYS(prctl, 12345, 0, 0, 0, 0));
}
