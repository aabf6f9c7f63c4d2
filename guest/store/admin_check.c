/* SPDX-License-Identifier: MIT */
/* The check as calls. */
#include "admin.h"
#include "call.h"
#include "check.h"
#include "env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mayfly/sdk.h>
#include <stdio.h>
#include <unistd.h>

#define STEP_PAGES 256u
#define STEP_NS    50000000ull
#define TRIES      8u

static const char *store_folder;
static struct kv_check check;
static MDB_txn *pin; /* keeps the pages of what is looked at */
static bool begun;
static uint64_t used_ns;

static void end(void)
{
	if (!begun)
		return;
	kv_check_end(&check);
	close(check.fd);
	if (pin)
		mdb_txn_abort(pin);
	pin = NULL;
	begun = false;
}

static int open_file(void)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/data.mdb", store_folder);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A store that is served goes on being written: its head page is found while it is there. */
static int begin_pinned(int fd)
{
	int ret = -EAGAIN;

	for (unsigned int i = 0; i < TRIES && ret == -EAGAIN; i++) {
		if (kv_env())
			ret = kv_errno_of(mdb_txn_begin(kv_env(), NULL, MDB_RDONLY, &pin));
		else
			ret = 0;
		if (ret)
			break;
		ret = kv_check_begin(&check, fd, pin ? mdb_txn_id(pin) : UINT64_MAX);
		if (!ret)
			break;
		kv_check_end(&check);
		if (pin)
			mdb_txn_abort(pin);
		pin = NULL;
	}
	return ret;
}

static int begin(struct mf_storage_call *call)
{
	int ret;
	int fd;

	(void)call;
	if (begun && mf_clock_ns() - used_ns < MF_ADMIN_IDLE_MS * 1000000ull)
		return -EBUSY;
	end();
	fd = open_file();
	if (fd < 0)
		return fd;
	ret = begin_pinned(fd);
	begun = !ret;
	used_ns = mf_clock_ns();
	if (ret)
		close(fd);
	return ret;
}

static int step(struct mf_storage_call *call)
{
	struct mf_abi_admin_check reply;
	uint64_t until;
	int ret = 0;

	if (!begun)
		return -ESTALE;
	used_ns = mf_clock_ns();
	until = used_ns + STEP_NS;
	while (!ret && !check.over && mf_clock_ns() < until)
		ret = kv_check_step(&check, STEP_PAGES);
	if (!ret && check.is_newer)
		ret = -EPROTONOSUPPORT;
	if (ret) {
		end();
		return ret;
	}
	reply = (struct mf_abi_admin_check){.pages = check.pages,
					    .of_pages = check.last_page + 1,
					    .records = check.records,
					    .found = check.found,
					    .over = check.over,
					    .format = (uint32_t)check.format};
	kv_give(call, &reply, sizeof(reply));
	ret = kv_give(call, check.text, check.text_bytes);
	check.text_bytes = 0;
	if (check.over)
		end();
	return ret;
}

int kv_check_declare(const char *folder)
{
	int ret = kv_admin_declare(MF_ADMIN_CHECK_BEGIN, 0, 0, begin);

	store_folder = folder;
	return ret ? ret
		   : kv_admin_declare(MF_ADMIN_CHECK_STEP, 0,
				      sizeof(struct mf_abi_admin_check) + sizeof(check.text), step);
}
