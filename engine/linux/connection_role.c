/* SPDX-License-Identifier: MIT */
/* Connections within the VM, as the role has them that serves their other ends. */
#include "engine/linux/connection.h"
#include "engine/linux/listener.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static const struct mf_connection *at(const struct mf_process *process, uint32_t number)
{
	return &mf_linux(process)->connections[number % MF_CONNECTIONS];
}

static int domain_of(const struct mf_process *process, const struct mf_guest_listener *listener)
{
	return mf_socket_domain(mf_fd_at(process, listener->description - 1));
}

/* Where connections from outside arrive, or NULL. */
static const struct mf_guest_listener *door_of(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);

	return lx->door ? &lx->listeners[lx->door - 1] : NULL;
}

bool mf_connection_is_from(const struct mf_process *process, uint32_t number,
			   const struct sockaddr *from, socklen_t from_bytes)
{
	const struct mf_guest_listener *door = door_of(process);
	struct mf_listener_name client;

	if (!door)
		return false;
	mf_name_of_client(domain_of(process, door), from, from_bytes, 0, &client);
	return client.bytes == at(process, number)->other.bytes &&
	       !memcmp(client.address, at(process, number)->other.address, client.bytes);
}

int mf_connection_open(struct mf_process *process, const struct sockaddr *from,
		       socklen_t from_bytes, uint32_t *number)
{
	const struct mf_guest_listener *door = door_of(process);
	struct mf_listener_name client;

	if (!door)
		return -ENOTCONN;
	mf_name_of_client(domain_of(process, door), from, from_bytes, 0, &client);
	*number = mf_connection_make(process, door, &client);
	if (*number == MF_CONNECTIONS)
		return -EMFILE;
	mf_connection_rw(process, at(process, *number))->of_role = 1;
	mf_listener_append(process, door, *number);
	return 0;
}

int64_t mf_connection_put(struct mf_process *process, uint32_t number, const void *bytes,
			  size_t count)
{
	const struct mf_connection *connection = at(process, number);
	struct mf_cursor cursor;
	int64_t put;

	/* Nobody will ever read it. */
	if (!connection->of_program || connection->marks & MF_CONNECTION_SHUT_READ)
		return (int64_t)count;
	mf_cursor_host(&cursor, process, bytes, count, MF_READ);
	put = mf_stream_put(process, &connection->input, &cursor);
	if (put > 0)
		mf_connection_notify(process, connection, POLLIN | POLLRDNORM);
	return put;
}

void mf_connection_end(struct mf_process *process, uint32_t number)
{
	if (at(process, number)->marks & MF_CONNECTION_CLIENT)
		return;
	mf_connection_rw(process, at(process, number))->marks |= MF_CONNECTION_CLIENT;
	mf_connection_notify(process, at(process, number), POLLIN | POLLRDHUP);
}

void mf_connection_reset(struct mf_process *process, uint32_t number)
{
	struct mf_connection *connection = mf_connection_rw(process, at(process, number));

	if (connection->marks & MF_CONNECTION_RESET)
		return;
	/* As tcp_reset: who has seen the end of it finds a broken pipe. */
	connection->error =
		connection->marks & MF_CONNECTION_CLIENT && !mf_connection_is_unix(connection)
			? EPIPE
			: ECONNRESET;
	connection->marks |= MF_CONNECTION_RESET;
	mf_connection_notify(process, connection, POLLIN | POLLOUT | POLLRDHUP | POLLHUP | POLLERR);
}

size_t mf_connection_peek(struct mf_process *process, uint32_t number, void *to, size_t room)
{
	struct mf_cursor cursor;
	int64_t bytes;

	mf_cursor_host(&cursor, process, to, room, MF_WRITE);
	bytes = mf_stream_take(process, &at(process, number)->output, &cursor, true);
	return bytes > 0 ? (size_t)bytes : 0;
}

void mf_connection_taken(struct mf_process *process, uint32_t number, size_t bytes)
{
	if (!bytes)
		return;
	mf_stream_drop(process, &at(process, number)->output, bytes);
	mf_connection_has_room(process, at(process, number));
}

size_t mf_connection_take(struct mf_process *process, uint32_t number, void *to, size_t room)
{
	size_t bytes = mf_connection_peek(process, number, to, room);

	mf_connection_taken(process, number, bytes);
	return bytes;
}

void mf_connection_look(const struct mf_process *process, uint32_t number,
			struct mf_connection_state *state)
{
	const struct mf_connection *connection = at(process, number);

	*state = (struct mf_connection_state){
		.accepted = connection->marks & MF_CONNECTION_ACCEPTED,
		.ended = connection->marks & MF_CONNECTION_SHUT_WRITE,
		.closed = !connection->of_program,
		.aborted = connection->marks & MF_CONNECTION_ABORT,
		.unread = mf_stream_bytes(&connection->input),
		.output = mf_stream_bytes(&connection->output),
		.room = mf_stream_room(&connection->input),
	};
}

void mf_connection_close(struct mf_process *process, uint32_t number)
{
	const struct mf_connection *connection = at(process, number);

	if (!connection->of_role)
		return;
	mf_connection_rw(process, connection)->of_role = 0;
	mf_connection_end(process, number);
	mf_connection_notify(process, connection,
			     POLLIN | POLLOUT | POLLRDHUP |
				     (mf_connection_is_unix(connection) ? POLLHUP : 0));
	mf_connection_release(process, connection);
}

_Static_assert(MF_CONNECTIONS == 64, "a bit each");

uint64_t mf_connection_stores(const struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint64_t found = 0;
	uint32_t i;

	for (i = 0; i < MF_CONNECTIONS; i++)
		if (lx->connections[i].of_role && lx->connections[i].marks & MF_CONNECTION_STORE)
			found |= 1ull << i;
	return found;
}

uint32_t mf_connection_word(const struct mf_process *process, uint32_t number)
{
	return at(process, number)->word;
}

void mf_connection_set_word(struct mf_process *process, uint32_t number, uint32_t word)
{
	if (at(process, number)->word != word)
		mf_connection_rw(process, at(process, number))->word = word;
}

void mf_connection_want_room(struct mf_process *process, uint32_t number)
{
	if (!(at(process, number)->marks & MF_CONNECTION_WANTED))
		mf_connection_rw(process, at(process, number))->marks |= MF_CONNECTION_WANTED;
}
