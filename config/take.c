/* SPDX-License-Identifier: MIT */
#include "config/take.h"
#include "config/number.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GROUP_MAX_NS 10000000000ull

static void *field_of(struct mf_values *values, const struct mf_option *option)
{
	return (char *)values + option->field;
}

static int no_memory(struct mf_error *err)
{
	return mf_error_set(err, -ENOMEM, "not enough memory for the options");
}

void *mf_values_own(struct mf_values *values, void *item)
{
	void **grown =
		item ? realloc(values->owned, (values->owned_count + 1) * sizeof(*grown)) : NULL;

	if (!grown) {
		free(item);
		return NULL;
	}
	values->owned = grown;
	return grown[values->owned_count++] = item;
}

int mf_texts_add(struct mf_texts *list, const char *text, struct mf_error *err)
{
	const char **grown = realloc(list->texts, (list->count + 2) * sizeof(*grown));

	if (!grown)
		return no_memory(err);
	list->texts = grown;
	grown[list->count++] = text;
	grown[list->count] = NULL;
	return 0;
}

/* A,B,C into a list. */
static int add_parts(struct mf_values *values, const struct mf_option *option, const char *value,
		     struct mf_texts *list, struct mf_error *err)
{
	char *rest = mf_values_own(values, strdup(value));
	char *part;
	int ret = rest ? 0 : no_memory(err);

	while (!ret && (part = strsep(&rest, ","))) {
		if (!*part)
			return mf_error_set(err, -EINVAL, "--%s=%s has an empty part", option->name,
					    value);
		ret = mf_texts_add(list, part, err);
	}
	return ret;
}

MF_TAKE(size)
{
	uint64_t *field = field_of(values, option);
	int ret = mf_parse_size(option->name, value, field, err);

	if (!ret && option->max && (*field < option->min || *field > option->max))
		ret = mf_error_set(err, -EINVAL, "--%s %s is not between %lluM and %lluG",
				   option->name, value, (unsigned long long)option->min >> 20,
				   (unsigned long long)option->max >> 30);
	return ret;
}

MF_TAKE(size_or_none)
{
	if (strcmp(value, "0") != 0)
		return mf_take_size(values, option, value, err);
	*(uint64_t *)field_of(values, option) = 0;
	return 0;
}

MF_TAKE(count)
{
	uint64_t *field = field_of(values, option);
	int ret = mf_parse_count(option->name, value, option->max, field, err);

	if (!ret && *field < option->min)
		ret = mf_error_set(err, -EINVAL, "--%s %s is fewer than %llu", option->name, value,
				   (unsigned long long)option->min);
	return ret;
}

MF_TAKE(uint)
{
	uint64_t number;
	int ret = mf_parse_count(option->name, value, option->max, &number, err);

	if (!ret)
		*(unsigned int *)field_of(values, option) = (unsigned int)number;
	return ret;
}

MF_TAKE(duration)
{
	uint64_t *field = field_of(values, option);
	int ret = mf_parse_duration(option->name, value, field, err);

	if (!ret && option->max && *field > option->max) /* which is DAY_NS */
		ret = mf_error_set(err, -EINVAL, "--%s %s is longer than a day", option->name,
				   value);
	return ret;
}

MF_TAKE(durability)
{
	struct mf_store_promise *promise = field_of(values, option);
	uint64_t ns = 0;
	int ret = 0;

	*promise = (struct mf_store_promise){.durability = MF_STORE_DURABLE};
	if (!strcmp(value, "async")) {
		promise->durability = MF_STORE_ASYNC;
	} else if (!strncmp(value, "group=", 6)) {
		promise->durability = MF_STORE_GROUP;
		ret = mf_parse_duration(option->name, value + 6, &ns, err);
		if (!ret && ns > GROUP_MAX_NS)
			ret = mf_error_set(err, -EINVAL, "--%s %s is longer than 10 seconds",
					   option->name, value);
		promise->group_us = (uint32_t)(ns / 1000 ? ns / 1000 : 1);
	} else if (strcmp(value, "durable")) {
		ret = mf_error_set(err, -EINVAL,
				   "--%s %s is none; write durable, group=5ms or async",
				   option->name, value);
	}
	return ret;
}

