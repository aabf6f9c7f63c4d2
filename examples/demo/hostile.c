/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <mayfly/abi/call.h>

#include "forge.h"
#include "hostile.h"
#include "probe.h"

#define PAGE_BYTES         4096ul
#define STACK_BELOW        (32ul << 10) /* mapped below any stack pointer, we hope */
#define SDK_BEFORE_REQUEST 2048ul       /* the SDK's own data stands before the request */
#define SDK_BUFFER_BYTES   ((1ul << 20) + (64ul << 10))
#define NATIVE_MEMORY_MAX  (256ul << 20)
#define MEMORY_STEP        (1ul << 20)

struct range {
	uint64_t start;
	uint64_t bytes;
};

/*
 * What is needed to answer when nothing else is left: a page of its own. The assembly below knows
 * the offsets.
 */
struct escape {
	struct mf_abi_ready ready; /* 0 */
	uint64_t inside;           /* 64 */
	uint64_t text;             /* 72, natively */
	uint64_t text_bytes;       /* 80 */
	uint64_t range_count;      /* 88 */
	struct range ranges[8];    /* 96 */
	char headers[128];
};
_Static_assert(offsetof(struct escape, ranges) == 96, "asm");

/* Answer with the escape in RBX, by nothing but registers, and do not come back. */
#define ANSWER_AND_END              \
	"	cmpq $0, 64(%%rbx)\n"     \
	"	je 8f\n"                  \
	"	mov %%rbx, %%rdi\n"       \
	"	mov $0x4d460000, %%eax\n" \
	"	out %%eax, $0x10\n"       \
	"	ud2\n"                    \
	"8:	mov $1, %%eax\n"        \
	"	mov $1, %%edi\n"          \
	"	mov 72(%%rbx), %%rsi\n"   \
	"	mov 80(%%rbx), %%rdx\n"   \
	"	syscall\n"                \
	"	mov $231, %%eax\n"        \
	"	xor %%edi, %%edi\n"       \
	"	syscall\n"                \
	"	ud2\n"
_Static_assert(MF_CALL_READY == 0x4d460000 && MF_ABI_PORT == 0x10, "asm");
_Static_assert(SYS_write == 1 && SYS_exit_group == 231, "asm");

/* Where the answer of an attack leads to; empty: nowhere. */
static char home[64];

static struct escape *escape_create(const struct mf_request *request, const char *text)
{
	struct escape *e =
		mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (e == MAP_FAILED)
		return NULL;
	snprintf(e->headers, sizeof(e->headers), "Content-Type: text/plain\r\n%s%s%s",
		 home[0] ? "Location: " : "", home, home[0] ? "\r\n" : "");
	e->inside = mf_inside();
	e->text = (uintptr_t)text;
	e->text_bytes = strlen(text);
	e->ready = (struct mf_abi_ready){
		.version = MF_ABI_VERSION,
		.flags = MF_READY_RESPONSE,
		.buffer = (uintptr_t)request,
		.buffer_bytes = SDK_BUFFER_BYTES,
		.response = {.version = MF_ABI_VERSION,
			     .status = home[0] ? 303 : 200,
			     .headers = (uintptr_t)e->headers,
			     .headers_bytes = strlen(e->headers),
			     .body = (uintptr_t)text,
			     .body_bytes = strlen(text)},
	};
	return e;
}

static void add_range(struct escape *e, uint64_t start, uint64_t end)
{
	if (start < end)
		e->ranges[e->range_count++] = (struct range){start, end - start};
}

extern char __bss_start[], end[];
extern char data_start[] __attribute__((weak)); /* musl has none */

/* From the lowest of what the C library took by brk: thread block or first allocation. */
static void add_heap(struct escape *e)
{
	uint64_t top = (uintptr_t)sbrk(0);
	uint64_t low = (uintptr_t)malloc(16);
	uint64_t thread = (uintptr_t)__builtin_thread_pointer();

	if (thread > (uintptr_t)end && thread < low)
		low = thread;
	if (low > (uintptr_t)end && low < top)
		add_range(e, low & ~(PAGE_BYTES - 1), top);
}

