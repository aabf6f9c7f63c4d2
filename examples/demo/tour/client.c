/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define PATIENCE_SECONDS 30
#define ANSWER_MAX       (80u << 20)

char *ask_text(const struct ask *ask, size_t *length)
{
	const char *headers = ask->headers ? ask->headers : "";
	char *text = malloc(strlen(ask->target) + strlen(headers) + ask->length + 256);
	int head;

	if (!text)
		return NULL;
	head = sprintf(text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %zu\r\n\r\n",
		       ask->method, ask->target, headers, ask->length);
	if (ask->length)
		memcpy(text + head, ask->body, ask->length);
	*length = (size_t)head + ask->length;
	return text;
}

void client_init(struct client *client, uint16_t port)
{
	*client = (struct client){.port = port, .fd = -1};
}

static void hang_up(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
}

void client_finish(struct client *client)
{
	hang_up(client);
	free(client->out);
	free(client->in);
	client_init(client, 0);
}

static int call(struct client *client)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(client->port)};
	struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	int on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return -errno;
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return connect(client->fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static int send_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		data += sent;
		length -= (size_t)sent;
	}
	return 0;
}

/* More bytes behind the `have` that are there; always room for a NUL. */
static int receive(struct client *client, size_t *have)
{
	ssize_t got;

	if (*have + 1 >= client->in_room) {
		size_t room = client->in_room ? client->in_room * 2 : 65536;
		char *more = room <= ANSWER_MAX ? realloc(client->in, room) : NULL;

		if (!more)
			return -ENOMEM;
		client->in = more;
		client->in_room = room;
	}
	do {
		got = recv(client->fd, client->in + *have, client->in_room - *have - 1, 0);
	} while (got < 0 && errno == EINTR);
	if (got <= 0)
		return got < 0 ? -errno : -ECONNRESET;
	*have += (size_t)got;
	client->in[*have] = '\0';
	return 0;
}

/* A header's value within the head, which ends at `end`. */
static const char *header(const char *head, const char *end, const char *name)
{
	size_t length = strlen(name);

	for (const char *at = head; at < end; at = strstr(at, "\r\n") + 2)
		if (strncasecmp(at, name, length) == 0 && at[length] == ':')
			return at + length + 1 + strspn(at + length + 1, " ");
	return NULL;
}

static int take_answer(struct client *client, struct answer *answer)
{
	const char *end = NULL;
	const char *value;
	size_t have = 0;
	size_t head;
	int rc = 0;

	while (!end && (rc = receive(client, &have)) == 0)
		end = strstr(client->in, "\r\n\r\n");
	if (rc < 0)
		return rc;
	head = (size_t)(end + 4 - client->in);
	answer->status = have > 12 ? atoi(client->in + 9) : 0;
	value = header(client->in, end + 2, "Content-Length");
	answer->length = value ? strtoul(value, NULL, 10) : 0;
	value = header(client->in, end + 2, "Connection");
	bool over = value && strncasecmp(value, "close", 5) == 0;

	while (have < head + answer->length && rc == 0)
		rc = receive(client, &have);
	if (over)
		hang_up(client);
	answer->body = client->in + head;
	return rc;
}

int client_ask(struct client *client, const struct ask *ask, struct answer *answer)
{
	size_t length;
	int rc;

	free(client->out);
	client->out = ask_text(ask, &length);
	if (!client->out)
		return -ENOMEM;
	rc = client->fd < 0 ? call(client) : 0;
	if (rc == 0)
		rc = send_all(client->fd, client->out, length);
	if (rc == 0)
		rc = take_answer(client, answer);
	if (rc < 0)
		hang_up(client);
	return rc;
}

bool client_post(struct client *client, const struct stanza *stanza)
{
	struct ask ask = {"POST", "/stanza", NULL, stanza->text.data, stanza->text.length};
	struct answer answer;

	return client_ask(client, &ask, &answer) == 0 && answer.status == 200 &&
	       answer.length == stanza->json_length &&
	       memcmp(answer.body, stanza->json, answer.length) == 0;
}

static bool ask_package(struct client *client, struct ask *ask, const struct stanza *stanza,
			struct answer *answer)
{
	char target[256];

	snprintf(target, sizeof(target), "/package/%s", stanza->name);
	ask->target = target;
	return client_ask(client, ask, answer) == 0;
}

bool client_put(struct client *client, const struct stanza *stanza)
{
	struct ask ask = {
		.method = "PUT", .body = stanza->text.data, .length = stanza->text.length};
	struct answer answer;

	return ask_package(client, &ask, stanza, &answer) && answer.status == 204;
}

bool client_get(struct client *client, const struct stanza *stanza)
{
	struct ask ask = {.method = "GET"};
	struct answer answer;

	return ask_package(client, &ask, stanza, &answer) && answer.status == 200 &&
	       answer.length == stanza->text.length &&
	       memcmp(answer.body, stanza->text.data, answer.length) == 0;
}
