/* SPDX-License-Identifier: MIT */
/* Addresses of sockets within the VM: nothing of the host's is looked up. */
#include "engine/linux/listener.h"
#include "engine/linux/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_OFFSET      offsetof(struct sockaddr_un, sun_path)
#define SIN6_LEN_RFC2133 24u /* without the scope */
#define CLIENT_PORTS     32768u

static int family_of(const struct mf_listener_name *name)
{
	sa_family_t family = AF_UNSPEC;

	if (name->bytes >= sizeof(family))
		memcpy(&family, name->address, sizeof(family));
	return family;
}

static struct sockaddr_in *in_of(struct mf_listener_name *name)
{
	return (struct sockaddr_in *)(void *)name->address;
}

static struct sockaddr_in6 *in6_of(struct mf_listener_name *name)
{
	return (struct sockaddr_in6 *)(void *)name->address;
}

int mf_name_check(int domain, const struct mf_address *given)
{
	int family = given->bytes >= sizeof(sa_family_t) ? given->any.sa_family : AF_UNSPEC;

	switch (domain) {
	case AF_UNIX:
		return family == AF_UNIX && given->bytes <= sizeof(given->un) ? 0 : -EINVAL;
	case AF_INET6:
		if (given->bytes < SIN6_LEN_RFC2133)
			return -EINVAL;
		return family == AF_INET6 ? 0 : -EAFNOSUPPORT;
	default:
		if (given->bytes < sizeof(given->in))
			return -EINVAL;
		/* As Linux: no family is IPv4's, for all addresses. */
		return family == AF_INET || (family == AF_UNSPEC && !given->in.sin_addr.s_addr)
			       ? 0
			       : -EAFNOSUPPORT;
	}
}

void mf_name_store(struct mf_listener_name *name, const struct mf_address *address)
{
	size_t bytes = address->bytes;

	*name = (struct mf_listener_name){0};
	if (bytes >= sizeof(sa_family_t) && address->any.sa_family != AF_UNIX)
		bytes = address->any.sa_family == AF_INET6 ? sizeof(address->in6)
							   : sizeof(address->in);
	bytes = bytes < sizeof(name->address) ? bytes : sizeof(name->address);
	memcpy(name->address, &address->storage, bytes);
	name->bytes = (uint16_t)bytes;
	if (address->any.sa_family == AF_UNSPEC)
		in_of(name)->sin_family = AF_INET;
	if (family_of(name) == AF_INET)
		memset(in_of(name)->sin_zero, 0, sizeof(in_of(name)->sin_zero));
	/* As the kernel tells a path: with one NUL behind it. */
	if (family_of(name) == AF_UNIX && bytes > PATH_OFFSET && name->address[PATH_OFFSET]) {
		size_t path = strnlen((char *)name->address + PATH_OFFSET, bytes - PATH_OFFSET);

		name->bytes = (uint16_t)(PATH_OFFSET + path +
					 (PATH_OFFSET + path < sizeof(name->address)));
	}
}

void mf_name_tell(const struct mf_listener_name *name, struct mf_address *address)
{
	size_t bytes = name->bytes < sizeof(name->address) ? name->bytes : sizeof(name->address);

	*address = (struct mf_address){.bytes = (socklen_t)bytes};
	memcpy(&address->storage, name->address, bytes);
}

uint16_t mf_name_port(const struct mf_listener_name *name)
{
	struct mf_listener_name copy = *name;

	switch (family_of(name)) {
	case AF_INET:
		return ntohs(in_of(&copy)->sin_port);
	case AF_INET6:
		return ntohs(in6_of(&copy)->sin6_port);
	default:
		return 0;
	}
}

void mf_name_set_port(struct mf_listener_name *name, uint16_t port)
{
	if (family_of(name) == AF_INET)
		in_of(name)->sin_port = htons(port);
	else if (family_of(name) == AF_INET6)
		in6_of(name)->sin6_port = htons(port);
}

void mf_name_of_any(int domain, struct mf_listener_name *name)
{
	sa_family_t family = (sa_family_t)domain;

	*name = (struct mf_listener_name){.bytes = sizeof(family)};
	if (domain == AF_INET)
		name->bytes = sizeof(struct sockaddr_in);
	else if (domain == AF_INET6)
		name->bytes = sizeof(struct sockaddr_in6);
	memcpy(name->address, &family, sizeof(family));
}

/* The address alone as one of IPv6; `any`: it is all of them, of its family. */
static struct in6_addr address_of(const struct mf_listener_name *name, bool *any)
{
	struct mf_listener_name copy = *name;
	struct in6_addr address = in6_of(&copy)->sin6_addr;
	uint32_t in = in_of(&copy)->sin_addr.s_addr;

	if (family_of(name) == AF_INET) {
		address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
		memcpy(&address.s6_addr[12], &in, sizeof(in));
		*any = !in;
	} else {
		*any = IN6_IS_ADDR_UNSPECIFIED(&address);
	}
	return address;
}

bool mf_name_is_mapped(const struct mf_listener_name *name)
{
	struct mf_listener_name copy = *name;

	return family_of(name) == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6_of(&copy)->sin6_addr);
}

bool mf_names_meet(const struct mf_listener_name *a, const struct mf_listener_name *b)
{
	struct in6_addr first, second;
	bool first_any, second_any;

	if ((family_of(a) == AF_UNIX) != (family_of(b) == AF_UNIX))
		return false;
	if (family_of(a) == AF_UNIX)
		return a->bytes > PATH_OFFSET && a->bytes == b->bytes &&
		       !memcmp(a->address, b->address, a->bytes);
	if (mf_name_port(a) != mf_name_port(b))
		return false;
	first = address_of(a, &first_any);
	second = address_of(b, &second_any);
	return first_any || second_any || !memcmp(&first, &second, sizeof(first));
}

