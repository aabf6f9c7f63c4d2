/* SPDX-License-Identifier: MIT */
#include "engine/linux/fd.h"
#include "engine/linux/image_check.h"
#include "engine/linux/socket_image.h"

#include <stdlib.h>
#include <string.h>

static bool bit(const uint64_t *map, uint32_t at)
{
	return map[at / 64] >> (at % 64) & 1;
}

/* What `host` may be, by kind. */
static const char *check_host(const struct mf_fd *entry)
{
	switch (entry->kind) {
	case MF_FD_STDIO:
		return entry->host >= 0 && entry->host <= 2 ? NULL : "a standard stream";
	case MF_FD_CHAR:
		return entry->host >= 0 && entry->host <= MF_CHAR_URANDOM ? NULL : "a device";
	case MF_FD_FILE:
	case MF_FD_DIR:
	case MF_FD_SOCKET:
		return entry->host >= MF_IMAGE_FDS_FROM &&
				       entry->host < MF_IMAGE_FDS_FROM + (int)MF_FDS
			       ? NULL
			       : "an open file";
	default:
		return entry->host < 0 ? NULL : "a descriptor that no image file can have";
	}
}

static const char *check_description(const struct mf_check *check, uint32_t i)
{
	const struct mf_linux *lx = check->lx;
	const struct mf_fd *entry = mf_fd_of(lx, i);

	if (bit(lx->fd_taken, i) != (entry->users > 0) || (entry->users && i >= lx->fds_high))
		return "its account of open files";
	if (!entry->users)
		return NULL;
	if (entry->kind == MF_FD_FREE || entry->kind >= MF_FD_KINDS || entry->kind == MF_FD_INOTIFY)
		return "the kind of an open file";
	if (entry->marks & (MF_FD_IS_MEMFD | MF_FD_IS_SHM))
		return "a file in memory";
	if (entry->kind == MF_FD_SOCKET && !mf_socket_image_is_sane(lx, entry))
		return "a socket";
	if (entry->kind == MF_FD_FILE && entry->marks)
		return "the kind of an open file";
	if (entry->kind == MF_FD_DIR && (entry->dir >= MF_DIRS || !lx->dirs[entry->dir][0]))
		return "a directory that it has open";
	if (entry->kind == MF_FD_PIPE &&
	    (entry->object >= MF_PIPES || !bit(lx->pipes_taken, entry->object)))
		return "an end of a pipe";
	return check_host(entry);
}

/* No two descriptions have one host descriptor. */
static const char *check_hosts(const struct mf_linux *lx)
{
	uint64_t seen[MF_FDS / 64] = {0};
	uint32_t i;

	for (i = 0; i < lx->fds_high; i++) {
		const struct mf_fd *entry = mf_fd_of(lx, i);
		uint32_t place = (uint32_t)(entry->host - MF_IMAGE_FDS_FROM);

		if (!mf_fd_has_host(entry))
			continue;
		if (place >= MF_FDS || bit(seen, place))
			return "two open files in one place";
		seen[place / 64] |= 1ull << (place % 64);
	}
	return NULL;
}

/* Every number leads to a description, and no description has fewer users than numbers. */
static const char *check_numbers(const struct mf_linux *lx)
{
	uint32_t *users = calloc(MF_FDS, sizeof(*users));
	const char *wrong = users ? NULL : "there is not enough memory to check it";
	uint32_t i;

	for (i = 0; i < MF_FDS && !wrong; i++) {
		uint16_t slot = lx->fd_chunks[i / MF_FD_CHUNK].slots[i % MF_FD_CHUNK];
		uint32_t index = (slot & MF_FD_SLOT_INDEX) - 1u;

		if (bit(lx->fd_numbers, i) != (slot != 0))
			wrong = "its account of descriptors";
		else if (slot && (index >= lx->fds_high || !mf_fd_of(lx, index)->users))
			wrong = "a descriptor";
		else if (slot)
			users[index]++;
	}
	for (i = 0; i < MF_FDS && !wrong; i++)
		if (users[i] > mf_fd_of(lx, i)->users || mf_fd_of(lx, i)->users > 1u << 20)
			wrong = "how often a file is open";
	free(users);
	return wrong;
}

const char *mf_check_descriptors(const struct mf_check *check)
{
	const char *wrong = NULL;
	uint32_t i;

	if (check->lx->fds_high > MF_FDS)
		return "the number of its open files";
	for (i = 0; i < MF_FDS && !wrong; i++)
		wrong = check_description(check, i);
	if (!wrong)
		wrong = check_hosts(check->lx);
	return wrong ? wrong : check_numbers(check->lx);
}

