/* SPDX-License-Identifier: MIT */
/*
 * Socket options and requests, by a list: one that is not on it is -ENOPROTOOPT, as if the protocol
 * did not know it. Nothing that leads past the rules is on it (source routes, devices, marks).
 */
#include "engine/linux/socket_option.h"
#include "engine/linux/listener.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define OPTION_BYTES 256
/* <sys/socket.h> of Debian 12's age has them under other names (asm-generic/socket.h). */
#define RCVTIMEO_NEW 66
#define SNDTIMEO_NEW 67
/* include/net/udplite.h */
#define SEND_CHECKSUM_COVERAGE    10
#define RECEIVE_CHECKSUM_COVERAGE 11

#define GET  MF_OPTION_GET
#define SET  MF_OPTION_SET
#define BOTH (MF_OPTION_GET | MF_OPTION_SET)
#define JOIN (MF_OPTION_SET | MF_OPTION_GROUP)

static const struct mf_socket_option options[] = {
	{SOL_SOCKET, SO_DEBUG, GET},
	{SOL_SOCKET, SO_REUSEADDR, BOTH},
	{SOL_SOCKET, SO_REUSEPORT, BOTH},
	{SOL_SOCKET, SO_TYPE, GET},
	{SOL_SOCKET, SO_DOMAIN, GET},
	{SOL_SOCKET, SO_PROTOCOL, GET},
	{SOL_SOCKET, SO_ERROR, GET},
	{SOL_SOCKET, SO_ACCEPTCONN, GET},
	{SOL_SOCKET, SO_DONTROUTE, BOTH},
	{SOL_SOCKET, SO_BROADCAST, BOTH},
	{SOL_SOCKET, SO_SNDBUF, BOTH},
	{SOL_SOCKET, SO_RCVBUF, BOTH},
	{SOL_SOCKET, SO_KEEPALIVE, BOTH},
	{SOL_SOCKET, SO_OOBINLINE, BOTH},
	{SOL_SOCKET, SO_NO_CHECK, GET},
	{SOL_SOCKET, SO_PRIORITY, BOTH},
	{SOL_SOCKET, SO_LINGER, BOTH},
	{SOL_SOCKET, SO_PASSCRED, BOTH},
	{SOL_SOCKET, SO_PEERCRED, GET},
	{SOL_SOCKET, SO_RCVLOWAT, BOTH},
	{SOL_SOCKET, SO_SNDLOWAT, GET},
	{SOL_SOCKET, SO_RCVTIMEO, BOTH},
	{SOL_SOCKET, SO_SNDTIMEO, BOTH},
	{SOL_SOCKET, RCVTIMEO_NEW, BOTH},
	{SOL_SOCKET, SNDTIMEO_NEW, BOTH},
	{SOL_SOCKET, SO_TIMESTAMP, BOTH},
	{SOL_SOCKET, SO_TIMESTAMPNS, BOTH},
	{SOL_SOCKET, SO_RXQ_OVFL, BOTH},
	{SOL_SOCKET, SO_PEEK_OFF, BOTH},
	{SOL_SOCKET, SO_INCOMING_CPU, GET},
	{SOL_SOCKET, SO_COOKIE, GET},
	{IPPROTO_IP, IP_TOS, BOTH},
	{IPPROTO_IP, IP_TTL, BOTH},
	{IPPROTO_IP, IP_RECVERR, BOTH},
	{IPPROTO_IP, IP_RECVTTL, BOTH},
	{IPPROTO_IP, IP_RECVTOS, BOTH},
	{IPPROTO_IP, IP_PKTINFO, BOTH},
	{IPPROTO_IP, IP_MTU_DISCOVER, BOTH},
	{IPPROTO_IP, IP_MTU, GET},
	{IPPROTO_IP, IP_OPTIONS, GET},
	{IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, BOTH},
	{IPPROTO_IP, IP_MULTICAST_TTL, BOTH},
	{IPPROTO_IP, IP_MULTICAST_LOOP, BOTH},
	{IPPROTO_IP, IP_MULTICAST_IF, BOTH},
	{IPPROTO_IP, IP_MULTICAST_ALL, BOTH},
	{IPPROTO_IP, IP_ADD_MEMBERSHIP, JOIN},
	{IPPROTO_IP, IP_DROP_MEMBERSHIP, SET},
	{IPPROTO_IPV6, IPV6_V6ONLY, BOTH},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, BOTH},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS, BOTH},
	{IPPROTO_IPV6, IPV6_MULTICAST_LOOP, BOTH},
	{IPPROTO_IPV6, IPV6_MULTICAST_IF, BOTH},
	{IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, JOIN},
	{IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, SET},
	{IPPROTO_IPV6, IPV6_RECVERR, BOTH},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, BOTH},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, BOTH},
	{IPPROTO_IPV6, IPV6_RECVTCLASS, BOTH},
	{IPPROTO_IPV6, IPV6_TCLASS, BOTH},
	{IPPROTO_IPV6, IPV6_DONTFRAG, BOTH},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER, BOTH},
	{IPPROTO_IPV6, IPV6_MTU, GET},
	{IPPROTO_TCP, TCP_NODELAY, BOTH},
	{IPPROTO_TCP, TCP_MAXSEG, BOTH},
	{IPPROTO_TCP, TCP_CORK, BOTH},
	{IPPROTO_TCP, TCP_KEEPIDLE, BOTH},
	{IPPROTO_TCP, TCP_KEEPINTVL, BOTH},
	{IPPROTO_TCP, TCP_KEEPCNT, BOTH},
	{IPPROTO_TCP, TCP_SYNCNT, BOTH},
	{IPPROTO_TCP, TCP_LINGER2, BOTH},
	{IPPROTO_TCP, TCP_DEFER_ACCEPT, BOTH},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, BOTH},
	{IPPROTO_TCP, TCP_INFO, GET},
	{IPPROTO_TCP, TCP_QUICKACK, BOTH},
	{IPPROTO_TCP, TCP_CONGESTION, BOTH},
	{IPPROTO_TCP, TCP_USER_TIMEOUT, BOTH},
	{IPPROTO_TCP, TCP_FASTOPEN, BOTH},
	{IPPROTO_TCP, TCP_NOTSENT_LOWAT, BOTH},
	{IPPROTO_UDP, UDP_CORK, BOTH},
	{IPPROTO_UDPLITE, SEND_CHECKSUM_COVERAGE, BOTH},
	{IPPROTO_UDPLITE, RECEIVE_CHECKSUM_COVERAGE, BOTH},
};

