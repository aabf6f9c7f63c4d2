/* SPDX-License-Identifier: MIT */
#include "lib/internal.h"

#include "engine/image/elf.h"
#include "engine/image/layout.h"
#include "engine/linux/exec.h"
#include "engine/linux/vma.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_DEFAULT_BYTES (256ull << 20)
#define MEMORY_MIN_BYTES     (1ull << 20)
#define MEMORY_MAX_BYTES     (64ull << 30)
#define BOOT_DEFAULT_NS      30000000000ull

/* A load in progress. */
struct load {
	const char *path;
	struct mf_image_settings settings;
	struct mf_lib_image *image;
	struct mf_process process;
	struct mf_error *err;
};

void mf_image_settings_default(struct mf_image_settings *settings)
{
	*settings = (struct mf_image_settings){
		.memory_bytes = MEMORY_DEFAULT_BYTES,
		.boot_timeout_ns = BOOT_DEFAULT_NS,
		.ready = MF_READY_AT_WAIT,
	};
}

static int check(struct load *load)
{
	struct mf_image_settings *settings = &load->settings;
	size_t i;

	for (i = 0; i < sizeof(settings->reserved) / sizeof(settings->reserved[0]); i++)
		if (settings->reserved[i])
			return mf_error_set(
				load->err, -EINVAL,
				"the settings' reserved fields are not 0; fill them with "
				"mf_image_settings_default()");
	if (settings->ready != MF_READY_AT_WAIT && settings->ready != MF_READY_AT_EXIT)
		return mf_error_set(load->err, -EINVAL, "settings: there is no ready point %d",
				    (int)settings->ready);
	if (!settings->memory_bytes)
		settings->memory_bytes = MEMORY_DEFAULT_BYTES;
	if (settings->memory_bytes < MEMORY_MIN_BYTES || settings->memory_bytes > MEMORY_MAX_BYTES)
		return mf_error_set(load->err, -EINVAL,
				    "settings: memory_bytes is not between 1 MiB and 64 GiB");
	return 0;
}

static struct mf_permit_paths list(const char *const *paths)
{
	struct mf_permit_paths list = {.paths = paths};

	while (paths && paths[list.count])
		list.count++;
	return list;
}

static int make_permit(struct load *load)
{
	struct mf_permit_paths reads = list(load->settings.read_paths);
	struct mf_permit_paths writes = list(load->settings.write_paths);

	if (!reads.count && !writes.count)
		return 0;
	return mf_permit_create(&load->image->permit, &reads, &writes, load->err);
}

static ssize_t print(void *cookie, int fd, const void *bytes, size_t count)
{
	struct mf_lib_image *image = cookie;

	image->output(image->output_cookie, fd, bytes, count);
	return (ssize_t)count;
}

static void make_policy(struct load *load)
{
	struct mf_lib_image *image = load->image;

	image->output = load->settings.output;
	image->output_cookie = load->settings.output_cookie;
	image->ready_at = load->settings.ready;
	image->policy = (struct mf_policy){
		.permit = image->permit,
		.output = image->output ? print : NULL,
		.output_cookie = image,
		.stdin_fd = -1,
		.private_pages = load->settings.private_bytes / MF_PAGE,
	};
	if (load->settings.private_bytes && !image->policy.private_pages)
		image->policy.private_pages = 1;
}

/* Where a position-independent program was put: before it ran, its lowest range tells. */
static uint64_t base_of(const struct mf_process *process, const struct mf_elf *elf)
{
	const struct mf_linux *lx = mf_linux(process);
	uint32_t i;

	for (i = lx->vma_count; i-- > 0;)
		if (mf_vma_is_program(&lx->vmas[i]))
			return lx->vmas[i].start - elf->low_vaddr;
	return 0;
}

static int exec_program(struct load *load)
{
	const struct mf_image_settings *settings = &load->settings;
	struct mf_lib_image *image = load->image;
	struct mf_elf_limits limits = {.vaddr_end = MF_USER_TOP, .load_bytes_max = UINT64_MAX};
	struct mf_exec exec = mf_exec_of(&image->files);
	struct mf_elf elf;
	int ret;

	exec.envp = (char *const *)settings->env;
	exec.cwd = settings->cwd;
	exec.limit_bytes = settings->memory_bytes;
	ret = mf_process_exec(&load->process, &image->host->kvm, &image->policy, &exec, load->err);
	if (!ret &&
	    !mf_elf_parse(&elf, image->files.program.bytes, image->files.program.size, &limits,
			  NULL) &&
	    elf.type == MF_ELF_PIE)
		image->base = base_of(&load->process, &elf);
	return ret;
}