/* A frame in use that nothing else has claimed. */
static bool claim_frame(const struct mf_check *check, uint32_t frame)
{
	const struct mf_arena *arena = check->arena;
	const uint64_t *used =
		(const void *)((const uint8_t *)arena + arena->map_offset[MF_FRAMES_USED]);

	if (!frame || frame >= arena->frames_high || !bit(used, frame) || bit(check->owned, frame))
		return false;
	check->owned[frame / 64] |= 1ull << (frame % 64);
	return true;
}

static const char *check_pipe(const struct mf_check *check, const struct mf_pipe *pipe)
{
	uint32_t at;

	if (!pipe->capacity || pipe->capacity > MF_PIPE_SLOTS ||
	    pipe->capacity & (pipe->capacity - 1) || pipe->head - pipe->tail > pipe->capacity ||
	    pipe->readers > MF_FDS || pipe->writers > MF_FDS)
		return "a pipe";
	if (pipe->spare && !claim_frame(check, pipe->spare))
		return "a page of a pipe";
	for (at = pipe->tail; at != pipe->head; at++) {
		const struct mf_pipe_slot *slot = &pipe->slots[at % pipe->capacity];
		uint32_t bytes = slot->bytes & ~MF_PIPE_PACKET;

		if (!claim_frame(check, slot->frame) || slot->offset + bytes > MF_PAGE)
			return "a page of a pipe";
	}
	return NULL;
}

static const char *check_stream(const struct mf_check *check, const struct mf_stream *stream)
{
	uint64_t bytes = stream->put - stream->taken;
	uint64_t at;
	uint32_t i;

	if (bytes > (uint64_t)MF_STREAM_PAGES * MF_PAGE || stream->put < stream->taken ||
	    stream->put > UINT64_MAX / 2)
		return "the bytes of a connection";
	for (i = 0; i < MF_STREAM_PAGES; i++)
		if (stream->frames[i] && !claim_frame(check, stream->frames[i]))
			return "a page of a connection";
	for (at = stream->taken; at < stream->put; at = (at / MF_PAGE + 1) * MF_PAGE)
		if (!stream->frames[at / MF_PAGE % MF_STREAM_PAGES])
			return "a page of a connection";
	return NULL;
}

static bool name_is_sane(const struct mf_listener_name *name)
{
	return name->bytes <= sizeof(name->address);
}

static bool settings_are_sane(const struct mf_socket_settings *settings)
{
	uint32_t i;

	if (settings->count > MF_SOCKET_SETTINGS)
		return false;
	for (i = 0; i < settings->count; i++)
		if (settings->list[i].bytes > sizeof(settings->list[i].value))
			return false;
	return true;
}

/* A description of that kind for each, and no other; none has one end at a role that is gone. */
static const char *check_connection(const struct mf_check *check, uint32_t i)
{
	const struct mf_connection *connection = &check->lx->connections[i];
	uint32_t description = connection->description;
	const struct mf_connection *peer = connection->peer && connection->peer <= MF_CONNECTIONS
						   ? &check->lx->connections[connection->peer - 1]
						   : NULL;
	const char *wrong = check_stream(check, &connection->input);

	if (!wrong)
		wrong = check_stream(check, &connection->output);
	if (wrong)
		return wrong;
	/* A role's other end is gone, but for the store, which every request has. */
	if (connection->of_role > !!(connection->marks & MF_CONNECTION_STORE) ||
	    (connection->of_role && (connection->peer || connection->next)) ||
	    connection->of_program > 1 || connection->error < 0 || connection->error > 4095 ||
	    connection->next > MF_CONNECTIONS || !settings_are_sane(&connection->settings) ||
	    !name_is_sane(&connection->own) || !name_is_sane(&connection->other) ||
	    !connection->peer != !peer ||
	    (peer && (peer == connection || !connection->of_program || !peer->of_program ||
		      peer->peer != i + 1)))
		return "a connection";
	if (description > check->lx->fds_high ||
	    (description && (mf_fd_of(check->lx, description - 1)->kind != MF_FD_CONNECTION ||
			     mf_fd_of(check->lx, description - 1)->object != i)))
		return "whose a connection is";
	return NULL;
}

/* Those who wait at a listener: each in one line, and no description has it yet. */
static const char *check_line(const struct mf_linux *lx, const struct mf_guest_listener *listener,
			      uint64_t *seen)
{
	uint32_t at = listener->first;
	uint32_t last = 0;

	while (at) {
		if (at > MF_CONNECTIONS || *seen >> (at - 1) & 1 ||
		    lx->connections[at - 1].description || !lx->connections[at - 1].of_program)
			return "who waits to be accepted";
		*seen |= 1ull << (at - 1);
		last = at;
		at = lx->connections[at - 1].next;
	}
	return last == listener->last ? NULL : "who waits to be accepted";
}

