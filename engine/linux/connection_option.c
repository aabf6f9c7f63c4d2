/* SPDX-License-Identifier: MIT */
/*
 * Options of sockets within the VM. What is set is kept and told again; nothing else comes of most
 * of them, for there is no network in between.
 */
#include "engine/linux/listener.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

/* Under other names in Debian 12's <sys/socket.h> (asm-generic/socket.h). */
#define RCVTIMEO_NEW 66
#define SNDTIMEO_NEW 67

enum kind {
	FLAG,   /* 0 or 1 */
	NUMBER, /* as it was set */
	BUFFER, /* a size, told doubled (socket(7)) */
	BYTES,  /* a structure or text: `value` bytes of it */
	STATE,  /* cannot be set: answered by told() */
};

struct option {
	int level;
	int name;
	enum kind kind;
	int value; /* when it was never set */
};

/* SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF */
#define SNDBUF_LEAST 4608
#define RCVBUF_LEAST 2304
#define BUFFER_MOST  425984
#define LINGER2_MOST 120 /* TCP_FIN_TIMEOUT_MAX */

static const struct option options[] = {
	{SOL_SOCKET, SO_REUSEADDR, FLAG, 0},
	{SOL_SOCKET, SO_REUSEPORT, FLAG, 0},
	{SOL_SOCKET, SO_KEEPALIVE, FLAG, 0},
	{SOL_SOCKET, SO_OOBINLINE, FLAG, 0},
	{SOL_SOCKET, SO_DONTROUTE, FLAG, 0},
	{SOL_SOCKET, SO_BROADCAST, FLAG, 0},
	{SOL_SOCKET, SO_PASSCRED, FLAG, 0},
	{SOL_SOCKET, SO_TIMESTAMP, FLAG, 0},
	{SOL_SOCKET, SO_TIMESTAMPNS, FLAG, 0},
	{SOL_SOCKET, SO_RXQ_OVFL, FLAG, 0},
	{SOL_SOCKET, SO_PRIORITY, NUMBER, 0},
	{SOL_SOCKET, SO_RCVLOWAT, NUMBER, 1},
	{SOL_SOCKET, SO_SNDBUF, BUFFER, 87040},
	{SOL_SOCKET, SO_RCVBUF, BUFFER, 131072},
	{SOL_SOCKET, SO_LINGER, BYTES, sizeof(struct linger)},
	{SOL_SOCKET, SO_RCVTIMEO, BYTES, sizeof(struct timeval)},
	{SOL_SOCKET, SO_SNDTIMEO, BYTES, sizeof(struct timeval)},
	{SOL_SOCKET, SO_DEBUG, STATE, 0},
	{SOL_SOCKET, SO_TYPE, STATE, 0},
	{SOL_SOCKET, SO_DOMAIN, STATE, 0},
	{SOL_SOCKET, SO_PROTOCOL, STATE, 0},
	{SOL_SOCKET, SO_ERROR, STATE, 0},
	{SOL_SOCKET, SO_ACCEPTCONN, STATE, 0},
	{SOL_SOCKET, SO_SNDLOWAT, STATE, 0},
	{SOL_SOCKET, SO_PEERCRED, STATE, 0},
	{SOL_SOCKET, SO_INCOMING_CPU, STATE, 0},
	{IPPROTO_IP, IP_TOS, NUMBER, 0},
	{IPPROTO_IP, IP_TTL, NUMBER, 64},
	{IPPROTO_IP, IP_MTU_DISCOVER, NUMBER, 1},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, FLAG, 0},
	{IPPROTO_IP, IP_RECVERR, FLAG, 0},
	{IPPROTO_IP, IP_RECVTTL, FLAG, 0},
	{IPPROTO_IP, IP_RECVTOS, FLAG, 0},
	{IPPROTO_IP, IP_PKTINFO, FLAG, 0},
	{IPPROTO_IPV6, IPV6_V6ONLY, FLAG, 0},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, NUMBER, 64},
	{IPPROTO_IPV6, IPV6_RECVERR, FLAG, 0},
	{IPPROTO_IPV6, IPV6_TCLASS, NUMBER, 0},
	{IPPROTO_TCP, TCP_NODELAY, FLAG, 0},
	{IPPROTO_TCP, TCP_CORK, FLAG, 0},
	{IPPROTO_TCP, TCP_QUICKACK, FLAG, 1},
	{IPPROTO_TCP, TCP_MAXSEG, NUMBER, 65483},
	{IPPROTO_TCP, TCP_KEEPIDLE, NUMBER, 7200},
	{IPPROTO_TCP, TCP_KEEPINTVL, NUMBER, 75},
	{IPPROTO_TCP, TCP_KEEPCNT, NUMBER, 9},
	{IPPROTO_TCP, TCP_SYNCNT, NUMBER, 6},
	{IPPROTO_TCP, TCP_LINGER2, NUMBER, 60},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, NUMBER, 0},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, NUMBER, 65536},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, NUMBER, 0},
	{IPPROTO_TCP, TCP_FASTOPEN, NUMBER, 0},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, NUMBER, 0},
	{IPPROTO_TCP, TCP_CONGESTION, BYTES, 16},
	{IPPROTO_TCP, TCP_INFO, STATE, 0},
};

