// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/health.h"

struct mf_health {
	struct mf_front *front;
	mf_health_ready_fn *ready;
	mf_health_metrics_fn *metrics;
	void *arg;
	void (*done)(void *arg);
	void *done_arg;
};

static bool is_text(const struct mf_abi_request *abi, struct mf_abi_slice slice, const char *text)
{
	const char *at = (const char *)abi + slice.offset;
	size_t length = strlen(text);

	/* a query is ignored; a method cannot hold a '?' */
	return strncmp(at, text, length) == 0 && (at[length] == '\0' || at[length] == '?');
}

static const char plain[] = "Content-Type: text/plain\r\nCache-Control: no-store\r\n";
static const char exposed[] = "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
			      "Cache-Control: no-store\r\n";

static void answer(struct mf_front_request *request, int status, const char *headers,
		   const char *text)
{
	struct mf_http_response response = {
		.status = status,
		.headers = headers,
		.headers_bytes = strlen(headers),
		.body = text,
		.body_bytes = strlen(text),
	};

	mf_front_respond(request, &response);
}

static void answer_metrics(struct mf_health *health, struct mf_front_request *request)
{
	char *text = health->metrics(health->arg);

	if (text)
		answer(request, 200, exposed, text);
	else
		answer(request, 503, plain, "no memory\n");
	free(text);
}

static int submit(void *backend, struct mf_front_request *request)
{
	struct mf_health *health = backend;
	const struct mf_abi_request *abi = request->abi;
	const char *reason;

	if (!is_text(abi, abi->method, "GET") && !is_text(abi, abi->method, "HEAD")) {
		mf_front_respond_error(request, 405, NULL);
	} else if (is_text(abi, abi->target, "/healthz")) {
		answer(request, 200, plain, "ok\n");
	} else if (is_text(abi, abi->target, "/readyz")) {
		reason = health->ready ? health->ready(health->arg) : NULL;
		answer(request, reason ? 503 : 200, plain, reason ? reason : "ready\n");
	} else if (health->metrics && is_text(abi, abi->target, "/metrics")) {
		answer_metrics(health, request);
	} else {
		mf_front_respond_error(request, 404, NULL);
	}
	return 0;
}

static void cancel(void *backend, struct mf_front_request *request)
{
	(void)backend; /* nothing runs longer than submit */
	(void)request;
}

static const struct mf_front_backend_ops ops = {.submit = submit, .cancel = cancel};

int mf_health_open(struct mf_health **out, uv_loop_t *loop, struct mf_listener *listener,
		   mf_health_ready_fn *ready, mf_health_metrics_fn *metrics, void *arg,
		   struct mf_error *err)
{
	struct mf_health *health = calloc(1, sizeof(*health));
	struct mf_front_settings settings;
	int code;

	*out = NULL;
	if (!health) {
		mf_listen_close(listener);
		return mf_error_set(err, -ENOMEM, "No memory for the health endpoint.");
	}
	health->ready = ready;
	health->metrics = metrics;
	health->arg = arg;
	mf_front_settings_default(&settings);
	settings.max_connections = 16;
	settings.idle_timeout_ms = 10 * 1000;
	settings.http.body_bytes = 0;
	settings.half_close = true;
	code = mf_front_open(&health->front, loop, listener, &settings, &ops, health, err);
	if (code) {
		free(health);
		return code;
	}
	*out = health;
	return 0;
}

static void on_closed(void *arg)
{
	struct mf_health *health = arg;
	void (*done)(void *) = health->done;
	void *done_arg = health->done_arg;

	mf_front_destroy(health->front);
	free(health);
	if (done)
		done(done_arg);
}

void mf_health_close(struct mf_health *health, void (*done)(void *arg), void *arg)
{
	health->done = done;
	health->done_arg = arg;
	mf_front_close(health->front, on_closed, health);
}
