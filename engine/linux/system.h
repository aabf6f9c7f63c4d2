/* SPDX-License-Identifier: MIT */
/*
 * Files that the engine makes up: what of /proc, /dev and /sys programs read. They need no
 * permission, for they tell of the VM and never of the host, whose own /proc is out of reach. Text
 * is made anew at each read. A name is looked for in one table of patterns.
 */
#ifndef MF_ENGINE_LINUX_SYSTEM_H
#define MF_ENGINE_LINUX_SYSTEM_H

#include <stdio.h>

#include "engine/linux/files.h"

struct stat;

enum mf_system_kind {
	MF_SYSTEM_NONE = 0,
	MF_SYSTEM_DIR,
	MF_SYSTEM_TEXT,
	MF_SYSTEM_LINK,   /* to a name */
	MF_SYSTEM_FD,     /* /proc/self/fd/N: a link to what a descriptor refers to */
	MF_SYSTEM_DEVICE, /* one of enum mf_char, or a device that cannot be opened */
};

/* What a name means. */
struct mf_system_node {
	enum mf_system_kind kind;
	uint32_t row;    /* of the table */
	uint32_t number; /* the thread or descriptor in its name */
};

/* The node of an absolute, clean name (a trailing slash is nothing); false: it is none. */
bool mf_system_find(const struct mf_process *process, const char *path,
		    struct mf_system_node *node);

/*
 * Links on the way, and with `last` the last part, too, are replaced in the name. 0 or a negative
 * errno. A descriptor's link as the last part stays.
 */
int mf_system_follow(const struct mf_process *process, struct mf_name *name, bool last);

/* What a link says: bytes in `to`, or a negative errno. */
int mf_system_read_link(const struct mf_process *process, const struct mf_system_node *node,
			char to[PATH_MAX]);

void mf_system_stat(const struct mf_system_node *node, const char *path, struct stat *st);

/* A descriptor for it: the number, or a negative errno. `path` is its name. */
int64_t mf_system_open(struct mf_process *process, const struct mf_system_node *node,
		       const char *path, int flags);

/*
 * Entries of the directory `path` as getdents64 has them, from the cookie on: bytes, 0 at the end,
 * -EINVAL when not even one fits.
 */
long mf_system_list(const struct mf_process *process, const char *path, uint64_t cookie,
		    uint8_t *to, size_t room);

/* The program's name for a file that a host descriptor has open: bytes in `to`, or -errno. */
int mf_system_host_name(const struct mf_process *process, int host, char to[PATH_MAX]);

/* The same of a description of a file; of a standard stream only if the program may know it. */
int mf_system_file_name(const struct mf_process *process, const struct mf_fd *entry,
			char to[PATH_MAX]);

/* What the descriptor's link in /proc/self/fd says: bytes in `to`, or a negative errno. */
int mf_system_fd_name(const struct mf_process *process, uint32_t fd, char to[PATH_MAX]);

/* Text of a node is written to `out`. */
typedef void mf_system_text_fn(struct mf_process *process, FILE *out, uint32_t number);

/* system_self.c: of the process and its threads */
mf_system_text_fn mf_text_cmdline, mf_text_environ, mf_text_auxv, mf_text_comm, mf_text_maps,
	mf_text_stat, mf_text_statm, mf_text_status, mf_text_limits, mf_text_mounts,
	mf_text_mountinfo, mf_text_zero, mf_text_cgroup, mf_text_fdinfo, mf_text_id_map,
	mf_text_empty, mf_text_schedstat, mf_text_io, mf_text_loginuid, mf_text_wchan,
	mf_text_personality, mf_text_coredump_filter;
/* system_machine.c: of the machine */
mf_system_text_fn mf_text_meminfo, mf_text_cpuinfo, mf_text_cpu_stat, mf_text_uptime,
	mf_text_loadavg, mf_text_version, mf_text_filesystems, mf_text_cpu_list, mf_text_osrelease,
	mf_text_ostype, mf_text_kernel_version, mf_text_hostname, mf_text_domainname,
	mf_text_pid_max, mf_text_threads_max, mf_text_uuid, mf_text_entropy, mf_text_poolsize,
	mf_text_cap_last, mf_text_ngroups, mf_text_two, mf_text_core_pattern, mf_text_map_count,
	mf_text_mmap_min, mf_text_ratio, mf_text_somaxconn, mf_text_file_max, mf_text_nr_open,
	mf_text_pipe_max, mf_text_huge_never, mf_text_huge_bytes, mf_text_clocksource;

#endif