/* Of a number; all others may be any. */
static const struct bounds {
	int level;
	int name;
	int least;
	int most;
} bounds[] = {
	{IPPROTO_IP, IP_TTL, 1, 255},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, 0, 255},
	{IPPROTO_IPV6, IPV6_TCLASS, 0, 255},
	{IPPROTO_TCP, TCP_KEEPIDLE, 1, 32767},
	{IPPROTO_TCP, TCP_KEEPINTVL, 1, 32767},
	{IPPROTO_TCP, TCP_KEEPCNT, 1, 127},
	{IPPROTO_TCP, TCP_SYNCNT, 1, 127},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, 0, INT32_MAX},
	{IPPROTO_TCP, TCP_FASTOPEN, 0, INT32_MAX},
};

#define OPTIONS ((uint16_t)(sizeof(options) / sizeof(options[0])))

static uint16_t find(int level, int name)
{
	uint16_t i = 0;

	if (level == SOL_SOCKET && name == RCVTIMEO_NEW)
		name = SO_RCVTIMEO;
	else if (level == SOL_SOCKET && name == SNDTIMEO_NEW)
		name = SO_SNDTIMEO;
	while (i < OPTIONS && (options[i].level != level || options[i].name != name))
		i++;
	return i;
}

static const struct mf_socket_settings *settings_of(const struct mf_process *process,
						    const struct mf_fd *entry)
{
	return entry->kind == MF_FD_LISTENER ? &mf_listener_of(process, entry)->settings
					     : &mf_connection_of(process, entry)->settings;
}

/* What was set, or NULL. */
static const struct mf_socket_setting *setting_of(const struct mf_socket_settings *settings,
						  uint16_t option)
{
	uint32_t i;

	for (i = 0; i < settings->count && i < MF_SOCKET_SETTINGS; i++)
		if (settings->list[i].option == option)
			return &settings->list[i];
	return NULL;
}

static int number_of(const struct mf_socket_settings *settings, uint16_t option)
{
	const struct mf_socket_setting *setting = setting_of(settings, option);
	int value = options[option].value;

	if (setting)
		memcpy(&value, setting->value, sizeof(value));
	return value;
}

int mf_settings_number(const struct mf_socket_settings *settings, int level, int name)
{
	uint16_t option = find(level, name);

	return option < OPTIONS ? number_of(settings, option) : 0;
}

uint64_t mf_settings_span(const struct mf_socket_settings *settings, int name)
{
	const struct mf_socket_setting *setting = setting_of(settings, find(SOL_SOCKET, name));
	struct timeval span = {0};

	if (setting)
		memcpy(&span, setting->value, sizeof(span));
	if (span.tv_sec < 0)
		return 0;
	if (!span.tv_sec && !span.tv_usec)
		return MF_FOREVER;
	return (uint64_t)span.tv_sec * 1000000000ull + (uint64_t)span.tv_usec * 1000ull;
}

