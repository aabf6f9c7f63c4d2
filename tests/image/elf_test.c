/* SPDX-License-Identifier: MIT */
/*
 * The ELF reader: programs that are accepted and what it says of them, one row per kind of bad
 * input, and mutations of good files, which must never crash it nor get a lie past it.
 * MAYFLY_TEST_SEED=N repeats a run, MAYFLY_TEST_LONG=1 makes it a hundred times longer.
 */
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/image/elf.h"

#define BASE       0x400000
#define PHDR_MAX   70
#define IMAGE_SIZE 0x6000
#define SYMTAB_AT  0x4000
#define STRTAB_AT  0x4800
#define SHDR_AT    0x5000

static const struct mf_elf_limits limits = {.vaddr_end = 0x7ffffffff000, .load_bytes_max = 1 << 20};

/* A program in memory: text (R X), data with bss (R W), a stack, symbols. A case bends it. */
struct image {
	Elf64_Ehdr h;
	Elf64_Phdr p[PHDR_MAX];
	Elf64_Shdr s[3];
	Elf64_Sym sym[8];
	char names[64];
	size_t size; /* of the file that is made of it */
};

static struct image good_image(void)
{
	struct image m = {.size = IMAGE_SIZE};

	memcpy(m.h.e_ident, ELFMAG, SELFMAG);
	m.h.e_ident[EI_CLASS] = ELFCLASS64;
	m.h.e_ident[EI_DATA] = ELFDATA2LSB;
	m.h.e_ident[EI_VERSION] = EV_CURRENT;
	m.h.e_type = ET_EXEC;
	m.h.e_machine = EM_X86_64;
	m.h.e_version = EV_CURRENT;
	m.h.e_entry = BASE + 0x1010;
	m.h.e_phoff = sizeof(Elf64_Ehdr);
	m.h.e_phentsize = sizeof(Elf64_Phdr);
	m.h.e_phnum = 4;
	m.h.e_shoff = SHDR_AT;
	m.h.e_shentsize = sizeof(Elf64_Shdr);
	m.h.e_shnum = 3;
	m.p[0] = (Elf64_Phdr){PT_LOAD, PF_R, 0, BASE, BASE, 0x1000, 0x1000, 0x1000};
	m.p[1] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0x1000, BASE + 0x1000, 0, 0x800, 0x800, 0x1000};
	m.p[2] =
		(Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0x2f00, BASE + 0x3f00, 0, 0x200, 0x5000, 0x1000};
	m.p[3] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
	m.s[1] = (Elf64_Shdr){.sh_type = SHT_SYMTAB,
			      .sh_offset = SYMTAB_AT,
			      .sh_size = sizeof(m.sym),
			      .sh_entsize = sizeof(Elf64_Sym),
			      .sh_link = 2};
	m.s[2] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB, .sh_offset = STRTAB_AT, .sh_size = sizeof(m.names)};
	memcpy(m.names, "\0handle\0table\0twice\0other\0puts", 31);
	memcpy(m.names + 60, "tail", 4); /* no NUL: ends with the table */
	m.sym[1] = (Elf64_Sym){1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, BASE + 0x1100, 32};
	m.sym[2] = (Elf64_Sym){8, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 1, BASE + 0x3f10, 8};
	m.sym[3] = (Elf64_Sym){14, ELF64_ST_INFO(STB_LOCAL, STT_FUNC), 0, 1, 0x111, 1};
	m.sym[4] = (Elf64_Sym){14, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, 0x333, 3};
	m.sym[5] = (Elf64_Sym){14, ELF64_ST_INFO(STB_WEAK, STT_FUNC), 0, 1, 0x222, 2};
	m.sym[6] = (Elf64_Sym){20, ELF64_ST_INFO(STB_GLOBAL, STT_SECTION), 0, 1, 0x444, 4};
	m.sym[7] = (Elf64_Sym){26, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, SHN_UNDEF, 0, 0};
	return m;
}

static struct image good_pie(void)
{
	struct image m = good_image();

	m.h.e_type = ET_DYN;
	m.h.e_entry -= BASE;
	for (int i = 0; i < 3; i++)
		m.p[i].p_vaddr -= BASE;
	return m;
}

static void put(uint8_t *file, size_t at, const void *from, size_t length)
{
	if (at + length <= IMAGE_SIZE)
		memcpy(file + at, from, length);
}

