/* SPDX-License-Identifier: MIT */
/*
 * Image files: what was saved comes back as it was, copied or mapped, and answers as the image that
 * it was made of. What somebody else wrote into one is refused with a sentence, or runs contained.
 */
#include "engine/image/file.h"
#include "engine/linux/connection.h"
#include "engine/linux/image.h"
#include "tests/engine/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

SNIPPET(count, "incq (%rsi); mov (%rsi), %rax; ret");

static struct lab lab;

static int open_any(void *cookie, const char *path, int mode, struct mf_error *err)
{
	int fd = open(path, mode | O_CLOEXEC);

	return fd >= 0 ? fd : mf_error_set(err, -errno, "cannot open %s", path);
}

static const struct mf_image_load copied = {
	.open = open_any, .linux_bytes = sizeof(struct mf_linux), .check = mf_linux_check};
static const struct mf_image_load trusted = {.trusted = true,
					     .open = open_any,
					     .linux_bytes = sizeof(struct mf_linux),
					     .check = mf_linux_check};

static int scratch_file(void)
{
	int fd = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	return fd;
}

static int save(void)
{
	struct mf_image_part ready = {MF_SECTION_READY, &lab.ready, sizeof(lab.ready)};
	struct mf_error err = {0};
	int fd = scratch_file();

	cr_assert_eq(mf_image_save(&lab.image, fd, &ready, 1, &err), 0, "%s", err.text);
	return fd;
}

static int load(struct mf_image *image, int fd, const struct mf_image_load *how,
		struct mf_error *err)
{
	struct mf_image_file file;
	int ret = mf_image_file_open(&file, fd, err);

	return ret ? ret : mf_image_load(image, &lab.kvm, &file, how, err);
}

/* Requests against an image that came from a file; it takes the place of the lab's own. */
static void ask_some(struct mf_image *image)
{
	struct mf_image own = lab.image;
	struct guest guest;
	unsigned int i;

	lab.image = *image;
	guest_fork(&guest, &lab);
	for (i = 0; i < 3; i++) {
		cr_assert_eq(guest_run(&guest, count, SNIPPET_BYTES(count)), 1, "%s", guest.answer);
		guest_reset_and_audit(&guest, "a request on a loaded image");
	}
	guest_finish(&guest);
	*image = lab.image;
	lab.image = own;
}

static void comes_back(const struct mf_image_load *how)
{
	struct mf_error err = {0};
	struct mf_image image;
	struct mf_image_file file;
	int fd;

	lab_open(&lab, "bare", NULL);
	fd = save();
	cr_assert_eq(mf_image_file_open(&file, fd, &err), 0, "%s", err.text);
	cr_assert_eq(mf_image_file_verify(&file, &err), 0, "%s", err.text);
	cr_assert_eq(load(&image, fd, how, &err), 0, "%s", err.text);
	cr_assert_eq(image.backing.bytes, lab.image.backing.bytes);
	cr_assert_eq(memcmp(image.backing.map, lab.image.backing.map, image.backing.bytes), 0);
	cr_assert_eq(memcmp(&image.cpu, &lab.image.cpu, sizeof(image.cpu)), 0);
	ask_some(&image);
	mf_image_finish(&image);
	close(fd);
	lab_close(&lab);
}

Test(file, comes_back_copied)
{
	comes_back(&copied);
}

Test(file, comes_back_mapped)
{
	comes_back(&trusted);
}

/* Zeroes take no room on the disk. */
Test(file, is_sparse)
{
	struct stat st;
	int fd;

	lab_open(&lab, "bare", NULL);
	fd = save();
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_lt(st.st_blocks * 512, st.st_size / 2, "%lld of %lld bytes",
		     (long long)st.st_blocks * 512, (long long)st.st_size);
	close(fd);
	lab_close(&lab);
}

