/* SPDX-License-Identifier: MIT */
#include "engine/image/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

_Static_assert(MF_ELF_X == PF_X && MF_ELF_W == PF_W && MF_ELF_R == PF_R, "p_flags bits");

/* What the functions below share while one file is read. */
struct reader {
	const uint8_t *bytes;
	uint64_t size;
	Elf64_Ehdr header;
	const struct mf_elf_limits *limits;
	struct mf_error *err;
};

#define refuse(r, ...) mf_error_set((r)->err, -ENOEXEC, __VA_ARGS__)

static bool in_file(const struct reader *r, uint64_t offset, uint64_t length)
{
	return offset <= r->size && length <= r->size - offset;
}

static uint64_t page_down(uint64_t address)
{
	return address & ~(MF_ELF_PAGE_BYTES - 1);
}

/* The caller knows that this does not wrap. */
static uint64_t page_up(uint64_t address)
{
	return page_down(address + MF_ELF_PAGE_BYTES - 1);
}

static int read_ident(struct reader *r)
{
	if (r->size >= 2 && memcmp(r->bytes, "#!", 2) == 0)
		return refuse(r, "this is a script, not an ELF program: name its interpreter");
	if (r->size < SELFMAG || memcmp(r->bytes, ELFMAG, SELFMAG) != 0)
		return refuse(r, "this is not an ELF program");
	if (r->size > EI_CLASS && r->bytes[EI_CLASS] == ELFCLASS32)
		return refuse(r, "this is a 32-bit program: build it for x86-64");
	if (r->size < sizeof(r->header))
		return refuse(r, "the ELF header is truncated: %" PRIu64 " bytes of %zu", r->size,
			      sizeof(r->header));
	memcpy(&r->header, r->bytes, sizeof(r->header));
	if (r->header.e_ident[EI_CLASS] != ELFCLASS64)
		return refuse(r, "unknown ELF class %u", r->header.e_ident[EI_CLASS]);
	if (r->header.e_ident[EI_DATA] != ELFDATA2LSB)
		return refuse(r, "the program is not little-endian: build it for x86-64");
	if (r->header.e_ident[EI_VERSION] != EV_CURRENT || r->header.e_version != EV_CURRENT)
		return refuse(r, "unknown ELF version");
	if (r->header.e_machine != EM_X86_64)
		return refuse(r,
			      "the program is for another machine (e_machine %u): build it for "
			      "x86-64",
			      r->header.e_machine);
	return 0;
}

static int check_kind(struct reader *r)
{
	const Elf64_Ehdr *h = &r->header;

	if (h->e_type == ET_REL)
		return refuse(r, "this is an object file that was not linked");
	if (h->e_type == ET_CORE)
		return refuse(r, "this is a core dump, not a program");
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return refuse(r, "this ELF file is not an executable (e_type %u)", h->e_type);
	if (h->e_type == ET_DYN && h->e_entry == 0)
		return refuse(r, "this is a shared library: it has no entry point");
	if (h->e_phnum == 0)
		return refuse(r, "the program has no program headers");
	if (h->e_phnum > MF_ELF_PHDRS_MAX)
		return refuse(r, "too many program headers: %u, at most %d", h->e_phnum,
			      MF_ELF_PHDRS_MAX);
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return refuse(r, "program headers of %u bytes, not %zu", h->e_phentsize,
			      sizeof(Elf64_Phdr));
	if (!in_file(r, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr)))
		return refuse(r, "the program headers lie beyond the end of the file (truncated?)");
	return 0;
}

static Elf64_Phdr program_header(const struct reader *r, unsigned index)
{
	Elf64_Phdr p;

	memcpy(&p, r->bytes + r->header.e_phoff + (uint64_t)index * sizeof(p), sizeof(p));
	return p;
}

/* Linux' rules for the name (load_elf_binary): 2 to PATH_MAX bytes, the last one NUL. */
static int read_interpreter(struct reader *r, struct mf_elf *elf, const Elf64_Phdr *p)
{
	if (!in_file(r, p->p_offset, p->p_filesz))
		return refuse(r, "the name of the interpreter lies beyond the end of the file");
	if (p->p_filesz < 2 || p->p_filesz > MF_ELF_INTERP_MAX)
		return refuse(r, "the name of the interpreter has %" PRIu64 " bytes, not 2 to %d",
			      (uint64_t)p->p_filesz, MF_ELF_INTERP_MAX);
	if (r->bytes[p->p_offset + p->p_filesz - 1])
		return refuse(r, "the name of the interpreter does not end");
	if (!r->bytes[p->p_offset])
		return refuse(r, "the name of the interpreter is empty");
	elf->interp_offset = p->p_offset;
	elf->interp_bytes = (uint32_t)p->p_filesz;
	return 0;
}

