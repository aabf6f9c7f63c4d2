// SPDX-License-Identifier: MIT
#include "request-vm/front/chunks.h"

enum phase {
	PHASE_SIZE,
	PHASE_NAME, /* of an extension; nothing of it yet */
	PHASE_IN_NAME,
	PHASE_VALUE,
	PHASE_IN_VALUE,
	PHASE_QUOTED,
	PHASE_ESCAPED,
	PHASE_UNQUOTED,
	PHASE_SIZE_LF,
	PHASE_DATA,
	PHASE_DATA_CR,
	PHASE_DATA_LF,
	PHASE_TRAILER,
	PHASE_END,
	PHASE_BAD,
	PHASE_LARGE,
};

static int digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = mf_char_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind a size or an extension: another extension, or the end of the line. */
static bool scan_next(struct mf_http_chunks *chunks, unsigned char c)
{
	chunks->phase = c == ';' ? PHASE_NAME : PHASE_SIZE_LF;
	return c == ';' || c == '\r';
}

static bool scan_size(struct mf_http_chunks *chunks, unsigned char c)
{
	int value = digit(c);

	if (value >= 0) {
		chunks->left = chunks->left << 4 | (unsigned int)value;
		if (++chunks->digits <= MF_HTTP_CHUNK_DIGITS && chunks->left > chunks->limit)
			chunks->phase = PHASE_LARGE;
		return chunks->digits <= MF_HTTP_CHUNK_DIGITS;
	}
	return chunks->digits > 0 && scan_next(chunks, c);
}

static bool scan_trailer(struct mf_http_chunks *chunks, unsigned char c)
{
	switch (mf_http_lines_scan(&chunks->trailer, c)) {
	case MF_HTTP_LINES_END:
		chunks->phase = PHASE_END;
		return true;
	case MF_HTTP_LINES_MORE:
		return ++chunks->extra_bytes <= MF_HTTP_CHUNK_EXTRAS;
	default:
		return false;
	}
}

/* One byte of `name`, `name=token` or `name="text"`: RFC 9112 section 7.1.1, without blanks. */
static bool scan_extension(struct mf_http_chunks *chunks, unsigned char c)
{
	switch (chunks->phase) {
	case PHASE_NAME:
		chunks->phase = PHASE_IN_NAME;
		return mf_char_token(c);
	case PHASE_IN_NAME:
		if (c == '=')
			chunks->phase = PHASE_VALUE;
		return c == '=' || mf_char_token(c) || scan_next(chunks, c);
	case PHASE_VALUE:
		chunks->phase = c == '"' ? PHASE_QUOTED : PHASE_IN_VALUE;
		return c == '"' || mf_char_token(c);
	case PHASE_IN_VALUE:
		return mf_char_token(c) || scan_next(chunks, c);
	case PHASE_QUOTED:
		if (c == '"' || c == '\\')
			chunks->phase = c == '"' ? PHASE_UNQUOTED : PHASE_ESCAPED;
		return mf_char_value(c);
	case PHASE_ESCAPED:
		chunks->phase = PHASE_QUOTED;
		return mf_char_value(c);
	default:
		return scan_next(chunks, c);
	}
}

/* Judges a byte that is none of the body's. */
static bool scan(struct mf_http_chunks *chunks, unsigned char c)
{
	switch (chunks->phase) {
	case PHASE_SIZE:
		return scan_size(chunks, c);
	case PHASE_SIZE_LF:
		chunks->phase = chunks->left ? PHASE_DATA : PHASE_TRAILER;
		chunks->limit -= chunks->left;
		return c == '\n';
	case PHASE_DATA_CR:
		chunks->phase = PHASE_DATA_LF;
		return c == '\r';
	case PHASE_DATA_LF:
		chunks->phase = PHASE_SIZE;
		chunks->digits = 0;
		return c == '\n';
	case PHASE_TRAILER:
		return scan_trailer(chunks, c);
	default:
		return ++chunks->extra_bytes <= MF_HTTP_CHUNK_EXTRAS && scan_extension(chunks, c);
	}
}

enum mf_http_chunks_event mf_http_chunks_feed(struct mf_http_chunks *chunks, const char *data,
					      size_t size, size_t *used,
					      struct mf_http_piece *piece)
{
	size_t at = 0;

	while (at < size && chunks->phase < PHASE_END && chunks->phase != PHASE_DATA)
		if (!scan(chunks, (unsigned char)data[at++]))
			chunks->phase = PHASE_BAD;
	*used = at;
	if (chunks->phase == PHASE_BAD)
		return MF_HTTP_CHUNKS_BAD;
	if (chunks->phase == PHASE_LARGE)
		return MF_HTTP_CHUNKS_LARGE;
	if (chunks->phase == PHASE_END)
		return MF_HTTP_CHUNKS_END;
	if (at == size)
		return MF_HTTP_CHUNKS_MORE;
	size -= at;
	*piece = (struct mf_http_piece){data + at, size < chunks->left ? size : chunks->left};
	chunks->left -= piece->bytes;
	if (!chunks->left)
		chunks->phase = PHASE_DATA_CR;
	*used += piece->bytes;
	return MF_HTTP_CHUNKS_PIECE;
}
