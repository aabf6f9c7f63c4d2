/* SPDX-License-Identifier: MIT */
/*
 * The Linux state of a guest program: plain data in the VM's arena, no pointers, so that reset,
 * delta and snapshot carry it with the pages. Change it only behind MF_DIRTY().
 */
#ifndef MF_ENGINE_LINUX_STATE_H
#define MF_ENGINE_LINUX_STATE_H

#include <linux/kvm.h>
#include <stdint.h>

#define MF_THREADS   1024u
#define MF_VMAS      16384u
#define MF_FDS       4096u /* the most descriptors that a program may be allowed */
#define MF_FDS_USUAL 1024u /* that it has when nothing is said */
#define MF_DIRS      64u   /* directories open at a time */
#define MF_SIGNALS   65u
#define MF_PATH_MAX  1024u
#define MF_AUX_WORDS 48u
#define MF_SIGQUEUE  1280u /* signals that wait, with what is told about each */
/* Of them real-time ones (RLIMIT_SIGPENDING); the rest is for those that must not fail. */
#define MF_SIGQUEUE_MAX 1024u
#define MF_LIMITS       16u  /* RLIM_NLIMITS */
#define MF_GROUPS       64u  /* supplementary groups */
#define MF_ALARMS       128u /* timers that send signals: three intervals, then timer_create's */

/* A mapped range. The list is sorted from the top down, for new ranges come at the bottom: adding
 * one moves, and marks, little. Ranges never overlap. */
struct mf_vma {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /* of `start` in its file, bytes */
	uint16_t file;   /* index + 1 of its open file description, which it holds; 0: anonymous */
	uint16_t slot;   /* number + 1 of the file map (struct mf_file_map) that its pages are; 0:
			    its pages are its own */
	uint8_t prot;    /* PROT_* */
	uint8_t kind;    /* enum mf_vma_kind */
	uint16_t flags;  /* MF_VMA_IS_* */
};

#define MF_VMA_IS_SHARED    1u  /* MAP_SHARED */
#define MF_VMA_IS_NORESERVE 2u  /* promises nothing: not counted */
#define MF_VMA_IS_LOCKED    4u  /* mlock */
#define MF_VMA_MAY_WRITE    8u  /* its file was opened for reading and writing */
#define MF_VMA_IS_GROWING   16u /* MAP_GROWSDOWN */
#define MF_VMA_IS_PROGRAM   32u /* the program's own segment, though its pages are its file's */
#define MF_VMA_FLAGS        63u

enum mf_vma_kind {
	MF_VMA_PROGRAM = 1,
	MF_VMA_HEAP,
	MF_VMA_STACK,       /* grows down by faults */
	MF_VMA_MMAP,        /* pages come at the first touch, of zeros or of its file's bytes */
	MF_VMA_FILE,        /* read-only, straight from a file's page cache */
	MF_VMA_SHARED,      /* a file's own pages, for reading and writing */
	MF_VMA_WINDOW,      /* shared with somebody outside; stays where it is */
	MF_VMA_TRAMPOLINES, /* where system calls of an image's program jump to: patch.h */
};

enum mf_fd_kind {
	MF_FD_FREE = 0,
	MF_FD_STDIO,    /* the engine's own stdin/stdout/stderr, unless a FILE or CHAR says all
			   of it; `host` = 0, 1 or 2 */
	MF_FD_FILE,     /* host descriptor of a regular file; the offset is kept here */
	MF_FD_DIR,      /* host descriptor of a directory */
	MF_FD_CHAR,     /* /dev/null, /dev/zero, /dev/urandom: `host` is one of enum mf_char */
	MF_FD_PIPE,     /* an end of pipes[object] */
	MF_FD_EVENTFD,  /* `offset` is the counter; `object` 1: a semaphore */
	MF_FD_TIMERFD,  /* timers[index of the description] */
	MF_FD_EPOLL,    /* epolls[index of the description] */
	MF_FD_SIGNALFD, /* `offset` is the set of signals */
	MF_FD_SOCKET,
	MF_FD_PROC,       /* made-up text: files of /proc */
	MF_FD_INOTIFY,    /* of a program that is never frozen: the host's */
	MF_FD_LISTENER,   /* listeners[object], a stream socket without a host's that may listen */
	MF_FD_CONNECTION, /* connections[object], what such a one has accepted */
	MF_FD_KINDS
};

