/* SPDX-License-Identifier: MIT */
#include "engine/linux/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "engine/image/guest.h"
#include "engine/linux/io.h"
#include "engine/linux/shm.h"

#define LINKS_MAX 40

/* Devices that have a name and cannot be opened: /dev/tty without a terminal. */
#define NO_DEVICE 100u

struct row {
	const char *path; /* a `#` is a number: a thread, or a descriptor */
	enum mf_system_kind kind;
	mf_system_text_fn *text;
	const char *target; /* LINK; NULL: told below */
	uint32_t device;
};

#define DIR_(path_)                                  \
	{                                            \
		.path = path_, .kind = MF_SYSTEM_DIR \
	}
#define TEXT(path_, text_)                                                     \
	{                                                                      \
		.path = path_, .kind = MF_SYSTEM_TEXT, .text = mf_text_##text_ \
	}
#define LINK(path_, target_)                                             \
	{                                                                \
		.path = path_, .kind = MF_SYSTEM_LINK, .target = target_ \
	}
#define DEVICE(path_, device_)                                             \
	{                                                                  \
		.path = path_, .kind = MF_SYSTEM_DEVICE, .device = device_ \
	}

/* What the process has of itself and each of its threads, too. */
#define OF_THREAD(at)                                                                              \
	TEXT(at "/auxv", auxv), TEXT(at "/cgroup", cgroup), TEXT(at "/cmdline", cmdline),          \
		TEXT(at "/comm", comm), LINK(at "/cwd", NULL), TEXT(at "/environ", environ),       \
		LINK(at "/exe", NULL), DIR_(at "/fd"), {.path = at "/fd/#", .kind = MF_SYSTEM_FD}, \
		DIR_(at "/fdinfo"), TEXT(at "/fdinfo/#", fdinfo), TEXT(at "/gid_map", id_map),     \
		TEXT(at "/io", io), TEXT(at "/limits", limits), TEXT(at "/loginuid", loginuid),    \
		TEXT(at "/maps", maps), TEXT(at "/mountinfo", mountinfo),                          \
		TEXT(at "/mounts", mounts), TEXT(at "/oom_score", zero),                           \
		TEXT(at "/oom_score_adj", zero), TEXT(at "/personality", personality),             \
		LINK(at "/root", "/"), TEXT(at "/schedstat", schedstat),                           \
		TEXT(at "/sessionid", loginuid), TEXT(at "/stat", stat), TEXT(at "/statm", statm), \
		TEXT(at "/status", status), TEXT(at "/uid_map", id_map), TEXT(at "/wchan", wchan)

/* It is a link to /proc/100, under whose name the rows are that begin with it. */
#define PROC_SELF "/proc/self"

