/* SPDX-License-Identifier: MIT */
/*
 * libmayfly: run functions and requests of a Linux program, each in a virtual machine of its own
 * that is put back to the program's state in microseconds. A program is loaded once, run to the
 * point where it is ready and frozen there (an image); VMs are forked of the image, share every
 * page until they write it, and are reset to it. What a guest does can harm nothing but its own VM.
 *
 *	mf_host_open() -> mf_image_load() -> mf_image_fork() -> mf_vm_call(), again and again
 *
 * The library confines guests, not the process that it runs in: it installs no seccomp filter, no
 * Landlock rules and no resource limits (`mayfly serve` does). It needs Linux on x86-64 and access
 * to /dev/kvm, a static program, and these things of its process:
 * - signal SIGRTMIN+3 is the library's: it ends a guest that overstays. A thread may have it
 *   blocked, but its action may not be changed after mf_host_open(); a system call of a thread that
 *   just called the library may be interrupted by one (EINTR);
 * - SIGBUS: a file that a guest has mapped and somebody cuts short raises it; what is not the
 *   library's is passed to the action that stood before. Descriptors: one stays open for the
 *   process's life, three a VM;
 * - objects do not survive fork(2) of the process: only the parent may go on using them.
 *
 * Returns: functions that return int give 0 on success or a negative errno, and on failure leave
 * outputs untouched and write a sentence for people into `err`, which may be NULL. What a guest
 * does is no failure of the host: mf_vm_call() and mf_vm_request() return a positive enum mf_stop
 * for it.
 *
 * Threads: a host and an image may be used by any number of threads at once. A VM is used by one
 * thread at a time, not always the same. Every function but mf_version() and the *_default() ones
 * may block for a short while; mf_image_load(), mf_vm_call() and mf_vm_request() for as long as
 * their guest may run.
 *
 * Life: objects may be closed and destroyed in any order; what an object stands on stays until it
 * is gone.
 */
#ifndef MAYFLY_MAYFLY_H
#define MAYFLY_MAYFLY_H

#include <stddef.h>
#include <stdint.h>

#include <mayfly/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_host;  /* this machine's KVM and a thread that watches deadlines; one is enough */
struct mf_image; /* a program frozen at its ready point; immutable */
struct mf_vm;    /* a VM forked of an image */

/* Why a guest did not give what it was asked for. The VM must be reset before it is used again. */
enum mf_stop {
	MF_STOP_DEADLINE = 1,  /* its time was up */
	MF_STOP_MEMORY = 2,    /* it wanted more memory than it may have */
	MF_STOP_CRASH = 3,     /* it died of a signal, or did what no program does */
	MF_STOP_EXIT = 4,      /* it called exit() */
	MF_STOP_NO_ANSWER = 5, /* a function waits for a request; a request has no valid response */
};

/* The library's version, "MAJOR.MINOR.PATCH". Any thread, never fails. */
const char *mf_version(void);

/*
 * Open /dev/kvm, find out what it can do (some milliseconds), start the watching thread. On success
 * the caller owns *host. On failure nothing is left behind:
 *   -ENOENT, -ENODEV, -ENXIO  there is no KVM here
 *   -EACCES, -EPERM           this user may not use it
 *   -EPROTO                   it behaves in a way that this version does not know
 *   -ENOMEM, -EAGAIN          no memory, no thread
 */
int mf_host_open(struct mf_host **host, struct mf_error *err);

/* Give the host up. Images that were loaded with it go on working. NULL is fine. */
void mf_host_close(struct mf_host *host);

/* Where a program is frozen. */
enum mf_ready {
	/* At its first mf_wait() (<mayfly/sdk.h>): functions can be called and requests served. */
	MF_READY_AT_WAIT = 0,
	/* At exit(0), so also when main() returns 0: exit handlers have run and streams are
	 * flushed. Any static program can do that; functions can be called, requests cannot be
	 * served. */
	MF_READY_AT_EXIT = 1,
};

/*
 * How to load a program. Fill with mf_image_settings_default(), then change what should differ.
 * Everything that is pointed to is the caller's and needed only until mf_image_load() returns, but
 * for output_cookie.
 */
