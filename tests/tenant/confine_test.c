/* SPDX-License-Identifier: MIT */
/*
 * What a confined process can and cannot do. Each case forks a child that confines itself and then
 * tries one thing; the parent asserts the exact way it ended.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tenant/confine.h"
#include "tenant/confine_steps.h"

#define NEEDS_LANDLOCK()                                             \
	do {                                                         \
		if (mf_confine_landlock_abi() == 0)                  \
			cr_skip_test("this kernel has no Landlock"); \
	} while (0)
#define NOT_UNDER_SANITIZER()                                             \
	do {                                                              \
		if (MF_CONFINE_SANITIZER)                                 \
			cr_skip_test("sanitizer builds leave this open"); \
	} while (0)

/* What a child says: how it ended and its stderr. */
struct outcome {
	int status;
	char text[2000];
};

static char folder[64]; /* the one folder that cases may allow */
static char outside[64];

static struct outcome run_child(int (*body)(void))
{
	struct outcome outcome = {0};
	size_t length = 0;
	ssize_t n;
	int ends[2];
	pid_t pid;

	cr_assert_eq(pipe(ends), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		alarm(20);
		dup2(ends[1], STDERR_FILENO);
		_exit(body());
	}
	close(ends[1]);
	while ((n = read(ends[0], outcome.text + length, sizeof(outcome.text) - 1 - length)) > 0)
		length += (size_t)n;
	close(ends[0]);
	cr_assert_eq(waitpid(pid, &outcome.status, 0), pid);
	return outcome;
}

static void expect_pass(int (*body)(void))
{
	struct outcome o = run_child(body);

	cr_assert(WIFEXITED(o.status) && WEXITSTATUS(o.status) == 0, "status 0x%x, stderr: %s",
		  (unsigned)o.status, o.text);
}

/* The child dies of SIGSYS and says which call did it; `word` may be NULL: no sentence. */
static void expect_death(int (*body)(void), const char *word)
{
	struct outcome o = run_child(body);

	cr_assert(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGSYS, "status 0x%x, stderr: %s",
		  (unsigned)o.status, o.text);
	if (word != NULL)
		cr_assert_not_null(strstr(o.text, word), "stderr: %s", o.text);
	else
		cr_assert_str_empty(o.text);
}

/* In the child: say what is wrong and fail. */
#define CHECK(condition)                                                                         \
	do {                                                                                     \
		if (!(condition)) {                                                              \
			dprintf(STDERR_FILENO, "line %d: %s (errno %d)\n", __LINE__, #condition, \
				errno);                                                          \
			return 1;                                                                \
		}                                                                                \
	} while (0)
#define CHECK_ERRNO(call, code) CHECK((errno = 0, (call) == -1 && errno == (code)))

static int confine(const struct mf_confine *c)
{
	struct mf_confine_report report;
	struct mf_error err = {0};
	int rc = mf_confine_enter(c, &report, &err);

	if (rc != 0)
		dprintf(STDERR_FILENO, "confine: %d %s\n", rc, err.text);
	return rc;
}

static int confine_tightest(void)
{
	return confine(&(struct mf_confine){0});
}

static void make_files(void)
{
	char path[128];

	snprintf(folder, sizeof(folder), "/tmp/mf_confine_%d", (int)getpid());
	snprintf(outside, sizeof(outside), "/tmp/mf_confine_out_%d", (int)getpid());
	cr_assert_eq(mkdir(folder, 0777), 0);
	chmod(folder, 0777);
	snprintf(path, sizeof(path), "%s/inside", folder);
	close(open(path, O_CREAT | O_WRONLY, 0666));
	chmod(path, 0666);
	close(open(outside, O_CREAT | O_WRONLY, 0666));
}

static void remove_files(void)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf %s %s", folder, outside);
	cr_assert_eq(system(command), 0);
}

TestSuite(confine, .timeout = 60);
TestSuite(confine_files, .init = make_files, .fini = remove_files, .timeout = 60);

