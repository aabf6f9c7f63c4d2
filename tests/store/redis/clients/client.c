/* SPDX-License-Identifier: MIT */
/* A web server with hiredis: POST a command a line, words apart by blanks; the answer is its
 * replies. The connection is made at the first request. */
#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MAX 65536

static char answer[ANSWER_MAX];
static size_t length;

static void add(const char *text, size_t count)
{
	if (count > ANSWER_MAX - length)
		count = ANSWER_MAX - length;
	memcpy(answer + length, text, count);
	length += count;
}

static void add_reply(const redisReply *reply)
{
	char number[32];
	size_t i;

	if (!reply) {
		add("no reply", 8);
	} else if (reply->type == REDIS_REPLY_INTEGER) {
		add(number, (size_t)snprintf(number, sizeof(number), "%lld", reply->integer));
	} else if (reply->type == REDIS_REPLY_ARRAY) {
		add("[", 1);
		for (i = 0; i < reply->elements; i++) {
			add_reply(reply->element[i]);
			add(" ", 1);
		}
		add("]", 1);
	} else if (reply->type == REDIS_REPLY_NIL) {
		add("nil", 3);
	} else {
		add(reply->str, reply->len);
	}
}

static void run(redisContext *store, char *line)
{
	const char *words[64];
	redisReply *reply;
	int count = 0;
	char *word;

	for (word = strtok(line, " "); word && count < 64; word = strtok(NULL, " "))
		words[count++] = word;
	reply = redisCommandArgv(store, count, words, NULL);
	add_reply(reply);
	add("\n", 1);
	if (reply)
		freeReplyObject(reply);
}

/* All commands at once, then all replies. */
static void run_pipeline(redisContext *store, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		redisAppendCommand(store, "INCR pipeline");
	for (i = 0; i < count; i++) {
		redisReply *reply = NULL;

		if (redisGetReply(store, (void **)&reply))
			reply = NULL;
		if (i + 1 == count)
			add_reply(reply);
		if (reply)
			freeReplyObject(reply);
	}
	add("\n", 1);
}

static void serve(char *body)
{
	redisContext *store = redisConnect("127.0.0.1", 6379);
	char *save = NULL;
	char *line;

	if (!store || store->err) {
		add("not connected", 13);
		return;
	}
	for (line = strtok_r(body, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (!strncmp(line, "pipeline ", 9))
			run_pipeline(store, (unsigned int)atoi(line + 9));
		else
			run(store, line);
	}
	redisFree(store);
}

static void handle(int fd)
{
	static char request[ANSWER_MAX];
	char head[128];
	size_t got = 0;
	char *body = NULL;
	ssize_t now;

	/* The body ends with an empty line. */
	while (got < sizeof(request) - 1 &&
	       (now = read(fd, request + got, sizeof(request) - 1 - got)) > 0) {
		got += (size_t)now;
		request[got] = 0;
		body = strstr(request, "\r\n\r\n");
		if (body && strstr(body + 4, "\n\n"))
			break;
	}
	length = 0;
	if (body)
		serve(body + 4);
	now = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n",
		       length);
	if (write(fd, head, (size_t)now) == now && write(fd, answer, length) < 0)
		exit(1);
}

int main(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(8000),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 16))
		return 1;
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0) {
			handle(fd);
			close(fd);
		}
	}
}
