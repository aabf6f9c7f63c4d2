/* SPDX-License-Identifier: MIT */
#include "tests/engine/harness.h"

#include "engine/linux/connection.h"

#include "engine/linux/exec.h"
#include "engine/image/watchdog.h"
#include "engine/linux/permit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Then it is looked again, also for a kick that came just before the wait. */
#define WAIT_MAX_NS 20000000ull

#define KICK_TIME 1u

uint64_t run_max_us = RUN_MAX_US;

static struct mf_vm *running;

static uint8_t request_bytes[1 << 20];

static uint8_t *read_file(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *content;
	size_t done = 0;

	if (fd < 0 || fstat(fd, &st))
		cr_assert_fail("cannot open %s", path);
	*bytes = (size_t)st.st_size;
	content = malloc(*bytes);
	while (content && done < *bytes) {
		ssize_t got = read(fd, content + done, *bytes - done);

		if (got <= 0)
			cr_assert_fail("cannot read %s", path);
		done += (size_t)got;
	}
	close(fd);
	return content;
}

static void open_kvm(struct lab *lab)
{
	struct mf_error err = {0};
	int ret = mf_kvm_open(&lab->kvm, NULL, &err);

	if (ret == -ENOENT || ret == -EACCES)
		cr_skip_test("%s", err.text);
	if (ret)
		cr_assert_fail("%s", err.text);
}

