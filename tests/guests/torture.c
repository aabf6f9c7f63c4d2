/* SPDX-License-Identifier: MIT */
/*
 * The program of memory_test: maps, protects, moves, unmaps, fills and runs pages in random order,
 * and compares what it finds with a model. Before its ready point it does so once; each request
 * ("/SEED") first looks whether all is as it was then, goes on from there, and answers "ok" or what
 * it found. "torture run SEED ROUNDS" does the same without anybody to ask, natively, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <mayfly/sdk.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE       4096ul
#define PAGES      512
#define FILE_PAGES 64
#define RUN_MAX    24
#define BASE       ((char *)0x100000000000ul)
#define ANON       (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW         (PROT_READ | PROT_WRITE)
#define RX         (PROT_READ | PROT_EXEC)

/* A page as it should be. The word it begins and ends with is 0, or a function that returns. */
struct page {
	uint8_t mapped;
	uint8_t prot;
	uint8_t shared; /* its words are the shared file's */
	uint8_t file;   /* private file page, index + 1: what DONTNEED brings back */
	uint16_t at;    /* page of the shared file */
	uint64_t word;
};

static struct page model[PAGES];
static uint64_t shared_words[FILE_PAGES];
static int private_fd = -1;
static int shared_fd = -1;
static int scratch_fd = -1;
static const char *folder = "/tmp";
static char report[256];
static char last[96];
static unsigned int op_count;
static uint64_t random_state;
static sigjmp_buf faulted;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static unsigned int below(unsigned int end)
{
	return (unsigned int)(random64() >> 20) % end;
}

__attribute__((format(printf, 1, 2))) static void wrong(const char *format, ...)
{
	va_list list;
	int got;

	if (report[0])
		return;
	got = snprintf(report, sizeof(report), "operation %u (%s): ", op_count, last);
	va_start(list, format);
	vsnprintf(report + got, sizeof(report) - (size_t)got, format, list);
	va_end(list);
}

__attribute__((format(printf, 1, 2))) static void doing(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(last, sizeof(last), format, list);
	va_end(list);
}

static void on_fault(int signo)
{
	siglongjmp(faulted, signo);
}

static uint64_t file_word(unsigned int page)
{
	return 0xb8ull | (0xf0000ull + page) << 8 | 0xc3ull << 40;
}

/* mov $value, %eax; ret */
static uint64_t new_word(void)
{
	return 0xb8ull | (random64() & 0xffffffffull) << 8 | 0xc3ull << 40;
}

static char *address(unsigned int page)
{
	return BASE + page * PAGE;
}

static uint64_t *word_of(struct page *page)
{
	return page->shared ? &shared_words[page->at] : &page->word;
}

static volatile uint64_t *first(unsigned int page)
{
	return (volatile uint64_t *)address(page);
}

static volatile uint64_t *end(unsigned int page)
{
	return (volatile uint64_t *)(address(page) + PAGE - 8);
}

static void look_read(unsigned int at)
{
	struct page *page = &model[at];
	bool may = page->mapped && page->prot;
	int signo = sigsetjmp(faulted, 1);

	if (!signo) {
		uint64_t one = *first(at);
		uint64_t two = *end(at);

		if (!may)
			wrong("page %u can be read", at);
		else if (one != *word_of(page) || two != one)
			wrong("page %u has %llx and %llx, should have %llx", at,
			      (unsigned long long)one, (unsigned long long)two,
			      (unsigned long long)*word_of(page));
	} else if (may) {
		wrong("page %u cannot be read: signal %d", at, signo);
	}
}

static void look_write(unsigned int at)
{
	struct page *page = &model[at];
	bool may = page->mapped && page->prot & PROT_WRITE;
	int signo = sigsetjmp(faulted, 1);

	if (!signo) {
		*first(at) = *word_of(page);
		if (!may)
			wrong("page %u can be written", at);
	} else if (may) {
		wrong("page %u cannot be written: signal %d", at, signo);
	}
}

static void look_run(unsigned int at)
{
	struct page *page = &model[at];
	bool may = page->mapped && page->prot & PROT_EXEC;
	int signo;

	if (!page->mapped || !page->prot || !*word_of(page))
		return;
	signo = sigsetjmp(faulted, 1);
	if (!signo) {
		uint32_t got = (uint32_t)((int (*)(void))(void *)address(at))();

		if (!may)
			wrong("page %u can be run", at);
		else if (got != (uint32_t)(*word_of(page) >> 8))
			wrong("page %u ran other code: %x", at, got);
	} else if (may) {
		wrong("page %u cannot be run: signal %d", at, signo);
	}
}

