/* SPDX-License-Identifier: MIT */
/* Mayfly's own storage program: a key-value store on LMDB. usage: store FOLDER BYTES */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/sdk.h>

#include "admin.h"
#include "call.h"
#include "commit.h"
#include "env.h"
#include "place.h"
#include "redis/redis_calls.h"
#include "session.h"

#define READERS_SPARE 20u /* snapshots beside those of the channels' transactions */

static struct mf_storage_transactions transactions;

static int begin(const char *folder, size_t map_bytes, uint32_t channels)
{
	int ret;

	kv_compact_if_wanted(folder, map_bytes);
	if (kv_env_open(folder, map_bytes, channels + READERS_SPARE))
		return 1;
	ret = kv_admin_open(folder);
	if (!ret)
		ret = kv_calls_declare();
	if (!ret)
		ret = kv_scan_calls_declare();
	if (!ret)
		ret = kv_part_calls_declare();
	if (!ret)
		ret = kv_batch_call_declare();
	if (!ret)
		ret = kv_session_calls_declare();
	if (!ret)
		ret = kv_stat_call_declare();
	if (!ret)
		ret = kv_sessions_open(channels);
	if (!ret)
		ret = redis_declare(channels, &transactions);
	if (!ret)
		ret = kv_commit_start();
	if (!ret)
		kv_place_say();
	if (ret)
		fprintf(stderr, "%s: the store cannot begin: %s%s\n", folder, strerror(-ret),
			ret == -ENOMEM || ret == -EAGAIN ? "; raise --store-memory" : "");
	return ret;
}

/* For `mayfly store` alone: what the store's own file is not opened for. */
static int begin_mode(const char *mode, const char *folder, size_t map_bytes)
{
	int ret = -EINVAL;

	if (!strcmp(mode, MF_ADMIN_MODE_CHECK))
		ret = kv_check_declare(folder);
	else if (!strcmp(mode, MF_ADMIN_MODE_RESTORE))
		ret = kv_restore_open(folder, map_bytes);
	if (ret)
		fprintf(stderr, "%s: cannot begin: %s\n", folder, strerror(-ret));
	return ret;
}

static int serve(const char *mode)
{
	return mode ? mf_storage_serve(NULL) : mf_storage_serve_transactions(&transactions);
}

int main(int argc, char **argv)
{
	const struct mf_abi_store_control *control = (void *)MF_STORE_CONTROL_VA;
	size_t map_bytes;
	int ret;

	if (argc < 3 || argc > 4 || !mf_inside()) {
		fprintf(stderr, "this is the storage program of `mayfly serve --store`; it runs in "
				"its VM only\n");
		return 2;
	}
	/* What one thread may have is what there is: a heap of its own for the other would be
	 * promised without being there. */
	mallopt(M_ARENA_MAX, 1);
	map_bytes = strtoull(argv[2], NULL, 10);
	if (argv[3] ? begin_mode(argv[3], argv[1], map_bytes)
		    : begin(argv[1], map_bytes, control->channels))
		return 1;
	ret = serve(argv[3]);
	fprintf(stderr, "cannot serve the channels: %s%s\n", strerror(-ret),
		ret == -ENOMEM ? "; raise --store-memory" : "");
	return 1;
}
