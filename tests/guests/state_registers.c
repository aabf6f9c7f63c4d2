/* SPDX-License-Identifier: MIT */
#include "state.h"

#include <cpuid.h>
#include <string.h>

static void general(void)
{
	scribble = SCRIBBLE_GENERAL;
}

static void flags(void)
{
	scribble = SCRIBBLE_FLAGS;
}

static void selectors(void)
{
	scribble = SCRIBBLE_SELECTORS;
}

static void bases(void)
{
	scribble = SCRIBBLE_BASES;
}

static void x87(void)
{
	scribble = SCRIBBLE_X87;
}

static void sse(void)
{
	scribble = SCRIBBLE_SSE;
}

static uint64_t xcr0(void)
{
	uint32_t low;
	uint32_t high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* Where the CPU lacks a component, the widest that it has is dirtied instead. */
static void avx(void)
{
	scribble = xcr0() & 4 ? SCRIBBLE_AVX : SCRIBBLE_SSE;
}

static void avx512(void)
{
	if ((xcr0() & 0xe0) == 0xe0)
		scribble = SCRIBBLE_AVX512;
	else
		avx();
}

static void everything(void)
{
	scribble = SCRIBBLE_GENERAL | SCRIBBLE_FLAGS | SCRIBBLE_BASES | SCRIBBLE_X87;
	scribble |= xcr0() & 4 ? SCRIBBLE_AVX : SCRIBBLE_SSE;
}

static void look_general(void)
{
	int i;

	for (i = 0; i < 16; i++)
		say("%llx ", (unsigned long long)seen.general[i]);
}

static void look_flags(void)
{
	say("%llx", (unsigned long long)seen.flags);
}

static void look_selectors(void)
{
	int i;

	for (i = 0; i < 4; i++)
		say("%llx ", (unsigned long long)seen.selectors[i]);
}

static void look_bases(void)
{
	say("%llx %llx", (unsigned long long)seen.bases[0], (unsigned long long)seen.bases[1]);
}

static uint64_t hash(const uint8_t *bytes, size_t count)
{
	uint64_t value = 1469598103934665603ull;

	for (; count; bytes++, count--)
		value = (value ^ *bytes) * 1099511628211ull;
	return value;
}

static void look_x87(void)
{
	say("%llx", (unsigned long long)hash(seen_xsave, 160));
}

static void look_sse(void)
{
	say("%llx", (unsigned long long)hash(seen_xsave + 160, 256));
}

/* A component's place in the XSAVE area: CPUID leaf 0xd. */
static void look_component(unsigned int component)
{
	uint32_t bytes;
	uint32_t offset;
	uint32_t ecx;
	uint32_t edx;

	if (!(xcr0() >> component & 1))
		return;
	__cpuid_count(0xd, component, bytes, offset, ecx, edx);
	if (bytes <= sizeof(seen_xsave) && offset <= sizeof(seen_xsave) - bytes)
		say(" %u:%llx", component, (unsigned long long)hash(seen_xsave + offset, bytes));
}

static void look_vectors(void)
{
	unsigned int component;

	look_sse();
	for (component = 2; component < 8; component++)
		look_component(component);
	/* Not the header: a CPU may call a component "in use" that holds its initial values. */
}

static void look_everything(void)
{
	look_general();
	look_flags();
	look_bases();
	look_x87();
	look_vectors();
}

const struct state state_registers[] = {
	{"general", general, look_general},
	{"flags", flags, look_flags},
	{"selectors", selectors, look_selectors},
	{"bases", bases, look_bases},
	{"x87", x87, look_x87},
	{"sse", sse, look_vectors},
	{"avx", avx, look_vectors},
	{"avx512", avx512, look_vectors},
	{"every-register", everything, look_everything},
	{NULL, NULL, NULL},
};
