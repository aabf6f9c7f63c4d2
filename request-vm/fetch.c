/* SPDX-License-Identifier: MIT */
#include "request-vm/fetch_loop.h"

#include "engine/linux/explain.h"
#include "engine/linux/guestmem.h"
#include "request-vm/fetch_order.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define ADDRESSES_MAX 16u

struct mf_fetch {
	struct mf_fetcher *fetcher;
	struct mf_process *process;
	mf_fetched_fn *done;
	void *arg;
	CURL *easy;
	CURLU *url;
	struct curl_slist *sent;     /* headers */
	struct curl_slist *resolved; /* HOST:PORT:ADDRESSES */
	struct mf_fetch_order order;
	uint64_t body_sent;
	char headers[MF_FETCH_HEADERS_MAX]; /* of the answer */
	uint32_t headers_bytes;
	bool in_body; /* the headers have been written to the guest */
	uint64_t body_bytes;
	int failure; /* found by a callback, which has ended the transfer; 0: none */
};

static void destroy(struct mf_fetch *fetch)
{
	if (fetch->easy)
		curl_easy_cleanup(fetch->easy);
	curl_url_cleanup(fetch->url);
	curl_slist_free_all(fetch->sent);
	curl_slist_free_all(fetch->resolved);
	explicit_bzero(fetch, sizeof(*fetch));
	free(fetch);
}

/* The one place where a connection begins: whatever name led here, the address counts. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct mf_fetch *fetch = arg;
	int fd;

	if (purpose != CURLSOCKTYPE_IPCXN || to->socktype != SOCK_STREAM ||
	    !mf_permit_net_allows(fetch->fetcher->net, MF_NET_CONNECT, &to->addr, to->addrlen)) {
		mf_explain_address(fetch->process, MF_NET_CONNECT, &to->addr, to->addrlen);
		fetch->failure = -EACCES;
		return CURL_SOCKET_BAD;
	}
	fetch->failure = 0; /* another address of the name may have been refused */
	fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static CURLcode trust(CURL *easy, void *context, void *arg)
{
	const struct mf_fetch *fetch = arg;

	(void)easy;
	if (fetch->fetcher->host->trust)
		SSL_CTX_set1_cert_store(context, fetch->fetcher->host->trust);
	return CURLE_OK;
}

/* Straight from guest memory: the program stands still. */
static size_t give_body(char *to, size_t size, size_t count, void *arg)
{
	struct mf_fetch *fetch = arg;
	const struct mf_abi_fetch *abi = &fetch->order.abi;
	uint64_t left = abi->body_bytes - fetch->body_sent;
	size_t bytes = size * count < left ? size * count : (size_t)left;

	if (bytes && mf_guest_read(fetch->process, abi->body + fetch->body_sent, to, bytes)) {
		fetch->failure = -EFAULT;
		return CURL_READFUNC_ABORT;
	}
	fetch->body_sent += bytes;
	return bytes;
}

/* A kept connection that turns out to be closed: again from the beginning, on another. */
static int seek_body(void *arg, curl_off_t offset, int origin)
{
	struct mf_fetch *fetch = arg;

	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > fetch->order.abi.body_bytes)
		return CURL_SEEKFUNC_FAIL;
	fetch->body_sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static size_t fail(struct mf_fetch *fetch, int failure)
{
	fetch->failure = failure;
	return 0; /* which is not what was given: the transfer ends */
}

/* `offset` behind where the answer begins. */
static int write_answer(struct mf_fetch *fetch, uint64_t offset, const void *from, size_t bytes)
{
	const struct mf_abi_fetch *abi = &fetch->order.abi;

	if (offset > abi->answer_bytes || bytes > abi->answer_bytes - offset)
		return -EMSGSIZE;
	if (!bytes || !mf_guest_write(fetch->process, abi->answer + offset, from, bytes))
		return 0;
	return fetch->process->out_of_memory ? -ENOMEM : -EFAULT;
}

static size_t take_header(char *line, size_t size, size_t count, void *arg)
{
	struct mf_fetch *fetch = arg;
	size_t bytes = size * count;
	size_t text = bytes;

	if (fetch->in_body) /* trailers */
		return bytes;
	if (bytes >= 5 && !memcmp(line, "HTTP/", 5)) { /* what was before was provisional */
		fetch->headers_bytes = 0;
		return bytes;
	}
	while (text && (line[text - 1] == '\n' || line[text - 1] == '\r'))
		text--;
	if (!text)
		return bytes;
	if (text + 2 > sizeof(fetch->headers) - fetch->headers_bytes)
		return fail(fetch, -EMSGSIZE);
	memcpy(fetch->headers + fetch->headers_bytes, line, text);
	memcpy(fetch->headers + fetch->headers_bytes + text, "\r\n", 2);
	fetch->headers_bytes += (uint32_t)text + 2;
	return bytes;
}