enum mf_fd_mark {
	MF_FD_IS_MEMFD = 1,  /* FILE: has no name; `object` pages of it are counted */
	MF_FD_IS_SHM = 4,    /* besides: of /dev/shm; `object` is the description that counts */
	MF_FD_IS_STREAM = 2, /* FILE: a standard stream; others share its position, which is the
				host's, and `offset` means nothing */
};

enum mf_char {
	MF_CHAR_NULL,
	MF_CHAR_ZERO,
	MF_CHAR_RANDOM,
	MF_CHAR_URANDOM,
	MF_CHAR_FULL,
};

/* An open file description: descriptors that were made by dup share one. */
struct mf_fd {
	uint8_t kind;     /* enum mf_fd_kind */
	uint8_t marks;    /* enum mf_fd_mark */
	uint16_t dir;     /* MF_FD_DIR: its name is dirs[dir] */
	int32_t host;     /* host descriptor, or as the kind says; -1: none */
	uint32_t flags;   /* O_* status flags; O_APPEND and O_NONBLOCK are here only, not on the
			     host's */
	uint32_t users;   /* descriptors that refer to it, and whoever else holds it; 0 = free */
	uint64_t offset;  /* FILE: bytes; DIR: the host's cookie of the next entry; or as the kind
			     says */
	uint32_t object;  /* as the kind says */
	uint32_t watches; /* epoll's first item on it + 1; 0: none (engine/linux/watch.h) */
};

/* A descriptor: index + 1 of its description, and close-on-exec. 0 = not open. */
#define MF_FD_SLOT_INDEX   0x7fffu
#define MF_FD_SLOT_CLOEXEC 0x8000u

/* Descriptors and descriptions by the chunk: the first ones share the state's first page. */
#define MF_FD_CHUNK 64u
struct mf_fd_chunk {
	uint16_t slots[MF_FD_CHUNK];
	struct mf_fd fds[MF_FD_CHUNK];
};

/* Where an item stands in a list: its neighbours + 1; 0: none. */
struct mf_link {
	uint32_t next;
	uint32_t prev;
};

#define MF_EPOLL_ITEMS 16384u /* of all epolls together */

/* A descriptor that an epoll watches (engine/linux/watch.h). */
struct mf_epoll_item {
	uint32_t epoll; /* descriptions, by index */
	uint32_t target;
	int32_t fd;
	uint32_t events; /* EPOLL*; without any but EPOLLET and the like: disarmed */
	uint64_t data;
	struct mf_link of_epoll;  /* all items of its epoll; or in the list of free ones */
	struct mf_link of_target; /* all items of its target */
	struct mf_link ready;
	uint32_t is_ready; /* stands in its epoll's list of those that may be ready */
	uint32_t of_host;  /* counted in items_of_host */
};

struct mf_epoll {
	uint32_t items; /* the first + 1 */
	uint32_t ready; /* the first and the last that may be ready, + 1 */
	uint32_t ready_last;
	uint32_t reserved;
};

/* Times are of its clock; UINT64_MAX: never. */
struct mf_timerfd {
	uint64_t expires_ns;
	uint64_t interval_ns;
	uint64_t ticks;       /* counted and not yet read */
	int32_t clock;        /* CLOCK_* that it runs by */
	uint32_t told;        /* who waits has been told of this expiry */
	struct mf_link armed; /* descriptions with timers that run */
};

/* A page of a pipe: a guest frame that no guest address maps. */
struct mf_pipe_slot {
	uint32_t frame; /* number of the guest frame */
	uint16_t offset;
	uint16_t bytes; /* MF_PIPE_PACKET: a packet of its own (O_DIRECT) */
};