/* ---- deadly calls ---- */

#define DEADLY(test_name, word, call)                \
	static int try_##test_name(void)             \
	{                                            \
		CHECK(confine_tightest() == 0);      \
		(void)!(call);                       \
		return 2;                            \
	}                                            \
	Test(confine, test_name)                     \
	{                                            \
		expect_death(try_##test_name, word); \
	}

static char *no_words[] = {NULL};

DEADLY(execve_ends_the_process, "execve (59)", execve("/bin/true", no_words, no_words))
DEADLY(execveat_ends_the_process, "execveat",
       syscall(SYS_execveat, 0, "", no_words, no_words, AT_EMPTY_PATH))
DEADLY(tcp_socket_ends_the_process, "socket (41)", socket(AF_INET, SOCK_STREAM, 0))
DEADLY(unix_socket_ends_the_process, "socket (41)", socket(AF_UNIX, SOCK_STREAM, 0))
DEADLY(connect_ends_the_process, "connect", connect(0, NULL, 0))
DEADLY(vfork_ends_the_process, "vfork", syscall(SYS_vfork))
DEADLY(raw_fork_ends_the_process, "fork", syscall(SYS_fork))
DEADLY(process_vm_writev_ends_the_process, "process_vm_writev",
       syscall(SYS_process_vm_writev, getppid(), NULL, 0, NULL, 0, 0))
DEADLY(bpf_ends_the_process, "bpf", syscall(SYS_bpf, 0, NULL, 0))
DEADLY(perf_event_open_ends_the_process, "perf_event_open", syscall(SYS_perf_event_open, 0))
DEADLY(userfaultfd_ends_the_process, "userfaultfd", syscall(SYS_userfaultfd, 0))
DEADLY(mount_ends_the_process, "mount", syscall(SYS_mount, 0, 0, 0, 0, 0))
DEADLY(unshare_ends_the_process, "unshare", syscall(SYS_unshare, 0))
DEADLY(keyctl_ends_the_process, "keyctl", syscall(SYS_keyctl, 0))
DEADLY(pidfd_getfd_ends_the_process, "pidfd_getfd", syscall(SYS_pidfd_getfd, 0, 0, 0))
DEADLY(changing_sigsys_ends_the_process, NULL, syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, 8))
DEADLY(changing_sigsys_by_a_wide_number_ends_the_process, NULL,
       syscall(SYS_rt_sigaction, 0x500000000 + SIGSYS, NULL, NULL, 8))
DEADLY(a_32_bit_call_ends_the_process, NULL, ({
	       long rc = 20; /* getpid of i386 */
	       __asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
	       rc == -ENOSYS;
       }))
DEADLY(an_x32_call_ends_the_process, NULL, syscall(0x40000000 + SYS_getpid))

static int try_fork(void)
{
	CHECK(confine_tightest() == 0);
	if (fork() == 0)
		_exit(0);
	return 2;
}

Test(confine, fork_ends_the_process)
{
	NOT_UNDER_SANITIZER();
	expect_death(try_fork, "clone (56)");
}

static int try_ptrace(void)
{
	CHECK(confine_tightest() == 0);
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
	return 2;
}

Test(confine, ptrace_ends_the_process)
{
	NOT_UNDER_SANITIZER();
	expect_death(try_ptrace, "ptrace (101)");
}

static int try_personality(void)
{
	CHECK(confine_tightest() == 0);
	syscall(SYS_personality, 0x0400000);
	return 2;
}

Test(confine, personality_ends_the_process)
{
	NOT_UNDER_SANITIZER();
	expect_death(try_personality, "personality");
}

/* ---- refused with an errno ---- */

