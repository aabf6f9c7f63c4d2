/* SPDX-License-Identifier: MIT */
#include "config/proxy.h"
#include "config/take.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SCHEME "http://"

/* The parts of a proxy's URL; a host has at most 253 bytes. */
struct proxy {
	char user[128]; /* with its @, or empty */
	char host[256]; /* without brackets */
	char port[8];
};

static bool copy(char *to, size_t room, const char *from, size_t bytes)
{
	if (bytes >= room)
		return false;
	memcpy(to, from, bytes);
	to[bytes] = 0;
	return true;
}

static bool is_port(const char *text)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	return isdigit((unsigned char)*text) && !*end && port >= 1 && port <= 65535;
}

/* False: it is none. A port has to be there: programs do not agree on what is meant without. */
static bool split(const char *url, struct proxy *proxy)
{
	const char *at = url + strlen(SCHEME);
	const char *end;
	const char *user;
	bool brackets;

	if (strncasecmp(url, SCHEME, strlen(SCHEME)))
		return false;
	end = at + strcspn(at, "/?#");
	if (*end && strcmp(end, "/"))
		return false;
	user = memchr(at, '@', (size_t)(end - at));
	if (!copy(proxy->user, sizeof(proxy->user), at, user ? (size_t)(user + 1 - at) : 0))
		return false;
	at = user ? user + 1 : at;
	brackets = *at == '[';
	at += brackets;
	if (!copy(proxy->host, sizeof(proxy->host), at, strcspn(at, brackets ? "]" : ":/")) ||
	    !proxy->host[0])
		return false;
	at += strlen(proxy->host) + brackets;
	return at < end && *at == ':' &&
	       copy(proxy->port, sizeof(proxy->port), at + 1, (size_t)(end - at - 1)) &&
	       is_port(proxy->port);
}

int mf_take_proxy(struct mf_values *values, const struct mf_option *option, const char *value,
		  struct mf_error *err)
{
	struct proxy proxy;
	const char *at;

	for (at = value; isgraph((unsigned char)*at); at++)
		;
	if (*at || !split(value, &proxy))
		return mf_error_set(err, -EINVAL,
				    "--%s %s is no proxy; write http://HOST:PORT, with the port",
				    option->name, value);
	values->http_proxy = value;
	return 0;
}

/* HOST:PORT of the first address, in brackets as it may have to be. */
static int resolve(const struct proxy *proxy, char *address, size_t room, struct mf_error *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	char host[256];
	int ret = getaddrinfo(proxy->host, proxy->port, &hints, &list);

	if (ret)
		return mf_error_set(err, -ENOENT, "--http-proxy: %s has no address here: %s",
				    proxy->host, gai_strerror(ret));
	ret = getnameinfo(list->ai_addr, list->ai_addrlen, host, sizeof(host), NULL, 0,
			  NI_NUMERICHOST);
	if (!ret)
		snprintf(address, room, list->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
			 proxy->port);
	freeaddrinfo(list);
	return ret ? mf_error_set(err, -ENOENT, "--http-proxy: %s: %s", proxy->host,
				  gai_strerror(ret))
		   : 0;
}

static int allow(struct mf_values *values, const char *address, struct mf_error *err)
{
	struct mf_net_rules *rules = &values->program.connect;
	struct mf_texts list = {(const char **)rules->rules, rules->count};
	char *own = mf_values_own(values, strdup(address));
	int ret = own ? mf_texts_add(&list, own, err)
		      : mf_error_set(err, -ENOMEM, "not enough memory for the options");

	rules->rules = list.texts;
	rules->count = list.count;
	return ret;
}

int mf_proxy_complete(struct mf_values *values, struct mf_error *err)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTP_PROXY",
					    "HTTPS_PROXY"};
	struct proxy proxy;
	char address[300];
	size_t i;
	int ret = split(values->http_proxy, &proxy) ? 0 : -EINVAL;

	if (!ret)
		ret = resolve(&proxy, address, sizeof(address), err);
	if (!ret)
		ret = allow(values, address, err);
	for (i = 0; !ret && i < sizeof(names) / sizeof(names[0]); i++) {
		char *text = NULL;

		if (asprintf(&text, "%s=" SCHEME "%s%s", names[i], proxy.user, address) < 0)
			text = NULL;
		text = mf_values_own(values, text);
		ret = text ? mf_texts_add(&values->env, text, err)
			   : mf_error_set(err, -ENOMEM, "not enough memory for the options");
	}
	return ret;
}
