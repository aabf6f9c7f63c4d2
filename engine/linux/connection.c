/* SPDX-License-Identifier: MIT */
/*
 * Connections within the VM, as the program has them: reading, writing, readiness, the end. A call
 * that found room or bytes for a part remembers how much (call_done), and goes on from there.
 */
#include "engine/linux/connection.h"
#include "engine/image/vm_clock.h"
#include "engine/linux/listener.h"
#include "engine/linux/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define FIRST_INODE 0x30000u
#define GONE        (MF_CONNECTION_RESET | MF_CONNECTION_CLIENT)

struct mf_connection *mf_connection_rw(struct mf_process *process,
				       const struct mf_connection *connection)
{
	mf_mem_mark(&process->vm.mem, connection, sizeof(*connection));
	return (struct mf_connection *)connection;
}

static const struct mf_connection *peer_of(const struct mf_process *process,
					   const struct mf_connection *connection)
{
	return connection->peer ? &mf_linux(process)->connections[connection->peer - 1] : NULL;
}

/* Where what the program sends goes. */
static const struct mf_stream *stream_out(const struct mf_process *process,
					  const struct mf_connection *connection)
{
	const struct mf_connection *peer = peer_of(process, connection);

	return peer ? &peer->input : &connection->output;
}

void mf_connection_notify(struct mf_process *process, const struct mf_connection *connection,
			  short events)
{
	if (connection->description)
		mf_fd_notify(process, mf_fd_at(process, connection->description - 1), events);
}

bool mf_connection_is_unix(const struct mf_connection *connection)
{
	sa_family_t family;

	memcpy(&family, connection->own.address, sizeof(family));
	return family == AF_UNIX;
}

void mf_connection_news(struct mf_process *process, const struct mf_connection *connection)
{
	process->connection_news |=
		connection->marks & MF_CONNECTION_STORE ? MF_NEWS_STORE : MF_NEWS_CLIENT;
}

uint32_t mf_connection_make(struct mf_process *process, const struct mf_guest_listener *listener,
			    const struct mf_listener_name *client)
{
	const struct mf_linux *lx = mf_linux(process);
	struct mf_connection *connection;
	uint32_t i = 0;

	while (i < MF_CONNECTIONS && (lx->connections[i].of_program || lx->connections[i].of_role))
		i++;
	if (i == MF_CONNECTIONS)
		return i;
	connection = mf_connection_rw(process, &lx->connections[i]);
	*connection = (struct mf_connection){.of_program = 1, .other = *client};
	mf_name_of_end(&listener->name, client, &connection->own);
	if (!mf_connection_is_unix(connection))
		connection->settings = listener->settings;
	return i;
}

void mf_connection_release(struct mf_process *process, const struct mf_connection *connection)
{
	if (connection->of_program || connection->of_role)
		return;
	mf_stream_finish(process, &connection->input);
	mf_stream_finish(process, &connection->output);
	*mf_connection_rw(process, connection) = (struct mf_connection){0};
}

/* As Linux: who leaves bytes unread, or does not linger, leaves by a reset. */
static bool leaves_by_reset(const struct mf_connection *connection)
{
	return mf_stream_bytes(&connection->input) || connection->marks & MF_CONNECTION_ABORT ||
	       mf_settings_abort(&connection->settings);
}

void mf_connection_leave(struct mf_process *process, const struct mf_connection *connection)
{
	struct mf_connection *gone = mf_connection_rw(process, connection);
	bool reset = leaves_by_reset(gone);
	uint32_t peer = gone->peer;

	/* What was sent is still delivered, but when it was thrown away on purpose. */
	if (mf_settings_abort(&gone->settings))
		gone->marks |= MF_CONNECTION_ABORT;
	gone->marks |= MF_CONNECTION_SHUT_READ | MF_CONNECTION_SHUT_WRITE;
	gone->of_program = 0;
	gone->description = 0;
	gone->peer = 0;
	if (gone->of_role)
		mf_connection_news(process, gone);
	mf_connection_release(process, gone);
	if (!peer)
		return;
	mf_connection_rw(process, &mf_linux(process)->connections[peer - 1])->peer = 0;
	if (reset)
		mf_connection_reset(process, peer - 1);
	else
		mf_connection_end(process, peer - 1);
	if (mf_connection_is_unix(&mf_linux(process)->connections[peer - 1]))
		mf_connection_notify(process, &mf_linux(process)->connections[peer - 1],
				     POLLOUT | POLLHUP);
}

static void close_connection(struct mf_process *process, const struct mf_fd *entry)
{
	mf_connection_leave(process, mf_connection_of(process, entry));
}

static bool nobody_reads(const struct mf_connection *connection)
{
	return connection->marks & MF_CONNECTION_RESET ||
	       (!connection->peer && !connection->of_role);
}

