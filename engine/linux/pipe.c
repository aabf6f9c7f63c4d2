/* SPDX-License-Identifier: MIT */
#include "engine/linux/pipe.h"
#include "engine/linux/io.h"
#include "engine/linux/wait.h"
#include "engine/mem/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_INODE 0x10000u
#define PIPE_FLAGS  (O_CLOEXEC | O_NONBLOCK | O_DIRECT)

static const struct mf_pipe *pipe_of(const struct mf_process *process, const struct mf_fd *entry)
{
	return &mf_linux(process)->pipes[entry->object % MF_PIPES];
}

/* The pipe but for its slots. */
static struct mf_pipe *pipe_rw(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_pipe *pipe = pipe_of(process, entry);

	mf_mem_mark(&process->vm.mem, pipe, offsetof(struct mf_pipe, slots));
	return (struct mf_pipe *)pipe;
}

static struct mf_pipe_slot *slot_rw(struct mf_process *process, struct mf_pipe *pipe,
				    uint32_t place)
{
	struct mf_pipe_slot *slot = &pipe->slots[place % pipe->capacity];

	mf_mem_mark(&process->vm.mem, slot, sizeof(*slot));
	return slot;
}

static uint32_t bytes_in(const struct mf_pipe_slot *slot)
{
	return slot->bytes & ~MF_PIPE_PACKET;
}

static bool is_full(const struct mf_pipe *pipe)
{
	return pipe->head - pipe->tail >= pipe->capacity;
}

static uint8_t *bytes_at(const struct mf_process *process, const struct mf_pipe_slot *slot)
{
	return (uint8_t *)mf_mem_at(&process->vm.mem, MF_GPA((uint64_t)slot->frame * MF_PAGE),
				    MF_PAGE) +
	       slot->offset;
}

static void give_frame(struct mf_process *process, uint32_t frame)
{
	mf_frames_give(&process->vm.mem, MF_GPA((uint64_t)frame * MF_PAGE), 1);
}

/* A frame for the next slot: 0, or -ENOMEM. */
static int take_frame(struct mf_process *process, struct mf_pipe *pipe, uint32_t *frame)
{
	struct mf_gpa gpa;

	*frame = pipe->spare;
	pipe->spare = 0;
	if (*frame)
		return 0;
	if (!mf_frames_take(&process->vm.mem, 1, &gpa)) {
		process->out_of_memory = true;
		return -ENOMEM;
	}
	*frame = (uint32_t)(gpa.at / MF_PAGE);
	return 0;
}

/* The oldest slot is empty. */
static void drop_slot(struct mf_process *process, struct mf_pipe *pipe)
{
	uint32_t frame = pipe->slots[pipe->tail % pipe->capacity].frame;

	if (pipe->spare)
		give_frame(process, frame);
	else
		pipe->spare = frame;
	pipe->tail++;
}

/* Read from the oldest slot: bytes, or -EFAULT with nothing taken from it. */
static int64_t read_slot(struct mf_process *process, struct mf_pipe *pipe, struct mf_cursor *cursor,
			 bool *packet)
{
	struct mf_pipe_slot *slot = slot_rw(process, pipe, pipe->tail);
	uint32_t there = bytes_in(slot);
	uint32_t want = cursor->left < there ? (uint32_t)cursor->left : there;

	*packet = slot->bytes & MF_PIPE_PACKET;
	if (mf_cursor_put(cursor, bytes_at(process, slot), want) < want)
		return -EFAULT;
	slot->offset = (uint16_t)(slot->offset + want);
	slot->bytes = (uint16_t)(slot->bytes - want);
	/* What is not read of a packet is lost. */
	if (want == there || *packet)
		drop_slot(process, pipe);
	return want;
}

static int64_t read_pipe(struct mf_process *process, const struct mf_fd *entry,
			 struct mf_cursor *cursor, const struct mf_io *io)
{
	struct mf_pipe *pipe = pipe_rw(process, entry);
	bool was_full = is_full(pipe);
	bool packet = false;
	int64_t got = 0;
	uint64_t done = 0;

	if (!cursor->left)
		return 0;
	while (cursor->left && pipe->head != pipe->tail && got >= 0 && !packet) {
		got = read_slot(process, pipe, cursor, &packet);
		done += got > 0 ? (uint64_t)got : 0;
	}
	if (done && was_full && !is_full(pipe))
		mf_fd_notify(process, entry, POLLOUT | POLLWRNORM);
	if (done || got < 0)
		return done ? (int64_t)done : got;
	return pipe->writers ? mf_fd_block(process, entry, io, POLLIN) : 0;
}

