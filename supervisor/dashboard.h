/* SPDX-License-Identifier: MIT */
/* The page of dashboard.html, and the Content-Security-Policy that fits it; dashboard.py makes both
 * constants. */
#ifndef MF_SUPERVISOR_DASHBOARD_H
#define MF_SUPERVISOR_DASHBOARD_H

#include <stddef.h>

extern const char mf_dashboard[];
extern const size_t mf_dashboard_bytes;
extern const char mf_dashboard_policy[];

#endif