static int try_exec_memory(void)
{
	char *page;

	CHECK(confine_tightest() == 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	CHECK_ERRNO(mprotect(page, 4096, PROT_READ | PROT_EXEC), EPERM);
	CHECK_ERRNO(mprotect(page, 4096, PROT_EXEC), EPERM);
	CHECK_ERRNO(syscall(SYS_pkey_mprotect, page, 4096, PROT_EXEC, -1), EPERM);
	CHECK(mprotect(page, 4096, PROT_READ) == 0);
	CHECK_ERRNO(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		    EPERM);
	return 0;
}

Test(confine, executable_memory_is_refused)
{
	expect_pass(try_exec_memory);
}

static int try_priority(void)
{
	struct mf_priority priority;
	const struct mf_confine confinement = {.priority = &priority};
	const struct sched_param real_time = {.sched_priority = 1};
	int nice = getpriority(PRIO_PROCESS, 0);

	mf_priority_prepare(&priority);
	CHECK(priority.changes);
	/* Without its right, whoever it is: before the filter, which would refuse it as well. */
	CHECK_ERRNO(sched_setscheduler(0, SCHED_FIFO, &real_time), EPERM);
	CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, nice - 1), EACCES);
	mf_priority_set(&priority, true);
	CHECK(sched_getscheduler(0) == SCHED_BATCH);
	CHECK(getpriority(PRIO_PROCESS, 0) == priority.low_nice);
	mf_priority_set(&priority, false);
	CHECK(sched_getscheduler(0) == SCHED_OTHER);
	CHECK(getpriority(PRIO_PROCESS, 0) == nice);
	CHECK(confine(&confinement) == 0);
	CHECK_ERRNO(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
	CHECK_ERRNO(sched_setscheduler(0, SCHED_FIFO, &real_time), EPERM);
	CHECK_ERRNO(syscall(SYS_sched_setattr, getppid(), NULL, 0), EPERM);
	CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, 19), EPERM);
	CHECK_ERRNO(setpriority(PRIO_PROCESS, getppid(), 19), EPERM);
	CHECK_ERRNO(setpriority(PRIO_USER, 0, 19), EPERM);
	return 0;
}

Test(confine, a_thread_lowers_and_raises_itself_and_nothing_else)
{
	expect_pass(try_priority);
}

static int try_no_priority(void)
{
	CHECK(confine_tightest() == 0);
	CHECK_ERRNO(setpriority(PRIO_PROCESS, 0, 0), EPERM);
	CHECK_ERRNO(syscall(SYS_sched_setattr, 0, NULL, 0), EPERM);
	return 0;
}

Test(confine, without_a_rule_no_priority_changes)
{
	expect_pass(try_no_priority);
}

static int try_open(void)
{
	CHECK(confine_tightest() == 0);
	CHECK_ERRNO(open("/etc/passwd", O_RDONLY), EACCES);
	CHECK_ERRNO(syscall(SYS_open, "/etc/passwd", O_RDONLY), EACCES);
	CHECK_ERRNO(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0), EACCES);
	CHECK_ERRNO(syscall(SYS_creat, "/tmp/x", 0600), EACCES);
	return 0;
}

Test(confine, open_is_refused_as_landlock_would)
{
	NOT_UNDER_SANITIZER();
	expect_pass(try_open);
}

static int try_ioctls(void)
{
	static const uint32_t list[] = {KVM_CHECK_EXTENSION};
	struct mf_confine c = {.ioctls = list, .ioctl_count = 1};
	int kvm = open("/dev/kvm", O_RDWR);
	int fd = kvm >= 0 ? kvm : eventfd(0, 0);

	CHECK(fd >= 0);
	CHECK(confine(&c) == 0);
	if (kvm >= 0)
		CHECK(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS) > 0);
	else
		CHECK_ERRNO(ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), ENOTTY);
	/* the kernel ignores the upper half, so may the caller */
	CHECK(syscall(SYS_ioctl, fd, 0xffffffff00000000 | KVM_CHECK_EXTENSION, 0) >= 0 || kvm < 0);
	CHECK_ERRNO(ioctl(fd, KVM_GET_API_VERSION, 0), EPERM);
	CHECK_ERRNO(ioctl(fd, KVM_CREATE_VM, 0), EPERM);
	CHECK_ERRNO(syscall(SYS_ioctl, fd, 0xffffffff00000000 | KVM_CREATE_VM, 0), EPERM);
	CHECK_ERRNO(ioctl(fd, TIOCSTI, "x"), EPERM);
	return 0;
}

