/* SPDX-License-Identifier: MIT */
/*
 * A Linux program in a VM: loading it, running it from event to event, answering its system calls.
 * The event loop of a role drives it: nothing in here blocks. One thread at a time per process,
 * except mf_vm_kick.
 */
#ifndef MF_ENGINE_LINUX_PROCESS_H
#define MF_ENGINE_LINUX_PROCESS_H

#include <stdio.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "engine/image/image.h"
#include "engine/linux/state.h"

struct mf_disk;       /* engine/linux/disk.h */
struct mf_explain;    /* engine/linux/explain.h */
struct mf_hosts;      /* engine/linux/hosts.h */
struct mf_permit;     /* engine/linux/permit.h */
struct mf_permit_net; /* engine/linux/permit_net.h */

/* Where the program's standard output goes; fd is 1 or 2. Returns bytes taken or negative errno;
 * -EAGAIN parks the program until the host descriptor of that number can be written; but what it
 * gets of a served program (listens_within) in pieces of up to 16 KiB it takes whole. */
typedef ssize_t mf_output_fn(void *cookie, int fd, const void *bytes, size_t count);

/*
 * How a disk's thread (engine/linux/disk.h) writes files: the default is the host's calls. A door
 * may look at, hold back or refuse each of them, and block. They return what the call would, or a
 * negative errno. `durable`: the write is to be on the disk before it returns.
 */
struct mf_file_door {
	ssize_t (*write)(void *cookie, int fd, const struct iovec *pieces, int count,
			 uint64_t offset, int rwf_flags, bool durable);
	int (*truncate)(void *cookie, int fd, uint64_t bytes);
	int (*sync)(void *cookie, int fd, bool data_only);
	void *cookie;
};

#define MF_WINDOWS 14u

/* Memory that a program shares with somebody outside. */
struct mf_window {
	uint64_t va;
	uint64_t bytes; /* 0: none */
	int fd;         /* -1: opened in each fork by the role */
	uint64_t offset;
	bool view; /* for reading only */
};

/* Unix sockets of the engine itself, which no program may connect to. */
#define MF_OWN_SOCKETS 8u
struct mf_own_sockets {
	struct {
		uint64_t device;
		uint64_t inode;
	} files[MF_OWN_SOCKETS];
	unsigned int count;
};

/* What a program may use; shared by all forks, immutable while they run. */
struct mf_policy {
	const struct mf_permit *permit;  /* files; NULL = none */
	const struct mf_permit_net *net; /* addresses; NULL = none */
	struct mf_own_sockets own_sockets;
	mf_output_fn *output; /* NULL = discarded */
	void *output_cookie;
	int stdin_fd;       /* -1: reads end of file */
	bool stdio_is_host; /* stdin/stdout/stderr may be asked about as the host's (tty, fstat) */
	uint64_t ignored;   /* signals that a program ignores from the start (MF_SIGBIT) */
	uint32_t umask;     /* + 1: that a program begins with; 0: the usual 022 */
	FILE *trace;        /* --trace-syscalls; NULL = off */
	struct mf_explain *explain; /* --explain; NULL = off */
	uint64_t output_limit;      /* bytes that one run may print; 0 = no limit */
	uint64_t cpu_limit_ns;      /* CPU time that one run or request may use; 0 = no limit */
	uint32_t files_limit; /* descriptors that a program may have, at most MF_FDS; 0 = the usual
			       */
	int host_fd_end;  /* programs get no host descriptor from this number on; 0 = no bound */
	uint32_t threads; /* that a program may have; 0 = MF_THREADS */
	bool no_patch;    /* system calls of an image's program stay as they are: patch.h */
	bool no_fast;     /* every call is the engine's; tests only */
	bool patch;       /* they become jumps, also where that gains little */
	uint64_t private_pages; /* pages that a fork may hold privately; 0 = no limit */
	struct mf_disk
		*disk;      /* does what waits for the disk, beside the vCPU; NULL: nothing does */
	bool channel_parks; /* a thread that waits for its channel leaves the vCPU to others */
	struct mf_window windows[MF_WINDOWS];
	bool fetches;        /* the role makes HTTP requests for it (MF_CALL_FETCH) */
	bool listens_within; /* what it listens at takes no address of the host: the role hands it
				its connections (engine/linux/connection.h) */
	bool has_store; /* with `listens_within`: connections to the store are the role's, too */
	const char *listens_at; /* at this address, "PORT", "HOST:PORT" or "unix:PATH"; NULL: where
				   it listens first */
};

enum mf_exit_kind {
	MF_EXIT_READY = 1,    /* MF_CALL_READY: at its ready point, or a response and ready again */
	MF_EXIT_RESPOND,      /* MF_CALL_RESPOND */
	MF_EXIT_RETURN,       /* MF_CALL_RETURN; value in RDI */
	MF_EXIT_LOG,          /* MF_CALL_LOG */
	MF_EXIT_CHANNEL_WAIT, /* MF_CALL_CHANNEL_WAIT, of a program that has windows; with
				 channel_parks it is answered, and others may run on */
	MF_EXIT_CHANNEL_WAKE, /* MF_CALL_CHANNEL_WAKE, likewise */
	MF_EXIT_FETCH,        /* MF_CALL_FETCH, where the policy says so */
	MF_EXIT_CONNECTION, /* a connection of the role's has output, or has ended; which ones says
			     * `news` */
	MF_EXIT_WAIT, /* all threads are parked: wait for wait_fd/wait_events or wait_until_ns, then
			 run again */
	MF_EXIT_KICKED,   /* mf_vm_kick; reasons in `kicks` */
	MF_EXIT_EXITED,   /* exit of the last thread, or exit_group; status */
	MF_EXIT_SIGNALED, /* died of a signal */
	MF_EXIT_CRASHED,  /* did something to the machine that no program does; the vCPU is unclean
			   */
};

