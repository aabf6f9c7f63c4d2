/* SPDX-License-Identifier: MIT */
/* The public API as an embedder uses it: nothing of the engine is included or linked but
 * libmayfly.so. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/mayfly.h>

#include <criterion/criterion.h>

#define SECOND 1000000000ull

static struct mf_host *host;
static struct mf_image *image;
static struct mf_vm *vm;
static struct mf_error err;
static char printed[4096];

/* Emulated machines are ten times slower. */
static uint64_t patience(void)
{
	return getenv("MAYFLY_EMULATED") ? 600 * SECOND : 20 * SECOND;
}

static void take_output(void *cookie, int fd, const void *bytes, size_t count)
{
	size_t used = strlen(cookie);

	snprintf((char *)cookie + used, sizeof(printed) - used, "%d:%.*s", fd, (int)count,
		 (const char *)bytes);
}

static const char *guest(void)
{
	const char *path = getenv("MAYFLY_TEST_GUEST");

	cr_assert_not_null(path, "MAYFLY_TEST_GUEST is not set");
	return path;
}

static int load_mode(const char *mode, enum mf_ready ready, uint64_t timeout_ns,
		     struct mf_image **out)
{
	const char *argv[] = {"guest", mode, NULL};
	struct mf_image_settings settings;

	mf_image_settings_default(&settings);
	settings.argv = argv;
	settings.ready = ready;
	settings.boot_timeout_ns = timeout_ns;
	return mf_image_load(host, guest(), &settings, out, &err);
}

static void open_host(void)
{
	err.text[0] = 0;
	cr_assert_eq(mf_host_open(&host, &err), 0, "%s", err.text);
}

static void setup(void)
{
	struct mf_image_settings settings;

	open_host();
	mf_image_settings_default(&settings);
	settings.memory_bytes = 64 << 20;
	settings.private_bytes = 16 << 20;
	settings.boot_timeout_ns = patience();
	settings.output = take_output;
	settings.output_cookie = printed;
	cr_assert_eq(mf_image_load(host, guest(), &settings, &image, &err), 0, "%s", err.text);
	cr_assert_eq(mf_image_fork(image, &vm, &err), 0, "%s", err.text);
}

static void teardown(void)
{
	mf_vm_destroy(vm);
	mf_image_destroy(image);
	mf_host_close(host);
}

static uint64_t symbol_of(struct mf_image *of, const char *name)
{
	uint64_t address = 0;

	cr_assert_eq(mf_image_symbol(of, name, &address, &err), 0, "%s", err.text);
	return address;
}

static uint64_t symbol(const char *name)
{
	return symbol_of(image, name);
}

/* Call with one argument and patience; the return value of mf_vm_call(). */
static int call(const char *name, uint64_t arg, uint64_t *result)
{
	err.text[0] = 0;
	return mf_vm_call(vm, symbol(name), &arg, 1, patience(), result, &err);
}

static uint64_t must_call(const char *name, uint64_t arg)
{
	uint64_t result = 0;

	cr_assert_eq(call(name, arg, &result), 0, "%s: %s", name, err.text);
	return result;
}

