/* SPDX-License-Identifier: MIT */
/*
 * Bytes on their way in one direction (struct mf_stream): plain data and guest frames that no guest
 * address maps, so that they count against the VM's memory, fork and reset. Used by connections.
 */
#ifndef MF_ENGINE_LINUX_STREAM_H
#define MF_ENGINE_LINUX_STREAM_H

#include "engine/linux/guestmem.h"

#define MF_STREAM_BYTES ((uint64_t)MF_STREAM_PAGES * MF_PAGE)

static inline uint64_t mf_stream_bytes(const struct mf_stream *stream)
{
	return stream->put - stream->taken;
}

static inline uint64_t mf_stream_room(const struct mf_stream *stream)
{
	return MF_STREAM_BYTES - mf_stream_bytes(stream);
}

/* As much of the cursor's bytes as there is room for: how many; -EFAULT or -ENOMEM when none. */
int64_t mf_stream_put(struct mf_process *process, const struct mf_stream *stream,
		      struct mf_cursor *cursor);

/* Bytes out of it, as many as the cursor takes, and with `keep` left in it: how many; -EFAULT. */
int64_t mf_stream_take(struct mf_process *process, const struct mf_stream *stream,
		       struct mf_cursor *cursor, bool keep);

/* Throw bytes away that are in it. */
void mf_stream_drop(struct mf_process *process, const struct mf_stream *stream, uint64_t bytes);

/* Give its frames back; it is empty. */
void mf_stream_finish(struct mf_process *process, const struct mf_stream *stream);

#endif
