/* SPDX-License-Identifier: MIT */
/*
 * What waits for the disk is done by a thread of its own, in the order in which it was asked for,
 * so that the vCPU goes on with the program's other threads: the thread whose call it is waits
 * (MF_SYS_WAIT) and finds the result when the call is made again. At most one operation of each
 * guest thread is under way; no signal ends it early.
 */
#ifndef MF_ENGINE_LINUX_DISK_H
#define MF_ENGINE_LINUX_DISK_H

#include "engine/linux/process.h"

struct mf_disk;

/* How well it has to be known whether anything may be written. */
enum mf_disk_look {
	MF_DISK_LATELY, /* as it was some milliseconds ago */
	MF_DISK_NOW,
	MF_DISK_ANEW, /* as others see it, where a file system keeps what it has seen */
};

struct mf_disk_settings {
	/* What does it, on the disk's thread alone; outlives the disk. NULL: the host's calls. */
	const struct mf_file_door *door;
	/* Writes that need not be on the disk are its affair, too. */
	bool all_writes;
	/* May anything be written? Asked before each operation, and each write that is none; and
	 * again behind those that say that something is on the disk, which are -ECONNRESET then.
	 * 0, or the errno that it gets. Any thread. NULL: always. */
	int (*gate)(void *cookie, enum mf_disk_look look);
	/* An operation is over: from the disk's thread, with nothing locked. NULL: nobody asks. */
	void (*done)(void *cookie);
	void *cookie;
};

/* Set-up phase. -ENOMEM, -EMFILE with a sentence. */
int mf_disk_create(struct mf_disk **out, const struct mf_disk_settings *settings,
		   struct mf_error *err);

/* Start its thread. -EAGAIN with a sentence. */
int mf_disk_start(struct mf_disk *disk, struct mf_error *err);

/* NULL is fine. No program uses it any more. */
void mf_disk_destroy(struct mf_disk *disk);

/* Wait until nothing is under way, and forget all results: the program is about to be finished. May
 * take as long as the disk does. */
void mf_disk_drain(struct mf_disk *disk);

/* Readable while a result waits to be fetched. */
int mf_disk_fd(const struct mf_disk *disk);

/* Does a result wait to be fetched? Any thread. */
bool mf_disk_has_news(const struct mf_disk *disk);

/* Is an operation under way? Any thread. */
bool mf_disk_is_busy(struct mf_disk *disk);

/* Is a write of this kind an operation of the disk? */
bool mf_disk_takes(const struct mf_disk *disk, bool durable);

/* For a write that is none of its operations: 0, or the errno that it gets. No disk: 0. */
int mf_disk_gate(const struct mf_disk *disk);

/*
 * Of the thread on the vCPU: begin the operation, or fetch its result. -EINPROGRESS: it waits now.
 * The file stays open meanwhile whatever the program does; the pieces are read as late as the disk
 * comes to them. -ENOMEM, -EMFILE; else what the door says.
 */
ssize_t mf_disk_write(struct mf_process *process, int fd, const struct iovec *pieces, int count,
		      uint64_t offset, int rwf_flags, bool durable);
int mf_disk_truncate(struct mf_process *process, int fd, uint64_t bytes);
int mf_disk_sync(struct mf_process *process, int fd, bool data_only);

/* The thread on the vCPU has an operation under way, or one whose result it has not fetched. */
bool mf_disk_waits(const struct mf_process *process);

#endif
