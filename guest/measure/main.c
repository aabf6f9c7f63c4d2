/* SPDX-License-Identifier: MIT */
/*
 * The guest of measurements. Argument: MiB of memory to fill before the ready point. The target
 * says what a request does, its body how often: /hello, /dirty (write to that many pages, side by
 * side), /spread (the same, apart), /log (exits), /getpid and /clock (calls that are answered
 * inside), /get and /put (so many calls to the store; the response is what each took, in ns).
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/call.h>
#include <mayfly/sdk.h>
#include <mayfly/store.h>

#define PAGE 4096ul

static uint8_t *heap;
static size_t heap_pages;

static bool dirty(size_t pages, size_t stride)
{
	size_t i;

	if (pages * stride > heap_pages)
		return false;
	for (i = 0; i < pages; i++)
		*(volatile uint64_t *)(heap + i * stride * PAGE) += 1;
	return true;
}

static bool spread(size_t pages)
{
	return !pages || dirty(pages, heap_pages / pages ? heap_pages / pages : 1);
}

#define CALLS_MAX 4096u

static uint64_t took_ns[CALLS_MAX];

/* So many calls to the store; false when one fails. */
static bool call_store(bool put, size_t times)
{
	static char value[64] = "a value of sixty-four bytes";
	struct mf_bytes key = MF_STRING("key");
	size_t i;

	for (i = 0; i < times && i < CALLS_MAX; i++) {
		uint64_t start = mf_clock_ns();
		size_t bytes;
		int ret = put ? mf_store_put("bench", key, (struct mf_bytes){value, sizeof(value)})
			      : mf_store_get("bench", key, value, sizeof(value), &bytes);

		took_ns[i] = mf_clock_ns() - start;
		if (ret)
			return false;
	}
	return true;
}

static bool work(const char *what, size_t times)
{
	struct timespec now;

	if (!strcmp(what, "/dirty"))
		return dirty(times, 1);
	if (!strcmp(what, "/spread"))
		return spread(times);
	if (!strcmp(what, "/log"))
		for (; times; times--)
			mf_sdk_exit(MF_CALL_LOG, what, 1, 0);
	else if (!strcmp(what, "/getpid"))
		for (; times; times--)
			syscall(SYS_getpid);
	else if (!strcmp(what, "/clock"))
		for (; times; times--)
			clock_gettime(CLOCK_MONOTONIC, &now);
	else
		return !strcmp(what, "/hello");
	return true;
}

static bool fill(size_t mib)
{
	if (!mib)
		return true;
	heap_pages = mib * 256;
	heap = malloc((heap_pages + 1) * PAGE);
	if (!heap)
		return false;
	heap = (uint8_t *)(((uintptr_t)heap + PAGE - 1) & ~(PAGE - 1));
	memset(heap, 1, heap_pages * PAGE);
	return true;
}

int main(int argc, char **argv)
{
	const struct mf_request *request;

	if (!fill(argc > 1 ? strtoul(argv[1], NULL, 10) : 0))
		return 1;
	while ((request = mf_wait())) {
		struct mf_text body = mf_request_body(request);
		size_t times = body.length ? strtoul(body.data, NULL, 10) : 0;

		const char *what = mf_request_target(request).data;
		bool put = !strcmp(what, "/put");

		if (put || !strcmp(what, "/get")) {
			bool good = call_store(put, times);

			mf_respond(good ? 200 : 503, NULL, took_ns,
				   (times < CALLS_MAX ? times : CALLS_MAX) * sizeof(took_ns[0]));
		} else if (work(what, times))
			mf_respond(200, "text/plain", "hello\n", 6);
		else
			mf_respond(400, "text/plain", "no\n", 3);
	}
	return 0;
}
