// SPDX-License-Identifier: MIT
#include <llhttp/llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "request-vm/front/chars.h"
#include "request-vm/front/http_head.h"
#include "request-vm/front/reading.h"

/* Headers that decide where a request ends and what becomes of its connection. */
struct meaning {
	uint32_t hosts, lengths, encodings, expects, upgrades;
	struct mf_http_span host, length, encoding, expect, upgrade;
	bool close, keep_alive, upgrades_too;
};

bool mf_http_method_known(const char *name, size_t length)
{
#define NAME(number, id, string) #string,
	static const char *const names[] = {HTTP_METHOD_MAP(NAME)};
#undef NAME
	/* no tunnels: CONNECT is the one method whose target is no path */
	if (length == 7 && memcmp(name, "CONNECT", 7) == 0)
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (length == strlen(names[i]) && memcmp(name, names[i], length) == 0)
			return true;
	return false;
}

static int refusal_of(int code)
{
	switch (code) {
	case HPE_INVALID_METHOD:
		return 501;
	case HPE_INVALID_VERSION:
		return 505;
	case HPE_INVALID_TRANSFER_ENCODING:
		return 501;
	default:
		return 400;
	}
}

/* Let llhttp read the head. It must see what the scanner saw. */
static int read_head(struct mf_http_reading *reading, const char *text, size_t size,
		     const struct mf_http_head_expect *expect)
{
	int code = mf_http_read_request(reading, text, size);

	if (!reading->complete)
		return refusal_of(code);
	if (reading->method.at != text || reading->method.length != expect->method_bytes)
		return 400;
	if (reading->target.at != text + expect->method_bytes + 1 ||
	    reading->target.length != expect->target_bytes)
		return 400;
	if (reading->name_count != expect->header_count ||
	    reading->value_count != expect->header_count)
		return 400;
	if (reading->major != 1 || reading->minor != expect->minor)
		return 505;
	return 0;
}

static void note_connection(void *arg, const char *word, size_t length)
{
	struct meaning *meaning = arg;

	if (mf_text_is(word, length, "close"))
		meaning->close = true;
	else if (mf_text_is(word, length, "keep-alive"))
		meaning->keep_alive = true;
	else if (mf_text_is(word, length, "upgrade"))
		meaning->upgrades_too = true;
}

static void note(struct meaning *meaning, struct mf_http_span name, struct mf_http_span value)
{
	if (mf_text_is(name.at, name.length, "host")) {
		meaning->hosts++;
		meaning->host = value;
	} else if (mf_text_is(name.at, name.length, "content-length")) {
		meaning->lengths++;
		meaning->length = value;
	} else if (mf_text_is(name.at, name.length, "transfer-encoding")) {
		meaning->encodings++;
		meaning->encoding = value;
	} else if (mf_text_is(name.at, name.length, "expect")) {
		meaning->expects++;
		meaning->expect = value;
	} else if (mf_text_is(name.at, name.length, "connection")) {
		mf_http_each_word(value, note_connection, meaning);
	} else if (mf_text_is(name.at, name.length, "upgrade")) {
		meaning->upgrades++;
		meaning->upgrade = value;
	}
}

/* Empty is allowed (RFC 9112 3.2); a list, a user name or a path is not. */
static bool host_valid(struct mf_http_span host)
{
	for (size_t i = 0; i < host.length; i++) {
		unsigned char c = (unsigned char)host.at[i];

		if (c <= ' ' || c >= 0x7f || strchr(",/@?#\\\"<>{}|^`", c))
			return false;
	}
	return true;
}

static int check_length(const struct meaning *meaning, uint32_t limit, uint32_t *body_bytes)
{
	uint64_t value = 0;

	*body_bytes = 0;
	if (meaning->lengths == 0)
		return 0;
	if (meaning->lengths > 1 || meaning->length.length == 0)
		return 400;
	for (size_t i = 0; i < meaning->length.length; i++) {
		unsigned char c = (unsigned char)meaning->length.at[i];

		if (c < '0' || c > '9')
			return 400;
		value = value * 10 + (c - '0');
		if (value > UINT32_MAX)
			value = UINT32_MAX; /* sticks: beyond every limit */
	}
	if (value > limit)
		return 413;
	*body_bytes = (uint32_t)value;
	return 0;
}

