/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tenant/confine_steps.h"

/* Debian 12's <linux/landlock.h> knows ABI 1 and 2 only; the numbers are ABI (landlock.rst). */
#define FS_ABI1        ((UINT64_C(1) << 13) - 1)
#define FS_REFER       (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE    (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV   (UINT64_C(1) << 15) /* ABI 5: devices that are opened later */
#define NET_BIND       (UINT64_C(1) << 0)  /* ABI 4: TCP */
#define NET_CONNECT    (UINT64_C(1) << 1)  /* ABI 4: TCP */
#define SCOPE_SOCKET   (UINT64_C(1) << 0)  /* ABI 6: abstract Unix sockets */
#define SCOPE_SIGNAL   (UINT64_C(1) << 1)  /* ABI 6 */
#define RULE_PATH      1                   /* LANDLOCK_RULE_PATH_BENEATH */
#define RULE_PORT      2                   /* LANDLOCK_RULE_NET_PORT */
#define PORTS_MAX      256u                /* single ports that are told to the kernel */
#define CREATE_VERSION 1u                  /* LANDLOCK_CREATE_RULESET_VERSION */

#define READ_RIGHTS   (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define OPEN_RIGHTS   (LANDLOCK_ACCESS_FS_READ_FILE)
#define UNLINK_RIGHTS (LANDLOCK_ACCESS_FS_REMOVE_FILE)
#define WRITE_RIGHTS                                                      \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |    \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM | FS_REFER | FS_TRUNCATE)
/* The kernel takes only these for a path that is no directory (security/landlock/fs.c). */
#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE)

/* The kernel's struct landlock_ruleset_attr as of ABI 6; shorter kernels take a zero tail. */
struct ruleset_attr {
	uint64_t handled_access_fs;
	uint64_t handled_access_net;
	uint64_t scoped;
};

struct port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

struct ruleset {
	int fd;
	uint64_t handled;
	uint64_t handled_net;
	struct mf_error *err;
};

int mf_confine_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

	return abi > 0 ? (int)abi : 0;
}

/* Ports that can be told to the kernel one by one; false: there are too many. */
static bool count_ports(const struct mf_permit_net *net, enum mf_net_use use)
{
	size_t count, total = 0;
	const unsigned int(*ports)[2] = mf_permit_net_ports(net, use, &count);

	for (size_t i = 0; i < count && total <= PORTS_MAX; i++)
		total += ports[i][1] - ports[i][0] + 1;
	return total <= PORTS_MAX;
}

static uint64_t handled_net(const struct mf_permit_net *net)
{
	uint64_t handled = NET_BIND | NET_CONNECT;

	if (net && !count_ports(net, MF_NET_LISTEN))
		handled &= ~NET_BIND;
	if (net && !count_ports(net, MF_NET_CONNECT))
		handled &= ~NET_CONNECT;
	return handled;
}

static bool has_unix(const struct mf_permit_net *net)
{
	return net && (mf_permit_net_has(net, MF_NET_CONNECT, AF_UNIX) ||
		       mf_permit_net_has(net, MF_NET_LISTEN, AF_UNIX));
}

static struct ruleset_attr attr_for(int abi, const struct mf_permit_net *net)
{
	struct ruleset_attr attr = {.handled_access_fs = FS_ABI1};

	if (abi >= 2)
		attr.handled_access_fs |= FS_REFER;
	if (abi >= 3)
		attr.handled_access_fs |= FS_TRUNCATE;
	if (abi >= 4)
		attr.handled_access_net = handled_net(net);
	if (abi >= 5)
		attr.handled_access_fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		attr.scoped = (has_unix(net) ? 0 : SCOPE_SOCKET) | SCOPE_SIGNAL;
	return attr;
}

