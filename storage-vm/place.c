/* SPDX-License-Identifier: MIT */
/*
 * Reads in place: request VMs have the store's file mapped, and are told in their channels which
 * snapshot is theirs. The storage VM says which is the newest; a request is pinned to it when it
 * begins, and the storage VM keeps its pages for so long. <mayfly/abi/store.h> has the protocol.
 * What the storage VM says is passed on as it is: who reads in place believes nothing of it.
 */
#include "storage-vm/internal.h"

#include <mayfly/abi/barrier.h>
#include <mayfly/abi/place.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 8u /* to read what is said, or to pin it, while it changes */

static struct mf_store *store_of(struct mf_peer *peer)
{
	return (struct mf_store *)peer;
}

static struct mf_abi_place *place_of(struct mf_store *store, unsigned int channel)
{
	uint8_t *window = (uint8_t *)mf_channels_window(&store->channels, channel);

	return (struct mf_abi_place *)(window + MF_PLACE_OFFSET);
}

static uint64_t *pin_of(const struct mf_store *store, unsigned int channel)
{
	return &MF_STORE_CHANNEL(store->control, channel)->pinned;
}

/* ---- the file ---- */

static uint64_t size_of(const struct mf_store *store)
{
	struct stat st;
	uint64_t bytes = store->file_fd >= 0 && !fstat(store->file_fd, &st) && st.st_size > 0
				 ? (uint64_t)st.st_size
				 : 0;

	return bytes < store->settings.place_bytes ? bytes : store->settings.place_bytes;
}

void mf_store_open_file(struct mf_store *store)
{
	if (!store->settings.place_bytes)
		return;
	store->file_fd = openat(store->settings.folder_fd, "data.mdb",
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	store->files++;
	store->file = (struct mf_peer_file){size_of(store) ? store->files : 0, size_of(store)};
}

/* A request that has begun to read what is said now is seen by mf_store_is_pinned(). */
void mf_store_close_file(struct mf_store *store)
{
	struct mf_abi_store_snapshot *said = &store->control->snapshot;

	__atomic_store_n(&said->number, 0, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&said->sequence, 2 - (said->sequence & 1), __ATOMIC_SEQ_CST);
	if (store->file_fd >= 0)
		close(store->file_fd);
	store->file_fd = -1;
	store->file = (struct mf_peer_file){0};
}

static struct mf_peer_file peer_file(struct mf_peer *peer)
{
	struct mf_store *store = store_of(peer);
	struct mf_peer_file file;

	if (!store->settings.place_bytes)
		return (struct mf_peer_file){0};
	pthread_mutex_lock(&store->lock);
	file = store->file;
	/* It grows by itself; how large it is now is asked for only while that matters. */
	if (file.number && file.bytes < store->settings.place_bytes)
		store->file.bytes = file.bytes = size_of(store);
	pthread_mutex_unlock(&store->lock);
	return file;
}

static int peer_open_file(struct mf_peer *peer, unsigned int number)
{
	struct mf_store *store = store_of(peer);
	int fd;

	pthread_mutex_lock(&store->lock);
	fd = store->file.number == number && number ? fcntl(store->file_fd, F_DUPFD_CLOEXEC, 3)
						    : -ESTALE;
	fd = fd == -1 ? -errno : fd;
	pthread_mutex_unlock(&store->lock);
	return fd;
}

static void peer_mapped(struct mf_peer *peer, unsigned int channel, const struct mf_peer_file *file)
{
	store_of(peer)->mapped[channel] = *file;
}

void mf_store_init_files(struct mf_store *store)
{
	store->file_fd = -1;
	store->peer.file = peer_file;
	store->peer.open_file = peer_open_file;
	store->peer.mapped = peer_mapped;
}

/* ---- pins ---- */

static void copy_newer(uint64_t *to, const uint64_t *from)
{
	unsigned int i;

	for (i = 0; i < MF_PLACE_NEWER_WORDS; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* What is said, whole. False: it changes all the time. */
static bool read_said(const struct mf_store *store, struct mf_abi_store_snapshot *out)
{
	const struct mf_abi_store_snapshot *said = &store->control->snapshot;
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		uint32_t sequence = mf_load_acquire(&said->sequence);

		out->page_bytes = __atomic_load_n(&said->page_bytes, __ATOMIC_RELAXED);
		out->number = __atomic_load_n(&said->number, __ATOMIC_RELAXED);
		out->root = __atomic_load_n(&said->root, __ATOMIC_RELAXED);
		out->pages = __atomic_load_n(&said->pages, __ATOMIC_RELAXED);
		out->version = __atomic_load_n(&said->version, __ATOMIC_RELAXED);
		copy_newer(out->newer, said->newer);
		out->sequence = sequence;
		mf_fence();
		if (!(sequence & 1) && mf_load_acquire(&said->sequence) == sequence)
			return true;
	}
	return false;
}

/* Pairs with kv_place_is_pinned(): the pin is there before it is looked again. */
static bool pin(struct mf_store *store, unsigned int channel, struct mf_abi_store_snapshot *said)
{
	unsigned int i;

	for (i = 0; i < TRIES && read_said(store, said) && said->number; i++) {
		MF_STORE_CHANNEL(store->control, channel)->version = said->version;
		__atomic_store_n(pin_of(store, channel), said->number, __ATOMIC_SEQ_CST);
		mf_fence();
		if (mf_load_acquire(&store->control->snapshot.sequence) == said->sequence)
			return true;
	}
	mf_store_unpin(store, channel);
	return false;
}

/* The file of this number is the program's now. A number that is read while the store's thread sets
 * it belongs to a snapshot that is not said any more. */
static bool has_file(const struct mf_store *store, const struct mf_peer_file *mapped)
{
	return mapped->number && mapped->bytes &&
	       mapped->number == __atomic_load_n(&store->file.number, __ATOMIC_SEQ_CST);
}

/* Mostly there is none, then and now. */
static void set_newer(struct mf_abi_place *place, const uint64_t *newer)
{
	if (memcmp(place->newer, newer, sizeof(place->newer)) != 0)
		memcpy(place->newer, newer, sizeof(place->newer));
}

void mf_store_pin(struct mf_store *store, unsigned int channel, bool bound)
{
	const struct mf_peer_file *mapped = &store->mapped[channel];
	struct mf_abi_place *place = place_of(store, channel);
	struct mf_abi_store_snapshot said;

	if (!mapped->number)
		return;
	place->log_bytes = 0;
	if (!bound || store->control->fenced || !pin(store, channel, &said) ||
	    !has_file(store, mapped)) {
		mf_store_unpin(store, channel);
		mf_store_release(&place->state, MF_PLACE_NONE);
		return;
	}
	place->number = MF_STORE_CHANNEL(store->control, channel)->request;
	place->snapshot = said.number;
	place->root = said.root;
	place->pages = said.pages;
	place->page_bytes = said.page_bytes;
	place->bytes = mapped->bytes;
	place->counts = store->control->evicts != 0;
	set_newer(place, said.newer);
	mf_store_release(&place->state, MF_PLACE_OPEN);
}

/* Whoever evicts spares what was used. Which that is the request says, of its own store. */
static void mark_used(struct mf_store *store, const struct mf_abi_place *place)
{
	uint32_t count = place->used_count;
	uint32_t i;

	for (i = 0; i < count && i < MF_PLACE_USED; i++) {
		uint32_t bit = MF_STORE_USED_BIT(place->used[i]);
		uint64_t *word = &store->control->used[bit / 64];
		uint64_t mask = 1ull << bit % 64;

		if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & mask))
			__atomic_fetch_or(word, mask, __ATOMIC_RELAXED);
	}
}

