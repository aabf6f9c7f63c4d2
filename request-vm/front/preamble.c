// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/un.h>

#include "request-vm/front/preamble.h"

#define HEAD_BYTES 16u /* of version 2: signature, version and command, family, length */

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 }; /* version 2 in the upper half */

/* Families, each with what follows: two addresses and their ports. */
enum { NO_FAMILY = 0x00, STREAM_IN = 0x11, STREAM_IN6 = 0x21, STREAM_UNIX = 0x31 };

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0,   '\r',
				      '\n', 'Q',  'U',  'I',  'T', '\n'};
static const uint8_t word[6] = {'P', 'R', 'O', 'X', 'Y', ' '};

static void set_in(struct mf_preamble *preamble, const void *address, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&preamble->from;

	in->sin_family = AF_INET;
	in->sin_port = port;
	memcpy(&in->sin_addr, address, sizeof(in->sin_addr));
	preamble->from_bytes = sizeof(*in);
}

static void set_in6(struct mf_preamble *preamble, const void *address, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&preamble->from;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = port;
	memcpy(&in6->sin6_addr, address, sizeof(in6->sin6_addr));
	preamble->from_bytes = sizeof(*in6);
}

/* A path; one that is empty, or abstract, is none. */
static void set_unix(struct mf_preamble *preamble, const void *path)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&preamble->from;
	size_t bytes = strnlen(path, sizeof(un->sun_path));

	if (!bytes)
		return;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, bytes);
	preamble->from_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
}

static enum mf_preamble_state bad(struct mf_preamble *preamble)
{
	preamble->bytes[0] = 0; /* begins neither version */
	preamble->have = 1;
	return MF_PREAMBLE_BAD;
}

/* The next word of the line, which ends it in place; NULL: there is none. */
static char *next_word(char **at)
{
	char *begin = *at;
	char *end = begin ? strchr(begin, ' ') : NULL;

	if (end)
		*end = '\0';
	*at = end ? end + 1 : NULL;
	return begin;
}

static bool read_port(const char *text, uint16_t *port)
{
	uint32_t value = 0;
	size_t i;

	if (!text || !text[0] || (text[0] == '0' && text[1]))
		return false;
	for (i = 0; text[i]; i++) {
		if (text[i] < '0' || text[i] > '9' || i == 5)
			return false;
		value = value * 10 + (uint32_t)(text[i] - '0');
	}
	*port = htons((uint16_t)value);
	return value <= UINT16_MAX;
}

/* A whole line, without its end. */
static bool read_line(struct mf_preamble *preamble, char *at)
{
	char *family = next_word(&at), *source, *destination, *port, *other_port;
	uint8_t address[sizeof(struct in6_addr)], other[sizeof(struct in6_addr)];
	uint16_t number, other_number;
	int domain;

	if (!strcmp(family, "UNKNOWN"))
		return true;
	domain = !strcmp(family, "TCP4") ? AF_INET : AF_INET6;
	source = next_word(&at);
	destination = next_word(&at);
	port = next_word(&at);
	other_port = next_word(&at);
	if ((domain == AF_INET6 && strcmp(family, "TCP6") != 0) || at || !other_port ||
	    inet_pton(domain, source, address) != 1 || inet_pton(domain, destination, other) != 1 ||
	    !read_port(port, &number) || !read_port(other_port, &other_number))
		return false;
	if (domain == AF_INET)
		set_in(preamble, address, number);
	else
		set_in6(preamble, address, number);
	return true;
}

/* The line is complete with this LF. */
static enum mf_preamble_state end_line(struct mf_preamble *preamble)
{
	uint8_t *end = preamble->bytes + preamble->have - 2;

	if (*end != '\r' || memchr(preamble->bytes, '\0', preamble->have))
		return bad(preamble);
	*end = '\0';
	return read_line(preamble, (char *)preamble->bytes + sizeof(word)) ? MF_PREAMBLE_DONE
									   : bad(preamble);
}