/* 0, or why it cannot be. */
static int begin_body(struct mf_fetch *fetch)
{
	if (fetch->in_body)
		return 0;
	fetch->in_body = true;
	return write_answer(fetch, sizeof(struct mf_abi_fetched), fetch->headers,
			    fetch->headers_bytes);
}

static size_t take_body(char *from, size_t size, size_t count, void *arg)
{
	struct mf_fetch *fetch = arg;
	size_t bytes = size * count;
	int ret = begin_body(fetch);

	if (!ret)
		ret = write_answer(fetch,
				   sizeof(struct mf_abi_fetched) + fetch->headers_bytes +
					   fetch->body_bytes,
				   from, bytes);
	if (ret)
		return fail(fetch, ret);
	fetch->body_bytes += bytes;
	return bytes;
}

static int finish_answer(struct mf_fetch *fetch)
{
	struct mf_abi_fetched fetched = {.headers_bytes = fetch->headers_bytes,
					 .body_bytes = fetch->body_bytes};
	long status = 0;
	int ret = begin_body(fetch);

	curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	fetched.status = (uint32_t)status;
	return ret ? ret : write_answer(fetch, 0, &fetched, sizeof(fetched));
}

static int not_connected(CURL *easy)
{
	long code = 0;

	curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &code);
	return code == EHOSTUNREACH || code == ENETUNREACH || code == ETIMEDOUT ? (int)-code
										: -ECONNREFUSED;
}

static int result_of(struct mf_fetch *fetch, CURLcode code)
{
	if (code == CURLE_OK)
		return finish_answer(fetch);
	if (fetch->failure)
		return fetch->failure;
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return not_connected(fetch->easy);
	case CURLE_COULDNT_RESOLVE_HOST:
		return -ENOENT;
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return -ECONNRESET;
	case CURLE_PEER_FAILED_VERIFICATION:
		return -EKEYREJECTED;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

void mf_fetch_end(CURL *easy, CURLcode code)
{
	struct mf_fetch *fetch = NULL;
	mf_fetched_fn *done;
	void *arg;
	int result;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &fetch);
	result = result_of(fetch, code);
	done = fetch->done;
	arg = fetch->arg;
	curl_multi_remove_handle(fetch->fetcher->multi, easy);
	destroy(fetch);
	done(arg, result);
}

void mf_fetch_cancel(struct mf_fetch *fetch)
{
	curl_multi_remove_handle(fetch->fetcher->multi, fetch->easy);
	destroy(fetch);
}

static int add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *grown = curl_slist_append(*list, line);

	if (grown)
		*list = grown;
	return grown ? 0 : -ENOMEM;
}

/* Letters that no part of the way changes its mind about. */
static bool is_plain(const char *host)
{
	return !host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789.-_[]:")];
}

static bool is_number(const char *host)
{
	char address[16];
	char inner[INET6_ADDRSTRLEN] = "";

	if (*host != '[')
		return inet_pton(AF_INET, host, address) == 1;
	snprintf(inner, sizeof(inner), "%.*s", (int)strcspn(host + 1, "]"), host + 1);
	return inet_pton(AF_INET6, inner, address) == 1;
}

/* Nobody is asked: a number is itself, a name has the addresses of its rules. */
static int resolve(struct mf_fetch *fetch, const char *host, const char *port)
{
	char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
	char line[300 + ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)];
	size_t count;
	size_t used;
	size_t i;

	if (!is_plain(host) || strlen(host) > 255)
		return -EINVAL;
	if (is_number(host))
		return 0;
	count = mf_permit_net_lookup(fetch->fetcher->net, MF_NET_CONNECT, host,
				     (unsigned int)strtoul(port, NULL, 10), addresses,
				     ADDRESSES_MAX);
	if (!count) {
		char option[300];

		snprintf(option, sizeof(option), "--allow-connect=%s:%s", host, port);
		mf_explain(fetch->process, option,
			   "fetch from %s:%s: a name that no rule of --allow-connect has", host,
			   port);
		return -ENOENT;
	}
	used = (size_t)snprintf(line, sizeof(line), "%s:%s:", host, port);
	for (i = 0; i < count; i++)
		used += (size_t)snprintf(line + used, sizeof(line) - used,
					 strchr(addresses[i], ':') ? "%s[%s]" : "%s%s",
					 i ? "," : "", addresses[i]);
	return add_line(&fetch->resolved, line);
}