/* As Linux: what is beyond whole pages goes behind the last write, if it fits. */
static int64_t merge(struct mf_process *process, struct mf_pipe *pipe, struct mf_cursor *cursor)
{
	uint32_t bytes = cursor->left % MF_PAGE;
	struct mf_pipe_slot *slot;
	uint8_t *at;

	if (!bytes || pipe->head == pipe->tail)
		return 0;
	slot = slot_rw(process, pipe, pipe->head - 1);
	if (slot->bytes & MF_PIPE_PACKET || slot->offset + slot->bytes + bytes > MF_PAGE)
		return 0;
	at = bytes_at(process, slot) + slot->bytes;
	mf_mem_mark(&process->vm.mem, at, bytes);
	if (mf_cursor_get(cursor, at, bytes) < bytes)
		return -EFAULT;
	slot->bytes = (uint16_t)(slot->bytes + bytes);
	return bytes;
}

/* Fill the next slot: bytes, or a negative errno. */
static int64_t write_slot(struct mf_process *process, struct mf_pipe *pipe,
			  struct mf_cursor *cursor, bool packet)
{
	uint32_t want = cursor->left < MF_PAGE ? (uint32_t)cursor->left : MF_PAGE;
	struct mf_pipe_slot *slot = slot_rw(process, pipe, pipe->head);
	uint8_t *at;
	int ret;

	*slot = (struct mf_pipe_slot){0};
	ret = take_frame(process, pipe, &slot->frame);
	if (ret)
		return ret;
	at = bytes_at(process, slot);
	mf_mem_mark(&process->vm.mem, at, want);
	if (mf_cursor_get(cursor, at, want) < want) {
		pipe->spare = slot->frame;
		return -EFAULT;
	}
	slot->bytes = (uint16_t)(want | (packet ? MF_PIPE_PACKET : 0));
	pipe->head++;
	return want;
}

/* As much as there is room for: what was moved in *done, an error or 0. */
static int64_t fill_pipe(struct mf_process *process, struct mf_pipe *pipe, struct mf_cursor *cursor,
			 const struct mf_io *io, bool again, uint64_t *done)
{
	int64_t got = again ? 0 : merge(process, pipe, cursor);

	while (got >= 0) {
		*done += (uint64_t)got;
		if (!cursor->left || is_full(pipe))
			return 0;
		got = write_slot(process, pipe, cursor, io->flags & O_DIRECT);
	}
	return got;
}

/*
 * A blocking write that found room for a part remembers how much, and goes on from there when it is
 * made again.
 */
static int64_t write_pipe(struct mf_process *process, const struct mf_fd *entry,
			  struct mf_cursor *cursor, const struct mf_io *io)
{
	uint64_t before = mf_thread(process)->call_done;
	struct mf_pipe *pipe = pipe_rw(process, entry);
	uint64_t done = 0;
	int64_t error;

	if (!cursor->left)
		return 0;
	mf_cursor_skip(cursor, before);
	if (!pipe->readers) {
		error = mf_fd_broken_pipe(process);
		return before && error != MF_SYS_EXIT ? (int64_t)before : error;
	}
	error = fill_pipe(process, pipe, cursor, io, before, &done);
	if (done)
		mf_fd_notify(process, entry, POLLIN | POLLRDNORM);
	done += before;
	if (error || !cursor->left)
		return done ? (int64_t)done : error;
	if (done && io->flags & O_NONBLOCK)
		return (int64_t)done;
	if (done != before)
		MF_THREAD_DIRTY(process, call_done) = done;
	return mf_fd_block(process, entry, io, POLLOUT);
}

static bool can_read(const struct mf_fd *entry)
{
	return (entry->flags & O_ACCMODE) != O_WRONLY;
}

static bool can_write(const struct mf_fd *entry)
{
	return (entry->flags & O_ACCMODE) != O_RDONLY;
}

static short poll_pipe(struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_pipe *pipe = pipe_of(process, entry);
	int events = 0;

	if (can_read(entry)) {
		events |= pipe->head != pipe->tail ? POLLIN | POLLRDNORM : 0;
		events |= !pipe->writers ? POLLHUP : 0;
	}
	if (can_write(entry)) {
		events |= !is_full(pipe) ? POLLOUT | POLLWRNORM : 0;
		events |= !pipe->readers ? POLLERR : 0;
	}
	return (short)events;
}

static uint64_t object_of(const struct mf_process *process, const struct mf_fd *entry, short events)
{
	(void)process;
	return MF_WAIT_PIPE(entry->object, events & POLLOUT);
}

