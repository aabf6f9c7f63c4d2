/* SPDX-License-Identifier: MIT */
/* A call to a storage VM as the guest sees it, waiting in one way. */
#include "measure/host.h"
#include "measure/pair.h"

#include <errno.h>

#define CALLS 50u

static int calls(const struct mf_host *host, struct mf_pair *pair, struct mf_host_result *result)
{
	struct mf_loop loop = mf_host_loop(host, 100, 4);
	struct mf_world_request request;
	uint64_t took[CALLS] = {0};
	uint64_t parks = 0;
	size_t rounds = 0;
	double ns;
	size_t i;
	int ret;

	mf_world_request_make(&request, "/put", 1);
	ret = mf_pair_serve(pair, &request, took, sizeof(took), &ns);
	mf_world_request_make(&request, "/get", CALLS);
	while (!ret && mf_loop_next(&loop)) {
		parks = pair->parks;
		ret = mf_pair_serve(pair, &request, took, sizeof(took), &ns);
		parks = pair->parks - parks;
		rounds++;
		for (i = 0; !ret && i < CALLS && mf_loop_measured(&loop); i++)
			mf_samples_add(&result->samples, (double)took[i]);
	}
	result->warmup = loop.warmup;
	mf_host_count(result, "calls", CALLS);
	mf_host_count(result, "parks", (double)parks / CALLS);
	return rounds ? ret : ret ? ret : -EINTR;
}

int mf_host_store_call(const struct mf_host *host, const struct mf_host_case *self,
		       struct mf_host_result *result, struct mf_error *err)
{
	enum mf_store_wait wait = (enum mf_store_wait)self->arg;
	struct mf_pair pair;
	int ret;

	if (wait == MF_STORE_POLL && host->cpus.first == host->cpus.last)
		return mf_error_set(err, MF_HOST_SKIPPED, "polling needs a second CPU");
	ret = mf_pair_open(&pair, host->cpus, wait, err);
	if (!ret)
		ret = calls(host, &pair, result);
	mf_pair_close(&pair);
	return mf_host_failed(err, ret, "a call to a storage VM failed");
}
