/* SPDX-License-Identifier: MIT */
/*
 * Connections whose calls are answered in ring 3: what a request costs, exactly; that random calls
 * come to the same as when the engine answers each of them; that a forged log is the forger's.
 */
#include "tests/engine/harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/linux/connection.h"

#define OUTPUT_BYTES (256u << 10)

static struct lab lab;
static struct guest fast;
static struct guest plain;

struct outcome {
	size_t bytes;
	enum mf_exit_kind end;
	char output[OUTPUT_BYTES];
};

static struct outcome outcomes[2];

static void take(struct guest *guest, uint32_t number, struct outcome *outcome)
{
	outcome->bytes +=
		mf_connection_take(&guest->process, number, outcome->output + outcome->bytes,
				   OUTPUT_BYTES - outcome->bytes);
}

/* Run until it waits for the next client, or ends. */
static void run(struct guest *guest, uint32_t number, struct outcome *outcome)
{
	struct mf_kvm_vm *kvm = &guest->process.vm.kvm;
	struct mf_exit exit;

	guest->user_exits = kvm->user_exits;
	guest->faults = mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken);
	watch_vm(&guest->process.vm, run_max_us);
	do {
		mf_process_run(&guest->process, &exit);
		take(guest, number, outcome);
	} while (exit.kind == MF_EXIT_CONNECTION);
	watch_vm(NULL, 0);
	outcome->end = exit.kind;
	guest->user_exits = kvm->user_exits - guest->user_exits;
	guest->faults = mf_kvm_vm_stat(kvm, kvm->kvm->stat_pf_taken) - guest->faults;
}

static uint32_t connect_with(struct guest *guest, char command, uint64_t seed, size_t more)
{
	char bytes[9 + 600];
	uint32_t number = 0;

	memset(bytes, 'm', sizeof(bytes));
	bytes[0] = command;
	memcpy(bytes + 1, &seed, 8);
	cr_assert_eq(mf_connection_open(&guest->process, NULL, 0, &number), 0);
	cr_assert_eq(mf_connection_put(&guest->process, number, bytes, 9 + more),
		     9 + (int64_t)more);
	return number;
}

static struct outcome *ask(struct guest *guest, char command, uint64_t seed)
{
	struct outcome *outcome = &outcomes[guest == &plain];
	uint32_t number = connect_with(guest, command, seed, seed % 600);

	outcome->bytes = 0;
	if (seed % 3 == 0)
		connect_with(guest, command, seed, 5);
	if (seed % 5 == 0)
		mf_connection_end(&guest->process, number);
	run(guest, number, outcome);
	return outcome;
}

static void is_answered(const struct outcome *outcome)
{
	cr_assert_eq(outcome->bytes, 7, "%zu bytes", outcome->bytes);
	cr_assert_arr_eq(outcome->output, "answer\n", 7);
}

static size_t printed;

static ssize_t count_output(void *cookie, int fd, const void *bytes, size_t count)
{
	cr_assert(fd == 2 && count == 7 && !memcmp(bytes, "a line\n", 7), "%.*s", (int)count,
		  (const char *)bytes);
	printed++;
	return (ssize_t)count;
}

static void begin(const char *mode)
{
	struct lab_options options = {.argument = mode, .patched = true, .listens = true};

	lab_open(&lab, "fast_server", &options);
	guest_fork(&fast, &lab);
}

static void end(void)
{
	guest_reset_and_audit(&fast, "the last");
	guest_finish(&fast);
	lab_close(&lab);
}

static void costs_one_exit(const char *mode)
{
	unsigned int i;

	begin(mode);
	for (i = 0; i < rounds(8, 40, 400); i++) {
		is_answered(ask(&fast, 'a', 1));
		if (i >= 4) {
			cr_assert_eq(fast.user_exits, 1, "%s, request %u: %lu user exits", mode, i,
				     (unsigned long)fast.user_exits);
			cr_assert_eq(fast.faults, 0, "%s, request %u: %lu page faults", mode, i,
				     (unsigned long)fast.faults);
		}
		guest_reset_and_audit(&fast, mode);
	}
	end();
}

Test(fast_server, request_by_epoll_is_one_exit_and_no_fault, .timeout = 100)
{
	costs_one_exit("epoll");
}