/* Exactly m->size bytes on the heap, so that ASan sees one byte too many. */
static uint8_t *file_of(const struct image *m)
{
	uint8_t *whole = calloc(1, IMAGE_SIZE), *file;

	put(whole, sizeof(m->h), m->p, sizeof(m->p));
	put(whole, SYMTAB_AT, m->sym, sizeof(m->sym));
	put(whole, STRTAB_AT, m->names, sizeof(m->names));
	put(whole, SHDR_AT, m->s, sizeof(m->s));
	put(whole, 0, &m->h, sizeof(m->h));
	file = malloc(m->size + (m->size == 0));
	memcpy(file, whole, m->size);
	free(whole);
	return file;
}

static int parse(const struct image *m, struct mf_elf *elf, struct mf_error *err)
{
	uint8_t *file = file_of(m);
	int rc = mf_elf_parse(elf, file, m->size, &limits, err);

	free(file);
	return rc;
}

/* What mf_elf_parse promises of everything it accepts. */
static void check_promises(const struct mf_elf *elf, size_t size)
{
	uint64_t low = elf->type == MF_ELF_FIXED ? MF_ELF_VADDR_MIN : 0;
	uint64_t end = 0, bytes = 0;
	bool entry = false;

	cr_assert(elf->segment_count > 0 && elf->segment_count <= MF_ELF_SEGMENTS_MAX);
	cr_assert(elf->align >= 4096 && (elf->align & (elf->align - 1)) == 0);
	for (unsigned i = 0; i < elf->segment_count; i++) {
		const struct mf_elf_segment *s = &elf->segments[i];

		cr_assert(s->memsz_bytes > 0 && s->filesz_bytes <= s->memsz_bytes);
		cr_assert(s->offset <= size && s->filesz_bytes <= size - s->offset);
		cr_assert(s->offset % 4096 == s->vaddr % 4096);
		cr_assert(s->vaddr >= low && s->vaddr + s->memsz_bytes > s->vaddr);
		cr_assert((s->vaddr & ~0xfffull) >= end, "segments share a page");
		cr_assert_eq(s->prot & ~7u, 0);
		end = (s->vaddr + s->memsz_bytes + 0xfff) & ~0xfffull;
		bytes += end - (s->vaddr & ~0xfffull);
		entry |= (s->prot & MF_ELF_X) && elf->entry >= s->vaddr &&
			 elf->entry < s->vaddr + s->memsz_bytes;
	}
	cr_assert(entry);
	cr_assert_eq(elf->low_vaddr, elf->segments[0].vaddr & ~0xfffull);
	cr_assert_eq(elf->high_vaddr, end);
	cr_assert(end + (elf->type == MF_ELF_PIE ? MF_ELF_VADDR_MIN : 0) <= limits.vaddr_end);
	cr_assert(elf->load_bytes == bytes && bytes <= limits.load_bytes_max);
	cr_assert(elf->interp_bytes <= 4096 && elf->interp_bytes != 1);
	cr_assert(elf->interp_bytes == 0 ||
		  (elf->interp_offset <= size && elf->interp_bytes <= size - elf->interp_offset));
	cr_assert(elf->phdr_vaddr == 0 ||
		  (elf->phdr_vaddr >= elf->low_vaddr && elf->phdr_vaddr < elf->high_vaddr));
}

Test(elf, a_static_program_is_described)
{
	struct image m = good_image();
	struct mf_elf elf;
	struct mf_error err = {0};

	cr_assert_eq(parse(&m, &elf, &err), 0, "%s", err.text);
	check_promises(&elf, m.size);
	cr_assert(elf.type == MF_ELF_FIXED && elf.entry == BASE + 0x1010);
	cr_assert(elf.phdr_vaddr == BASE + 64 && elf.phnum == 4 && elf.phentsize == 56);
	cr_assert_eq(elf.segment_count, 3);
	cr_assert(!elf.stack_exec);
	cr_assert(elf.low_vaddr == BASE && elf.high_vaddr == BASE + 0x9000);
	cr_assert(elf.segments[1].prot == (MF_ELF_R | MF_ELF_X));
	cr_assert(elf.segments[2].prot == (MF_ELF_R | MF_ELF_W));
	cr_assert(elf.segments[2].vaddr == BASE + 0x3f00 && elf.segments[2].offset == 0x2f00);
	cr_assert(elf.segments[2].filesz_bytes == 0x200 && elf.segments[2].memsz_bytes == 0x5000);
	cr_assert_eq(elf.load_bytes, 0x1000 + 0x1000 + 0x6000);
}

