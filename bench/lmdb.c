/* SPDX-License-Identifier: MIT */
/*
 * A cache in one process, without isolation: an epoll loop that speaks the least of HTTP (GET and
 * PUT /t/KEY) over LMDB, which does not sync. usage: lmdb FOLDER ADDRESS
 */
#include <errno.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench/socket.h"

#define CLIENTS_MAX 1024
#define ROOM        16384u

/* What came of each connection's request. */
struct client {
	size_t have;
	char text[ROOM];
};

static struct client *clients[CLIENTS_MAX];
static MDB_env *env;
static MDB_txn *reader;
static MDB_dbi table;

static bool open_table(const char *folder)
{
	MDB_txn *txn;

	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, 256ul << 20) ||
	    mdb_env_open(env, folder, MDB_NOSYNC, 0600) || mdb_txn_begin(env, NULL, 0, &txn) ||
	    mdb_dbi_open(txn, NULL, 0, &table) || mdb_txn_commit(txn))
		return false;
	if (mdb_txn_begin(env, NULL, MDB_RDONLY, &reader))
		return false;
	mdb_txn_reset(reader);
	return true;
}

static bool respond(int fd, const char *status, const MDB_val *value)
{
	char head[128];
	struct iovec pieces[] = {
		{head,
		 (size_t)snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n",
				  status, value->mv_size)},
		{value->mv_data, value->mv_size}};

	return writev(fd, pieces, 2) == (ssize_t)(pieces[0].iov_len + value->mv_size);
}

static bool get(int fd, MDB_val *key)
{
	MDB_val value = {0};
	bool found = !mdb_txn_renew(reader) && !mdb_get(reader, table, key, &value);
	bool good = respond(fd, found ? "200 OK" : "404 Not Found", &value);

	mdb_txn_reset(reader);
	return good;
}

static bool put(int fd, MDB_val *key, MDB_val *value)
{
	MDB_val none = {0};
	MDB_txn *txn;

	if (mdb_txn_begin(env, NULL, 0, &txn))
		return false;
	if (mdb_put(txn, table, key, value, 0)) {
		mdb_txn_abort(txn);
		return respond(fd, "507 Insufficient Storage", &none);
	}
	return !mdb_txn_commit(txn) && respond(fd, "200 OK", &none);
}

/* False: the connection is to be closed. */
static bool serve(int fd, struct client *client)
{
	const char *end;
	const char *length;
	MDB_val value;
	MDB_val key;

	client->text[client->have] = '\0';
	end = strstr(client->text, "\r\n\r\n");
	if (!end)
		return client->have < ROOM - 1;
	length = strstr(client->text, "\r\nContent-Length: ");
	value.mv_data = (char *)end + 4;
	value.mv_size = length ? strtoul(length + 18, NULL, 10) : 0;
	if (client->have < (size_t)(end + 4 - client->text) + value.mv_size)
		return client->have < ROOM - 1;
	client->have = 0;
	key.mv_data = strchr(client->text, '/');
	key.mv_size = strcspn(key.mv_data, " ");
	return client->text[0] == 'P' ? put(fd, &key, &value) : get(fd, &key);
}

static void hear(int fd)
{
	struct client *client = clients[fd];
	ssize_t got = read(fd, client->text + client->have, ROOM - 1 - client->have);

	if (got > 0) {
		client->have += (size_t)got;
		if (serve(fd, client))
			return;
	}
	close(fd);
}

static void meet(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (fd < 0)
		return;
	if (fd < CLIENTS_MAX && !clients[fd])
		clients[fd] = malloc(sizeof(struct client));
	if (fd >= CLIENTS_MAX || !clients[fd] || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		close(fd);
	else
		clients[fd]->have = 0;
}

static void loop(int listener)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[64];
	struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int count = epoll_wait(epoll, events, 64, -1);
		int i;

		if (count < 0 && errno != EINTR)
			return;
		for (i = 0; i < count; i++)
			if (events[i].data.fd == listener)
				meet(epoll, bench_accept(listener));
			else
				hear(events[i].data.fd);
	}
}

int main(int argc, char **argv)
{
	int listener;

	if (argc != 3 || !open_table(argv[1]))
		return 2;
	listener = bench_listen(argv[2]);
	if (listener < 0) {
		perror(argv[2]);
		return 1;
	}
	loop(listener);
	return 1;
}