static enum mf_preamble_state feed_line(struct mf_preamble *preamble, uint8_t byte)
{
	if (preamble->have <= sizeof(word))
		return byte == word[preamble->have - 1] ? MF_PREAMBLE_MORE : bad(preamble);
	if (byte == '\n')
		return end_line(preamble);
	return preamble->have < MF_PREAMBLE_LINE_MAX ? MF_PREAMBLE_MORE : bad(preamble);
}

static size_t length_of(const struct mf_preamble *preamble)
{
	return HEAD_BYTES + ((size_t)preamble->bytes[14] << 8 | preamble->bytes[15]);
}

/* Fields of a type, a length and a value, and nothing else. */
static bool are_fields(const uint8_t *at, size_t bytes)
{
	while (bytes >= 3) {
		size_t field = 3 + ((size_t)at[1] << 8 | at[2]);

		if (field > bytes)
			return false;
		at += field;
		bytes -= field;
	}
	return bytes == 0;
}

static size_t address_bytes(uint8_t family)
{
	switch (family) {
	case STREAM_IN:
		return 2 * (sizeof(struct in_addr) + sizeof(in_port_t));
	case STREAM_IN6:
		return 2 * (sizeof(struct in6_addr) + sizeof(in_port_t));
	case STREAM_UNIX:
		return 2 * sizeof(((struct sockaddr_un *)NULL)->sun_path);
	default:
		return 0;
	}
}

/* The head is complete: may it be one? */
static bool is_head(const struct mf_preamble *preamble)
{
	uint8_t command = preamble->bytes[12], family = preamble->bytes[13];

	if (length_of(preamble) > MF_PREAMBLE_MAX)
		return false;
	if (command == COMMAND_LOCAL)
		return true;
	return command == COMMAND_PROXY && (family == NO_FAMILY || address_bytes(family)) &&
	       length_of(preamble) >= HEAD_BYTES + address_bytes(family);
}

static enum mf_preamble_state end_binary(struct mf_preamble *preamble)
{
	const uint8_t *at = preamble->bytes + HEAD_BYTES;
	uint8_t family = preamble->bytes[13];
	size_t addresses = address_bytes(family);
	uint16_t port;

	if (preamble->bytes[12] == COMMAND_LOCAL || family == NO_FAMILY)
		return MF_PREAMBLE_DONE;
	if (!are_fields(at + addresses, preamble->have - HEAD_BYTES - addresses))
		return bad(preamble);
	if (family == STREAM_UNIX) {
		set_unix(preamble, at);
		return MF_PREAMBLE_DONE;
	}
	memcpy(&port, at + addresses - 2 * sizeof(port), sizeof(port));
	if (family == STREAM_IN)
		set_in(preamble, at, port);
	else
		set_in6(preamble, at, port);
	return MF_PREAMBLE_DONE;
}

static enum mf_preamble_state feed_binary(struct mf_preamble *preamble, uint8_t byte)
{
	if (preamble->have <= sizeof(signature) && byte != signature[preamble->have - 1])
		return bad(preamble);
	if (preamble->have < HEAD_BYTES)
		return MF_PREAMBLE_MORE;
	if (preamble->have == HEAD_BYTES && !is_head(preamble))
		return bad(preamble);
	return preamble->have == length_of(preamble) ? end_binary(preamble) : MF_PREAMBLE_MORE;
}

enum mf_preamble_state mf_preamble_feed(struct mf_preamble *preamble, const void *data, size_t size,
					size_t *used)
{
	const uint8_t *bytes = data;
	enum mf_preamble_state state = MF_PREAMBLE_MORE;

	if (preamble->have && preamble->bytes[0] != word[0] && preamble->bytes[0] != signature[0])
		state = MF_PREAMBLE_BAD;
	for (*used = 0; *used < size && state == MF_PREAMBLE_MORE; ++*used) {
		uint8_t byte = bytes[*used];

		preamble->bytes[preamble->have++] = byte;
		state = preamble->bytes[0] == signature[0] ? feed_binary(preamble, byte)
							   : feed_line(preamble, byte);
	}
	return state;
}