static void must_reset(void)
{
	size_t pages = 99;

	cr_assert_eq(mf_vm_reset_to_image(vm, &err), 0, "%s", err.text);
	cr_assert_eq(mf_vm_audit(vm, &pages, NULL, &err), 0, "%s", err.text);
	cr_assert_eq(pages, 0);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

TestSuite(api, .init = setup, .fini = teardown, .timeout = 600);
TestSuite(loading, .init = open_host, .fini = teardown, .timeout = 600);
TestSuite(handles, .timeout = 600);

Test(api, a_function_gets_its_arguments_and_gives_its_value)
{
	uint64_t args[] = {1, 2, 3, 4, 5, 6};
	uint64_t result = 0;

	cr_assert_eq(mf_vm_call(vm, symbol("six"), args, 6, patience(), &result, &err), 0, "%s",
		     err.text);
	cr_expect_eq(result, 654321);
	cr_expect_eq(mf_vm_call(vm, symbol("six"), NULL, 0, patience(), NULL, NULL), 0);
}

Test(api, a_function_is_entered_as_the_abi_says)
{
	cr_expect_eq(must_call("check_entry", 0), 0);
	cr_expect_eq(must_call("ring", 0), 3);
	must_reset();
	cr_expect_eq(must_call("check_entry", 0), 0);
}

Test(api, a_counter_says_one_after_every_reset_and_counts_without)
{
	int i;

	for (i = 0; i < 20; i++) {
		cr_expect_eq(must_call("count_up", 0), 1);
		must_reset();
	}
	cr_expect_eq(must_call("count_up", 0), 1);
	cr_expect_eq(must_call("count_up", 0), 2);
	cr_expect_eq(must_call("count_up", 0), 3);
}

Test(api, a_dirty_vm_fails_the_audit)
{
	size_t pages = 0;
	size_t bytes = 0;

	must_call("count_up", 0);
	cr_expect_eq(mf_vm_audit(vm, &pages, &bytes, &err), -EUCLEAN);
	cr_expect_gt(pages, 0);
	cr_expect_gt(bytes, 0);
	cr_expect_neq(err.text[0], 0);
}

Test(api, pushed_blocks_reach_the_function_and_come_back)
{
	uint8_t bytes[10000];
	uint64_t args[2] = {0, sizeof(bytes)};
	uint64_t sum = 0;
	uint64_t expected = 0;
	size_t i;

	for (i = 0; i < sizeof(bytes); i++)
		expected += bytes[i] = (uint8_t)(i * 7);
	cr_assert_eq(mf_vm_push(vm, bytes, sizeof(bytes), &args[0], &err), 0, "%s", err.text);
	cr_expect_eq(args[0] % 16, 0);
	cr_assert_eq(mf_vm_call(vm, symbol("add_up"), args, 2, patience(), &sum, &err), 0, "%s",
		     err.text);
	cr_expect_eq(sum, expected);
	cr_assert_eq(mf_vm_call(vm, symbol("reverse"), args, 2, patience(), NULL, &err), 0, "%s",
		     err.text);
	cr_assert_eq(mf_vm_read(vm, args[0], bytes, sizeof(bytes), &err), 0, "%s", err.text);
	for (i = 0; i < sizeof(bytes); i++)
		cr_assert_eq(bytes[i], (uint8_t)((sizeof(bytes) - 1 - i) * 7));
}

Test(api, a_megabyte_fits_onto_the_stack_and_eight_do_not)
{
	static uint8_t bytes[8 << 20];
	uint64_t args[2] = {0, 1 << 20};
	uint64_t sum = 0;

	memset(bytes, 3, sizeof(bytes));
	cr_assert_eq(mf_vm_push(vm, bytes, 1 << 20, &args[0], &err), 0, "%s", err.text);
	cr_assert_eq(mf_vm_call(vm, symbol("add_up"), args, 2, patience(), &sum, &err), 0, "%s",
		     err.text);
	cr_expect_eq(sum, 3 << 20);
	cr_expect_eq(mf_vm_push(vm, bytes, sizeof(bytes), &args[0], &err), -ENOSPC);
	cr_expect_neq(err.text[0], 0);
	must_reset();
	cr_expect_eq(mf_vm_push(vm, bytes, 1 << 20, &args[0], &err), 0);
}

Test(api, a_function_may_use_a_lot_of_stack)
{
	cr_expect_eq(must_call("spill", 2 << 20), 1);
	must_reset();
}

Test(api, an_endless_loop_ends_at_its_deadline)
{
	double began = seconds();

	cr_expect_eq(mf_vm_call(vm, symbol("spin"), NULL, 0, SECOND / 20, NULL, &err),
		     MF_STOP_DEADLINE);
	cr_expect_geq(seconds() - began, 0.05);
	cr_expect_lt(seconds() - began, (double)patience() / SECOND);
	cr_expect_neq(err.text[0], 0);
	cr_expect_eq(call("count_up", 0, NULL), -EBUSY);
	cr_expect_eq(mf_vm_push(vm, "x", 1, &(uint64_t){0}, &err), -EBUSY);
	must_reset();
	cr_expect_eq(must_call("count_up", 0), 1);
}

Test(api, a_deadline_holds_with_every_signal_blocked)
{
	sigset_t all, after;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
	cr_expect_eq(mf_vm_call(vm, symbol("spin"), NULL, 0, SECOND / 20, NULL, &err),
		     MF_STOP_DEADLINE);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	cr_expect(sigismember(&after, SIGRTMIN + 3) && sigismember(&after, SIGTERM),
		  "the mask is the thread's again");
}

Test(api, a_deadline_holds_inside_a_blocking_system_call)
{
	cr_expect_eq(mf_vm_call(vm, symbol("sleep_long"), NULL, 0, SECOND / 20, NULL, &err),
		     MF_STOP_DEADLINE);
	must_reset();
	cr_expect_eq(must_call("sleep_short", 0), 0);
}

Test(api, crashes_are_contained)
{
	static const char *const ways[] = {"crash", "forbidden"};
	size_t i;

	for (i = 0; i < 6; i++) {
		cr_expect_eq(call(ways[i % 2], 0, NULL), MF_STOP_CRASH, "%s", ways[i % 2]);
		cr_expect_neq(err.text[0], 0);
		must_reset();
		cr_expect_eq(must_call("count_up", 0), 1);
		must_reset();
	}
	cr_expect_eq(mf_vm_call(vm, 0x1234, NULL, 0, patience(), NULL, &err), MF_STOP_CRASH);
	must_reset();
	cr_expect_eq(mf_vm_call(vm, UINT64_MAX, NULL, 0, patience(), NULL, &err), MF_STOP_CRASH);
	must_reset();
	cr_expect_eq(must_call("count_up", 0), 1);
}

Test(api, a_function_that_exits_or_waits_is_told_apart)
{
	cr_expect_eq(call("leave", 7, NULL), MF_STOP_EXIT);
	cr_expect_not_null(strstr(err.text, "7"), "%s", err.text);
	must_reset();
	cr_expect_eq(call("ask", 0, NULL), MF_STOP_NO_ANSWER);
	must_reset();
}

Test(api, memory_has_a_limit)
{
	struct mf_counters before, after;
	int i;

	for (i = 0; i < 3; i++) {
		cr_expect_eq(must_call("eat", 4 << 20), 1);
		must_reset();
		cr_expect_eq(call("eat", 32 << 20, NULL), MF_STOP_MEMORY, "%s", err.text);
		cr_expect_neq(err.text[0], 0);
		mf_vm_counters(vm, &before);
		must_reset();
		mf_vm_counters(vm, &after);
		cr_expect_geq(after.user_exits, before.user_exits);
		cr_expect_eq(after.resets, before.resets + 1);
	}
	cr_expect_eq(must_call("eat", 4 << 20), 1);
}

Test(api, guest_memory_can_be_read_and_written)
{
	char text[16] = "";
	uint64_t at = symbol("note");

	cr_assert_eq(mf_vm_read(vm, at, text, 15, &err), 0, "%s", err.text);
	cr_expect_str_eq(text, "from the image");
	cr_assert_eq(mf_vm_write(vm, at, "from the host!", 15, &err), 0, "%s", err.text);
	cr_assert_eq(mf_vm_read(vm, at, text, 15, &err), 0, "%s", err.text);
	cr_expect_str_eq(text, "from the host!");
	must_reset();
	cr_assert_eq(mf_vm_read(vm, at, text, 15, &err), 0, "%s", err.text);
	cr_expect_str_eq(text, "from the image");
}

Test(api, memory_that_is_not_the_programs_is_refused)
{
	static const uint64_t places[] = {0, 8, 0x7fffffe08000, 0xffff800000000000, UINT64_MAX - 3};
	char byte = 0;
	size_t i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		err.text[0] = 0;
		cr_expect_eq(mf_vm_write(vm, places[i], "abcdefgh", 8, &err), -EFAULT, "%zu", i);
		cr_expect_neq(err.text[0], 0);
		cr_expect_eq(mf_vm_read(vm, places[i], &byte, 1, NULL), -EFAULT, "%zu", i);
	}
	cr_expect_eq(mf_vm_write(vm, symbol("six"), "x", 1, &err), -EFAULT, "code was written");
}