/* What libcurl's own parser makes of it is what is checked, and what libcurl then uses. */
static int take_url(struct mf_fetch *fetch)
{
	char *scheme = NULL;
	char *host = NULL;
	char *port = NULL;
	char *zone = NULL;
	int ret = -EINVAL;

	fetch->url = curl_url();
	if (!fetch->url)
		return -ENOMEM;
	if (!curl_url_set(fetch->url, CURLUPART_URL, fetch->order.url,
			  CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME) &&
	    !curl_url_get(fetch->url, CURLUPART_SCHEME, &scheme, 0)) {
		if (strcasecmp(scheme, "http") && strcasecmp(scheme, "https"))
			ret = -EPROTONOSUPPORT;
		else if (!curl_url_get(fetch->url, CURLUPART_HOST, &host, 0) && *host &&
			 !curl_url_get(fetch->url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
			 curl_url_get(fetch->url, CURLUPART_ZONEID, &zone, 0))
			ret = resolve(fetch, host, port);
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_free(zone);
	return ret;
}

static int take_headers(struct mf_fetch *fetch)
{
	/* What libcurl would say by itself, and the program did not. */
	static const char *const none[] = {"Accept:", "Content-Type:", "Expect:"};
	size_t i;
	int ret = 0;

	for (i = 0; !ret && i < fetch->order.header_count; i++)
		ret = add_line(&fetch->sent, fetch->order.headers[i]);
	for (i = 0; !ret && i < sizeof(none) / sizeof(none[0]); i++) {
		char name[16];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(none[i], ":"), none[i]);
		if (!mf_fetch_order_has(&fetch->order, name))
			ret = add_line(&fetch->sent, none[i]);
	}
	return ret;
}

static bool may_have_body(const char *method)
{
	return !strcmp(method, "POST") || !strcmp(method, "PUT") || !strcmp(method, "PATCH");
}

/* The first option that libcurl does not take is remembered, and ends it. */
#define SET(option, value)                                                   \
	do {                                                                 \
		if (!code)                                                   \
			code = curl_easy_setopt(fetch->easy, option, value); \
	} while (0)

static CURLcode set_method(struct mf_fetch *fetch)
{
	const struct mf_fetch_order *order = &fetch->order;
	CURLcode code = CURLE_OK;

	if (!strcmp(order->method, "HEAD")) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (order->abi.body_bytes || may_have_body(order->method)) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)order->abi.body_bytes);
		SET(CURLOPT_READFUNCTION, give_body);
		SET(CURLOPT_READDATA, fetch);
		SET(CURLOPT_SEEKFUNCTION, seek_body);
		SET(CURLOPT_SEEKDATA, fetch);
	}
	SET(CURLOPT_CUSTOMREQUEST, order->method);
	return code;
}

static CURLcode set_bounds(struct mf_fetch *fetch)
{
	uint64_t asked = fetch->order.abi.timeout_ns;
	uint64_t ms = (asked ? asked : MF_FETCH_TIMEOUT_NS) / 1000000;
	CURLcode code = CURLE_OK;

	SET(CURLOPT_TIMEOUT_MS, (long)(!ms ? 1 : ms > 86400000 ? 86400000 : ms));
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* nor one of the environment's */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
	SET(CURLOPT_OPENSOCKETDATA, fetch);
	SET(CURLOPT_CAINFO, NULL);
	SET(CURLOPT_CAPATH, NULL);
	SET(CURLOPT_SSL_CTX_FUNCTION, trust);
	SET(CURLOPT_SSL_CTX_DATA, fetch);
	SET(CURLOPT_RESOLVE, fetch->resolved);
	return code;
}

static int set_up(struct mf_fetch *fetch)
{
	CURLcode code;

	fetch->easy = curl_easy_init();
	if (!fetch->easy)
		return -ENOMEM;
	code = set_bounds(fetch);
	if (!code)
		code = set_method(fetch);
	SET(CURLOPT_CURLU, fetch->url);
	SET(CURLOPT_HTTPHEADER, fetch->sent);
	SET(CURLOPT_HEADERFUNCTION, take_header);
	SET(CURLOPT_HEADERDATA, fetch);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, fetch);
	SET(CURLOPT_PRIVATE, fetch);
	return code == CURLE_OUT_OF_MEMORY ? -ENOMEM : code ? -EINVAL : 0;
}

int mf_fetch_begin(struct mf_fetcher *fetcher, struct mf_process *process, uint64_t at,
		   mf_fetched_fn *done, void *arg, struct mf_fetch **out)
{
	struct mf_fetch *fetch = calloc(1, sizeof(*fetch));
	int ret;

	if (!fetch)
		return -ENOMEM;
	fetch->fetcher = fetcher;
	fetch->process = process;
	fetch->done = done;
	fetch->arg = arg;
	ret = mf_fetch_order_take(&fetch->order, process, at);
	if (!ret)
		ret = take_url(fetch);
	if (!ret)
		ret = take_headers(fetch);
	if (!ret)
		ret = set_up(fetch);
	if (!ret && curl_multi_add_handle(fetcher->multi, fetch->easy))
		ret = -ENOMEM;
	if (ret)
		destroy(fetch);
	else
		*out = fetch;
	return ret;
}