static int bad_rate(const char *name, const char *value, struct mf_error *err)
{
	return mf_error_set(err, -EINVAL, "--%s %s is no rate; write 100/s, 600/m or 5/250ms", name,
			    value);
}

MF_TAKE(rate)
{
	const char *slash = strchr(value, '/');
	struct mf_error why;
	char count[24];
	char time[24];
	uint64_t ns;

	if (!slash || slash - value >= (int)sizeof(count) || strlen(slash) >= sizeof(time) - 1)
		return bad_rate(option->name, value, err);
	snprintf(count, sizeof(count), "%.*s", (int)(slash - value), value);
	/* "s" is one second */
	snprintf(time, sizeof(time), "%s%s", isdigit((unsigned char)slash[1]) ? "" : "1",
		 slash + 1);
	if (mf_parse_count("", count, 1000000, &values->rate_requests, &why) ||
	    mf_parse_duration("", time, &ns, &why))
		return bad_rate(option->name, value, err);
	*(uint64_t *)field_of(values, option) =
		ns > values->rate_requests ? ns / values->rate_requests : 1;
	return 0;
}

MF_TAKE(descriptor)
{
	uint64_t number;
	int ret = mf_parse_count(option->name, value, 1 << 20, &number, err);

	if (!ret && (number <= STDERR_FILENO || fcntl((int)number, F_SETFD, FD_CLOEXEC)))
		ret = mf_error_set(err, -EBADF, "--%s %s is no open descriptor", option->name,
				   value);
	if (!ret)
		*(int *)field_of(values, option) = (int)number;
	return ret;
}

MF_TAKE(pages)
{
	uint64_t bytes;
	int ret = mf_parse_size(option->name, value, &bytes, err);

	if (!ret)
		*(uint64_t *)field_of(values, option) = (bytes + MF_PAGE - 1) / MF_PAGE;
	return ret;
}

MF_TAKE(flag)
{
	(void)value;
	(void)err;
	*(bool *)field_of(values, option) = true;
	return 0;
}

MF_TAKE(text)
{
	if (!*value)
		return mf_error_set(err, -EINVAL, "--%s is empty", option->name);
	*(const char **)field_of(values, option) = value;
	return 0;
}

MF_TAKE(texts)
{
	return mf_texts_add(field_of(values, option), value, err);
}

/* "a, b and c" */
static const char *list_words(const char *const *words, char *buffer, size_t room)
{
	size_t used = 0;
	size_t i;

	for (i = 0; words[i] && used < room; i++) {
		const char *between = !i ? "" : words[i + 1] ? ", " : " and ";
		int more = snprintf(buffer + used, room - used, "%s%s", between, words[i]);

		used += more > 0 ? (size_t)more : 0;
	}
	return buffer;
}

static int find_word(const struct mf_option *option, const char *value, struct mf_error *err)
{
	char all[160];
	int i;

	for (i = 0; option->words[i]; i++)
		if (!strcmp(option->words[i], value))
			return i;
	if (i == 2)
		return mf_error_set(err, -EINVAL, "--%s %s is neither %s nor %s", option->name,
				    value, option->words[0], option->words[1]);
	return mf_error_set(err, -EINVAL, "--%s %s is none of %s", option->name, value,
			    list_words(option->words, all, sizeof(all)));
}

MF_TAKE(word)
{
	int at = find_word(option, value, err);

	if (at < 0)
		return at;
	*(int *)field_of(values, option) = at;
	return 0;
}

MF_TAKE(second)
{
	int at = find_word(option, value, err);

	if (at < 0)
		return at;
	*(bool *)field_of(values, option) = at == 1;
	return 0;
}

MF_TAKE(socket)
{
	if (strncmp(value, "unix:", 5))
		return mf_error_set(err, -EINVAL, "--%s %s is no socket; write unix:PATH",
				    option->name, value);
	*(const char **)field_of(values, option) = value + 5;
	return 0;
}

MF_TAKE(private)
{
	if (*value != '/')
		return mf_error_set(err, -EINVAL, "--%s %s is not an absolute path", option->name,
				    value);
	*(const char **)field_of(values, option) = value;
	return 0;
}