static const uint32_t *watches_of(const struct mf_process *process, const struct mf_fd *entry)
{
	return &pipe_of(process, entry)->watches;
}

static void set_taken(struct mf_process *process, uint32_t index, bool value)
{
	uint64_t *word = &MF_DIRTY(process, pipes_taken[index / 64]);

	*word = value ? *word | 1ull << (index % 64) : *word & ~(1ull << (index % 64));
}

static void finish_pipe(struct mf_process *process, const struct mf_fd *entry, struct mf_pipe *pipe)
{
	while (pipe->head != pipe->tail)
		drop_slot(process, pipe);
	if (pipe->spare)
		give_frame(process, pipe->spare);
	pipe->spare = 0;
	set_taken(process, entry->object % MF_PIPES, false);
}

static void close_pipe(struct mf_process *process, const struct mf_fd *entry)
{
	struct mf_pipe *pipe = pipe_rw(process, entry);

	pipe->readers -= can_read(entry);
	pipe->writers -= can_write(entry);
	if (!pipe->readers && !pipe->writers)
		finish_pipe(process, entry, pipe);
	else if (!pipe->readers || !pipe->writers)
		mf_fd_notify(process, entry, POLLIN | POLLOUT | POLLHUP | POLLERR);
}

static int stat_pipe(struct mf_process *process, const struct mf_fd *entry, struct stat *st)
{
	mf_fd_stat_anon(process, st);
	st->st_mode |= S_IFIFO;
	st->st_ino = FIRST_INODE + pipe_of(process, entry)->serial;
	return 0;
}

uint64_t mf_pipe_bytes(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_pipe *pipe = pipe_of(process, entry);
	uint64_t bytes = 0;
	uint32_t at;

	for (at = pipe->tail; at != pipe->head; at++)
		bytes += bytes_in(&pipe->slots[at % pipe->capacity]);
	return bytes;
}

uint64_t mf_pipe_room(const struct mf_process *process, const struct mf_fd *entry)
{
	const struct mf_pipe *pipe = pipe_of(process, entry);

	return (uint64_t)(pipe->capacity - (pipe->head - pipe->tail)) * MF_PAGE;
}

bool mf_pipe_has_reader(const struct mf_process *process, const struct mf_fd *entry)
{
	return pipe_of(process, entry)->readers;
}

bool mf_pipe_has_writer(const struct mf_process *process, const struct mf_fd *entry)
{
	return pipe_of(process, entry)->writers;
}

size_t mf_pipe_peek(const struct mf_process *process, const struct mf_fd *entry, void *to,
		    size_t bytes)
{
	const struct mf_pipe *pipe = pipe_of(process, entry);
	size_t done = 0;
	uint32_t at;

	for (at = pipe->tail; at != pipe->head && done < bytes; at++) {
		const struct mf_pipe_slot *slot = &pipe->slots[at % pipe->capacity];
		size_t part = bytes_in(slot) < bytes - done ? bytes_in(slot) : bytes - done;

		memcpy((uint8_t *)to + done, bytes_at(process, slot), part);
		done += part;
	}
	return done;
}

void mf_pipe_consume(struct mf_process *process, const struct mf_fd *entry, size_t bytes)
{
	struct mf_pipe *pipe = pipe_rw(process, entry);
	bool was_full = is_full(pipe);

	while (bytes && pipe->head != pipe->tail) {
		struct mf_pipe_slot *slot = slot_rw(process, pipe, pipe->tail);
		uint32_t part = bytes_in(slot) < bytes ? bytes_in(slot) : (uint32_t)bytes;

		slot->offset = (uint16_t)(slot->offset + part);
		slot->bytes = (uint16_t)(slot->bytes - part);
		bytes -= part;
		if (!bytes_in(slot))
			drop_slot(process, pipe);
	}
	if (was_full && !is_full(pipe))
		mf_fd_notify(process, entry, POLLOUT | POLLWRNORM);
}

static int64_t ioctl_pipe(struct mf_process *process, const struct mf_fd *entry, uint32_t request,
			  uint64_t arg)
{
	uint32_t bytes = (uint32_t)mf_pipe_bytes(process, entry);

	if (request != FIONREAD)
		return -ENOTTY;
	return mf_guest_write(process, arg, &bytes, sizeof(bytes));
}

const struct mf_fd_ops mf_pipe_ops = {
	.name = "pipe:[%llu]",
	.traits = MF_FD_POLLS,
	.read = read_pipe,
	.write = write_pipe,
	.poll = poll_pipe,
	.object = object_of,
	.watches = watches_of,
	.close = close_pipe,
	.stat = stat_pipe,
	.ioctl = ioctl_pipe,
};

