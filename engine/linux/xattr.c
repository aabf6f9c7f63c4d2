/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes (xattr(7)): all but the trusted ones can be read, those of the user set.
 * Links have none of the user's.
 */
#include "engine/linux/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NAME_BYTES  256u /* XATTR_NAME_MAX and its NUL */
#define VALUE_BYTES 65536u

/* Which file: by a descriptor, or by a name whose last part is followed or not. */
enum way {
	BY_FD,
	BY_NAME,
	BY_LINK,
};

/* A descriptor of the host's to ask, -ELOOP for a link itself. *ours: to be closed. */
static int file_get(struct mf_process *process, uint64_t which, enum way way, bool writes,
		    bool *ours)
{
	const struct mf_fd *entry = way == BY_FD ? mf_fd_get(process, which) : NULL;
	int flags = way == BY_LINK ? O_NOFOLLOW : 0;
	struct mf_name name;
	int fd;

	*ours = way != BY_FD;
	if (way == BY_FD && (!entry || entry->flags & O_PATH))
		return -EBADF;
	if (way == BY_FD && (entry->host < 0 || !(mf_fd_ops(entry)->traits & MF_FD_HAS_HOST)))
		return -ELOOP;
	if (way == BY_FD && writes && entry->kind == MF_FD_FILE &&
	    (entry->flags & O_ACCMODE) == O_RDONLY)
		return -EPERM; /* opened under permission to read only */
	if (way == BY_FD)
		return entry->host;
	fd = mf_name_get(process, (uint64_t)AT_FDCWD, which, &name);
	if (fd)
		return fd;
	if (!writes)
		return mf_name_open(process, &name, MF_PERMIT_READ, O_RDONLY | flags, 0);
	return mf_name_open_to_change(process, &name, flags);
}

static int name_get(struct mf_process *process, uint64_t va, char name[NAME_BYTES])
{
	int64_t bytes = mf_guest_string(process, va, name, NAME_BYTES);

	if (bytes == -EFAULT)
		return -EFAULT;
	return bytes <= 0 ? -ERANGE : 0;
}

static int check_write(const char *name)
{
	if (!strncmp(name, "user.", 5))
		return 0;
	return !strncmp(name, "trusted.", 8) || !strncmp(name, "security.", 9) ? -EPERM
									       : -EOPNOTSUPP;
}

/* What the host is asked about a file, and where its answer goes. */
struct attribute {
	char name[NAME_BYTES];
	void *value; /* of VALUE_BYTES */
	size_t bytes;
	int flags;
};

typedef ssize_t host_fn(int fd, const struct attribute *attribute);

static ssize_t host_get(int fd, const struct attribute *attribute)
{
	return fgetxattr(fd, attribute->name, attribute->value, attribute->bytes);
}

static ssize_t host_set(int fd, const struct attribute *attribute)
{
	return fsetxattr(fd, attribute->name, attribute->value, attribute->bytes, attribute->flags);
}

static ssize_t host_remove(int fd, const struct attribute *attribute)
{
	return fremovexattr(fd, attribute->name);
}

static ssize_t host_list(int fd, const struct attribute *attribute)
{
	return flistxattr(fd, attribute->value, VALUE_BYTES);
}

/* `without`: the answer for what can have no attribute, a link for instance. */
static int64_t ask(struct mf_process *process, uint64_t which, enum way way, int without,
		   host_fn *host, const struct attribute *attribute)
{
	bool ours;
	int fd = file_get(process, which, way, host == host_set || host == host_remove, &ours);
	int64_t ret;

	if (fd < 0)
		return fd == -ELOOP && way != BY_NAME ? without : fd;
	ret = host(fd, attribute);
	if (ret < 0)
		ret = -errno;
	if (ours)
		close(fd);
	return ret;
}

static int64_t get(struct mf_process *process, const uint64_t arg[6], enum way way)
{
	struct attribute attribute = {.bytes = arg[3] < VALUE_BYTES ? arg[3] : VALUE_BYTES};
	int64_t ret = name_get(process, arg[1], attribute.name);

	if (ret)
		return ret;
	if (!strncmp(attribute.name, "trusted.", 8))
		return -ENODATA;
	attribute.value = malloc(VALUE_BYTES);
	if (!attribute.value)
		return -ENOMEM;
	ret = ask(process, arg[0], way, -ENODATA, host_get, &attribute);
	if (ret > 0 && attribute.bytes &&
	    mf_guest_write(process, arg[2], attribute.value, (size_t)ret))
		ret = -EFAULT;
	free(attribute.value);
	return ret;
}