Test(elf, a_static_pie_is_described_relative_to_its_base)
{
	struct image m = good_pie();
	struct mf_elf elf;
	struct mf_error err = {0};

	m.p[1].p_align = 0x200000;
	cr_assert_eq(parse(&m, &elf, &err), 0, "%s", err.text);
	check_promises(&elf, m.size);
	cr_assert(elf.type == MF_ELF_PIE && elf.entry == 0x1010 && elf.low_vaddr == 0);
	cr_assert(elf.align == 0x200000 && elf.phdr_vaddr == 64);
}

Test(elf, phdr_header_wins_and_a_table_outside_memory_is_zero)
{
	struct image m = good_image();
	struct mf_elf elf;

	m.p[4] = (Elf64_Phdr){PT_PHDR, PF_R, 64, BASE + 0x3f80, 0, 0, 0, 8};
	m.h.e_phnum = 5;
	cr_assert_eq(parse(&m, &elf, NULL), 0);
	cr_assert_eq(elf.phdr_vaddr, BASE + 0x3f80);
	m = good_image();
	m.p[0].p_filesz = 100; /* the table is cut in memory */
	cr_assert_eq(parse(&m, &elf, NULL), 0);
	cr_assert_eq(elf.phdr_vaddr, 0);
}

Test(elf, an_executable_stack_is_reported_and_empty_segments_are_skipped)
{
	struct image m = good_image();
	struct mf_elf elf;

	m.p[3].p_flags |= PF_X;
	m.p[4] = (Elf64_Phdr){PT_LOAD, PF_R, 0, 0, 0, 0, 0, 0x1000};
	m.h.e_phnum = 5;
	cr_assert_eq(parse(&m, &elf, NULL), 0);
	cr_assert(elf.stack_exec && elf.segment_count == 3);
	m.h.e_phnum = 3; /* no PT_GNU_STACK: not executable on x86-64 */
	cr_assert_eq(parse(&m, &elf, NULL), 0);
	cr_assert(!elf.stack_exec);
}

/* ---- bad input: what is bent, the code, words of the sentence ---- */

static void many_segments(struct image *m)
{
	m->h.e_phnum = MF_ELF_SEGMENTS_MAX + 1;
	for (unsigned i = 0; i < m->h.e_phnum; i++)
		m->p[i] = (Elf64_Phdr){PT_LOAD, PF_R | PF_X, 0, BASE + i * 0x1000, 0, 16, 16, 1};
}

/* The name lies in the symbol table's place here: file_of() puts m->names at STRTAB_AT. */
static void interpreter(struct image *m, const char *name, size_t length)
{
	memset(m->names, 0, sizeof(m->names));
	memcpy(m->names, name, length);
	m->p[3] = (Elf64_Phdr){PT_INTERP, PF_R, STRTAB_AT, 0, 0, length, length, 1};
}

