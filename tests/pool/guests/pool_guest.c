/* SPDX-License-Identifier: MIT */
/* A served program with one behaviour a target: /NAME or /NAME?NUMBER. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/sdk.h>

#define BIG (8u << 20)

static unsigned int counter;
static char remembered[256] = "nothing";
static volatile int zero;
static char big[BIG];

static void say(const char *text)
{
	mf_respond(200, "text/plain", text, strlen(text));
}

static void nap(unsigned long ms)
{
	struct timespec span = {.tv_sec = (time_t)(ms / 1000),
				.tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&span, NULL);
}

static void burn(unsigned long ms)
{
	uint64_t until = mf_clock_ns() + ms * 1000000ull;

	while (mf_clock_ns() < until)
		zero = 0;
}

static void count(const struct mf_request *request, unsigned long number)
{
	static char text[32];

	snprintf(text, sizeof(text), "%u", ++counter);
	say(text);
}

static void echo(const struct mf_request *request, unsigned long number)
{
	struct mf_text body = mf_request_body(request);

	mf_respond(200, NULL, body.data, body.length);
}

static void remember(const struct mf_request *request, unsigned long number)
{
	struct mf_text body = mf_request_body(request);

	snprintf(remembered, sizeof(remembered), "%.*s", (int)body.length, body.data);
	say(remembered);
}

static void recall(const struct mf_request *request, unsigned long number)
{
	say(remembered);
}

static void sleep_for(const struct mf_request *request, unsigned long number)
{
	mf_log(MF_LOG_INFO, "begun");
	nap(number ? number : 1000000);
	say("slept");
}

static void busy(const struct mf_request *request, unsigned long number)
{
	mf_log(MF_LOG_INFO, "begun");
	burn(number ? number : 1000000);
	say("worked");
}

static void crash(const struct mf_request *request, unsigned long number)
{
	static const unsigned char codes[][4] = {
		{0x0f, 0x0b}, {0xf4}, {0xcc}, {0xec}, {0x0f, 0x30}};

	if (number == 0)
		*(volatile int *)(unsigned long)zero = 1;
	else if (number == 1)
		__asm__ volatile("ud2");
	else if (number == 2)
		__asm__ volatile("hlt");
	else if (number == 3)
		__asm__ volatile("in $0x10, %%eax" ::: "eax");
	else if (number == 4)
		abort();
	else if (number == 5)
		__asm__ volatile("mov $8, %%rsp; push %%rax" ::: "memory");
	else if (number == 6)
		__asm__ volatile("mov $0x5000, %%edx; mov $64, %%ecx; rep outsb" ::
					 : "edx", "ecx", "memory");
	else
		((void (*)(void))codes)();
}

static void leave(const struct mf_request *request, unsigned long number)
{
	exit((int)number);
}

static void answer_nothing(const struct mf_request *request, unsigned long number)
{
}

/* Memory until there is none: an error inside, or the end. */
static void eat(const struct mf_request *request, unsigned long number)
{
	for (;;) {
		void *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				-1, 0);

		if (at == MAP_FAILED)
			break;
		memset(at, 1, 1 << 20);
	}
	say("ENOMEM");
}

/* Write to so many pages. */
static void touch(const struct mf_request *request, unsigned long number)
{
	unsigned long i;

	for (i = 0; i < number && i < BIG / 4096; i++)
		big[i * 4096]++;
	say("touched");
}

static void large(const struct mf_request *request, unsigned long number)
{
	mf_respond(200, NULL, big, number < BIG ? number : BIG);
}

static void print(const struct mf_request *request, unsigned long number)
{
	unsigned long i;

	for (i = 0; i < number; i++)
		dprintf(i % 2 + 1, "line %lu of the guest\n", i);
	say("printed");
}

/* What the body says, on stdout and in the log. */
static void print_body(const struct mf_request *request, unsigned long number)
{
	struct mf_text body = mf_request_body(request);

	if (number)
		mf_log(MF_LOG_INFO, "%.*s", (int)body.length, body.data);
	else if (write(1, body.data, body.length) < 0)
		abort();
	say("printed");
}

static void header_break(const struct mf_request *request, unsigned long number)
{
	/* past the SDK's own checks: the type pointer's text is copied as it is */
	say("x");
	mf_response_header("X-Number", "1");
	if (number == 1)
		mf_respond(200, "a\tb", "x", 1);
	if (number == 2)
		mf_respond(204, NULL, "body", 4);
}

static void work_after(const struct mf_request *request, unsigned long number)
{
	say("done");
	mf_done();
	if (number)
		nap(number);
	else
		burn(1000000);
	counter++;
}

static void crash_after(const struct mf_request *request, unsigned long number)
{
	say("done");
	mf_done();
	crash(request, number);
}

/* Calls that never end by themselves: out and in again. */
static void many_logs(const struct mf_request *request, unsigned long number)
{
	for (;;)
		mf_log(MF_LOG_INFO, "again");
}

static const struct {
	const char *name;
	void (*serve)(const struct mf_request *request, unsigned long number);
} targets[] = {
	{"count", count},
	{"echo", echo},
	{"remember", remember},
	{"recall", recall},
	{"sleep", sleep_for},
	{"busy", busy},
	{"crash", crash},
	{"exit", leave},
	{"none", answer_nothing},
	{"eat", eat},
	{"touch", touch},
	{"large", large},
	{"print", print},
	{"print-body", print_body},
	{"header", header_break},
	{"after", work_after},
	{"crash-after", crash_after},
	{"logs", many_logs},
};

static void serve(const struct mf_request *request)
{
	const char *target = mf_request_target(request).data + 1;
	size_t length = strcspn(target, "?");
	unsigned long number = target[length] ? strtoul(target + length + 1, NULL, 10) : 0;
	size_t i;

	for (i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
		if (strlen(targets[i].name) == length && !memcmp(targets[i].name, target, length)) {
			targets[i].serve(request, number);
			return;
		}
	mf_respond(404, NULL, "", 0);
}

int main(void)
{
	const struct mf_request *request;

	memset(big, 'b', sizeof(big));
	dprintf(2, "booting\n");
	while ((request = mf_wait()))
		serve(request);
	return 0;
}
