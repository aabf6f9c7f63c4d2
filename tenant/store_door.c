/* SPDX-License-Identifier: MIT */
#include "tenant/store_door.h"
#include "tenant/program.h"
#include "tenant/store.h"

#include "ipc/store/wire.h"

#include <mayfly/abi/store_admin.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SIZE_DEFAULT   (1ull << 30)
#define ADMIN_CHANNELS 0u /* beside the administrative one */

/* What stands in a folder without being a store. */
static const char *const left_behind[] = {MF_STORE_SOCKET_NAME, MF_STORE_FENCE_NAME, "new.mdb",
					  "lock.mdb", "compact"};

struct mf_store_door {
	/* through an engine */
	int fd;
	/* by itself */
	struct mf_kvm kvm;
	bool has_kvm;
	bool restores;
	struct mf_tenant_store store;
	struct mf_watchdog *watchdog;
	struct mf_store_admin *admin;
};

bool mf_store_door_is_shared(const struct mf_store_door *door)
{
	return door->fd >= 0;
}

/* ---- through an engine ---- */

static int connect_to(int folder_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int code;

	if (fd < 0)
		return -errno;
	/* Over the descriptor: a folder's name may be longer than an address. */
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder_fd,
		 MF_STORE_SOCKET_NAME);
	code = connect(fd, (const struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
	if (!code)
		return fd;
	close(fd);
	return code;
}

static int greet(struct mf_store_door *door, const char *folder, struct mf_error *err)
{
	struct mf_store_hello hello;
	int code = mf_store_wire_read(door->fd, &hello, sizeof(hello));

	if (code)
		return mf_error_set(err, code, "the engine that serves %s does not answer: %s",
				    folder, strerror(-code));
	if (hello.magic != MF_STORE_SOCKET_MAGIC || hello.version != MF_STORE_SOCKET_VERSION)
		return mf_error_set(err, -EPROTO,
				    "the engine that serves %s speaks another version than this "
				    "mayfly; use the one that it was started with",
				    folder);
	return 0;
}

static int open_shared(struct mf_store_door *door, int folder_fd, const char *folder,
		       struct mf_error *err)
{
	door->fd = connect_to(folder_fd);
	if (door->fd == -EACCES || door->fd == -EPERM)
		return mf_error_set(err, door->fd,
				    "the store %s is served by another user, who alone (and root) "
				    "may do this",
				    folder);
	if (door->fd < 0)
		return mf_error_set(err, -EBUSY,
				    "the store %s is in use by another engine, which takes no "
				    "calls at " MF_STORE_SOCKET_NAME " (%s); end it first",
				    folder, strerror(-door->fd));
	return greet(door, folder, err);
}

static int call_shared(struct mf_store_door *door, uint32_t function, const void *payload,
		       size_t bytes, void *reply, size_t *reply_bytes)
{
	struct mf_store_frame head = {.bytes = (uint32_t)bytes, .function = function};

	if (bytes > MF_STORE_SOCKET_MAX)
		return -EMSGSIZE;
	if (mf_store_wire_write(door->fd, &head, sizeof(head)) ||
	    mf_store_wire_write(door->fd, payload, bytes) ||
	    mf_store_wire_read(door->fd, &head, sizeof(head)) || head.bytes > *reply_bytes ||
	    mf_store_wire_read(door->fd, reply, head.bytes))
		return -EPIPE;
	*reply_bytes = head.bytes;
	return head.status > 0 ? -EPROTO : head.status;
}

/* ---- by itself ---- */

/* As much as there is, and as much again. */
static uint64_t size_for(int folder_fd, const struct mf_store_door_options *options)
{
	uint64_t size = options->size_bytes ? options->size_bytes : SIZE_DEFAULT;
	struct stat st;

	if (!options->size_bytes && !fstatat(folder_fd, "data.mdb", &st, 0) &&
	    2 * (uint64_t)st.st_size > size)
		size = 2 * (uint64_t)st.st_size;
	return size;
}

static int start(struct mf_store_door *door, struct mf_error *err)
{
	const struct mf_program program = {0};
	int ret = mf_program_confine(&program, door->store.permit, NULL, NULL, err);

	if (!ret)
		ret = mf_watchdog_create(&door->watchdog, 1, err);
	if (!ret)
		ret = mf_tenant_store_start(&door->store, door->watchdog, 0, err);
	if (!ret && mf_store_admin_create(&door->admin, door->store.store))
		ret = mf_error_set(err, -ENOMEM, "not enough memory");
	return ret;
}

static int open_alone(struct mf_store_door *door, const struct mf_store_door_options *options,
		      uint64_t size_bytes, struct mf_error *err)
{
	const struct mf_tenant_store_options store = {
		.folder = options->folder,
		.size_bytes = size_bytes,
		.memory_bytes = options->memory_bytes,
		.wait = MF_STORE_WAKE,
		.quiet = true,
		.alone = true,
		.mode = options->mode,
	};
	int ret = mf_kvm_open(&door->kvm, NULL, err);

	if (ret)
		return ret;
	door->has_kvm = true;
	door->restores = options->mode && !strcmp(options->mode, MF_ADMIN_MODE_RESTORE);
	mf_program_calm_host();
	ret = mf_tenant_store_open(&door->store, &store, &door->kvm, ADMIN_CHANNELS, err);
	return ret ? ret : start(door, err);
}

/* ---- which of the two ---- */

static bool is_left_behind(const char *name)
{
	for (size_t i = 0; i < sizeof(left_behind) / sizeof(left_behind[0]); i++)
		if (!strcmp(name, left_behind[i]))
			return true;
	return !strcmp(name, ".") || !strcmp(name, "..");
}

/* Nothing of anybody's. */
static bool is_empty(const char *folder)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	bool empty = dir != NULL;

	while (empty && (entry = readdir(dir)))
		empty = is_left_behind(entry->d_name);
	if (dir)
		closedir(dir);
	return empty;
}

