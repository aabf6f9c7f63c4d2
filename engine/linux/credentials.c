/* SPDX-License-Identifier: MIT */
#include "engine/linux/credentials.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/syscall.h"

#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/image/guest.h"
#include "guest/stub/stub.h"

#define UNCHANGED ((uint32_t)-1)
#define BIT(cap)  (1u << (cap))
#define OF_ROOT   (BIT(CAP_CHOWN) | BIT(CAP_SETGID) | BIT(CAP_SETUID))
#define OF_FILES  BIT(CAP_CHOWN)

/* Whom the engine itself reaches files as. */
static struct engine_ids {
	uint32_t uid;
	uint32_t gid;
	int group_count;
	uint32_t *groups;
} engine;

static void learn_engine(void)
{
	long count = syscall(SYS_getgroups, 0, NULL);

	engine.uid = geteuid();
	engine.gid = getegid();
	engine.groups = count > 0 ? calloc((size_t)count, sizeof(uint32_t)) : NULL;
	engine.group_count = -1; /* not known: nothing is taken that could not be given back */
	if (!count)
		engine.group_count = 0;
	else if (engine.groups)
		engine.group_count = (int)syscall(SYS_getgroups, count, engine.groups);
}

static bool know_engine(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	return !pthread_once(&once, learn_engine) && engine.group_count >= 0;
}

/* The kernel's calls are this thread's; those of the C library would be all threads'. */
static bool take(const struct mf_ids *ids)
{
	uint32_t uid = ids->uid[MF_ID_FILES], gid = ids->gid[MF_ID_FILES];

	if (!know_engine() || syscall(SYS_setgroups, (long)ids->group_count, ids->groups))
		return false;
	syscall(SYS_setfsgid, gid);
	syscall(SYS_setfsuid, uid);
	if ((uint32_t)syscall(SYS_setfsgid, UNCHANGED) == gid &&
	    (uint32_t)syscall(SYS_setfsuid, UNCHANGED) == uid)
		return true;
	mf_ids_leave();
	return false;
}

bool mf_ids_enter(const struct mf_process *process)
{
	return take(&mf_linux(process)->ids);
}

void mf_ids_leave(void)
{
	syscall(SYS_setfsuid, engine.uid);
	syscall(SYS_setfsgid, engine.gid);
	/* Memory for the list may be short for a moment; nothing else can be in the way. */
	while (syscall(SYS_setgroups, (long)engine.group_count, engine.groups) && errno == ENOMEM)
		;
}

static void tell_guest(struct mf_process *process, const struct mf_ids *ids)
{
	mf_guest_set_ids(&process->vm,
			 &(struct mf_stub_ids){ids->uid[MF_ID_REAL], ids->uid[MF_ID_EFFECTIVE],
					       ids->gid[MF_ID_REAL], ids->gid[MF_ID_EFFECTIVE]});
}

void mf_ids_begin(struct mf_process *process)
{
	struct mf_ids *ids = &MF_DIRTY(process, ids);
	uint32_t i;

	*ids = (struct mf_ids){.permitted = geteuid() ? 0 : OF_ROOT,
			       .engine_uid = geteuid(),
			       .engine_gid = getegid()};
	ids->effective = ids->permitted;
	for (i = 0; i < MF_IDS; i++) {
		ids->uid[i] = geteuid();
		ids->gid[i] = getegid();
	}
	tell_guest(process, ids);
}

bool mf_ids_are_sound(const struct mf_ids *ids)
{
	return ids->engine_uid == geteuid() && ids->engine_gid == getegid() &&
	       ids->group_count <= MF_GROUPS && !(ids->permitted & ~OF_ROOT) &&
	       !(ids->effective & ~ids->permitted) && ids->changed <= 1;
}

static bool is_among(const uint32_t ids[MF_IDS], uint32_t id)
{
	return id == ids[MF_ID_REAL] || id == ids[MF_ID_EFFECTIVE] || id == ids[MF_ID_SAVED];
}

bool mf_ids_has_uid(const struct mf_process *process, uint32_t uid)
{
	return is_among(mf_linux(process)->ids.uid, uid);
}

bool mf_ids_has_gid(const struct mf_process *process, uint32_t gid)
{
	return is_among(mf_linux(process)->ids.gid, gid);
}

bool mf_ids_can(const struct mf_process *process, unsigned int capability)
{
	return mf_linux(process)->ids.effective & BIT(capability);
}