struct linger mf_settings_linger(const struct mf_socket_settings *settings)
{
	const struct mf_socket_setting *setting = setting_of(settings, find(SOL_SOCKET, SO_LINGER));
	struct linger linger = {0};

	if (setting)
		memcpy(&linger, setting->value, sizeof(linger));
	return linger;
}

bool mf_settings_abort(const struct mf_socket_settings *settings)
{
	struct linger linger = mf_settings_linger(settings);

	return linger.l_onoff && !linger.l_linger;
}

static int keep(struct mf_process *process, const struct mf_socket_settings *settings,
		uint16_t option, const void *value, size_t bytes)
{
	const struct mf_socket_setting *had = setting_of(settings, option);
	uint32_t place = had ? (uint32_t)(had - settings->list) : settings->count;
	struct mf_socket_settings *to = (struct mf_socket_settings *)settings;

	if (place >= MF_SOCKET_SETTINGS)
		return -ENOBUFS;
	mf_mem_mark(&process->vm.mem, settings, sizeof(*settings));
	to->count += !had;
	to->list[place] = (struct mf_socket_setting){.option = option, .bytes = (uint16_t)bytes};
	memcpy(to->list[place].value, value, bytes);
	return 0;
}

/* A time, as Linux sock_set_timeout takes it: one before now is no time at all, none and one that
 * never comes are told as 0. */
static int take_span(uint8_t *value, size_t bytes)
{
	struct timeval span;

	if (bytes < sizeof(span))
		return -EINVAL;
	memcpy(&span, value, sizeof(span));
	if (span.tv_usec < 0 || span.tv_usec >= 1000000)
		return -EDOM;
	if (span.tv_sec < 0)
		span = (struct timeval){.tv_sec = -1};
	if (span.tv_sec > INT32_MAX)
		span = (struct timeval){0};
	memcpy(value, &span, sizeof(span));
	return 0;
}

/* As Linux sk_setsockopt: the time stays when it is switched off. */
static void take_linger(const struct mf_socket_settings *settings, uint8_t *value)
{
	struct linger linger, had = mf_settings_linger(settings);

	memcpy(&linger, value, sizeof(linger));
	linger.l_onoff = !!linger.l_onoff;
	if (!linger.l_onoff)
		linger.l_linger = had.l_linger;
	memcpy(value, &linger, sizeof(linger));
}

static bool is_span(uint16_t option)
{
	return options[option].level == SOL_SOCKET &&
	       (options[option].name == SO_RCVTIMEO || options[option].name == SO_SNDTIMEO);
}

static int set_bytes(struct mf_process *process, const struct mf_socket_settings *settings,
		     uint16_t option, const void *value, size_t bytes)
{
	size_t whole = (size_t)options[option].value;
	uint8_t padded[16] = {0};
	int ret = 0;

	memcpy(padded, value, bytes < whole ? bytes : whole);
	if (is_span(option))
		ret = take_span(padded, bytes);
	else if (options[option].level == SOL_SOCKET && bytes < whole)
		ret = -EINVAL;
	else if (options[option].level == SOL_SOCKET)
		take_linger(settings, padded);
	if (ret)
		return ret;
	/* There is no network whose congestion could be controlled otherwise. */
	if (options[option].level == IPPROTO_TCP && strncmp((char *)padded, "cubic", 16) &&
	    strncmp((char *)padded, "reno", 16))
		return -ENOENT;
	return keep(process, settings, option, padded, whole);
}

static bool is_option(uint16_t option, int level, int name)
{
	return options[option].level == level && options[option].name == name;
}