static const struct row rows[] = {
	DIR_("/proc"),
	TEXT("/proc/cmdline", empty),
	TEXT("/proc/cpuinfo", cpuinfo),
	TEXT("/proc/filesystems", filesystems),
	TEXT("/proc/loadavg", loadavg),
	TEXT("/proc/meminfo", meminfo),
	LINK("/proc/mounts", "self/mounts"),
	DIR_("/proc/self"),
	OF_THREAD("/proc/self"),
	TEXT("/proc/self/coredump_filter", coredump_filter),
	DIR_("/proc/self/task"),
	DIR_("/proc/self/task/#"),
	OF_THREAD("/proc/self/task/#"),
	TEXT("/proc/stat", cpu_stat),
	DIR_("/proc/sys"),
	DIR_("/proc/sys/fs"),
	TEXT("/proc/sys/fs/file-max", file_max),
	TEXT("/proc/sys/fs/nr_open", nr_open),
	TEXT("/proc/sys/fs/pipe-max-size", pipe_max),
	DIR_("/proc/sys/kernel"),
	TEXT("/proc/sys/kernel/cap_last_cap", cap_last),
	TEXT("/proc/sys/kernel/core_pattern", core_pattern),
	TEXT("/proc/sys/kernel/domainname", domainname),
	TEXT("/proc/sys/kernel/hostname", hostname),
	TEXT("/proc/sys/kernel/ngroups_max", ngroups),
	TEXT("/proc/sys/kernel/osrelease", osrelease),
	TEXT("/proc/sys/kernel/ostype", ostype),
	TEXT("/proc/sys/kernel/pid_max", pid_max),
	DIR_("/proc/sys/kernel/random"),
	TEXT("/proc/sys/kernel/random/entropy_avail", entropy),
	TEXT("/proc/sys/kernel/random/poolsize", poolsize),
	TEXT("/proc/sys/kernel/random/uuid", uuid),
	TEXT("/proc/sys/kernel/randomize_va_space", zero),
	TEXT("/proc/sys/kernel/threads-max", threads_max),
	TEXT("/proc/sys/kernel/version", kernel_version),
	DIR_("/proc/sys/net"),
	DIR_("/proc/sys/net/core"),
	TEXT("/proc/sys/net/core/somaxconn", somaxconn),
	DIR_("/proc/sys/vm"),
	TEXT("/proc/sys/vm/max_map_count", map_count),
	TEXT("/proc/sys/vm/mmap_min_addr", mmap_min),
	TEXT("/proc/sys/vm/nr_hugepages", zero),
	TEXT("/proc/sys/vm/overcommit_memory", two),
	TEXT("/proc/sys/vm/overcommit_ratio", ratio),
	LINK(PROC_SELF, NULL),
	LINK("/proc/thread-self", NULL),
	TEXT("/proc/uptime", uptime),
	TEXT("/proc/version", version),
	DIR_("/dev"),
	LINK("/dev/fd", "/proc/self/fd"),
	DEVICE("/dev/full", MF_CHAR_FULL),
	DEVICE("/dev/null", MF_CHAR_NULL),
	DEVICE("/dev/random", MF_CHAR_RANDOM),
	DIR_("/dev/shm"),
	LINK("/dev/stderr", "/proc/self/fd/2"),
	LINK("/dev/stdin", "/proc/self/fd/0"),
	LINK("/dev/stdout", "/proc/self/fd/1"),
	DEVICE("/dev/tty", NO_DEVICE),
	DEVICE("/dev/urandom", MF_CHAR_URANDOM),
	DEVICE("/dev/zero", MF_CHAR_ZERO),
	DIR_("/sys"),
	DIR_("/sys/devices"),
	DIR_("/sys/devices/system"),
	DIR_("/sys/devices/system/clocksource"),
	DIR_("/sys/devices/system/clocksource/clocksource0"),
	TEXT("/sys/devices/system/clocksource/clocksource0/current_clocksource", clocksource),
	DIR_("/sys/devices/system/cpu"),
	DIR_("/sys/devices/system/cpu/cpu0"),
	TEXT("/sys/devices/system/cpu/online", cpu_list),
	TEXT("/sys/devices/system/cpu/possible", cpu_list),
	TEXT("/sys/devices/system/cpu/present", cpu_list),
	DIR_("/sys/devices/system/node"),
	TEXT("/sys/devices/system/node/online", cpu_list),
	TEXT("/sys/devices/system/node/possible", cpu_list),
	DIR_("/sys/kernel"),
	DIR_("/sys/kernel/mm"),
	DIR_("/sys/kernel/mm/transparent_hugepage"),
	TEXT("/sys/kernel/mm/transparent_hugepage/enabled", huge_never),
	TEXT("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", huge_bytes),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

/* A decimal number without zeroes before it, up to the next slash: what follows it, or NULL. */
static const char *take_number(const char *at, uint32_t *number)
{
	uint64_t value = 0;
	const char *end = at;

	while (*end >= '0' && *end <= '9' && end - at < 9)
		value = value * 10 + (uint64_t)(*end++ - '0');
	if (end == at || (*at == '0' && end - at > 1) || (*end && *end != '/'))
		return NULL;
	*number = (uint32_t)value;
	return end;
}

/* Does the name fit the pattern? The last number in it goes to *number. */
static bool fits(const char *pattern, const char *path, uint32_t *number)
{
	while (*pattern) {
		if (*pattern == '#') {
			path = take_number(path, number);
			if (!path)
				return false;
			pattern++;
			continue;
		}
		if (*pattern++ != *path++)
			return false;
	}
	return !*path;
}

static bool thread_is_there(const struct mf_process *process, uint32_t tid)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = 0; i < lx->threads_high && i < MF_THREADS; i++) {
		if (lx->threads[i].state != MF_THREAD_FREE && lx->threads[i].tid == tid)
			return true;
	}
	return false;
}