_Static_assert(MF_CONNECTIONS == 64, "one bit each");

static const char *check_listener(const struct mf_check *check, uint32_t i, uint64_t *seen)
{
	const struct mf_guest_listener *listener = &check->lx->listeners[i];
	uint32_t description = listener->description;

	if (!listener->state)
		return NULL;
	if (listener->state > MF_LISTENER_LISTENS || !name_is_sane(&listener->name) ||
	    !settings_are_sane(&listener->settings) || !description ||
	    description > check->lx->fds_high ||
	    mf_fd_of(check->lx, description - 1)->kind != MF_FD_LISTENER ||
	    mf_fd_of(check->lx, description - 1)->object != i ||
	    (listener->state != MF_LISTENER_LISTENS && listener->first))
		return "a listening socket";
	return check_line(check->lx, listener, seen);
}

static const char *check_sockets_of(const struct mf_linux *lx)
{
	uint32_t i;

	for (i = 0; i < lx->fds_high; i++) {
		const struct mf_fd *entry = mf_fd_of(lx, i);

		if (!entry->users)
			continue;
		if (entry->kind == MF_FD_CONNECTION &&
		    (entry->object >= MF_CONNECTIONS ||
		     lx->connections[entry->object].description != i + 1 ||
		     !lx->connections[entry->object].of_program))
			return "an open connection";
		if (entry->kind == MF_FD_LISTENER &&
		    (entry->object >= MF_LISTENERS || !lx->listeners[entry->object].state ||
		     lx->listeners[entry->object].description != i + 1))
			return "an open listening socket";
	}
	return NULL;
}

const char *mf_check_connections(const struct mf_check *check)
{
	const struct mf_linux *lx = check->lx;
	const char *wrong = NULL;
	uint64_t seen = 0;
	uint32_t i;

	for (i = 0; i < MF_CONNECTIONS && !wrong; i++)
		wrong = check_connection(check, i);
	for (i = 0; i < MF_LISTENERS && !wrong; i++)
		wrong = check_listener(check, i, &seen);
	if (!wrong && (lx->door > MF_LISTENERS ||
		       (lx->door && lx->listeners[lx->door - 1].state != MF_LISTENER_LISTENS)))
		wrong = "where its connections arrive";
	return wrong ? wrong : check_sockets_of(lx);
}

/* Pages of pipes are frames of their own: mapped nowhere, in one pipe. */
const char *mf_check_pipes(const struct mf_check *check)
{
	const struct mf_linux *lx = check->lx;
	const char *wrong = NULL;
	uint32_t i;

	for (i = 0; i < MF_PIPES && !wrong; i++)
		if (bit(lx->pipes_taken, i))
			wrong = check_pipe(check, &lx->pipes[i]);
	return wrong;
}

/* Which of an item's three links a list runs along. */
#define LINK_AT(item, offset) ((const struct mf_link *)((const uint8_t *)(item) + (offset)))

/*
 * One list of items: each stands in it once, neighbours agree, and `owner` of each is `who`. Counts
 * what it passes in `seen`, one bit an item.
 */
static bool list_is_sane(const struct mf_linux *lx, uint32_t first, size_t link, size_t owner,
			 uint32_t who, uint64_t *seen)
{
	uint32_t before = 0;
	uint32_t at = first;

	while (at) {
		const struct mf_epoll_item *item;

		if (at > lx->items_high || bit(seen, at - 1))
			return false;
		item = &lx->items[at - 1];
		if (LINK_AT(item, link)->prev != before ||
		    *(const uint32_t *)((const uint8_t *)item + owner) != who)
			return false;
		seen[(at - 1) / 64] |= 1ull << ((at - 1) % 64);
		before = at;
		at = LINK_AT(item, link)->next;
	}
	return true;
}

struct seen {
	uint64_t of_epoll[MF_EPOLL_ITEMS / 64];
	uint64_t of_target[MF_EPOLL_ITEMS / 64];
	uint64_t ready[MF_EPOLL_ITEMS / 64];
	uint64_t free[MF_EPOLL_ITEMS / 64];
};

#define OFFSET(member) offsetof(struct mf_epoll_item, member)

static const char *check_epoll(const struct mf_linux *lx, uint32_t i, struct seen *seen)
{
	const struct mf_epoll *epoll = &lx->epolls[i];
	uint32_t last = epoll->ready_last;

	if (!list_is_sane(lx, epoll->items, OFFSET(of_epoll), OFFSET(epoll), i, seen->of_epoll) ||
	    !list_is_sane(lx, epoll->ready, OFFSET(ready), OFFSET(epoll), i, seen->ready))
		return "what an epoll watches";
	if (!epoll->ready != !last || last > lx->items_high ||
	    (last && lx->items[last - 1].ready.next))
		return "what an epoll has ready";
	return NULL;
}