struct mf_image_settings {
	/* Arguments, NULL-ended, argv[0] included. NULL: the path alone. Default NULL. */
	const char *const *argv;
	/* Environment, "NAME=VALUE", NULL-ended. NULL: empty, not the caller's. Default NULL. */
	const char *const *env;
	/* Working directory of the program, up to 1,023 bytes. NULL: "/". Default NULL. */
	const char *cwd;
	/* Files and directories (with all beneath) that the program and all VMs may read; write.
	 * NULL-ended. NULL: none. Default NULL. */
	const char *const *read_paths;
	const char *const *write_paths;
	/* Guest memory in bytes, 1 MiB to 64 GiB. 0: the default, 256 MiB. */
	uint64_t memory_bytes;
	/* Memory in bytes that one VM may have for itself (the rest it shares with its siblings).
	 * 0: no limit but memory_bytes. Default 0. */
	uint64_t private_bytes;
	/* Time in nanoseconds to get ready. 0: no limit. Default 30 s. */
	uint64_t boot_timeout_ns;
	/* Where the program is frozen. Default MF_READY_AT_WAIT (0). */
	enum mf_ready ready;
	/*
	 * Takes what the program and its VMs print: fd 1 or 2; lines of mf_log() come as fd 2.
	 * Called on the thread that loads, calls or requests; must not use the VM. NULL: discarded.
	 * Default NULL.
	 */
	void (*output)(void *cookie, int fd, const void *bytes, size_t count);
	void *output_cookie;
	/* Must be 0. */
	uint64_t reserved[8];
};

/* Fill in the defaults. Any thread, never fails. */
void mf_image_settings_default(struct mf_image_settings *settings);

/*
 * Load the program at `path` (static, dynamic, or a `#!` script), run it to its ready point, freeze
 * it. `settings` may be NULL: the defaults. On success the caller owns *image; the file is not
 * needed any more. On failure nothing is left behind: -ENOENT     there is no such program, or none
 * of settings->read_paths -EACCES     it may not be read or executed -EISDIR     it is not a
 * regular file -ENOEXEC    not a program that Mayfly can run, or it ended or died before it was
 * ready -ELOOP      scripts that are each other's interpreters -E2BIG      the program does not
 * fit, or arguments and environment are too long -EINVAL     a setting is out of its range
 *   -ETIMEDOUT  not ready in time
 *   -EBUSY      it holds something at its ready point that VMs cannot share (a pipe)
 *   -ENOMEM     no memory, of the host or of the guest
 */
int mf_image_load(struct mf_host *host, const char *path, const struct mf_image_settings *settings,
		  struct mf_image **image, struct mf_error *err);

/* Give the image up. VMs that were forked of it go on working. NULL is fine. */
void mf_image_destroy(struct mf_image *image);

/*
 * The guest address of a function or variable of the program, for mf_vm_call(), mf_vm_read() and
 * mf_vm_write(). Searches the whole symbol table: ask once, keep the address.
 *   -ENOENT   there is none of that name, or the program is stripped
 *   -ENOEXEC  the symbol table is damaged
 */
int mf_image_symbol(const struct mf_image *image, const char *name, uint64_t *address,
		    struct mf_error *err);

/*
 * Fork a new VM of the image, at the ready point. Pages that earlier VMs were seen to write are
 * made private beforehand, so a fork after a few calls and resets of others is a warm one. On
 * success the caller owns *vm. On failure nothing is left behind: -ENOMEM, -EMFILE (each VM holds
 * three descriptors), or what KVM said.
 */
int mf_image_fork(struct mf_image *image, struct mf_vm **vm, struct mf_error *err);

/* End the VM. NULL is fine, and so is any state that it is in. */
void mf_vm_destroy(struct mf_vm *vm);

/*
 * Copy bytes onto the guest's stack for calls to come; *address is where they are, 16-byte aligned.
 * They stay until the VM is reset; mf_vm_read() takes back what the function made of them. For more
 * than some megabytes let the program have a buffer and use mf_vm_write().
 *   -ENOSPC  the program's stack (8 MiB) has no room for it
 *   -ENOMEM  the VM may have no more memory
 *   -EFAULT  the program waits with a stack pointer that does not point at a stack
 *   -EBUSY   the VM must be reset first
 */
int mf_vm_push(struct mf_vm *vm, const void *bytes, size_t size, uint64_t *address,
	       struct mf_error *err);