int64_t mf_pipe_size(const struct mf_process *process, const struct mf_fd *entry)
{
	return (int64_t)pipe_of(process, entry)->capacity * MF_PAGE;
}

int64_t mf_pipe_resize(struct mf_process *process, const struct mf_fd *entry, uint64_t bytes)
{
	struct mf_pipe_slot slots[MF_PIPE_SLOTS];
	struct mf_pipe *pipe = pipe_rw(process, entry);
	uint32_t used = pipe->head - pipe->tail;
	uint32_t capacity = 1;
	uint32_t i;

	bytes = (uint32_t)bytes;
	if (bytes > 1u << 31)
		return -EINVAL;
	while ((uint64_t)capacity * MF_PAGE < bytes)
		capacity *= 2;
	if (capacity > MF_PIPE_SLOTS)
		return -EPERM;
	if (capacity < used)
		return -EBUSY;
	for (i = 0; i < used; i++)
		slots[i] = pipe->slots[(pipe->tail + i) % pipe->capacity];
	mf_mem_mark(&process->vm.mem, pipe->slots, used * sizeof(slots[0]));
	memcpy(pipe->slots, slots, used * sizeof(slots[0]));
	pipe->tail = 0;
	pipe->head = used;
	pipe->capacity = capacity;
	mf_fd_notify(process, entry, POLLOUT | POLLWRNORM);
	return (int64_t)capacity * MF_PAGE;
}

/* A descriptor for one end or both. */
static int64_t install(struct mf_process *process, uint32_t index, uint32_t flags)
{
	struct mf_fd entry = {.kind = MF_FD_PIPE, .host = -1, .flags = flags, .object = index};
	int64_t fd = mf_fd_install(process, &entry, 0);
	struct mf_pipe *pipe;

	if (fd < 0)
		return fd;
	pipe = pipe_rw(process, &entry);
	pipe->readers += can_read(&entry);
	pipe->writers += can_write(&entry);
	return fd;
}

/* An unused pipe, empty; MF_PIPES: none. */
static uint32_t take_pipe(struct mf_process *process)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t word = 0;
	uint32_t index;

	while (word < MF_PIPES / 64 && lx->pipes_taken[word] == UINT64_MAX)
		word++;
	if (word == MF_PIPES / 64)
		return MF_PIPES;
	index = word * 64 + (uint32_t)__builtin_ctzll(~lx->pipes_taken[word]);
	set_taken(process, index, true);
	mf_mem_mark(&process->vm.mem, &lx->pipes[index], offsetof(struct mf_pipe, slots));
	memset((void *)&lx->pipes[index], 0, offsetof(struct mf_pipe, slots));
	MF_DIRTY(process, pipes[index].capacity) = MF_PIPE_USUAL;
	MF_DIRTY(process, pipes[index].serial) = MF_DIRTY(process, pipes_made)++;
	return index;
}

static int64_t make_pipe(struct mf_process *process, uint64_t to, uint64_t flags)
{
	uint32_t index;
	int64_t ends[2] = {-1, -1};
	int32_t numbers[2];
	int64_t ret;

	if (flags & ~(uint64_t)PIPE_FLAGS)
		return -EINVAL;
	index = take_pipe(process);
	if (index == MF_PIPES)
		return -ENFILE;
	ends[0] = install(process, index, (uint32_t)(flags & ~(uint64_t)O_DIRECT) | O_RDONLY);
	if (ends[0] < 0)
		set_taken(process, index, false);
	else
		ends[1] = install(process, index, (uint32_t)flags | O_WRONLY);
	numbers[0] = (int32_t)ends[0];
	numbers[1] = (int32_t)ends[1];
	ret = ends[0] < 0 ? ends[0] : ends[1] < 0 ? ends[1] : 0;
	if (!ret)
		ret = mf_guest_write(process, to, numbers, sizeof(numbers));
	if (ret && ends[0] >= 0)
		mf_fd_close(process, (uint64_t)ends[0]);
	if (ret && ends[1] >= 0)
		mf_fd_close(process, (uint64_t)ends[1]);
	return ret;
}

int64_t mf_sys_pipe(struct mf_process *process, const uint64_t arg[6])
{
	return make_pipe(process, arg[0], 0);
}

int64_t mf_sys_pipe2(struct mf_process *process, const uint64_t arg[6])
{
	return make_pipe(process, arg[0], (uint32_t)arg[1]);
}