Test(api, wrong_names_and_arguments_are_refused_with_a_sentence)
{
	uint64_t args[7] = {0};
	uint64_t address = 42;

	cr_expect_eq(mf_image_symbol(image, "no_such_function", &address, &err), -ENOENT);
	cr_expect_eq(address, 42);
	cr_expect_not_null(strstr(err.text, "no_such_function"), "%s", err.text);
	err.text[0] = 0;
	cr_expect_eq(mf_vm_call(vm, symbol("six"), args, 7, 0, NULL, &err), -EINVAL);
	cr_expect_neq(err.text[0], 0);
	cr_expect_eq(mf_vm_call(vm, symbol("six"), args, 7, 0, NULL, NULL), -EINVAL);
	cr_expect_eq(must_call("count_up", 0), 1, "a refused call was no call");
}

Test(api, what_a_guest_prints_reaches_the_embedder)
{
	must_call("chat", 0);
	cr_expect_str_eq(printed, "2:counter 0\n1:printed\n");
}

Test(api, a_request_is_answered)
{
	struct mf_header headers[] = {{"MARK", "seven"}, {"other", ""}};
	struct mf_message message = {.target = "/x",
				     .headers = headers,
				     .header_count = 2,
				     .body = "hello",
				     .body_bytes = 5};
	struct mf_reply reply;

	cr_assert_eq(mf_vm_request(vm, &message, patience(), &reply, &err), 0, "%s", err.text);
	cr_expect_eq(reply.status, 201);
	cr_expect_eq(reply.body_bytes, 5);
	cr_expect_eq(memcmp(reply.body, "hello", 5), 0);
	cr_expect_str_eq(reply.headers,
			 "Content-Type: text/plain\r\nX-Method: POST\r\nX-Mark: seven\r\n");
	mf_reply_finish(&reply);
	cr_expect_null(reply.body);
	mf_reply_finish(&reply);
}

