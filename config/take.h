/* SPDX-License-Identifier: MIT */
/* How the text of an option becomes a value: see mf_option.take. For the table alone. */
#ifndef MF_CONFIG_TAKE_H
#define MF_CONFIG_TAKE_H

#include "config/option.h"
#include "config/values.h"

#define MF_TAKE(name)                                                                \
	int mf_take_##name(struct mf_values *values, const struct mf_option *option, \
			   const char *value, struct mf_error *err)

/* The field: uint64_t for the first three, unsigned int, bool, const char *, struct mf_texts. */
MF_TAKE(size);
MF_TAKE(size_or_none); /* uint64_t: likewise, or 0 */
MF_TAKE(count);
MF_TAKE(duration);
MF_TAKE(uint);
MF_TAKE(flag);
MF_TAKE(text);
MF_TAKE(texts);
/* An int: the position among the option's words; a bool: whether it is the second of them. */
MF_TAKE(word);
MF_TAKE(second);
MF_TAKE(durability); /* struct mf_store_promise */
MF_TAKE(rate);       /* uint64_t: nanoseconds a request, and rate_requests */
MF_TAKE(descriptor); /* int: an open descriptor above the standard streams */
MF_TAKE(pages);      /* uint64_t: a size, in pages */
MF_TAKE(socket);     /* const char *: unix:PATH, the path of it */
MF_TAKE(private);    /* const char *: an absolute path */
MF_TAKE(paths);      /* struct mf_permit_paths */
MF_TAKE(rules);      /* struct mf_net_rules */
MF_TAKE(host);       /* struct mf_texts: a host's name */
MF_TAKE(prefix);     /* struct mf_texts: a path's beginning */
/* These know where they belong. */
MF_TAKE(env);
MF_TAKE(env_names);
MF_TAKE(proxy);
MF_TAKE(volume);
MF_TAKE(all);
MF_TAKE(warmup);

/* `item` is freed with the values, at once when it could not be taken; NULL gives NULL. */
void *mf_values_own(struct mf_values *values, void *item);

/* One more; -ENOMEM with a sentence. */
int mf_texts_add(struct mf_texts *list, const char *text, struct mf_error *err);

#endif
