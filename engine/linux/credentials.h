/* SPDX-License-Identifier: MIT */
/*
 * As whom a program acts: user and group ids, supplementary groups, and the capabilities to change
 * them (credentials(7), capabilities(7)). It begins as the engine's user. Root may step down, as
 * far as the host lets the engine be that user: from then on each of its calls is made with the
 * file system ids and groups that it has taken (setfsuid(2)), so that it is the host's kernel that
 * says what it may open, and whose the files are that it makes. All threads of a program are the
 * same user. Called by the system call table and by whoever tells ids.
 */
#ifndef MF_ENGINE_LINUX_CREDENTIALS_H
#define MF_ENGINE_LINUX_CREDENTIALS_H

#include "engine/linux/process.h"

/* What prctl sets of the process and only tells: nobody is there who would act by it; but for the
 * second (struct mf_linux.told). */
enum mf_told {
	MF_TOLD_NOT_DUMPABLE = 1,
	MF_TOLD_KEEPS_CAPS = 2, /* when no id is root's any more */
	MF_TOLD_IS_SUBREAPER = 4,
	MF_TOLD_NO_NEW_PRIVS = 8,
	MF_TOLD_NO_HUGE_PAGES = 16,
	MF_TOLD_DEATH_SIGNAL_SHIFT = 8,
};

/* A new program: the engine's user, in no supplementary group. */
void mf_ids_begin(struct mf_process *process);

/* Are ids from an image file what a program of this engine's user can have? */
bool mf_ids_are_sound(const struct mf_ids *ids);

/*
 * This thread of the engine reaches files as the program from here to mf_ids_leave(), which is to
 * be called on the same thread. False: the host does not let it, and nothing has changed.
 */
bool mf_ids_enter(const struct mf_process *process);
void mf_ids_leave(void);

static inline uint32_t mf_uid(const struct mf_process *process)
{
	return mf_linux(process)->ids.uid[MF_ID_REAL];
}

static inline uint32_t mf_gid(const struct mf_process *process)
{
	return mf_linux(process)->ids.gid[MF_ID_REAL];
}

/* Is it one of real, effective and saved? */
bool mf_ids_has_uid(const struct mf_process *process, uint32_t uid);
bool mf_ids_has_gid(const struct mf_process *process, uint32_t gid);

/* Has the program this capability (CAP_*) in force? */
bool mf_ids_can(const struct mf_process *process, unsigned int capability);

#endif
