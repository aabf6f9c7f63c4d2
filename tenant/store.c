/* SPDX-License-Identifier: MIT */
#include "tenant/store.h"
#include "tenant/program.h"

#include "guest/store/blob.h"

#include <mayfly/abi/place.h>
#include <mayfly/abi/store_admin.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void say(const char *text)
{
	mf_output_say(0, "mayfly: %s\n", text);
}

void mf_tenant_store_say_end(struct mf_tenant_store *store)
{
	struct mf_store_stats stats;

	if (!store->store)
		return;
	mf_store_stats(store->store, &stats);
	mf_output_say(1000,
		      "mayfly: store: %llu calls, %llu commits, %llu restarts, %llu calls lost, "
		      "%llu read in place, %llu user exits\n",
		      (unsigned long long)stats.calls, (unsigned long long)stats.commits,
		      (unsigned long long)stats.starts - 1, (unsigned long long)stats.lost,
		      (unsigned long long)stats.in_place, (unsigned long long)stats.user_exits);
}

static int cannot_use(const char *folder, int code, struct mf_error *err)
{
	if (code == -ENOENT)
		return mf_error_set(err, code, "the folder above %s does not exist; make it first",
				    folder);
	if (code == -ENOTDIR)
		return mf_error_set(err, code, "%s is no folder; --store takes one", folder);
	return mf_error_set(err, code, "cannot use the folder %s for the store: %s", folder,
			    strerror(-code));
}

/* The folder's name is on the disk before anything in it is promised. A folder above that cannot be
 * read cannot be synced alone. */
static int sync_above(int folder_fd)
{
	int above = openat(folder_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = (above < 0 ? syncfs(folder_fd) : fsync(above)) && errno != EINVAL ? -errno : 0;

	if (above >= 0)
		close(above);
	return ret;
}

/* Open the folder and lock it. The lock is the descriptor's: it ends with this process. */
static int lock_folder(struct mf_tenant_store *store, const char *folder, struct mf_error *err)
{
	int ret;

	if (mkdir(folder, 0700) && errno != EEXIST)
		return cannot_use(folder, -errno, err);
	store->lock_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store->lock_fd < 0)
		return cannot_use(folder, -errno, err);
	if (flock(store->lock_fd, LOCK_EX | LOCK_NB))
		return errno == EWOULDBLOCK
			       ? mf_error_set(err, -EBUSY,
					      "the store %s is in use by another engine", folder)
			       : cannot_use(folder, -errno, err);
	if (faccessat(store->lock_fd, ".", R_OK | W_OK | X_OK, AT_EACCESS))
		return mf_error_set(err, -errno,
				    "the store %s cannot be written: %s; mend its permissions or "
				    "its mount",
				    folder, strerror(errno));
	ret = sync_above(store->lock_fd);
	if (ret)
		return cannot_use(folder, ret, err);
	store->folder = realpath(folder, NULL);
	return store->folder ? 0 : cannot_use(folder, -errno, err);
}

static int no_memory(struct mf_error *err)
{
	return mf_error_set(err, -ENOMEM, "not enough memory for the store");
}

/* The folder; to be read, what else was allowed. */
static int permit_folder(struct mf_tenant_store *store,
			 const struct mf_tenant_store_options *options, struct mf_error *err)
{
	const char *paths[] = {store->folder};
	struct mf_permit_paths write = {false, paths, 1};
	struct mf_permit_paths read = {options->read.all, NULL, options->read.count + 1};
	const char **names = calloc(read.count, sizeof(*names));
	int ret;

	if (!names)
		return no_memory(err);
	names[0] = store->folder;
	for (size_t i = 1; i < read.count; i++)
		names[i] = options->read.paths[i - 1];
	read.paths = names;
	ret = mf_permit_create(&store->permit, &read, &write, err);
	free(names);
	return ret;
}

/* A program of the tenant's own, found as `run` finds one; its arguments are those given so far. */
static int open_program(struct mf_tenant_store *store,
			const struct mf_tenant_store_options *options, struct mf_error *err)
{
	const char *path = getenv("PATH");
	size_t args = 0;
	char **argv;
	int ret;

	while (options->args && options->args[args])
		args++;
	argv = calloc(args + 2, sizeof(*argv));
	if (!argv)
		return no_memory(err);
	argv[0] = (char *)options->program;
	if (args)
		memcpy(argv + 1, options->args, args * sizeof(*argv));
	ret = mf_exec_open(&store->files, options->program, argv,
			   path ? path : "/usr/local/bin:/usr/bin:/bin", NULL, err);
	free(argv);
	return ret;
}