/* The stack up to the name of the program, the last thing on it. */
static void add_stack(struct escape *e)
{
	uint64_t here = (uintptr_t)__builtin_frame_address(0);
	uint64_t top = getauxval(AT_EXECFN);

	add_range(e, here - STACK_BELOW, top > here ? top : here + 64);
}

__attribute__((noreturn)) static void scribble(const struct mf_request *request)
{
	struct escape *e = escape_create(request, "scribbled over everything\n");
	uint64_t sdk = (uintptr_t)request - SDK_BEFORE_REQUEST;
	uint64_t data;

	if (!e)
		abort();
	data = data_start ? (uintptr_t)data_start : (uintptr_t)__bss_start;
	add_range(e, data & ~(PAGE_BYTES - 1), (uintptr_t)end);
	add_heap(e);
	add_range(e, sdk, sdk + SDK_BUFFER_BYTES);
	add_stack(e);
	__asm__ volatile("	lea 96(%%rbx), %%rdx\n"
			 "	mov 88(%%rbx), %%r8\n"
			 "	mov $0x5a, %%eax\n"
			 "	cld\n"
			 "1:	test %%r8, %%r8\n"
			 "	je 2f\n"
			 "	mov (%%rdx), %%rdi\n"
			 "	mov 8(%%rdx), %%rcx\n"
			 "	rep stosb\n"
			 "	add $16, %%rdx\n"
			 "	dec %%r8\n"
			 "	jmp 1b\n"
			 "2:\n" ANSWER_AND_END
			 :
			 : "b"(e)
			 : "memory");
	__builtin_unreachable();
}

/* Everything to a pattern: segments, vectors, masks, x87, control words, flags, the rest. */
__attribute__((noreturn)) static void fill_registers(const struct mf_request *request)
{
	static const uint32_t mxcsr = 0xffc0 | 0x1f80 | 0x3f; /* round to zero, flush, flags */
	static const uint16_t fcw = 0x0f7f;                   /* round to zero, extended */
	struct escape *e = escape_create(request, "filled the registers\n");

	if (!e)
		abort();
	register int level __asm__("r8") = probe_level;
	register int has_fsgsbase __asm__("r9") = probe_has_fsgsbase;
	register const void *to_mxcsr __asm__("r10") = &mxcsr;
	register const void *to_fcw __asm__("r11") = &fcw;

	__asm__ volatile("	mov $3, %%eax\n"
			 "	mov %%eax, %%ds\n"
			 "	mov %%eax, %%es\n"
			 "	mov %%eax, %%fs\n"
			 "	mov %%eax, %%gs\n"
			 "	mov $0x123456789000, %%rax\n"
			 "	test %%r9d, %%r9d\n"
			 "	je 1f\n"
			 "	wrfsbase %%rax\n"
			 "	wrgsbase %%rax\n"
			 "1:	ldmxcsr (%%r10)\n"
			 "	fldcw (%%r11)\n"
			 "	.irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
			 "	pcmpeqd %%mm\\n, %%mm\\n\n"
			 "	.endr\n"
			 "	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
			 "	pcmpeqd %%xmm\\n, %%xmm\\n\n"
			 "	.endr\n"
			 "	cmp $1, %%r8d\n"
			 "	jb 3f\n"
			 "	ja 2f\n"
			 "	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
			 "	vinsertf128 $1, %%xmm\\n, %%ymm\\n, %%ymm\\n\n"
			 "	.endr\n"
			 "	jmp 3f\n"
			 "2:	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
			 "	vpternlogd $255, %%zmm\\n, %%zmm\\n, %%zmm\\n\n"
			 "	.endr\n"
			 "	.irp n, 16, 17, 18, 19, 20, 21, 22, 23\n"
			 "	vpternlogd $255, %%zmm\\n, %%zmm\\n, %%zmm\\n\n"
			 "	.endr\n"
			 "	.irp n, 24, 25, 26, 27, 28, 29, 30, 31\n"
			 "	vpternlogd $255, %%zmm\\n, %%zmm\\n, %%zmm\\n\n"
			 "	.endr\n"
			 "	.irp n, 0, 1, 2, 3, 4, 5, 6, 7\n"
			 "	kxnorq %%k\\n, %%k\\n, %%k\\n\n"
			 "	.endr\n"
			 "3:	pushfq\n"
			 "	orq $0x240cd5, (%%rsp)\n" /* ID AC OF DF SF ZF AF PF CF */
			 "	popfq\n"
			 "	mov $0x5a5a5a5a5a5a5a5a, %%rbp\n"
			 "	.irp r, rcx, rdx, rsi, r8, r9, r10, r11, r12, r13, r14, r15, rsp\n"
			 "	mov %%rbp, %%\\r\n"
			 "	.endr\n" ANSWER_AND_END
			 :
			 : "b"(e), "r"(level), "r"(has_fsgsbase), "r"(to_mxcsr), "r"(to_fcw)
			 : "memory");
	__builtin_unreachable();
}

