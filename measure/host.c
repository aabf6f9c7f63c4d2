/* SPDX-License-Identifier: MIT */
/* The list of cases, and those without a VM. */
#include "measure/host.h"
#include "measure/trips.h"

#include "engine/image/watchdog.h"
#include "storage-vm/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_BYTES (1u << 20)

struct mf_loop mf_host_loop(const struct mf_host *host, size_t rounds, double seconds)
{
	return (struct mf_loop){
		.rounds = host->quick ? rounds / 10 + 10 : rounds,
		.seconds = host->quick ? seconds / 10 : seconds,
		.stop = host->stop,
	};
}

void mf_host_count(struct mf_host_result *result, const char *name, double value)
{
	if (result->count_count < MF_RECORD_COUNTS)
		result->counts[result->count_count++] = (struct mf_count){name, value};
}

int mf_host_failed(struct mf_error *err, int ret, const char *what)
{
	if (ret && !err->text[0])
		mf_error_set(err, ret, "%s: %s", what, strerror(-ret));
	return ret;
}

void mf_host_result_finish(struct mf_host_result *result)
{
	mf_samples_free(&result->samples);
	mf_samples_free(&result->yard);
}

/* A wake of a thread that sleeps on another CPU, and its wake back; beside it the same by a ring.
 */
static int host_wake(const struct mf_host *host, const struct mf_host_case *self,
		     struct mf_host_result *result, struct mf_error *err)
{
	struct mf_loop loop = mf_host_loop(host, 5000, 4);
	int ret;

	if (host->cpus.first == host->cpus.last)
		return mf_error_set(err, MF_HOST_SKIPPED, "two threads need two CPUs");
	ret = mf_trips(&loop, host->cpus.first, &result->yard, &result->samples);
	result->warmup = loop.warmup;
	return ret ? mf_error_set(err, -EIO, "a message did not come back") : 0;
}

static double copy_once(uint8_t *to, const uint8_t *from, size_t bytes)
{
	uint64_t start = mf_now_ns();

	memcpy(to, from, bytes);
	__asm__ volatile("" : : "r"(to) : "memory");
	return (double)(mf_now_ns() - start);
}

static int host_memcpy(const struct mf_host *host, const struct mf_host_case *self,
		       struct mf_host_result *result, struct mf_error *err)
{
	struct mf_loop loop = mf_host_loop(host, 20000, 4);
	uint8_t *memory = malloc(2 * COPY_BYTES);

	if (!memory)
		return mf_error_set(err, -ENOMEM, "not enough memory");
	memset(memory, 1, 2 * COPY_BYTES);
	while (mf_loop_next(&loop)) {
		double took = copy_once(memory, memory + COPY_BYTES, COPY_BYTES);
		double page = copy_once(memory, memory + COPY_BYTES, 4096);

		if (!mf_loop_measured(&loop))
			continue;
		mf_samples_add(&result->samples, took);
		mf_samples_add(&result->yard, page);
	}
	result->warmup = loop.warmup;
	mf_host_count(result, "bytes", COPY_BYTES);
	free(memory);
	return 0;
}

static double write_page(int fd, bool sync)
{
	static const char page[4096];
	uint64_t start = mf_now_ns();

	if (pwrite(fd, page, sizeof(page), 0) != sizeof(page) || (sync && fdatasync(fd)))
		return -1;
	return (double)(mf_now_ns() - start);
}

static int host_fdatasync(const struct mf_host *host, const struct mf_host_case *self,
			  struct mf_host_result *result, struct mf_error *err)
{
	struct mf_loop loop = mf_host_loop(host, 1000, 4);
	const char *where = getenv("TMPDIR");
	int fd = open(where && *where ? where : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	bool good = fd >= 0;

	while (good && mf_loop_next(&loop)) {
		double cached = write_page(fd, false);
		double synced = write_page(fd, true);

		good = cached >= 0 && synced >= 0;
		if (!good || !mf_loop_measured(&loop))
			continue;
		mf_samples_add(&result->samples, synced);
		mf_samples_add(&result->yard, cached);
	}
	result->warmup = loop.warmup;
	if (!good)
		mf_error_set(err, -errno, "no file can be written in %s: %s",
			     where && *where ? where : "/tmp", strerror(errno));
	if (fd >= 0)
		close(fd);
	return good ? 0 : -EIO;
}

const struct mf_host_case mf_host_cases[] = {
	{"host/exit", "out of a VM by a port access at ring 3, and back in", "getppid",
	 mf_host_exit, 0},
	{"host/call/stub", "a system call that the guest answers itself, by its entry stub",
	 "getpid", mf_host_call, false},
	{"host/call/jump", "the same at a place that was patched into a jump", "getpid",
	 mf_host_call, true},
	{"host/fault", "the first write of a VM to a page of its image",
	 "copy-on-write of a process", mf_host_fault, 0},
	{"host/fork", "a new VM of an image of 16 MiB, up to the answer of its first request",
	 "fork, exit, wait", mf_host_fork, 0},
	{"host/reset/100",
	 "the reset of a VM that wrote to 100 pages, and what it costs the next "
	 "request",
	 "memcpy of the pages", mf_host_reset, 100},
	{"host/ring/poll", "a GET of 64 bytes from a storage VM that polls on another CPU", NULL,
	 mf_host_store_call, MF_STORE_POLL},
	{"host/ring/hand-off", "the same, the storage VM run on the caller's thread", NULL,
	 mf_host_store_call, MF_STORE_HAND_OFF},
	{"host/ring/wake", "the same, its thread woken each time", NULL, mf_host_store_call,
	 MF_STORE_WAKE},
	{"host/wake", "a wake of a sleeping thread on another CPU, and its wake back",
	 "ring of two "
	 "threads",
	 host_wake, 0},
	{"host/memcpy", "a copy of 1 MiB", "of a page", host_memcpy, 0},
	{"host/fdatasync", "a page written and synced to the disk of TMPDIR, or /tmp", "not synced",
	 host_fdatasync, 0},
	{0},
};