/* Room for a third at least: who waits for less would be woken for a few bytes. */
static bool is_writable(const struct mf_process *process, const struct mf_connection *connection)
{
	return mf_stream_room(stream_out(process, connection)) >= MF_STREAM_BYTES / 3;
}

/* So many bytes make it ready (socket(7), SO_RCVLOWAT); those of Unix sockets are ready with any.
 */
static uint64_t bytes_to_be_ready(const struct mf_connection *connection)
{
	return mf_connection_is_unix(connection) ? 1 : mf_connection_low_water(connection);
}

static short poll_connection(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_connection *connection = mf_connection_of(process, entry);
	uint32_t marks = connection->marks;
	bool no_input = marks & (GONE | MF_CONNECTION_SHUT_READ);
	bool no_output = marks & MF_CONNECTION_SHUT_WRITE;
	int events = 0;

	if (no_input || mf_stream_bytes(&connection->input) >= bytes_to_be_ready(connection))
		events |= POLLIN | POLLRDNORM;
	if (no_input)
		events |= POLLRDHUP;
	if (marks & MF_CONNECTION_RESET || (no_input && no_output) ||
	    (nobody_reads(connection) && mf_connection_is_unix(connection)))
		events |= POLLHUP;
	if (connection->error)
		events |= POLLERR;
	if (no_output || nobody_reads(connection) || is_writable(process, connection))
		events |= POLLOUT | POLLWRNORM;
	return (short)events;
}

int mf_connection_take_error(struct mf_process *process, const struct mf_connection *connection)
{
	int error = connection->error;

	if (error)
		mf_connection_rw(process, connection)->error = 0;
	return error;
}

/* Nothing to do now: -EAGAIN, or a wait for one of the events with `done` remembered. */
static int64_t block(struct mf_process *process, const struct mf_fd *entry, uint64_t done,
		     short events, bool nonblock)
{
	const struct mf_connection *connection = mf_connection_of(process, entry);
	uint64_t until;

	if (nonblock)
		return done ? (int64_t)done : -EAGAIN;
	until = mf_wait_deadline(process,
				 mf_settings_span(&connection->settings,
						  events == POLLOUT ? SO_SNDTIMEO : SO_RCVTIMEO));
	if (mf_vm_now_ns(&process->vm) >= until)
		return done ? (int64_t)done : -EAGAIN;
	if (done != mf_thread(process)->call_done)
		MF_THREAD_DIRTY(process, call_done) = done;
	return mf_wait_object(process, mf_fd_object(process, entry, events), until);
}

static int64_t cannot_send(struct mf_process *process, const struct mf_connection *connection,
			   int flags)
{
	int error = mf_connection_take_error(process, connection);

	if (error)
		return -error;
	return flags & MSG_NOSIGNAL ? -EPIPE : mf_fd_broken_pipe(process);
}

/* Bytes are on their way: whoever is at the other end hears of it. */
static void sent(struct mf_process *process, const struct mf_connection *connection)
{
	const struct mf_connection *peer = peer_of(process, connection);

	if (peer)
		mf_connection_notify(process, peer, POLLIN | POLLRDNORM);
	else
		mf_connection_news(process, connection);
}

int64_t mf_connection_send(struct mf_process *process, const struct mf_fd *entry,
			   struct mf_cursor *cursor, int flags)
{
	const struct mf_connection *connection = mf_connection_of(process, entry);
	uint64_t done = mf_thread(process)->call_done;
	int64_t got;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	if (connection->marks & MF_CONNECTION_SHUT_WRITE || nobody_reads(connection))
		return done ? (int64_t)done : cannot_send(process, connection, flags);
	mf_cursor_skip(cursor, done);
	got = mf_stream_put(process, stream_out(process, connection), cursor);
	if (got > 0)
		sent(process, connection);
	if (got < 0)
		return done ? (int64_t)done : got;
	done += (uint64_t)got;
	if (!cursor->left)
		return (int64_t)done;
	/* It stopped at a bad address, not for want of room. */
	if (mf_stream_room(stream_out(process, connection)))
		return (int64_t)done;
	if (!(connection->marks & MF_CONNECTION_FULL))
		mf_connection_rw(process, connection)->marks |= MF_CONNECTION_FULL;
	return block(process, entry, done, POLLOUT, flags & MSG_DONTWAIT);
}

/* Bytes were taken by the other end: who met a full buffer hears of room. */
void mf_connection_has_room(struct mf_process *process, const struct mf_connection *connection)
{
	if (!(connection->marks & MF_CONNECTION_FULL) || !is_writable(process, connection))
		return;
	mf_connection_rw(process, connection)->marks &= ~(uint32_t)MF_CONNECTION_FULL;
	mf_connection_notify(process, connection, POLLOUT | POLLWRNORM);
}

/* MSG_TRUNC on a stream: bytes are thrown away, not copied (tcp(7)). */
static int64_t take(struct mf_process *process, const struct mf_connection *connection,
		    struct mf_cursor *cursor, int flags)
{
	uint64_t there = mf_stream_bytes(&connection->input);
	uint64_t bytes = cursor->left < there ? cursor->left : there;