MF_TAKE(paths)
{
	struct mf_permit_paths *field = field_of(values, option);
	struct mf_texts list = {(const char **)field->paths, field->count};
	int ret;

	if (!value) {
		field->all = true;
		return 0;
	}
	ret = add_parts(values, option, value, &list, err);
	field->paths = list.texts;
	field->count = list.count;
	return ret;
}

MF_TAKE(rules)
{
	struct mf_net_rules *field = field_of(values, option);
	struct mf_texts list = {(const char **)field->rules, field->count};
	int ret;

	if (!value) {
		field->all = true;
		return 0;
	}
	ret = add_parts(values, option, value, &list, err);
	field->rules = list.texts;
	field->count = list.count;
	return ret;
}

MF_TAKE(host)
{
	const char *at = value;

	while (isalnum((unsigned char)*at) || (*at && strchr("-._[]:", *at)))
		at++;
	if (*at || at == value || (at[-1] != ']' && strchr(value, ':')))
		return mf_error_set(err, -EINVAL,
				    "--%s %s is no host's name; write example.org, without a port",
				    option->name, value);
	return mf_texts_add(field_of(values, option), value, err);
}

MF_TAKE(prefix)
{
	const char *at = value;

	while (*at > ' ' && *at != '?' && *at != '#')
		at++;
	if (*value != '/' || *at || strlen(value) > 1024)
		return mf_error_set(err, -EINVAL,
				    "--%s %s is no path; write /shop, as it stands in requests",
				    option->name, value);
	return mf_texts_add(field_of(values, option), value, err);
}

MF_TAKE(env)
{
	(void)option;
	if (!strchr(value, '=') || *value == '=')
		return mf_error_set(err, -EINVAL,
				    "--env %s has no name and value; write --env NAME=VALUE",
				    value);
	return mf_texts_add(&values->env, value, err);
}

MF_TAKE(env_names)
{
	if (value && strchr(value, '='))
		return mf_error_set(err, -EINVAL,
				    "--allow-env=%s takes names; to set one, write --env "
				    "NAME=VALUE",
				    value);
	if (value)
		return add_parts(values, option, value, &values->env_names, err);
	values->env_all = true;
	return 0;
}

static int bad_volume(const char *value, struct mf_error *err)
{
	return mf_error_set(err, -EINVAL,
			    "--volume %s is none; write --volume HOST:GUEST, :r (the default) or "
			    ":rw behind it, GUEST an absolute path",
			    value);
}

MF_TAKE(volume)
{
	struct mf_program_options *options = &values->program;
	char *host = mf_values_own(values, strdup(value));
	struct mf_permit_volume *grown =
		realloc(values->volumes, (options->volume_count + 1) * sizeof(*values->volumes));
	char *guest = host ? strchr(host, ':') : NULL;
	char *how;

	(void)option;
	if (grown)
		options->volumes = values->volumes = grown;
	if (!host || !grown)
		return no_memory(err);
	if (!guest || guest == host || guest[1] != '/')
		return bad_volume(value, err);
	*guest++ = 0;
	how = strchr(guest, ':');
	if (how)
		*how++ = 0;
	if (how && strcmp(how, "r") && strcmp(how, "rw"))
		return bad_volume(value, err);
	grown[options->volume_count++] =
		(struct mf_permit_volume){host, guest, how && !strcmp(how, "rw")};
	return 0;
}

MF_TAKE(all)
{
	struct mf_net_rules *net = &values->program.net;
	struct mf_texts list = {(const char **)net->rules, net->count};
	int ret = mf_texts_add(&list, "unix:*", err);

	(void)option;
	(void)value;
	net->rules = list.texts;
	net->count = list.count;
	net->all = true;
	values->program.read.all = true;
	values->program.write.all = true;
	values->env_all = true;
	return ret;
}

MF_TAKE(warmup)
{
	(void)option;
	if (!values->warmup)
		values->warmup = calloc(1, sizeof(*values->warmup));
	if (!values->warmup)
		return no_memory(err);
	return mf_warmup_add(values->warmup, value, err);
}
