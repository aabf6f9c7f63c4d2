/* SPDX-License-Identifier: MIT */
/* System V shared memory. Natively the keys are everybody's: only ones that are made of this
 * process. */
#include "case.h"

#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

#define KEY (0x4d460000 + (getpid() & 0xffff))

static void show_segment(int id)
{
	struct shmid_ds ds = {0};

	if (SHOW(SYS(shmctl, id, IPC_STAT, &ds)))
		return;
	say("bytes %zu mode %o attached %lu private %d mine %d last %d attach %d change %d",
	    ds.shm_segsz, ds.shm_perm.mode, (unsigned long)ds.shm_nattch,
	    ds.shm_perm.__key == IPC_PRIVATE,
	    ds.shm_perm.uid == getuid() && ds.shm_cpid == getpid(), ds.shm_lpid == getpid(),
	    ds.shm_atime != 0, ds.shm_ctime != 0);
}

CASE(a_segment_is_shared, shmget, shmat, shmdt, shmctl)
{
	int id = (int)SYS(shmget, IPC_PRIVATE, 5000, IPC_CREAT | 0600);
	char *one, *two;

	say("made %d", id >= 0);
	show_segment(id);
	one = (char *)SYS(shmat, id, NULL, 0);
	two = (char *)SYS(shmat, id, NULL, SHM_RDONLY);
	say("attached %d %d", one != (void *)-1, two != (void *)-1 && two != one);
	show_bytes("empty", one, 4);
	strcpy(one + 4996, "end");
	show_bytes("seen", two + 4996, 4);
	show_segment(id);
	SHOW(SYS(mprotect, two, 4096, PROT_READ | PROT_WRITE));
	SHOW(SYS(shmdt, two));
	SHOW(SYS(shmdt, two));
	SHOW(SYS(shmdt, one + 4096));
	show_segment(id);
	SHOW(SYS(shmdt, one));
	show_segment(id);
	one = (char *)SYS(shmat, id, NULL, 0);
	show_bytes("kept", one + 4996, 4);
	SHOW(SYS(shmctl, id, IPC_RMID, NULL));
	show_segment(id);
	strcpy(one, "still there");
	show_bytes("still", one, 11);
	two = (char *)SYS(shmat, id, NULL, 0);
	show_bytes("again", two, 11);
	SHOW(SYS(shmdt, two));
	SHOW(SYS(shmdt, one));
	SHOW(SYS(shmctl, id, IPC_STAT, &one));
	SHOW(SYS(shmat, id, NULL, 0));
}

CASE(segments_have_keys, shmget, shmctl)
{
	int id = (int)SYS(shmget, KEY, 100, IPC_CREAT | IPC_EXCL | 0640);
	struct shmid_ds ds;

	say("made %d", id >= 0);
	SHOW(SYS(shmget, KEY, 100, IPC_CREAT | IPC_EXCL | 0640));
	SHOW(SYS(shmget, KEY, 100, IPC_CREAT | 0640) == id);
	SHOW(SYS(shmget, KEY, 0, 0) == id);
	SHOW(SYS(shmget, KEY, 101, 0));
	SHOW(SYS(shmget, KEY, 50, 0400) == id);
	SHOW(SYS(shmget, KEY, 50, 0100) == id);
	SHOW(SYS(shmctl, id, IPC_STAT, &ds));
	ds.shm_perm.mode = 0400;
	SHOW(SYS(shmctl, id, IPC_SET, &ds));
	show_segment(id);
	SHOW(SYS(shmat, id, NULL, 0));
	SHOW(SYS(shmctl, id, IPC_SET, NOWHERE));
	SHOW(SYS(shmctl, id, IPC_STAT, NOWHERE));
	SHOW(SYS(shmctl, id, 77, NULL));
	SHOW(SYS(shmctl, id, IPC_RMID, NULL));
	SHOW(SYS(shmget, KEY, 100, 0));
	SHOW(SYS(shmctl, id, IPC_RMID, NULL));
	SHOW(SYS(shmctl, -1, IPC_RMID, NULL));
	SHOW(SYS(shmget, IPC_PRIVATE, 0, 0600));
}

CASE(where_segments_go, shmat)
{
	int id = (int)SYS(shmget, IPC_PRIVATE, 8192, 0600);
	char *room = mmap(NULL, 1 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *there;

	SHOW(SYS(shmat, id, room, 0));
	SHOW(SYS(shmat, id, room + 5, SHM_REMAP));
	SHOW(SYS(shmat, id, NULL, SHM_REMAP));
	there = (char *)SYS(shmat, id, room + 5, SHM_REMAP | SHM_RND);
	SHOW(there == room);
	strcpy(there, "x");
	SHOW(SYS(munmap, there, 4096));
	show_segment(id);
	SHOW(SYS(shmdt, there + 4096));
	SHOW(SYS(shmdt, there));
	there = (char *)SYS(shmat, id, room, 0);
	SHOW(there == room);
	SHOW(SYS(munmap, room, 1 << 20));
	show_segment(id);
	SHOW(SYS(shmctl, id, IPC_RMID, NULL));
	SHOW(SYS(shmdt, NULL));
	SHOW(SYS(shmat, 99999999, NULL, 0));
}
