/* SPDX-License-Identifier: MIT */
/* Which `syscall` can be patched: code as compilers make it, and code as nobody should. */
#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/abi/fast.h>

#include "engine/linux/patch.h"

#define AT 256u /* of the bytes under test, in a page of returns */

static uint8_t code[1024];

static struct mf_patch_site look(const char *bytes, size_t size, uint32_t syscall_at)
{
	memset(code, 0xc3, sizeof(code));
	memcpy(code + AT, bytes, size);
	return mf_patch_look(code, sizeof(code), AT + syscall_at, NULL, 0);
}

#define LOOK(bytes, syscall_at) look(bytes, sizeof(bytes) - 1, syscall_at)

#define MOV_1   "\xb8\x01\x00\x00\x00"
#define SYSCALL "\x0f\x05"
#define COMPARE "\x48\x3d\x00\xf0\xff\xff\x77\x10\xc3"
#define NOP_10  "\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00"

Test(patch, a_number_in_front_makes_room)
{
	struct mf_patch_site site = LOOK(MOV_1 SYSCALL, 5);

	cr_assert_eq(site.kind, MF_PATCH_LONG);
	cr_assert_eq(site.at, AT);
}

Test(patch, a_word_of_the_stack_does_too)
{
	cr_assert_eq(LOOK("\x4c\x8b\x4c\x24\x08" SYSCALL, 5).kind, MF_PATCH_LONG);
	cr_assert_eq(LOOK("\x4c\x89\x5c\x24\x10" SYSCALL, 5).kind, MF_PATCH_LONG);
}

Test(patch, another_register_or_a_large_number_is_something_else)
{
	cr_assert_eq(LOOK("\x41" MOV_1 SYSCALL, 6).kind, MF_PATCH_NONE, "mov to r8d");
	cr_assert_eq(LOOK("\x48" MOV_1 SYSCALL, 6).kind, MF_PATCH_NONE, "part of a movabs");
	cr_assert_eq(LOOK("\x0f" MOV_1 SYSCALL, 6).kind, MF_PATCH_NONE, "two-byte opcode");
	cr_assert_eq(LOOK("\x66" MOV_1 SYSCALL, 6).kind, MF_PATCH_NONE, "16-bit immediate");
	cr_assert_eq(LOOK("\xb8\x01\x00\x01\x00" SYSCALL, 5).kind, MF_PATCH_NONE, "65537");
	cr_assert_eq(LOOK("\xb9\x01\x00\x00\x00" SYSCALL, 5).kind, MF_PATCH_NONE, "mov to ecx");
	cr_assert_eq(LOOK("\x48\x8b\x4c\x25\x08" SYSCALL, 5).kind, MF_PATCH_NONE, "no stack");
	cr_assert_eq(LOOK("\x48\x8d\x4c\x24\x08" SYSCALL, 5).kind, MF_PATCH_NONE, "lea");
}

Test(patch, what_is_jumped_into_stays)
{
	uint32_t into;

	for (into = 1; into < 7; into++) {
		char near[] = "\xeb\x00\x90\x90\x90" MOV_1 SYSCALL;
		char far[] = "\xe9\x00\x00\x00\x00" MOV_1 SYSCALL;
		char back[] = MOV_1 SYSCALL "\x90\x0f\x84\x00\xff\xff\xff";
		char loop[] = MOV_1 SYSCALL "\x90\xe2\x00";
		bool inside = into < 5;

		near[1] = (char)(3 + into);
		far[1] = (char)into;
		back[10] = (char)(into - 14);
		loop[9] = (char)(into - 10);
		cr_assert_eq(LOOK(near, 10).kind == MF_PATCH_NONE, inside, "near, %u", into);
		cr_assert_eq(LOOK(far, 10).kind == MF_PATCH_NONE, inside, "far, %u", into);
		cr_assert_eq(LOOK(back, 5).kind == MF_PATCH_NONE, inside, "back, %u", into);
		cr_assert_eq(LOOK(loop, 5).kind == MF_PATCH_NONE, inside, "loop, %u", into);
	}
}

Test(patch, read_goes_by_the_filling_behind_its_return)
{
	struct mf_patch_site site = LOOK("\x31\xc0" SYSCALL COMPARE NOP_10, 2);
	uint32_t spent[] = {AT + 13, AT + 18};

	cr_assert_eq(site.kind, MF_PATCH_SHORT);
	cr_assert_eq(site.at, AT);
	cr_assert_eq(site.detour, AT + 13);
	site = mf_patch_look(code, sizeof(code), AT + 2, spent, 1);
	cr_assert_eq(site.detour, AT + 18, "the second half");
	site = mf_patch_look(code, sizeof(code), AT + 2, spent, 2);
	cr_assert_eq(site.kind, MF_PATCH_NONE, "all is spent");
}

Test(patch, read_without_filling_stays)
{
	cr_assert_eq(LOOK("\x31\xc0" SYSCALL COMPARE, 2).kind, MF_PATCH_NONE);
	cr_assert_eq(LOOK("\x31\xc0" SYSCALL COMPARE "\x0f\x1f\x40\x00", 2).kind, MF_PATCH_NONE,
		     "four bytes");
	cr_assert_eq(LOOK("\x31\xc0" SYSCALL NOP_10, 2).kind, MF_PATCH_NONE, "not behind a return");
	cr_assert_eq(LOOK("\x45\x31\xc0" SYSCALL COMPARE NOP_10, 3).kind, MF_PATCH_NONE, "r8d");
	cr_assert_eq(LOOK("\x31\xc0" SYSCALL COMPARE NOP_10 "\xeb\xf4", 2).kind, MF_PATCH_NONE,
		     "somebody jumps into the filling");
}

/* At every end of every size: nothing is read beyond (the sanitized build says so). */
Test(patch, ends_are_ends)
{
	static const char text[] =
		"\x90\x90" MOV_1 SYSCALL COMPARE "\x31\xc0" SYSCALL COMPARE NOP_10;
	uint32_t size;
	uint32_t at;

	for (size = 0; size < sizeof(text); size++) {
		uint8_t *copy = malloc(size + !size);

		memcpy(copy, text, size);
		for (at = 0; at < size + 2; at++)
			cr_assert_leq(mf_patch_look(copy, size, at, NULL, 0).at, size);
		free(copy);
	}
}

Test(patch, a_trampoline_does_what_was_there_and_knows_the_way_back)
{
	uint8_t to[MF_TRAMPOLINE_BYTES];
	uint64_t enter = MF_FAST_CODE_VA;
	int32_t back;

	mf_patch_trampoline(to, (const uint8_t *)MOV_1, MF_PATCH_LONG, 0x500000, 0x400000);
	cr_assert_arr_eq(to, MOV_1 "\x48\x8d\x0d", 8);
	memcpy(&back, to + 8, sizeof(back));
	cr_assert_eq(0x400000 + 12 + back, 0x500007);
	cr_assert_arr_eq(to + 12, "\x49\xbb", 2);
	cr_assert_arr_eq(to + 14, (uint8_t *)&enter, 8);
	cr_assert_arr_eq(to + 22, "\x41\xff\xe3", 3);
	mf_patch_trampoline(to, (const uint8_t *)"\x31\xc0", MF_PATCH_SHORT, 0x400000, 0x500000);
	memcpy(&back, to + 5, sizeof(back));
	cr_assert_eq(0x500000 + 9 + back, 0x400004);
}