/*
 * Call the function at a guest address with `count` (0 to 6) integers or guest addresses, in
 * registers; *result (may be NULL) becomes what it returns, for void functions something. System
 * calls that it makes are answered meanwhile. timeout_ns: from now on, in nanoseconds, kept to some
 * 2 ms; 0: no limit. A VM that is not reset between two calls keeps what the first one did.
 *
 * Returns 0 when the function returned, an enum mf_stop when it did something else, or
 *   -EINVAL  more than 6 arguments
 *   -EBUSY   the VM must be reset first
 * At most 64 calls and requests run at a time, further ones wait for their turn.
 */
int mf_vm_call(struct mf_vm *vm, uint64_t function, const uint64_t *args, size_t count,
	       uint64_t timeout_ns, uint64_t *result, struct mf_error *err);

struct mf_header {
	const char *name; /* in any case; the guest sees it in lower case */
	const char *value;
};

/* A request for a program that waits in mf_wait(). Everything is the caller's. */
struct mf_message {
	const char *method;              /* NULL: GET without a body, POST with one */
	const char *target;              /* "/path?query"; NULL: "/" */
	const struct mf_header *headers; /* NULL with header_count 0 */
	size_t header_count;             /* 0 to 100 */
	const void *body;                /* NULL with body_bytes 0 */
	size_t body_bytes; /* at most what the program made room for: mf_request_capacity() */
	uint64_t id;       /* for logs */
};

/* The response to a request; owned by who asked, freed with mf_reply_finish(). */
struct mf_reply {
	int status;    /* 200 to 599 */
	char *headers; /* "Name: value\r\n" lines, NUL-terminated; NULL: none */
	size_t headers_bytes;
	uint8_t *body; /* NULL: empty */
	size_t body_bytes;
};

/*
 * Serve one request and wait until the program waits for the next. Only for images that were frozen
 * with MF_READY_AT_WAIT. timeout_ns as for mf_vm_call(). A VM that is not reset afterwards keeps
 * what the request did.
 *
 * Returns 0 when there was a valid response: *reply is then filled and the caller's; an enum
 * mf_stop when there was none (and when it came, but the program did not get to wait again); or
 *   -EINVAL    the message makes no sense
 *   -EMSGSIZE  the program has no room for it
 *   -ENOTSUP   the image was frozen at its exit
 *   -EBUSY     the VM must be reset first: it was stopped, or a function was called
 *   -ENOMEM    no memory
 */
int mf_vm_request(struct mf_vm *vm, const struct mf_message *message, uint64_t timeout_ns,
		  struct mf_reply *reply, struct mf_error *err);

/*
 * Wipe and free what a reply holds, not the struct; it is then all zero, and may be finished again.
 */
void mf_reply_finish(struct mf_reply *reply);

/*
 * Copy guest memory out and in, with the rights of the program. -EFAULT: not all of it may be
 * accessed; bytes before the first that may not have been copied. Also for a VM that was stopped.
 */
int mf_vm_read(struct mf_vm *vm, uint64_t address, void *bytes, size_t size, struct mf_error *err);
int mf_vm_write(struct mf_vm *vm, uint64_t address, const void *bytes, size_t size,
		struct mf_error *err);

/*
 * Reset: put the VM back to its image: memory, translations, registers, Linux state, descriptors.
 * After MF_STOP_MEMORY what it held is given back, which costs as much as a fork. -EIO, -ENOMEM and
 * what mf_image_fork() may say: it cannot be done, and nothing but mf_vm_destroy() may be done any
 * more.
 */
int mf_vm_reset_to_image(struct mf_vm *vm, struct mf_error *err);

/*
 * Compare the VM with its image, byte by byte and register by register, by another way than the
 * reset's: 0 after every reset. -EUCLEAN: they differ; *pages and *bytes (may be NULL) say by how
 * much. -ENOMEM, -EIO: could not be found out. For tests and for the careful: costs milliseconds.
 */
int mf_vm_audit(struct mf_vm *vm, size_t *pages, size_t *bytes, struct mf_error *err);

/* What a VM has cost since its fork; exact, free of noise. They only grow. */
struct mf_counters {
	uint64_t user_exits;  /* times that the guest was left for this process */
	uint64_t page_faults; /* page faults that KVM handled; always 0 where KVM does not count */
	uint64_t syscalls;    /* system calls answered by this process */
	uint64_t resets;
	uint64_t pages_copied; /* back from the image, by all resets */
	uint64_t reserved[3];
};

/* Never fails. */
void mf_vm_counters(const struct mf_vm *vm, struct mf_counters *counters);

#ifdef __cplusplus
}
#endif
#endif
