/* SPDX-License-Identifier: MIT */
#include "tenant/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct job {
	struct mf_job base;
	struct mf_front_request *request;       /* no more once base.over */
	struct mf_front_connection *connection; /* the client's */
};

/* Kept of a client's connection: it and the VM that it has. */
struct lease {
	struct mf_lease base;
	struct mf_front_connection *connection;
};

/* Of what the store did not take, or may not have taken. */
static void answer_store(struct mf_front_request *request, int status)
{
	if (status == -ENOSPC || status == -EDQUOT)
		mf_front_respond_error(request, 507, NULL);
	else if (status == -ETIMEDOUT)
		mf_front_respond_error(request, 503, "age");
	else if (status == -ESTALE)
		mf_front_respond_error(request, 503, "fenced");
	else
		mf_front_respond_error(request, 503, status == -ECONNRESET ? "commit" : "store");
}

/* What a client is told: the status table of docs/design.md. */
static void answer(struct mf_front_request *request, enum mf_outcome outcome, int store_status,
		   const struct mf_function_response *response)
{
	struct mf_http_response http;

	switch (outcome) {
	case MF_OUTCOME_OK:
		http = (struct mf_http_response){response->status, response->headers,
						 response->headers_bytes, response->body,
						 response->body_bytes};
		mf_front_respond(request, &http);
		break;
	case MF_OUTCOME_DEADLINE:
		mf_front_respond_error(request, 504, store_status ? "commit" : NULL);
		break;
	case MF_OUTCOME_CONFLICT:
		mf_front_respond_error(request, 409, NULL);
		break;
	case MF_OUTCOME_STORE:
		answer_store(request, store_status);
		break;
	case MF_OUTCOME_TOO_LARGE:
		mf_front_respond_error(request, 413, NULL);
		break;
	case MF_OUTCOME_KEPT:
		mf_front_respond_error(request, 503, mf_outcome_name(outcome));
		break;
	default:
		mf_front_respond_error(request, 502, mf_outcome_name(outcome));
	}
}

static void on_done(struct mf_job *base, enum mf_outcome outcome,
		    const struct mf_function_response *response)
{
	struct job *job = (struct job *)base;

	job->connection->slow = base->slow;
	if (!base->over) {
		job->request->vm = base->vm;
		job->request->exits = base->exits;
		job->request->outcome = mf_outcome_name(outcome);
		answer(job->request, outcome, base->store_status, response);
	}
	free(job);
}

static void on_lost(struct mf_lease *base)
{
	struct lease *lease = (struct lease *)base;

	lease->connection->kept = NULL;
	mf_front_end_connection(lease->connection);
	free(lease);
}

/* -ENOMEM. */
static int find_lease(struct mf_front_connection *connection, struct mf_lease **out)
{
	struct lease *lease = connection->kept;

	if (!lease)
		lease = calloc(1, sizeof(*lease));
	if (!lease)
		return -ENOMEM;
	lease->base.lost = on_lost;
	lease->connection = connection;
	connection->kept = lease;
	*out = &lease->base;
	return 0;
}

static void on_ended(void *backend, struct mf_front_connection *connection)
{
	struct mf_worker *worker = backend;
	struct lease *lease = connection->kept;

	mf_pool_release(worker->pool, &lease->base);
	free(lease);
}

/* -ENOMEM. */
static int make_job(struct mf_worker *worker, struct mf_front_request *request, struct job **out)
{
	struct job *job = calloc(1, sizeof(*job));
	int ret = job ? 0 : -ENOMEM;

	if (!ret && worker->settings.end == MF_END_CONNECTION)
		ret = find_lease(request->connection, &job->base.lease);
	if (ret) {
		free(job);
		return ret;
	}
	job->base.request = request->abi;
	job->base.request_bytes = request->size_bytes;
	job->base.pieces = request->abi ? NULL : request;
	job->connection = request->connection;
	job->base.done = on_done;
	job->base.slow = request->connection->slow;
	job->request = request;
	*out = job;
	return 0;
}

static int on_submit(void *backend, struct mf_front_request *request)
{
	struct mf_worker *worker = backend;
	struct job *job;
	int ret;

	if (worker->rate->each_ns && !mf_rate_take(worker->rate, mf_now_ns())) {
		worker->limited++;
		mf_front_respond_error(request, 429, NULL);
		return 0;
	}
	ret = make_job(worker, request, &job);
	if (ret)
		return ret;
	request->data = job;
	ret = mf_pool_submit(worker->pool, &job->base);
	if (!ret)
		return 0;
	if (job->base.lease && !job->base.lease->slot) {
		on_ended(worker, request->connection);
		request->connection->kept = NULL;
	}
	free(job);
	return ret;
}

