/* SPDX-License-Identifier: MIT */
#include "engine/linux/stream.h"
#include "engine/mem/frames.h"

#include <errno.h>

static struct mf_stream *stream_rw(struct mf_process *process, const struct mf_stream *stream)
{
	mf_mem_mark(&process->vm.mem, stream, sizeof(*stream));
	return (struct mf_stream *)stream;
}

static uint32_t frame_of(const struct mf_stream *stream, uint64_t at)
{
	return stream->frames[at / MF_PAGE % MF_STREAM_PAGES];
}

static uint8_t *byte_of(const struct mf_process *process, const struct mf_stream *stream,
			uint64_t at)
{
	struct mf_gpa gpa = MF_GPA((uint64_t)frame_of(stream, at) * MF_PAGE);

	return (uint8_t *)mf_mem_at(&process->vm.mem, gpa, MF_PAGE) + at % MF_PAGE;
}

static int need_frame(struct mf_process *process, struct mf_stream *stream, uint64_t at)
{
	struct mf_gpa gpa;

	if (frame_of(stream, at))
		return 0;
	if (!mf_frames_take(&process->vm.mem, 1, &gpa)) {
		process->out_of_memory = true;
		return -ENOMEM;
	}
	stream->frames[at / MF_PAGE % MF_STREAM_PAGES] = (uint32_t)(gpa.at / MF_PAGE);
	return 0;
}

/* Bytes from `at` on that lie in one page, at most `most`. */
static uint64_t run_of(uint64_t at, uint64_t most)
{
	uint64_t page = MF_PAGE - at % MF_PAGE;

	return page < most ? page : most;
}

int64_t mf_stream_put(struct mf_process *process, const struct mf_stream *stream,
		      struct mf_cursor *cursor)
{
	struct mf_stream *to = stream_rw(process, stream);
	uint64_t done = 0;
	int ret = 0;

	while (!ret && cursor->left && mf_stream_room(to)) {
		uint64_t room = mf_stream_room(to);
		uint64_t want = run_of(to->put, cursor->left < room ? cursor->left : room);
		uint64_t got;
		uint8_t *at;

		ret = need_frame(process, to, to->put);
		if (ret)
			break;
		at = byte_of(process, to, to->put);
		mf_mem_mark(&process->vm.mem, at, want);
		got = mf_cursor_get(cursor, at, want);
		to->put += got;
		done += got;
		ret = got < want ? -EFAULT : 0;
	}
	return done ? (int64_t)done : ret;
}

/* An empty one begins anew: the same pages serve again. */
static void drop(struct mf_stream *stream, uint64_t bytes)
{
	stream->taken += bytes;
	if (stream->taken == stream->put)
		stream->taken = stream->put = 0;
}

int64_t mf_stream_take(struct mf_process *process, const struct mf_stream *stream,
		       struct mf_cursor *cursor, bool keep)
{
	uint64_t there = mf_stream_bytes(stream);
	uint64_t done = 0;
	bool fault = false;

	while (!fault && cursor->left && done < there) {
		uint64_t left = there - done;
		uint64_t want =
			run_of(stream->taken + done, cursor->left < left ? cursor->left : left);
		uint64_t got =
			mf_cursor_put(cursor, byte_of(process, stream, stream->taken + done), want);

		done += got;
		fault = got < want;
	}
	if (done && !keep)
		drop(stream_rw(process, stream), done);
	return done || !fault ? (int64_t)done : -EFAULT;
}

void mf_stream_drop(struct mf_process *process, const struct mf_stream *stream, uint64_t bytes)
{
	uint64_t there = mf_stream_bytes(stream);

	if (there)
		drop(stream_rw(process, stream), bytes < there ? bytes : there);
}

void mf_stream_finish(struct mf_process *process, const struct mf_stream *stream)
{
	struct mf_stream *to = stream_rw(process, stream);
	uint32_t i;

	for (i = 0; i < MF_STREAM_PAGES; i++)
		if (to->frames[i])
			mf_frames_give(&process->vm.mem, MF_GPA((uint64_t)to->frames[i] * MF_PAGE),
				       1);
	*to = (struct mf_stream){0};
}