static int count_request(const char *target)
{
	struct mf_header mark = {"mark", "m"};
	struct mf_message message = {.target = target, .headers = &mark, .header_count = 1};
	struct mf_reply reply = {0};
	int ret = mf_vm_request(vm, &message, patience(), &reply, &err);
	int value = reply.body ? atoi((char *)reply.body) : 0;

	mf_reply_finish(&reply);
	return ret ? -1 : value;
}

Test(api, requests_keep_what_they_did_until_the_reset)
{
	cr_expect_eq(count_request("/count"), 1);
	cr_expect_eq(count_request("/count"), 2);
	cr_expect_eq(count_request("/early"), 0, "%s", err.text);
	cr_expect_eq(count_request("/count"), 4, "what was done after mf_done() is there");
	cr_expect_eq(must_call("count_up", 0), 5, "a function can be called after requests");
	must_reset();
	cr_expect_eq(count_request("/count"), 1);
}

Test(api, a_request_without_an_answer_says_why)
{
	struct mf_message message = {.target = "/spin"};
	struct mf_reply reply = {.status = 1};

	cr_expect_eq(mf_vm_request(vm, &message, SECOND / 20, &reply, &err), MF_STOP_DEADLINE);
	must_reset();
	message.target = "/crash";
	cr_expect_eq(mf_vm_request(vm, &message, patience(), &reply, &err), MF_STOP_CRASH);
	cr_expect_eq(mf_vm_request(vm, &message, patience(), &reply, &err), -EBUSY);
	must_reset();
	message.target = "/silent";
	cr_expect_eq(mf_vm_request(vm, &message, patience(), &reply, &err), MF_STOP_NO_ANSWER);
	must_reset();
	must_call("count_up", 0);
	cr_expect_eq(mf_vm_request(vm, &message, patience(), &reply, &err), -EBUSY);
	cr_expect_eq(reply.status, 1, "a failure touches no output");
}

Test(api, a_message_that_makes_no_sense_is_refused)
{
	static char huge[2 << 20];
	struct mf_header headers[101] = {{"a", "b"}};
	struct mf_message message = {.headers = headers, .header_count = 101};
	struct mf_reply reply;

	cr_expect_eq(mf_vm_request(vm, &message, 0, &reply, &err), -EINVAL);
	message = (struct mf_message){.headers = headers + 1, .header_count = 1};
	cr_expect_eq(mf_vm_request(vm, &message, 0, &reply, &err), -EINVAL);
	message = (struct mf_message){.body_bytes = 1};
	cr_expect_eq(mf_vm_request(vm, &message, 0, &reply, &err), -EINVAL);
	message = (struct mf_message){.body = huge, .body_bytes = sizeof(huge)};
	cr_expect_eq(mf_vm_request(vm, &message, 0, &reply, &err), -EMSGSIZE);
	message = (struct mf_message){.body = huge, .body_bytes = SIZE_MAX};
	cr_expect_eq(mf_vm_request(vm, &message, 0, &reply, &err), -EMSGSIZE);
	cr_expect_eq(count_request("/count"), 1, "a refused message was no request");
}

