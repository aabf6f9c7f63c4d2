/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/linux/socket_option.h"
#include "tenant/confine_steps.h"
#include "tenant/seccomp_calls.h"

#define NUMBERS_END 512 /* x32's numbers begin here */
/* pidfd_open: from here on a C library of Debian 12's age has a way without the call. */
#define FIRST_NEW_NUMBER 434
#define LOW32            UINT64_C(0xffffffff)

/* Namespaces are made with clone3 and unshare; a thread may not take one along either. */
#define CLONE_ASKED                                                                              \
	((uint64_t)(CLONE_THREAD | CLONE_PTRACE | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | \
		    CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))

/* The filter while it is made. The first failure sticks: later rules are not added. */
struct builder {
	scmp_filter_ctx filter;
	int rc;
	int failed_number;
	unsigned calls;
	bool seen[NUMBERS_END];
};

static void add(struct builder *b, uint32_t action, int number, unsigned count,
		const struct scmp_arg_cmp *args)
{
	if (b->rc != 0)
		return;
	b->rc = seccomp_rule_add_array(b->filter, action, number, count, args);
	b->failed_number = number;
	b->calls += !b->seen[number];
	b->seen[number] = true;
}

static void allow(struct builder *b, int number)
{
	add(b, SCMP_ACT_ALLOW, number, 0, NULL);
}

static void allow_list(struct builder *b, const struct call_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (!b->seen[list->numbers[i]])
			allow(b, list->numbers[i]);
	}
}

/* Allowed when (argument & mask) == value. */
static void allow_if(struct builder *b, int number, unsigned argument, uint64_t mask,
		     uint64_t value)
{
	struct scmp_arg_cmp arg = SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value);

	add(b, SCMP_ACT_ALLOW, number, 1, &arg);
}

static void add_ioctls(struct builder *b, const struct mf_confine *c)
{
	static const uint32_t always[] = {FIONREAD, FIONBIO, FIOCLEX, TCGETS, SIOCOUTQ, SIOCATMARK};

	/* The kernel takes the request as unsigned int: the upper half is noise. */
	for (size_t i = 0; i < c->ioctl_count; i++)
		allow_if(b, SYS_ioctl, 1, LOW32, c->ioctls[i]);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		allow_if(b, SYS_ioctl, 1, LOW32, always[i]);
}

static void add_fcntls(struct builder *b)
{
	/* F_SETOWN and F_SETSIG, which send signals elsewhere, stay out. */
	static const uint32_t commands[] = {
		F_DUPFD,     F_DUPFD_CLOEXEC, F_GETFD,      F_SETFD,      F_GETFL,     F_SETFL,
		F_GETLK,     F_SETLK,         F_SETLKW,     F_OFD_GETLK,  F_OFD_SETLK, F_OFD_SETLKW,
		F_ADD_SEALS, F_GET_SEALS,     F_SETPIPE_SZ, F_GETPIPE_SZ,
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		allow_if(b, SYS_fcntl, 1, LOW32, commands[i]);
}

static void allow_option(struct builder *b, uint64_t level, uint64_t option)
{
	struct scmp_arg_cmp args[] = {SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, LOW32, level),
				      SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, LOW32, option)};

	add(b, SCMP_ACT_ALLOW, SYS_setsockopt, 2, args);
}

static bool has_family(const struct mf_permit_net *net, int family)
{
	return mf_permit_net_has(net, MF_NET_CONNECT, family) ||
	       mf_permit_net_has(net, MF_NET_LISTEN, family);
}

/* Sockets that are made: of families for which there is a rule, and what may be asked of them. */
static void add_net_calls(struct builder *b, const struct mf_permit_net *net)
{
	static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
	const struct scmp_arg_cmp netlink[] = {
		SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, LOW32, AF_NETLINK),
		SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, LOW32, NETLINK_ROUTE)};
	static const uint32_t requests[] = {
		SIOCGIFCONF,    SIOCGIFNAME,   SIOCGIFINDEX,   SIOCGIFFLAGS,
		SIOCGIFADDR,    SIOCGIFHWADDR, SIOCGIFNETMASK, SIOCGIFBRDADDR,
		SIOCGIFDSTADDR, SIOCGIFMTU,    SIOCGIFMETRIC,  SIOCGIFTXQLEN,
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (has_family(net, families[i]) ||
		    (families[i] == AF_INET6 && has_family(net, AF_INET)))
			allow_if(b, SYS_socket, 0, LOW32, (uint64_t)families[i]);
	}
	if (!b->seen[SYS_socket])
		return;
	add(b, SCMP_ACT_ALLOW, SYS_socket, 2, netlink);
	allow(b, SYS_connect);
	allow(b, SYS_bind);
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		allow_if(b, SYS_ioctl, 1, LOW32, requests[i]);
}

