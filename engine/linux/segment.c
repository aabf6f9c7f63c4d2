/* SPDX-License-Identifier: MIT */
#include "engine/linux/segment.h"
#include "engine/linux/credentials.h"
#include "engine/linux/fd.h"
#include "engine/linux/filemap.h"
#include "engine/linux/guestmem.h"
#include "engine/linux/memfd.h"
#include "engine/linux/space.h"
#include "engine/linux/vma.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <time.h>
#include <unistd.h>

#include "engine/image/guest.h"

#define SEQUENCES 0x1000000u /* an id is a number below 2^31: this much of it, and the slot */

_Static_assert(sizeof(struct shmid_ds) == 112, "struct shmid64_ds is the kernel's");
_Static_assert((uint64_t)SEQUENCES *MF_SEGMENTS <= 1ull << 31, "ids");

static const struct mf_segment *at(const struct mf_process *process, uint32_t i)
{
	return &mf_linux(process)->segments[i];
}

/* A mapping is an attachment; one that was split in parts is several, as Linux counts. */
static uint64_t attached(const struct mf_process *process, const struct mf_segment *segment)
{
	const struct mf_vma *vma;
	uint64_t count = 0;

	for (vma = mf_vma_from(process, 0); vma; vma = mf_vma_from(process, vma->end))
		count += vma->file == segment->file;
	return count;
}

/* Removed ones that are attached no more are gone. */
static void sweep(struct mf_process *process)
{
	uint32_t i;

	for (i = 0; i < MF_SEGMENTS; i++) {
		const struct mf_segment *segment = at(process, i);
		uint32_t file = segment->file;

		if (!file || !segment->removed || attached(process, segment))
			continue;
		MF_DIRTY(process, segments[i]) = (struct mf_segment){.sequence = segment->sequence};
		mf_fd_drop(process, mf_fd_at(process, file - 1));
	}
}

bool mf_segment_any(const struct mf_linux *lx)
{
	uint32_t i;

	for (i = 0; i < MF_SEGMENTS; i++)
		if (lx->segments[i].file)
			return true;
	return false;
}

static int32_t id_of(const struct mf_process *process, uint32_t i)
{
	return (int32_t)(at(process, i)->sequence * MF_SEGMENTS + i);
}

/* The segment of an id, or -EINVAL. */
static int find(const struct mf_process *process, uint64_t id)
{
	uint32_t i = (uint32_t)id % MF_SEGMENTS;

	if ((int32_t)id < 0 || !at(process, i)->file || id_of(process, i) != (int32_t)id)
		return -EINVAL;
	return (int)i;
}

/* Linux' ipcperms(): `want` as a mode's bits. Root may. */
static int allows(const struct mf_process *process, const struct mf_segment *segment, uint32_t want)
{
	const struct mf_ids *ids = &mf_linux(process)->ids;
	uint32_t uid = ids->uid[MF_ID_EFFECTIVE], granted = segment->mode;

	want = (want >> 6 | want >> 3 | want) & 7;
	if (uid == segment->uid || uid == segment->creator_uid)
		granted >>= 6;
	else if (mf_ids_has_gid(process, segment->gid) ||
		 mf_ids_has_gid(process, segment->creator_gid))
		granted >>= 3;
	return uid && want & ~granted ? -EACCES : 0;
}

/* A file in memory that nobody but the table has. The description's index + 1, or -errno. */
static int64_t make_file(struct mf_process *process, uint64_t bytes)
{
	int64_t fd = mf_memfd_make(process, 0);
	const struct mf_fd *entry;
	int ret;

	if (fd < 0)
		return -ENOSPC;
	entry = mf_fd_get(process, (uint64_t)fd);
	ret = mf_memfd_grow(process, entry, bytes);
	if (!ret && ftruncate(entry->host, (off_t)bytes))
		ret = -errno;
	if (!ret)
		mf_fd_hold(process, entry);
	mf_fd_close(process, (uint64_t)fd);
	return ret ? -ENOMEM : (int64_t)mf_fd_index(process, entry) + 1;
}