static int64_t set(struct mf_process *process, const uint64_t arg[6], enum way way)
{
	struct attribute attribute = {.bytes = arg[3], .flags = (int)arg[4]};
	int64_t ret;

	if ((uint32_t)arg[4] & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE))
		return -EINVAL;
	ret = name_get(process, arg[1], attribute.name);
	if (!ret && arg[3] > VALUE_BYTES)
		ret = -E2BIG;
	if (!ret)
		ret = check_write(attribute.name);
	if (ret)
		return ret;
	attribute.value = malloc(VALUE_BYTES);
	if (!attribute.value)
		ret = -ENOMEM;
	else if (arg[3] && mf_guest_read(process, arg[2], attribute.value, arg[3]))
		ret = -EFAULT;
	else
		ret = ask(process, arg[0], way, -EPERM, host_set, &attribute);
	free(attribute.value);
	return ret;
}

static int64_t discard(struct mf_process *process, const uint64_t arg[6], enum way way)
{
	struct attribute attribute = {.bytes = 0};
	int64_t ret = name_get(process, arg[1], attribute.name);

	if (!ret)
		ret = check_write(attribute.name);
	return ret ? ret : ask(process, arg[0], way, -EPERM, host_remove, &attribute);
}

/* Without the trusted ones, which only privilege sees: bytes left. */
static size_t hide_trusted(char *names, size_t bytes)
{
	size_t at = 0;

	while (at < bytes) {
		size_t length = strnlen(names + at, bytes - at - 1) + 1;

		if (strncmp(names + at, "trusted.", 8)) {
			at += length;
			continue;
		}
		memmove(names + at, names + at + length, bytes - at - length);
		bytes -= length;
	}
	return bytes;
}

static int64_t list(struct mf_process *process, const uint64_t arg[6], enum way way)
{
	struct attribute names = {.value = malloc(VALUE_BYTES)};
	int64_t ret = names.value ? ask(process, arg[0], way, 0, host_list, &names) : -ENOMEM;

	if (ret > 0)
		ret = (int64_t)hide_trusted(names.value, (size_t)ret);
	if (ret > 0 && arg[2] && (uint64_t)ret > arg[2])
		ret = -ERANGE;
	else if (ret > 0 && arg[2] && mf_guest_write(process, arg[1], names.value, (size_t)ret))
		ret = -EFAULT;
	free(names.value);
	return ret;
}

int64_t mf_sys_getxattr(struct mf_process *process, const uint64_t arg[6])
{
	return get(process, arg, BY_NAME);
}

int64_t mf_sys_lgetxattr(struct mf_process *process, const uint64_t arg[6])
{
	return get(process, arg, BY_LINK);
}

int64_t mf_sys_fgetxattr(struct mf_process *process, const uint64_t arg[6])
{
	return get(process, arg, BY_FD);
}

int64_t mf_sys_setxattr(struct mf_process *process, const uint64_t arg[6])
{
	return set(process, arg, BY_NAME);
}

int64_t mf_sys_lsetxattr(struct mf_process *process, const uint64_t arg[6])
{
	return set(process, arg, BY_LINK);
}

int64_t mf_sys_fsetxattr(struct mf_process *process, const uint64_t arg[6])
{
	return set(process, arg, BY_FD);
}

int64_t mf_sys_removexattr(struct mf_process *process, const uint64_t arg[6])
{
	return discard(process, arg, BY_NAME);
}

int64_t mf_sys_lremovexattr(struct mf_process *process, const uint64_t arg[6])
{
	return discard(process, arg, BY_LINK);
}

int64_t mf_sys_fremovexattr(struct mf_process *process, const uint64_t arg[6])
{
	return discard(process, arg, BY_FD);
}

int64_t mf_sys_listxattr(struct mf_process *process, const uint64_t arg[6])
{
	return list(process, arg, BY_NAME);
}

int64_t mf_sys_llistxattr(struct mf_process *process, const uint64_t arg[6])
{
	return list(process, arg, BY_LINK);
}

int64_t mf_sys_flistxattr(struct mf_process *process, const uint64_t arg[6])
{
	return list(process, arg, BY_FD);
}