static int check_file_part(struct reader *r, const Elf64_Phdr *p, unsigned index)
{
	if (p->p_memsz < p->p_filesz)
		return refuse(r, "segment %u has more bytes in the file than in memory", index);
	if (!in_file(r, p->p_offset, p->p_filesz))
		return refuse(r, "segment %u lies beyond the end of the file (truncated?)", index);
	if (p->p_offset % MF_ELF_PAGE_BYTES != p->p_vaddr % MF_ELF_PAGE_BYTES)
		return refuse(r,
			      "segment %u is misaligned: file offset and address differ within "
			      "the page",
			      index);
	if (p->p_align > 1 && (p->p_align & (p->p_align - 1)) != 0)
		return refuse(r, "segment %u asks for alignment 0x%" PRIx64 ", no power of two",
			      index, p->p_align);
	if (p->p_align > MF_ELF_ALIGN_MAX)
		return refuse(r, "segment %u asks for alignment 0x%" PRIx64 ", more than 1 GiB",
			      index, p->p_align);
	return 0;
}

static int check_addresses(struct reader *r, const Elf64_Phdr *p, unsigned index)
{
	bool fixed = r->header.e_type == ET_EXEC;
	uint64_t low = fixed ? MF_ELF_VADDR_MIN : 0;
	uint64_t end_max = page_down(r->limits->vaddr_end) - (fixed ? 0 : MF_ELF_VADDR_MIN);
	uint64_t end;

	if (__builtin_add_overflow(p->p_vaddr, p->p_memsz, &end))
		return refuse(r, "segment %u wraps around the end of the address space", index);
	if (p->p_vaddr < low || end > end_max)
		return refuse(r,
			      "segment %u at 0x%" PRIx64 "-0x%" PRIx64 " lies outside 0x%" PRIx64
			      "-0x%" PRIx64,
			      index, (uint64_t)p->p_vaddr, end, low, end_max);
	return 0;
}

/* The gABI wants PT_LOADs ascending, so the one before is the only one to compare with. */
static int check_neighbour(struct reader *r, const struct mf_elf *elf, const Elf64_Phdr *p,
			   unsigned index)
{
	const struct mf_elf_segment *before;

	if (elf->segment_count == 0)
		return 0;
	before = &elf->segments[elf->segment_count - 1];
	if (page_down(p->p_vaddr) >= elf->high_vaddr)
		return 0;
	if (p->p_vaddr >= before->vaddr + before->memsz_bytes)
		return refuse(r, "segment %u shares a page with the one before it", index);
	if (p->p_vaddr + p->p_memsz <= before->vaddr)
		return refuse(r, "segment %u is not in ascending order", index);
	return refuse(r, "segment %u overlaps the one before it", index);
}

static int add_segment(struct reader *r, struct mf_elf *elf, const Elf64_Phdr *p, unsigned index)
{
	int rc = check_file_part(r, p, index);

	/* Linkers leave empty PT_LOADs behind; Linux ignores them too. */
	if (rc != 0 || p->p_memsz == 0)
		return rc;
	rc = check_addresses(r, p, index);
	if (rc == 0)
		rc = check_neighbour(r, elf, p, index);
	if (rc != 0)
		return rc;
	if (elf->segment_count == MF_ELF_SEGMENTS_MAX)
		return refuse(r, "more than %d segments", MF_ELF_SEGMENTS_MAX);
	if (elf->segment_count == 0)
		elf->low_vaddr = page_down(p->p_vaddr);
	if (p->p_align > elf->align)
		elf->align = p->p_align;
	elf->segments[elf->segment_count++] = (struct mf_elf_segment){
		.vaddr = p->p_vaddr,
		.memsz_bytes = p->p_memsz,
		.offset = p->p_offset,
		.filesz_bytes = p->p_filesz,
		.prot = p->p_flags & (PF_R | PF_W | PF_X),
	};
	elf->high_vaddr = page_up(p->p_vaddr + p->p_memsz);
	elf->load_bytes += elf->high_vaddr - page_down(p->p_vaddr);
	if (elf->load_bytes > r->limits->load_bytes_max)
		return mf_error_set(r->err, -E2BIG,
				    "the program needs more memory than the limit of %" PRIu64
				    " bytes",
				    r->limits->load_bytes_max);
	return 0;
}