/* What becomes of a number that is in its bounds. */
static int settle_number(uint16_t option, int number)
{
	if (is_option(option, SOL_SOCKET, SO_RCVLOWAT))
		return number < 0 ? INT32_MAX : number + !number;
	if (is_option(option, IPPROTO_TCP, TCP_DEFER_ACCEPT))
		return number < 0 ? 0 : number;
	if (is_option(option, IPPROTO_TCP, TCP_LINGER2) && number <= 0)
		return number ? -1 : options[option].value;
	if (is_option(option, IPPROTO_TCP, TCP_LINGER2))
		return number < LINGER2_MOST ? number : LINGER2_MOST;
	/* The bits of congestion are TCP's own. */
	if (is_option(option, IPPROTO_IP, IP_TOS) || is_option(option, IPPROTO_IPV6, IPV6_TCLASS))
		return number & 0xfc;
	return number;
}

/* 0, -EINVAL. Options of IP know a number for "as it was before". */
static int check_number(uint16_t option, int *number)
{
	size_t i;

	for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		if (!is_option(option, bounds[i].level, bounds[i].name))
			continue;
		if (*number == -1 && bounds[i].level != IPPROTO_TCP)
			*number = options[option].value;
		return *number < bounds[i].least || *number > bounds[i].most ? -EINVAL : 0;
	}
	return 0;
}

static int set_number(struct mf_process *process, const struct mf_socket_settings *settings,
		      uint16_t option, const void *value, size_t bytes)
{
	int least = options[option].name == SO_SNDBUF ? SNDBUF_LEAST : RCVBUF_LEAST;
	int number = 0;

	if (!bytes)
		return -EINVAL;
	/* Options of IP may be one byte long. */
	memcpy(&number, value, bytes < sizeof(number) ? 1 : sizeof(number));
	if (options[option].kind == FLAG)
		number = !!number;
	if (options[option].kind == BUFFER) {
		number = number < 0 || number > BUFFER_MOST / 2 ? BUFFER_MOST : number * 2;
		number = number < least ? least : number;
	}
	if (check_number(option, &number))
		return -EINVAL;
	number = settle_number(option, number);
	return keep(process, settings, option, &number, sizeof(number));
}

/* Which levels a socket of that domain has: 0, -EOPNOTSUPP; `other`: of IPv4, asked for IPv6. */
static int check_level(const struct mf_fd *entry, int level, int other)
{
	int domain = mf_socket_domain(entry);

	if (level == SOL_SOCKET)
		return 0;
	if (domain == AF_UNIX)
		return -EOPNOTSUPP;
	return level == IPPROTO_IPV6 && domain == AF_INET ? other : 0;
}

int mf_within_set(struct mf_process *process, const struct mf_fd *entry, int level, int name,
		  const void *value, size_t bytes)
{
	uint16_t option = find(level, name);
	int ret = check_level(entry, level, -ENOPROTOOPT);

	if (ret)
		return ret;
	if (option == OPTIONS || options[option].kind == STATE)
		return -ENOPROTOOPT;
	return options[option].kind == BYTES
		       ? set_bytes(process, settings_of(process, entry), option, value, bytes)
		       : set_number(process, settings_of(process, entry), option, value, bytes);
}

static bool is_listening(const struct mf_process *process, const struct mf_fd *entry)
{
	return entry->kind == MF_FD_LISTENER &&
	       mf_listener_of(process, entry)->state == MF_LISTENER_LISTENS;
}

/* One of the numbers that are told and cannot be set. */
static int told(struct mf_process *process, const struct mf_fd *entry, int name)
{
	switch (name) {
	case SO_TYPE:
		return SOCK_STREAM;
	case SO_DOMAIN:
		return mf_socket_domain(entry);
	case SO_PROTOCOL:
		return mf_socket_domain(entry) == AF_UNIX ? 0 : IPPROTO_TCP;
	case SO_ERROR:
		return entry->kind == MF_FD_CONNECTION
			       ? mf_connection_take_error(process, mf_connection_of(process, entry))
			       : 0;
	case SO_ACCEPTCONN:
		return is_listening(process, entry);
	case SO_SNDLOWAT:
		return 1;
	default:
		return 0;
	}
}