static int check_folder(int folder_fd, const struct mf_store_door_options *options,
			struct mf_error *err)
{
	const char *folder = options->folder;
	struct stat st;

	if (options->must_be_new)
		return is_empty(folder)
			       ? 0
			       : mf_error_set(err, -EEXIST,
					      "%s is not empty; name a folder that is, or one "
					      "that is not there",
					      folder);
	if (options->may_make || !fstatat(folder_fd, "data.mdb", &st, 0))
		return 0;
	if (errno == EACCES)
		return mf_error_set(err, -EACCES, "cannot look into %s: %s", folder,
				    strerror(errno));
	return mf_error_set(err, -ENOENT, "%s is no store: there is no data.mdb in it", folder);
}

static int open_either(struct mf_store_door *door, int folder_fd,
		       const struct mf_store_door_options *options, struct mf_error *err)
{
	bool is_free = !flock(folder_fd, LOCK_EX | LOCK_NB);
	uint64_t size_bytes;
	int ret;

	if (!is_free && errno == EWOULDBLOCK && options->never_shared)
		return mf_error_set(err, -EBUSY,
				    "the store %s is in use by an engine; end it first",
				    options->folder);
	if (!is_free && errno == EWOULDBLOCK)
		return open_shared(door, folder_fd, options->folder, err);
	ret = check_folder(folder_fd, options, err);
	if (ret)
		return ret;
	size_bytes = size_for(folder_fd, options);
	flock(folder_fd, LOCK_UN);
	return open_alone(door, options, size_bytes, err);
}

static int open_folder(const struct mf_store_door_options *options, struct mf_error *err)
{
	int fd = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && (options->may_make || options->must_be_new) &&
	    !mkdir(options->folder, 0700))
		fd = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return mf_error_set(err, -ENOENT, "there is no folder %s", options->folder);
	return mf_error_set(err, -errno, "cannot use the folder %s: %s", options->folder,
			    strerror(errno));
}

int mf_store_door_open(struct mf_store_door **out, const struct mf_store_door_options *options,
		       struct mf_error *err)
{
	struct mf_store_door *door = calloc(1, sizeof(*door));
	int folder_fd;
	int ret;

	if (!door)
		return mf_error_set(err, -ENOMEM, "not enough memory");
	*door = (struct mf_store_door){.fd = -1, .store.lock_fd = -1, .store.fence.fd = -1};
	folder_fd = open_folder(options, err);
	ret = folder_fd < 0 ? folder_fd : open_either(door, folder_fd, options, err);
	if (folder_fd >= 0)
		close(folder_fd);
	if (ret)
		mf_store_door_close(door);
	else
		*out = door;
	return ret;
}

int mf_store_door_call(struct mf_store_door *door, uint32_t function, const void *payload,
		       size_t bytes, void *reply, size_t *reply_bytes)
{
	if (mf_store_door_is_shared(door))
		return call_shared(door, function, payload, bytes, reply, reply_bytes);
	return mf_store_admin_call(door->admin, function, payload, bytes, reply, reply_bytes);
}

/* What was not finished has another name, and where nothing was there is no store. */
static void remove_unfinished(int folder_fd)
{
	struct stat st;

	unlinkat(folder_fd, "new.mdb", 0);
	if (fstatat(folder_fd, "data.mdb", &st, 0) && errno == ENOENT)
		unlinkat(folder_fd, MF_STORE_FENCE_NAME, 0);
}

void mf_store_door_close(struct mf_store_door *door)
{
	if (!door)
		return;
	if (door->fd >= 0)
		close(door->fd);
	mf_store_admin_destroy(door->admin);
	mf_tenant_store_stop(&door->store);
	if (door->restores)
		remove_unfinished(door->store.lock_fd);
	mf_tenant_store_close(&door->store);
	mf_watchdog_destroy(door->watchdog);
	if (door->has_kvm)
		mf_kvm_close(&door->kvm);
	free(door);
}