/* clang-format off */
#define ROWS(ROW)                                                                                  \
	ROW(empty_file, -ENOEXEC, "not an ELF", m.size = 0)                                        \
	ROW(three_bytes, -ENOEXEC, "not an ELF", m.size = 3)                                       \
	ROW(text_file, -ENOEXEC, "not an ELF", memcpy(m.h.e_ident, "hello", 5))                    \
	ROW(script, -ENOEXEC, "script", memcpy(m.h.e_ident, "#!/b", 4))                            \
	ROW(only_the_magic, -ENOEXEC, "truncated", m.size = 4)                                     \
	ROW(header_cut, -ENOEXEC, "truncated", m.size = 63)                                        \
	ROW(table_cut, -ENOEXEC, "beyond the end", m.size = 64 + 56 * 4 - 1)                       \
	ROW(file_cut, -ENOEXEC, "beyond the end", m.size = 0x30ff)                                 \
	ROW(class_32, -ENOEXEC, "32-bit", m.h.e_ident[EI_CLASS] = ELFCLASS32)                      \
	ROW(class_unknown, -ENOEXEC, "class", m.h.e_ident[EI_CLASS] = 9)                           \
	ROW(big_endian, -ENOEXEC, "little-endian", m.h.e_ident[EI_DATA] = ELFDATA2MSB)             \
	ROW(ident_version, -ENOEXEC, "version", m.h.e_ident[EI_VERSION] = 2)                       \
	ROW(header_version, -ENOEXEC, "version", m.h.e_version = 0)                                \
	ROW(arm, -ENOEXEC, "another machine (e_machine 183)", m.h.e_machine = EM_AARCH64)          \
	ROW(object_file, -ENOEXEC, "not linked", m.h.e_type = ET_REL)                              \
	ROW(core_dump, -ENOEXEC, "core dump", m.h.e_type = ET_CORE)                                \
	ROW(strange_type, -ENOEXEC, "e_type 77", m.h.e_type = 77)                                  \
	ROW(library, -ENOEXEC, "shared library", (m = good_pie(), m.h.e_entry = 0))                \
	ROW(no_headers, -ENOEXEC, "no program headers", m.h.e_phnum = 0)                           \
	ROW(too_many_headers, -ENOEXEC, "too many program headers: 65", m.h.e_phnum = 65)          \
	ROW(xnum_headers, -ENOEXEC, "too many program headers", m.h.e_phnum = PN_XNUM)             \
	ROW(odd_header_size, -ENOEXEC, "of 32 bytes", m.h.e_phentsize = 32)                        \
	ROW(table_far, -ENOEXEC, "beyond the end", m.h.e_phoff = 1ull << 40)                       \
	ROW(table_wraps, -ENOEXEC, "beyond the end", m.h.e_phoff = UINT64_MAX - 55)                \
	ROW(interpreter_without_nul, -ENOEXEC, "does not end", interpreter(&m, "abcd", 4))         \
	ROW(interpreter_empty, -ENOEXEC, "is empty", interpreter(&m, "\0", 2))                     \
	ROW(interpreter_of_a_byte, -ENOEXEC, "1 bytes", interpreter(&m, "", 1))                    \
	ROW(interpreter_of_none, -ENOEXEC, "0 bytes", interpreter(&m, "", 0))                      \
	ROW(interpreter_too_long, -ENOEXEC, "4097 bytes",                                        \
	    (interpreter(&m, "/ld", 4), m.p[3].p_filesz = 4097, m.p[3].p_offset = 0))              \
	ROW(interpreter_far, -ENOEXEC, "interpreter lies beyond",                                  \
	    (interpreter(&m, "x", 2), m.p[3].p_offset = UINT64_MAX))                               \
	ROW(overlap, -ENOEXEC, "overlaps", m.p[2].p_vaddr = BASE + 0x700 + 0x800)                  \
	ROW(same_place, -ENOEXEC, "overlaps", m.p[1] = m.p[0])                                     \
	ROW(shared_page, -ENOEXEC, "shares a page", m.p[2].p_vaddr = BASE + 0x1f00)                \
	ROW(descending, -ENOEXEC, "ascending", m.p[2].p_vaddr = BASE - 0x10000 + 0xf00)            \
	ROW(offset_far, -ENOEXEC, "beyond the end", m.p[2].p_offset += 1ull << 40)                 \
	ROW(offset_wraps, -ENOEXEC, "beyond the end", m.p[2].p_offset = -0x100ull)                 \
	ROW(filesz_far, -ENOEXEC, "beyond the end",                                                \
	    m.p[2].p_filesz = m.p[2].p_memsz = 1ull << 40)                                         \
	ROW(more_file_than_memory, -ENOEXEC, "more bytes in the file", m.p[2].p_memsz = 0x1ff)     \
	ROW(empty_but_filled, -ENOEXEC, "more bytes in the file", m.p[2].p_memsz = 0)              \
	ROW(misaligned, -ENOEXEC, "misaligned", m.p[2].p_vaddr += 1)                               \
	ROW(align_no_power, -ENOEXEC, "no power of two", m.p[2].p_align = 0x3000)                  \
	ROW(align_huge, -ENOEXEC, "more than 1 GiB", m.p[2].p_align = 1ull << 31)                  \
	ROW(wraps, -ENOEXEC, "wraps around", m.p[2].p_memsz = UINT64_MAX)                          \
	ROW(page_zero, -ENOEXEC, "lies outside", m.p[0].p_vaddr = 0)                               \
	ROW(below_the_least, -ENOEXEC, "lies outside", m.p[0].p_vaddr = 0xf000)                    \
	ROW(kernel_half, -ENOEXEC, "lies outside", m.p[2].p_vaddr = 0xffffffff80000f00)            \
	ROW(over_the_user_limit, -ENOEXEC, "lies outside",                                         \
	    m.p[2].p_vaddr = 0x7ffffffff000 - 0x4100)                                              \
	ROW(pie_too_long, -ENOEXEC, "lies outside",                                                \
	    (m = good_pie(), m.p[2].p_vaddr = 0x7ffffffff000 - 0x10100))                           \
	ROW(too_large, -E2BIG, "limit of 1048576 bytes", m.p[2].p_memsz = 1 << 20)                 \
	ROW(many_large, -E2BIG, "limit of", (m.p[1].p_memsz = 0x2000, m.p[2].p_memsz = 0xfd000))   \
	ROW(nothing_to_load, -ENOEXEC, "nothing to load",                                          \
	    m.p[0].p_type = m.p[1].p_type = m.p[2].p_type = PT_NOTE)                               \
	ROW(too_many_segments, -ENOEXEC, "more than 32 segments", many_segments(&m))               \
	ROW(entry_in_data, -ENOEXEC, "not in an executable", m.h.e_entry = BASE + 0x4000)          \
	ROW(entry_behind_text, -ENOEXEC, "outside every segment", m.h.e_entry = BASE + 0x1800)     \
	ROW(entry_nowhere, -ENOEXEC, "outside every segment", m.h.e_entry = UINT64_MAX)            \
	ROW(entry_zero, -ENOEXEC, "outside every segment", m.h.e_entry = 0)                        \
	ROW(phdr_nowhere, -ENOEXEC, "PT_PHDR", (m.p[3].p_type = PT_PHDR, m.p[3].p_vaddr = 0x1000)) \
	ROW(phdr_cut, -ENOEXEC, "PT_PHDR",                                                         \
	    (m.p[3].p_type = PT_PHDR, m.p[3].p_vaddr = BASE + 0x1000 - 100))                       \
	ROW(phdr_wraps, -ENOEXEC, "PT_PHDR",                                                       \
	    (m.p[3].p_type = PT_PHDR, m.p[3].p_vaddr = UINT64_MAX - 7))
