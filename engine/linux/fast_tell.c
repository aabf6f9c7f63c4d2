/* SPDX-License-Identifier: MIT */
/* What the code in ring 3 goes by: descriptors within the VM, their bytes, who watches them. */
#include "engine/linux/fast.h"
#include "engine/image/guest.h"
#include "engine/linux/connection.h"
#include "engine/linux/listener.h"
#include "engine/linux/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

/* So many options may be set in ring 3 (guest/fast/option.c). */
#define SETTINGS_ROOM 7u

/* An area in the making. */
struct telling {
	struct mf_process *process;
	struct mf_fast_area *area;
	struct mf_fast_state state;
	uint32_t fds;
	uint32_t items;
	uint32_t input;
};

static struct mf_fast_fd *add_fd(struct telling *telling, int32_t number, enum mf_fast_kind kind)
{
	struct mf_fast_fd *fd = &telling->state.fds[telling->fds];

	if (telling->fds == MF_FAST_FDS)
		return NULL;
	telling->fds++;
	*fd = (struct mf_fast_fd){.fd = number, .kind = (uint16_t)kind, .parent = -1};
	return fd;
}

static uint16_t flags_of(const struct mf_process *process, const struct mf_fd *entry,
			 uint32_t number)
{
	return (uint16_t)((entry->flags & O_NONBLOCK ? MF_FAST_NONBLOCK : 0) |
			  (mf_fd_cloexec(process, number) ? MF_FAST_CLOEXEC : 0));
}

/* As much of the input as there is room for. */
static void tell_input(struct telling *telling, const struct mf_connection *connection,
		       struct mf_fast_fd *fd)
{
	uint64_t there = mf_stream_bytes(&connection->input);
	uint64_t room = MF_FAST_IN - telling->input;
	uint64_t count = there < room ? there : room;
	struct mf_cursor cursor;

	fd->input = fd->input_end = telling->input;
	if (count) {
		uint8_t *to = telling->area->in + telling->input;

		mf_mem_mark(&telling->process->vm.mem, to, count);
		mf_cursor_host(&cursor, telling->process, to, count, MF_WRITE);
		mf_stream_take(telling->process, &connection->input, &cursor, true);
		fd->input_end += (uint32_t)count;
		telling->input = fd->input_end;
	}
	if (there > count)
		fd->flags |= MF_FAST_MORE;
}

/* So many bytes that it may still be written to afterwards. */
static uint32_t room_of(const struct mf_connection *connection)
{
	uint64_t room = mf_stream_room(&connection->output);

	return room > MF_STREAM_BYTES / 3 ? (uint32_t)(room - MF_STREAM_BYTES / 3) : 0;
}

/* Nothing but bytes can come and go: no error to be told, no other end in this VM, no number of
 * them to be waited for. */
static bool is_plain(const struct mf_connection *connection)
{
	return connection->of_role && !connection->peer && !connection->error &&
	       mf_connection_low_water(connection) == 1 &&
	       !(connection->marks & (MF_CONNECTION_RESET | MF_CONNECTION_SHUT_READ |
				      MF_CONNECTION_ABORT | MF_CONNECTION_FULL));
}

static void tell_names(const struct mf_connection *connection, struct mf_fast_fd *fd)
{
	fd->name_bytes = connection->other.bytes;
	memcpy(fd->name, connection->other.address, sizeof(connection->other.address));
	fd->own_bytes = connection->own.bytes;
	memcpy(fd->own, connection->own.address, sizeof(connection->own.address));
}

static void tell_connection(struct telling *telling, const struct mf_connection *connection,
			    struct mf_fast_fd *fd, short poll)
{
	fd->poll = (uint16_t)poll;
	if (connection->marks & MF_CONNECTION_CLIENT)
		fd->flags |= MF_FAST_END;
	if (connection->marks & MF_CONNECTION_SHUT_WRITE)
		fd->flags |= MF_FAST_MUTE;
	if (connection->settings.count + SETTINGS_ROOM <= MF_SOCKET_SETTINGS)
		fd->flags |= MF_FAST_SETS;
	fd->room = room_of(connection);
	tell_names(connection, fd);
	tell_input(telling, connection, fd);
}