	if (!(flags & MSG_TRUNC))
		return mf_stream_take(process, &connection->input, cursor, flags & MSG_PEEK);
	if (!(flags & MSG_PEEK))
		mf_stream_drop(process, &connection->input, bytes);
	mf_cursor_skip(cursor, bytes);
	return (int64_t)bytes;
}

/* Whoever has more for it hears of room. */
static void made_room(struct mf_process *process, const struct mf_connection *connection,
		      const struct mf_connection *peer)
{
	if (peer)
		mf_connection_has_room(process, peer);
	if (!(connection->marks & MF_CONNECTION_WANTED))
		return;
	mf_connection_rw(process, connection)->marks &= ~(uint32_t)MF_CONNECTION_WANTED;
	mf_connection_news(process, connection);
}

/* Is there more to wait for, now that nothing is left? */
static bool is_over(const struct mf_connection *connection)
{
	return connection->marks & (GONE | MF_CONNECTION_SHUT_READ) ||
	       (!connection->peer && !connection->of_role);
}

/* Is that less than it waits for, all that was asked for with MSG_WAITALL, and may more come still?
 */
static bool waits_for_more(const struct mf_connection *connection, const struct mf_cursor *cursor,
			   uint64_t got, int flags)
{
	return (flags & MSG_WAITALL || got < mf_connection_low_water(connection)) && cursor->left &&
	       !is_over(connection) && mf_stream_room(&connection->input);
}

/* The end of the stream, or the error that ended it. As tcp_recvmsg: a reset behind the end of the
 * stream is not told to who reads. */
static int64_t what_ended(struct mf_process *process, const struct mf_connection *connection)
{
	return connection->error == EPIPE ? 0 : -mf_connection_take_error(process, connection);
}

int64_t mf_connection_receive(struct mf_process *process, const struct mf_fd *entry,
			      struct mf_cursor *cursor, int flags)
{
	const struct mf_connection *connection = mf_connection_of(process, entry);
	const struct mf_connection *peer = peer_of(process, connection);
	uint64_t before = flags & MSG_PEEK ? 0 : mf_thread(process)->call_done;
	int64_t got;

	if (flags & MSG_OOB)
		return -EINVAL;
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	mf_cursor_skip(cursor, before);
	if (!mf_stream_bytes(&connection->input) && is_over(connection))
		return before ? (int64_t)before : what_ended(process, connection);
	if (!mf_stream_bytes(&connection->input))
		return block(process, entry, before, POLLIN, flags & MSG_DONTWAIT);
	got = take(process, connection, cursor, flags);
	if (got > 0 && !(flags & MSG_PEEK))
		made_room(process, connection, peer);
	if (got >= 0 && waits_for_more(connection, cursor, before + (uint64_t)got, flags) &&
	    !(flags & MSG_PEEK && flags & MSG_DONTWAIT))
		return block(process, entry, flags & MSG_PEEK ? 0 : before + (uint64_t)got, POLLIN,
			     flags & MSG_DONTWAIT);
	return got < 0 && before ? (int64_t)before : got < 0 ? got : (int64_t)before + got;
}

static int64_t read_connection(struct mf_process *process, const struct mf_fd *entry,
			       struct mf_cursor *cursor, const struct mf_io *io)
{
	if (!cursor->left)
		return 0;
	return mf_connection_receive(process, entry, cursor,
				     io->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

static int64_t write_connection(struct mf_process *process, const struct mf_fd *entry,
				struct mf_cursor *cursor, const struct mf_io *io)
{
	return mf_connection_send(process, entry, cursor,
				  io->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

static int stat_connection(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	mf_fd_stat_anon(process, st);
	st->st_mode = S_IFSOCK | 0777;
	st->st_ino = FIRST_INODE + entry->object;
	return 0;
}

int64_t mf_within_ioctl(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			uint64_t arg)
{
	const struct mf_connection *connection = mf_connection_of(process, entry);
	int value = 0;

	if (request != SIOCINQ && request != SIOCOUTQ && request != SIOCATMARK)
		return -ENOTTY;
	if (entry->kind == MF_FD_LISTENER && request != SIOCATMARK)
		return -EINVAL;
	if (request == SIOCINQ)
		value = (int)mf_stream_bytes(&connection->input);
	else if (request == SIOCOUTQ)
		value = (int)mf_stream_bytes(stream_out(process, connection));
	return mf_guest_write(process, arg, &value, sizeof(value));
}

const struct mf_fd_ops mf_connection_ops = {
	.name = "socket:[%llu]",
	.traits = MF_FD_POLLS,
	.read = read_connection,
	.write = write_connection,
	.poll = poll_connection,
	.close = close_connection,
	.stat = stat_connection,
	.ioctl = mf_within_ioctl,
};