Test(confine, only_listed_ioctls_reach_the_kernel)
{
	expect_pass(try_ioctls);
}

static int try_signals(void)
{
	pid_t parent = getppid();

	CHECK(confine_tightest() == 0);
	CHECK_ERRNO(syscall(SYS_tgkill, parent, parent, SIGUSR1), EPERM);
	CHECK(kill(getpid(), 0) == 0);
	CHECK(syscall(SYS_tgkill, getpid(), gettid(), 0) == 0);
	CHECK_ERRNO(fcntl(0, F_SETOWN, parent), EPERM);
	if (MF_CONFINE_SANITIZER)
		return 0;
	CHECK_ERRNO(kill(parent, SIGUSR1), EPERM);
	CHECK_ERRNO(kill(-1, SIGUSR1), EPERM);
	CHECK_ERRNO(syscall(SYS_tkill, parent, SIGUSR1), EPERM);
	return 0;
}

Test(confine, signals_stay_in_the_process)
{
	expect_pass(try_signals);
}

static int try_new_calls(void)
{
	struct rlimit lower = {10, 10};

	CHECK(confine_tightest() == 0);
	CHECK_ERRNO(syscall(SYS_clone3, NULL, 0), ENOSYS);
	CHECK_ERRNO(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
	CHECK_ERRNO(syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0), ENOSYS);
	CHECK_ERRNO(syscall(462), ENOSYS);
	CHECK_ERRNO(syscall(511), ENOSYS);
	CHECK_ERRNO(syscall(SYS_setuid, 0), EPERM);
	CHECK_ERRNO(syscall(SYS_seccomp, 0, 0, NULL), EPERM);
	CHECK_ERRNO(syscall(SYS_inotify_init1, 0), EPERM);
	CHECK_ERRNO(setrlimit(RLIMIT_NOFILE, &lower), EPERM);
	return 0;
}

Test(confine, unknown_calls_say_enosys_and_unwanted_ones_eperm)
{
	NOT_UNDER_SANITIZER();
	expect_pass(try_new_calls);
}

/* ---- what must go on working ---- */

static void *add_one(void *number)
{
	void *block = malloc(100000);

	++*(int *)number;
	free(block);
	return NULL;
}

static void on_signal(int signal_number)
{
}

static int try_threads_and_memory(void)
{
	pthread_t threads[8];
	int numbers[8] = {0};
	struct stat st;
	struct rlimit r;
	int fd;

	CHECK(confine_tightest() == 0);
	for (int i = 0; i < 8; i++)
		CHECK(pthread_create(&threads[i], NULL, add_one, &numbers[i]) == 0);
	for (int i = 0; i < 8; i++)
		CHECK(pthread_join(threads[i], NULL) == 0 && numbers[i] == 1);
	CHECK((fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING)) >= 0);
	CHECK(ftruncate(fd, 1 << 20) == 0 && fstat(fd, &st) == 0 && st.st_size == 1 << 20);
	CHECK(mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
	CHECK(pwrite(fd, "abc", 3, 0) == 3);
	for (int s = 1; s < 65; s++) {
		if (s != SIGSYS && s != SIGKILL && s != SIGSTOP && s != 32 && s != 33)
			CHECK(signal(s, on_signal) != SIG_ERR);
	}
	CHECK(raise(SIGUSR1) == 0);
	CHECK(usleep(1000) == 0);
	CHECK(getrlimit(RLIMIT_CORE, &r) == 0 && r.rlim_cur == 0 && r.rlim_max == 0);
	CHECK(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur == r.rlim_max);
	CHECK(pthread_setname_np(pthread_self(), "confined") == 0);
	return 0;
}