/* Of the program's arguments; `text` is copied. */
static int append(struct mf_exec_files *files, const char *text)
{
	char **grown;
	size_t count = 0;

	while (files->argv[count])
		count++;
	grown = realloc(files->argv, (count + 2) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	files->argv = grown;
	grown[count + 1] = NULL;
	grown[count] = strdup(text);
	return grown[count] ? 0 : -ENOMEM;
}

/* PROG ARGS FOLDER SIZE [MODE] */
static int make_argv(struct mf_tenant_store *store, const struct mf_tenant_store_options *options,
		     struct mf_error *err)
{
	snprintf(store->size, sizeof(store->size), "%llu", (unsigned long long)options->size_bytes);
	store->argv[0] = "store";
	store->argv[1] = store->folder;
	store->argv[2] = store->size;
	store->argv[3] = (char *)options->mode;
	if (!options->program)
		return 0;
	if (append(&store->files, store->folder) || append(&store->files, store->size))
		return no_memory(err);
	return mf_exec_permit(&store->files, &store->permit, err);
}

static void fill_exec(struct mf_tenant_store *store, const struct mf_tenant_store_options *options,
		      struct mf_exec *exec)
{
	if (options->program) {
		*exec = mf_exec_of(&store->files);
		exec->plain = true;
	} else {
		exec->elf = mf_store_program;
		exec->elf_bytes = (size_t)(mf_store_program_end - mf_store_program);
		exec->argv = store->argv;
		exec->exec_name = store->argv[0];
	}
	exec->cwd = store->folder;
	exec->limit_bytes = options->memory_bytes;
}

/* Without it the store is served as well; whoever starts it is told. */
static void open_socket(struct mf_tenant_store *store,
			const struct mf_tenant_store_options *options)
{
	struct mf_error err;

	if (options->alone || options->program ||
	    !mf_store_socket_open(&store->socket, store->lock_fd, store->folder, &err))
		return;
	if (!options->quiet)
		mf_output_say(0, "mayfly: %s; mayfly store does nothing while this runs\n",
			      err.text);
}

static int check_bounds(const struct mf_tenant_store_options *options, struct mf_error *err)
{
	const char *fault = mf_tenant_store_bound_fault(options);

	return fault ? mf_error_set(err, -EINVAL, "--%s", fault) : 0;
}

/* Before the process is confined. */
static int map_bound(struct mf_tenant_store *store, int fd, struct mf_error *err)
{
	void *at;

	if (!fd)
		return 0;
	at = mmap(NULL, sizeof(*store->bound), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return mf_error_set(err, -errno, "cannot map the store's bounds: %s",
				    strerror(errno));
	store->bound = at;
	return 0;
}

static bool is_fenced(void *cookie, enum mf_disk_look look)
{
	return mf_store_fence_is_lost(cookie, look);
}

/* One that is lowered is not to sleep for long as it is: it would wake so. */
static uint64_t on_turn(void *cookie, bool waits)
{
	struct mf_turns *turns = cookie;
	uint64_t now = mf_now_ns();

	if (!waits)
		mf_turns_begin(turns, now);
	mf_turns_ask(turns, waits, now);
	return turns->low ? now + 3 * MF_TURNS_TERM_NS : UINT64_MAX;
}

/* Whoever only looks writes nothing, and is nobody's successor. */
static int raise_fence(struct mf_tenant_store *store, const struct mf_tenant_store_options *options,
		       struct mf_error *err)
{
	if (options->mode && !strcmp(options->mode, MF_ADMIN_MODE_CHECK))
		return 0;
	return mf_store_fence_raise(&store->fence, store->lock_fd, store->folder, err);
}

/* In whole pieces: docs/formats/ring.md. */
uint64_t mf_tenant_store_place_bytes(const struct mf_tenant_store_options *options)
{
	if (!options->window_bytes || options->program || options->mode ||
	    options->scope != MF_STORE_SCOPE_TENANT)
		return 0;
	return MF_PLACE_PIECE_AT(mf_place_pieces(options->window_bytes));
}

void mf_tenant_store_set_windows(struct mf_policy *policy, uint64_t channel_bytes,
				 uint64_t place_bytes)
{
	unsigned int i;

	policy->windows[0] = (struct mf_window){MF_CHANNEL_VA, channel_bytes, -1, 0, false};
	for (i = 0; i + 1 < MF_WINDOWS && MF_PLACE_PIECE_AT(i) < place_bytes; i++)
		policy->windows[i + 1] = (struct mf_window){MF_PLACE_VA + MF_PLACE_PIECE_AT(i),
							    MF_PLACE_PIECE_BYTES(i), -1, 0, true};
}

static int make_store(struct mf_tenant_store *store, const struct mf_tenant_store_options *options,
		      const struct mf_kvm *kvm, unsigned int vms, struct mf_error *err)
{
	bool has_admin = vms < MF_STORE_CHANNELS_MAX;
	struct mf_store_settings settings = {
		.channels = vms + has_admin,
		.admin = has_admin,
		.ring_bytes = MF_RING_BYTES_DEFAULT,
		.wait = options->wait,
		.call_limit_ns = options->call_limit_ns,
		.age_ns = options->age_ns,
		.promise = options->promise,
		.scope = options->scope == MF_STORE_SCOPE_TENANT ? MF_STORE_OF_TENANT
								 : MF_STORE_OF_VM,
		.empty = options->scope == MF_STORE_SCOPE_EMPTY,
		.quota_bytes = mf_tenant_store_quota(options),
		.evicts = options->evicts,
		.place_bytes = mf_tenant_store_place_bytes(options),
		.folder_fd = store->lock_fd,
		.bound = store->bound,
		.boot_limit_ns = options->boot_limit_ns,
		.kvm = kvm,
		.policy = {.permit = store->permit,
			   .stdin_fd = -1,
			   .output = mf_output_write,
			   .output_cookie = &store->output},
		.is_fenced = is_fenced,
		.fence = &store->fence,
		.say = options->quiet ? NULL : say,
		.listens = options->program != NULL,
		.file = options->program ? &store->files.program : NULL,
		.turn = on_turn,
		.turns = &store->turns,
	};

	fill_exec(store, options, &settings.exec);
	return mf_store_create(&store->store, &settings, err);
}

int mf_tenant_store_open(struct mf_tenant_store *store,
			 const struct mf_tenant_store_options *options, const struct mf_kvm *kvm,
			 unsigned int vms, struct mf_error *err)
{
	int ret = 0;

	*store = (struct mf_tenant_store){.lock_fd = -1, .fence.fd = -1};
	if (!options->folder)
		return 0;
	ret = check_bounds(options, err);
	if (!ret)
		ret = map_bound(store, options->bound_fd, err);
	if (ret)
		return ret;
	store->output.meter = &store->meter;
	snprintf(store->output.tag, sizeof(store->output.tag), "store");
	if (options->program)
		ret = open_program(store, options, err);
	if (!ret)
		ret = lock_folder(store, options->folder, err);
	if (!ret)
		ret = permit_folder(store, options, err);
	if (!ret)
		ret = make_argv(store, options, err);
	if (!ret)
		ret = make_store(store, options, kvm, vms, err);
	if (!ret)
		ret = raise_fence(store, options, err);
	if (!ret && vms < MF_STORE_CHANNELS_MAX)
		open_socket(store, options);
	if (ret)
		mf_tenant_store_close(store);
	return ret;
}

int mf_tenant_store_start(struct mf_tenant_store *store, struct mf_watchdog *watchdog,
			  unsigned int watch_index, struct mf_error *err)
{
	static const struct mf_priority unchanged;
	int ret;

	if (!store->store)
		return 0;
	mf_turns_init(&store->turns, store->priority ? store->priority : &unchanged, mf_now_ns());
	ret = mf_store_start(store->store, watchdog, watch_index, err);
	mf_output_flush(&store->output);
	/* The files that it made are to be found after a power cut. */
	if (!ret && fsync(store->lock_fd) && errno != EINVAL)
		ret = cannot_use(store->folder, -errno, err);
	if (!ret && store->socket)
		ret = mf_store_socket_start(store->socket, store->store, err);
	return ret;
}

void mf_tenant_store_stop(struct mf_tenant_store *store)
{
	mf_store_socket_stop(store->socket);
	mf_store_stop(store->store);
	mf_output_flush(&store->output);
}

void mf_tenant_store_close(struct mf_tenant_store *store)
{
	mf_tenant_store_stop(store);
	mf_store_socket_close(store->socket);
	mf_store_destroy(store->store);
	mf_permit_destroy(store->permit);
	free(store->folder);
	mf_exec_close(&store->files);
	mf_store_fence_lower(&store->fence);
	if (store->bound)
		munmap((void *)(uintptr_t)store->bound, sizeof(*store->bound));
	if (store->lock_fd >= 0)
		close(store->lock_fd);
	*store = (struct mf_tenant_store){.lock_fd = -1, .fence.fd = -1};
}
