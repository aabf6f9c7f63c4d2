/* SPDX-License-Identifier: MIT */
/* mayfly store shell: a command a line, from a terminal or a pipe. Each is a transaction. */
#include "cli/store.h"
#include "cli/store_words.h"
#include "cli/verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCAN_USUAL 100u

struct shell {
	struct store_job *job;
	struct store_words words;
	struct mf_error err;
	bool over;
};

/* Each returns 0; 1: there is none; negative with a sentence. */
typedef int shell_fn(struct shell *shell);

static shell_fn do_get, do_put, do_delete, do_scan, do_tables, do_stat, do_incr, do_expire, do_help,
	do_quit;

static const struct shell_command {
	const char *name;
	const char *arguments;
	const char *what;
	unsigned int least;
	unsigned int most;
	shell_fn *run;
} commands[] = {
	{"get", "TABLE KEY", "its value", 2, 2, do_get},
	{"put", "TABLE KEY VALUE [SECONDS]", "make or replace it; for so long", 3, 4, do_put},
	{"delete", "TABLE KEY", "as it says", 2, 2, do_delete},
	{"scan", "TABLE [PREFIX [LIMIT]]", "records in the order of their keys (100)", 1, 3,
	 do_scan},
	{"incr", "TABLE KEY [N]", "add to a counter (1), and say what it is", 2, 3, do_incr},
	{"expire", "TABLE KEY SECONDS", "let it be gone then; 0: never", 3, 3, do_expire},
	{"tables", "", "their names", 0, 0, do_tables},
	{"stat", "", "figures", 0, 0, do_stat},
	{"help", "", "this", 0, 0, do_help},
	{"quit", "", "so does the end of the input", 0, 0, do_quit},
};

static const char *word(const struct shell *shell, unsigned int i)
{
	return i < shell->words.count ? shell->words.at[i].data : NULL;
}

static uint64_t time_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- calls ---- */

/* A call about one key. The reply is in the job. */
static int kv_call(struct shell *shell, uint32_t function, const void *value, size_t value_bytes,
		   uint64_t number)
{
	static uint8_t payload[MF_ADMIN_BLOCK_MAX_BYTES];
	const struct store_word *table = &shell->words.at[1];
	const struct store_word *key = shell->words.count > 2 ? &shell->words.at[2] : NULL;
	struct mf_abi_kv head = {.table_bytes = (uint16_t)table->bytes,
				 .key_bytes = (uint16_t)(key ? key->bytes : 0),
				 .value_bytes = (uint32_t)value_bytes,
				 .number = number};
	uint8_t *at = payload + sizeof(head);

	if (!table->bytes || table->bytes > MF_KV_TABLE_MAX_BYTES ||
	    (key && key->bytes > MF_KV_KEY_MAX_BYTES) || value_bytes > MF_KV_PART_MAX_BYTES)
		return -EINVAL;
	memcpy(payload, &head, sizeof(head));
	memcpy(at, table->data, table->bytes);
	at += table->bytes;
	if (key)
		memcpy(at, key->data, key->bytes);
	at += head.key_bytes;
	if (value_bytes)
		memcpy(at, value, value_bytes);
	return store_call(shell->job, function, payload, (size_t)(at - payload) + value_bytes);
}

static int fail(struct shell *shell, int code)
{
	if (code == -ENOENT)
		return 1;
	if (code == -EINVAL)
		return mf_error_set(&shell->err, code,
				    "that cannot be: a table's name (1 to 63 "
				    "bytes, no dot first), a key (1 to 511), a "
				    "value (1 MiB), or no counter is there");
	return code ? store_explain(shell->job, code, &shell->err) : 0;
}

static int parse_number(struct shell *shell, unsigned int i, long long usual, long long least,
			long long *number)
{
	const char *text = word(shell, i);
	char *end;

	*number = usual;
	if (!text)
		return 0;
	errno = 0;
	*number = strtoll(text, &end, 10);
	if (errno || !*text || *end || *number < least || *number > (1ll << 38))
		return mf_error_set(&shell->err, -EINVAL, "%s is no number for that", text);
	return 0;
}

/* ---- commands ---- */

static int do_get(struct shell *shell)
{
	int ret = kv_call(shell, MF_KV_GET, NULL, 0, 0);

	if (ret)
		return fail(shell, ret);
	store_word_print(shell->job->reply, shell->job->reply_bytes);
	putchar('\n');
	return 0;
}

static uint64_t in_seconds(long long seconds)
{
	return seconds ? time_ms() + (uint64_t)seconds * 1000 : 0;
}

static int do_put(struct shell *shell)
{
	const struct store_word *value = &shell->words.at[3];
	long long seconds;

	if (parse_number(shell, 4, 0, 1, &seconds))
		return -EINVAL;
	return fail(shell,
		    kv_call(shell, MF_KV_PUT, value->data, value->bytes, in_seconds(seconds)));
}

static int do_delete(struct shell *shell)
{
	return fail(shell, kv_call(shell, MF_KV_DELETE, NULL, 0, 0));
}

static int do_incr(struct shell *shell)
{
	long long number;
	int64_t now;
	int ret;

	if (parse_number(shell, 3, 1, -(1ll << 38), &number))
		return -EINVAL;
	ret = kv_call(shell, MF_KV_ADD, NULL, 0, (uint64_t)number);
	if (!ret && shell->job->reply_bytes != sizeof(now))
		ret = -EPROTO;
	if (ret)
		return fail(shell, ret);
	memcpy(&now, shell->job->reply, sizeof(now));
	printf("%lld\n", (long long)now);
	return 0;
}

