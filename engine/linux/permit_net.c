/* SPDX-License-Identifier: MIT */
#include "engine/linux/permit_net.h"
#include "engine/linux/permit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PORT_MAX  65535u
#define NAME_ROOM 256u /* a host name has at most 253 bytes */
#define LETTERS   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* One resolved rule. family: AF_INET, AF_INET6 or AF_UNIX. */
struct rule {
	int family;
	uint8_t address[16];
	unsigned int prefix_bits; /* that must be equal */
	unsigned int ports[2];    /* lowest, highest */
	char *name;               /* whose address this was, NULL: given as a number */
	char *path;               /* AF_UNIX: clean name, or "@..." for an abstract one */
	bool beneath;             /* all beneath path, or that begin with @... */
	int fd;                   /* of path's directory; -1 for an abstract one */
};

struct rules {
	struct rule *rule;
	size_t count;
	unsigned int (*ports)[2];
	size_t port_count;
};

struct mf_permit_net {
	struct rules use[2]; /* enum mf_net_use */
};

struct maker {
	struct rules *rules;
	const char *text; /* the rule as it was given */
	struct mf_error *err;
};

static void rules_finish(struct rules *rules)
{
	size_t i;

	for (i = 0; i < rules->count; i++) {
		free(rules->rule[i].path);
		free(rules->rule[i].name);
		if (rules->rule[i].fd >= 0)
			close(rules->rule[i].fd);
	}
	free(rules->rule);
	free(rules->ports);
}

void mf_permit_net_destroy(struct mf_permit_net *permit)
{
	if (!permit)
		return;
	rules_finish(&permit->use[MF_NET_CONNECT]);
	rules_finish(&permit->use[MF_NET_LISTEN]);
	free(permit);
}

static int no_memory(const struct maker *maker)
{
	return mf_error_set(maker->err, -ENOMEM, "not enough memory for the list of addresses");
}

static int no_rule(const struct maker *maker)
{
	return mf_error_set(maker->err, -EINVAL,
			    "%s is no address; write HOST:PORT, *:PORT, 10.0.0.0/8, [::1]:PORT or "
			    "unix:PATH",
			    maker->text);
}

static int add(const struct maker *maker, const struct rule *rule)
{
	struct rules *rules = maker->rules;
	struct rule *grown = realloc(rules->rule, (rules->count + 1) * sizeof(*grown));
	unsigned int(*ports)[2] = realloc(rules->ports, (rules->count + 1) * sizeof(*ports));

	if (grown)
		rules->rule = grown;
	if (ports)
		rules->ports = ports;
	if (!grown || !ports)
		return no_memory(maker);
	rules->rule[rules->count++] = *rule;
	if (rule->family != AF_UNIX)
		memcpy(rules->ports[rules->port_count++], rule->ports, sizeof(rule->ports));
	return 0;
}

/* Decimal digits alone; false: no number up to `max`. */
static bool read_number(const char *text, size_t length, unsigned int max, unsigned int *number)
{
	size_t i;

	*number = 0;
	for (i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		*number = *number * 10 + (unsigned int)(text[i] - '0');
		if (*number > max)
			return false;
	}
	return length > 0;
}

static bool read_ports(const char *text, unsigned int ports[2])
{
	size_t low = strcspn(text, "-");

	ports[0] = 0;
	ports[1] = PORT_MAX;
	if (!strcmp(text, "*"))
		return true;
	if (!read_number(text, low, PORT_MAX, &ports[0]))
		return false;
	ports[1] = ports[0];
	return !text[low] ||
	       (read_number(text + low + 1, strlen(text + low + 1), PORT_MAX, &ports[1]) &&
		ports[0] <= ports[1]);
}

/*
 * HOST[/BITS][:PORT] into its parts. A colon may be part of HOST only within brackets. false: it is
 * none.
 */
static bool split(const char *text, char host[NAME_ROOM], char bits[8], char port[16])
{
	bool brackets = *text == '[';
	size_t length = strcspn(text + brackets, brackets ? "]" : "/:");
	const char *rest = text + brackets + length;

	if (length >= NAME_ROOM || (brackets && *rest++ != ']'))
		return false;
	if (!length && (brackets || *rest != ':'))
		return false;
	memcpy(host, text + brackets, length);
	host[length] = 0;
	if (!length)
		strcpy(host, "*");
	bits[0] = 0;
	if (*rest == '/') {
		length = strcspn(++rest, ":");
		if (!length || length >= 8)
			return false;
		memcpy(bits, rest, length);
		bits[length] = 0;
		rest += length;
	}
	strcpy(port, "*");
	if (!*rest)
		return true;
	if (*rest++ != ':' || !*rest || strlen(rest) >= 16)
		return false;
	strcpy(port, rest);
	return true;
}

