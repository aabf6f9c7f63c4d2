/* SPDX-License-Identifier: MIT */
/*
 * Do the checks of the other tests see anything? With one step of reset left out, a request that
 * dirties what the step restores must be found by the audit, by the next request or by the
 * descriptor count. With no step left out, the same request must not be.
 */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];
static struct lab lab;
static struct guest guest;

SNIPPET(single_step, "pushfq; orl $0x100, (%rsp); popfq; nop; nop; ret");
SNIPPET(rep_insb, "mov %rsi, %rdi; mov $0x10, %edx; mov $64, %ecx; rep insb; ret");
SNIPPET(is_zero, "mov $1024, %ecx; mov %rsi, %rdi; xor %eax, %eax; repe scasq; setne %al; ret");

static void dirty_state(const char *target)
{
	guest_ask(&guest, target, NULL, 0);
	cr_assert(strstr(guest.answer, "done"), "%s: %s", target, guest.answer);
}

static void dirty_debug(const char *unused)
{
	guest_ask(&guest, "/", single_step, SNIPPET_BYTES(single_step));
	cr_assert_eq(guest.exit.kind, MF_EXIT_SIGNALED, "%s", guest.answer);
}

static void dirty_half_instruction(const char *unused)
{
	guest_ask(&guest, "/", rep_insb, SNIPPET_BYTES(rep_insb));
	cr_assert_eq(guest.exit.kind, MF_EXIT_CRASHED, "%s", guest.answer);
}

/* No instruction of ring 3 leaves an event pending on every KVM: put one there. */
static void dirty_events(const char *unused)
{
	struct kvm_vcpu_events *events = &guest.process.vm.kvm.run->s.regs.events;

	guest_run(&guest, is_zero, SNIPPET_BYTES(is_zero));
	events->nmi.masked = !events->nmi.masked;
	cr_assert_eq(mf_kvm_vm_set_events(&guest.process.vm.kvm, events), 0);
}

static const struct mutation {
	enum mf_reset_step step;
	const char *program;
	void (*dirty)(const char *target);
	const char *target;
} mutations[] = {
	{MF_STEP_TABLES, "state", dirty_state, "/dirty/rw-to-ro"},
	{MF_STEP_TABLES, "state", dirty_state, "/dirty/unmap"},
	{MF_STEP_TABLES, "state", dirty_state, "/dirty/nx-off"},
	{MF_STEP_MEMORY, "state", dirty_state, "/dirty/data"},
	{MF_STEP_MEMORY, "state", dirty_state, "/dirty/umask"},
	{MF_STEP_LEARN, "state", dirty_state, "/dirty/bss"},
	{MF_STEP_REGS, "state", dirty_state, "/dirty/general"},
	{MF_STEP_SREGS, "state", dirty_state, "/dirty/bases"},
	{MF_STEP_XSAVE, "state", dirty_state, "/dirty/x87"},
	{MF_STEP_XSAVE, "state", dirty_state, "/dirty/avx512"},
	{MF_STEP_EVENTS, "bare", dirty_events, NULL},
	{MF_STEP_DEBUG, "bare", dirty_debug, NULL},
	{MF_STEP_DRAIN, "bare", dirty_half_instruction, NULL},
	{MF_STEP_DESCRIPTORS, "state", dirty_state, "/dirty/fd-opened"},
};

/* The next request's view, where the program has one for this. */
static bool next_request_sees(const struct mutation *mutation)
{
	if (strcmp(mutation->program, "bare") != 0)
		return false;
	return guest_run(&guest, is_zero, SNIPPET_BYTES(is_zero)) != 0;
}

static bool is_found(const struct mutation *mutation, unsigned int skipped)
{
	struct lab_options options = {.folder = folder};
	char why[400];
	int before;
	bool found;

	lab_open(&lab, mutation->program, &options);
	guest_fork(&guest, &lab);
	guest.process.vm.skip_steps = skipped;
	before = count_descriptors();
	mutation->dirty(mutation->target);
	guest_reset(&guest);
	found = count_descriptors() != before;
	if (!found && skipped == MF_STEP_DRAIN)
		found = next_request_sees(mutation);
	found = found || !guest_is_clean(&guest, why);
	guest_finish(&guest);
	lab_close(&lab);
	return found;
}

Test(mutation, each_step_of_reset_is_needed_and_its_loss_is_found, .timeout = 120)
{
	char command[128];
	unsigned int covered = 0;
	size_t i;

	strcpy(folder, "/tmp/mayfly-mutation-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	for (i = 0; i < sizeof(mutations) / sizeof(mutations[0]); i++) {
		const struct mutation *mutation = &mutations[i];
		const char *target = mutation->target ? mutation->target : "its snippet";

		cr_expect_not(is_found(mutation, 0), "%s leaves something with all steps on",
			      target);
		cr_expect(is_found(mutation, mutation->step),
			  "step 0x%x left out is not found after %s", mutation->step, target);
		covered |= mutation->step;
	}
	cr_expect_eq(covered, MF_STEP_DESCRIPTORS * 2u - 1, "a step has no mutation: 0x%x",
		     covered);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_expect_eq(system(command), 0);
}