Test(api, a_warm_call_is_one_exit_and_no_fault)
{
	struct mf_counters before, after;
	int i;

	for (i = 0; i < 4; i++) {
		must_call("count_up", 0);
		must_reset();
	}
	mf_vm_counters(vm, &before);
	must_call("count_up", 0);
	mf_vm_counters(vm, &after);
	cr_expect_eq(after.user_exits - before.user_exits, 1);
	cr_expect_eq(after.page_faults, before.page_faults);
	cr_expect_eq(after.syscalls, before.syscalls);
	must_reset();
	mf_vm_counters(vm, &after);
	cr_expect_eq(after.resets, 5);
	cr_expect_gt(after.pages_copied, before.pages_copied);
}

struct worker {
	pthread_t thread;
	unsigned int wrong;
};

static void *use_a_vm(void *arg)
{
	struct worker *worker = arg;
	uint64_t function = 0;
	uint64_t result = 0;
	struct mf_vm *own;
	int i;

	worker->wrong = mf_image_symbol(image, "count_up", &function, NULL) ||
			mf_image_fork(image, &own, NULL);
	for (i = 0; !worker->wrong && i < 100; i++) {
		worker->wrong += mf_vm_call(own, function, NULL, 0, patience(), &result, NULL) ||
				 result != 1;
		worker->wrong += mf_vm_reset_to_image(own, NULL) != 0;
	}
	if (!worker->wrong)
		mf_vm_destroy(own);
	return NULL;
}

Test(api, threads_use_vms_of_one_image_at_once)
{
	struct worker workers[4] = {{0}};
	int i;

	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&workers[i].thread, NULL, use_a_vm, &workers[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		cr_expect_eq(workers[i].wrong, 0);
	}
}

Test(loading, a_program_may_be_frozen_at_its_exit)
{
	struct mf_message message = {.target = "/"};
	struct mf_reply reply;
	int i;

	cr_assert_eq(load_mode("exit", MF_READY_AT_EXIT, patience(), &image), 0, "%s", err.text);
	cr_assert_eq(mf_image_fork(image, &vm, &err), 0, "%s", err.text);
	for (i = 0; i < 4; i++) {
		cr_expect_eq(must_call("count_up", 0), 1);
		cr_expect_eq(must_call("ring", 0), 3);
		cr_expect_eq(must_call("check_entry", 0), 0);
		must_reset();
	}
	cr_expect_eq(mf_vm_request(vm, &message, 0, &reply, &err), -ENOTSUP);
	mf_vm_destroy(vm);
	cr_assert_eq(mf_image_fork(image, &vm, &err), 0, "a warm fork: %s", err.text);
	cr_expect_eq(must_call("count_up", 0), 1);
}

Test(loading, a_ready_call_made_through_syscall_gives_no_ring_0)
{
	int i;

	cr_assert_eq(load_mode("sneak", MF_READY_AT_WAIT, patience(), &image), 0, "%s", err.text);
	for (i = 0; i < 3; i++) {
		mf_vm_destroy(vm);
		vm = NULL;
		cr_assert_eq(mf_image_fork(image, &vm, &err), 0, "fork %d: %s", i, err.text);
		cr_expect_eq(must_call("ring", 0), 3);
		must_reset();
		cr_expect_eq(must_call("count_up", 0), 1);
		must_reset();
	}
}

Test(loading, a_program_that_is_never_ready_is_refused)
{
	cr_expect_eq(load_mode("spin", MF_READY_AT_WAIT, SECOND / 20, &image), -ETIMEDOUT);
	cr_expect_neq(err.text[0], 0);
	cr_expect_eq(load_mode("crash", MF_READY_AT_WAIT, patience(), &image), -ENOEXEC);
	cr_expect_eq(load_mode("fail", MF_READY_AT_WAIT, patience(), &image), -ENOEXEC);
	cr_expect_eq(load_mode("fail", MF_READY_AT_EXIT, patience(), &image), -ENOEXEC);
	cr_expect_eq(load_mode("exit", MF_READY_AT_WAIT, patience(), &image), -ENOEXEC);
	cr_expect_eq(load_mode("", MF_READY_AT_EXIT, patience(), &image), -ENOEXEC);
	cr_expect_null(image);
}