/* clang-format on */

#define ROW(name, code, words, bend)                                                  \
	Test(elf_refuses, name)                                                       \
	{                                                                             \
		struct image m = good_image();                                        \
		struct mf_elf elf;                                                    \
		struct mf_error err = {0};                                            \
		int rc;                                                               \
                                                                                      \
		(void)(bend);                                                         \
		rc = parse(&m, &elf, &err);                                           \
		cr_assert_eq(rc, code, "code %d, %s", rc, err.text);                  \
		cr_assert_not_null(strstr(err.text, words), "it said: %s", err.text); \
		cr_assert_eq(parse(&m, &elf, NULL), code);                            \
	}
ROWS(ROW)

Test(elf, limits_without_room_are_the_callers_mistake)
{
	struct mf_elf_limits none = {.vaddr_end = 0x10000, .load_bytes_max = 1 << 20};
	struct image m = good_image();
	uint8_t *file = file_of(&m);
	struct mf_elf elf;

	cr_assert_eq(mf_elf_parse(&elf, file, m.size, &none, NULL), -EINVAL);
	free(file);
}

Test(elf, bytes_may_have_any_alignment)
{
	struct image m = good_image();
	uint8_t *file = file_of(&m), *odd = malloc(m.size + 1);
	struct mf_elf elf;
	uint64_t value, size;

	memcpy(odd + 1, file, m.size);
	cr_assert_eq(mf_elf_parse(&elf, odd + 1, m.size, &limits, NULL), 0);
	cr_assert_eq(mf_elf_symbol(odd + 1, m.size, "handle", &value, &size, NULL), 0);
	free(odd);
	free(file);
}

/* ---- symbols ---- */

static int look_up(const struct image *m, const char *name, uint64_t *value, uint64_t *size,
		   struct mf_error *err)
{
	uint8_t *file = file_of(m);
	int rc = mf_elf_symbol(file, m->size, name, value, size, err);

