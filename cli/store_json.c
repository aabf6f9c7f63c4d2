/* SPDX-License-Identifier: MIT */
#include "cli/store_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- writing ---- */

/* Bytes of the UTF-8 character there; 0: it is none (RFC 3629). */
static size_t character(const uint8_t *at, size_t bytes)
{
	size_t more = *at < 0x80 ? 0 : *at >= 0xf0 ? 3 : *at >= 0xe0 ? 2 : 1;
	uint32_t code = more ? *at & (0x3fu >> more) : *at;
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};

	if ((*at >= 0x80 && *at < 0xc2) || *at > 0xf4 || more >= bytes)
		return 0;
	for (size_t i = 1; i <= more; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (at[i] & 0x3f);
	}
	if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return more + 1;
}

static bool is_text(const uint8_t *at, size_t bytes)
{
	while (bytes) {
		size_t one = character(at, bytes);

		if (!one || (*at < ' ' && *at != '\n' && *at != '\t') || *at == 0x7f)
			return false;
		at += one;
		bytes -= one;
	}
	return true;
}

static void write_text(FILE *file, const uint8_t *at, size_t bytes)
{
	for (; bytes; at++, bytes--) {
		if (*at == '"' || *at == '\\')
			fputc('\\', file);
		if (*at == '\n' || *at == '\t')
			fprintf(file, "\\%c", *at == '\n' ? 'n' : 't');
		else
			fputc(*at, file);
	}
}

/* RFC 4648. */
static void write_base64(FILE *file, const uint8_t *at, size_t bytes)
{
	for (; bytes; at += 3, bytes -= bytes < 3 ? bytes : 3) {
		uint32_t word = (uint32_t)at[0] << 16 | (bytes > 1 ? (uint32_t)at[1] << 8 : 0) |
				(bytes > 2 ? at[2] : 0);

		fputc(digits[word >> 18], file);
		fputc(digits[word >> 12 & 63], file);
		fputc(bytes > 1 ? digits[word >> 6 & 63] : '=', file);
		fputc(bytes > 2 ? digits[word & 63] : '=', file);
	}
}

static void write_member(FILE *file, const char *name, const void *at, size_t bytes)
{
	bool text = is_text(at, bytes);

	fprintf(file, "\"%s%s\":\"", name, text ? "" : "64");
	if (text)
		write_text(file, at, bytes);
	else
		write_base64(file, at, bytes);
	fputc('"', file);
}

void store_json_write(FILE *file, const struct store_record *record)
{
	fputc('{', file);
	write_member(file, "table", record->table, strlen(record->table));
	fputc(',', file);
	write_member(file, "key", record->key, record->key_bytes);
	fputc(',', file);
	write_member(file, "value", record->value, record->value_bytes);
	if (record->expires_ms)
		fprintf(file, ",\"expires\":%llu", (unsigned long long)record->expires_ms);
	if (record->kind)
		fprintf(file, ",\"kind\":%u", record->kind);
	fputs("}\n", file);
}

/* ---- reading ---- */

void store_json_prepare(void)
{
	size_t seed = 0;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (size_t)&seed;
	json_object_seed(seed);
}