static int add_ports(struct ruleset *set, const struct mf_permit_net *net, enum mf_net_use use,
		     uint64_t right)
{
	size_t count = 0;
	const unsigned int(*ports)[2] = net ? mf_permit_net_ports(net, use, &count) : NULL;

	for (size_t i = 0; i < count && set->handled_net & right; i++) {
		for (unsigned int port = ports[i][0]; port <= ports[i][1]; port++) {
			struct port_attr rule = {right, port};

			if (syscall(SYS_landlock_add_rule, set->fd, RULE_PORT, &rule, 0))
				return mf_error_set(set->err, -errno,
						    "confinement: cannot allow port %u: %s", port,
						    strerror(errno));
		}
	}
	return 0;
}

static int add_fd(struct ruleset *set, int fd, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rights &= FILE_RIGHTS;
	rule.allowed_access = rights & set->handled;
	if (rule.allowed_access == 0)
		return 0;
	return syscall(SYS_landlock_add_rule, set->fd, RULE_PATH, &rule, 0) == 0 ? 0 : -errno;
}

static int add_path(struct ruleset *set, const char *path, uint64_t rights)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	rc = add_fd(set, fd, rights);
	close(fd);
	return rc;
}

static int add_list(struct ruleset *set, const char *const *paths, size_t count, uint64_t rights)
{
	for (size_t i = 0; i < count; i++) {
		int rc = add_path(set, paths[i], rights);

		if (rc != 0)
			return mf_error_set(set->err, rc, "confinement: cannot allow %s: %s",
					    paths[i], strerror(-rc));
	}
	return 0;
}

/* What the runtime reads to print a report: maps, the program itself, shared libraries. */
static void add_sanitizer_paths(struct ruleset *set)
{
	static const char *const paths[] = {"/proc", "/usr", "/lib", "/lib64", "/proc/self/exe"};

	for (size_t i = 0; MF_CONFINE_SANITIZER && i < sizeof(paths) / sizeof(paths[0]); i++)
		add_path(set, paths[i], READ_RIGHTS);
}

static int fill_and_enforce(struct ruleset *set, const struct mf_confine *c)
{
	int rc = add_list(set, c->read_paths, c->read_path_count, READ_RIGHTS);

	if (rc == 0)
		rc = add_list(set, c->write_paths, c->write_path_count,
			      WRITE_RIGHTS | (has_unix(c->net) ? LANDLOCK_ACCESS_FS_MAKE_SOCK : 0));
	if (rc == 0)
		rc = add_list(set, c->open_paths, c->open_path_count, OPEN_RIGHTS);
	if (rc == 0)
		rc = add_list(set, c->unlink_dirs, c->unlink_dir_count, UNLINK_RIGHTS);
	if (rc == 0)
		rc = add_ports(set, c->net, MF_NET_LISTEN, NET_BIND);
	if (rc == 0)
		rc = add_ports(set, c->net, MF_NET_CONNECT, NET_CONNECT);
	if (rc != 0)
		return rc;
	add_sanitizer_paths(set);
	if (syscall(SYS_landlock_restrict_self, set->fd, 0) != 0)
		return mf_error_set(set->err, -errno, "confinement: cannot enforce Landlock: %s",
				    strerror(errno));
	return 0;
}

int mf_confine_landlock(const struct mf_confine *confine, struct mf_confine_report *report,
			struct mf_error *err)
{
	int abi = mf_confine_landlock_abi();
	struct ruleset_attr attr = attr_for(abi, confine->net);
	struct ruleset set = {
		.handled = attr.handled_access_fs,
		.handled_net = attr.handled_access_net,
		.err = err,
	};
	int rc;

	if (abi == 0 && (confine->flags & MF_CONFINE_NEED_LANDLOCK) != 0)
		return mf_error_set(
			err, -ENOTSUP,
			"confinement: this kernel offers no Landlock (lsm= without it, or "
			"denied by the container)");
	if (abi == 0) {
		report->landlock_all = false;
		return 0;
	}
	set.fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (set.fd < 0)
		return mf_error_set(err, -errno,
				    "confinement: cannot create a Landlock ruleset: %s",
				    strerror(errno));
	rc = fill_and_enforce(&set, confine);
	close(set.fd);
	if (rc != 0)
		return rc;
	report->landlock_abi = abi;
	report->landlock_net = attr.handled_access_net != 0;
	report->landlock_scoped = attr.scoped != 0;
	return 0;
}