static void allow_folder(struct lab *lab, const char *folder)
{
	struct mf_permit_paths paths = {.paths = &folder, .count = 1};
	struct mf_error err = {0};

	if (mf_permit_create(&lab->permit, &paths, &paths, &err))
		cr_assert_fail("%s", err.text);
	lab->policy.permit = lab->permit;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void wait_for(const struct mf_exit *exit)
{
	struct pollfd fd = {.fd = exit->wait_fd, .events = exit->wait_events};
	uint64_t now = now_ns();
	uint64_t left = exit->wait_until_ns > now ? exit->wait_until_ns - now : 0;

	left = left > WAIT_MAX_NS ? WAIT_MAX_NS : left;
	poll(&fd, 1, (int)((left + 999999) / 1000000));
}

static void run_watched(struct lab *lab, struct mf_process *process, struct mf_exit *exit)
{
	struct mf_watch *watch = lab->dog ? mf_watchdog_worker(lab->dog, 0) : NULL;
	struct mf_watch_limits none = {0};

	if (watch)
		mf_watch_enter(watch, &process->vm, &none);
	mf_process_run(process, exit);
	if (watch)
		mf_watch_leave(watch);
}

static void boot(struct lab *lab, struct mf_process *process)
{
	struct mf_exit exit;

	run_watched(lab, process, &exit);
	while (exit.kind == MF_EXIT_WAIT) {
		if (mf_listener_waits(process))
			return;
		wait_for(&exit);
		run_watched(lab, process, &exit);
	}
	if (exit.kind != MF_EXIT_READY)
		cr_assert_fail("the guest program ended before it was ready: kind %d status %d %s",
			       exit.kind, exit.status, exit.text);
	if (mf_function_ready(process, &exit, &lab->ready))
		cr_assert_fail("the guest program gave no ready point");
}

void lab_open(struct lab *lab, const char *name, const struct lab_options *options)
{
	static const struct lab_options none;
	char path[4096];
	char *argv[3] = {path, NULL, NULL};
	char *envp[] = {"HOME=/", NULL};
	struct mf_process process;
	struct mf_error err = {0};
	struct mf_exec exec = {.exec_name = path, .argv = argv, .envp = envp};
	uint8_t *elf;

	options = options ? options : &none;
	*lab = (struct lab){.policy = {.stdin_fd = -1,
				       .patch = options->patched,
				       .listens_within = options->listens,
				       .no_patch = options->plain_text}};
	open_kvm(lab);
	if (options->watched && mf_watchdog_create(&lab->dog, 1, &err))
		cr_assert_fail("%s", err.text);
	if (options->folder)
		allow_folder(lab, options->folder);
	snprintf(path, sizeof(path), "%s/%s", GUESTS_DIR, name);
	elf = read_file(path, &exec.elf_bytes);
	exec.elf = elf;
	exec.cwd = options->folder;
	exec.limit_bytes = options->memory_bytes ? options->memory_bytes : 64u << 20;
	argv[1] = (char *)options->argument;
	if (mf_process_exec(&process, &lab->kvm, &lab->policy, &exec, &err))
		cr_assert_fail("%s", err.text);
	free(elf);
	boot(lab, &process);
	if (mf_process_freeze(&process, &lab->image, &err))
		cr_assert_fail("%s", err.text);
	lab->policy.private_pages = options->private_pages;
}

void lab_close(struct lab *lab)
{
	mf_process_image_finish(&lab->image);
	mf_permit_destroy(lab->permit);
	mf_kvm_close(&lab->kvm);
	mf_watchdog_destroy(lab->dog);
}

void guest_fork(struct guest *guest, struct lab *lab)
{
	struct mf_error err = {0};

	*guest = (struct guest){.lab = lab, .ready = lab->ready};
	if (mf_process_fork(&guest->process, &lab->image, &lab->policy, &err))
		cr_assert_fail("%s", err.text);
}

void guest_finish(struct guest *guest)
{
	mf_process_finish(&guest->process);
}

/* One header, "echo", with the body's first 16 bytes. Returns the bytes that it takes. */
static size_t form_header(uint8_t *to, uint32_t at, const void *body, size_t bytes,
			  struct mf_abi_request *request)
{
	const struct mf_abi_slice slices[2] = {{at + 16, 4}, {at + 24, 16}};

	if (bytes < 16)
		return 0;
	memset(to, 0, 48);
	memcpy(to, slices, sizeof(slices));
	memcpy(to + 16, "echo", 4);
	memcpy(to + 24, body, 16);
	request->header_count = 1;
	return 48;
}

size_t form_request(uint8_t *to, size_t room, const char *target, const void *body, size_t bytes)
{
	size_t at = sizeof(struct mf_abi_request);
	size_t target_bytes = strlen(target);
	struct mf_abi_request request = {.version = MF_ABI_VERSION, .id = 1};

	cr_assert_leq(at + 4 + target_bytes + 1 + 80 + bytes + 1, room);
	request.method = (struct mf_abi_slice){(uint32_t)at, 3};
	memcpy(to + at, "GET", 4);
	at += 4;
	request.target = (struct mf_abi_slice){(uint32_t)at, (uint32_t)target_bytes};
	memcpy(to + at, target, target_bytes + 1);
	at = (at + target_bytes + 16) & ~(size_t)15;
	request.headers_offset = (uint32_t)at;
	at += form_header(to + at, (uint32_t)at, body, bytes, &request);
	request.body = (struct mf_abi_slice){(uint32_t)at, (uint32_t)bytes};
	if (bytes)
		memcpy(to + at, body, bytes);
	to[at + bytes] = 0;
	request.size_bytes = (uint32_t)(at + bytes + 1);
	memcpy(to, &request, sizeof(request));
	return request.size_bytes;
}

static void take_answer(struct guest *guest)
{
	struct mf_function_response response;
	int ret = mf_function_response(&guest->process, &guest->exit, &response);

	if (ret) {
		snprintf(guest->answer, ANSWER_BYTES, "no response (%s)", strerror(-ret));
		return;
	}
	guest->answer_bytes =
		response.body_bytes < ANSWER_BYTES ? response.body_bytes : ANSWER_BYTES;
	if (response.body)
		memcpy(guest->answer, response.body, guest->answer_bytes);
	guest->answer[guest->answer_bytes] = 0;
	mf_function_response_finish(&response);
}

static void describe(struct guest *guest)
{
	const struct mf_exit *exit = &guest->exit;

	guest->answer_bytes = 0;
	switch (exit->kind) {
	case MF_EXIT_READY:
		if (mf_function_ready(&guest->process, exit, &guest->ready))
			snprintf(guest->answer, ANSWER_BYTES, "not a ready call");
		else
			take_answer(guest);
		break;
	case MF_EXIT_SIGNALED:
		snprintf(guest->answer, ANSWER_BYTES, "signal %d %s", exit->status, exit->text);
		break;
	case MF_EXIT_KICKED:
		snprintf(guest->answer, ANSWER_BYTES, "kicked %x", exit->kicks);
		break;
	case MF_EXIT_CRASHED:
		snprintf(guest->answer, ANSWER_BYTES, "crashed %s", exit->text);
		break;
	default:
		snprintf(guest->answer, ANSWER_BYTES, "kind %d status %d", exit->kind,
			 exit->status);
		break;
	}
}

static void on_alarm(int signo)
{
	(void)signo;
	mf_vm_kick(running, KICK_TIME);
}

void watch_vm(struct mf_vm *vm, uint64_t us)
{
	static bool installed;
	struct itimerval timer = {
		.it_value = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)}};

	if (!installed)
		signal(SIGALRM, on_alarm);
	installed = true;
	if (vm)
		running = vm;
	setitimer(ITIMER_REAL, &timer, NULL);
}

