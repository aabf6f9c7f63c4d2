/* SPDX-License-Identifier: MIT */
/* Root that becomes another user: what it says of itself then, what it may open, whose its files
 * are. */
#include "case.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>

/* The lines of /proc/self/status about it. */
static void show_status(void)
{
	char line[256];
	FILE *file = fopen("/proc/self/status", "r");

	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, "Uid:", 4) || !strncmp(line, "Gid:", 4) ||
		    !strncmp(line, "Groups:", 7))
			say("%s", line);
	}
	if (file)
		fclose(file);
}

static void show_ids(void)
{
	unsigned int u[3], g[3];
	gid_t groups[8];
	int i, count = (int)SYS(getgroups, 8, groups);

	SYS(getresuid, &u[0], &u[1], &u[2]);
	SYS(getresgid, &g[0], &g[1], &g[2]);
	say("uid %ld %ld: %u %u %u; gid %ld %ld: %u %u %u", SYS(getuid), SYS(geteuid), u[0], u[1],
	    u[2], SYS(getgid), SYS(getegid), g[0], g[1], g[2]);
	for (i = 0; i < count; i++)
		say("group %u", groups[i]);
	show_status();
}

static void show_owner(const char *name)
{
	struct stat st;

	if (SHOW(lstat(name, &st)) == 0)
		say("%s: %u %u %04o", name, st.st_uid, st.st_gid, st.st_mode & 07777);
}

static void step_down(void)
{
	gid_t groups[] = {50, 7};

	SHOW(SYS(setgroups, 2, groups));
	SHOW(SYS(setgid, 33));
	SHOW(SYS(setuid, 44));
}