/* The request VM stands: what it says of its reads is as it is. */
static void take_counts(struct mf_store *store, struct mf_abi_place *place)
{
	__atomic_add_fetch(&store->control->hits, place->hits, __ATOMIC_RELAXED);
	__atomic_add_fetch(&store->control->misses, place->misses, __ATOMIC_RELAXED);
	if (store->control->evicts)
		mark_used(store, place);
	place->hits = place->misses = place->used_count = 0;
}

void mf_store_unpin(struct mf_store *store, unsigned int channel)
{
	if (!store->mapped[channel].number)
		return;
	if (*pin_of(store, channel))
		take_counts(store, place_of(store, channel));
	__atomic_store_n(pin_of(store, channel), 0, __ATOMIC_SEQ_CST);
}

bool mf_store_is_pinned(const struct mf_store *store)
{
	unsigned int i;

	for (i = 0; store->settings.place_bytes && i < store->settings.channels; i++)
		if (__atomic_load_n(pin_of(store, i), __ATOMIC_SEQ_CST))
			return true;
	return false;
}

void mf_store_end_place(struct mf_store *store, unsigned int channel)
{
	if (*pin_of(store, channel))
		mf_store_release(&place_of(store, channel)->state, MF_PLACE_PAST);
}

bool mf_store_lose_place(struct mf_store *store, unsigned int channel)
{
	if (!__atomic_load_n(pin_of(store, channel), __ATOMIC_SEQ_CST))
		return false;
	mf_store_release(&place_of(store, channel)->state, MF_PLACE_LOST);
	return true;
}