/* What becomes of capabilities when ids do (capabilities(7)). */
static void follow_uid(const struct mf_process *process, const struct mf_ids *old,
		       struct mf_ids *new)
{
	if (is_among(old->uid, 0) && !is_among(new->uid, 0) &&
	    !(mf_linux(process)->told & MF_TOLD_KEEPS_CAPS))
		new->permitted = 0;
	if (!old->uid[MF_ID_EFFECTIVE] && new->uid[MF_ID_EFFECTIVE])
		new->effective = 0;
	else if (old->uid[MF_ID_EFFECTIVE] && !new->uid[MF_ID_EFFECTIVE])
		new->effective = new->permitted;
	new->effective &= new->permitted;
}

static void follow_fsuid(const struct mf_ids *old, struct mf_ids *new)
{
	if (!old->uid[MF_ID_FILES] && new->uid[MF_ID_FILES])
		new->effective &= ~OF_FILES;
	else if (old->uid[MF_ID_FILES] && !new->uid[MF_ID_FILES])
		new->effective |= new->permitted &OF_FILES;
}

/* Be `new`, if the host lets the engine be that: else -EPERM. */
static int64_t become(struct mf_process *process, struct mf_ids *new)
{
	const struct mf_ids *old = &mf_linux(process)->ids;

	if (!memcmp(old, new, sizeof(*new)))
		return 0;
	new->changed = 1;
	if (!take(new))
		return -EPERM;
	mf_ids_leave();
	if (old->uid[MF_ID_EFFECTIVE] != new->uid[MF_ID_EFFECTIVE] ||
	    old->gid[MF_ID_EFFECTIVE] != new->gid[MF_ID_EFFECTIVE] ||
	    old->uid[MF_ID_FILES] != new->uid[MF_ID_FILES] ||
	    old->gid[MF_ID_FILES] != new->gid[MF_ID_FILES])
		MF_DIRTY(process, told) = mf_linux(process)->told | MF_TOLD_NOT_DUMPABLE;
	MF_DIRTY(process, ids) = *new;
	tell_guest(process, new);
	return 0;
}

static int64_t become_user(struct mf_process *process, struct mf_ids *new)
{
	new->uid[MF_ID_FILES] = new->uid[MF_ID_EFFECTIVE];
	follow_uid(process, &mf_linux(process)->ids, new);
	return become(process, new);
}

static int64_t become_group(struct mf_process *process, struct mf_ids *new)
{
	new->gid[MF_ID_FILES] = new->gid[MF_ID_EFFECTIVE];
	return become(process, new);
}

/* setuid and setgid: all of them with the capability, else the effective one. */
static int64_t set_one(uint32_t ids[MF_IDS], uint32_t id, bool can)
{
	if (id == UNCHANGED)
		return -EINVAL;
	if (!can && id != ids[MF_ID_REAL] && id != ids[MF_ID_SAVED])
		return -EPERM;
	if (can)
		ids[MF_ID_REAL] = ids[MF_ID_SAVED] = id;
	ids[MF_ID_EFFECTIVE] = id;
	return 0;
}

/* setreuid and setregid. */
static int64_t set_two(uint32_t ids[MF_IDS], const uint64_t arg[6], bool can)
{
	uint32_t real = (uint32_t)arg[0], effective = (uint32_t)arg[1], was = ids[MF_ID_REAL];

	if (!can && ((real != UNCHANGED && real != was && real != ids[MF_ID_EFFECTIVE]) ||
		     (effective != UNCHANGED && !is_among(ids, effective))))
		return -EPERM;
	if (real != UNCHANGED)
		ids[MF_ID_REAL] = real;
	if (effective != UNCHANGED)
		ids[MF_ID_EFFECTIVE] = effective;
	if (real != UNCHANGED || (effective != UNCHANGED && effective != was))
		ids[MF_ID_SAVED] = ids[MF_ID_EFFECTIVE];
	return 0;
}

/* setresuid and setresgid. */
static int64_t set_three(uint32_t ids[MF_IDS], const uint64_t arg[6], bool can)
{
	uint32_t was[MF_IDS];
	int i;

	memcpy(was, ids, sizeof(was));
	for (i = MF_ID_REAL; i <= MF_ID_SAVED; i++) {
		if ((uint32_t)arg[i] == UNCHANGED)
			continue;
		if (!can && !is_among(was, (uint32_t)arg[i]))
			return -EPERM;
		ids[i] = (uint32_t)arg[i];
	}
	return 0;
}

