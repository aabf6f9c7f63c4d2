/* SPDX-License-Identifier: MIT */
/*
 * Descriptors and open file descriptions. What a description is, is its kind's table of operations
 * (struct mf_fd_ops): the calls of io.c, fdcalls.c, poll.c, epoll.c and stat.c know no kinds. A
 * description may have a host descriptor; the ones that the image has belong to the image and are
 * never closed by a fork. Everything else that a kind keeps is plain data in the arena, so that it
 * forks and resets with the pages.
 */
#ifndef MF_ENGINE_LINUX_FD_H
#define MF_ENGINE_LINUX_FD_H

#include "engine/linux/syscall.h"

struct mf_cursor; /* engine/linux/guestmem.h */
struct stat;

#define MF_OWN_OFFSET (-1) /* read and write where the description stands, and move it on */

/* How one call reads or writes. */
struct mf_io {
	int64_t at;     /* where in the file, or MF_OWN_OFFSET */
	uint32_t flags; /* the description's O_* flags and what this call adds (O_NONBLOCK,
			   O_APPEND, O_DSYNC) */
};

enum mf_fd_trait {
	MF_FD_HAS_HOST = 1, /* `host` is a host descriptor and closed with the description */
	MF_FD_SEEKS = 2,    /* has an offset: pread and pwrite work; -ESPIPE without */
	MF_FD_POLLS = 4,    /* epoll takes it; -EPERM without. It is always ready then */
	MF_FD_NESTS = 8,    /* its readiness is others': look after mf_watch_poll() */
};

/* What a kind of description does. A NULL operation fails as its comment says. */
struct mf_fd_ops {
	const char *name;    /* what /proc/self/fd says; %llu stands for its inode number */
	unsigned int traits; /* enum mf_fd_trait */
	/* As the system calls: bytes, -errno, or MF_SYS_WAIT. NULL: -EINVAL. */
	int64_t (*read)(struct mf_process *process, const struct mf_fd *entry,
			struct mf_cursor *cursor, const struct mf_io *io);
	int64_t (*write)(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, const struct mf_io *io);
	/* Which of POLL* hold now. NULL: always readable and writable. */
	short (*poll)(struct mf_process *process, const struct mf_fd *entry);
	/* The host descriptor whose readiness is the description's, or -1: `poll` says it. NULL:
	   none. */
	int (*host)(const struct mf_process *process, const struct mf_fd *entry);
	/* What wakes those who wait for these events (a number for mf_wait_object). NULL:
	   mf_fd_object(). */
	uint64_t (*object)(const struct mf_process *process, const struct mf_fd *entry,
			   short events);
	/* Where the list of epoll's items on it begins. NULL: entry->watches. */
	const uint32_t *(*watches)(const struct mf_process *process, const struct mf_fd *entry);
	/* Its last user is gone. The host descriptor is closed behind it. NULL: nothing to do. */
	void (*close)(struct mf_process *process, const struct mf_fd *entry);
	/* Fill *st; a negative errno. NULL: ask the host about `host`, else an anonymous inode. */
	int (*stat)(struct mf_process *process, const struct mf_fd *entry, struct stat *st);
	/* Requests that not every descriptor has. NULL: -ENOTTY. */
	int64_t (*ioctl)(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			 uint64_t arg);
	/* A new offset, or a negative errno. NULL: -ESPIPE. */
	int64_t (*seek)(struct mf_process *process, const struct mf_fd *entry, int64_t offset,
			uint64_t whence);
	/* -EBUSY with a sentence when no fork can have one of its own. NULL: all can. */
	int (*freeze)(const struct mf_process *process, const struct mf_fd *entry,
		      struct mf_error *err);
};

extern const struct mf_fd_ops mf_stdio_ops, mf_file_ops, mf_dir_ops, mf_char_ops, mf_pipe_ops,
	mf_eventfd_ops, mf_timerfd_ops, mf_epoll_ops, mf_socket_ops, mf_system_ops, mf_signalfd_ops,
	mf_inotify_ops, mf_listener_ops, mf_connection_ops;

/* Never NULL. */
const struct mf_fd_ops *mf_fd_ops(const struct mf_fd *entry);

/* The description's place in the table: what tables beside it (epolls, timers) go by. */
uint32_t mf_fd_index(const struct mf_process *process, const struct mf_fd *entry);
const struct mf_fd *mf_fd_at(const struct mf_process *process, uint32_t index);

/* The same of a state that is not a process's: an image's. */
const struct mf_fd *mf_fd_of(const struct mf_linux *lx, uint32_t index);

