/* SPDX-License-Identifier: MIT */
/* What a figure was measured on. Nothing here names a machine or its owner. */
#ifndef MF_MEASURE_MACHINE_H
#define MF_MEASURE_MACHINE_H

#include <stdbool.h>
#include <stdio.h>

struct mf_machine {
	char cpu[128]; /* the model's name */
	char architecture[32];
	long cpus; /* online */
	double memory_gib;
	char kernel[80];
	char kvm[32];            /* its family, or "no" */
	char virtualisation[32]; /* the hypervisor under this system by CPUID, or "none" */
	char governor[32];       /* of the first CPU's frequency, or "unknown" */
	char clock[32];          /* what the kernel tells time by */
	double load;             /* average of the last minute; -1: unknown */
	bool emulated;           /* times mean nothing */
};

void mf_machine_look(struct mf_machine *machine);
/* "CPU, N CPUs, ..." without a line's end. */
void mf_machine_print(FILE *file, const struct mf_machine *machine);

#endif