static void add_socket_calls(struct builder *b, const struct mf_permit_net *net)
{
	size_t count;
	const struct mf_socket_option *options = mf_socket_options(&count);

	for (size_t i = 0; i < count; i++) {
		if (options[i].use & MF_OPTION_SET)
			allow_option(b, (uint64_t)options[i].level, (uint64_t)options[i].name);
	}
	allow_if(b, SYS_socketpair, 0, LOW32, AF_UNIX);
	/* send(): to the peer that is there, never to an address. */
	allow_if(b, SYS_sendto, 4, UINT64_MAX, 0);
	add_net_calls(b, net);
}

/* Of the calling thread. Its values are in memory: mf_priority_prepare() left no right to bad ones.
 */
static void add_priority_calls(struct builder *b, const struct mf_priority *priority)
{
	if (priority->changes)
		allow_if(b, SYS_sched_setattr, 0, LOW32, 0);
}

static void add_memory_calls(struct builder *b)
{
	allow_if(b, SYS_mmap, 2, PROT_EXEC, 0);
	allow_if(b, SYS_mprotect, 2, PROT_EXEC, 0);
}

static void add_process_calls(struct builder *b)
{
	struct scmp_arg_cmp no_thread =
		SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, (uint64_t)CLONE_THREAD, 0);
	struct scmp_arg_cmp read_limit[] = {SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, LOW32, 0),
					    SCMP_CMP64(2, SCMP_CMP_MASKED_EQ, UINT64_MAX, 0)};

	if (!b->seen[SYS_clone]) {
		allow_if(b, SYS_clone, 0, CLONE_ASKED, CLONE_THREAD);
		add(b, SCMP_ACT_TRAP, SYS_clone, 1, &no_thread);
	}
	if (!b->seen[SYS_kill])
		allow_if(b, SYS_kill, 0, LOW32, (uint32_t)getpid());
	allow_if(b, SYS_tgkill, 0, LOW32, (uint32_t)getpid());
	allow_if(b, SYS_sched_setaffinity, 0, LOW32, 0);
	if (!b->seen[SYS_prctl]) {
		allow_if(b, SYS_prctl, 0, LOW32, PR_SET_NAME);
		allow_if(b, SYS_prctl, 0, LOW32, PR_GET_NAME);
	}
	if (!b->seen[SYS_prlimit64])
		add(b, SCMP_ACT_ALLOW, SYS_prlimit64, 2, read_limit);
}

/*
 * What SIGSYS does stays as it is. The kernel takes the number as int and a filter compares 64 bits
 * without a masked "not equal": another signal is one that differs from SIGSYS in one of its bits.
 */
static void add_sigaction(struct builder *b)
{
	struct scmp_arg_cmp sigsys = SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, LOW32, SIGSYS);

	add(b, SCMP_ACT_KILL_PROCESS, SYS_rt_sigaction, 1, &sigsys);
	for (uint64_t bit = 1; bit <= 64; bit <<= 1)
		allow_if(b, SYS_rt_sigaction, 0, bit, ~(uint64_t)SIGSYS & bit);
}