/* Those that wait to be accepted, in their order. */
static void tell_waiting(struct telling *telling, const struct mf_guest_listener *listener,
			 struct mf_fast_fd *of, uint16_t domain_flags)
{
	const struct mf_linux *lx = mf_linux(telling->process);
	uint32_t at = listener->first;

	for (; at; at = lx->connections[at - 1].next) {
		const struct mf_connection *connection = &lx->connections[at - 1];
		struct mf_fast_fd *fd =
			is_plain(connection) ? add_fd(telling, -1, MF_FAST_CONNECTION) : NULL;

		if (!fd) {
			of->flags |= MF_FAST_MORE;
			return;
		}
		fd->parent = of->fd;
		fd->flags = domain_flags;
		tell_connection(telling, connection, fd,
				POLLOUT | POLLWRNORM |
					(connection->marks & MF_CONNECTION_CLIENT ? POLLRDHUP : 0));
	}
}

static uint16_t domain_of(const struct mf_fd *entry)
{
	return mf_socket_domain(entry) == AF_UNIX ? 0 : MF_FAST_INET;
}

static void tell_fd(struct telling *telling, uint32_t number, const struct mf_fd *entry)
{
	struct mf_process *process = telling->process;
	struct mf_fast_fd *fd = NULL;

	if (entry->users != 1 || entry->flags & O_APPEND)
		return;
	if (entry->kind == MF_FD_LISTENER &&
	    mf_listener_of(process, entry)->state == MF_LISTENER_LISTENS) {
		fd = add_fd(telling, (int32_t)number, MF_FAST_LISTENER);
		if (!fd)
			return;
		fd->flags = flags_of(process, entry, number);
		tell_waiting(telling, mf_listener_of(process, entry), fd, domain_of(entry));
	} else if (entry->kind == MF_FD_CONNECTION && is_plain(mf_connection_of(process, entry))) {
		fd = add_fd(telling, (int32_t)number, MF_FAST_CONNECTION);
		if (!fd)
			return;
		fd->flags = (uint16_t)(flags_of(process, entry, number) | domain_of(entry));
		tell_connection(telling, mf_connection_of(process, entry), fd,
				mf_fd_poll(process, entry));
	}
}

/* What it prints goes to the role, which takes it at once; no more than may be printed still. */
static bool takes_output(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_policy *policy = process->policy;

	return entry->kind == MF_FD_STDIO && entry->host && policy->listens_within &&
	       !policy->stdio_is_host &&
	       (!policy->output_limit ||
		(process->output_bytes < policy->output_limit &&
		 policy->output_limit - process->output_bytes >= MF_FAST_OUT));
}

static void tell_output(struct telling *telling, uint32_t number, const struct mf_fd *entry)
{
	struct mf_fast_fd *fd = takes_output(telling->process, entry)
					? add_fd(telling, (int32_t)number, MF_FAST_OUTPUT)
					: NULL;

	if (fd)
		fd->room = MF_FAST_OUT;
}

static bool is_told(const struct telling *telling, int32_t number)
{
	uint32_t i;

	for (i = 0; i < telling->fds; i++)
		if (telling->state.fds[i].fd == number &&
		    telling->state.fds[i].kind != MF_FAST_OUTPUT)
			return true;
	return false;
}

/* Is it of a descriptor that is told, and still the one that was meant? */
static bool item_is_told(const struct telling *telling, const struct mf_epoll_item *item)
{
	const struct mf_fd *entry = mf_fd_get(telling->process, (uint32_t)item->fd);

	return entry && mf_fd_index(telling->process, entry) == item->target &&
	       is_told(telling, item->fd);
}

static bool add_item(struct telling *telling, const struct mf_epoll_item *item, int32_t epoll)
{
	if (telling->items == MF_FAST_ITEMS)
		return false;
	telling->state.items[telling->items++] = (struct mf_fast_item){
		.epoll = epoll, .fd = item->fd, .events = item->events, .data = item->data};
	return true;
}

