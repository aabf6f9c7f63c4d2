/* SPDX-License-Identifier: MIT */
#include "request-vm/fetch_loop.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_CERTIFICATES "/etc/ssl/certs/ca-certificates.crt"

/* A socket of libcurl's. */
struct watch {
	uv_poll_t poll;
	struct mf_fetcher *fetcher;
	curl_socket_t fd;
};

static void handle_gone(struct mf_fetcher *fetcher)
{
	void (*closed)(void *arg) = fetcher->closed;
	void *arg = fetcher->closed_arg;

	if (--fetcher->handles)
		return;
	free(fetcher);
	closed(arg);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;
	struct mf_fetcher *fetcher = watch->fetcher;

	free(watch);
	handle_gone(fetcher);
}

static void on_timer_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static void act(struct mf_fetcher *fetcher, curl_socket_t fd, int events)
{
	CURLMsg *message;
	int count;

	curl_multi_socket_action(fetcher->multi, fd, events, &count);
	while ((message = curl_multi_info_read(fetcher->multi, &count)))
		if (message->msg == CURLMSG_DONE)
			mf_fetch_end(message->easy_handle, message->data.result);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;

	act(watch->fetcher, watch->fd,
	    (status < 0 ? CURL_CSELECT_ERR : 0) | (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
		    (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0));
}

static struct watch *new_watch(struct mf_fetcher *fetcher, curl_socket_t fd)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch || uv_poll_init(fetcher->loop, &watch->poll, fd)) {
		free(watch);
		return NULL;
	}
	watch->poll.data = watch;
	watch->fetcher = fetcher;
	watch->fd = fd;
	fetcher->handles++;
	curl_multi_assign(fetcher->multi, fd, watch);
	return watch;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct watch *watch = of_socket;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch) {
			uv_poll_stop(&watch->poll); /* its number may be another's from now on */
			uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
		}
		return 0;
	}
	if (!watch)
		watch = new_watch(arg, fd);
	if (!watch)
		return -1;
	return uv_poll_start(&watch->poll,
			     (what & CURL_POLL_IN ? UV_READABLE : 0) |
				     (what & CURL_POLL_OUT ? UV_WRITABLE : 0),
			     on_ready);
}

static void on_timer(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timeout(CURLM *multi, long ms, void *arg)
{
	struct mf_fetcher *fetcher = arg;

	(void)multi;
	uv_update_time(fetcher->loop);
	if (ms < 0)
		uv_timer_stop(&fetcher->timer);
	else
		uv_timer_start(&fetcher->timer, on_timer, (uint64_t)ms, 0);
	return 0;
}

int mf_fetcher_create(struct mf_fetcher **out, uv_loop_t *loop, struct mf_fetch_host *host,
		      const struct mf_permit_net *net)
{
	struct mf_fetcher *fetcher = calloc(1, sizeof(*fetcher));

	*out = NULL;
	if (!fetcher)
		return -ENOMEM;
	fetcher->multi = curl_multi_init();
	if (!fetcher->multi) {
		free(fetcher);
		return -ENOMEM;
	}
	fetcher->loop = loop;
	fetcher->host = host;
	fetcher->net = net;
	uv_timer_init(loop, &fetcher->timer);
	fetcher->timer.data = fetcher;
	fetcher->handles = 1;
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	curl_multi_setopt(fetcher->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
			  (long)MF_FETCH_CONNECTIONS);
	curl_multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS, (long)MF_FETCH_IDLE);
	*out = fetcher;
	return 0;
}

void mf_fetcher_close(struct mf_fetcher *fetcher, void (*closed)(void *arg), void *arg)
{
	fetcher->closed = closed;
	fetcher->closed_arg = arg;
	curl_multi_cleanup(fetcher->multi);
	uv_close((uv_handle_t *)&fetcher->timer, on_timer_closed);
}

/* Heads and bodies have been in libcurl's memory: nothing of them is left behind in the heap. */
static void wipe(void *at)
{
	if (at)
		explicit_bzero(at, malloc_usable_size(at));
	free(at);
}

static void *grow(void *at, size_t bytes)
{
	size_t had = at ? malloc_usable_size(at) : 0;
	void *to = bytes <= had ? at : malloc(bytes);

	if (!to || to == at)
		return to;
	if (at)
		memcpy(to, at, had);
	wipe(at);
	return to;
}

static void *read_certificates(void)
{
	const char *file = getenv("SSL_CERT_FILE");
	X509_STORE *store = X509_STORE_new();

	if (store &&
	    X509_STORE_load_locations(store, file && *file ? file : SYSTEM_CERTIFICATES, NULL) == 1)
		return store;
	X509_STORE_free(store);
	return NULL;
}

int mf_fetch_host_open(struct mf_fetch_host **out, struct mf_error *err)
{
	struct mf_fetch_host *host = calloc(1, sizeof(*host));

	*out = NULL;
	if (!host)
		return mf_error_set(err, -ENOMEM, "not enough memory to start");
	if (curl_global_init_mem(CURL_GLOBAL_ALL, malloc, wipe, grow, strdup, calloc)) {
		free(host);
		return mf_error_set(err, -EIO, "libcurl cannot be initialised");
	}
	host->trust = read_certificates();
	*out = host;
	return 0;
}

void mf_fetch_host_close(struct mf_fetch_host *host)
{
	if (!host)
		return;
	X509_STORE_free(host->trust);
	curl_global_cleanup();
	free(host);
}
