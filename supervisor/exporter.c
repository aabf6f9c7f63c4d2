/* SPDX-License-Identifier: MIT */
#include "supervisor/exporter.h"
#include "supervisor/dashboard.h"

#include "engine/linux/permit_net.h"
#include "ipc/control/survey.h"
#include "request-vm/front/server.h"
#include "tenant/confine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

/* An engine that does not answer for so long is told as such. */
#define ENGINE_MS 700

/* Who asks again so soon gets what is known. */
#define FRESH_NS 300000000ull

/* Why a tenant is slow is told of so much time at the least. */
#define BEFORE_NS 1000000000ull

#define CONNECTIONS 64

enum page { PAGE_METRICS, PAGE_JSON };

/* A request that waits for the next survey. */
struct waiting {
	TAILQ_ENTRY(waiting) all;
	struct mf_front_request *request;
	enum page page;
};

struct exporter {
	const char *control;
	uv_loop_t loop;
	struct mf_front *front;
	TAILQ_HEAD(, waiting) waiting;
	uv_work_t work;
	bool works;
	struct mf_survey now; /* the work's while it works */
	struct mf_survey before;
	struct mf_error trouble;
	bool failed;
	char page_type[1024];
};

/* ---- answers ---- */

#define NO_STORE "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"

static const char metrics_type[] =
	"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" NO_STORE;
static const char json_type[] = "Content-Type: application/json\r\n" NO_STORE;
static const char text_type[] = "Content-Type: text/plain; charset=utf-8\r\n" NO_STORE;
#define PAGE_TYPE                                                                    \
	"Content-Type: text/html; charset=utf-8\r\nReferrer-Policy: no-referrer\r\n" \
	"X-Frame-Options: DENY\r\nContent-Security-Policy: %s\r\n" NO_STORE

static void answer(struct mf_front_request *request, int status, const char *headers,
		   const char *body, size_t bytes)
{
	struct mf_http_response response = {.status = status,
					    .headers = headers,
					    .headers_bytes = strlen(headers),
					    .body = body,
					    .body_bytes = bytes};

	mf_front_respond(request, &response);
}

static void answer_page(const struct exporter *exporter, struct mf_front_request *request,
			enum page page)
{
	char *text = NULL;

	if (exporter->failed) {
		answer(request, 503, text_type, exporter->trouble.text,
		       strlen(exporter->trouble.text));
		return;
	}
	if (page == PAGE_METRICS)
		text = mf_control_exposition(exporter->now.samples, exporter->now.count);
	else
		text = mf_survey_json(&exporter->now, &exporter->before);
	if (text)
		answer(request, 200, page == PAGE_METRICS ? metrics_type : json_type, text,
		       strlen(text));
	else
		mf_front_respond_error(request, 503, NULL);
	free(text);
}

/* ---- surveys, on another thread: an engine that does not answer holds up nobody's page ---- */

static void take_survey(uv_work_t *work)
{
	struct exporter *exporter = work->data;
	struct mf_survey now;

	exporter->trouble.text[0] = '\0';
	exporter->failed =
		mf_survey_take(&now, exporter->control, ENGINE_MS, &exporter->trouble) != 0;
	if (exporter->failed)
		return;
	if (now.when_ns - exporter->now.when_ns < BEFORE_NS) {
		mf_survey_finish(&exporter->now);
	} else {
		mf_survey_finish(&exporter->before);
		exporter->before = exporter->now;
	}
	exporter->now = now;
}

static void on_survey(uv_work_t *work, int status)
{
	struct exporter *exporter = work->data;
	struct waiting *waiting;

	(void)status;
	exporter->works = false;
	while ((waiting = TAILQ_FIRST(&exporter->waiting))) {
		TAILQ_REMOVE(&exporter->waiting, waiting, all);
		answer_page(exporter, waiting->request, waiting->page);
		free(waiting);
	}
}