/* Is it open, and `host` a host descriptor? */
bool mf_fd_has_host(const struct mf_fd *entry);

/* Is it a socket, the host's or one within this VM? */
static inline bool mf_fd_is_socket(const struct mf_fd *entry)
{
	return entry->kind == MF_FD_SOCKET || entry->kind == MF_FD_LISTENER ||
	       entry->kind == MF_FD_CONNECTION;
}

/* The same description for writing. */
struct mf_fd *mf_fd_rw(struct mf_process *process, const struct mf_fd *entry);

/* Hold a description beside the descriptors, and let it go; the last one closes it. */
void mf_fd_hold(struct mf_process *process, const struct mf_fd *entry);
void mf_fd_drop(struct mf_process *process, const struct mf_fd *entry);

/* Another descriptor for an open description, the lowest number >= from: the number or -EMFILE. */
int64_t mf_fd_share(struct mf_process *process, const struct mf_fd *entry, uint64_t from,
		    bool cloexec);

/* The same at exactly `fd`, closing what is there. -EBADF beyond RLIMIT_NOFILE. */
int64_t mf_fd_share_at(struct mf_process *process, const struct mf_fd *entry, uint64_t fd,
		       bool cloexec);

/* 0 or -EBADF. */
int64_t mf_fd_close(struct mf_process *process, uint64_t fd);

bool mf_fd_cloexec(const struct mf_process *process, uint64_t fd);
void mf_fd_set_cloexec(struct mf_process *process, uint64_t fd, bool cloexec);

/* Does the image hold this host descriptor? Then all its forks have it, and none closes it. */
bool mf_fd_of_image(const struct mf_process *process, int host);

/* The lowest number >= from that another descriptor can have, or -EMFILE. */
int64_t mf_fd_free(const struct mf_process *process, uint64_t from);

/* Is there a number for another descriptor? */
bool mf_fd_has_room(const struct mf_process *process);

/* Descriptors that the program may have now. */
uint64_t mf_fd_limit(const struct mf_process *process);

/* The lowest number >= from that is open; MF_FDS: none. */
uint32_t mf_fd_next(const struct mf_process *process, uint32_t from);

/*
 * Put a host descriptor into the table as what it is, a file or a directory; `path` is its absolute
 * name. Owns `host` in any case: the number, or -EMFILE, -ENAMETOOLONG, -EACCES when it is neither.
 */
int64_t mf_fd_install_host(struct mf_process *process, int host, int flags, const char *path);

/* The same for a directory; host -1: one that the engine makes up (engine/linux/system.h). */
int64_t mf_fd_install_dir(struct mf_process *process, int host, int flags, const char *path);

/* The name of an open directory: NULL with -EBADF or -ENOTDIR in *ret. */
const char *mf_fd_dir_path(const struct mf_process *process, uint64_t fd, int *ret);

/* The host descriptor to ask about an entry (fstat, ioctl), or -1: it has none. */
int mf_fd_host(const struct mf_process *process, const struct mf_fd *entry);

/* Has it a host descriptor that belongs to the image, and so to all its forks? */
bool mf_fd_host_is_shared(const struct mf_process *process, const struct mf_fd *entry);

/* Which of POLL* hold now, whoever knows it. */
short mf_fd_poll(struct mf_process *process, const struct mf_fd *entry);

/* What those wait for who wait for events of a description (mf_wait_object). */
uint64_t mf_fd_object(const struct mf_process *process, const struct mf_fd *entry, short events);

/*
 * Something happened to a description that makes these POLL* events true: whoever waits for it is
 * woken, and epoll told. Kinds call it after every change that could end somebody's waiting.
 */
void mf_fd_notify(struct mf_process *process, const struct mf_fd *entry, short events);

/* Would block: -EAGAIN, or a wait until one of `events` is said by mf_fd_notify(). */
int64_t mf_fd_block(struct mf_process *process, const struct mf_fd *entry, const struct mf_io *io,
		    short events);

/* Of an anonymous inode, as eventfd and its kin have one: its status, and that its offset is 0
 * whatever is sought. */
void mf_fd_stat_anon(const struct mf_process *process, struct stat *st);
int64_t mf_fd_seek_nowhere(struct mf_process *process, const struct mf_fd *entry, int64_t offset,
			   uint64_t whence);

/* SIGPIPE and -EPIPE, or MF_SYS_EXIT when the program dies of it. */
int64_t mf_fd_broken_pipe(struct mf_process *process);

#endif
