/* SPDX-License-Identifier: MIT */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* systemd gives sockets from this descriptor on (sd_listen_fds(3)). */
#define FIRST_GIVEN 3

static struct mf_address *find(struct mf_supervisor *supervisor, const char *text,
			       unsigned int part)
{
	struct mf_address *address;

	TAILQ_FOREACH(address, &supervisor->addresses, all)
	if (!strcmp(address->text, text) && address->part == part)
		return address;
	return NULL;
}

static struct mf_address *add(struct mf_supervisor *supervisor, const char *text, unsigned int part)
{
	struct mf_address *address = calloc(1, sizeof(*address));

	if (!address)
		return NULL;
	snprintf(address->text, sizeof(address->text), "%s", text);
	address->part = part;
	address->is_new = true;
	address->id = ++supervisor->last_address;
	address->listener = (struct mf_listener){.fd = -1};
	TAILQ_INSERT_TAIL(&supervisor->addresses, address, all);
	return address;
}

static void mark(struct mf_address *address, const char *owner)
{
	address->wanted = true;
	snprintf(address->wanted_by, sizeof(address->wanted_by), "%s", owner);
}

/* ---- sockets that systemd has opened ---- */

/* Does the i-th one have this name? (LISTEN_FDNAMES, separated by colons) */
static bool is_named(unsigned int i, const char *name)
{
	const char *names = getenv("LISTEN_FDNAMES");

	if (!*name)
		return true;
	for (; names && i; i--) {
		names = strchr(names, ':');
		names = names ? names + 1 : NULL;
	}
	return names && strlen(name) == strcspn(names, ":") && !strncmp(names, name, strlen(name));
}

/* "systemd", or "systemd:NAME". */
static int want_given(struct mf_supervisor *supervisor, const char *text, const char *owner,
		      struct mf_error *err)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	const char *name = text + strlen("systemd") + (text[strlen("systemd")] == ':');
	unsigned int count = fds && pid && strtol(pid, NULL, 10) == (long)getpid()
				     ? (unsigned int)strtoul(fds, NULL, 10)
				     : 0;
	unsigned int found = 0;
	unsigned int i;

	for (i = 0; i < count && i < 1024; i++) {
		struct mf_address *address = find(supervisor, text, i + 1);
		int fd = FIRST_GIVEN + (int)i;

		if (!is_named(i, name) || fcntl(fd, F_SETFD, FD_CLOEXEC))
			continue;
		found++;
		if (!address && !(address = add(supervisor, text, i + 1)))
			return mf_error_set(err, -ENOMEM, "not enough memory for addresses");
		if (address->listener.fd < 0) {
			address->listener.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
			fcntl(address->listener.fd, F_SETFL, O_RDWR | O_NONBLOCK);
			snprintf(address->listener.name, sizeof(address->listener.name), "%s",
				 text);
		}
		mark(address, owner);
	}
	return found ? 0
		     : mf_error_set(err, -ENOENT, "%s: systemd gave no such socket (LISTEN_FDS)",
				    text);
}

/* ---- all of them ---- */

static int want(struct mf_supervisor *supervisor, const char *text, const char *owner,
		struct mf_error *err)
{
	struct mf_address *address = find(supervisor, text, 0);

	if (!strcmp(text, "systemd") || !strncmp(text, "systemd:", 8))
		return want_given(supervisor, text, owner, err);
	if (strlen(text) >= sizeof(address->text))
		return mf_error_set(err, -ENAMETOOLONG, "the address %.40s... is too long", text);
	if (!address && !(address = add(supervisor, text, 0)))
		return mf_error_set(err, -ENOMEM, "not enough memory for addresses");
	if (address->wanted)
		return mf_error_set(err, -EEXIST, "%s is there twice", text);
	mark(address, owner);
	return address->is_new && address->listener.fd < 0
		       ? mf_listen_open(&address->listener, text, err)
		       : 0;
}

static int want_all(struct mf_supervisor *supervisor, const struct mf_texts *list,
		    const char *owner, struct mf_error *err)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < list->count && !ret; i++)
		ret = want(supervisor, list->texts[i], owner, err);
	return ret;
}

static int want_config(struct mf_supervisor *supervisor, const struct mf_config *config,
		       struct mf_error *err)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < config->tenant_count && !ret; i++)
		ret = want_all(supervisor, &config->tenants[i].values.tenant.listen,
			       config->tenants[i].name, err);
	return ret;
}

static void drop(struct mf_supervisor *supervisor, struct mf_address *address)
{
	TAILQ_REMOVE(&supervisor->addresses, address, all);
	mf_listen_close(&address->listener);
	free(address);
}

static void drop_unused(struct mf_supervisor *supervisor)
{
	struct mf_address *address, *next;

	for (address = TAILQ_FIRST(&supervisor->addresses); address; address = next) {
		next = TAILQ_NEXT(address, all);
		if (address->is_new)
			drop(supervisor, address);
	}
}

int mf_addresses_prepare(struct mf_supervisor *supervisor, const struct mf_config *config,
			 enum mf_origin origin, struct mf_error *err)
{
	bool from_file = origin == MF_BY_FILE;
	const struct mf_config *top = from_file ? config : supervisor->config;
	const struct mf_tenant *tenant;
	struct mf_address *address;
	int ret;

	TAILQ_FOREACH(address, &supervisor->addresses, all)
	address->wanted = false;
	ret = want_all(supervisor, &top->values.daemon.listen, "", err);
	/* Of those that this configuration says nothing about. */
	TAILQ_FOREACH(tenant, &supervisor->tenants, all)
	if (!ret && !tenant->removed && !(from_file && tenant->from_file) &&
	    !mf_config_find(config, tenant->name))
		ret = want_all(supervisor, &tenant->config->values.tenant.listen, tenant->name,
			       err);
	if (!ret)
		ret = want_config(supervisor, config, err);
	if (ret)
		drop_unused(supervisor);
	return ret;
}

void mf_addresses_commit(struct mf_supervisor *supervisor)
{
	struct mf_address *address, *next;

	for (address = TAILQ_FIRST(&supervisor->addresses); address; address = next) {
		const struct mf_tenant *owner = mf_tenant_find(supervisor, address->wanted_by);
		uint32_t tenant = owner ? owner->id : 0;

		next = TAILQ_NEXT(address, all);
		if (!address->is_new && (!address->wanted || address->tenant != tenant))
			mf_front_tell_address(supervisor, address, true);
		if (!address->wanted) {
			drop(supervisor, address);
			continue;
		}
		if (address->is_new || address->tenant != tenant) {
			address->tenant = tenant;
			mf_front_tell_address(supervisor, address, false);
			mf_log(supervisor, MF_LOG_INFO, "listening", owner, NULL, "on %s",
			       address->listener.name);
		}
		address->is_new = false;
	}
}

void mf_addresses_close(struct mf_supervisor *supervisor)
{
	struct mf_address *address;

	while ((address = TAILQ_FIRST(&supervisor->addresses))) {
		mf_front_tell_address(supervisor, address, true);
		drop(supervisor, address);
	}
}

void mf_addresses_forget(struct mf_supervisor *supervisor, const struct mf_tenant *tenant)
{
	struct mf_address *address, *next;

	for (address = TAILQ_FIRST(&supervisor->addresses); address; address = next) {
		next = TAILQ_NEXT(address, all);
		if (address->tenant != tenant->id)
			continue;
		mf_front_tell_address(supervisor, address, true);
		drop(supervisor, address);
	}
}
