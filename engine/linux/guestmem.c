/* SPDX-License-Identifier: MIT */
#include "engine/linux/guestmem.h"
#include "engine/mem/pt.h"

#include <errno.h>
#include <string.h>

void mf_cursor_one(struct mf_cursor *cursor, struct mf_process *process, struct mf_guest_iov *one,
		   uint64_t base, uint64_t bytes, int prot)
{
	*one = (struct mf_guest_iov){base, bytes < MF_RW_MAX ? bytes : MF_RW_MAX};
	*cursor = (struct mf_cursor){
		.process = process, .iov = one, .count = 1, .left = one->bytes, .prot = prot};
}

int mf_cursor_list(struct mf_cursor *cursor, struct mf_process *process, struct mf_guest_iov *iov,
		   uint64_t at, uint64_t count, int prot)
{
	uint64_t total = 0;
	size_t i;

	if (count > MF_IOVS)
		return -EINVAL;
	if (count && mf_guest_read(process, at, iov, count * sizeof(*iov)))
		return -EFAULT;
	for (i = 0; i < count; i++) {
		if (iov[i].bytes > INT64_MAX)
			return -EINVAL;
		/* As Linux: what goes beyond the most that one call moves is cut off. */
		if (iov[i].bytes > MF_RW_MAX - total)
			iov[i].bytes = MF_RW_MAX - total;
		total += iov[i].bytes;
	}
	*cursor = (struct mf_cursor){
		.process = process, .iov = iov, .count = count, .left = total, .prot = prot};
	return 0;
}

void mf_cursor_host(struct mf_cursor *cursor, struct mf_process *process, const void *bytes,
		    size_t count, int prot)
{
	*cursor =
		(struct mf_cursor){.process = process, .host = bytes, .left = count, .prot = prot};
}

static size_t guest_pieces(const struct mf_cursor *cursor, struct iovec pieces[MF_PIECES],
			   int *count)
{
	uint64_t skip = cursor->skip;
	size_t got = 0;
	size_t i = 0;

	while (i < cursor->count && *count < MF_PIECES && got < cursor->left) {
		uint64_t rest = cursor->iov[i].bytes - skip;
		uint64_t want = rest < cursor->left - got ? rest : cursor->left - got;
		struct mf_gva va = MF_GVA(cursor->iov[i].base + skip);
		void *at = NULL;
		size_t run = mf_pt_run(&cursor->process->vm.mem, va, want, cursor->prot, &at);

		if (want && !run)
			break;
		if (run)
			pieces[(*count)++] = (struct iovec){at, run};
		got += run;
		skip = run < rest ? skip + run : 0;
		i += run == rest;
	}
	return got;
}

size_t mf_cursor_pieces(const struct mf_cursor *cursor, struct iovec pieces[MF_PIECES], int *count)
{
	*count = 0;
	if (!cursor->left)
		return 0;
	if (!cursor->host)
		return guest_pieces(cursor, pieces, count);
	pieces[(*count)++] = (struct iovec){(void *)cursor->host, cursor->left};
	return cursor->left;
}

void mf_cursor_skip(struct mf_cursor *cursor, uint64_t bytes)
{
	cursor->left -= bytes;
	if (cursor->host) {
		cursor->host = (const uint8_t *)cursor->host + bytes;
		return;
	}
	cursor->skip += bytes;
	while (cursor->count && cursor->skip >= cursor->iov->bytes) {
		cursor->skip -= cursor->iov->bytes;
		cursor->iov++;
		cursor->count--;
	}
}

void mf_cursor_advance(struct mf_cursor *cursor, const struct iovec *pieces, size_t bytes)
{
	size_t marked = 0;

	for (; !cursor->host && cursor->prot & MF_WRITE && marked < bytes; pieces++) {
		size_t part = pieces->iov_len < bytes - marked ? pieces->iov_len : bytes - marked;

		mf_mem_mark(&cursor->process->vm.mem, pieces->iov_base, part);
		marked += part;
	}
	mf_cursor_skip(cursor, bytes);
}

/* Copy with the next pieces: bytes copied, 0 when there is nothing or no right to. */
static size_t copy_pieces(struct mf_cursor *cursor, uint8_t *host, size_t bytes, bool put)
{
	struct iovec pieces[MF_PIECES];
	size_t done = 0;
	int count;
	int i;

	mf_cursor_pieces(cursor, pieces, &count);
	for (i = 0; i < count && done < bytes; i++) {
		size_t part = pieces[i].iov_len < bytes - done ? pieces[i].iov_len : bytes - done;

		if (put)
			memcpy(pieces[i].iov_base, host + done, part);
		else
			memcpy(host + done, pieces[i].iov_base, part);
		done += part;
	}
	mf_cursor_advance(cursor, pieces, done);
	return done;
}

size_t mf_cursor_get(struct mf_cursor *cursor, void *to, size_t bytes)
{
	size_t done = 0;
	size_t got = 1;

	for (; got && done < bytes; done += got)
		got = copy_pieces(cursor, (uint8_t *)to + done, bytes - done, false);
	return done;
}

size_t mf_cursor_put(struct mf_cursor *cursor, const void *from, size_t bytes)
{
	size_t done = 0;
	size_t got = 1;

	for (; got && done < bytes; done += got)
		got = copy_pieces(cursor, (uint8_t *)from + done, bytes - done, true);
	return done;
}

int mf_guest_read(struct mf_process *process, uint64_t va, void *to, size_t bytes)
{
	return mf_pt_read(&process->vm.mem, MF_GVA(va), to, bytes);
}

int mf_guest_write(struct mf_process *process, uint64_t va, const void *from, size_t bytes)
{
	return mf_pt_write(&process->vm.mem, MF_GVA(va), from, bytes);
}

uint32_t *mf_guest_word(struct mf_process *process, uint64_t va, int prot)
{
	void *at;

	return va % 4 || !mf_pt_span(&process->vm.mem, MF_GVA(va), 4, prot, &at) ? NULL : at;
}

int64_t mf_guest_string(struct mf_process *process, uint64_t va, char *to, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t page = MF_PAGE - ((va + done) & (MF_PAGE - 1));
		size_t want = page < size - done ? page : size - done;
		const uint8_t *end;
		void *at;

		want = mf_pt_run(&process->vm.mem, MF_GVA(va + done), want, MF_READ, &at);
		if (!want)
			return -EFAULT;
		end = memchr(at, 0, want);
		if (end)
			want = (size_t)(end - (uint8_t *)at) + 1;
		memcpy(to + done, at, want);
		done += want;
		if (end)
			return (int64_t)done - 1;
	}
	return -ENAMETOOLONG;
}