static int check_encoding(const struct meaning *meaning, uint8_t minor)
{
	if (meaning->encodings == 0)
		return 0;
	if (meaning->encodings > 1 || meaning->lengths > 0 || minor == 0)
		return 400;
	return mf_text_is(meaning->encoding.at, meaning->encoding.length, "chunked") ? 0 : 501;
}

/* Does the client want another protocol? HTTP/2 is none that is spoken behind a door like this. */
static bool wants_upgrade(const struct meaning *meaning, const struct mf_http_message *message)
{
	struct mf_http_span to = meaning->upgrade;

	return meaning->upgrades_too && meaning->upgrades == 1 && to.length > 0 &&
	       !mf_text_is(to.at, to.length, "h2c") && !memchr(to.at, ',', to.length) &&
	       message->minor > 0 && !message->chunked && message->length == 0;
}

static int check_target(const struct mf_http_reading *reading)
{
	if (reading->target.at[0] == '/')
		return 0;
	/* the scanner let only `/` and `*` begin a target */
	if (reading->target.length == 1 && reading->method.length == 7 &&
	    memcmp(reading->method.at, "OPTIONS", 7) == 0)
		return 0;
	return 400;
}

/* The meaning of the head as a whole. Returns 0 or the status to refuse with. */
static int judge(const struct mf_http_reading *reading, const struct mf_http_limits *limits,
		 uint8_t minor, struct mf_http_head *head)
{
	struct meaning meaning = {0};
	int status;

	for (uint32_t i = 0; i < reading->name_count; i++)
		note(&meaning, reading->names[i], reading->values[i]);
	status = check_target(reading);
	if (!status && (meaning.hosts > 1 || (meaning.hosts == 0 && minor > 0)))
		status = 400;
	if (!status && !host_valid(meaning.host))
		status = 400;
	if (!status)
		status = check_encoding(&meaning, minor);
	if (!status)
		status = check_length(&meaning, limits->body_bytes, &head->message.length);
	head->message.chunked = meaning.encodings > 0;
	head->message.has_length = meaning.lengths > 0;
	if (!status &&
	    (reading->chunked != head->message.chunked || reading->length != head->message.length))
		status = 400; /* llhttp sees another end of the request */
	if (status)
		return status;
	/* RFC 9110 10.1.1: an expectation in HTTP/1.0 is ignored */
	if (meaning.expects > 0 && minor > 0) {
		if (meaning.expects > 1 ||
		    !mf_text_is(meaning.expect.at, meaning.expect.length, "100-continue"))
			return 417;
		head->wants_continue = head->message.length > 0 || head->message.chunked;
	}
	head->message.minor = minor;
	head->message.keep_alive = !meaning.close && (minor > 0 || meaning.keep_alive);
	head->message.upgrade = wants_upgrade(&meaning, &head->message);
	head->host = meaning.host;
	head->message.is_head =
		reading->method.length == 4 && memcmp(reading->method.at, "HEAD", 4) == 0;
	return 0;
}

static size_t message_bytes(const struct mf_http_parts *parts, uint32_t body_bytes)
{
	const struct mf_http_reading *reading = parts->reading;
	size_t size = sizeof(struct mf_abi_request);

	size += parts->count * 2 * sizeof(struct mf_abi_slice);
	size += reading->method.length + 1 + reading->target.length + 1;
	for (uint32_t i = 0; i < parts->count; i++)
		size += parts->names[i]->length + 1 + parts->values[i]->length + 1;
	return size + body_bytes + 1;
}