static int wait_for_survey(struct exporter *exporter, struct mf_front_request *request,
			   enum page page)
{
	struct waiting *waiting = calloc(1, sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	waiting->request = request;
	waiting->page = page;
	request->data = waiting;
	TAILQ_INSERT_TAIL(&exporter->waiting, waiting, all);
	if (!exporter->works) {
		exporter->works = true;
		uv_queue_work(&exporter->loop, &exporter->work, take_survey, on_survey);
	}
	return 0;
}

/* ---- requests ---- */

static bool is_text(const struct mf_abi_request *abi, struct mf_abi_slice slice, const char *text)
{
	const char *at = (const char *)abi + slice.offset;
	size_t length = strlen(text);

	return strncmp(at, text, length) == 0 && (at[length] == '\0' || at[length] == '?');
}

static int show(struct exporter *exporter, struct mf_front_request *request, enum page page)
{
	bool fresh = !exporter->works && !exporter->failed && exporter->now.when_ns &&
		     uv_hrtime() - exporter->now.when_ns < FRESH_NS;

	if (!fresh)
		return wait_for_survey(exporter, request, page);
	answer_page(exporter, request, page);
	return 0;
}

static int submit(void *backend, struct mf_front_request *request)
{
	struct exporter *exporter = backend;
	const struct mf_abi_request *abi = request->abi;

	if (!is_text(abi, abi->method, "GET") && !is_text(abi, abi->method, "HEAD")) {
		mf_front_respond_error(request, 405, NULL);
	} else if (is_text(abi, abi->target, "/metrics")) {
		return show(exporter, request, PAGE_METRICS);
	} else if (is_text(abi, abi->target, "/v1/tenants")) {
		return show(exporter, request, PAGE_JSON);
	} else if (is_text(abi, abi->target, "/")) {
		answer(request, 200, exporter->page_type, mf_dashboard, mf_dashboard_bytes);
	} else {
		mf_front_respond_error(request, 404, NULL);
	}
	return 0;
}

static void cancel(void *backend, struct mf_front_request *request)
{
	struct exporter *exporter = backend;
	struct waiting *waiting = request->data;

	TAILQ_REMOVE(&exporter->waiting, waiting, all);
	free(waiting);
}

static const struct mf_front_backend_ops ops = {.submit = submit, .cancel = cancel};

/* ---- its life ---- */

/* It connects to Unix sockets, opens no file and starts nothing. */
static int confine(void)
{
	static const char *const sockets[] = {"unix:*"};
	struct mf_net_rules rules = {.rules = sockets, .count = 1};
	struct mf_confine confine = {0};
	struct mf_permit_net *net;
	struct mf_error err;
	int ret = mf_permit_net_create(&net, NULL, &rules, NULL, &err);

	if (!ret) {
		confine.net = net;
		ret = mf_confine_enter(&confine, NULL, &err);
		mf_permit_net_destroy(net);
	}
	if (ret)
		fprintf(stderr, "exporter: %s\n", err.text);
	return ret;
}

static int open_front(struct exporter *exporter, int fd)
{
	struct mf_front_settings settings;
	struct sockaddr_storage name;
	socklen_t bytes = sizeof(name);
	struct mf_listener listener = {.fd = fd, .name = "the metrics' address"};
	struct mf_error err;
	int ret;

	getsockname(fd, (struct sockaddr *)&name, &bytes);
	listener.is_unix = name.ss_family == AF_UNIX;
	mf_front_settings_default(&settings);
	settings.max_connections = CONNECTIONS;
	settings.http.body_bytes = 0;
	settings.half_close = true;
	ret = mf_front_open(&exporter->front, &exporter->loop, &listener, &settings, &ops, exporter,
			    &err);
	if (ret)
		fprintf(stderr, "exporter: %s\n", err.text);
	return ret;
}

int mf_exporter_run(int fd, const char *control)
{
	struct exporter *exporter = calloc(1, sizeof(*exporter));

	/* It ends when mayflyd does; the terminal's signals are mayflyd's. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (!exporter || !control || uv_loop_init(&exporter->loop))
		return 1;
	TAILQ_INIT(&exporter->waiting);
	exporter->control = control;
	exporter->work.data = exporter;
	snprintf(exporter->page_type, sizeof(exporter->page_type), PAGE_TYPE, mf_dashboard_policy);
	mf_survey_prepare();
	if (confine() || open_front(exporter, fd))
		return 1;
	uv_run(&exporter->loop, UV_RUN_DEFAULT);
	return 0;
}