#define MF_NEWS_CLIENT 1u /* one that the role has opened */
#define MF_NEWS_STORE  2u /* one of the program's to its store */

struct mf_exit {
	enum mf_exit_kind kind;
	int status;      /* EXITED: 0..255; SIGNALED: signal number */
	uint32_t kicks;  /* KICKED */
	uint64_t arg[3]; /* calls: RDI, RSI, RDX */
	uint32_t news;   /* CONNECTION: MF_NEWS_* */
	int wait_fd;     /* WAIT: -1 = only the time */
	short wait_events;
	uint64_t wait_until_ns; /* the host's CLOCK_MONOTONIC; UINT64_MAX = no limit */
	char text[160];         /* SIGNALED, CRASHED: what happened, for people */
};

/* Whose turn it is: engine/linux/sched.c. Starts anew with every fork and reset. */
struct mf_turn {
	bool over;       /* another thread's turn, if any can run */
	bool armed;      /* it ends at vm.turn_end_ns at the latest */
	bool out_of_row; /* the thread on the vCPU came first because it had waited for the host */
	uint32_t row;    /* the last thread that had its turn in the row */
	uint32_t woken;  /* index + 1 of one that the host woke; 0: none */
	uint64_t cpu_ns; /* CPU time of the program when this turn began */
	uint64_t end_ns; /* others can run, and have waited for this turn to end since it was armed
			  * first, in this run or one before; VM's clock; 0: they have not */
};

struct mf_process {
	struct mf_vm vm;
	const struct mf_policy *policy;
	uint64_t output_bytes; /* printed in this run */
	uint64_t cpu_ns;       /* time spent in earlier runs since fork or reset: its CPU time */
	uint64_t
		cpu_from_ns; /* CPU time when the request began: what is limited counts from here */
	uint64_t entered_ns; /* when this run began, in CPU time of its thread */
	uint64_t syscalls;   /* handled by the engine */
	int host_epoll;      /* see watch.h; + 1, 0: none */
	bool renew;          /* not entered since fork or reset: see renew.h */
	bool out_of_cpu;     /* killed at the limit of its CPU time */
	bool out_of_memory;  /* a call was refused for want of guest memory */
	uint8_t connection_news; /* MF_EXIT_CONNECTION is due: MF_NEWS_* */
	bool channel_parked;     /* atomic; a thread waits for the channels: mf_process_news() */
	bool channel_news;       /* atomic; it is to look */
	struct mf_turn turn;
	struct mf_hosts *hosts; /* owned; NULL until threads wait for several descriptors */
};

/* Run until something happens that the role must know of. */
void mf_process_run(struct mf_process *process, struct mf_exit *exit);

/*
 * There may be something in the channels of a program whose policy says channel_parks: who waits
 * there looks, in this run when it is told of it (true: kick it with MF_KICK_TURN), else in the
 * next. Any thread.
 */
bool mf_process_news(struct mf_process *process);

/* Could a thread run on at once? Only between two runs. */
bool mf_process_can_run(const struct mf_process *process);

/* Do all its threads wait, as far as anybody has looked? Some may have waited for a time that has
 * come since, or for the host. */
bool mf_process_waits(const struct mf_process *process);

/* A LOG call: one line, with its level, to where the program's stderr goes; the call is answered.
 */
void mf_process_log(struct mf_process *process, const struct mf_exit *exit);

/* Freeze at the ready point; the process is finished either way. -EBUSY when it holds something
 * that no fork can have a copy of (a pipe), with a sentence. */
int mf_process_freeze(struct mf_process *process, struct mf_image *image, struct mf_error *err);

/* Finish an image and close the files that the program held open when it was frozen. */
void mf_process_image_finish(struct mf_image *image);

int mf_process_fork(struct mf_process *process, struct mf_image *image,
		    const struct mf_policy *policy, struct mf_error *err);

/* mf_vm_reset plus the host descriptors that the image does not have. -EIO: finish it. */
int mf_process_reset(struct mf_process *process);

/* Closes what it holds. Safe on a half-built one. */
void mf_process_finish(struct mf_process *process);

static inline const struct mf_linux *mf_linux(const struct mf_process *process)
{
	return mf_mem_linux(&process->vm.mem);
}

/* An lvalue within struct mf_linux, announced as about to be written. */
#define MF_DIRTY(process, member)                                                               \
	(*({                                                                                    \
		__typeof__(&((struct mf_linux *)mf_mem_linux(&(process)->vm.mem))->member) p_ = \
			&((struct mf_linux *)mf_mem_linux(&(process)->vm.mem))->member;         \
		mf_mem_mark(&(process)->vm.mem, p_, sizeof(*p_));                               \
		p_;                                                                             \
	}))

/* The thread on the vCPU: it makes the system call that is being answered. */
static inline const struct mf_thread *mf_thread(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);

	return &lx->threads[lx->current % MF_THREADS];
}

/* An lvalue within it, announced as about to be written. */
#define MF_THREAD_DIRTY(process, member) \
	MF_DIRTY(process, threads[mf_linux(process)->current % MF_THREADS].member)

#endif