static void answer_number(const char *what, size_t number)
{
	static char text[64];
	int length = snprintf(text, sizeof(text), "%s %zu\n", what, number);

	mf_respond(home[0] ? 303 : 200, "text/plain", text, (size_t)length);
	if (home[0])
		mf_response_header("Location", home);
}

static void take_memory(void)
{
	size_t most = mf_inside() ? SIZE_MAX : NATIVE_MEMORY_MAX;
	size_t taken = 0;

	while (taken < most) {
		volatile char *p = mmap(NULL, MEMORY_STEP, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			break;
		for (size_t i = 0; i < MEMORY_STEP; i += PAGE_BYTES)
			p[i] = 1;
		taken += MEMORY_STEP;
	}
	answer_number("bytes taken:", taken);
}

static int another_descriptor(void)
{
	int fd = open("/dev/null", O_RDWR);

	for (int i = 0; fd < 0 && i < 3; i++)
		fd = dup(i);
	return fd;
}

static void take_descriptors(void)
{
	size_t count = 0;

	while (another_descriptor() >= 0)
		count++;
	answer_number("descriptors taken:", count);
}

/* What follows the prefix, when the text has it. */
static bool skip(struct mf_text *text, const char *prefix)
{
	size_t length = strlen(prefix);

	if (text->length < length || memcmp(text->data, prefix, length) != 0)
		return false;
	text->data += length;
	text->length -= length;
	return true;
}

static bool is(struct mf_text text, const char *word)
{
	return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* Those that can say how it was. */
static bool talk(struct mf_text what)
{
	if (is(what, "memory"))
		take_memory();
	else if (is(what, "descriptors"))
		take_descriptors();
	else if (is(what, "ring"))
		answer_number("forgeries:", forge_ring());
	else if (is(what, "flood"))
		answer_number("calls:", forge_flood());
	else
		return false;
	return true;
}

bool hostile_serve(struct mf_text target, const struct mf_request *request)
{
	struct mf_text what = target;

	home[0] = '\0';
	if (is(mf_request_method(request), "POST") && skip(&what, "/attack/"))
		snprintf(home, sizeof(home), "/?after=%.*s", (int)what.length, what.data);
	else if (!skip(&what, "/hostile/"))
		return false;
	if (is(what, "scribble"))
		scribble(request);
	if (is(what, "registers"))
		fill_registers(request);
	if (is(what, "crash"))
		__asm__ volatile("movl $0, 0" : : : "memory");
	if (is(what, "ud2"))
		__asm__ volatile("ud2");
	while (is(what, "loop"))
		__asm__ volatile("");
	return talk(what);
}