CASE(daemons_step_down, linux_as_root, setgroups, setgid, setuid, getgroups, getuid, geteuid,
     getgid, getegid, getresuid, getresgid)
{
	unsigned int many[3];

	SHOW(SYS(setgroups, 65537, many));
	SHOW(SYS(setgroups, 2, NOWHERE));
	SHOW(SYS(setuid, -1));
	step_down();
	show_ids();
	SHOW(SYS(getgroups, 0, NULL));
	SHOW(SYS(getgroups, 1, many));
	SHOW(SYS(getgroups, -1, many));
	SHOW(SYS(getgroups, 2, NOWHERE));
	SHOW(SYS(setuid, 0));
	SHOW(SYS(setuid, 44));
	SHOW(SYS(setgid, 0));
	SHOW(SYS(setgid, 33));
	SHOW(SYS(setresuid, -1, 0, -1));
	SHOW(SYS(setgroups, 0, NULL));
	SHOW(SYS(prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
}

CASE(and_back_again, linux_as_root, setresuid, setreuid, setresgid, setregid)
{
	SHOW(SYS(setgroups, 0, NULL));
	SHOW(SYS(setresgid, -1, 33, -1));
	SHOW(SYS(setresuid, -1, 44, -1));
	show_ids();
	SHOW(SYS(setgid, 7));
	SHOW(SYS(setresuid, 5, -1, -1));
	SHOW(SYS(setresuid, -1, 0, -1));
	SHOW(SYS(setresgid, -1, 0, 9));
	show_ids();
	SHOW(SYS(setreuid, -1, 44));
	show_ids();
	SHOW(SYS(setreuid, 44, 0));
	show_ids();
	SHOW(SYS(setregid, 33, 34));
	SHOW(SYS(setreuid, 44, 44));
	show_ids();
	SHOW(SYS(setreuid, -1, 0));
	SHOW(SYS(setregid, 34, 33));
	SHOW(SYS(setregid, 1, -1));
	show_ids();
}

CASE(what_it_may_open, linux_as_root, open, openat, access, mkdir, unlink, rename)
{
	put_file("secret", "root's");
	put_file("told", "everybody's");
	chmod("secret", 0600);
	mkdir("closed", 0700);
	put_file("closed/inside", "x");
	mkdir("drop", 0700);
	SHOW(SYS(chown, "drop", 44, 33));
	show_owner("drop");
	step_down();
	SHOW(SYS(open, "secret", O_RDONLY));
	SHOW(SYS(open, "secret", O_WRONLY));
	SHOW(SYS(access, "secret", R_OK));
	WORKS(SYS(open, "told", O_RDONLY));
	SHOW(SYS(open, "told", O_RDWR));
	SHOW(SYS(open, "closed/inside", O_RDONLY));
	SHOW(SYS(open, "fresh", O_WRONLY | O_CREAT, 0644));
	SHOW(SYS(mkdir, "new", 0755));
	SHOW(SYS(unlink, "told"));
	SHOW(SYS(rename, "told", "drop/told"));
	SHOW(SYS(chmod, "told", 0666));
	WORKS(SYS(open, "drop/mine", O_WRONLY | O_CREAT, 0640));
	SHOW(SYS(mkdir, "drop/new", 0755));
	show_owner("drop/mine");
	show_owner("drop/new");
	SHOW(SYS(chmod, "drop/mine", 0600));
	SHOW(SYS(rename, "drop/mine", "drop/ours"));
	show_owner("drop/ours");
}

CASE(whose_a_file_is, linux_as_root, chown, fchown, lchown, fchownat)
{
	int fd;

	put_file("a", "1");
	put_file("b", "1");
	SHOW(symlink("a", "link"));
	SHOW(SYS(chown, "a", 44, -1));
	show_owner("a");
	SHOW(SYS(chown, "link", -1, 7));
	show_owner("a");
	SHOW(SYS(lchown, "b", 5, 6));
	show_owner("b");
	fd = open("b", O_RDWR);
	SHOW(SYS(fchown, fd, 44, 33));
	show_owner("b");
	SHOW(SYS(fchownat, fd, "", 44, 34, AT_EMPTY_PATH));
	show_owner("b");
	SHOW(SYS(fchownat, AT_FDCWD, "a", 44, 33, 0));
	show_owner("a");
	SHOW(SYS(chown, "none", 1, 1));
	step_down();
	SHOW(SYS(chown, "a", 44, 50)); /* a group that it is in */
	show_owner("a");
	SHOW(SYS(chown, "a", 44, 51));
	SHOW(SYS(chown, "a", 0, -1));
	SHOW(SYS(chown, "a", 44, 50));
	SHOW(SYS(fchown, fd, 45, -1));
}

CASE(as_another_for_files_alone, linux_as_root, setfsuid, setfsgid)
{
	put_file("secret", "root's");
	chmod("secret", 0600);
	SHOW(SYS(setfsgid, 33));
	SHOW(SYS(setfsuid, 44));
	SHOW(SYS(setfsuid, -1));
	SHOW(SYS(open, "secret", O_RDONLY));
	show_ids();
	SHOW(SYS(setfsuid, 0));
	WORKS(SYS(open, "secret", O_RDONLY));
	WORKS(SYS(open, "made", O_WRONLY | O_CREAT, 0644));
	show_owner("made");
}

/* The right to change ids can be kept, and given up. */
CASE(what_is_kept, linux_as_root, prctl, capget, capset)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	unsigned int mask = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_CHOWN;

	SHOW(SYS(capget, &header, data));
	SHOW((data[0].effective & mask) == mask);
	SHOW(SYS(prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
	SHOW(SYS(setuid, 44));
	SHOW(SYS(capget, &header, data));
	SHOW((data[0].permitted & mask) == mask);
	SHOW(data[0].effective);
	SHOW(SYS(setuid, 45));
	memset(data, 0, sizeof(data));
	data[0].permitted = data[0].effective = 1u << CAP_SETUID;
	SHOW(SYS(capset, &header, data));
	SHOW(SYS(setuid, 45));
	show_ids();
	SHOW(SYS(setgid, 45));
	data[0].permitted |= 1u << CAP_SETGID;
	SHOW(SYS(capset, &header, data));
	memset(data, 0, sizeof(data));
	SHOW(SYS(capset, &header, data));
	SHOW(SYS(setuid, 46));
}