	free(file);
	return rc;
}

Test(elf_symbol, functions_and_objects_are_found_and_global_wins)
{
	struct image m = good_image();
	uint64_t value, size;

	cr_assert_eq(look_up(&m, "handle", &value, &size, NULL), 0);
	cr_assert(value == BASE + 0x1100 && size == 32);
	cr_assert_eq(look_up(&m, "table", &value, &size, NULL), 0);
	cr_assert(value == BASE + 0x3f10 && size == 8);
	cr_assert_eq(look_up(&m, "twice", &value, &size, NULL), 0);
	cr_assert(value == 0x333 && size == 3);
	m.sym[4].st_shndx = SHN_COMMON;
	cr_assert_eq(look_up(&m, "twice", &value, &size, NULL), 0);
	cr_assert_eq(value, 0x222);
}

Test(elf_symbol, extended_section_count_is_followed)
{
	struct image m = good_image();
	uint64_t value, size;

	m.h.e_shnum = 0;
	m.s[0].sh_size = 3;
	cr_assert_eq(look_up(&m, "handle", &value, &size, NULL), 0);
	m.s[0].sh_size = UINT64_MAX;
	cr_assert_eq(look_up(&m, "handle", &value, &size, NULL), -ENOEXEC);
}

/* clang-format off */
#define SYMBOL_ROWS(ROW)                                                                           \
	ROW(unknown_name, "nothing", -ENOENT, "defines no 'nothing'", m.size = IMAGE_SIZE)         \
	ROW(section_symbol, "other", -ENOENT, "defines no", m.size = IMAGE_SIZE)                   \
	ROW(undefined_symbol, "puts", -ENOENT, "defines no", m.size = IMAGE_SIZE)                  \
	ROW(a_prefix, "hand", -ENOENT, "defines no", m.size = IMAGE_SIZE)                          \
	ROW(a_longer_name, "handle2", -ENOENT, "defines no", m.size = IMAGE_SIZE)                  \
	ROW(name_without_nul, "tail", -ENOENT, "defines no", m.sym[1].st_name = 60)                \
	ROW(name_beyond_table, "handle", -ENOENT, "defines no", m.sym[1].st_name = UINT32_MAX)     \
	ROW(stripped, "handle", -ENOENT, "stripped", m.s[1].sh_type = SHT_NULL)                    \
	ROW(no_sections, "handle", -ENOENT, "stripped", m.h.e_shoff = 0)                           \
	ROW(sections_far, "handle", -ENOEXEC, "section headers", m.h.e_shoff = UINT64_MAX - 3)     \
	ROW(sections_cut, "handle", -ENOEXEC, "section headers", m.size = SHDR_AT + 191)           \
	ROW(section_size, "handle", -ENOEXEC, "section headers", m.h.e_shentsize = 40)             \
	ROW(symbols_far, "handle", -ENOEXEC, "symbol table", m.s[1].sh_offset = UINT64_MAX - 7)    \
	ROW(symbols_long, "handle", -ENOEXEC, "symbol table", m.s[1].sh_size = UINT64_MAX)         \
	ROW(symbols_odd, "handle", -ENOEXEC, "symbol table", m.s[1].sh_entsize = 16)               \
	ROW(names_far, "handle", -ENOEXEC, "symbol table", m.s[2].sh_offset = 1ull << 50)          \
	ROW(names_long, "handle", -ENOEXEC, "symbol table", m.s[2].sh_size = 1ull << 50)           \
	ROW(names_other_type, "handle", -ENOEXEC, "malformed", m.s[2].sh_type = SHT_NOTE)          \
	ROW(names_no_section, "handle", -ENOEXEC, "malformed", m.s[1].sh_link = 3)                 \
	ROW(not_elf, "handle", -ENOEXEC, "not an ELF", m.h.e_ident[0] = 0)
/* clang-format on */

#define SYMBOL_ROW(test_name, name, code, words, bend)                                \
	Test(elf_symbol_refuses, test_name)                                           \
	{                                                                             \
		struct image m = good_image();                                        \
		struct mf_error err = {0};                                            \
		uint64_t value = 77, size = 78;                                       \
		int rc;                                                               \
                                                                                      \
		(void)(bend);                                                         \
		rc = look_up(&m, name, &value, &size, &err);                          \
		cr_assert_eq(rc, code, "code %d, %s", rc, err.text);                  \
		cr_assert_not_null(strstr(err.text, words), "it said: %s", err.text); \
		cr_assert(value == 77 && size == 78);                                 \
	}