static int64_t create(struct mf_process *process, int32_t key, uint64_t bytes, uint32_t flags)
{
	const struct mf_ids *ids = &mf_linux(process)->ids;
	uint64_t whole = mf_memory_round_up(bytes);
	int64_t file;
	uint32_t i;

	if (!bytes || whole < bytes || whole > INT64_MAX)
		return -EINVAL;
	if (flags & SHM_HUGETLB)
		return -ENOMEM; /* there are none */
	for (i = 0; i < MF_SEGMENTS && at(process, i)->file; i++)
		;
	if (i == MF_SEGMENTS)
		return -ENOSPC;
	if (whole / MF_PAGE > UINT32_MAX)
		return -ENOMEM;
	file = make_file(process, whole);
	if (file < 0)
		return file;
	MF_DIRTY(process, segments[i]) = (struct mf_segment){
		.file = (uint32_t)file,
		.sequence = (at(process, i)->sequence + 1) % SEQUENCES,
		.key = key,
		.mode = flags & 0777,
		.uid = ids->uid[MF_ID_EFFECTIVE],
		.gid = ids->gid[MF_ID_EFFECTIVE],
		.creator_uid = ids->uid[MF_ID_EFFECTIVE],
		.creator_gid = ids->gid[MF_ID_EFFECTIVE],
		.bytes = bytes,
		.changed_s = time(NULL),
	};
	return id_of(process, i);
}

int64_t mf_sys_shmget(struct mf_process *process, const uint64_t arg[6])
{
	int32_t key = (int32_t)arg[0];
	uint32_t flags = (uint32_t)arg[2];
	uint32_t i;

	sweep(process);
	for (i = 0; i < MF_SEGMENTS; i++)
		if (key != IPC_PRIVATE && at(process, i)->file && at(process, i)->key == key)
			break;
	if (key == IPC_PRIVATE || i == MF_SEGMENTS)
		return key == IPC_PRIVATE || flags & IPC_CREAT ? create(process, key, arg[1], flags)
							       : -ENOENT;
	if (flags & IPC_CREAT && flags & IPC_EXCL)
		return -EEXIST;
	if (arg[1] > at(process, i)->bytes)
		return -EINVAL;
	return allows(process, at(process, i), flags) ? -EACCES : id_of(process, i);
}

/* Where it is to be attached: an address or -errno. */
static int64_t place(struct mf_process *process, uint64_t address, uint64_t bytes, uint32_t flags)
{
	int64_t start;

	if (address % MF_PAGE && !(flags & SHM_RND))
		return -EINVAL;
	address &= ~(uint64_t)(MF_PAGE - 1);
	if (!address && flags & SHM_REMAP)
		return -EINVAL;
	if (!mf_space_allows(process, bytes, false))
		return -ENOMEM;
	if (!address)
		return mf_memory_place(process, 0, bytes, 0);
	start = mf_memory_place(process, address, bytes,
				flags & SHM_REMAP ? MAP_FIXED : MAP_FIXED_NOREPLACE);
	return start == -EEXIST ? -EINVAL : start;
}

int64_t mf_sys_shmat(struct mf_process *process, const uint64_t arg[6])
{
	uint32_t flags = (uint32_t)arg[2];
	bool writes = !(flags & SHM_RDONLY);
	struct mf_vma vma = {.prot = PROT_READ, .flags = MF_VMA_IS_SHARED};
	int i = find(process, arg[0]);
	int64_t start;
	int ret;

	if (i < 0)
		return i;
	ret = allows(process, at(process, (uint32_t)i),
		     (writes ? 6u : 4u) | (flags & SHM_EXEC ? 1u : 0));
	if (ret)
		return ret;
	vma.end = mf_memory_round_up(at(process, (uint32_t)i)->bytes);
	start = place(process, arg[1], vma.end, flags);
	if (start < 0)
		return start;
	vma.start = (uint64_t)start;
	vma.end += vma.start;
	vma.file = (uint16_t)at(process, (uint32_t)i)->file;
	if (writes) {
		vma.prot |= PROT_WRITE;
		vma.flags |= MF_VMA_MAY_WRITE;
	}
	if (flags & SHM_EXEC)
		vma.prot |= PROT_EXEC;
	ret = mf_filemap_itself(process, vma);
	if (ret)
		return -ENOMEM;
	MF_DIRTY(process, segments[i].attached_s) = time(NULL);
	MF_DIRTY(process, segments[i].last_pid) = MF_GUEST_PID;
	return start;
}