static int digit_of(char letter)
{
	const char *at = letter ? strchr(digits, letter) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Strict: whole groups, no other characters. False: it is none. */
static bool decode(const char *text, size_t count, uint8_t *out, size_t *bytes)
{
	uint32_t word = 0;
	size_t pads = 0;

	*bytes = 0;
	if (count % 4)
		return false;
	while (pads < 2 && pads < count && text[count - 1 - pads] == '=')
		pads++;
	for (size_t i = 0; i < count; i++) {
		int digit = i >= count - pads ? 0 : digit_of(text[i]);

		if (digit < 0)
			return false;
		word = word << 6 | (uint32_t)digit;
		if (i % 4 < 3)
			continue;
		for (int shift = 16; shift >= 0; shift -= 8)
			out[(*bytes)++] = (uint8_t)(word >> shift);
		word = 0;
	}
	*bytes -= pads;
	return true;
}

/* The member in either form, as bytes of the caller's. -EINVAL, -ENOMEM. */
static int read_member(json_t *root, const char *name, uint8_t **out, size_t *bytes,
		       size_t *members, struct mf_error *err)
{
	char name64[16];
	json_t *plain = json_object_get(root, name);
	json_t *coded;
	const char *text;
	size_t count;

	snprintf(name64, sizeof(name64), "%s64", name);
	coded = json_object_get(root, name64);
	if (!json_is_string(plain) == !json_is_string(coded))
		return mf_error_set(err, -EINVAL,
				    "one of \"%s\" and \"%s\" has to be there, a text", name,
				    name64);
	++*members;
	text = json_string_value(plain ? plain : coded);
	count = json_string_length(plain ? plain : coded);
	*out = malloc(count + 1);
	if (!*out)
		return mf_error_set(err, -ENOMEM, "not enough memory");
	*bytes = count;
	if (plain)
		memcpy(*out, text, count);
	else if (!decode(text, count, *out, bytes))
		return mf_error_set(err, -EINVAL, "\"%s\" is no base64", name64);
	return 0;
}

static int read_number(json_t *root, const char *name, uint64_t max, uint64_t *number,
		       size_t *members, struct mf_error *err)
{
	json_t *value = json_object_get(root, name);

	*number = 0;
	if (!value)
		return 0;
	++*members;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    (uint64_t)json_integer_value(value) > max)
		return mf_error_set(err, -EINVAL, "\"%s\" is no number from 0 to %llu", name,
				    (unsigned long long)max);
	*number = (uint64_t)json_integer_value(value);
	return 0;
}

static int check_bounds(const struct store_line *line, size_t table_bytes, struct mf_error *err)
{
	if (!table_bytes || table_bytes > MF_KV_TABLE_MAX_BYTES || line->table[0] == '.' ||
	    strlen(line->table) != table_bytes)
		return mf_error_set(err, -EINVAL,
				    "a table's name has 1 to %u bytes, no zero, and no dot first",
				    MF_KV_TABLE_MAX_BYTES);
	if (!line->record.key_bytes || line->record.key_bytes > MF_KV_KEY_MAX_BYTES)
		return mf_error_set(err, -EINVAL, "a key has 1 to %u bytes", MF_KV_KEY_MAX_BYTES);
	if (line->record.value_bytes > MF_KV_VALUE_MAX_BYTES)
		return mf_error_set(err, -EINVAL, "a value has at most %u bytes",
				    MF_KV_VALUE_MAX_BYTES);
	return 0;
}

static int read_table(struct store_line *line, json_t *root, size_t *bytes, size_t *members,
		      struct mf_error *err)
{
	uint8_t *table = NULL;
	int ret = read_member(root, "table", &table, bytes, members, err);

	if (!ret)
		memcpy(line->table, table, *bytes < sizeof(line->table) ? *bytes : 0);
	free(table);
	return ret;
}

static int read_root(struct store_line *line, json_t *root, struct mf_error *err)
{
	struct store_record *record = &line->record;
	size_t table_bytes = 0;
	size_t members = 0;
	uint64_t kind = 0;
	int ret = read_table(line, root, &table_bytes, &members, err);

	if (!ret)
		ret = read_member(root, "key", (uint8_t **)&line->owned[0], &record->key_bytes,
				  &members, err);
	if (!ret)
		ret = read_member(root, "value", (uint8_t **)&line->owned[1], &record->value_bytes,
				  &members, err);
	if (!ret)
		ret = read_number(root, "expires", (1ull << 48) - 1, &record->expires_ms, &members,
				  err);
	if (!ret)
		ret = read_number(root, "kind", 255, &kind, &members, err);
	if (!ret && members != json_object_size(root))
		ret = mf_error_set(err, -EINVAL, "it has members that are none of a record's");
	record->table = line->table;
	record->key = line->owned[0];
	record->value = line->owned[1];
	record->kind = (uint8_t)kind;
	return ret ? ret : check_bounds(line, table_bytes, err);
}

int store_json_read(struct store_line *line, const char *text, size_t bytes, struct mf_error *err)
{
	json_error_t error;
	json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	int ret;

	*line = (struct store_line){.table = ""};
	if (json_is_object(root))
		ret = read_root(line, root, err);
	else
		ret = mf_error_set(err, -EINVAL, "it is no object of JSON%s%s", root ? "" : ": ",
				   root ? "" : error.text);
	json_decref(root);
	if (ret)
		store_json_finish(line);
	return ret;
}

void store_json_finish(struct store_line *line)
{
	free(line->owned[0]);
	free(line->owned[1]);
	line->owned[0] = line->owned[1] = NULL;
}