SYMBOL_ROWS(SYMBOL_ROW)

/* ---- a real program ---- */

static uint8_t *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *bytes;

	if (f == NULL)
		return NULL;
	fseek(f, 0, SEEK_END);
	*size = (size_t)ftell(f);
	rewind(f);
	bytes = malloc(*size);
	cr_assert_eq(fread(bytes, 1, *size, f), *size);
	fclose(f);
	return bytes;
}

Test(elf, the_first_interpreter_counts)
{
	struct image m = good_image();
	struct mf_elf elf;

	interpreter(&m, "/lib64/ld.so", 13);
	m.p[4] = (Elf64_Phdr){PT_INTERP, PF_R, UINT64_MAX, 0, 0, 7, 7, 1};
	m.h.e_phnum = 5;
	cr_assert_eq(parse(&m, &elf, NULL), 0);
	cr_assert(elf.interp_offset == STRTAB_AT && elf.interp_bytes == 13);
	m = good_image();
	cr_assert_eq(parse(&m, &elf, NULL), 0);
	cr_assert_eq(elf.interp_bytes, 0);
}

Test(elf, this_dynamic_test_program_has_an_interpreter_and_symbols)
{
	size_t size = 0;
	uint8_t *bytes = read_file("/proc/self/exe", &size);
	struct mf_error err = {0};
	struct mf_elf elf;
	uint64_t value, length;

	cr_assert_not_null(bytes);
	cr_assert_eq(mf_elf_parse(&elf, bytes, size, &limits, &err), 0, "%s", err.text);
	cr_assert(elf.interp_bytes > 0 && elf.interp_offset + elf.interp_bytes <= size);
	cr_assert_not_null(strstr((const char *)bytes + elf.interp_offset, "ld-linux-x86-64.so.2"));
	cr_assert_eq(mf_elf_symbol(bytes, size, "mf_elf_symbol", &value, &length, &err), 0, "%s",
		     err.text);
	cr_assert(value != 0 && length != 0);
	free(bytes);
}

Test(elf, busybox_is_accepted)
{
	struct mf_elf_limits roomy = {.vaddr_end = 0x7ffffffff000, .load_bytes_max = 64 << 20};
	size_t size = 0;
	uint8_t *bytes = read_file("/bin/busybox", &size);
	struct mf_error err = {0};
	struct mf_elf elf;
	int rc;

	if (bytes == NULL)
		cr_skip_test("no /bin/busybox here");
	rc = mf_elf_parse(&elf, bytes, size, &roomy, &err);
	free(bytes);
	cr_assert_eq(rc, 0, "%s", err.text);
	cr_assert(elf.segment_count >= 2 && elf.phdr_vaddr != 0 && !elf.stack_exec);
}

/* tests/image/meson.build links small_program.c both ways and says where. */
static void check_real_program(const char *path, enum mf_elf_type type)
{
	struct mf_elf_limits roomy = {.vaddr_end = 0x7ffffffff000, .load_bytes_max = 64 << 20};
	size_t size = 0;
	uint8_t *bytes = path != NULL ? read_file(path, &size) : NULL;
	struct mf_error err = {0};
	struct mf_elf elf;
	uint64_t value = 0, length = 0;
	bool executable = false;

	if (bytes == NULL)
		cr_skip_test("the path of small_program is not in the environment");
	cr_assert_eq(mf_elf_parse(&elf, bytes, size, &roomy, &err), 0, "%s", err.text);
	cr_assert(elf.type == type && elf.phdr_vaddr != 0 && !elf.stack_exec);
	cr_assert_eq(mf_elf_symbol(bytes, size, "small_function", &value, &length, &err), 0);
	for (unsigned i = 0; i < elf.segment_count; i++)
		executable |= (elf.segments[i].prot & MF_ELF_X) && value >= elf.segments[i].vaddr &&
			      value - elf.segments[i].vaddr < elf.segments[i].filesz_bytes;
	cr_assert(executable && length > 0);
	cr_assert_eq(mf_elf_symbol(bytes, size, "small_counter", &value, &length, &err), 0);
	cr_assert_eq(length, sizeof(int));
	free(bytes);
}

