/* SPDX-License-Identifier: MIT */
#include "ipc/control/survey.h"
#include "ipc/control/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Asked at a time: more than a machine has that are stuck. */
#define THREADS_MAX 16u

struct round {
	struct mf_survey *survey;
	unsigned int timeout_ms;
	uint64_t until_ns; /* nobody is asked any more */
	size_t next;       /* atomic */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static void take(struct mf_control_sample *sample, const struct mf_control_reply *reply)
{
	sample->answered = reply->ok && reply->has_status && reply->times;
	if (!sample->answered)
		return;
	sample->status = reply->status;
	sample->times = *reply->times;
}

static void *ask_some(void *arg)
{
	struct round *round = arg;
	struct mf_control_reply reply;
	struct mf_error err;
	size_t i;

	while ((i = __atomic_fetch_add(&round->next, 1, __ATOMIC_RELAXED)) < round->survey->count &&
	       now_ns() < round->until_ns) {
		struct mf_control_sample *sample = &round->survey->samples[i];

		if (!*sample->control ||
		    mf_control_ask(sample->control, "times", round->timeout_ms, &reply, &err))
			continue;
		take(sample, &reply);
		mf_control_reply_finish(&reply);
	}
	return NULL;
}

static void ask_all(struct mf_survey *survey, unsigned int timeout_ms)
{
	struct round round = {.survey = survey,
			      .timeout_ms = timeout_ms,
			      .until_ns = now_ns() + timeout_ms * 1000000ull};
	pthread_t threads[THREADS_MAX];
	size_t wanted = survey->count < THREADS_MAX ? survey->count : THREADS_MAX;
	size_t count = 0;

	while (count < wanted && !pthread_create(&threads[count], NULL, ask_some, &round))
		count++;
	if (!count)
		ask_some(&round);
	while (count)
		pthread_join(threads[--count], NULL);
}

static int take_tenants(struct mf_survey *survey, const struct mf_control_reply *list)
{
	size_t i;

	survey->is_daemon = true;
	survey->samples = calloc(list->tenant_count + 1, sizeof(*survey->samples));
	if (!survey->samples)
		return -ENOMEM;
	survey->count = list->tenant_count;
	for (i = 0; i < survey->count; i++) {
		struct mf_control_sample *sample = &survey->samples[i];

		memcpy(sample->tenant, list->tenants[i].name, sizeof(sample->tenant));
		memcpy(sample->state, list->tenants[i].state, sizeof(sample->state));
		memcpy(sample->control, list->tenants[i].control, sizeof(sample->control));
		sample->restarts = list->tenants[i].restarts;
	}
	return 0;
}

/* It knows no tenants: an engine by itself. */
static int take_one(struct mf_survey *survey, const char *path, unsigned int timeout_ms,
		    struct mf_error *err)
{
	struct mf_control_reply reply;
	int code = mf_control_ask(path, "times", timeout_ms, &reply, err);

	if (code)
		return code;
	survey->samples = calloc(1, sizeof(*survey->samples));
	if (survey->samples) {
		survey->count = 1;
		take(survey->samples, &reply);
		memcpy(survey->samples->state, reply.status.state, sizeof(survey->samples->state));
		if (!survey->samples->answered)
			code = mf_error_set(err, -EPROTO, "%s",
					    reply.ok ? "it tells no times" : reply.error.text);
	} else {
		code = mf_error_set(err, -ENOMEM, "not enough memory");
	}
	mf_control_reply_finish(&reply);
	return code;
}

int mf_survey_take(struct mf_survey *survey, const char *path, unsigned int timeout_ms,
		   struct mf_error *err)
{
	struct mf_control_reply list;
	struct timespec clock;
	int code = mf_control_ask(path, "list", timeout_ms, &list, err);

	*survey = (struct mf_survey){.when_ns = now_ns()};
	if (code)
		return code;
	if (!list.ok) {
		code = take_one(survey, path, timeout_ms, err);
	} else if (take_tenants(survey, &list)) {
		code = mf_error_set(err, -ENOMEM, "not enough memory for %zu tenants",
				    list.tenant_count);
	} else {
		ask_all(survey, timeout_ms);
	}
	mf_control_reply_finish(&list);
	if (code)
		mf_survey_finish(survey);
	survey->when_ns = now_ns();
	clock_gettime(CLOCK_REALTIME, &clock);
	survey->time = (double)clock.tv_sec + (double)clock.tv_nsec / 1e9;
	return code;
}

void mf_survey_finish(struct mf_survey *survey)
{
	free(survey->samples);
	survey->samples = NULL;
	survey->count = 0;
}

const struct mf_control_sample *mf_survey_find(const struct mf_survey *survey, const char *tenant)
{
	size_t i;

	for (i = 0; i < survey->count; i++)
		if (!strcmp(survey->samples[i].tenant, tenant))
			return &survey->samples[i];
	return NULL;
}