#define MF_PIPES       2048u
#define MF_PIPE_SLOTS  256u /* 1 MiB, as much as an ordinary user may ask Linux for */
#define MF_PIPE_USUAL  16u
#define MF_PIPE_PACKET 0x8000u

/* slots[tail..head), counting on and on; in use while it has readers or writers. */
struct mf_pipe {
	uint32_t readers; /* descriptions */
	uint32_t writers;
	uint32_t capacity; /* slots, a power of two */
	uint32_t head;
	uint32_t tail;
	uint32_t spare; /* a frame at hand; 0: none */
	uint32_t watches;
	uint32_t serial; /* its inode number is made of it */
	struct mf_pipe_slot slots[MF_PIPE_SLOTS];
};

struct mf_sigaction {
	uint64_t handler; /* 0 SIG_DFL, 1 SIG_IGN */
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

/* What a handler is told of a signal: the kernel's siginfo, of which the program sees 128 bytes. */
struct mf_siginfo {
	int32_t signo;
	int32_t error;
	int32_t code; /* SI_*, SEGV_*, ... */
	int32_t reserved;
	union {
		struct {
			int32_t pid;
			uint32_t uid;
			uint64_t value; /* sigval of SI_QUEUE */
		} sent;
		struct {
			int32_t id;
			int32_t overrun;
			uint64_t value;
		} timer;
		uint64_t address; /* of a fault */
		uint64_t words[4];
	};
};

/* A signal that waits: of one number for one receiver, the lowest `order` is the first. */
struct mf_sigqueue {
	uint64_t order;  /* 0: free */
	uint32_t thread; /* index + 1; 0: the process */
	uint32_t timer;  /* index + 1 of the timer that sent it; 0: none */
	struct mf_siginfo info;
};

/* What the process' record locks on one file are made through (engine/linux/filelock.h). */
#define MF_LOCKS 64u
struct mf_lock {
	uint64_t device;
	uint64_t inode;
	int32_t host; /* host descriptor */
	uint32_t used;
};

/* A timer that sends a signal. */
struct mf_alarm {
	uint8_t used;
	uint8_t notify;  /* SIGEV_* */
	uint16_t thread; /* index of the one that is told, if tid is one */
	uint32_t tid;    /* 0: the process is told */
	int32_t clock;
	int32_t signo;
	uint64_t expires_ns;  /* as its clock counts; UINT64_MAX: it does not run */
	uint64_t interval_ns; /* 0: once */
	uint64_t value;
	int32_t overrun;      /* times that it has run out beside the one that is told */
	int32_t overrun_last; /* as it was told last */
};

/* What a parked call waits for; whichever comes first. The call is then made again. */
struct mf_wait {
	uint64_t until_ns; /* CLOCK_MONOTONIC; UINT64_MAX: no limit */
	uint64_t object;   /* something inside this VM that will be woken (mf_wait_wake); 0: none */
	int32_t fd;        /* host descriptor; -1: none */
	int16_t events;    /* POLL* */
	uint8_t many;      /* waits for several host descriptors: engine/linux/hosts.h has them */
	uint8_t listens;   /* poll, select: for the listener that gets the connections, too */
};

/* Registers of a thread that is not on the vCPU, as ring 3 has them; its XSAVE area is xsaves[]. */
struct mf_context {
	struct kvm_regs regs;
	uint64_t fs_base;
	uint64_t gs_base;
};

enum mf_thread_state {
	MF_THREAD_FREE = 0,
	MF_THREAD_RUNNABLE, /* on the vCPU, or could be */
	MF_THREAD_PARKED,   /* its call waits for `wait` */
};

enum mf_futex_state {
	MF_FUTEX_NONE = 0,
	MF_FUTEX_QUEUED, /* stands in futexes[] */
	MF_FUTEX_WOKEN,  /* somebody woke it: its call returns 0 */
};

/* `state` is changed by engine/linux/sched.h alone: the sets below say the same. */
struct mf_thread {
	uint32_t tid;
	uint8_t state;        /* enum mf_thread_state */
	uint8_t call_pending; /* its system call is made again when it runs next */
	uint8_t mask_kept;    /* its call has put a mask of its own in place of sigmask_kept */
	uint8_t futex;        /* enum mf_futex_state */
	uint8_t policy;       /* SCHED_OTHER, SCHED_BATCH, SCHED_IDLE: told, and no more */
	uint8_t reserved[3];
	int32_t nice; /* told, and no more */
	struct mf_wait wait;
	uint64_t call_until_ns; /* when the call in progress times out (CLOCK_MONOTONIC); 0: not
				   set */
	uint64_t call_done; /* bytes that the call in progress has moved before it had to wait */
	uint64_t clear_child_tid;
	uint64_t robust_list;
	uint64_t sigmask;
	uint64_t sigmask_kept;
	uint64_t sigpending; /* sent to this thread, and not taken yet: one bit a signal */
	uint64_t altstack_sp;
	uint64_t altstack_size;
	uint32_t altstack_flags; /* SS_*, as they were set */
	uint32_t fault_vector;   /* the last exception of the thread, as frames tell it */
	uint64_t fault_error;
	uint64_t fault_address;
	uint64_t cpu_ns;           /* used until it left the vCPU last */
	char name[16];             /* prctl(PR_SET_NAME) */
	struct mf_context context; /* while it is not on the vCPU */
};

/* One bit a thread. */
struct mf_thread_set {
	uint64_t bits[MF_THREADS / 64];
};

/* A thread that sleeps on a futex; all of them stand in the order in which they came. */
struct mf_futex_waiter {
	uint64_t key; /* its address */
	uint32_t bits;
	uint16_t thread;
	uint16_t pi; /* waits to own it (FUTEX_LOCK_PI) */
};

/* A Unix socket that was bound: its path as the guest gave it, and as the host was told. */
struct mf_socket_name {
	char guest[108];
	char host[108];
};

#define MF_SOCKET_NAMES 64u /* the last ones */

/* A description on its way through a pair of sockets, which carries an empty file of the host's for
 * it: inode 0: none. */
struct mf_socket_token {
	uint64_t device;
	uint64_t inode;
	uint32_t description;
	uint32_t reserved;
};

#define MF_SOCKET_TOKENS 256u

/* A name in /dev/shm, which holds the description of its file (engine/linux/shm.h). */
struct mf_shm {
	char name[252]; /* empty: free */
	uint32_t file;  /* description, by index */
};

#define MF_SHM_NAMES 64u

/* A segment of System V shared memory (engine/linux/segment.h). */
struct mf_segment {
	uint32_t file; /* index + 1 of its file's description, which it holds; 0: free */
	uint32_t sequence;
	int32_t key;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t creator_uid;
	uint32_t creator_gid;
	uint32_t removed; /* gone when nothing is attached any more */
	uint32_t last_pid;
	uint64_t bytes;
	int64_t attached_s;
	int64_t detached_s;
	int64_t changed_s;
};

#define MF_SEGMENTS 32u

/* Of a resource (RLIMIT_*); UINT64_MAX: none. */
struct mf_limit {
	uint64_t soft;
	uint64_t hard;
};

/* An address of a socket that has no host's, as the program is told it. */
struct mf_listener_name {
	uint64_t bytes; /* 0: none. Wide for what is behind it: aligned as an address is */
	uint8_t address[110];
	uint8_t reserved[2];
};

/* What was set of its options: of those never set, the usual value is told. */
#define MF_SOCKET_SETTINGS 16u
struct mf_socket_setting {
	uint16_t option; /* place in the list of engine/linux/connection_option.c */
	uint16_t bytes;
	uint8_t value[16];
};

struct mf_socket_settings {
	uint32_t count;
	uint32_t reserved;
	struct mf_socket_setting list[MF_SOCKET_SETTINGS];
};

/* Bytes on their way in one direction: a ring of guest frames that no guest address maps. */
#define MF_STREAM_PAGES 32u
struct mf_stream {
	uint64_t put;   /* bytes that ever went in; both are 0 again when it is empty */
	uint64_t taken; /* bytes that ever came out */
	uint32_t frames[MF_STREAM_PAGES]; /* by number; 0: not needed yet */
};

enum mf_connection_mark {
	MF_CONNECTION_ACCEPTED = 1,    /* the program has had it */
	MF_CONNECTION_CLIENT = 2,      /* nothing more comes in */
	MF_CONNECTION_RESET = 4,       /* and nothing goes out */
	MF_CONNECTION_SHUT_READ = 8,   /* the program reads no more */
	MF_CONNECTION_SHUT_WRITE = 16, /* the program writes no more */
	MF_CONNECTION_FULL = 32,       /* it has met a full buffer: it is to be told of room */
	MF_CONNECTION_BEGUN = 128,     /* connect() has not been told yet that it is there */
	MF_CONNECTION_ABORT = 64,      /* the program has thrown it away (SO_LINGER of 0) */
	MF_CONNECTION_STORE = 256,     /* the program's, to its store: the role has the other end */
	MF_CONNECTION_WANTED = 512,    /* the role has more for it: it is to be told of room */
};

/*
 * A connection of which this VM has one end, or both: `peer`. What the program sends then lies in
 * the peer's `input`; else in `output`, until the role takes it.
 */
struct mf_connection {
	uint8_t of_program; /* it waits at its listener, or has a description */
	uint8_t of_role;    /* the role has its other end */
	uint8_t reserved[2];
	uint32_t marks;       /* enum mf_connection_mark */
	int32_t error;        /* SO_ERROR */
	uint32_t description; /* index + 1; 0: none yet, or none any more */
	uint32_t word;        /* of one to the store: what the store keeps with it */
	uint32_t peer;        /* index + 1 */
	uint32_t next;        /* waits at its listener: the one behind it, + 1 */
	uint32_t reserved2;
	struct mf_stream input;
	struct mf_stream output;
	struct mf_listener_name own;
	struct mf_listener_name other;
	struct mf_socket_settings settings;
};

#define MF_CONNECTIONS 64u

enum mf_listener_state {
	MF_LISTENER_FREE = 0,
	MF_LISTENER_NEW, /* a stream socket that does not listen yet: it may connect, too */
	MF_LISTENER_LISTENS,
};

struct mf_guest_listener {
	uint8_t state; /* enum mf_listener_state */
	uint8_t reserved[3];
	uint32_t first; /* connections that wait, + 1; 0: none */
	uint32_t last;
	uint32_t description; /* index + 1 */
	struct mf_listener_name name;
	struct mf_socket_settings settings;
};

#define MF_LISTENERS 256u

enum mf_id {
	MF_ID_REAL,
	MF_ID_EFFECTIVE,
	MF_ID_SAVED,
	MF_ID_FILES, /* as whom files are reached */
	MF_IDS,
};

/* Who the program is (engine/linux/credentials.h). */
struct mf_ids {
	uint32_t uid[MF_IDS];
	uint32_t gid[MF_IDS];
	uint32_t permitted; /* capabilities, a bit each: of CAP_CHOWN, CAP_SETGID, CAP_SETUID */
	uint32_t effective;
	uint32_t engine_uid; /* as whom the engine ran that started it */
	uint32_t engine_gid;
	uint32_t changed; /* is not what it began as: file calls are made as who it is now */
	uint32_t group_count;
	uint32_t groups[MF_GROUPS]; /* sorted */
};

struct mf_linux {
	/* memory */
	uint64_t brk_start;
	uint64_t brk;
	uint64_t stack_low; /* lowest mapped address of the stack */
	uint64_t stack_end; /* nothing else is put from here to its top */
	uint32_t vma_count;
	uint32_t lock_future; /* mlockall(MCL_FUTURE) */
	/* process */
	uint32_t umask;
	struct mf_ids ids;
	uint64_t sigpending; /* sent to the process, and not taken yet: any thread's */
	uint32_t exited;     /* exit_group was called */
	int32_t exit_status;
	uint32_t exit_signal;
	uint32_t current;      /* index of the thread on the vCPU */
	uint32_t threads_high; /* entries of threads[] from here on were never used */
	uint32_t thread_count; /* alive */
	uint32_t fds_high;     /* descriptions from here on were never used */
	uint32_t last_tid;     /* given to a thread last; 0: none was made */
	struct mf_thread_set runnable;
	struct mf_thread_set outside; /* parked, and the host's time or descriptors may wake them */
	struct mf_thread_set inside;  /* parked, and others of this VM may wake them */
	uint32_t futex_count;
	uint32_t membarriers;             /* MEMBARRIER_CMD_* that it has registered for */
	uint64_t fd_numbers[MF_FDS / 64]; /* one bit a descriptor that is open */
	uint64_t fd_taken[MF_FDS / 64];   /* one bit a description in use */
	struct mf_fd_chunk fd_chunks[MF_FDS / MF_FD_CHUNK];
	struct mf_pipe pipes[MF_PIPES];
	uint64_t pipes_taken[MF_PIPES / 64];
	uint32_t pipes_made;
	uint32_t timers_armed;            /* the first timer that runs + 1 */
	struct mf_epoll epolls[MF_FDS];   /* by the index of the description */
	struct mf_timerfd timers[MF_FDS]; /* likewise */
	uint32_t items_free;              /* the first + 1 */
	uint32_t items_high;              /* items from here on were never used */
	uint32_t items_of_host;           /* items whose target's readiness the host knows */
	uint32_t socket_names_made;
	struct mf_epoll_item items[MF_EPOLL_ITEMS];
	struct mf_socket_name socket_names[MF_SOCKET_NAMES];
	struct mf_socket_token socket_tokens[MF_SOCKET_TOKENS];
	struct mf_shm shm[MF_SHM_NAMES];
	struct mf_segment segments[MF_SEGMENTS];
	uint32_t door; /* the listener that gets the role's connections, by index + 1; 0: none */
	uint32_t ports_given; /* to those that asked for any */
	struct mf_connection connections[MF_CONNECTIONS];
	struct mf_guest_listener listeners[MF_LISTENERS];
	char cwd[MF_PATH_MAX];
	/* the program, as /proc/self tells of it */
	char exe[MF_PATH_MAX]; /* absolute */
	uint64_t arg_start;    /* the arguments' strings, one after the other */
	uint64_t arg_end;
	uint64_t env_start;
	uint64_t env_end;
	uint64_t random_at;                /* the 16 bytes of AT_RANDOM */
	uint64_t auxv[MF_AUX_WORDS];       /* ends with AT_NULL */
	struct mf_limit limits[MF_LIMITS]; /* as set; that of CPU time stands below */
	uint64_t cpu_soft_ns; /* RLIMIT_CPU as the program has set it: SIGXCPU; 0: none */
	uint64_t cpu_hard_ns; /* SIGKILL; 0: none of its own */
	uint64_t alarms_armed[MF_ALARMS / 64]; /* one bit a timer that runs */
	struct mf_sigaction sigactions[MF_SIGNALS];
	uint64_t sigqueue_order; /* of the last signal that was queued */
	uint32_t sigqueue_high;  /* entries of sigqueue[] from here on are free */
	uint32_t sigqueue_used;
	uint32_t signalfds; /* descriptions of that kind */
	uint32_t told;      /* what prctl has set and is told (engine/linux/misc.c) */
	struct mf_vma vmas[MF_VMAS];
	char dirs[MF_DIRS][MF_PATH_MAX]; /* absolute names of open directories; empty = free */
	struct mf_sigqueue sigqueue[MF_SIGQUEUE];
	struct mf_alarm alarms[MF_ALARMS];
	struct mf_futex_waiter futexes[MF_THREADS];
	uint32_t locks_high; /* locks[] from here on were never used */
	uint32_t reserved4;
	struct mf_lock locks[MF_LOCKS];
	struct mf_thread threads[MF_THREADS];
	struct kvm_xsave xsaves[MF_THREADS]; /* of threads that are not on the vCPU */
};

#endif