static int do_expire(struct shell *shell)
{
	long long seconds;

	if (parse_number(shell, 3, 0, 0, &seconds))
		return -EINVAL;
	return fail(shell, kv_call(shell, MF_KV_EXPIRE, NULL, 0, in_seconds(seconds)));
}

/* One reply of records; how many, and the last one's key. Negative: it is none. */
static long long print_records(const struct store_job *job, struct store_word *last)
{
	struct mf_abi_kv_entry entry;
	long long count = 0;
	size_t at = 0;

	while (at < job->reply_bytes) {
		const uint8_t *key = job->reply + at + sizeof(entry);

		if (job->reply_bytes - at < sizeof(entry))
			return -EPROTO;
		memcpy(&entry, job->reply + at, sizeof(entry));
		at += sizeof(entry);
		if (job->reply_bytes - at < (size_t)entry.key_bytes + entry.value_bytes ||
		    entry.key_bytes > MF_KV_KEY_MAX_BYTES)
			return -EPROTO;
		store_word_print(key, entry.key_bytes);
		putchar(' ');
		store_word_print(key + entry.key_bytes, entry.value_bytes);
		putchar('\n');
		memcpy(last->data, key, entry.key_bytes);
		last->bytes = entry.key_bytes;
		at += (size_t)entry.key_bytes + entry.value_bytes;
		count++;
	}
	return count;
}

static int do_scan(struct shell *shell)
{
	const uint32_t room = MF_ADMIN_BLOCK_MAX_BYTES;
	char after[sizeof(room) + MF_KV_KEY_MAX_BYTES];
	struct store_word last = {after + sizeof(room), 0};
	long long limit;
	long long got = 1;
	int ret;

	if (parse_number(shell, 3, SCAN_USUAL, 1, &limit))
		return -EINVAL;
	shell->words.count = shell->words.count > 3 ? 3 : shell->words.count;
	memcpy(after, &room, sizeof(room));
	for (; limit > 0 && got > 0; limit -= got) {
		ret = kv_call(shell, MF_KV_SCAN, after, sizeof(room) + last.bytes, (uint64_t)limit);
		if (ret)
			return fail(shell, ret);
		got = print_records(shell->job, &last);
		if (got < 0)
			return fail(shell, (int)got);
	}
	return 0;
}

static int do_tables(struct shell *shell)
{
	struct mf_abi_admin_table head;
	size_t at = 0;
	int ret = store_call(shell->job, MF_ADMIN_TABLES, NULL, 0);

	while (!ret && shell->job->reply_bytes - at >= sizeof(head)) {
		memcpy(&head, shell->job->reply + at, sizeof(head));
		at += sizeof(head);
		if (head.name_bytes > shell->job->reply_bytes - at)
			return fail(shell, -EPROTO);
		store_word_print(shell->job->reply + at, head.name_bytes);
		printf(" %llu\n", (unsigned long long)head.entries);
		at += head.name_bytes;
	}
	return fail(shell, ret);
}

static int do_stat(struct shell *shell)
{
	return store_stat(shell->job, &shell->err) ? -EIO : 0;
}

static int do_help(struct shell *shell)
{
	(void)shell;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-7s %-26s %s\n", commands[i].name, commands[i].arguments,
		       commands[i].what);
	puts("Words stand between spaces, or in \"double quotes\" with \\n, \\t, \\xHH, \\\" and "
	     "\\\\, or in 'single quotes'.\nA line that begins with # is passed over.");
	return 0;
}

static int do_quit(struct shell *shell)
{
	shell->over = true;
	return 0;
}

/* ---- lines ---- */

static const struct shell_command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int obey(struct shell *shell)
{
	const struct shell_command *command = find(word(shell, 0));
	unsigned int count = shell->words.count - 1;

	if (!command)
		return mf_error_set(&shell->err, -EINVAL, "there is no command %s; help lists them",
				    word(shell, 0));
	if (count < command->least || count > command->most)
		return mf_error_set(&shell->err, -EINVAL, "write %s %s", command->name,
				    command->arguments);
	return command->run(shell);
}

static int take_line(struct shell *shell, const char *line)
{
	int ret;

	shell->err.text[0] = 0;
	ret = store_words_split(&shell->words, line, &shell->err);
	if (!ret && shell->words.count && *word(shell, 0) != '#')
		ret = obey(shell);
	if (ret > 0)
		mf_error_set(&shell->err, -ENOENT, "there is none");
	store_words_finish(&shell->words);
	return ret;
}

/* A person sees each failure and goes on; from a pipe the first one is the end. */
int store_shell(struct store_job *job, struct mf_error *err)
{
	struct shell shell = {.job = job};
	bool person = isatty(STDIN_FILENO);
	unsigned long number = 0;
	char *line = NULL;
	size_t room = 0;
	int ret = 0;

	while (!shell.over && (person || !ret)) {
		if (person)
			fputs("> ", stdout);
		fflush(stdout);
		if (getline(&line, &room, stdin) < 0)
			break;
		number++;
		ret = take_line(&shell, line);
		if (ret && person)
			fprintf(stderr, "%s\n", shell.err.text);
	}
	free(line);
	if (!ret || person)
		return 0;
	mf_error_set(err, ret, "line %lu: %s", number, shell.err.text);
	return ret > 0 ? STORE_STATUS_FOUND : MF_STATUS_FAILED;
}