static int read_segments(struct reader *r, struct mf_elf *elf)
{
	for (unsigned i = 0; i < r->header.e_phnum; i++) {
		Elf64_Phdr p = program_header(r, i);
		int rc = p.p_type == PT_LOAD ? add_segment(r, elf, &p, i) : 0;

		if (rc != 0)
			return rc;
		if (p.p_type == PT_GNU_STACK)
			elf->stack_exec = (p.p_flags & PF_X) != 0;
	}
	if (elf->segment_count == 0)
		return refuse(r, "the program has nothing to load (no PT_LOAD)");
	return 0;
}

/* The first one counts, as with Linux. */
static int find_interpreter(struct reader *r, struct mf_elf *elf)
{
	for (unsigned i = 0; i < r->header.e_phnum; i++) {
		Elf64_Phdr p = program_header(r, i);

		if (p.p_type == PT_INTERP)
			return read_interpreter(r, elf, &p);
	}
	return 0;
}

static int check_entry(struct reader *r, const struct mf_elf *elf)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		const struct mf_elf_segment *s = &elf->segments[i];

		if (elf->entry >= s->vaddr && elf->entry - s->vaddr < s->memsz_bytes)
			return s->prot & MF_ELF_X ? 0
						  : refuse(r,
							   "the entry point 0x%" PRIx64
							   " is not in an executable segment",
							   elf->entry);
	}
	return refuse(r, "the entry point 0x%" PRIx64 " is outside every segment", elf->entry);
}

/* Does file range [offset, +length) appear in memory? Then at which address? */
static bool address_of_file_range(const struct mf_elf *elf, uint64_t offset, uint64_t length,
				  uint64_t *vaddr)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		const struct mf_elf_segment *s = &elf->segments[i];

		if (offset < s->offset || offset - s->offset > s->filesz_bytes ||
		    length > s->filesz_bytes - (offset - s->offset))
			continue;
		*vaddr = s->vaddr + (offset - s->offset);
		return true;
	}
	return false;
}

static bool in_segment(const struct mf_elf *elf, uint64_t vaddr, uint64_t length)
{
	for (unsigned i = 0; i < elf->segment_count; i++) {
		const struct mf_elf_segment *s = &elf->segments[i];

		if (vaddr >= s->vaddr && vaddr - s->vaddr <= s->memsz_bytes &&
		    length <= s->memsz_bytes - (vaddr - s->vaddr))
			return true;
	}
	return false;
}

static int find_phdr(struct reader *r, struct mf_elf *elf)
{
	uint64_t length = (uint64_t)elf->phnum * elf->phentsize;

	for (unsigned i = 0; i < elf->phnum; i++) {
		Elf64_Phdr p = program_header(r, i);

		if (p.p_type != PT_PHDR)
			continue;
		if (!in_segment(elf, p.p_vaddr, length))
			return refuse(r, "PT_PHDR points outside every segment");
		elf->phdr_vaddr = p.p_vaddr;
		return 0;
	}
	address_of_file_range(elf, r->header.e_phoff, length, &elf->phdr_vaddr);
	return 0;
}

int mf_elf_parse(struct mf_elf *elf, const uint8_t *bytes, size_t size,
		 const struct mf_elf_limits *limits, struct mf_error *err)
{
	struct reader r = {.bytes = bytes, .size = size, .limits = limits, .err = err};
	int rc;

	if (limits->vaddr_end < 2 * MF_ELF_VADDR_MIN)
		return mf_error_set(err, -EINVAL, "the user limit leaves no room for a program");
	rc = read_ident(&r);
	if (rc == 0)
		rc = check_kind(&r);
	if (rc != 0)
		return rc;
	*elf = (struct mf_elf){
		.type = r.header.e_type == ET_EXEC ? MF_ELF_FIXED : MF_ELF_PIE,
		.entry = r.header.e_entry,
		.phnum = r.header.e_phnum,
		.phentsize = r.header.e_phentsize,
		.align = MF_ELF_PAGE_BYTES,
	};
	rc = find_interpreter(&r, elf);
	if (rc == 0)
		rc = read_segments(&r, elf);
	if (rc == 0)
		rc = check_entry(&r, elf);
	return rc == 0 ? find_phdr(&r, elf) : rc;
}

