/* SPDX-License-Identifier: MIT */
/* Mayfly's own storage program: a key-value store on LMDB. usage: store FOLDER BYTES */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mayfly/sdk.h>

#include "kv.h"

int main(int argc, char **argv)
{
	int ret;

	if (argc != 3 || !mf_inside()) {
		fprintf(stderr, "this is the storage program of `mayfly serve --store`; it runs in "
				"its VM only\n");
		return 2;
	}
	if (kv_open(argv[1], strtoull(argv[2], NULL, 10)))
		return 1;
	ret = mf_storage_serve(&kv_group);
	fprintf(stderr, "cannot serve the channels: %s%s\n", strerror(-ret),
		ret == -ENOMEM ? "; raise --store-memory" : "");
	return 1;
}