const struct mf_socket_option *mf_socket_options(size_t *count)
{
	*count = sizeof(options) / sizeof(options[0]);
	return options;
}

static const struct mf_socket_option *find(int level, int name, unsigned int use)
{
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (options[i].level == level && options[i].name == name && options[i].use & use)
			return &options[i];
	}
	return NULL;
}

/* A time to linger stays here: the host's close() would wait for that long. */
static int set_linger(struct mf_process *process, const struct mf_fd *entry, const void *value,
		      size_t bytes)
{
	struct linger linger;
	uint64_t seconds;
	struct mf_fd *to;

	if (bytes < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	seconds = (uint32_t)linger.l_linger;
	seconds = seconds < MF_SOCKET_LINGER_MAX ? seconds : MF_SOCKET_LINGER_MAX;
	to = mf_fd_rw(process, entry);
	to->offset &=
		~(MF_SOCKET_LINGERS | (uint64_t)MF_SOCKET_LINGER_MAX << MF_SOCKET_LINGER_SHIFT);
	to->offset |= seconds << MF_SOCKET_LINGER_SHIFT;
	if (linger.l_onoff && seconds) {
		to->offset |= MF_SOCKET_LINGERS;
		linger = (struct linger){0};
	}
	return setsockopt(entry->host, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ? -errno : 0;
}

/* A group that is joined is an address that is listened on. */
static int check_group(struct mf_process *process, const struct mf_fd *entry,
		       const struct mf_socket_option *option, const void *value, size_t bytes)
{
	struct mf_address group = {.bytes = sizeof(group.in)}, host;
	int opened;

	group.in.sin_family = AF_INET;
	if (option->level == IPPROTO_IP) {
		if (bytes < sizeof(struct ip_mreq))
			return -EINVAL;
		memcpy(&group.in.sin_addr, value, sizeof(group.in.sin_addr));
	} else {
		if (bytes < sizeof(struct ipv6_mreq))
			return -EINVAL;
		group.bytes = sizeof(group.in6);
		group.in6.sin6_family = AF_INET6;
		memcpy(&group.in6.sin6_addr, value, sizeof(group.in6.sin6_addr));
	}
	return mf_address_check(process, entry, MF_NET_LISTEN, &group, &host, &opened);
}

static int set_option(struct mf_process *process, const struct mf_fd *entry,
		      const struct mf_socket_option *option, const void *value, size_t bytes)
{
	int ret;

	if (mf_socket_is_within(entry))
		return mf_within_set(process, entry, option->level, option->name, value, bytes);
	ret = mf_socket_changes(process, entry);
	if (ret)
		return ret;
	if (option->level == SOL_SOCKET && option->name == SO_LINGER)
		return set_linger(process, entry, value, bytes);
	if (option->use & MF_OPTION_GROUP)
		ret = check_group(process, entry, option, value, bytes);
	if (ret)
		return ret;
	return setsockopt(mf_socket_host(process, entry), option->level, option->name, value,
			  (socklen_t)bytes)
		       ? -errno
		       : 0;
}

static bool is_text(int level, int name)
{
	return level == IPPROTO_TCP && name == TCP_CONGESTION;
}

int64_t mf_sys_setsockopt(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_socket_option *option;
	size_t bytes = (uint32_t)arg[4];
	char value[OPTION_BYTES];
	bool early;
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	if ((int)arg[4] < 0)
		return -EINVAL;
	option = find((int)arg[1], (int)arg[2], SET);
	/* As Linux: these look at the value first. */
	early = (int)arg[1] == SOL_SOCKET || (int)arg[1] == IPPROTO_TCP;
	if (!option && !early)
		return -ENOPROTOOPT;
	if (early && bytes < sizeof(int) && !is_text((int)arg[1], (int)arg[2]))
		return -EINVAL;
	bytes = bytes < sizeof(value) ? bytes : sizeof(value);
	if (mf_guest_read(process, arg[3], value, bytes))
		return -EFAULT;
	if (!option)
		return -ENOPROTOOPT;
	return set_option(process, entry, option, value, bytes);
}

/* What the host says, in the guest's words. */
static void translate(const struct mf_fd *entry, const struct mf_socket_option *option, void *value,
		      socklen_t bytes)
{
	struct linger linger;
	struct ucred cred;

	if (option->level != SOL_SOCKET)
		return;
	if (option->name == SO_PEERCRED && bytes == sizeof(cred)) {
		memcpy(&cred, value, sizeof(cred));
		if (cred.pid)
			mf_ucred_to_guest(&cred);
		memcpy(value, &cred, sizeof(cred));
	}
	if (option->name == SO_LINGER && entry->offset & MF_SOCKET_LINGERS) {
		linger.l_onoff = 1;
		linger.l_linger = (int)(entry->offset >> MF_SOCKET_LINGER_SHIFT);
		memcpy(value, &linger, bytes < sizeof(linger) ? bytes : sizeof(linger));
	}
}

int64_t mf_sys_getsockopt(struct mf_process *process, const uint64_t arg[6])
{
	const struct mf_socket_option *option;
	char value[OPTION_BYTES] = {0};
	int32_t room;
	socklen_t bytes;
	int64_t ret;
	const struct mf_fd *entry = mf_socket_get(process, arg[0], &ret);

	if (!entry)
		return ret;
	if (mf_guest_read(process, arg[4], &room, sizeof(room)))
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	option = find((int)arg[1], (int)arg[2], GET);
	if (!option)
		return -ENOPROTOOPT;
	bytes = room < OPTION_BYTES ? (socklen_t)room : OPTION_BYTES;
	if (mf_socket_is_within(entry))
		ret = mf_within_get(process, entry, option->level, option->name, value, &bytes);
	else if (getsockopt(mf_socket_host(process, entry), option->level, option->name, value,
			    &bytes))
		ret = -errno;
	if (ret)
		return ret;
	translate(entry, option, value, bytes);
	if (bytes && mf_guest_write(process, arg[3], value, bytes))
		return -EFAULT;
	return mf_guest_write(process, arg[4], &bytes, sizeof(bytes));
}

static int64_t ask_number(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			  uint64_t to)
{
	int value = 0;

	if (ioctl(mf_socket_host(process, entry), request, &value))
		return -errno;
	return mf_guest_write(process, to, &value, sizeof(value));
}

/* About one interface of the host: who may talk to addresses may know them. */
static int64_t ask_interface(struct mf_process *process, const struct mf_fd *entry,
			     uint32_t request, uint64_t at)
{
	struct ifreq about;

	if (!mf_socket_internet(process))
		return -EACCES;
	if (mf_guest_read(process, at, &about, sizeof(about)))
		return -EFAULT;
	if (ioctl(entry->host, request, &about))
		return -errno;
	return mf_guest_write(process, at, &about, sizeof(about));
}

/* struct ifconf, whose buffer is the guest's. */
static int64_t list_interfaces(struct mf_process *process, const struct mf_fd *entry, uint64_t at)
{
	struct ifreq found[64];
	struct ifconf list = {.ifc_len = sizeof(found)};
	uint64_t guest[2];
	int room;

	if (!mf_socket_internet(process))
		return -EACCES;
	if (mf_guest_read(process, at, guest, sizeof(guest)))
		return -EFAULT;
	room = (int)guest[0];
	if (guest[1] && room >= 0 && room < list.ifc_len)
		list.ifc_len = room;
	list.ifc_req = guest[1] ? found : NULL;
	if (ioctl(entry->host, SIOCGIFCONF, &list))
		return -errno;
	if (guest[1] && mf_guest_write(process, guest[1], found, (size_t)list.ifc_len))
		return -EFAULT;
	return mf_guest_write(process, at, &list.ifc_len, sizeof(list.ifc_len));
}

int64_t mf_socket_ioctl(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			uint64_t arg)
{
	switch (request) {
	case SIOCINQ: /* FIONREAD */
	case SIOCOUTQ:
	case SIOCATMARK:
		return ask_number(process, entry, request, arg);
	case SIOCGIFCONF:
		return list_interfaces(process, entry, arg);
	case SIOCGIFNAME:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFHWADDR:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFTXQLEN:
		return ask_interface(process, entry, request, arg);
	default:
		return -ENOTTY;
	}
}
