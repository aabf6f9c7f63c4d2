/* SPDX-License-Identifier: MIT */
/* What the machine calls itself: uname, and the files of /proc that say the same. */
#ifndef MF_ENGINE_LINUX_IDENTITY_H
#define MF_ENGINE_LINUX_IDENTITY_H

#include <sys/utsname.h>

void mf_identity_name(struct utsname *name);

#endif