Test(confine, threads_memory_and_signals_work)
{
	expect_pass(try_threads_and_memory);
}

static int try_accept(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t length = sizeof(sa_family_t);
	int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
	int buffer = 4096, peer;

	CHECK(bind(server, (struct sockaddr *)&address, length) == 0 && listen(server, 4) == 0);
	length = sizeof(address);
	CHECK(getsockname(server, (struct sockaddr *)&address, &length) == 0);
	CHECK(connect(client, (struct sockaddr *)&address, length) == 0);
	CHECK(confine_tightest() == 0);
	CHECK((peer = accept4(server, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
	CHECK(setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer)) == 0);
	CHECK_ERRNO(setsockopt(peer, SOL_SOCKET, SO_MARK, &buffer, sizeof(buffer)), EPERM);
	CHECK(send(client, "hello", 5, 0) == 5);
	CHECK(recv(peer, &buffer, 4, 0) == 4);
	CHECK_ERRNO(sendto(client, "x", 1, 0, (struct sockaddr *)&address, length), EPERM);
	return 0;
}

Test(confine, a_listening_socket_goes_on_accepting)
{
	expect_pass(try_accept);
}

/* ---- threads that were there before ---- */

static pthread_barrier_t barrier;
static long older_result;

static void *older_thread(void *unused)
{
	pthread_barrier_wait(&barrier); /* now confined */
	pthread_barrier_wait(&barrier);
	older_result = syscall(SYS_open, "/etc/passwd", O_RDONLY) == -1 ? errno : 0;
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	return NULL;
}

static int try_older_thread(void)
{
	struct mf_confine_report report;
	struct mf_confine files = {.flags = MF_CONFINE_OPEN_FILES};
	struct mf_error err = {0};
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	CHECK(pthread_create(&thread, NULL, older_thread, NULL) == 0);
	pthread_barrier_wait(&barrier);
	if (!MF_CONFINE_SANITIZER) {
		CHECK(mf_confine_enter(&files, &report, &err) == -EBUSY);
		CHECK(strstr(err.text, "2 threads") != NULL);
	}
	CHECK(mf_confine_enter(&(struct mf_confine){0}, &report, &err) == 0);
	CHECK(report.seccomp && report.threads >= 2 && !report.landlock_all);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	return 2;
}

Test(confine, a_thread_that_was_there_before_is_confined_too)
{
	expect_death(try_older_thread, "socket (41)");
}

/* ---- settings ---- */

static int try_bad_settings(void)
{
	const char *path = "/nonexistent/mayfly";
	struct mf_confine no_flag = {.read_paths = &path, .read_path_count = 1};
	struct mf_confine open_flag = {.open_paths = &path, .open_path_count = 1};
	struct mf_confine missing = no_flag;
	struct mf_error err = {0};

	missing.flags = MF_CONFINE_OPEN_FILES;
	CHECK(mf_confine_enter(&no_flag, NULL, &err) == -EINVAL);
	CHECK(mf_confine_enter(&open_flag, NULL, &err) == -EINVAL);
	CHECK(mf_confine_enter(&(struct mf_confine){.flags = 1u << 20}, NULL, &err) == -EINVAL);
	CHECK(mf_confine_enter(&(struct mf_confine){.flags = MF_CONFINE_CHANGE_FILES}, NULL,
			       NULL) == -EINVAL);
	CHECK(mf_confine_landlock_abi() == 0 || mf_confine_enter(&missing, NULL, &err) == -ENOENT);
	CHECK(mf_confine_landlock_abi() == 0 || strstr(err.text, path) != NULL);
	return 0;
}

Test(confine, contradictory_settings_are_refused)
{
	expect_pass(try_bad_settings);
}

static int try_report(void)
{
	struct mf_confine c = {.nproc_max = 4000, .memlock_bytes = 4096};
	struct mf_confine_report report;
	struct rlimit r;
	int abi = mf_confine_landlock_abi();

	CHECK(mf_confine_enter(&c, &report, NULL) == 0);
	CHECK(report.landlock_abi == abi && report.landlock_net == (abi >= 4));
	CHECK(report.landlock_scoped == (abi >= 6));
	CHECK(report.seccomp && report.syscall_count > 100);
	CHECK(report.sanitizer == MF_CONFINE_SANITIZER);
	CHECK(MF_CONFINE_SANITIZER || (report.threads == 1 && report.landlock_all == (abi > 0)));
	CHECK(getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur == report.nofile);
	CHECK(getrlimit(RLIMIT_NPROC, &r) == 0 && r.rlim_cur == 4000);
	CHECK(getrlimit(RLIMIT_MEMLOCK, &r) == 0 && r.rlim_cur == 4096);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || errno == EPERM);
	return 0;
}

