/* SPDX-License-Identifier: MIT */
/*
 * Mayfly's storage program that dies by itself, at a random one of the points that it passes: at a
 * transaction's end, before its group's commit, before, within and after each write and each sync
 * of LMDB's, after the commit and before its replies. One start in sixteen dies while
 * the store is opened. It says where.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

#include <mayfly/sdk.h>
#include <mayfly/storage.h>

#include "guest/store/apply.h"
#include "guest/store/commit.h"

#define POINTS_MAX      600u /* passed in a life; a group passes some twenty */
#define BOOT_POINTS_MAX 8u

ssize_t __real_pwrite(int fd, const void *bytes, size_t count, off_t at);
ssize_t __real_writev(int fd, const struct iovec *pieces, int count);
int __real_fdatasync(int fd);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at);
ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count);
int __wrap_fdatasync(int fd);
void __real_kv_apply(struct kv_batch *batch);
void __wrap_kv_apply(struct kv_batch *batch);
int __real_kv_commit_add(const struct kv_tree *writes, struct kv_haste haste, uint64_t *version);
int __wrap_kv_commit_add(const struct kv_tree *writes, struct kv_haste haste, uint64_t *version);
int __real_kv_commit_turn(void);
int __wrap_kv_commit_turn(void);
void *__real_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int __real_main(int argc, char **argv);
int __wrap_main(int argc, char **argv);
int __real_mf_storage_serve_transactions(const struct mf_storage_transactions *transactions);
int __wrap_mf_storage_serve_transactions(const struct mf_storage_transactions *transactions);

/* Looks of which only the last commits, and all are answered: more than one is a lie that is to be
 * found. */
#ifndef LAZY
#define LAZY 1u
#endif

static unsigned int left; /* 0: it does not die */
static unsigned int turns;

static unsigned int random_below(unsigned int bound)
{
	unsigned int number;

	return getrandom(&number, sizeof(number), 0) == sizeof(number) ? number % bound : 0;
}

static bool is_here(const char *point)
{
	if (!left || --left)
		return false;
	fprintf(stderr, "dies %s\n", point);
	return true;
}

static void pass(const char *point)
{
	if (is_here(point))
		__builtin_trap();
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t count, off_t at)
{
	ssize_t done;

	pass("before a write");
	if (is_here("within a write")) {
		__real_pwrite(fd, bytes, count / 2 & ~4095ul, at);
		__builtin_trap();
	}
	done = __real_pwrite(fd, bytes, count, at);
	pass("after a write");
	return done;
}

ssize_t __wrap_writev(int fd, const struct iovec *pieces, int count)
{
	ssize_t done;

	pass("before a write");
	if (is_here("within a write")) {
		__real_writev(fd, pieces, count / 2);
		__builtin_trap();
	}
	done = __real_writev(fd, pieces, count);
	pass("after a write");
	return done;
}

int __wrap_fdatasync(int fd)
{
	int ret;

	pass("before a sync");
	ret = __real_fdatasync(fd);
	pass("after a sync");
	return ret;
}

void __wrap_kv_apply(struct kv_batch *batch)
{
	pass("before a commit");
	__real_kv_apply(batch);
	pass("after a commit");
}

/* What is told of commits to come. */
int __wrap_kv_commit_add(const struct kv_tree *writes, struct kv_haste haste, uint64_t *version)
{
	pass("at a transaction's end");
	if (LAZY > 1)
		haste.durability = MF_STORE_ASYNC;
	return __real_kv_commit_add(writes, haste, version);
}

int __wrap_kv_commit_turn(void)
{
	return ++turns % LAZY ? 0 : __real_kv_commit_turn();
}

int __wrap_main(int argc, char **argv)
{
	if (argc != 3 || !mf_inside())
		return 2;
	if (!random_below(16))
		left = 1 + random_below(BOOT_POINTS_MAX);
	return __real_main(argc, argv);
}

int __wrap_mf_storage_serve_transactions(const struct mf_storage_transactions *transactions)
{
	left = 1 + random_below(POINTS_MAX);
	return __real_mf_storage_serve_transactions(transactions);
}

/* As in guest/store/write.c. */
void *__wrap_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
	if (flags & MAP_SHARED && prot & PROT_WRITE)
		return __real_mmap(at, bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return __real_mmap(at, bytes, prot, flags, fd, offset);
}
