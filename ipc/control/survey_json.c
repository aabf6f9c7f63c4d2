/* SPDX-License-Identifier: MIT */
#include "ipc/control/message.h"
#include "ipc/control/survey.h"
#include "ipc/control/why.h"

#include <jansson.h>
#include <string.h>
#include <sys/random.h>

#define VERSION 1

static json_t *why_json(const struct mf_control_sample *now, const struct mf_control_sample *before)
{
	static const struct mf_control_status nothing;
	bool same = before && before->answered && before->status.pid == now->status.pid;
	struct mf_control_why why = mf_control_why(&now->status, same ? &before->status : &nothing);

	return json_pack("{s:s, s:s, s:f}", "what", why.what, "behind", why.behind, "part",
			 why.part);
}

/* Takes the value, also in failure. */
static bool put(json_t *to, const char *name, json_t *value)
{
	return !json_object_set_new(to, name, value);
}

static json_t *sample_json(const struct mf_control_sample *now,
			   const struct mf_control_sample *before)
{
	json_t *made = json_pack("{s:b, s:I}", "answered", now->answered, "restarts",
				 (json_int_t)now->restarts);
	bool good = made && put(made, "name", mf_control_json_text(now->tenant)) &&
		    put(made, "state", mf_control_json_text(now->state));

	if (good && now->answered)
		good = put(made, "status", mf_control_status_json(&now->status)) &&
		       put(made, "times", mf_control_times_json(&now->times, 1)) &&
		       put(made, "why", why_json(now, before));
	if (good)
		return made;
	json_decref(made);
	return NULL;
}

char *mf_survey_json(const struct mf_survey *now, const struct mf_survey *before)
{
	json_t *root;
	json_t *list = json_array();
	char *text = NULL;
	size_t i;
	int failed = !list;

	for (i = 0; i < now->count && !failed; i++)
		failed = json_array_append_new(
			list, sample_json(&now->samples[i],
					  mf_survey_find(before, now->samples[i].tenant)));
	root = failed ? NULL
		      : json_pack("{s:i, s:f, s:O}", "version", VERSION, "time", now->time,
				  "tenants", list);
	json_decref(list);
	if (root)
		text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(16));
	json_decref(root);
	return text;
}

/* jansson would look for a seed in /dev/urandom, at its first object: then there are no files. */
void mf_survey_prepare(void)
{
	size_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (size_t)&seed;
	json_object_seed(seed);
}