/* Section headers: how many, checked to lie in the file. gABI: e_shnum 0 defers to sh_size of 0. */
static int section_count(struct reader *r, uint64_t *count)
{
	const Elf64_Ehdr *h = &r->header;
	Elf64_Shdr first;

	*count = 0;
	if (h->e_shoff == 0)
		return 0;
	if (h->e_shentsize != sizeof(Elf64_Shdr))
		return refuse(r, "section headers of %u bytes, not %zu", h->e_shentsize,
			      sizeof(Elf64_Shdr));
	if (!in_file(r, h->e_shoff, sizeof(first)))
		return refuse(r, "the section headers lie beyond the end of the file");
	memcpy(&first, r->bytes + h->e_shoff, sizeof(first));
	*count = h->e_shnum != 0 ? h->e_shnum : first.sh_size;
	if (*count > (r->size - h->e_shoff) / sizeof(Elf64_Shdr))
		return refuse(r, "the section headers lie beyond the end of the file");
	return 0;
}

static Elf64_Shdr section_header(const struct reader *r, uint64_t index)
{
	Elf64_Shdr s;

	memcpy(&s, r->bytes + r->header.e_shoff + index * sizeof(s), sizeof(s));
	return s;
}

static unsigned rank_of(const Elf64_Sym *symbol)
{
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	if ((type != STT_FUNC && type != STT_OBJECT) || symbol->st_shndx == SHN_UNDEF ||
	    symbol->st_shndx == SHN_COMMON)
		return 0;
	switch (ELF64_ST_BIND(symbol->st_info)) {
	case STB_GLOBAL:
		return 3;
	case STB_WEAK:
		return 2;
	case STB_LOCAL:
		return 1;
	default:
		return 0;
	}
}

/* `names` was checked to lie in the file; `at` is the file's claim. */
static bool has_name(const struct reader *r, const Elf64_Shdr *names, uint32_t at, const char *name,
		     size_t length)
{
	/* The NUL must be inside the table as well. */
	return at < names->sh_size && length < names->sh_size - at &&
	       memcmp(r->bytes + names->sh_offset + at, name, length + 1) == 0;
}

static int search_table(struct reader *r, const Elf64_Shdr *table, const Elf64_Shdr *names,
			const char *name, Elf64_Sym *found)
{
	size_t length = strlen(name);
	unsigned best = 0;

	if (table->sh_entsize != sizeof(Elf64_Sym) || names->sh_type != SHT_STRTAB)
		return refuse(r, "the symbol table is malformed");
	if (!in_file(r, table->sh_offset, table->sh_size) ||
	    !in_file(r, names->sh_offset, names->sh_size))
		return refuse(r, "the symbol table lies beyond the end of the file");
	for (uint64_t i = 0; i < table->sh_size / sizeof(Elf64_Sym); i++) {
		Elf64_Sym symbol = {0};

		memcpy(&symbol, r->bytes + table->sh_offset + i * sizeof(symbol), sizeof(symbol));
		if (rank_of(&symbol) <= best || !has_name(r, names, symbol.st_name, name, length))
			continue;
		best = rank_of(&symbol);
		*found = symbol;
	}
	if (best == 0)
		return mf_error_set(r->err, -ENOENT, "the program defines no '%s'", name);
	return 0;
}

int mf_elf_symbol(const uint8_t *bytes, size_t size, const char *name, uint64_t *value,
		  uint64_t *size_bytes, struct mf_error *err)
{
	struct reader r = {.bytes = bytes, .size = size, .err = err};
	uint64_t count = 0;
	int rc = read_ident(&r);

	if (rc == 0)
		rc = section_count(&r, &count);
	if (rc != 0)
		return rc;
	for (uint64_t i = 0; i < count; i++) {
		Elf64_Shdr table = section_header(&r, i), names;
		Elf64_Sym symbol = {0};

		if (table.sh_type != SHT_SYMTAB) /* the gABI allows one */
			continue;
		if (table.sh_link >= count)
			return refuse(&r, "the symbol table is malformed");
		names = section_header(&r, table.sh_link);
		rc = search_table(&r, &table, &names, name, &symbol);
		if (rc != 0)
			return rc;
		*value = symbol.st_value;
		*size_bytes = symbol.st_size;
		return 0;
	}
	return mf_error_set(err, -ENOENT, "the program is stripped: it has no symbol table");
}