/* The kernel's own accesses have the same rights. */
static void look_calls(unsigned int at)
{
	struct page *page = &model[at];
	bool reads = page->mapped && page->prot;
	bool writes = page->mapped && page->prot & PROT_WRITE;
	uint64_t word = *word_of(page);

	if ((pwrite(scratch_fd, address(at), 8, 0) == 8) != reads)
		wrong("page %u (prot %u, shared %u, file %u): a call reads it %s, errno %d", at,
		      page->prot, page->shared, page->file, reads ? "not" : "although it may not",
		      errno);
	if (!reads && pwrite(scratch_fd, &word, 8, 0) != 8)
		wrong("the scratch file cannot be written");
	if ((pread(scratch_fd, address(at), 8, 0) == 8) != writes)
		wrong("page %u: a call writes it %s", at, writes ? "not" : "although it may not");
}

static void look(unsigned int at)
{
	look_read(at);
	look_run(at);
	look_write(at);
	look_calls(at);
	look_read(at);
}

static void look_at_some(unsigned int count)
{
	while (count-- && !report[0])
		look(below(PAGES));
}

static void look_at_all(void)
{
	unsigned int at;

	for (at = 0; at < PAGES && !report[0]; at++) {
		look_read(at);
		if (model[at].mapped && model[at].prot)
			look_run(at);
	}
}

struct run {
	unsigned int at;
	unsigned int count;
};

static struct run some_run(void)
{
	struct run run = {below(PAGES), 1 + below(RUN_MAX)};

	if (run.count > PAGES - run.at)
		run.count = PAGES - run.at;
	return run;
}

static int some_prot(void)
{
	static const int prots[] = {PROT_NONE, PROT_READ, RW, RW, RW, RX, RW | PROT_EXEC};

	return prots[below(7)];
}

static void forget(unsigned int at, unsigned int count)
{
	memset(&model[at], 0, count * sizeof(model[0]));
}

static void map_anonymous(struct run run)
{
	int prot = some_prot();
	unsigned int i;

	doing("map %u+%u, prot %d", run.at, run.count, prot);
	if (mmap(address(run.at), run.count * PAGE, prot, ANON | MAP_FIXED, -1, 0) == MAP_FAILED)
		wrong("failed");
	forget(run.at, run.count);
	for (i = 0; i < run.count; i++)
		model[run.at + i] = (struct page){.mapped = 1, .prot = (uint8_t)prot};
}

static void map_private(struct run run)
{
	unsigned int from = below(FILE_PAGES - RUN_MAX);
	int prot = some_prot();
	unsigned int i;

	doing("map %u+%u privately from file page %u, prot %d", run.at, run.count, from, prot);
	if (mmap(address(run.at), run.count * PAGE, prot, MAP_PRIVATE | MAP_FIXED, private_fd,
		 (off_t)(from * PAGE)) == MAP_FAILED)
		wrong("failed");
	for (i = 0; i < run.count; i++)
		model[run.at + i] = (struct page){.mapped = 1,
						  .prot = (uint8_t)prot,
						  .file = (uint8_t)(from + i + 1),
						  .word = file_word(from + i)};
}

static void map_shared(struct run run)
{
	unsigned int from = below(FILE_PAGES - RUN_MAX);
	int prot = some_prot();
	unsigned int i;

	doing("map %u+%u shared from file page %u, prot %d", run.at, run.count, from, prot);
	if (shared_fd < 0)
		return;
	if (mmap(address(run.at), run.count * PAGE, prot, MAP_SHARED | MAP_FIXED, shared_fd,
		 (off_t)(from * PAGE)) == MAP_FAILED)
		wrong("failed");
	for (i = 0; i < run.count; i++)
		model[run.at + i] = (struct page){.mapped = 1,
						  .prot = (uint8_t)prot,
						  .shared = 1,
						  .at = (uint16_t)(from + i)};
}

static void unmap(struct run run)
{
	doing("unmap %u+%u", run.at, run.count);
	if (munmap(address(run.at), run.count * PAGE))
		wrong("failed");
	forget(run.at, run.count);
}

/* As far as the first hole. */
static void protect(struct run run)
{
	int prot = some_prot();
	unsigned int i;
	int ret;

	doing("protect %u+%u, prot %d", run.at, run.count, prot);
	ret = mprotect(address(run.at), run.count * PAGE, prot);
	for (i = 0; i < run.count && model[run.at + i].mapped; i++)
		model[run.at + i].prot = (uint8_t)prot;
	if ((i == run.count) != !ret)
		wrong("says %d", ret);
}

static void fill(struct run run)
{
	unsigned int i;

	doing("write %u+%u", run.at, run.count);
	for (i = run.at; i < run.at + run.count; i++) {
		uint64_t word = new_word();

		if (!model[i].mapped || !(model[i].prot & PROT_WRITE))
			continue;
		*first(i) = word;
		*end(i) = word;
		*word_of(&model[i]) = word;
	}
}

static void give_up(struct run run)
{
	unsigned int i;

	doing("give up %u+%u", run.at, run.count);
	madvise(address(run.at), run.count * PAGE, MADV_DONTNEED);
	for (i = run.at; i < run.at + run.count; i++)
		if (!model[i].shared)
			model[i].word = model[i].file ? file_word(model[i].file - 1u) : 0;
}