/* Bits behind the prefix would never be compared: most likely a mistake. */
static bool bits_beyond(const struct rule *rule)
{
	unsigned int i;

	for (i = rule->prefix_bits; i < (rule->family == AF_INET ? 32u : 128u); i++)
		if (rule->address[i / 8] >> (7 - i % 8) & 1)
			return true;
	return false;
}

/* ::ffff:a.b.c.d is a.b.c.d, whoever says it. */
static bool unmap(struct rule *rule)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (rule->family != AF_INET6 || memcmp(rule->address, mapped, sizeof(mapped)))
		return false;
	rule->family = AF_INET;
	memmove(rule->address, rule->address + 12, 4);
	memset(rule->address + 4, 0, 12);
	return true;
}

static int add_network(const struct maker *maker, struct rule *rule, const char *bits)
{
	unsigned int most = rule->family == AF_INET ? 32 : 128;

	rule->prefix_bits = most;
	if (*bits && !read_number(bits, strlen(bits), most, &rule->prefix_bits))
		return no_rule(maker);
	if (bits_beyond(rule))
		return mf_error_set(maker->err, -EINVAL,
				    "%s has bits set behind its first %u; write the network's "
				    "lowest address",
				    maker->text, rule->prefix_bits);
	if (rule->family == AF_INET6 && rule->prefix_bits >= 96 && unmap(rule))
		rule->prefix_bits -= 96;
	return add(maker, rule);
}

static int add_any(const struct maker *maker, struct rule *rule)
{
	int ret;

	rule->family = AF_INET;
	ret = add(maker, rule);
	rule->family = AF_INET6;
	return ret ? ret : add(maker, rule);
}

static void set_address(struct rule *rule, const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	memset(rule->address, 0, sizeof(rule->address));
	rule->family = address->sa_family;
	if (rule->family == AF_INET)
		memcpy(rule->address, &v4->sin_addr, 4);
	else
		memcpy(rule->address, &v6->sin6_addr, 16);
	unmap(rule);
}

/* Names have letters: 1.2 is an address with parts missing, which few would read as 1.0.0.2. */
static bool is_name(const char *text)
{
	return !text[strspn(text, "0123456789.-_" LETTERS)] && strpbrk(text, LETTERS);
}

/* All addresses of a name. */
static int add_name(const struct maker *maker, struct rule *rule, const char *name)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	struct addrinfo *at;
	int ret = getaddrinfo(name, NULL, &hints, &list);

	if (ret)
		return mf_error_set(maker->err, -ENOENT, "%s: %s has no address here: %s",
				    maker->text, name, gai_strerror(ret));
	for (at = list; at && !ret; at = at->ai_next) {
		if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
			continue;
		set_address(rule, at->ai_addr);
		rule->prefix_bits = rule->family == AF_INET ? 32 : 128;
		rule->name = strdup(name);
		ret = rule->name ? add(maker, rule) : no_memory(maker);
		if (ret)
			free(rule->name);
	}
	freeaddrinfo(list);
	return ret;
}

static int add_host(const struct maker *maker)
{
	struct rule rule = {.fd = -1};
	char host[NAME_ROOM];
	char bits[8];
	char port[16];

	if (!split(maker->text, host, bits, port) || !read_ports(port, rule.ports))
		return no_rule(maker);
	if (!strcmp(host, "*"))
		return *bits ? no_rule(maker) : add_any(maker, &rule);
	if (*maker->text == '[') {
		rule.family = AF_INET6;
		if (inet_pton(AF_INET6, host, rule.address) != 1)
			return no_rule(maker);
		return add_network(maker, &rule, bits);
	}
	rule.family = AF_INET;
	if (inet_pton(AF_INET, host, rule.address) == 1)
		return add_network(maker, &rule, bits);
	return *bits || !is_name(host) ? no_rule(maker) : add_name(maker, &rule, host);
}

/* The directory that a rule's sockets are looked up beneath. */
static int open_dir(const struct maker *maker, struct rule *rule)
{
	const char *slash = strrchr(rule->path, '/');
	size_t length = rule->beneath ? strlen(rule->path) : (size_t)(slash - rule->path);
	char *dir = strndup(rule->path, length ? length : 1);
	int ret = 0;

	if (!dir)
		return no_memory(maker);
	rule->fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (rule->fd < 0)
		ret = mf_error_set(maker->err, -errno, "%s: cannot open %s: %s", maker->text, dir,
				   strerror(errno));
	free(dir);
	return ret;
}