/* Where the list of those that watch a description begins. */
static uint32_t watches_of(const struct mf_linux *lx, const struct mf_fd *entry)
{
	return entry->kind == MF_FD_PIPE ? 0 : entry->watches;
}

static const char *check_free_items(const struct mf_linux *lx, struct seen *seen)
{
	uint32_t at = lx->items_free;

	while (at) {
		if (at > lx->items_high || bit(seen->free, at - 1) || bit(seen->of_epoll, at - 1))
			return "its free places for what epolls watch";
		seen->free[(at - 1) / 64] |= 1ull << ((at - 1) % 64);
		at = lx->items[at - 1].of_epoll.next;
	}
	return NULL;
}

/* Every item in use stands in its epoll's list and in its target's. */
static const char *check_items(const struct mf_linux *lx, const struct seen *seen)
{
	uint32_t of_host = 0;
	uint32_t i;

	for (i = 0; i < lx->items_high; i++) {
		bool used = bit(seen->of_epoll, i);

		if (used == bit(seen->free, i) || used != bit(seen->of_target, i) ||
		    lx->items[i].is_ready != bit(seen->ready, i))
			return "an item that an epoll watches";
		if (used && lx->items[i].target >= lx->fds_high)
			return "the target of an epoll";
		if (used && lx->items[i].of_host &&
		    (lx->items[i].of_host > 1 ||
		     !mf_fd_ops(mf_fd_of(lx, lx->items[i].target))->host))
			return "what the host watches for it";
		of_host += used && lx->items[i].of_host;
	}
	return lx->items_of_host == of_host ? NULL : "what the host watches for it";
}

static const char *check_targets(const struct mf_linux *lx, struct seen *seen)
{
	uint32_t i;

	for (i = 0; i < lx->fds_high; i++) {
		const struct mf_fd *entry = mf_fd_of(lx, i);

		if (entry->users && !list_is_sane(lx, watches_of(lx, entry), OFFSET(of_target),
						  OFFSET(target), i, seen->of_target))
			return "who watches an open file";
	}
	return NULL;
}

/* Both ends of a pipe share one list, whose items name either. */
static const char *check_pipe_watches(const struct mf_linux *lx, struct seen *seen)
{
	uint32_t i;

	for (i = 0; i < MF_PIPES; i++) {
		uint32_t before = 0;
		uint32_t at = bit(lx->pipes_taken, i) ? lx->pipes[i].watches : 0;

		for (; at; before = at, at = lx->items[at - 1].of_target.next) {
			const struct mf_epoll_item *item;
			const struct mf_fd *target;

			if (at > lx->items_high || bit(seen->of_target, at - 1))
				return "who watches a pipe";
			item = &lx->items[at - 1];
			target = mf_fd_of(lx, item->target % MF_FDS);
			if (item->of_target.prev != before || target->kind != MF_FD_PIPE ||
			    target->object != i)
				return "who watches a pipe";
			seen->of_target[(at - 1) / 64] |= 1ull << ((at - 1) % 64);
		}
	}
	return NULL;
}

static const char *check_timers(const struct mf_linux *lx)
{
	uint64_t seen[MF_FDS / 64] = {0};
	uint32_t before = 0;
	uint32_t at = lx->timers_armed;

	for (; at; before = at, at = lx->timers[at - 1].armed.next) {
		const struct mf_fd *entry;

		if (at > lx->fds_high || bit(seen, at - 1))
			return "its timers";
		entry = mf_fd_of(lx, at - 1);
		if (!entry->users || entry->kind != MF_FD_TIMERFD ||
		    lx->timers[at - 1].armed.prev != before)
			return "its timers";
		seen[(at - 1) / 64] |= 1ull << ((at - 1) % 64);
	}
	return NULL;
}

const char *mf_check_watches(const struct mf_check *check)
{
	const struct mf_linux *lx = check->lx;
	struct seen *seen = calloc(1, sizeof(*seen));
	const char *wrong = seen ? NULL : "there is not enough memory to check it";
	uint32_t i;

	if (lx->items_high > MF_EPOLL_ITEMS)
		wrong = "the number of what its epolls watch";
	for (i = 0; i < lx->fds_high && !wrong; i++)
		if (mf_fd_of(lx, i)->users && mf_fd_of(lx, i)->kind == MF_FD_EPOLL)
			wrong = check_epoll(lx, i, seen);
	if (!wrong)
		wrong = check_targets(lx, seen);
	if (!wrong)
		wrong = check_pipe_watches(lx, seen);
	if (!wrong)
		wrong = check_free_items(lx, seen);
	if (!wrong)
		wrong = check_items(lx, seen);
	free(seen);
	return wrong ? wrong : check_timers(lx);
}