Test(fast_server, request_by_poll_is_one_exit_and_no_fault, .timeout = 100)
{
	costs_one_exit("poll");
}

Test(fast_server, request_by_accept_is_one_exit_and_no_fault, .timeout = 100)
{
	costs_one_exit("accept");
}

Test(fast_server, what_a_request_prints_costs_no_exit, .timeout = 100)
{
	unsigned int i;

	begin("epoll");
	lab.policy.output = count_output;
	for (i = 0; i < rounds(6, 20, 20); i++) {
		is_answered(ask(&fast, 'w', 1));
		cr_assert_eq(printed, i + 1, "request %u: %zu lines", i, printed);
		cr_assert(i < 4 || (fast.user_exits == 1 && !fast.faults),
			  "request %u: %lu user exits, %lu page faults", i,
			  (unsigned long)fast.user_exits, (unsigned long)fast.faults);
		guest_reset(&fast);
	}
	lab.policy.output_limit = 10;
	printed = 0;
	is_answered(ask(&fast, 'w', 1));
	cr_assert_eq(printed, 1);
	end();
}

/* The VM goes on, request by request on one connection. */
Test(fast_server, request_on_a_kept_connection_is_one_exit_and_no_fault, .timeout = 100)
{
	struct outcome *outcome = &outcomes[0];
	char bytes[9] = "k1234567";
	uint32_t number;
	unsigned int i;

	begin("epoll");
	number = connect_with(&fast, 'k', 1, 0);
	for (i = 0; i < 20; i++) {
		outcome->bytes = 0;
		run(&fast, number, outcome);
		is_answered(outcome);
		cr_assert(i < 8 || fast.user_exits == 1, "request %u: %lu user exits", i,
			  (unsigned long)fast.user_exits);
		cr_assert_eq(mf_connection_put(&fast.process, number, bytes, 9), 9);
	}
	end();
}

/* With what came before the first difference. */
static void compare(const struct outcome *one, const struct outcome *two, const char *mode,
		    uint64_t seed)
{
	size_t same = 0;
	size_t from;

	while (same < one->bytes && same < two->bytes && one->output[same] == two->output[same])
		same++;
	from = same > 300 ? same - 300 : 0;
	cr_assert(one->bytes == two->bytes && same == one->bytes,
		  "%s, seed %llx, byte %zu:\n%.*s\n---\n%.*s", mode, (unsigned long long)seed, same,
		  (int)(one->bytes - from < 340 ? one->bytes - from : 340), one->output + from,
		  (int)(two->bytes - from < 340 ? two->bytes - from : 340), two->output + from);
}

/* The same calls in a VM where the engine answers each of them. */
static void come_to_the_same(const char *mode)
{
	unsigned int count = rounds(6, 300, 20000);
	struct mf_policy slow;
	unsigned int i;

	begin(mode);
	slow = lab.policy;
	slow.no_fast = true;
	guest_fork(&plain, &lab);
	plain.process.policy = &slow;
	for (i = 0; i < count; i++) {
		uint64_t seed = random_u64();
		struct outcome *one = ask(&fast, 'r', seed);
		struct outcome *two = ask(&plain, 'r', seed);

		cr_assert_eq(one->end, two->end, "%s, seed %llx: kind %d and %d", mode,
			     (unsigned long long)seed, one->end, two->end);
		compare(one, two, mode, seed);
		guest_reset(&fast);
		guest_reset(&plain);
	}
	guest_reset_and_audit(&fast, mode);
	guest_finish(&plain);
	end();
}

Test(fast_server, random_calls_come_to_the_same, .timeout = 300)
{
	come_to_the_same("epoll");
}

Test(fast_server, random_calls_on_blocking_sockets_come_to_the_same, .timeout = 300)
{
	come_to_the_same("accept");
}

Test(fast_server, a_forged_log_hurts_the_forger_alone, .timeout = 300)
{
	unsigned int count = rounds(10, 400, 20000);
	unsigned int i;

	run_max_us = 50000;
	begin("epoll");
	for (i = 0; i < count; i++) {
		ask(&fast, 'f', random_u64());
		guest_reset_and_audit(&fast, "forged");
		if (i % 8 == 0) {
			is_answered(ask(&fast, 'a', 1));
			guest_reset(&fast);
		}
	}
	end();
}