Test(elf, a_real_static_program_is_accepted)
{
	check_real_program(getenv("MAYFLY_TEST_STATIC"), MF_ELF_FIXED);
}

Test(elf, a_real_static_pie_is_accepted)
{
	check_real_program(getenv("MAYFLY_TEST_STATIC_PIE"), MF_ELF_PIE);
}

/* ---- mutations ---- */

static uint64_t random_state;

static uint64_t next_random(void) /* xorshift64* (Vigna 2014) */
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * UINT64_C(2685821657736338717);
}

static uint64_t nasty_number(void)
{
	static const uint64_t corners[] = {
		0,          1,       0xfff,      0x1000,         0x10000,    IMAGE_SIZE,
		UINT64_MAX, BASE,    INT64_MAX,  0x7ffffffff000, 1ull << 32, SYMTAB_AT,
		SHDR_AT,    1 << 20, UINT32_MAX, -0x1000ull,
	};
	uint64_t n = corners[next_random() % (sizeof(corners) / sizeof(corners[0]))];

	return next_random() % 4 == 0 ? n + next_random() % 9 - 4 : n;
}

/* Only where the reader looks: a change of padding finds nothing. */
static size_t interesting_offset(size_t width)
{
	static const struct {
		size_t at, length;
	} places[] = {
		{0, 64}, {64, 56 * 5}, {SYMTAB_AT, 24 * 8}, {STRTAB_AT, 64}, {SHDR_AT, 64 * 3}};
	size_t i = next_random() % (sizeof(places) / sizeof(places[0]));

	return places[i].at + next_random() % (places[i].length - width + 1);
}

static void mutate(uint8_t *file)
{
	static const size_t widths[] = {1, 2, 4, 8};
	size_t width = widths[next_random() % 4];
	size_t at = interesting_offset(width);
	uint64_t number = next_random() % 3 ? nasty_number() : next_random();

	/* Fields are aligned to their size: mostly hit whole ones. */
	if (next_random() % 8)
		at -= at % width;
	if (next_random() % 4 == 0)
		file[at] ^= (uint8_t)(1u << next_random() % 8);
	else
		memcpy(file + at, &number, width);
}

static bool try_mutant(const struct image *m)
{
	uint8_t *file = file_of(m), *cut;
	size_t size = next_random() % 8 ? IMAGE_SIZE : next_random() % IMAGE_SIZE;
	struct mf_error err = {0};
	struct mf_elf elf;
	uint64_t value, length;
	int rc;

	for (uint64_t n = 1 + next_random() % 4; n > 0; n--)
		mutate(file);
	cut = malloc(size + (size == 0));
	memcpy(cut, file, size);
	rc = mf_elf_parse(&elf, cut, size, &limits, &err);
	if (rc == 0)
		check_promises(&elf, size);
	else
		cr_assert(err.text[0] != 0);
	mf_elf_symbol(cut, size, "handle", &value, &length, NULL);
	mf_elf_symbol(cut, size, "no such name", &value, &length, NULL);
	free(cut);
	free(file);
	return rc == 0;
}

Test(elf, mutations_never_crash_nor_lie, .timeout = 600)
{
	const char *seed = getenv("MAYFLY_TEST_SEED"), *longer = getenv("MAYFLY_TEST_LONG");
	unsigned rounds = longer != NULL && longer[0] == '1' ? 2000000 : 20000, accepted = 0;
	struct image fixed = good_image(), pie = good_pie();

	memcpy(pie.names + 40, "/ld.so", 7);
	pie.p[4] = (Elf64_Phdr){PT_INTERP, PF_R, STRTAB_AT + 40, 0, 0, 7, 7, 1};
	pie.h.e_phnum = 5;
	random_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
	random_state += random_state == 0;
	fprintf(stderr, "elf mutations: MAYFLY_TEST_SEED=%llu\n", (unsigned long long)random_state);
	for (unsigned i = 0; i < rounds; i++)
		accepted += try_mutant(i % 2 ? &fixed : &pie);
	/* Both outcomes must be common, or the mutations test nothing. */
	cr_assert(accepted > rounds / 20 && accepted < rounds - rounds / 20, "%u of %u accepted",
		  accepted, rounds);
}
