/* SPDX-License-Identifier: MIT */
/*
 * A lab for engine tests: a guest program frozen into an image, forks of it that are asked one
 * request at a time, reset and audited. A lab opens KVM itself, so it belongs into the test (each
 * Criterion test is a process of its own).
 *
 * SNIPPET(name, "instructions") assembles machine code that the program "bare" runs as a request:
 * position-independent, RDI = request, RSI = two zeroed pages, result in RAX, `ret` at the end.
 */
#ifndef TESTS_ENGINE_HARNESS_H
#define TESTS_ENGINE_HARNESS_H

#include <criterion/criterion.h>
#include <stdint.h>

#include "engine/image/delta.h"
#include "engine/linux/process.h"
#include "request-vm/function.h"

#define ANSWER_BYTES 4096

struct lab {
	struct mf_kvm kvm;
	struct mf_policy policy;
	struct mf_permit *permit;
	struct mf_image image;
	struct mf_ready_point ready;
	struct mf_watchdog *dog; /* NULL: not watched */
};

/* What is asked for beside the defaults (64 MiB, no files). */
struct lab_options {
	const char *folder; /* may be read and written, and is the working directory */
	uint64_t memory_bytes;
	uint64_t private_pages; /* see struct mf_policy */
	const char *argument;   /* argv[1] */
	bool patched;           /* its system calls are jumps on hardware KVM, too */
	bool listens;           /* within the VM; frozen where it waits for a client */
	bool plain_text;        /* they are jumps nowhere */
	bool watched;           /* by a watchdog, as a role's are: threads take turns */
};

struct guest {
	struct lab *lab;
	struct mf_process process;
	struct mf_ready_point ready;
	struct mf_exit exit;           /* how the last request ended */
	uint64_t user_exits;           /* of the last request */
	uint64_t faults;               /* pf_taken of the last request */
	char answer[ANSWER_BYTES + 1]; /* the response, or how it ended: "signal 11 ..." */
	size_t answer_bytes;
};

/* Build an image of tests/guests/NAME; the test fails (or is skipped without /dev/kvm) otherwise.
 */
void lab_open(struct lab *lab, const char *name, const struct lab_options *options);
void lab_close(struct lab *lab);

void guest_fork(struct guest *guest, struct lab *lab);
void guest_finish(struct guest *guest);

/*
 * One request from its delivery to its end; waits are waited for. What the guest does is in
 * `answer` and `exit`; only a failing host fails the test.
 */
const char *guest_ask(struct guest *guest, const char *target, const void *body, size_t bytes);

/* In steps: deliver, then go on until something that is not a wait (or, with `stop`, is one). */
void guest_deliver(struct guest *guest, const char *target, const void *body, size_t bytes);
void guest_go_on(struct guest *guest, bool stop_at_wait);

/* Run machine code in "bare"; UINT64_MAX when it did not come to its end. */
uint64_t guest_run(struct guest *guest, const void *code, size_t bytes);

/* Reset, which must succeed. */
void guest_reset(struct guest *guest);
/* Does it equal its image? If not, `why` says so. */
bool guest_is_clean(struct guest *guest, char why[400]);
/* Reset, and fail the test when anything is left; `what` names the request. */
void guest_reset_and_audit(struct guest *guest, const char *what);

/* A request that runs longer is kicked, as a deadline does: RUN_MAX_US, far more than any takes
 * that ends by itself, unless set. */
#define RUN_MAX_US 60000000ull
extern uint64_t run_max_us;
/* The same for a VM that is run by hand: kick it after that time; (NULL, 0) ends the watch. */
void watch_vm(struct mf_vm *vm, uint64_t us);

/* Form a request (struct mf_abi_request) in `to`; returns its size. A body of 16 bytes or more also
 * comes with a header "echo" that has its first 16. */
size_t form_request(uint8_t *to, size_t room, const char *target, const void *body, size_t bytes);

/* Counts of this process, for leak checks. */
int count_descriptors(void);
int count_threads(void);
long resident_kib(void);

bool is_emulated(void); /* in the emulated machine: scale down */
bool is_long(void);
/* `shorter` in the emulated machine, `longer` with MAYFLY_TEST_LONG. */
unsigned int rounds(unsigned int shorter, unsigned int usual, unsigned int longer);

/* Random numbers; the seed (MAYFLY_TEST_SEED, or a fresh one) is printed by the first call. */
uint64_t random_u64(void);
unsigned int random_below(unsigned int bound);

#define SNIPPET(name, text)                        \
	extern const uint8_t name[], name##_end[]; \
	__asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection")
#define SNIPPET_BYTES(name) (size_t)(name##_end - (name))

#endif
