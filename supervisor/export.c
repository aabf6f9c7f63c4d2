/* SPDX-License-Identifier: MIT */
/* The exporter as mayflyd sees it: an address, and a process that is there while it is wanted. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_MS 100

static int start_process(struct mf_supervisor *supervisor, struct mf_error *err);

static void on_again(uv_timer_t *timer)
{
	struct mf_supervisor *supervisor = timer->data;
	struct mf_error err;

	if (!supervisor->stopping && start_process(supervisor, &err)) {
		mf_log(supervisor, MF_LOG_ERROR, "exporter-failed", NULL, NULL, "%s", err.text);
		uv_timer_start(timer, on_again, 10 * AGAIN_MS, 0);
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct mf_supervisor *supervisor = handle->data;
	unsigned int failures = supervisor->exporter_failures;

	close(supervisor->exporter_pidfd);
	supervisor->exporter_pidfd = -1;
	if (!supervisor->stopping)
		uv_timer_start(&supervisor->exporter_again, on_again,
			       AGAIN_MS << (failures < 8 ? failures : 8), 0);
}

static void on_exited(uv_poll_t *poll, int code, int events)
{
	struct mf_supervisor *supervisor = poll->data;
	int status = 0;

	(void)code;
	(void)events;
	if (waitpid(supervisor->exporter_pid, &status, WNOHANG) != supervisor->exporter_pid)
		return;
	supervisor->exporter_pid = 0;
	if (uv_now(&supervisor->loop) - supervisor->exporter_started_ms > 30000)
		supervisor->exporter_failures = 0;
	else
		supervisor->exporter_failures++;
	if (!supervisor->stopping)
		mf_log(supervisor, MF_LOG_ERROR, "exporter-died", NULL, NULL,
		       "the exporter of metrics ended (status %d)", status);
	uv_close((uv_handle_t *)poll, on_closed);
}

static int start_process(struct mf_supervisor *supervisor, struct mf_error *err)
{
	char number[16];
	const char *control = supervisor->config->values.daemon.control;
	char *argv[] = {
		"mayflyd", "--exporter", number, "--exporter-control", (char *)(uintptr_t)control,
		NULL};
	int keep[] = {supervisor->exported.fd, -1};
	struct mf_spawn how = {.program = "/proc/self/exe",
			       .argv = argv,
			       .env = environ,
			       .keep = keep,
			       .output = -1};
	pid_t pid;

	snprintf(number, sizeof(number), "%d", supervisor->exported.fd);
	pid = mf_spawn(&how, &supervisor->exporter_pidfd);
	if (pid < 0)
		return mf_error_set(err, pid, "cannot start the exporter of metrics: %s",
				    strerror(-pid));
	supervisor->exporter_pid = pid;
	supervisor->exporter_started_ms = uv_now(&supervisor->loop);
	uv_poll_init(&supervisor->loop, &supervisor->exporter_exited, supervisor->exporter_pidfd);
	supervisor->exporter_exited.data = supervisor;
	uv_poll_start(&supervisor->exporter_exited, UV_READABLE, on_exited);
	return 0;
}

int mf_export_start(struct mf_supervisor *supervisor, struct mf_error *err)
{
	const struct mf_daemon_values *values = &supervisor->config->values.daemon;
	int ret;

	if (!values->metrics)
		return 0;
	if (!values->control)
		return mf_error_set(err, -EINVAL,
				    "metrics needs control = \"unix:PATH\": tenants are asked "
				    "there");
	ret = mf_listen_open(&supervisor->exported, values->metrics, err);
	if (!ret)
		ret = start_process(supervisor, err);
	if (!ret)
		mf_log(supervisor, MF_LOG_INFO, "metrics", NULL, NULL, "metrics on %s",
		       supervisor->exported.name);
	return ret;
}

void mf_export_stop(struct mf_supervisor *supervisor)
{
	if (supervisor->exporter_pid)
		syscall(SYS_pidfd_send_signal, supervisor->exporter_pidfd, SIGKILL, NULL, 0);
	mf_listen_close(&supervisor->exported);
}