/* Appends text and its NUL at *offset. */
static struct mf_abi_slice put(struct mf_abi_request *request, uint32_t *offset,
			       struct mf_http_span text)
{
	struct mf_abi_slice slice = {.offset = *offset, .length = (uint32_t)text.length};
	char *to = (char *)request + *offset;

	if (text.length > 0)
		memcpy(to, text.at, text.length);
	to[text.length] = '\0';
	*offset += slice.length + 1;
	return slice;
}

static int build(struct mf_http_head *head, const struct mf_http_parts *parts)
{
	const struct mf_http_reading *reading = parts->reading;
	/* fits: limits keep the head under 1 MiB and the body under 1 GiB */
	size_t size = message_bytes(parts, head->message.length);
	struct mf_abi_request *request = malloc(size);
	struct mf_abi_slice *pair = (struct mf_abi_slice *)(request + 1);
	uint32_t offset;

	if (!request)
		return 503;
	*request = (struct mf_abi_request){.version = MF_ABI_VERSION, .size_bytes = (uint32_t)size};
	request->header_count = parts->count;
	request->headers_offset = sizeof(*request);
	offset = (uint32_t)(sizeof(*request) + parts->count * 2 * sizeof(*pair));
	head->message.method = request->method = put(request, &offset, reading->method);
	head->message.target = request->target = put(request, &offset, reading->target);
	for (uint32_t i = 0; i < parts->count; i++, pair += 2) {
		char *name = (char *)request + offset;

		pair[0] = put(request, &offset, *parts->names[i]);
		for (uint32_t k = 0; k < pair[0].length; k++)
			name[k] = (char)mf_char_lower((unsigned char)name[k]);
		pair[1] = put(request, &offset, *parts->values[i]);
		if (parts->values[i]->at == head->host.at)
			head->message.host = pair[1];
	}
	request->body = (struct mf_abi_slice){.offset = offset, .length = head->message.length};
	if (head->message.length == 0)
		((char *)request)[offset] = '\0';
	head->body_offset = offset;
	head->message.request = request;
	return 0;
}

/* The headers that are passed on: the client's, then ours. Returns 0 or the status to refuse with.
 */
static int collect(struct mf_http_parts *parts, const struct mf_http_added *added,
		   const struct mf_http_edge *edge)
{
	const struct mf_http_reading *reading = parts->reading;

	parts->count = 0;
	for (uint32_t i = 0; i < reading->name_count; i++) {
		if (mf_http_edge_drops(edge, reading->names[i]) ||
		    mf_text_is(reading->names[i].at, reading->names[i].length,
			       "transfer-encoding")) /* was undone here */
			continue;
		parts->names[parts->count] = &reading->names[i];
		parts->values[parts->count++] = &reading->values[i];
	}
	parts->added = added->count;
	if (parts->count + added->count > MF_ABI_MAX_HEADERS)
		return 431;
	for (uint32_t i = 0; i < added->count; i++) {
		parts->names[parts->count] = &added->list[i].name;
		parts->values[parts->count++] = &added->list[i].value;
	}
	return 0;
}

int mf_http_head_parse(struct mf_http_head *head, const char *text, size_t size,
		       const struct mf_http_head_expect *expect,
		       const struct mf_http_limits *limits)
{
	struct mf_http_reading reading;
	struct mf_http_parts parts = {.reading = &reading};
	struct mf_http_added added;
	int status;

	*head = (struct mf_http_head){0};
	status = read_head(&reading, text, size, expect);
	if (!status)
		status = judge(&reading, limits, expect->minor, head);
	if (!status)
		status = mf_http_edge_add(&added, limits->edge, &reading, head->host);
	if (!status)
		status = collect(&parts, &added, limits->edge);
	if (status)
		return status;
	parts.host = head->host;
	memcpy(head->message.id, added.id, sizeof(added.id));
	return limits->form == MF_HTTP_FORM_WIRE ? mf_http_wire_build(&head->message, &parts)
						 : build(head, &parts);
}