static bool is_loopback(const struct in6_addr *address)
{
	return IN6_IS_ADDR_LOOPBACK(address) ||
	       (IN6_IS_ADDR_V4MAPPED(address) && address->s6_addr[12] == 127);
}

bool mf_name_reaches(const struct mf_listener_name *listener, const struct mf_listener_name *to)
{
	struct in6_addr here, there;
	bool here_any, there_any;

	if (!mf_names_meet(listener, to))
		return false;
	if (family_of(to) == AF_UNIX)
		return true;
	here = address_of(listener, &here_any);
	there = address_of(to, &there_any);
	return !memcmp(&here, &there, sizeof(here)) || there_any || is_loopback(&there);
}

/* The store by its own name, whatever it speaks. */
#define STORE_PATH "/run/mayfly/store.sock"

static bool is_path(const struct mf_listener_name *name, const char *path)
{
	size_t bytes = strlen(path) + 1;

	return name->bytes == PATH_OFFSET + bytes &&
	       !memcmp(name->address + PATH_OFFSET, path, bytes);
}

bool mf_name_is_store(const struct mf_listener_name *to)
{
	struct in6_addr address;
	bool any;

	if (family_of(to) == AF_UNIX)
		return is_path(to, MF_STORE_PATH) || is_path(to, STORE_PATH);
	address = address_of(to, &any);
	return mf_name_port(to) == MF_STORE_PORT && (any || is_loopback(&address));
}

/* A loopback address, where nothing better is known. */
static void put_loopback(struct mf_listener_name *name, bool mapped)
{
	if (family_of(name) == AF_INET)
		in_of(name)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (family_of(name) == AF_INET6 && mapped)
		in6_of(name)->sin6_addr = (struct in6_addr){
			.s6_addr = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}};
	else if (family_of(name) == AF_INET6)
		in6_of(name)->sin6_addr = in6addr_loopback;
}

/* What of an address is of the listener's family. IPv6 has a place for those of IPv4. */
static void put_address(int domain, const struct sockaddr *from, struct mf_listener_name *name)
{
	const struct sockaddr_in *in = (const void *)from;
	const struct sockaddr_in6 *in6 = (const void *)from;

	if (domain == AF_INET && from->sa_family == AF_INET) {
		in_of(name)->sin_addr = in->sin_addr;
	} else if (domain == AF_INET && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(&in_of(name)->sin_addr, &in6->sin6_addr.s6_addr[12], 4);
	} else if (domain == AF_INET6 && from->sa_family == AF_INET6) {
		in6_of(name)->sin6_addr = in6->sin6_addr;
		in6_of(name)->sin6_scope_id = in6->sin6_scope_id;
	} else if (domain == AF_INET6) {
		memcpy(&in6_of(name)->sin6_addr.s6_addr[12], &in->sin_addr, 4);
	}
}

void mf_name_of_client(int domain, const struct sockaddr *from, socklen_t from_bytes,
		       uint32_t serial, struct mf_listener_name *name)
{
	int family = from ? from->sa_family : AF_UNSPEC;
	uint16_t port = 0;

	mf_name_of_any(domain, name);
	mf_name_set_port(name, (uint16_t)(CLIENT_PORTS + serial % CLIENT_PORTS));
	put_loopback(name, true);
	if (family == AF_INET)
		port = ntohs(((const struct sockaddr_in *)(const void *)from)->sin_port);
	else if (family == AF_INET6)
		port = ntohs(((const struct sockaddr_in6 *)(const void *)from)->sin6_port);
	if (port)
		mf_name_set_port(name, port);
	if (domain != AF_UNIX && (family == AF_INET || family == AF_INET6)) {
		put_address(domain, from, name);
	} else if (domain == AF_UNIX && family == AF_UNIX && from_bytes > PATH_OFFSET &&
		   from_bytes <= sizeof(name->address)) {
		memcpy(name->address, from, from_bytes);
		name->bytes = (uint16_t)from_bytes;
	}
}

void mf_name_of_end(const struct mf_listener_name *listener, const struct mf_listener_name *client,
		    struct mf_listener_name *name)
{
	bool any = false;
	bool client_any = false;
	struct in6_addr address;

	*name = *listener;
	if (family_of(listener) == AF_UNIX)
		return;
	address_of(listener, &any);
	address = address_of(client, &client_any);
	if (any)
		put_loopback(name, IN6_IS_ADDR_V4MAPPED(&address));
}

bool mf_name_is(const struct mf_listener_name *name, const char *text)
{
	char own[160], host[INET6_ADDRSTRLEN] = "";
	struct mf_listener_name copy = *name;
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (family_of(name) == AF_UNIX) {
		snprintf(own, sizeof(own), "unix:%.*s", (int)(name->bytes - PATH_OFFSET),
			 (const char *)name->address + PATH_OFFSET);
		return !strcmp(own, text);
	}
	if (!*end)
		return port == mf_name_port(name);
	if (family_of(name) == AF_INET) {
		inet_ntop(AF_INET, &in_of(&copy)->sin_addr, host, sizeof(host));
		snprintf(own, sizeof(own), "%s:%u", host, mf_name_port(name));
	} else {
		inet_ntop(AF_INET6, &in6_of(&copy)->sin6_addr, host, sizeof(host));
		snprintf(own, sizeof(own), "[%s]:%u", host, mf_name_port(name));
	}
	return !strcmp(own, text);
}