/* /proc/100 is /proc/self; a trailing slash is nothing. False: it does not fit. */
static bool canonical(const char *path, char out[PATH_MAX])
{
	size_t bytes = strlen(path);
	const char *rest;
	uint32_t pid;

	if (strncmp(path, "/proc", 5) && strncmp(path, "/dev", 4) && strncmp(path, "/sys", 4))
		return false;
	if (bytes > 1 && path[bytes - 1] == '/')
		bytes--;
	memcpy(out, path, bytes);
	out[bytes] = 0;
	rest = strncmp(out, "/proc/", 6) ? NULL : take_number(out + 6, &pid);
	if (!rest || bytes + 8 >= PATH_MAX)
		return true;
	if (pid != MF_GUEST_PID)
		return false;
	bytes = strlen(rest);
	memmove(out + 10, rest, bytes + 1);
	memcpy(out, "/proc/self", 10);
	return true;
}

bool mf_system_find(const struct mf_process *process, const char *path, struct mf_system_node *node)
{
	char clean[PATH_MAX];
	uint32_t tid = 0;
	bool is_link;
	size_t i;

	*node = (struct mf_system_node){0};
	if (!canonical(path, clean))
		return false;
	is_link = !strncmp(path, PROC_SELF, sizeof(PROC_SELF) - 1) &&
		  !path[sizeof(PROC_SELF) - 1 + (path[sizeof(PROC_SELF) - 1] == '/')];
	for (i = 0; i < ROWS && (!fits(rows[i].path, clean, &node->number) ||
				 (is_link && rows[i].kind != MF_SYSTEM_LINK));
	     i++)
		;
	if (i == ROWS)
		return false;
	if (!strncmp(clean, "/proc/self/task/", 16) &&
	    (!take_number(clean + 16, &tid) || !thread_is_there(process, tid)))
		return false;
	if (strstr(rows[i].path, "/fd") && strchr(strstr(rows[i].path, "/fd"), '#')) {
		if (!mf_fd_get(process, node->number))
			return false;
	} else {
		node->number = tid ? tid : MF_GUEST_PID;
	}
	node->kind = rows[i].kind;
	node->row = (uint32_t)i;
	return true;
}

int mf_system_host_name(const struct mf_process *process, int host, char to[PATH_MAX])
{
	const struct mf_permit *permit = process->policy->permit;
	char link[40];
	ssize_t bytes;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", host);
	bytes = readlink(link, to, PATH_MAX - 1);
	if (bytes < 0)
		return -errno;
	to[bytes] = 0;
	return permit && to[0] == '/' ? mf_permit_guest_name(permit, to) : (int)bytes;
}

