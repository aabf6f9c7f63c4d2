/* SPDX-License-Identifier: MIT */
#include "tenant/confine.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tenant/confine_steps.h"

#define FLAGS_KNOWN (MF_CONFINE_OPEN_FILES | MF_CONFINE_CHANGE_FILES | MF_CONFINE_NEED_LANDLOCK)

static int check_settings(const struct mf_confine *c, struct mf_error *err)
{
	bool open_files = (c->flags & MF_CONFINE_OPEN_FILES) != 0;

	if ((c->flags & ~(unsigned)FLAGS_KNOWN) != 0)
		return mf_error_set(err, -EINVAL, "confinement: unknown flags 0x%x", c->flags);
	if (!open_files && (c->flags & MF_CONFINE_CHANGE_FILES) != 0)
		return mf_error_set(err, -EINVAL,
				    "confinement: changing files needs opening files as well");
	if (!open_files &&
	    (c->read_path_count != 0 || c->write_path_count != 0 || c->open_path_count != 0))
		return mf_error_set(err, -EINVAL,
				    "confinement: paths are allowed but opening files is not");
	return 0;
}

/* A directory has two links plus one for each directory in it: procfs counts threads so. */
static unsigned count_threads(void)
{
	struct stat st;

	if (stat("/proc/self/task", &st) != 0 || st.st_nlink < 3)
		return 0;
	return (unsigned)(st.st_nlink - 2);
}

static int check_threads(const struct mf_confine *c, struct mf_confine_report *report,
			 struct mf_error *err)
{
	report->threads = count_threads();
	report->landlock_all = report->threads == 1;
	if ((c->flags & MF_CONFINE_OPEN_FILES) == 0 || report->landlock_all || MF_CONFINE_SANITIZER)
		return 0;
	if (report->threads == 0)
		return mf_error_set(err, -EBUSY,
				    "confinement: cannot count threads: /proc is not mounted");
	return mf_error_set(err, -EBUSY,
			    "confinement: %u threads run already and Landlock would miss them",
			    report->threads);
}

/* `value` is cut to the hard limit; with `lower_hard` the hard limit comes down to it too. */
static int limit(int which, const char *name, uint64_t value, bool lower_hard, struct mf_error *err)
{
	struct rlimit r;

	if (getrlimit(which, &r) != 0)
		return mf_error_set(err, -errno, "confinement: cannot read %s: %s", name,
				    strerror(errno));
	r.rlim_cur = value < r.rlim_max ? value : r.rlim_max;
	if (lower_hard)
		r.rlim_max = r.rlim_cur;
	if (setrlimit(which, &r) != 0)
		return mf_error_set(err, -errno, "confinement: cannot set %s: %s", name,
				    strerror(errno));
	return 0;
}

static int apply_limits(const struct mf_confine *c, struct mf_confine_report *report,
			struct mf_error *err)
{
	struct rlimit nofile;
	int rc = limit(RLIMIT_CORE, "RLIMIT_CORE", 0, true, err);

	if (rc == 0)
		rc = limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", UINT64_MAX, false, err);
	if (rc == 0 && c->nproc_max != 0)
		rc = limit(RLIMIT_NPROC, "RLIMIT_NPROC", c->nproc_max, true, err);
	if (rc == 0 && c->memlock_bytes != 0)
		rc = limit(RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK", c->memlock_bytes, false, err);
	if (rc == 0 && getrlimit(RLIMIT_NOFILE, &nofile) == 0)
		report->nofile = nofile.rlim_cur;
	return rc;
}

int mf_confine_enter(const struct mf_confine *confine, struct mf_confine_report *report,
		     struct mf_error *err)
{
	struct mf_confine_report unused;
	int rc;

	if (report == NULL)
		report = &unused;
	*report = (struct mf_confine_report){.sanitizer = MF_CONFINE_SANITIZER};
	rc = check_settings(confine, err);
	if (rc == 0)
		rc = check_threads(confine, report, err);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = mf_error_set(err, -errno, "confinement: cannot set no_new_privs: %s",
				  strerror(errno));
	if (rc == 0)
		rc = apply_limits(confine, report, err);
	if (rc == 0)
		rc = mf_confine_landlock(confine, report, err);
	if (rc == 0)
		rc = mf_confine_seccomp(confine, report, err);
	return rc;
}