/* fstat(fd) is newfstatat(fd, "", ..., AT_EMPTY_PATH) in glibc. */
static void add_stat_calls(struct builder *b)
{
	if (!b->seen[SYS_newfstatat])
		allow_if(b, SYS_newfstatat, 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
	if (!b->seen[SYS_statx])
		allow_if(b, SYS_statx, 2, AT_EMPTY_PATH, AT_EMPTY_PATH);
}

static void add_refusals(struct builder *b)
{
	static const int opening[] = {SYS_open, SYS_openat, SYS_openat2, SYS_creat};
	static const int with_fallback[] = {SYS_io_uring_setup, SYS_io_uring_enter,
					    SYS_io_uring_register};

	for (size_t i = 0; i < sizeof(opening) / sizeof(opening[0]); i++) {
		if (!b->seen[opening[i]])
			add(b, SCMP_ACT_ERRNO(EACCES), opening[i], 0, NULL);
	}
	for (const struct call_name *c = mf_calls_deadly; c->name != NULL; c++) {
		if (!b->seen[c->number])
			add(b, SCMP_ACT_TRAP, c->number, 0, NULL);
	}
	for (size_t i = 0; i < sizeof(with_fallback) / sizeof(with_fallback[0]); i++)
		add(b, SCMP_ACT_ERRNO(ENOSYS), with_fallback[i], 0, NULL);
	/* clone3 is among these: its flags are in memory, where no filter can read them. */
	for (int number = FIRST_NEW_NUMBER; number < NUMBERS_END; number++) {
		if (!b->seen[number])
			add(b, SCMP_ACT_ERRNO(ENOSYS), number, 0, NULL);
	}
}

static void add_rules(struct builder *b, const struct mf_confine *c)
{
	allow_list(b, &mf_calls_base);
	if (MF_CONFINE_SANITIZER)
		allow_list(b, &mf_calls_sanitizer);
	if (c->flags & MF_CONFINE_OPEN_FILES) {
		allow_list(b, &mf_calls_open);
		/* futimens: a path would be out of Landlock's reach */
		allow_if(b, SYS_utimensat, 1, UINT64_MAX, 0);
	}
	if (c->flags & MF_CONFINE_CHANGE_FILES)
		allow_list(b, &mf_calls_change);
	if (c->unlink_dir_count != 0)
		allow_list(b, &mf_calls_unlink);
	add_ioctls(b, c);
	add_fcntls(b);
	add_socket_calls(b, c->net);
	add_memory_calls(b);
	if (c->priority)
		add_priority_calls(b, c->priority);
	add_process_calls(b);
	add_sigaction(b);
	add_stat_calls(b);
	add_refusals(b);
}

static size_t append(char *line, size_t at, size_t max, const char *text)
{
	while (*text != 0 && at < max)
		line[at++] = *text++;
	return at;
}

static size_t append_number(char *line, size_t at, size_t max, unsigned number)
{
	char digits[12];
	size_t i = sizeof(digits) - 1;

	digits[i] = 0;
	do
		digits[--i] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	return append(line, at, max, digits + i);
}

/*
 * One sentence, then the end: changing what SIGSYS does is the filter's only plain KILL_PROCESS,
 * and unlike a raised signal it ends a process that is init of its namespace, too. A second thread
 * that gets here meets SIG_DFL (SA_RESETHAND).
 */
static void on_sigsys(int signal_number, siginfo_t *info, void *context)
{
	char line[160];
	size_t n = append(line, 0, sizeof(line), "mayfly: confinement: system call ");
	ssize_t written;

	n = append(line, n, sizeof(line), mf_calls_name(info->si_syscall));
	n = append(line, n, sizeof(line), " (");
	n = append_number(line, n, sizeof(line), (unsigned)info->si_syscall);
	n = append(line, n, sizeof(line), ") is forbidden in an engine process: ending it\n");
	written = write(STDERR_FILENO, line, n);
	(void)written;
	syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, 8);
	_exit(128 + SIGSYS);
}

static int install_sigsys(struct mf_error *err)
{
	struct sigaction action = {.sa_sigaction = on_sigsys,
				   .sa_flags = (int)(SA_SIGINFO | SA_RESETHAND | SA_ONSTACK)};

	sigfillset(&action.sa_mask);
	if (sigaction(SIGSYS, &action, NULL) != 0)
		return mf_error_set(err, -errno, "confinement: cannot handle SIGSYS: %s",
				    strerror(errno));
	return 0;
}

static int set_attributes(scmp_filter_ctx filter)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* binary tree */
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	return rc;
}

static int build_and_load(struct builder *b, const struct mf_confine *c, struct mf_error *err)
{
	int rc = set_attributes(b->filter);

	if (rc != 0)
		return mf_error_set(err, rc, "confinement: libseccomp cannot do what it must: %s",
				    strerror(-rc));
	add_rules(b, c);
	if (b->rc != 0)
		return mf_error_set(err, b->rc, "confinement: no rule for system call %d: %s",
				    b->failed_number, strerror(-b->rc));
	rc = install_sigsys(err);
	if (rc != 0)
		return rc;
	rc = seccomp_load(b->filter);
	if (rc == 0)
		return 0;
	/* With TSYNC a positive value is the thread that has a filter of its own (seccomp(2)). */
	return mf_error_set(err, rc < 0 ? rc : -ESRCH,
			    "confinement: cannot load the seccomp filter: %s",
			    rc < 0 ? strerror(-rc) : "a thread has another filter");
}

int mf_confine_seccomp(const struct mf_confine *confine, struct mf_confine_report *report,
		       struct mf_error *err)
{
	struct builder b = {.filter = seccomp_init(SCMP_ACT_ERRNO(EPERM))};
	int rc;

	if (b.filter == NULL)
		return mf_error_set(err, -ENOMEM, "confinement: no memory for the seccomp filter");
	rc = build_and_load(&b, confine, err);
	seccomp_release(b.filter);
	if (rc != 0)
		return rc;
	report->seccomp = true;
	report->syscall_count = b.calls;
	return 0;
}
