/* SPDX-License-Identifier: MIT */
#include "request-vm/place.h"

#include "engine/mem/pt.h"

#include <mayfly/abi/place.h>

#include <errno.h>
#include <unistd.h>

/* How many pieces the image has a place for: a window each, one behind the other. */
static unsigned int count_room(const struct mf_mem *mem)
{
	struct mf_gpa gpa;
	unsigned int i = 0;

	while (i < MF_PLACE_PIECES &&
	       mf_pt_lookup(mem, MF_GVA(MF_PLACE_VA + MF_PLACE_PIECE_AT(i)), &gpa))
		i++;
	return i;
}

void mf_place_init(struct mf_place *place, const struct mf_mem *mem, struct mf_peer *peer,
		   unsigned int channel)
{
	*place = (struct mf_place){.room = count_room(mem)};
	peer->mapped(peer, channel, &place->file);
}

static int open_piece(struct mf_place *place, struct mf_mem *mem, int fd)
{
	uint64_t at = MF_PLACE_PIECE_AT(place->pieces);
	struct mf_gpa gpa;
	int ret = mf_pt_lookup(mem, MF_GVA(MF_PLACE_VA + at), &gpa)
			  ? mf_mem_open_view(mem, gpa, fd, at)
			  : -ENXIO;

	if (!ret) {
		place->pieces++;
		place->file.bytes = at + MF_PLACE_PIECE_BYTES(place->pieces - 1);
	}
	return ret;
}

static void open_pieces(struct mf_place *place, struct mf_mem *mem, uint64_t bytes, int fd)
{
	while (!place->failed && place->pieces < place->room &&
	       MF_PLACE_PIECE_AT(place->pieces) < bytes)
		place->failed = open_piece(place, mem, fd) != 0;
}

static bool has_all(const struct mf_place *place, const struct mf_peer_file *file)
{
	return place->failed || place->pieces == place->room || place->file.bytes >= file->bytes ||
	       (place->file.number && place->file.number != file->number);
}

void mf_place_grow(struct mf_place *place, struct mf_mem *mem, struct mf_peer *peer,
		   unsigned int channel)
{
	struct mf_peer_file file;
	int fd;

	if (place->failed || place->pieces == place->room)
		return;
	file = peer->file(peer);
	if (!file.number || has_all(place, &file))
		return;
	fd = peer->open_file(peer, file.number);
	if (fd < 0)
		return;
	place->file.number = file.number;
	open_pieces(place, mem, file.bytes, fd);
	close(fd);
	peer->mapped(peer, channel, &place->file);
}

bool mf_place_is_stale(const struct mf_place *place, struct mf_peer *peer)
{
	struct mf_peer_file file;

	if (!place->file.number)
		return false;
	file = peer->file(peer);
	return file.number && file.number != place->file.number;
}
