/* SPDX-License-Identifier: MIT */
/*
 * A Redis client's connection, and the commands that it gives. Used by the files of this folder;
 * the store's way in is redis/stream.h.
 */
#ifndef MF_GUEST_STORE_REDIS_REDIS_H
#define MF_GUEST_STORE_REDIS_REDIS_H

#include "guest/store/redis/parse.h"
#include "guest/store/redis/records.h"
#include "guest/store/redis/reply.h"

#define CLIENT_NAME_MAX 128u

/* One watched key. */
struct watched {
	struct watched *next;
	size_t bytes;
	uint8_t key[];
};

struct client {
	struct parser parser;
	struct reply reply;
	uint32_t request; /* whose connection it is: clients of one request see each other's watches
			   */
	uint64_t id;
	char name[CLIENT_NAME_MAX + 1];
	char library[CLIENT_NAME_MAX + 1];
	char library_version[CLIENT_NAME_MAX + 1];
	bool read_only; /* writes are refused: an image is being built */
	bool closing;   /* nothing more is read: after QUIT, after a protocol error */
	bool stopped;   /* there may be more to run */
	bool in_multi;
	bool multi_failed;   /* a command was refused when it was queued */
	bool watch_failed;   /* a watched key was written */
	struct buffer queue; /* of MULTI: commands, each a count, then lengths and bytes */
	uint32_t queued;
	struct watched *watched;
	struct client *next; /* of all that watch something */
};

/* A command that is being run. */
struct call {
	struct client *client;
	struct reply *reply;
	const struct command *command;
	const struct mf_bytes *args; /* [0] is its name */
	uint32_t count;
	int64_t now_ms; /* of the real time clock */
	int error; /* the store's, a negative errno: undoes what the command did, and its reply */
};

typedef void command_fn(struct call *call);

#define COMMAND_WRITES  1u /* changes keys */
#define COMMAND_NOW     2u /* run at once within MULTI */
#define COMMAND_FAST    4u
#define COMMAND_CONTROL 8u /* of the connection or the server: no key */

struct command {
	const char *name; /* small letters */
	int arity;        /* with the name; negative: at least so many */
	uint32_t flags;
	command_fn *run;
	int first, last, step; /* which arguments are keys */
	const char *group;
	const char *summary;
	const struct part *parts; /* it is a command of commands; the first argument names one */
};

#define COMMANDS(name_, arity_, flags_, run_, first_, last_, step_, group_, summary_, parts_)  \
	{                                                                                      \
		.name = name_, .arity = arity_, .flags = flags_, .run = run_, .first = first_, \
		.last = last_, .step = step_, .group = group_, .summary = summary_,            \
		.parts = parts_                                                                \
	}
#define COMMAND(...) COMMANDS(__VA_ARGS__, NULL)

struct part {
	const char *name; /* NULL: the last */
	int arity;        /* with both names */
	command_fn *run;
};

/* Of each file, ended by one without a name. */
extern const struct command string_commands[], key_commands[], scan_commands[], hash_commands[],
	connection_commands[], server_commands[], multi_commands[];

/* commands.c */
const struct command *command_find(struct mf_bytes name);
/* Every command, one after the other; NULL: that was the last. */
const struct command *command_at(size_t index);
/* The next command of the client is in its parser: run it or queue it. */
void command_take(struct client *client);
/* Run one whose arguments are right. 0, or how the store failed: then it has done nothing, and says
 * so. */
int command_run(struct client *client, const struct command *command, const struct mf_bytes *args,
		uint32_t count);
/* Run the part that the first argument names. */
void command_part(struct call *call);

/* multi.c */
void multi_touch(uint32_t request, struct mf_bytes key);
void multi_forget(struct client *client);
/* EXEC itself was refused. */
void multi_abort(struct client *client, const char *why);
/* Keep the command in the parser until EXEC. */
void multi_queue(struct client *client, const struct command *command);

/* client.c */
void client_init(struct client *client, uint32_t request, int protocol);
void client_finish(struct client *client);
void client_reset(struct client *client);
/* Bytes of it. False: no memory for them. */
bool client_feed(struct client *client, const void *bytes, size_t count);
/* Run what has come, as long as there is not too much to be taken. */
void client_work(struct client *client);
/* May there be more to run, once what was answered is taken? */
bool client_has_more(const struct client *client);

bool same_word(struct mf_bytes bytes, const char *word); /* whatever the case of letters */

static inline bool bytes_equal(struct mf_bytes a, struct mf_bytes b)
{
	return a.length == b.length && (!a.length || !memcmp(a.data, b.data, a.length));
}

/* The argument as an integer; false: an error was replied. */
bool take_number(struct call *call, uint32_t arg, int64_t *number);

/* Whether the argument is the number of the one database; false: an error was replied. */
bool take_database(struct call *call, uint32_t arg);

#define ERROR_SYNTAX "ERR syntax error"
#define ERROR_NUMBER "ERR value is not an integer or out of range"
#define ERROR_REAL   "ERR value is not a valid float"
#define ERROR_TYPE   "WRONGTYPE Operation against a key holding the wrong kind of value"

/* match.c: patterns of KEYS and SCAN. */
bool pattern_matches(struct mf_bytes pattern, struct mf_bytes text, bool any_case);

#endif
