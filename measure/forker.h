/* SPDX-License-Identifier: MIT */
/* The yardstick of forks: a process of a given size that forks when it is told to. */
#ifndef MF_MEASURE_FORKER_H
#define MF_MEASURE_FORKER_H

#include <stdbool.h>
#include <sys/types.h>

struct mf_forker {
	pid_t pid;
	int to;
	int from;
};

/* With so many MiB resident. False: there is none, and nothing is left. */
bool mf_forker_open(struct mf_forker *forker, unsigned int mib);
/* fork(), _exit() in the child and wait(), in ns; 0: it failed. */
double mf_forker_time(const struct mf_forker *forker);
void mf_forker_close(struct mf_forker *forker);

#endif