/* The program came out with this: is it where it is to be frozen? */
static int judge(struct load *load, const struct mf_exit *exit)
{
	struct mf_lib_image *image = load->image;
	struct mf_error why = {0};

	if (exit->kind == MF_EXIT_KICKED)
		return mf_error_set(load->err, -ETIMEDOUT,
				    "%s did not get ready in time; raise boot_timeout_ns",
				    load->path);
	if (image->ready_at == MF_READY_AT_EXIT && exit->kind == MF_EXIT_EXITED && !exit->status) {
		mf_process_stay(&load->process);
		return 0;
	}
	if (exit->kind == MF_EXIT_READY && image->ready_at == MF_READY_AT_EXIT)
		return mf_error_set(load->err, -ENOEXEC,
				    "%s waits for requests; load it with MF_READY_AT_WAIT",
				    load->path);
	if (exit->kind == MF_EXIT_READY && !mf_function_ready(&load->process, exit, &image->ready))
		return 0;
	if (exit->kind == MF_EXIT_READY)
		return mf_error_set(load->err, -ENOEXEC,
				    "%s asks for requests in a way that this version does not "
				    "know; rebuild it with "
				    "this version's SDK",
				    load->path);
	mf_lib_stop(&load->process, exit, &why);
	return mf_error_set(load->err, load->process.out_of_memory ? -ENOMEM : -ENOEXEC,
			    "%s was never ready: %s", load->path, why.text);
}

static int boot(struct load *load)
{
	struct mf_lib_seat seat;
	struct mf_lib_run run = {
		.seat = &seat,
		.image = load->image,
		.deadline_ns = mf_lib_deadline(load->settings.boot_timeout_ns),
	};
	struct mf_exit exit;
	int ret;

	mf_lib_seat_take(load->image->host, &seat);
	do {
		mf_lib_run(&run, &load->process, &exit);
		if (exit.kind == MF_EXIT_RESPOND) /* to what? */
			mf_vm_answer(&load->process.vm, -EINVAL);
	} while (exit.kind == MF_EXIT_RESPOND);
	mf_lib_seat_leave(&seat);
	ret = judge(load, &exit);
	if (ret)
		mf_process_finish(&load->process);
	return ret;
}

static int build(struct load *load)
{
	char *only_path[] = {(char *)load->path, NULL};
	char *const *argv = load->settings.argv ? (char *const *)load->settings.argv : only_path;
	int ret = mf_exec_open(&load->image->files, load->path, argv, NULL, NULL, load->err);

	if (!ret)
		ret = make_permit(load);
	if (!ret)
		ret = mf_exec_permit(&load->image->files, &load->image->permit, load->err);
	if (ret)
		return ret;
	make_policy(load);
	ret = exec_program(load);
	if (!ret)
		ret = boot(load);
	if (!ret)
		ret = mf_process_freeze(&load->process, &load->image->image, load->err);
	return ret;
}

static void destroy(struct mf_lib_image *image)
{
	mf_permit_destroy(image->permit);
	mf_lib_host_put(image->host);
	mf_exec_close(&image->files);
	free(image);
}

int mf_image_load(struct mf_host *host, const char *path, const struct mf_image_settings *settings,
		  struct mf_image **image, struct mf_error *err)
{
	struct load load = {.path = path, .err = err};
	int ret;

	mf_image_settings_default(&load.settings);
	if (settings)
		load.settings = *settings;
	ret = check(&load);
	if (ret)
		return ret;
	load.image = calloc(1, sizeof(*load.image));
	if (!load.image)
		return mf_error_set(err, -ENOMEM, "not enough memory for an image");
	load.image->users = 1;
	load.image->host = host;
	mf_lib_get(&host->users);
	ret = build(&load);
	if (ret) {
		destroy(load.image);
		return ret;
	}
	*image = &load.image->image;
	return 0;
}

void mf_lib_image_put(struct mf_lib_image *image)
{
	if (!mf_lib_put(&image->users))
		return;
	mf_process_image_finish(&image->image);
	destroy(image);
}

void mf_image_destroy(struct mf_image *image)
{
	if (image)
		mf_lib_image_put(mf_lib_image(image));
}

int mf_image_symbol(const struct mf_image *image, const char *name, uint64_t *address,
		    struct mf_error *err)
{
	const struct mf_lib_image *lib = mf_lib_image(image);
	uint64_t value;
	uint64_t size;
	int ret;

	mf_exec_file_guard(&lib->files.program);
	ret = mf_elf_symbol(lib->files.program.bytes, lib->files.program.size, name, &value, &size,
			    err);

	if (ret)
		return ret;
	if (value >= MF_USER_TOP - lib->base)
		return mf_error_set(err, -ENOEXEC, "%s lies where no program can be", name);
	*address = lib->base + value;
	return 0;
}