static int add_unix_rule(const struct maker *maker, struct rule *rule)
{
	int ret = !rule->path ? no_memory(maker) : *rule->path == '/' ? open_dir(maker, rule) : 0;

	if (!ret)
		ret = add(maker, rule);
	if (ret) {
		free(rule->path);
		if (rule->fd >= 0)
			close(rule->fd);
	}
	return ret;
}

static int add_abstract(const struct maker *maker, const char *name)
{
	struct rule rule = {.family = AF_UNIX, .fd = -1, .path = strdup(name)};
	size_t length = strlen(name);

	if (rule.path && name[length - 1] == '*') {
		rule.path[length - 1] = 0;
		rule.beneath = true;
	}
	return add_unix_rule(maker, &rule);
}

static int add_path(const struct maker *maker, const char *path)
{
	struct rule rule = {.family = AF_UNIX, .fd = -1};
	char clean[PATH_MAX];
	char *cwd = getcwd(NULL, 0);
	int length = cwd ? mf_permit_clean(cwd, path, clean) : -errno;

	free(cwd);
	if (length < 0)
		return mf_error_set(maker->err, length, "%s: %s", maker->text, strerror(-length));
	rule.beneath = clean[length - 1] == '/';
	if (rule.beneath && length > 1)
		clean[length - 1] = 0;
	rule.path = strdup(clean);
	return add_unix_rule(maker, &rule);
}

static int add_unix(const struct maker *maker)
{
	const char *name = maker->text + strlen("unix:");
	int ret;

	if (!*name || !strcmp(name, "@"))
		return no_rule(maker);
	if (*name == '@')
		return add_abstract(maker, name);
	if (strcmp(name, "*"))
		return add_path(maker, name);
	ret = add_abstract(maker, "@*");
	return ret ? ret : add_path(maker, "/");
}

static int add_all(struct rules *rules, const struct mf_net_rules *from, struct mf_error *err)
{
	struct maker maker = {.rules = rules, .text = "*", .err = err};
	size_t i;
	int ret = from && from->all ? add_host(&maker) : 0;

	for (i = 0; !ret && from && i < from->count; i++) {
		maker.text = from->rules[i];
		ret = strncmp(maker.text, "unix:", 5) ? add_host(&maker) : add_unix(&maker);
	}
	return ret;
}

int mf_permit_net_create(struct mf_permit_net **permit, const struct mf_net_rules *both,
			 const struct mf_net_rules *connect, const struct mf_net_rules *listen,
			 struct mf_error *err)
{
	struct mf_permit_net *made = calloc(1, sizeof(*made));
	int ret;

	*permit = NULL;
	if (!made)
		return mf_error_set(err, -ENOMEM, "not enough memory for the list of addresses");
	ret = add_all(&made->use[MF_NET_CONNECT], both, err);
	if (!ret)
		ret = add_all(&made->use[MF_NET_CONNECT], connect, err);
	if (!ret)
		ret = add_all(&made->use[MF_NET_LISTEN], both, err);
	if (!ret)
		ret = add_all(&made->use[MF_NET_LISTEN], listen, err);
	if (ret) {
		mf_permit_net_destroy(made);
		return ret;
	}
	*permit = made;
	return 0;
}

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8;

	return !memcmp(a, b, bytes) &&
	       (bits % 8 == 0 || (a[bytes] ^ b[bytes]) >> (8 - bits % 8) == 0);
}

/* Linux connects to the loopback address when it is told the unspecified one. */
static void unspecified_is_loopback(struct rule *address)
{
	static const uint8_t zero[16];

	if (memcmp(address->address, zero, sizeof(zero)))
		return;
	if (address->family == AF_INET)
		memcpy(address->address, "\x7f\0\0\1", 4);
	else
		address->address[15] = 1;
}

static bool allows_inet(const struct rules *rules, struct rule *address, bool connect)
{
	size_t i;

	if (connect)
		unspecified_is_loopback(address);
	for (i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];

		if (rule->family == address->family &&
		    same_prefix(rule->address, address->address, rule->prefix_bits) &&
		    address->ports[0] >= rule->ports[0] && address->ports[0] <= rule->ports[1])
			return true;
	}
	return false;
}

/* A name may hold any byte: it is compared with its length. An unnamed address is of no use to
 * reach anybody; to bind to it is to be given an abstract name. */
static bool allows_abstract(const struct rules *rules, const char *name, size_t length)
{
	size_t i;

	for (i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];
		size_t bytes;

		if (rule->family != AF_UNIX || *rule->path != '@')
			continue;
		bytes = strlen(rule->path + 1);
		if (length >= bytes && (rule->beneath || length == bytes) &&
		    !memcmp(name, rule->path + 1, bytes))
			return true;
	}
	return false;
}