Test(confine, the_report_says_what_was_applied)
{
	expect_pass(try_report);
}

/* ---- files under Landlock ---- */

/* What libraries get: to be read by name, not to be listed or changed. */
static int try_folder_to_open(void)
{
	const char *paths[] = {folder};
	struct mf_confine c = {.flags = MF_CONFINE_OPEN_FILES | MF_CONFINE_NEED_LANDLOCK,
			       .open_paths = paths,
			       .open_path_count = 1};
	int at = open(folder, O_PATH | O_DIRECTORY), fd;

	CHECK(at >= 0);
	CHECK(confine(&c) == 0);
	CHECK((fd = openat(at, "inside", O_RDONLY)) >= 0);
	close(fd);
	CHECK_ERRNO(openat(at, "inside", O_RDWR), EACCES);
	CHECK_ERRNO(openat(at, "new", O_WRONLY | O_CREAT, 0644), EACCES);
	CHECK_ERRNO(openat(at, ".", O_RDONLY | O_DIRECTORY), EACCES);
	CHECK_ERRNO(openat(at, "../..//etc/passwd", O_RDONLY), EACCES);
	CHECK_ERRNO(open("/etc/passwd", O_RDONLY), EACCES);
	CHECK_ERRNO(open(outside, O_RDONLY), EACCES);
	return 0;
}

Test(confine_files, a_folder_to_open_from_is_neither_listed_nor_changed)
{
	NEEDS_LANDLOCK();
	NOT_UNDER_SANITIZER();
	expect_pass(try_folder_to_open);
}

