/* SPDX-License-Identifier: MIT */
/* A thousand live VMs over one image, and what one costs this machine, kernel and all. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/image/delta.h"
#include "lab.h"
#include "say.h"
#include "times.h"
#include "tour.h"

#define MANY          1000
#define MANY_EMULATED 50
#define FILES_A_VM    3
#define FILES_SPARE   64
#define KIB_A_VM      2048ll /* more than one takes */
#define KIB_SPARE     (512ll << 10)

/* "MemAvailable:" of /proc/meminfo, opened before the process was confined. */
static long long available_kib(int meminfo)
{
	char text[4096];
	ssize_t got = pread(meminfo, text, sizeof(text) - 1, 0);
	const char *at;

	text[got > 0 ? got : 0] = '\0';
	at = strstr(text, "MemAvailable:");
	return at ? atoll(at + sizeof("MemAvailable:")) : 0;
}

/* How many fit, and why not more. */
static size_t how_many(size_t wanted, int meminfo)
{
	long long memory = (available_kib(meminfo) - KIB_SPARE) / KIB_A_VM;
	struct rlimit limit;
	size_t count = wanted;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < count * FILES_A_VM + FILES_SPARE) {
		count = ((size_t)limit.rlim_max - FILES_SPARE) / FILES_A_VM;
		say("only %zu: a VM takes %d descriptors and the limit (ulimit -Hn) is %llu", count,
		    FILES_A_VM, (unsigned long long)limit.rlim_max);
	}
	if (memory < (long long)count) {
		count = memory > 1 ? (size_t)memory : 1;
		say("only %zu: there is not more memory available", count);
	}
	return count;
}

/* One request to each, another stanza for each. How many answers were right. */
static size_t serve_all(struct lab *lab, struct mf_process *vms, size_t count,
			const struct tour *tour, size_t first)
{
	size_t right = 0;

	for (size_t i = 0; i < count; i++) {
		const struct stanza *stanza =
			&tour->stanzas.list[(first + i) % tour->stanzas.count];
		struct mf_http_message message;

		if (lab_stanza(&message, stanza) && lab_post(lab, &vms[i], &message, stanza))
			right++;
		mf_http_message_finish(&message);
		say_progress("VMs asked again", i + 1, count);
	}
	return right;
}

/* Fork, each serving a request as soon as it lives. How many there are. */
static size_t fork_all(struct lab *lab, struct mf_process *vms, size_t count,
		       const struct tour *tour, size_t *right)
{
	struct mf_error err = {0};
	size_t i;

	for (i = 0; i < count; i++) {
		const struct stanza *stanza = &tour->stanzas.list[i % tour->stanzas.count];
		struct mf_http_message message;

		if (mf_process_fork(&vms[i], &lab->image, &lab->program.policy, &err) < 0) {
			say("only %zu: %s", i, err.text);
			break;
		}
		if (lab_stanza(&message, stanza) && lab_post(lab, &vms[i], &message, stanza))
			(*right)++;
		mf_http_message_finish(&message);
		say_progress("VMs forked", i + 1, count);
	}
	return i;
}

static void measure(struct lab *lab, struct mf_process *vms, size_t wanted, const struct tour *tour,
		    int meminfo)
{
	struct timespec settle = {.tv_sec = 1};
	long long before = available_kib(meminfo);
	uint64_t start = now_ns();
	size_t served = 0;
	size_t count = fork_all(lab, vms, wanted, tour, &served);
	double seconds = (double)(now_ns() - start) / 1e9;
	struct mf_error unclean = {0};
	size_t pages = 0, clean = 0, again;
	long long taken;

	if (!claim(count > 0 && served == count,
		   "%s VMs live over one image of %.1f MiB, each has served a request",
		   with_commas(count), (double)lab->image.backing.bytes / 1048576))
		return;
	again = serve_all(lab, vms, count, tour, count);
	nanosleep(&settle, NULL);
	taken = before - available_kib(meminfo);
	for (size_t i = 0; i < count; i++) {
		long private = mf_mem_private_pages(&vms[i].vm.mem);

		pages += private > 0 ? (size_t) private : 0;
		clean += mf_vm_audit(&vms[i].vm, NULL, NULL, &unclean) == 0;
	}
	claim(again == count,
	      "all of them alive at the same time, each has served another: %s right answers",
	      with_commas(served + again));
	claim(clean == count, "audits of all of them: %zu unclean%s%s", count - clean,
	      clean == count ? "" : ": ", unclean.text);
	claim(taken > 0, "available memory fell by %.1f MiB: a VM costs %lld KiB all in",
	      (double)taken / 1024, taken / (long long)count);
	say("      of it %zu KiB are pages of its own; the rest is KVM's", pages * 4 / count);
	if (!tour->emulated)
		say("      %.2f ms from the decision to fork to the first answer and the reset "
		    "after it",
		    seconds * 1000 / (double)count);
	for (size_t i = 0; i < count; i++)
		mf_process_finish(&vms[i]);
}

void scene_many(const struct tour *tour)
{
	int meminfo = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	size_t wanted = how_many(tour->emulated ? MANY_EMULATED : MANY, meminfo);
	struct mf_process *vms = calloc(wanted, sizeof(*vms));
	struct lab lab;

	if (tour->emulated)
		say("in the emulated machine: %d instead of %s", MANY_EMULATED, with_commas(MANY));
	if (!vms)
		claim(false, "no memory");
	else if (lab_open(&lab, tour->stanza)) {
		measure(&lab, vms, wanted, tour, meminfo);
		lab_close(&lab);
	}
	free(vms);
}