/* Those that come from several mappings may be refused, and stay then. */
static void move(struct run run)
{
	unsigned int to = below(PAGES - RUN_MAX);
	unsigned int i;

	doing("move %u+%u to %u", run.at, run.count, to);
	for (i = run.at;
	     i < run.at + run.count && model[i].mapped && model[i].prot == model[run.at].prot &&
	     !model[i].shared == !model[run.at].shared && !model[i].file == !model[run.at].file;
	     i++)
		;
	run.count = i - run.at;
	if (!run.count || (to < run.at + run.count && run.at < to + run.count))
		return;
	munmap(address(to), run.count * PAGE);
	forget(to, run.count);
	if (mremap(address(run.at), run.count * PAGE, run.count * PAGE,
		   MREMAP_MAYMOVE | MREMAP_FIXED, address(to)) == MAP_FAILED) {
		/* Some of several may have been moved: then look at none of them. */
		munmap(address(run.at), run.count * PAGE);
		munmap(address(to), run.count * PAGE);
		forget(run.at, run.count);
		return;
	}
	memcpy(&model[to], &model[run.at], run.count * sizeof(model[0]));
	forget(run.at, run.count);
}

/* What just-in-time compilers do: write, run, write again. */
static void compile(struct run run)
{
	unsigned int rounds = 3;

	doing("compile %u", run.at);
	if (!model[run.at].mapped)
		return;
	for (run.count = 1; rounds-- && !report[0];) {
		mprotect(address(run.at), PAGE, RW);
		model[run.at].prot = RW;
		fill(run);
		mprotect(address(run.at), PAGE, RX);
		model[run.at].prot = RX;
		look_run(run.at);
		look_write(run.at);
	}
}

static void (*const operations[])(struct run run) = {
	map_anonymous, map_anonymous, map_private, map_shared, unmap, protect,
	protect,       fill,          fill,        give_up,    move,  compile};

static void operate(unsigned int count)
{
	for (op_count = 0; op_count < count && !report[0]; op_count++) {
		operations[below(sizeof(operations) / sizeof(operations[0]))](some_run());
		if (op_count % 8 == 0)
			look_at_some(2);
	}
}

static int new_file(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s-XXXXXX", folder, name);
	fd = mkstemp(path);
	if (fd < 0)
		wrong("no file in %s", folder);
	unlink(path);
	return fd;
}

static void fill_file(int fd, uint64_t (*word)(unsigned int page))
{
	unsigned int i;

	if (ftruncate(fd, FILE_PAGES * PAGE))
		wrong("ftruncate");
	for (i = 0; i < FILE_PAGES; i++) {
		uint64_t value = word(i);

		if (pwrite(fd, &value, 8, (off_t)(i * PAGE)) != 8 ||
		    pwrite(fd, &value, 8, (off_t)((i + 1) * PAGE - 8)) != 8)
			wrong("pwrite");
	}
}

static uint64_t shared_word(unsigned int page)
{
	return shared_words[page] = new_word();
}

static void seed(uint64_t value)
{
	random_state = value * 0x9e3779b97f4a7c15ull | 1;
	random64();
	report[0] = 0;
}

static void prepare(void)
{
	struct sigaction action = {.sa_handler = on_fault};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	seed(1);
	private_fd = new_file("private");
	scratch_fd = new_file("scratch");
	fill_file(private_fd, file_word);
	operate(400);
	look_at_all();
}

/* Shared memory is a request's own: what is written there would outlive it. */
static void round_of(uint64_t value, bool all)
{
	seed(value);
	op_count = 0;
	doing("as it was before");
	look_at_some(24);
	if (all)
		look_at_all();
	shared_fd = new_file("shared");
	fill_file(shared_fd, shared_word);
	operate(120);
	look_at_some(24);
	if (all)
		look_at_all();
}

static int run_alone(char **argv)
{
	uint64_t value = strtoull(argv[0], NULL, 10);
	unsigned long rounds = strtoul(argv[1], NULL, 10);

	prepare();
	while (rounds-- && !report[0]) {
		unsigned int i;

		/* The file goes, and its mappings with it. */
		for (i = 0; i < PAGES; i++)
			if (model[i].shared)
				unmap((struct run){i, 1});
		if (shared_fd >= 0)
			close(shared_fd);
		round_of(value++, true);
	}
	printf("%s %llx\n", report[0] ? report : "ok", (unsigned long long)random64());
	return report[0] != 0;
}

int main(int argc, char **argv)
{
	const struct mf_request *request;

	if (argc == 4 && !strcmp(argv[1], "run"))
		return run_alone(argv + 2);
	if (argc > 1)
		folder = argv[1];
	prepare();
	while ((request = mf_wait())) {
		const char *target = mf_request_target(request).data;
		const char *answer = report;

		if (!report[0])
			round_of(strtoull(target + 1, NULL, 10), strstr(target, "all"));
		if (!report[0])
			answer = "ok";
		mf_respond(200, NULL, answer, strlen(answer));
	}
	return 1;
}