static int try_allowed_folder(void)
{
	const char *paths[] = {folder};
	struct mf_confine c = {.flags = MF_CONFINE_OPEN_FILES | MF_CONFINE_NEED_LANDLOCK,
			       .read_paths = paths,
			       .read_path_count = 1};
	int at = open(folder, O_PATH | O_DIRECTORY), fd;

	CHECK(at >= 0 && chdir(folder) == 0);
	CHECK(confine(&c) == 0);
	CHECK((fd = openat(at, "inside", O_RDONLY)) >= 0);
	close(fd);
	CHECK((fd = open("inside", O_RDONLY)) >= 0);
	close(fd);
	CHECK_ERRNO(openat(at, "../..//etc/passwd", O_RDONLY), EACCES);
	CHECK_ERRNO(openat(at, "..", O_RDONLY | O_DIRECTORY), EACCES);
	CHECK_ERRNO(open("/etc/passwd", O_RDONLY), EACCES);
	CHECK_ERRNO(open(outside, O_RDONLY), EACCES);
	CHECK_ERRNO(openat(at, "inside", O_RDWR), EACCES);
	CHECK_ERRNO(openat(at, "new", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK_ERRNO(unlink("inside"), EPERM);
	CHECK_ERRNO(truncate("inside", 0), EPERM);
	CHECK_ERRNO(chmod("inside", 0777), EPERM);
	return 0;
}

Test(confine_files, a_folder_to_read_is_readable_and_nothing_else_is)
{
	NEEDS_LANDLOCK();
	expect_pass(try_allowed_folder);
}

static int try_writable_folder(void)
{
	const char *paths[] = {folder};
	struct mf_confine c = {.flags = MF_CONFINE_OPEN_FILES | MF_CONFINE_CHANGE_FILES,
			       .write_paths = paths,
			       .write_path_count = 1};
	int fd;

	CHECK(chdir(folder) == 0);
	CHECK(confine(&c) == 0);
	CHECK((fd = open("new", O_CREAT | O_TRUNC | O_WRONLY, 0600)) >= 0);
	CHECK(write(fd, "abc", 3) == 3);
	CHECK(fchmod(fd, 0644) == 0 && futimens(fd, NULL) == 0);
	CHECK(mkdir("sub", 0700) == 0);
	CHECK(mf_confine_landlock_abi() < 2 || rename("new", "sub/new") == 0);
	CHECK_ERRNO(open("inside", O_RDONLY), EACCES);
	CHECK_ERRNO(open(outside, O_WRONLY), EACCES);
	CHECK_ERRNO(unlink(outside), EACCES);
	CHECK_ERRNO(mkdir("../mf_confine_no", 0700), EACCES);
	CHECK_ERRNO(mf_confine_landlock_abi() >= 3 ? truncate(outside, 0) : (errno = EACCES, -1),
		    EACCES);
	return 0;
}

Test(confine_files, a_folder_to_write_is_writable_and_nothing_else_is)
{
	NEEDS_LANDLOCK();
	expect_pass(try_writable_folder);
}

static int try_unlink(void)
{
	const char *paths[] = {folder};
	struct mf_confine c = {.unlink_dirs = paths, .unlink_dir_count = 1};
	char inside[128];

	snprintf(inside, sizeof(inside), "%s/inside", folder);
	CHECK(confine(&c) == 0);
	CHECK_ERRNO(unlink(outside), EACCES);
	CHECK_ERRNO(open(inside, O_RDONLY), EACCES);
	CHECK(unlink(inside) == 0);
	return 0;
}

Test(confine_files, a_socket_of_its_own_can_be_removed)
{
	NEEDS_LANDLOCK();
	expect_pass(try_unlink);
}

static int try_one_file(void)
{
	char inside[128], other[140];
	const char *paths[] = {inside};
	struct mf_confine c = {.flags = MF_CONFINE_OPEN_FILES,
			       .read_paths = paths,
			       .read_path_count = 1,
			       .write_paths = paths,
			       .write_path_count = 1};

	snprintf(inside, sizeof(inside), "%s/inside", folder);
	snprintf(other, sizeof(other), "%s/other", folder);
	close(open(other, O_CREAT | O_WRONLY, 0666));
	CHECK(confine(&c) == 0);
	CHECK(open(inside, O_RDWR | O_TRUNC) >= 0);
	CHECK_ERRNO(open(other, O_RDONLY), EACCES);
	return 0;
}

Test(confine_files, a_single_file_can_be_allowed)
{
	NEEDS_LANDLOCK();
	expect_pass(try_one_file);
}

/* ---- an ordinary user ---- */

static int become_nobody(void)
{
	return setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0;
}

static int try_as_nobody(void)
{
	CHECK(getuid() != 0 || become_nobody() == 0);
	CHECK(getuid() != 0 && geteuid() != 0);
	CHECK(try_threads_and_memory() == 0);
	CHECK(MF_CONFINE_SANITIZER || open("/etc/passwd", O_RDONLY) == -1);
	socket(AF_INET, SOCK_STREAM, 0);
	return 2;
}

Test(confine, an_ordinary_user_is_confined_alike)
{
	expect_death(try_as_nobody, "socket (41)");
}

static int try_files_as_nobody(void)
{
	CHECK(getuid() != 0 || become_nobody() == 0);
	return try_allowed_folder();
}

Test(confine_files, an_ordinary_user_gets_landlock_too)
{
	NEEDS_LANDLOCK();
	expect_pass(try_files_as_nobody);
}