int64_t mf_sys_setuid(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	int64_t ret = set_one(new.uid, (uint32_t)arg[0], mf_ids_can(process, CAP_SETUID));

	return ret ? ret : become_user(process, &new);
}

int64_t mf_sys_setgid(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	int64_t ret = set_one(new.gid, (uint32_t)arg[0], mf_ids_can(process, CAP_SETGID));

	return ret ? ret : become_group(process, &new);
}

int64_t mf_sys_setreuid(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	int64_t ret = set_two(new.uid, arg, mf_ids_can(process, CAP_SETUID));

	return ret ? ret : become_user(process, &new);
}

int64_t mf_sys_setregid(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	int64_t ret = set_two(new.gid, arg, mf_ids_can(process, CAP_SETGID));

	return ret ? ret : become_group(process, &new);
}

int64_t mf_sys_setresuid(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	int64_t ret = set_three(new.uid, arg, mf_ids_can(process, CAP_SETUID));

	return ret ? ret : become_user(process, &new);
}

int64_t mf_sys_setresgid(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	int64_t ret = set_three(new.gid, arg, mf_ids_can(process, CAP_SETGID));

	return ret ? ret : become_group(process, &new);
}

/* These return the id that was in force, also when the new one is refused (setfsuid(2)). */
int64_t mf_sys_setfsuid(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_ids *old = &mf_linux(process)->ids;
	uint32_t was = old->uid[MF_ID_FILES], uid = (uint32_t)arg[0];
	struct mf_ids new = *old;

	if (uid == UNCHANGED || (!is_among(old->uid, uid) && !mf_ids_can(process, CAP_SETUID)))
		return was;
	new.uid[MF_ID_FILES] = uid;
	follow_fsuid(old, &new);
	become(process, &new);
	return was;
}

int64_t mf_sys_setfsgid(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_ids *old = &mf_linux(process)->ids;
	uint32_t was = old->gid[MF_ID_FILES], gid = (uint32_t)arg[0];
	struct mf_ids new = *old;

	if (gid == UNCHANGED || (!is_among(old->gid, gid) && !mf_ids_can(process, CAP_SETGID)))
		return was;
	new.gid[MF_ID_FILES] = gid;
	become(process, &new);
	return was;
}

static int64_t get_ids(struct mf_process *process, const uint64_t arg[6], const uint32_t *ids)
{
	int i;

	for (i = MF_ID_REAL; i <= MF_ID_SAVED; i++) {
		if (mf_guest_write(process, arg[i], &ids[i], sizeof(ids[i])))
			return -EFAULT;
	}
	return 0;
}

int64_t mf_sys_getresuid(struct mf_process *process, const uint64_t arg[6])
{
	return get_ids(process, arg, mf_linux(process)->ids.uid);
}

int64_t mf_sys_getresgid(struct mf_process *process, const uint64_t arg[6])
{
	return get_ids(process, arg, mf_linux(process)->ids.gid);
}

int64_t mf_sys_geteuid(struct mf_process *process, const uint64_t arg[6])
{
	return mf_linux(process)->ids.uid[MF_ID_EFFECTIVE];
}

int64_t mf_sys_getegid(struct mf_process *process, const uint64_t arg[6])
{
	return mf_linux(process)->ids.gid[MF_ID_EFFECTIVE];
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

int64_t mf_sys_setgroups(struct mf_process *process, const uint64_t arg[6])
{
	struct mf_ids new = mf_linux(process)->ids;
	uint32_t count = (uint32_t)arg[0];

	if (!mf_ids_can(process, CAP_SETGID))
		return -EPERM;
	if (count > MF_GROUPS)
		return -EINVAL;
	memset(new.groups, 0, sizeof(new.groups));
	if (count && mf_guest_read(process, arg[1], new.groups, count * sizeof(new.groups[0])))
		return -EFAULT;
	qsort(new.groups, count, sizeof(new.groups[0]), compare_ids);
	new.group_count = count;
	new.changed = 1; /* those of the engine's user are none of its any more, either */
	return become(process, &new);
}

int64_t mf_sys_getgroups(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_ids *ids = &mf_linux(process)->ids;

	if ((int32_t)arg[0] < 0 || ((int32_t)arg[0] && (uint32_t)arg[0] < ids->group_count))
		return -EINVAL;
	if ((uint32_t)arg[0] && ids->group_count &&
	    mf_guest_write(process, arg[1], ids->groups, ids->group_count * sizeof(uint32_t)))
		return -EFAULT;
	return ids->group_count;
}
