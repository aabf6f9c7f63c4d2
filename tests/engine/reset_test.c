/* SPDX-License-Identifier: MIT */
/*
 * Whatever one request changes, the next one finds as the image has it. The program "state" changes
 * and looks; its look functions use the very address or call, so that a translation that outlived
 * its table entry is seen, which comparing bytes would miss.
 */
#include "tests/engine/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];
static struct lab lab;
static struct guest guest;

static void start(void)
{
	struct lab_options options = {.folder = folder};

	strcpy(folder, "/tmp/mayfly-reset-XXXXXX");
	cr_assert_not_null(mkdtemp(folder));
	lab_open(&lab, "state", &options);
	guest_fork(&guest, &lab);
	cr_assert_geq(mf_mem_arena(&guest.process.vm.mem)->huge_entries, 3,
		      "the image has no entries of 2 MiB to edit");
}

static void stop(void)
{
	char command[128];

	guest_finish(&guest);
	lab_close(&lab);
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	cr_expect_eq(system(command), 0);
}

static const char *ask(const char *verb, const char *name)
{
	char target[128];

	snprintf(target, sizeof(target), "/%s/%s", verb, name);
	return guest_ask(&guest, target, NULL, 0);
}

/* Dirtying must do what it says, or the test would pass for nothing. */
static void dirty(const char *name)
{
	const char *answer = ask("dirty", name);

	cr_assert(strstr(answer, "done") && !strstr(answer, "no "), "%s could not be changed: %s",
		  name, answer);
}

static void is_restored(const char *name)
{
	char image[ANSWER_BYTES + 1];
	char changed[ANSWER_BYTES + 1];
	int round;

	strcpy(image, ask("look", name));
	cr_assert_null(strstr(image, "no such state"), "%s", name);
	guest_reset_and_audit(&guest, name);
	dirty(name);
	strcpy(changed, ask("look", name)); /* without a reset */
	/* Software KVM: the engine clears selectors at every exit, so this change is gone at once.
	 */
	if (strcmp(name, "selectors") || lab.kvm.traits.family == MF_FAMILY_HARDWARE)
		cr_expect_str_neq(image, changed,
				  "%s: the change cannot be seen even without a reset: %s", name,
				  image);
	guest_reset_and_audit(&guest, name);
	cr_expect_str_eq(ask("look", name), image, "%s: seen %s, the image has %s", name,
			 guest.answer, image);
	guest_reset(&guest);
	for (round = 0; round < 3; round++) {
		dirty(name);
		guest_reset(&guest);
		cr_expect_str_eq(ask("look", name), image,
				 "%s, round %d: seen %s, the image has %s", name, round,
				 guest.answer, image);
		guest_reset(&guest);
	}
}

static void are_restored(const char *const *names)
{
	start();
	for (; *names; names++)
		is_restored(*names);
	stop();
}

Test(reset, restores_every_register, .timeout = 120)
{
	static const char *const names[] = {
		"general", "flags", "selectors", "bases",          "x87",
		"sse",     "avx",   "avx512",    "every-register", NULL};

	are_restored(names);
}

Test(reset, restores_memory, .timeout = 120)
{
	static const char *const names[] = {"data",  "bss",      "heap", "mapping",
					    "stack", "dontneed", NULL};

	are_restored(names);
}

Test(reset, restores_translations_of_moved_and_replaced_pages, .timeout = 120)
{
	static const char *const names[] = {"new-mapping",     "far-tables",  "unmap",
					    "unmap-program",   "replace",     "fixed-over-data",
					    "fixed-over-code", "mremap",      "swap-pages",
					    "many-ranges",     "brk-grow",    "brk-shrink",
					    "brk-renew",       "large-parts", "large-protected",
					    "large-moved",     NULL};

	are_restored(names);
}

Test(reset, restores_rights_of_pages, .timeout = 120)
{
	static const char *const names[] = {"rw-to-ro",     "ro-to-rw",      "rw-to-none",
					    "none-to-rw",   "nx-on",         "nx-off",
					    "text-patched", "text-writable", NULL};

	are_restored(names);
}

Test(reset, restores_linux_state, .timeout = 120)
{
	static const char *const names[] = {
		"cwd",         "umask",      "signal-handlers", "signal-mask",   "altstack",
		"fd-opened",   "fd-closed",  "fd-closed-file",  "fd-duplicated", "fd-number-reused",
		"file-offset", "file-flags", "limits",          "environment",   NULL};

	are_restored(names);
}

static const char *const all[] = {"general",
				  "flags",
				  "selectors",
				  "bases",
				  "x87",
				  "sse",
				  "avx",
				  "avx512",
				  "every-register",
				  "data",
				  "bss",
				  "heap",
				  "mapping",
				  "stack",
				  "dontneed",
				  "new-mapping",
				  "far-tables",
				  "unmap",
				  "unmap-program",
				  "replace",
				  "fixed-over-data",
				  "fixed-over-code",
				  "mremap",
				  "swap-pages",
				  "many-ranges",
				  "large-parts",
				  "large-protected",
				  "large-moved",
				  "brk-grow",
				  "brk-shrink",
				  "brk-renew",
				  "rw-to-ro",
				  "ro-to-rw",
				  "rw-to-none",
				  "none-to-rw",
				  "nx-on",
				  "nx-off",
				  "text-patched",
				  "text-writable",
				  "cwd",
				  "umask",
				  "signal-handlers",
				  "signal-mask",
				  "altstack",
				  "fd-opened",
				  "fd-closed",
				  "fd-closed-file",
				  "fd-duplicated",
				  "fd-number-reused",
				  "file-offset",
				  "file-flags",
				  "limits",
				  "environment"};
#define ALL (sizeof(all) / sizeof(all[0]))

/* Any change, any look, in any order on one VM; some requests are left without a reset in between.
 */
Test(reset, restores_everything_in_any_order, .timeout = 300)
{
	static char image[ALL][ANSWER_BYTES + 1];
	unsigned int count = rounds(150, 3000, 30000);
	unsigned int i;

	start();
	for (i = 0; i < ALL; i++) {
		strcpy(image[i], ask("look", all[i]));
		guest_reset(&guest);
	}
	for (i = 0; i < count; i++) {
		unsigned int changed = random_below(ALL);
		unsigned int looked = random_below(ALL);

		ask("dirty", all[changed]);
		if (random_below(3) == 0 && guest.exit.kind == MF_EXIT_READY)
			ask("dirty", all[random_below(ALL)]);
		guest_reset(&guest);
		if (random_below(8) == 0)
			guest_reset_and_audit(&guest, all[changed]);
		cr_assert_str_eq(ask("look", all[looked]), image[looked],
				 "request %u: after a change of %s, %s is %s and not %s", i,
				 all[changed], all[looked], guest.answer, image[looked]);
		guest_reset(&guest);
	}
	guest_reset_and_audit(&guest, "all of it");
	stop();
}