/* May the program know the name of what the host has open? */
static bool is_permitted(const struct mf_process *process, int host)
{
	struct mf_system_node node;
	char name[PATH_MAX];
	int fd;

	if (!process->policy->permit || mf_system_host_name(process, host, name) <= 0)
		return false;
	fd = name[0] == '/' && !mf_system_find(process, name, &node)
		     ? mf_permit_open_need(process->policy->permit, "/", name, MF_PERMIT_EITHER,
					   O_PATH | O_NOFOLLOW, 0)
		     : -EACCES;
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int mf_system_file_name(const struct mf_process *process, const struct mf_fd *entry,
			char to[PATH_MAX])
{
	if (entry->marks & MF_FD_IS_STREAM && !is_permitted(process, entry->host))
		return snprintf(to, PATH_MAX, "/dev/null");
	return mf_system_host_name(process, entry->host, to);
}

int mf_system_fd_name(const struct mf_process *process, uint32_t fd, char to[PATH_MAX])
{
	const struct mf_fd *entry = mf_fd_get(process, fd);
	struct stat st = {0};
	int host;

	if (!entry)
		return -ENOENT;
	if (entry->kind == MF_FD_CHAR)
		return snprintf(to, PATH_MAX, "%s", mf_char_name((enum mf_char)entry->host));
	if (entry->kind == MF_FD_PROC)
		return snprintf(to, PATH_MAX, "%s", rows[entry->object % ROWS].path);
	if (entry->kind == MF_FD_DIR)
		return snprintf(to, PATH_MAX, "%s", mf_linux(process)->dirs[entry->dir]);
	host = mf_fd_host(process, entry);
	if (mf_shm_of(process, entry))
		return snprintf(to, PATH_MAX, "/dev/shm/%s", mf_shm_of(process, entry));
	if (entry->kind == MF_FD_FILE)
		return mf_system_file_name(process, entry, to);
	/* Of the host's streams: what kind they are, and nothing more. */
	if (entry->kind == MF_FD_STDIO && (host < 0 || !process->policy->stdio_is_host))
		return snprintf(to, PATH_MAX, "/dev/null");
	if (entry->kind == MF_FD_STDIO && !fstat(host, &st) && isatty(host))
		return snprintf(to, PATH_MAX, "/dev/tty");
	if (mf_fd_ops(entry)->stat)
		mf_fd_ops(entry)->stat((struct mf_process *)process, entry, &st);
	if (entry->kind == MF_FD_STDIO)
		return snprintf(to, PATH_MAX, S_ISFIFO(st.st_mode) ? "pipe:[%llu]" : "/dev/null",
				(unsigned long long)st.st_ino);
	if (strstr(mf_fd_ops(entry)->name, "%llu")) {
		size_t before =
			(size_t)(strstr(mf_fd_ops(entry)->name, "%llu") - mf_fd_ops(entry)->name);

		return snprintf(to, PATH_MAX, "%.*s%llu%s", (int)before, mf_fd_ops(entry)->name,
				(unsigned long long)st.st_ino, mf_fd_ops(entry)->name + before + 4);
	}
	return snprintf(to, PATH_MAX, "%s", mf_fd_ops(entry)->name);
}

int mf_system_read_link(const struct mf_process *process, const struct mf_system_node *node,
			char to[PATH_MAX])
{
	const struct row *row = &rows[node->row];
	const char *last = strrchr(row->path, '/');

	if (node->kind == MF_SYSTEM_FD)
		return mf_system_fd_name(process, node->number, to);
	if (node->kind != MF_SYSTEM_LINK)
		return -EINVAL;
	if (row->target)
		return snprintf(to, PATH_MAX, "%s", row->target);
	if (!strcmp(last, "/cwd"))
		return snprintf(to, PATH_MAX, "%s", mf_linux(process)->cwd);
	/* A program that came from no file has a name without a slash. */
	if (!strcmp(last, "/exe") && mf_linux(process)->exe[0] != '/')
		return -ENOENT;
	if (!strcmp(last, "/exe"))
		return snprintf(to, PATH_MAX, "%s", mf_linux(process)->exe);
	if (!strcmp(last, "/self"))
		return snprintf(to, PATH_MAX, "%u", MF_GUEST_PID);
	return snprintf(to, PATH_MAX, "%u/task/%u", MF_GUEST_PID, mf_thread(process)->tid);
}

/* The link that ends at `end` of the name is replaced; 1 when there was one, 0, -errno. */
static int replace(const struct mf_process *process, struct mf_name *name, size_t end, bool last)
{
	char target[PATH_MAX], joined[3 * PATH_MAX];
	struct mf_system_node node;
	char kept = name->text[end];
	size_t folder;
	int ret;

	name->text[end] = 0;
	ret = mf_system_find(process, name->text, &node) &&
	      (node.kind == MF_SYSTEM_LINK || (node.kind == MF_SYSTEM_FD && !last));
	if (ret)
		ret = mf_system_read_link(process, &node, target);
	folder = (size_t)(strrchr(name->text, '/') - name->text);
	name->text[end] = kept;
	if (ret <= 0)
		return ret;
	if (node.kind == MF_SYSTEM_FD && target[0] != '/')
		return -ENOTDIR;
	snprintf(joined, sizeof(joined), "%.*s/%s%s", target[0] == '/' ? 0 : (int)folder,
		 name->text, target, name->text + end);
	ret = mf_permit_clean("/", joined, name->text);
	return ret < 0 ? ret : 1;
}

int mf_system_follow(const struct mf_process *process, struct mf_name *name, bool last)
{
	int links;

	for (links = 0; links < LINKS_MAX; links++) {
		size_t end = 1;
		int ret = 0;

		if (strncmp(name->text, "/proc/", 6) && strncmp(name->text, "/dev/", 5))
			return 0;
		while (!ret && name->text[end]) {
			end += strcspn(name->text + end, "/");
			if (!name->text[end] && !last)
				break;
			ret = replace(process, name, end, !name->text[end]);
			end += name->text[end] == '/';
		}
		if (ret <= 0)
			return ret;
	}
	return -ELOOP;
}

void mf_system_stat(const struct mf_system_node *node, const char *path, struct stat *st)
{
	static const mode_t modes[] = {[MF_SYSTEM_DIR] = S_IFDIR | 0555,
				       [MF_SYSTEM_TEXT] = S_IFREG | 0444,
				       [MF_SYSTEM_LINK] = S_IFLNK | 0777,
				       [MF_SYSTEM_FD] = S_IFLNK | 0700,
				       [MF_SYSTEM_DEVICE] = S_IFCHR | 0666};
	uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */

	if (node->kind == MF_SYSTEM_DEVICE && rows[node->row].device != NO_DEVICE) {
		mf_char_stat(st, (enum mf_char)rows[node->row].device);
		return;
	}
	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * 0x100000001b3ull;
	*st = (struct stat){.st_dev = 22,
			    .st_ino = hash,
			    .st_mode = modes[node->kind],
			    .st_nlink = node->kind == MF_SYSTEM_DIR ? 2 : 1,
			    .st_uid = getuid(),
			    .st_gid = getgid(),
			    .st_rdev = node->kind == MF_SYSTEM_DEVICE ? makedev(5, 0) : 0,
			    .st_size = node->kind == MF_SYSTEM_FD ? 64 : 0,
			    .st_blksize = node->kind == MF_SYSTEM_DIR ? 1024 : MF_PAGE};
}

static bool writes(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

int64_t mf_system_open(struct mf_process *process, const struct mf_system_node *node,
		       const char *path, int flags)
{
	struct mf_fd entry = {.kind = MF_FD_PROC,
			      .host = (int32_t)node->number,
			      .object = node->row,
			      .flags = (uint32_t)flags};

	if (flags & O_CREAT && flags & O_EXCL)
		return -EEXIST;
	if (node->kind == MF_SYSTEM_DIR && (writes(flags) || flags & O_CREAT))
		return -EISDIR;
	if (node->kind == MF_SYSTEM_DIR)
		return mf_fd_install_dir(process, -1, flags, path);
	if (flags & O_DIRECTORY)
		return -ENOTDIR;
	if (node->kind == MF_SYSTEM_DEVICE) {
		if (rows[node->row].device != NO_DEVICE)
			entry = (struct mf_fd){.kind = MF_FD_CHAR,
					       .host = (int32_t)rows[node->row].device,
					       .flags = (uint32_t)flags};
		else if (!mf_stdio_terminal(process, flags, &entry))
			return -ENXIO;
	} else if (writes(flags)) {
		return -EACCES;
	}
	return mf_fd_install(process, &entry, 0);
}

/* One entry of a listing; false: no room for it. */
static bool put_entry(uint8_t *to, size_t room, size_t *used, uint64_t cookie, const char *name,
		      enum mf_system_kind kind)
{
	static const uint8_t types[] = {[MF_SYSTEM_DIR] = DT_DIR,
					[MF_SYSTEM_TEXT] = DT_REG,
					[MF_SYSTEM_LINK] = DT_LNK,
					[MF_SYSTEM_FD] = DT_LNK,
					[MF_SYSTEM_DEVICE] = DT_CHR};
	size_t bytes = (19 + strlen(name) + 1 + 7) & ~(size_t)7;
	uint64_t inode = 0x10000 + cookie;
	uint16_t length = (uint16_t)bytes;

	if (bytes > room - *used)
		return false;
	to += *used;
	memset(to, 0, bytes);
	memcpy(to, &inode, 8);
	memcpy(to + 8, &cookie, 8);
	memcpy(to + 16, &length, 2);
	to[18] = types[kind];
	strcpy((char *)to + 19, name);
	*used += bytes;
	return true;
}

/* Where a listing stands: the cookie of an entry is where the next one begins. */
#define COOKIE_ROWS    2u
#define COOKIE_NUMBERS 0x10000u
#define COOKIE_END     0x7fffffffu

/* Descriptors or threads: the first one at or above `from`, or false. */
static bool next_number(const struct mf_process *process, const char *path, uint32_t from,
			uint32_t *number)
{
	const struct mf_linux *lx = mf_linux(process);
	size_t bytes = strlen(path);
	uint32_t i, best = UINT32_MAX;

	if (bytes >= 3 && (!strcmp(path + bytes - 3, "/fd") || strstr(path, "/fdinfo"))) {
		*number = mf_fd_next(process, from);
		return *number < MF_FDS;
	}
	if (strcmp(path, "/proc/self/task"))
		return false;
	for (i = 0; i < lx->threads_high && i < MF_THREADS; i++) {
		uint32_t tid = lx->threads[i].tid;

		if (lx->threads[i].state != MF_THREAD_FREE && tid >= from && tid < best)
			best = tid;
	}
	*number = best;
	return best != UINT32_MAX;
}

/* The last part of a row's pattern, if that row is a child of the directory. */
static const char *child_of(const char *pattern, const char *directory)
{
	const char *last = strrchr(pattern, '/');
	char parent[PATH_MAX];
	uint32_t number;

	memcpy(parent, pattern, (size_t)(last - pattern));
	parent[last - pattern] = 0;
	return fits(parent, directory, &number) && strcmp(last, "/#") ? last + 1 : NULL;
}

static bool list_rows(const char *path, uint64_t *cookie, uint8_t *to, size_t room, size_t *used)
{
	for (; *cookie - COOKIE_ROWS < ROWS; ++*cookie) {
		const struct row *row = &rows[*cookie - COOKIE_ROWS];
		const char *name = child_of(row->path, path);

		/* /proc/self stands there as what it is in its own folder's place. */
		if (name && row->kind == MF_SYSTEM_DIR && !strcmp(row->path, PROC_SELF))
			name = "100";
		if (name && !put_entry(to, room, used, *cookie + 1, name, row->kind))
			return false;
	}
	*cookie = COOKIE_NUMBERS;
	return true;
}

static bool list_shm(const struct mf_process *process, uint64_t *cookie, uint8_t *to, size_t room,
		     size_t *used)
{
	uint32_t at;
	const char *name = mf_shm_next(process, (uint32_t)(*cookie - COOKIE_NUMBERS), &at);

	for (; name; name = mf_shm_next(process, at + 1, &at)) {
		if (!put_entry(to, room, used, COOKIE_NUMBERS + at + 1, name, MF_SYSTEM_TEXT))
			return false;
		*cookie = COOKIE_NUMBERS + at + 1;
	}
	*cookie = COOKIE_END;
	return true;
}

static bool list_numbers(const struct mf_process *process, const char *path, uint64_t *cookie,
			 uint8_t *to, size_t room, size_t *used)
{
	bool tasks = strstr(path, "/task") && !strstr(path, "/fd");
	uint32_t number;
	char name[16];

	if (!strcmp(path, "/dev/shm"))
		return list_shm(process, cookie, to, room, used);
	while (next_number(process, path, (uint32_t)(*cookie - COOKIE_NUMBERS), &number)) {
		snprintf(name, sizeof(name), "%u", number);
		if (!put_entry(to, room, used, COOKIE_NUMBERS + number + 1, name,
			       tasks                     ? MF_SYSTEM_DIR
			       : strstr(path, "/fdinfo") ? MF_SYSTEM_TEXT
							 : MF_SYSTEM_FD))
			return false;
		*cookie = COOKIE_NUMBERS + number + 1;
	}
	*cookie = COOKIE_END;
	return true;
}

long mf_system_list(const struct mf_process *process, const char *path, uint64_t cookie,
		    uint8_t *to, size_t room)
{
	char clean[PATH_MAX];
	size_t used = 0;
	bool fits_all = true;

	if (!canonical(path, clean))
		return -ENOENT;
	if (cookie == 0)
		fits_all = put_entry(to, room, &used, ++cookie, ".", MF_SYSTEM_DIR);
	if (cookie == 1 && fits_all)
		fits_all = put_entry(to, room, &used, ++cookie, "..", MF_SYSTEM_DIR);
	if (fits_all && cookie < COOKIE_NUMBERS)
		fits_all = list_rows(clean, &cookie, to, room, &used);
	if (fits_all && cookie >= COOKIE_NUMBERS && cookie < COOKIE_END)
		fits_all = list_numbers(process, clean, &cookie, to, room, &used);
	return used || fits_all ? (long)used : -EINVAL;
}

/* A descriptor of a text: `object` is the row, `host` the number in its name. */
static int64_t read_text(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, const struct mf_io *io)
{
	uint64_t at = io->at == MF_OWN_OFFSET ? entry->offset : (uint64_t)io->at;
	char *text = NULL;
	size_t bytes = 0;
	int64_t done = 0;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return -ENOMEM;
	rows[entry->object % ROWS].text(process, out, (uint32_t)entry->host);
	if (fclose(out))
		done = -ENOMEM;
	else if (at < bytes && cursor->left)
		done = (int64_t)mf_cursor_put(
			cursor, text + at, bytes - at < cursor->left ? bytes - at : cursor->left);
	if (!done && at < bytes && cursor->left)
		done = -EFAULT;
	free(text);
	if (done > 0 && io->at == MF_OWN_OFFSET)
		mf_fd_rw(process, entry)->offset += (uint64_t)done;
	return done;
}

static int64_t seek_text(struct mf_process *process, const struct mf_fd *entry, int64_t offset,
			 uint64_t whence)
{
	int64_t base = whence == SEEK_CUR ? (int64_t)entry->offset : 0;

	(void)process;
	if ((whence != SEEK_SET && whence != SEEK_CUR) ||
	    __builtin_add_overflow(base, offset, &base) || base < 0)
		return -EINVAL;
	return base;
}

static int stat_text(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	struct mf_system_node node = {.kind = MF_SYSTEM_TEXT, .row = entry->object % ROWS};

	(void)process;
	mf_system_stat(&node, rows[node.row].path, st);
	return 0;
}

const struct mf_fd_ops mf_system_ops = {
	.name = "/proc",
	.traits = MF_FD_SEEKS,
	.read = read_text,
	.seek = seek_text,
	.stat = stat_text,
};