/* The header and the sections have room behind them; what lies there means nothing. */
static bool has_meaning(const struct mf_image_file *file, uint64_t at)
{
	const struct mf_image_header *header = &file->header;
	uint32_t i;

	if (at < sizeof(*header))
		return true;
	for (i = 0; i < header->section_count; i++)
		if (at >= header->sections[i].offset &&
		    at - header->sections[i].offset < header->sections[i].bytes)
			return true;
	return false;
}

/* One changed byte of the header or a section is found by the digest. */
Test(file, a_changed_byte_is_found)
{
	struct mf_image_file file;
	unsigned int times = rounds(20, 100, 5000);
	struct mf_error err;
	struct mf_image image;
	struct stat st;
	unsigned int i;
	int fd;

	lab_open(&lab, "bare", NULL);
	fd = save();
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(mf_image_file_open(&file, fd, &err), 0);
	for (i = 0; i < times; i++) {
		off_t at = (off_t)(random_u64() % (uint64_t)(i % 2 ? st.st_size : 4096));
		uint8_t byte;
		uint8_t other;

		cr_assert_eq(pread(fd, &byte, 1, at), 1);
		other = byte ^ (uint8_t)(1u << random_below(8));
		cr_assert_eq(pwrite(fd, &other, 1, at), 1);
		err.text[0] = 0;
		if (has_meaning(&file, (uint64_t)at)) {
			cr_assert_lt(load(&image, fd, &copied, &err), 0, "byte %lld",
				     (long long)at);
			cr_assert(err.text[0]);
		}
		cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	}
	cr_assert_eq(load(&image, fd, &copied, &err), 0, "%s", err.text);
	mf_image_finish(&image);
	close(fd);
	lab_close(&lab);
}

/* Where the parts lie that the engine itself relies on. */
static off_t interesting(const struct mf_image_file *file)
{
	const struct mf_image_section *cpu = mf_image_file_section(file, MF_SECTION_CPU);
	const struct mf_image_section *memory = mf_image_file_section(file, MF_SECTION_MEMORY);
	const struct mf_arena *arena = (const struct mf_arena *)lab.image.backing.map;
	const uint64_t *tables =
		(const uint64_t *)(lab.image.backing.map + arena->map_offset[MF_FRAMES_TABLE]);
	uint64_t frame;

	switch (random_below(6)) {
	case 0:
		return (off_t)(cpu->offset + random_u64() % cpu->bytes);
	case 1:
		return (off_t)(memory->offset + random_below(sizeof(*arena)));
	case 2:
		return (off_t)(memory->offset + arena->linux_offset +
			       random_u64() % (random_below(2) ? 8192 : arena->linux_bytes));
	case 3:
		return (off_t)(memory->offset + random_u64() % arena->linux_offset);
	default:
		do
			frame = random_u64() % arena->frames_high;
		while (!(tables[frame / 64] >> (frame % 64) & 1));
		return (off_t)(memory->offset + lab.image.backing.arena_bytes + frame * MF_PAGE +
			       random_below(MF_PAGE));
	}
}

/* The same of an image that has listeners, connections and epolls: mostly in those. */
static off_t interesting_in_server(const struct mf_image_file *file)
{
	static const struct {
		size_t at;
		size_t bytes;
	} parts[] = {
		{offsetof(struct mf_linux, listeners), 3 * sizeof(struct mf_guest_listener)},
		{offsetof(struct mf_linux, connections), 5 * sizeof(struct mf_connection)},
		{offsetof(struct mf_linux, epolls), 16 * sizeof(struct mf_epoll)},
		{offsetof(struct mf_linux, items), 6 * sizeof(struct mf_epoll_item)},
		{offsetof(struct mf_linux, door), 4},
	};
	const struct mf_arena *arena = (const struct mf_arena *)lab.image.backing.map;
	const struct mf_image_section *memory = mf_image_file_section(file, MF_SECTION_MEMORY);
	unsigned int part = random_below(8);

	if (part >= sizeof(parts) / sizeof(parts[0]))
		return interesting(file);
	return (off_t)(memory->offset + arena->linux_offset + parts[part].at +
		       random_u64() % parts[part].bytes);
}