/* Of tcp_states.h; whose two ends are shut is closed, for nobody waits for anything. */
static uint8_t tcp_state(const struct mf_process *process, const struct mf_fd *entry)
{
	uint32_t marks;

	if (entry->kind == MF_FD_LISTENER)
		return is_listening(process, entry) ? TCP_LISTEN : TCP_CLOSE;
	marks = mf_connection_of(process, entry)->marks;
	if (marks & MF_CONNECTION_RESET)
		return TCP_CLOSE;
	if (marks & MF_CONNECTION_SHUT_WRITE)
		return marks & MF_CONNECTION_CLIENT ? TCP_CLOSE : TCP_FIN_WAIT2;
	return marks & MF_CONNECTION_CLIENT ? TCP_CLOSE_WAIT : TCP_ESTABLISHED;
}

static size_t tell_state(struct mf_process *process, const struct mf_fd *entry, uint16_t option,
			 uint8_t out[256])
{
	const struct ucred nobody = {.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};
	struct tcp_info info = {.tcpi_state = tcp_state(process, entry)};
	int number;

	if (options[option].level == IPPROTO_TCP) {
		memcpy(out, &info, sizeof(info));
		return sizeof(info);
	}
	if (options[option].name == SO_PEERCRED) {
		memcpy(out, &nobody, sizeof(nobody));
		return sizeof(nobody);
	}
	number = told(process, entry, options[option].name);
	memcpy(out, &number, sizeof(number));
	return sizeof(number);
}

_Static_assert(sizeof(struct tcp_info) <= 256, "has room");

static size_t tell_bytes(const struct mf_socket_settings *settings, uint16_t option,
			 uint8_t out[256])
{
	const struct mf_socket_setting *setting = setting_of(settings, option);
	size_t bytes = (size_t)options[option].value;

	memset(out, 0, bytes);
	if (setting)
		memcpy(out, setting->value, bytes);
	else if (options[option].level == IPPROTO_TCP)
		memcpy(out, "cubic", sizeof("cubic"));
	if (is_span(option) && mf_settings_span(settings, options[option].name) == 0)
		memset(out, 0, bytes);
	return bytes;
}

int mf_within_get(struct mf_process *process, const struct mf_fd *entry, int level, int name,
		  void *value, socklen_t *bytes)
{
	const struct mf_socket_settings *settings = settings_of(process, entry);
	uint16_t option = find(level, name);
	uint8_t out[256] = {0};
	size_t there;
	int number;
	int ret = check_level(entry, level, -EOPNOTSUPP);

	if (ret)
		return ret;
	if (option == OPTIONS)
		return -ENOPROTOOPT;
	if (options[option].kind == STATE) {
		there = tell_state(process, entry, option, out);
	} else if (options[option].kind == BYTES) {
		there = tell_bytes(settings, option, out);
	} else {
		number = number_of(settings, option);
		there = sizeof(number);
		memcpy(out, &number, sizeof(number));
	}
	*bytes = there < *bytes ? (socklen_t)there : *bytes;
	memcpy(value, out, *bytes);
	return 0;
}

void mf_settings_replay(const struct mf_socket_settings *settings, int host)
{
	uint32_t i;

	for (i = 0; i < settings->count && i < MF_SOCKET_SETTINGS; i++) {
		const struct mf_socket_setting *setting = &settings->list[i];
		const struct option *option = &options[setting->option % OPTIONS];
		int number;

		/* Not a time to linger: the host's close() would wait for that long. */
		if (option->level == SOL_SOCKET && option->name == SO_LINGER &&
		    !mf_settings_abort(settings))
			continue;
		memcpy(&number, setting->value, sizeof(number));
		number = option->kind == BUFFER ? number / 2 : number;
		if (option->kind == BYTES)
			setsockopt(host, option->level, option->name, setting->value,
				   setting->bytes);
		else
			setsockopt(host, option->level, option->name, &number, sizeof(number));
	}
}