void guest_deliver(struct guest *guest, const char *target, const void *body, size_t bytes)
{
	struct mf_kvm_vm *kvm = &guest->process.vm.kvm;
	size_t size = form_request(request_bytes, sizeof(request_bytes), target, body, bytes);
	int ret = mf_function_deliver(&guest->process, &guest->ready, request_bytes, size);

	cr_assert_eq(ret, 0, "the request cannot be delivered: %s", strerror(-ret));
	guest->user_exits = kvm->user_exits;
	guest->faults = mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
}

void guest_go_on(struct guest *guest, bool stop_at_wait)
{
	struct mf_kvm_vm *kvm = &guest->process.vm.kvm;

	watch_vm(&guest->process.vm, run_max_us);
	for (;;) {
		run_watched(guest->lab, &guest->process, &guest->exit);
		if (guest->exit.kind == MF_EXIT_LOG || guest->exit.kind == MF_EXIT_RESPOND)
			mf_vm_answer(&guest->process.vm, 0);
		else if (guest->exit.kind == MF_EXIT_WAIT && !stop_at_wait)
			wait_for(&guest->exit);
		else
			break;
		/* A parked call is not asked by kicks: a role looks itself. */
		if (guest->exit.kind == MF_EXIT_WAIT &&
		    __atomic_load_n(&guest->process.vm.kicked, __ATOMIC_RELAXED) & KICK_TIME) {
			guest->exit.kind = MF_EXIT_KICKED;
			break;
		}
	}
	watch_vm(NULL, 0);
	describe(guest);
	guest->user_exits = kvm->user_exits - guest->user_exits;
	guest->faults = mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken) - guest->faults;
}

const char *guest_ask(struct guest *guest, const char *target, const void *body, size_t bytes)
{
	guest_deliver(guest, target, body, bytes);
	guest_go_on(guest, false);
	return guest->answer;
}

uint64_t guest_run(struct guest *guest, const void *code, size_t bytes)
{
	uint64_t value;

	guest_ask(guest, "/", code, bytes);
	if (guest->exit.kind != MF_EXIT_READY || guest->answer_bytes != sizeof(value))
		return UINT64_MAX;
	memcpy(&value, guest->answer, sizeof(value));
	return value;
}

void guest_reset(struct guest *guest)
{
	cr_assert_eq(mf_process_reset(&guest->process), 0, "reset failed");
	guest->ready = guest->lab->ready;
}

bool guest_is_clean(struct guest *guest, char why[400])
{
	struct mf_error err = {0};
	int ret = mf_vm_audit(&guest->process.vm, NULL, NULL, &err);

	memcpy(why, err.text, sizeof(err.text));
	return !ret;
}

void guest_reset_and_audit(struct guest *guest, const char *what)
{
	char why[400];

	guest_reset(guest);
	cr_assert(guest_is_clean(guest, why), "after %s: %s", what, why);
}

static int count_entries(const char *folder)
{
	DIR *dir = opendir(folder);
	int count = -3; /* . and .. and the folder itself (for descriptors) */

	cr_assert_not_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

int count_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

int count_threads(void)
{
	return count_entries("/proc/self/task") + 1;
}

long resident_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	long pages = 0;

	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%*d %ld", &pages), 1);
	fclose(file);
	return pages * 4;
}

bool is_emulated(void)
{
	return getenv("MAYFLY_EMULATED") != NULL;
}

bool is_long(void)
{
	return getenv("MAYFLY_TEST_LONG") != NULL;
}

unsigned int rounds(unsigned int shorter, unsigned int usual, unsigned int longer)
{
	return is_emulated() ? shorter : is_long() ? longer : usual;
}

static uint64_t seed(void)
{
	const char *given = getenv("MAYFLY_TEST_SEED");
	uint64_t value = 0;

	if (given)
		value = strtoull(given, NULL, 0);
	else if (getrandom(&value, 4, 0) != 4)
		value = 1;
	fprintf(stderr, "MAYFLY_TEST_SEED=%llu\n", (unsigned long long)value);
	return value;
}

/* splitmix64 */
uint64_t random_u64(void)
{
	static uint64_t state;
	static bool seeded;
	uint64_t value;

	if (!seeded) {
		state = seed();
		seeded = true;
	}
	value = state += 0x9e3779b97f4a7c15ull;
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
	value = (value ^ value >> 27) * 0x94d049bb133111ebull;
	return value ^ value >> 31;
}

unsigned int random_below(unsigned int bound)
{
	return (unsigned int)(random_u64() % bound);
}