/* Ask a server once: whatever comes of it, it ends. */
static void serve_any(struct guest *guest)
{
	struct mf_process *process = &guest->process;
	char bytes[300] = "e1234567";
	uint32_t number;
	unsigned int turns;
	struct mf_exit exit;

	if (mf_connection_open(process, NULL, 0, &number))
		return;
	mf_connection_put(process, number, bytes, sizeof(bytes));
	for (turns = 0; turns < 20; turns++) {
		watch_vm(&process->vm, run_max_us);
		mf_process_run(process, &exit);
		watch_vm(NULL, 0);
		mf_connection_take(process, number, bytes, sizeof(bytes));
		if (exit.kind != MF_EXIT_CONNECTION)
			break;
	}
	mf_connection_close(process, number);
}

static void ask_once(struct guest *guest)
{
	if (lab.policy.listens_within)
		serve_any(guest);
	else
		guest_run(guest, count, SNIPPET_BYTES(count));
}

/* A request on an image that somebody else wrote: whatever comes of it, it ends. */
static void ask_any(struct mf_image *image)
{
	struct mf_image own = lab.image;
	struct mf_error err;
	struct guest guest = {.lab = &lab};

	lab.image = *image;
	guest.ready = lab.ready;
	if (!mf_process_fork(&guest.process, &lab.image, &lab.policy, &err)) {
		ask_once(&guest);
		mf_process_reset(&guest.process);
		ask_once(&guest);
		mf_process_finish(&guest.process);
	}
	*image = lab.image;
	lab.image = own;
}

/* Without a digest to find it, as in a file whose digest was made anew. */
static void is_refused_or_contained(const char *guest, const struct lab_options *options,
				    unsigned int times,
				    off_t (*choose)(const struct mf_image_file *file))
{
	struct mf_image_file file;
	struct mf_error err = {0};
	unsigned int refused = 0;
	unsigned int i;
	int fd;

	lab_open(&lab, guest, options);
	fd = save();
	cr_assert_eq(mf_image_file_open(&file, fd, &err), 0);
	run_max_us = 20000;
	for (i = 0; i < times; i++) {
		off_t at = choose(&file);
		struct mf_image image;
		uint8_t before[8];
		uint8_t after[8];
		size_t bytes = 1u + random_below(8);
		size_t n;

		if ((uint64_t)at + bytes > file.header.file_bytes)
			at = (off_t)(file.header.file_bytes - bytes);
		cr_assert_eq(pread(fd, before, bytes, at), (ssize_t)bytes);
		for (n = 0; n < bytes; n++)
			after[n] = random_below(3) ? before[n] ^ (uint8_t)(1u << random_below(8))
						   : (uint8_t)random_u64();
		cr_assert_eq(pwrite(fd, after, bytes, at), (ssize_t)bytes);
		if (mf_image_load(&image, &lab.kvm, &file, &trusted, &err)) {
			refused++;
		} else {
			ask_any(&image);
			mf_image_finish(&image);
		}
		cr_assert_eq(pwrite(fd, before, bytes, at), (ssize_t)bytes);
	}
	printf("%u of %u refused\n", refused, times);
	cr_assert_gt(refused, times / 10);
	close(fd);
	lab_close(&lab);
}

Test(file, what_somebody_else_wrote_is_refused_or_contained, .timeout = 600)
{
	is_refused_or_contained("bare", NULL, rounds(40, 400, 20000), interesting);
}

Test(file, a_server_that_somebody_else_wrote_is_refused_or_contained, .timeout = 1200)
{
	struct lab_options options = {.argument = "engaged", .listens = true};

	is_refused_or_contained("fast_server", &options, rounds(20, 300, 20000),
				interesting_in_server);
}