static void on_cancel(void *backend, struct mf_front_request *request)
{
	struct mf_worker *worker = backend;
	struct job *job = request->data;

	mf_pool_cancel(worker->pool, &job->base);
	free(job);
}

static void on_record(void *backend, const struct mf_front_record *record)
{
	struct mf_worker *worker = backend;
	char line[MF_ACCESS_LINE_BYTES];
	struct timespec now;
	size_t bytes;

	clock_gettime(CLOCK_REALTIME, &now);
	bytes = mf_access_line(line, worker->access_form, record,
			       (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec);
	mf_journal_put(worker->access_log, line, bytes);
}

static void on_pieces(void *backend, struct mf_front_request *request)
{
	struct mf_worker *worker = backend;
	struct job *job = request->data;

	mf_pool_go_on(worker->pool, &job->base);
}

static const struct mf_front_backend_ops backend_ops = {
	.submit = on_submit, .cancel = on_cancel, .go_on = on_pieces, .ended = on_ended};
static const struct mf_front_backend_ops logging_ops = {.submit = on_submit,
							.cancel = on_cancel,
							.go_on = on_pieces,
							.ended = on_ended,
							.record = on_record};

static void tell_processor(struct mf_worker *worker)
{
	struct timespec cpu;

	if (!worker->begun_ns)
		return; /* its thread did not start */
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
	worker->report.cpu_ns = (uint64_t)cpu.tv_sec * 1000000000ull + (uint64_t)cpu.tv_nsec;
	worker->report.busy_ns = mf_now_ns() - worker->begun_ns - worker->idle_ns;
}

/* With the lock held. What is closed already has left its numbers behind. */
static void tell(struct mf_worker *worker)
{
	worker->report.front = worker->front ? *mf_front_stats(worker->front) : worker->front_stats;
	worker->report.pool = worker->pool ? *mf_pool_stats(worker->pool) : worker->pool_stats;
	worker->report.limited = worker->limited;
	worker->report.times = worker->pool ? *mf_pool_times(worker->pool) : worker->times;
	worker->report.requests = worker->front ? *mf_front_times(worker->front) : worker->requests;
	tell_processor(worker);
	worker->told = worker->asked;
	pthread_cond_signal(&worker->answer);
}

static void on_ask(uv_async_t *handle)
{
	struct mf_worker *worker = handle->data;

	pthread_mutex_lock(&worker->lock);
	tell(worker);
	pthread_mutex_unlock(&worker->lock);
}

static void on_before_wait(uv_prepare_t *handle)
{
	struct mf_worker *worker = handle->data;

	worker->asked_ns = mf_now_ns();
	mf_turns_ask(&worker->turns, uv_backend_timeout(&worker->loop) != 0, worker->asked_ns);
}

static void on_behind_wait(uv_check_t *handle)
{
	struct mf_worker *worker = handle->data;

	uint64_t now_ns = mf_now_ns();

	worker->idle_ns += now_ns - worker->asked_ns;
	mf_turns_begin(&worker->turns, now_ns);
}

static void close_handles(struct mf_worker *worker)
{
	uv_close((uv_handle_t *)&worker->before_wait, NULL);
	uv_close((uv_handle_t *)&worker->behind_wait, NULL);
	uv_close((uv_handle_t *)&worker->stop, NULL);
	uv_close((uv_handle_t *)&worker->ask, NULL);
}

static void on_pool_closed(void *arg)
{
	struct mf_worker *worker = arg;

	worker->pool_stats = *mf_pool_stats(worker->pool);
	worker->times = *mf_pool_times(worker->pool);
	worker->pool = NULL;
	pthread_mutex_lock(&worker->lock);
	worker->ended = true;
	tell(worker);
	close_handles(worker);
	pthread_mutex_unlock(&worker->lock);
}

static bool is_hurried(struct mf_worker *worker)
{
	return __atomic_load_n(&worker->hurry, __ATOMIC_ACQUIRE);
}

static void on_front_closed(void *arg)
{
	struct mf_worker *worker = arg;

	worker->front_stats = *mf_front_stats(worker->front);
	worker->requests = *mf_front_times(worker->front);
	mf_front_destroy(worker->front);
	worker->front = NULL;
	mf_pool_close(worker->pool, is_hurried(worker), on_pool_closed, worker);
}

static void on_stop(uv_async_t *handle)
{
	struct mf_worker *worker = handle->data;

	if (!worker->front && worker->pool && is_hurried(worker))
		mf_pool_close(worker->pool, true, on_pool_closed, worker);
	if (!worker->front)
		return;
	if (is_hurried(worker))
		mf_front_close(worker->front, on_front_closed, worker);
	else
		mf_front_drain(worker->front, on_front_closed, worker);
}

static int open_front(struct mf_worker *worker, struct mf_error *err)
{
	struct mf_listener listener = {.fd = worker->listen_fd, .is_router = worker->is_router};
	int ret;

	worker->listen_fd = -1;
	ret = mf_front_open(&worker->front, &worker->loop, &listener, &worker->front_settings,
			    worker->access_log ? &logging_ops : &backend_ops, worker, err);
	if (ret)
		mf_pool_close(worker->pool, true, on_pool_closed, worker);
	return ret;
}

static void init_handles(struct mf_worker *worker)
{
	pthread_condattr_t clock;

	pthread_mutex_init(&worker->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&worker->answer, &clock);
	pthread_condattr_destroy(&clock);
	uv_async_init(&worker->loop, &worker->stop, on_stop);
	uv_async_init(&worker->loop, &worker->ask, on_ask);
	uv_prepare_init(&worker->loop, &worker->before_wait);
	uv_check_init(&worker->loop, &worker->behind_wait);
	uv_prepare_start(&worker->before_wait, on_before_wait);
	uv_check_start(&worker->behind_wait, on_behind_wait);
	worker->stop.data = worker->ask.data = worker;
	worker->before_wait.data = worker->behind_wait.data = worker;
}

int mf_worker_open(struct mf_worker *worker, struct mf_error *err)
{
	int ret = uv_loop_init(&worker->loop);

	if (ret) {
		close(worker->listen_fd);
		return mf_error_set(err, ret, "cannot make an event loop: %s", uv_strerror(ret));
	}
	init_handles(worker);
	ret = mf_pool_create(&worker->pool, &worker->loop, worker->image, worker->ready,
			     worker->policy, &worker->settings,
			     mf_watchdog_worker(worker->watchdog, worker->index), err);
	if (ret) {
		close(worker->listen_fd);
		close_handles(worker);
	} else {
		ret = open_front(worker, err);
	}
	if (ret) {
		uv_run(&worker->loop, UV_RUN_DEFAULT);
		uv_loop_close(&worker->loop);
	}
	return ret;
}

static void *work(void *arg)
{
	struct mf_worker *worker = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker %u", worker->index);
	pthread_setname_np(pthread_self(), name);
	mf_watchdog_worker(worker->watchdog, worker->index);
	worker->begun_ns = mf_now_ns();
	mf_turns_init(&worker->turns, worker->priority, worker->begun_ns);
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	return NULL;
}

int mf_worker_start(struct mf_worker *worker, struct mf_error *err)
{
	int ret = pthread_create(&worker->thread, NULL, work, worker);

	if (!ret)
		return 0;
	/* Close what was opened, here. */
	worker->hurry = true;
	on_stop(&worker->stop);
	uv_run(&worker->loop, UV_RUN_DEFAULT);
	uv_loop_close(&worker->loop);
	return mf_error_set(err, -ret, "cannot start a worker thread: %s; raise `ulimit -u`",
			    strerror(ret));
}

void mf_worker_stop(struct mf_worker *worker, bool hurry)
{
	if (hurry)
		__atomic_store_n(&worker->hurry, true, __ATOMIC_RELEASE);
	pthread_mutex_lock(&worker->lock);
	if (!worker->ended)
		uv_async_send(&worker->stop);
	pthread_mutex_unlock(&worker->lock);
}

void mf_worker_ask(struct mf_worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->asked++;
	if (!worker->ended)
		uv_async_send(&worker->ask);
	pthread_mutex_unlock(&worker->lock);
}

bool mf_worker_told(struct mf_worker *worker, struct mf_worker_report *report, uint64_t until_ns)
{
	struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000ull),
				 .tv_nsec = (long)(until_ns % 1000000000ull)};
	int late = 0;
	bool told;

	pthread_mutex_lock(&worker->lock);
	while (!worker->ended && worker->told != worker->asked && !late)
		late = pthread_cond_timedwait(&worker->answer, &worker->lock, &until);
	told = worker->ended || worker->told == worker->asked;
	*report = worker->report;
	pthread_mutex_unlock(&worker->lock);
	return told;
}

void mf_worker_join(struct mf_worker *worker)
{
	pthread_join(worker->thread, NULL);
	uv_loop_close(&worker->loop);
}