Test(loading, files_that_are_no_programs_are_refused)
{
	cr_expect_eq(mf_image_load(host, "/nowhere/at/all", NULL, &image, &err), -ENOENT);
	cr_expect_not_null(strstr(err.text, "/nowhere/at/all"), "%s", err.text);
	cr_expect_eq(mf_image_load(host, "/", NULL, &image, &err), -EISDIR);
	cr_expect_eq(mf_image_load(host, "/etc/passwd", NULL, &image, &err), -EACCES);
	cr_expect_eq(mf_image_load(host, "/bin/true", NULL, &image, &err), -ENOEXEC);
	cr_expect_null(image);
}

Test(loading, settings_out_of_range_are_refused)
{
	struct mf_image_settings settings;

	mf_image_settings_default(&settings);
	settings.memory_bytes = 4096;
	cr_expect_eq(mf_image_load(host, guest(), &settings, &image, &err), -EINVAL);
	mf_image_settings_default(&settings);
	settings.ready = (enum mf_ready)9;
	cr_expect_eq(mf_image_load(host, guest(), &settings, &image, &err), -EINVAL);
	mf_image_settings_default(&settings);
	settings.reserved[7] = 1;
	err.text[0] = 0;
	cr_expect_eq(mf_image_load(host, guest(), &settings, &image, &err), -EINVAL);
	cr_expect_neq(err.text[0], 0);
}

Test(loading, the_environment_is_what_the_settings_say)
{
	const char *argv[] = {"guest", "environment", NULL};
	const char *env[] = {"NAME=value", NULL};
	struct mf_image_settings settings;

	mf_image_settings_default(&settings);
	settings.argv = argv;
	settings.env = env;
	settings.ready = MF_READY_AT_EXIT;
	cr_expect_eq(mf_image_load(host, guest(), &settings, &image, &err), 0, "%s", err.text);
}

Test(loading, position_independent_programs_have_symbols_too)
{
	struct mf_image_settings settings;

	cr_assert_not_null(getenv("MAYFLY_TEST_GUEST_PIE"));
	mf_image_settings_default(&settings);
	cr_assert_eq(mf_image_load(host, getenv("MAYFLY_TEST_GUEST_PIE"), &settings, &image, &err),
		     0, "%s", err.text);
	cr_assert_eq(mf_image_fork(image, &vm, &err), 0, "%s", err.text);
	cr_expect_eq(must_call("count_up", 0), 1);
	cr_expect_gt(symbol("note"), 0x500000000000);
}

Test(handles, null_is_destroyed_without_a_word)
{
	mf_vm_destroy(NULL);
	mf_image_destroy(NULL);
	mf_host_close(NULL);
}

Test(handles, objects_go_in_any_order)
{
	uint64_t result = 0;
	uint64_t function;

	setup();
	function = symbol("count_up");
	mf_host_close(host);
	mf_image_destroy(image);
	cr_expect_eq(mf_vm_call(vm, function, NULL, 0, patience(), &result, &err), 0, "%s",
		     err.text);
	cr_expect_eq(result, 1);
	mf_vm_destroy(vm);
}

static unsigned int open_descriptors(void)
{
	unsigned int count = 0;
	int fd;

	for (fd = 0; fd < 256; fd++) {
		char name[32];

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		count += readlink(name, (char[8]){0}, 8) > 0;
	}
	return count;
}

Test(handles, nothing_is_left_open)
{
	unsigned int before = 0;
	int i;

	for (i = 0; i < 4; i++) {
		setup();
		must_call("count_up", 0);
		teardown();
		if (i == 0) /* one for the clock page has come to stay */
			before = open_descriptors();
	}
	cr_expect_eq(open_descriptors(), before);
}

Test(handles, the_version_is_three_numbers)
{
	int major, minor, patch;

	cr_expect_eq(sscanf(mf_version(), "%d.%d.%d", &major, &minor, &patch), 3);
}