/* The list of those that may be ready, in its order. False: it has others, too. */
static bool tell_ready(struct telling *telling, uint32_t first_item, uint32_t epoll)
{
	uint32_t at = mf_linux(telling->process)->epolls[epoll].ready;
	uint32_t i;

	for (; at; at = mf_watch_item(telling->process, at - 1)->ready.next) {
		const struct mf_epoll_item *item = mf_watch_item(telling->process, at - 1);

		for (i = first_item; i < telling->items; i++)
			if (telling->state.items[i].fd == item->fd)
				break;
		if (i == telling->items || !item_is_told(telling, item))
			return false;
		telling->state.items[i].ready = ++telling->state.order;
	}
	return true;
}

static void tell_epoll(struct telling *telling, uint32_t number, const struct mf_fd *entry)
{
	uint32_t epoll = mf_fd_index(telling->process, entry);
	uint32_t at = mf_linux(telling->process)->epolls[epoll].items;
	uint32_t before = telling->items;

	if (entry->users != 1 || entry->watches)
		return;
	for (; at; at = mf_watch_item(telling->process, at - 1)->of_epoll.next) {
		const struct mf_epoll_item *item = mf_watch_item(telling->process, at - 1);

		if (item_is_told(telling, item) && !add_item(telling, item, (int32_t)number)) {
			telling->items = before;
			return;
		}
	}
	if (!tell_ready(telling, before, epoll) || !add_fd(telling, (int32_t)number, MF_FAST_EPOLL))
		telling->items = before;
}

static void tell_numbers(struct telling *telling)
{
	int64_t number = mf_fd_free(telling->process, 0);

	while (number >= 0 && telling->state.free_count < MF_FAST_FREE) {
		telling->state.free[telling->state.free_count++] = (int32_t)number;
		number = mf_fd_free(telling->process, (uint64_t)number + 1);
	}
}

static void tell_descriptors(struct telling *telling)
{
	struct mf_process *process = telling->process;
	uint32_t number;
	uint32_t i;

	for (number = mf_fd_next(process, 0); number < MF_FDS;
	     number = mf_fd_next(process, number + 1))
		tell_fd(telling, number, mf_fd_get(process, number));
	for (number = mf_fd_next(process, 0); number < MF_FDS && telling->fds;
	     number = mf_fd_next(process, number + 1))
		if (mf_fd_get(process, number)->kind == MF_FD_EPOLL)
			tell_epoll(telling, number, mf_fd_get(process, number));
	for (number = 1; number <= 2 && telling->fds; number++)
		if (mf_fd_get(process, number))
			tell_output(telling, number, mf_fd_get(process, number));
	for (i = telling->items; i < MF_FAST_ITEMS; i++)
		telling->state.items[i] = (struct mf_fast_item){.epoll = -1};
	tell_numbers(telling);
	telling->state.active = telling->fds != 0;
}

/* What a program that listens within its VM, or did, finds in its area. */
static void tell_all(struct mf_process *process, struct mf_fast_area *area, bool active)
{
	struct telling telling = {.process = process, .area = area, .state = area->state};

	telling.state.sleepers = mf_linux(process)->futex_count;
	memset(&telling.state.active, 0,
	       sizeof(telling.state) - offsetof(struct mf_fast_state, active));
	if (active)
		tell_descriptors(&telling);
	if (!memcmp(&area->state, &telling.state, sizeof(telling.state)))
		return;
	mf_mem_mark(&process->vm.mem, &area->state, sizeof(area->state));
	area->state = telling.state;
}

void mf_fast_tell(struct mf_process *process, struct mf_fast_area *area)
{
	const struct mf_linux *lx = mf_linux(process);
	bool active = lx->door && !process->policy->no_fast;

	if (active || area->state.active) {
		tell_all(process, area, active);
	} else if (area->state.sleepers != lx->futex_count) {
		mf_mem_mark(&process->vm.mem, &area->state, sizeof(area->state));
		area->state.sleepers = lx->futex_count;
	}
}
