/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Histograms as probes fill them in the kernel (probes.bpf.c), read by histogram.c. */
#ifndef MF_BPF_HISTOGRAM_H
#define MF_BPF_HISTOGRAM_H

#include <mayfly/abi/histogram.h>

#endif
