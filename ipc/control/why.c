/* SPDX-License-Identifier: MIT */
#include "ipc/control/why.h"

/* What went wrong with most of the requests is told before what the others waited for. */
#define MOST 0.5

struct share {
	const char *words;
	double value;
};

static double since(uint64_t now, uint64_t before)
{
	return now > before ? (double)(now - before) : 0;
}

#define SINCE(field) since(now->field, before->field)

static struct share largest(const struct share *shares, size_t count)
{
	struct share best = {"", 0};
	size_t i;

	for (i = 0; i < count; i++)
		if (shares[i].value > best.value)
			best = shares[i];
	return best;
}

/* Requests that came to nothing because of a limit. */
static struct share failures(const struct mf_control_status *now,
			     const struct mf_control_status *before, double *all)
{
	const struct share shares[] = {
		{"queue full", SINCE(rejected)}, {"rate limit", SINCE(limited)},
		{"memory limit", SINCE(memory)}, {"store failed", SINCE(store_failed)},
		{"crash", SINCE(crash)},
	};

	*all = SINCE(requests) + SINCE(limited);
	return largest(shares, sizeof(shares) / sizeof(shares[0]));
}

/* A thread that waits for a processor runs its program as little as the rest of its work. */
static double waits_for_processor(const struct mf_control_status *now,
				  const struct mf_control_status *before)
{
	double busy = SINCE(busy_ns);
	double cpu = SINCE(cpu_ns);

	return busy > cpu && busy > 0 ? (busy - cpu) / busy : 0;
}

/* What those do that have a VM. */
static struct share served(const struct mf_control_status *now,
			   const struct mf_control_status *before, double *sum)
{
	double starves = waits_for_processor(now, before);
	const struct share shares[] = {
		{"processor", (SINCE(run_ns) + SINCE(turn_ns)) * starves},
		{"program", SINCE(run_ns) * (1 - starves)},
		{"turns", SINCE(turn_ns) * (1 - starves)},
		{"store", SINCE(store_ns)},
		{"calls", SINCE(calls_ns)},
		{"client", SINCE(client_ns)},
	};
	size_t i;

	*sum = 0;
	for (i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
		*sum += shares[i].value;
	return largest(shares, sizeof(shares) / sizeof(shares[0]));
}

struct mf_control_why mf_control_why(const struct mf_control_status *now,
				     const struct mf_control_status *before)
{
	double queue = SINCE(queue_ns);
	double all;
	double sum;
	struct share failed = failures(now, before, &all);
	struct share worst = served(now, before, &sum);

	if (all > 0 && failed.value > all * MOST)
		return (struct mf_control_why){failed.words, worst.words, failed.value / all};
	if (queue > sum)
		return (struct mf_control_why){"queue", worst.words, queue / (queue + sum)};
	return (struct mf_control_why){worst.words, "", sum > 0 ? worst.value / (queue + sum) : 0};
}
