/* SPDX-License-Identifier: MIT */
/* Which places can be patched: what the bytes around a `syscall` say. Intel SDM vol. 2. */
#include "engine/linux/patch.h"

#include <mayfly/abi/fast.h>

#include <string.h>

#define SYSCALL_BYTES 2u
#define SHORT_BYTES   2u

/* Prefixes of an instruction's last byte before it would make it another one: REX, operand size,
 * and the first byte of two-byte opcodes. */
static bool is_prefix(uint8_t byte)
{
	return (byte & 0xf0) == 0x40 || byte == 0x66 || byte == 0x0f;
}

/* `mov $number, %eax`, or `mov` between a register and the stack (8-bit displacement): five bytes
 * that do the same anywhere. */
static bool is_movable(const uint8_t *at)
{
	if (at[0] == 0xb8)
		return !at[3] && !at[4] && at[2] < 0x10 && !is_prefix(at[-1]);
	return (at[0] == 0x48 || at[0] == 0x4c) && (at[1] == 0x8b || at[1] == 0x89) &&
	       (at[2] & 0xc7) == 0x44 && at[3] == 0x24;
}

static int32_t word_at(const uint8_t *at)
{
	int32_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* Where a jump or call would lead, if these bytes were one; 0: they are none. */
static int64_t target_of(const uint8_t *code, uint32_t bytes, uint32_t at)
{
	uint8_t opcode = code[at];

	if ((opcode >= 0x70 && opcode <= 0x7f) || opcode == 0xeb || (opcode & 0xfc) == 0xe0) {
		/* Part of an address relative to the stack pointer: mov and lea. */
		if (at && (code[at - 1] == 0x8b || code[at - 1] == 0x89 || code[at - 1] == 0x8d) &&
		    at + 1 < bytes && code[at + 1] == 0x24)
			return 0;
		return at + 2 <= bytes ? (int64_t)at + 2 + (int8_t)code[at + 1] : 0;
	}
	if ((opcode & 0xfe) == 0xe8)
		return at + 5 <= bytes ? (int64_t)at + 5 + word_at(code + at + 1) : 0;
	if (opcode == 0x0f && at + 6 <= bytes && (code[at + 1] & 0xf0) == 0x80)
		return (int64_t)at + 6 + word_at(code + at + 2);
	return 0;
}

/* Could anything near jump behind the first of `count` bytes, and not behind them? */
static bool is_entered(const uint8_t *code, uint32_t bytes, uint32_t at, uint32_t count)
{
	uint32_t from = at > MF_PATCH_REACH ? at - MF_PATCH_REACH : 0;
	uint32_t i;

	for (i = from; i < bytes && i < at + MF_PATCH_REACH; i++) {
		int64_t to = target_of(code, bytes, i);

		if (to > at && to < (int64_t)at + count && (i < at || i >= at + count))
			return true;
	}
	return false;
}

/* The length of a no-operation as assemblers fill with; 0: it is none. */
static uint32_t nop_bytes(const uint8_t *code, uint32_t bytes, uint32_t at)
{
	uint32_t i = at;

	while (i < bytes && (code[i] == 0x66 || code[i] == 0x2e))
		i++;
	if (i < bytes && code[i] == 0x90)
		return i + 1 - at;
	if (i + 2 >= bytes || code[i] != 0x0f || code[i + 1] != 0x1f)
		return 0;
	switch (code[i + 2]) {
	case 0x00:
		return i + 3 - at;
	case 0x40:
		return i + 4 - at;
	case 0x44:
		return i + 5 - at;
	case 0x80:
		return i + 7 - at;
	case 0x84:
		return i + 8 - at;
	default:
		return 0;
	}
}

/* No-operations behind a return, from `at` on: nothing runs them. */
static uint32_t filling(const uint8_t *code, uint32_t bytes, uint32_t at)
{
	uint32_t i = at;
	uint32_t more;

	while ((more = nop_bytes(code, bytes, i)))
		i += more;
	return i <= bytes ? i - at : 0;
}

/*
 * Behind a `syscall` at `at` with nothing before it that could be misread: `cmp $-4096, %rax; ja;
 * ret`, as the C library has it. Where the filling begins; 0: it looks otherwise.
 */
static uint32_t behind_return(const uint8_t *code, uint32_t bytes, uint32_t at)
{
	static const uint8_t compare[] = {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77};
	uint32_t i = at + SYSCALL_BYTES;

	if (i + sizeof(compare) + 2 > bytes || memcmp(code + i, compare, sizeof(compare)))
		return 0;
	i += (uint32_t)sizeof(compare) + 1;
	return code[i] == 0xc3 ? i + 1 : 0;
}

static bool is_spent(uint32_t at, const uint32_t *spent, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (at < spent[i] + MF_PATCH_BYTES && spent[i] < at + MF_PATCH_BYTES)
			return true;
	return false;
}

/* Five bytes that nothing runs, which a jump of two bytes at `at` reaches; 0: none. */
static uint32_t find_detour(const uint8_t *code, uint32_t bytes, uint32_t at, const uint32_t *spent,
			    uint32_t spent_count)
{
	uint32_t from = at > 126 ? at - 126 : 0;
	uint32_t i;

	for (i = from; i + SYSCALL_BYTES < bytes && i < at + 126; i++) {
		uint32_t first =
			code[i] == 0x0f && code[i + 1] == 0x05 ? behind_return(code, bytes, i) : 0;
		uint32_t end = first ? first + filling(code, bytes, first) : 0;
		uint32_t gap;

		for (gap = first; gap && gap + MF_PATCH_BYTES <= end; gap += MF_PATCH_BYTES) {
			int64_t leap = (int64_t)gap - (at + SHORT_BYTES);

			if (leap >= -128 && leap <= 127 && !is_spent(gap, spent, spent_count) &&
			    !is_entered(code, bytes, first - 1, gap + MF_PATCH_BYTES + 1 - first))
				return gap;
		}
	}
	return 0;
}

struct mf_patch_site mf_patch_look(const uint8_t *code, uint32_t bytes, uint32_t at,
				   const uint32_t *spent, uint32_t spent_count)
{
	struct mf_patch_site site = {.kind = MF_PATCH_NONE};

	if (at <= MF_PATCH_BYTES || at + SYSCALL_BYTES > bytes)
		return site;
	if (is_movable(code + at - MF_PATCH_BYTES)) {
		site.at = at - MF_PATCH_BYTES;
		if (!is_entered(code, bytes, site.at, MF_PATCH_BYTES))
			site.kind = MF_PATCH_LONG;
		return site;
	}
	/* xor %eax, %eax: read */
	if (code[at - 2] != 0x31 || code[at - 1] != 0xc0 || is_prefix(code[at - 3]))
		return site;
	site.at = at - SHORT_BYTES;
	site.detour = find_detour(code, bytes, site.at, spent, spent_count);
	if (site.detour && !is_entered(code, bytes, site.at, SHORT_BYTES))
		site.kind = MF_PATCH_SHORT;
	return site;
}

void mf_patch_trampoline(uint8_t out[MF_TRAMPOLINE_BYTES], const uint8_t *code,
			 enum mf_patch_kind kind, uint64_t site, uint64_t at)
{
	static const uint8_t lea_rcx[] = {0x48, 0x8d, 0x0d};
	static const uint8_t mov_r11[] = {0x49, 0xbb};
	static const uint8_t jmp_r11[] = {0x41, 0xff, 0xe3};
	uint32_t size = kind == MF_PATCH_LONG ? MF_PATCH_BYTES : SHORT_BYTES;
	uint64_t enter = MF_FAST_CODE_VA + MF_FAST_ENTER;
	uint8_t *to = out;
	int32_t back;

	memset(out, 0xcc, MF_TRAMPOLINE_BYTES);
	memcpy(to, code, size);
	to += size;
	memcpy(to, lea_rcx, sizeof(lea_rcx));
	to += sizeof(lea_rcx);
	back = (int32_t)(site + size + SYSCALL_BYTES - (at + (uint64_t)(to - out) + sizeof(back)));
	memcpy(to, &back, sizeof(back));
	to += sizeof(back);
	memcpy(to, mov_r11, sizeof(mov_r11));
	to += sizeof(mov_r11);
	memcpy(to, &enter, sizeof(enter));
	to += sizeof(enter);
	memcpy(to, jmp_r11, sizeof(jmp_r11));
}