bool mf_permit_net_allows(const struct mf_permit_net *permit, enum mf_net_use use,
			  const struct sockaddr *address, socklen_t bytes)
{
	size_t before = offsetof(struct sockaddr_un, sun_path);
	struct rule at = {.fd = -1};

	if (!permit || bytes < sizeof(address->sa_family))
		return false;
	switch (address->sa_family) {
	case AF_INET:
		if (bytes < sizeof(struct sockaddr_in))
			return false;
		break;
	case AF_INET6:
		/* Linux takes it without its scope (SIN6_LEN_RFC2133). */
		if (bytes < offsetof(struct sockaddr_in6, sin6_scope_id))
			return false;
		break;
	case AF_UNIX:
		if (bytes <= before)
			return allows_abstract(&permit->use[use], "", 0);
		return !((const struct sockaddr_un *)address)->sun_path[0] &&
		       allows_abstract(&permit->use[use], (const char *)address + before + 1,
				       bytes - before - 1);
	default:
		return false;
	}
	set_address(&at, address);
	/* The port stands at the same place in both. */
	at.ports[0] = ntohs(((const struct sockaddr_in *)address)->sin_port);
	return allows_inet(&permit->use[use], &at, use == MF_NET_CONNECT);
}

size_t mf_permit_net_lookup(const struct mf_permit_net *permit, enum mf_net_use use,
			    const char *name, unsigned int port, char addresses[][INET6_ADDRSTRLEN],
			    size_t room)
{
	size_t count = 0;
	size_t i;

	for (i = 0; permit && i < permit->use[use].count && count < room; i++) {
		const struct rule *rule = &permit->use[use].rule[i];

		if (rule->name && !strcasecmp(rule->name, name) && port >= rule->ports[0] &&
		    port <= rule->ports[1])
			inet_ntop(rule->family, rule->address, addresses[count++],
				  INET6_ADDRSTRLEN);
	}
	return count;
}

int mf_permit_net_unix(const struct mf_permit_net *permit, enum mf_net_use use, const char *clean,
		       const char **rest)
{
	const struct rules *rules = permit ? &permit->use[use] : NULL;
	size_t i;

	for (i = 0; rules && i < rules->count; i++) {
		const struct rule *rule = &rules->rule[i];
		size_t bytes = rule->path ? strlen(rule->path) : 0;

		if (rule->family != AF_UNIX || *rule->path != '/')
			continue;
		if (!rule->beneath && !strcmp(clean, rule->path)) {
			*rest = strrchr(clean, '/') + 1;
			return rule->fd;
		}
		bytes -= bytes == 1; /* "/" */
		if (rule->beneath && !strncmp(clean, rule->path, bytes) && clean[bytes] == '/' &&
		    clean[bytes + 1]) {
			*rest = clean + bytes + 1;
			return rule->fd;
		}
	}
	return -EACCES;
}

bool mf_permit_net_has(const struct mf_permit_net *permit, enum mf_net_use use, int family)
{
	size_t i;

	for (i = 0; permit && i < permit->use[use].count; i++)
		if (permit->use[use].rule[i].family == family)
			return true;
	return false;
}

const unsigned int (*mf_permit_net_ports(const struct mf_permit_net *permit, enum mf_net_use use,
					 size_t *count))[2]
{
	*count = permit->use[use].port_count;
	return (const unsigned int(*)[2])permit->use[use].ports;
}

static void print_unix(const struct sockaddr_un *address, socklen_t bytes, char *text, size_t room)
{
	size_t before = offsetof(struct sockaddr_un, sun_path);
	size_t length = bytes > before ? bytes - before : 0;
	bool abstract = length && !address->sun_path[0];

	snprintf(text, room, "unix:%s%.*s", abstract ? "@" : "", (int)(length - (abstract ? 1 : 0)),
		 address->sun_path + abstract);
}

void mf_permit_net_print(const struct sockaddr *address, socklen_t bytes, char *text, size_t room)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN];

	if (bytes >= sizeof(*v4) && address->sa_family == AF_INET)
		snprintf(text, room, "%s:%u", inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)),
			 ntohs(v4->sin_port));
	else if (bytes >= offsetof(struct sockaddr_in6, sin6_scope_id) &&
		 address->sa_family == AF_INET6)
		snprintf(text, room, "[%s]:%u",
			 inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)),
			 ntohs(v6->sin6_port));
	else if (bytes >= sizeof(address->sa_family) && address->sa_family == AF_UNIX)
		print_unix((const struct sockaddr_un *)address, bytes, text, room);
	else
		snprintf(text, room, "an address of family %d",
			 bytes >= sizeof(address->sa_family) ? address->sa_family : 0);
}