/* The segment of which the range is a part, attached at `address`; or -EINVAL. */
static int segment_of(const struct mf_process *process, const struct mf_vma *vma, uint64_t address)
{
	uint32_t i;

	if (!vma->file || vma->start - address != vma->offset)
		return -EINVAL;
	for (i = 0; i < MF_SEGMENTS; i++)
		if (at(process, i)->file == vma->file)
			return (int)i;
	return -EINVAL;
}

/* The attachment that begins at `address`: all of it that is left. */
int64_t mf_sys_shmdt(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_vma *vma = mf_vma_from(process, arg[0]);
	int i = -EINVAL;
	uint64_t end;
	uint16_t file;

	/* The first part may have been unmapped. */
	while (vma && (i = segment_of(process, vma, arg[0])) < 0)
		vma = mf_vma_from(process, vma->end);
	if (i < 0 || arg[0] % MF_PAGE)
		return -EINVAL;
	file = vma->file;
	end = arg[0] + mf_memory_round_up(at(process, (uint32_t)i)->bytes);
	while (vma && vma->start < end) {
		uint64_t from = vma->start, to = vma->end;

		if (vma->file == file && vma->offset == from - arg[0] &&
		    mf_memory_unmap(process, from, to - from))
			return -ENOMEM;
		vma = mf_vma_from(process, to);
	}
	MF_DIRTY(process, segments[i].detached_s) = time(NULL);
	MF_DIRTY(process, segments[i].last_pid) = MF_GUEST_PID;
	sweep(process);
	return 0;
}

static int64_t tell(struct mf_process *process, uint32_t i, uint64_t to)
{
	const struct mf_segment *segment = at(process, i);
	struct shmid_ds ds = {
		.shm_perm = {.__key = segment->key,
			     .uid = segment->uid,
			     .gid = segment->gid,
			     .cuid = segment->creator_uid,
			     .cgid = segment->creator_gid,
			     .mode = (unsigned short)(segment->mode |
						      (segment->removed ? SHM_DEST : 0)),
			     .__seq = (unsigned short)segment->sequence},
		.shm_segsz = segment->bytes,
		.shm_atime = segment->attached_s,
		.shm_dtime = segment->detached_s,
		.shm_ctime = segment->changed_s,
		.shm_cpid = MF_GUEST_PID,
		.shm_lpid = (pid_t)segment->last_pid,
		.shm_nattch = attached(process, segment),
	};

	if (allows(process, segment, 4))
		return -EACCES;
	return mf_guest_write(process, to, &ds, sizeof(ds)) ? -EFAULT : 0;
}

static bool is_owner(const struct mf_process *process, const struct mf_segment *segment)
{
	uint32_t uid = mf_linux(process)->ids.uid[MF_ID_EFFECTIVE];

	return !uid || uid == segment->uid || uid == segment->creator_uid;
}

static int64_t change(struct mf_process *process, uint32_t i, uint64_t from)
{
	struct mf_segment *segment;
	struct shmid_ds ds;

	if (mf_guest_read(process, from, &ds, sizeof(ds)))
		return -EFAULT;
	if (!is_owner(process, at(process, i)))
		return -EPERM;
	segment = &MF_DIRTY(process, segments[i]);
	segment->uid = ds.shm_perm.uid;
	segment->gid = ds.shm_perm.gid;
	segment->mode = ds.shm_perm.mode & 0777u;
	segment->changed_s = time(NULL);
	return 0;
}

static int64_t remove_it(struct mf_process *process, uint32_t i)
{
	if (!is_owner(process, at(process, i)))
		return -EPERM;
	MF_DIRTY(process, segments[i].removed) = 1;
	MF_DIRTY(process, segments[i].key) = IPC_PRIVATE;
	sweep(process);
	return 0;
}

int64_t mf_sys_shmctl(struct mf_process *process, const uint64_t arg[6])
{
	int i;

	sweep(process);
	i = find(process, arg[0]);
	if (i < 0)
		return i;
	switch ((uint32_t)arg[1]) {
	case IPC_STAT:
		return tell(process, (uint32_t)i, arg[2]);
	case IPC_SET:
		return change(process, (uint32_t)i, arg[2]);
	case IPC_RMID:
		return remove_it(process, (uint32_t)i);
	case SHM_LOCK: /* the host may swap it */
		return -EPERM;
	case SHM_UNLOCK:
		return 0;
	default:
		return -EINVAL;
	}
}
