/* SPDX-License-Identifier: MIT */
/*
 * Differential cases: pieces of C that print what system calls do. One static program holds them
 * all; it is run natively and in a VM, and every line has to be the same. README.md says how to add
 * one. A case starts in an empty directory of its own, with descriptors 0 to 2, default signals and
 * umask 022; what it leaves of those is taken away after it. It prints nothing that differs from
 * run to run: no addresses, process ids, absolute paths, times.
 */
#ifndef MF_TESTS_LINUX_DIFFERENTIAL_CASE_H
#define MF_TESTS_LINUX_DIFFERENTIAL_CASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct diff_case {
	const char *file;
	const char *name;
	const char *calls; /* as CASE() was given them: names with commas between */
	void (*run)(void);
};

struct diff_options {
	const char *file;
	const char *options;
};

/* CASE(name, call...) { body }: `call` are the system calls whose behaviour it shows. */
#define CASE(name_, ...)                                                                     \
	static void name_(void);                                                             \
	static const struct diff_case name_##_case                                           \
		__attribute__((used, aligned(8))) = {__FILE__, #name_, #__VA_ARGS__, name_}; \
	static const struct diff_case *const name_##_entry                                   \
		__attribute__((section("diff_cases"), used)) = &name_##_case;                \
	static void name_(void)

/* Once in a file: more options of `mayfly run` for its cases, with spaces between. */
#define OPTIONS(text)                                                 \
	static const struct diff_options options_of_file              \
		__attribute__((used, aligned(8))) = {__FILE__, text}; \
	static const struct diff_options *const options_entry         \
		__attribute__((section("diff_options"), used)) = &options_of_file

/* "expression = value", or "expression = -1 ENAME" for a call of the C library that failed. */
#define SHOW(expression)                                     \
	({                                                   \
		long show_value;                             \
		errno = 0;                                   \
		show_value = (long)(expression);             \
		show_result(#expression, show_value, false); \
		show_value;                                  \
	})

/* The same without the value when it did not fail: it differs from run to run. */
#define WORKS(expression)                                   \
	({                                                  \
		long show_value;                            \
		errno = 0;                                  \
		show_value = (long)(expression);            \
		show_result(#expression, show_value, true); \
		show_value;                                 \
	})

/* A system call made directly, past the C library. */
#define SYS(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

void show_result(const char *expression, long value, bool hide);

/* One line, printed at once. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "what: bytes", unprintable ones as \x.. */
void show_bytes(const char *what, const void *bytes, size_t count);

/* Everything beneath the working directory, sorted: type, mode, size, links, content. */
void show_tree(void);

/* What stat, lstat or fstat told: type, mode, links, size (not of directories). */
struct stat;
void show_stat(const char *what, const struct stat *st);

/* Make a file; the program ends when that fails. */
void put_file(const char *name, const char *text);

/* An address that is not the program's. */
#define NOWHERE ((void *)16)

#endif
