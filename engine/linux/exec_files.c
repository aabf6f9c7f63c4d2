/* SPDX-License-Identifier: MIT */
/* From a command line to the files of a program. Linux fs/exec.c, fs/binfmt_script.c. */
#include "engine/image/elf.h"
#include "engine/image/file.h"
#include "engine/linux/exec.h"
#include "engine/linux/filemap.h"
#include "engine/linux/permit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PROGRAM_MAX_BYTES (4ull << 30)
#define SCRIPT_LINE_MAX   256u /* Linux' BINPRM_BUF_SIZE: what it reads of a script */

static int cannot_read(const char *path, int code, struct mf_error *err)
{
	if (code == -ENOENT)
		return mf_error_set(err, code, "there is no file %s; name the program by its path",
				    path);
	return mf_error_set(err, code, "cannot read the program %s: %s", path, strerror(-code));
}

/* As execve: a regular file that this user may execute. */
static int check_executable(const char *path, int fd, struct mf_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return cannot_read(path, -errno, err);
	if (!S_ISREG(st.st_mode))
		return mf_error_set(err, -EISDIR, "%s is not a regular file", path);
	if (syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS))
		return mf_error_set(err, -errno, "%s may not be executed; allow it: chmod +x %s",
				    path, path);
	return 0;
}

static int size_of(const char *path, int fd, size_t *bytes, struct mf_error *err)
{
	struct stat st;

	if (fstat(fd, &st))
		return cannot_read(path, -errno, err);
	if (!S_ISREG(st.st_mode))
		return mf_error_set(err, -EISDIR, "%s is not a regular file", path);
	if (!st.st_size || (uint64_t)st.st_size > PROGRAM_MAX_BYTES)
		return mf_error_set(err, -ENOEXEC, "%s is %s", path,
				    st.st_size ? "larger than 4 GiB" : "empty");
	*bytes = (size_t)st.st_size;
	return 0;
}

static int read_open_file(const char *path, int fd, uint8_t **elf, size_t *bytes,
			  struct mf_error *err)
{
	int ret = size_of(path, fd, bytes, err);

	if (ret)
		return ret;
	*elf = malloc(*bytes);
	ret = *elf ? mf_file_read(fd, *elf, *bytes, 0) : -ENOMEM;
	if (!ret)
		return 0;
	free(*elf);
	*elf = NULL;
	return cannot_read(path, ret, err);
}

int mf_exec_read(const char *path, uint8_t **elf, size_t *bytes, struct mf_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret;

	*elf = NULL;
	if (fd < 0)
		return cannot_read(path, -errno, err);
	ret = read_open_file(path, fd, elf, bytes, err);
	close(fd);
	return ret;
}

static int no_memory(struct mf_error *err)
{
	return mf_error_set(err, -ENOMEM, "not enough memory for a program's file");
}

static void file_close(struct mf_exec_file *file)
{
	free(file->path);
	free(file->real);
	if (file->fd) {
		mf_mem_guard_bytes(NULL, 0);
		munmap(file->bytes, file->size);
		close(file->fd);
	} else {
		free(file->bytes);
	}
	*file = (struct mf_exec_file){0};
}

/* An absolute name, in a volume or on the host: a descriptor, or -errno. */
static int open_name(const struct mf_permit *view, const char *path)
{
	char clean[PATH_MAX];
	int fd = view ? mf_permit_clean("/", path, clean) : 0;

	if (fd < 0)
		return fd;
	if (view && mf_permit_in_volume(view, clean))
		return mf_permit_open(view, "/", clean, O_RDONLY, 0);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

static char *real_path(const struct mf_permit *view, const char *path)
{
	char clean[PATH_MAX];
	char *real = NULL;

	if (!view || mf_permit_clean("/", path, clean) < 0 || !mf_permit_in_volume(view, clean))
		real = realpath(path, NULL);
	return real ? real : strdup(path);
}

void mf_exec_file_guard(const struct mf_exec_file *file)
{
	mf_mem_guard_bytes(file->bytes, file->fd ? file->size : 0);
}

/* A large file is mapped: most of it is never looked at here. */
static int file_map(struct mf_exec_file *file, int fd, struct mf_error *err)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	void *at = own < 0 ? MAP_FAILED : mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, own, 0);

	if (at == MAP_FAILED) {
		if (own >= 0)
			close(own);
		return cannot_read(file->path, -errno, err);
	}
	file->bytes = at;
	file->fd = own;
	mf_exec_file_guard(file);
	return 0;
}

static int file_load(struct mf_exec_file *file, int fd, struct mf_error *err)
{
	int ret = size_of(file->path, fd, &file->size, err);

	if (ret || file->size >= MF_FILE_ITSELF_BYTES)
		return ret ? ret : file_map(file, fd, err);
	return read_open_file(file->path, fd, &file->bytes, &file->size, err);
}

/* `path` becomes the file's. */
static int file_open(struct mf_exec_file *file, const struct mf_permit *view, char *path,
		     struct mf_error *err)
{
	int fd;
	int ret;

	file_close(file);
	if (!path)
		return no_memory(err);
	file->path = path;
	fd = open_name(view, path);
	if (fd < 0)
		return cannot_read(path, fd, err);
	ret = check_executable(path, fd, err);
	if (!ret && !(file->real = real_path(view, path)))
		ret = no_memory(err);
	if (!ret)
		ret = file_load(file, fd, err);
	close(fd);
	return ret;
}

static char *absolute(const char *path)
{
	char *cwd = *path == '/' ? NULL : getcwd(NULL, 0);
	char *joined = NULL;

	if (*path == '/')
		return strdup(path);
	while (!strncmp(path, "./", 2))
		path += 2;
	if (cwd && asprintf(&joined, "%s/%s", strcmp(cwd, "/") ? cwd : "", path) < 0)
		joined = NULL;
	free(cwd);
	return joined;
}

/* DIR/NAME, where `dir` ends at a colon; an empty one is the working directory. */
static char *candidate(const char *dir, size_t bytes, const char *name)
{
	char *joined;
	char *path;

	if (asprintf(&joined, "%.*s/%s", bytes ? (int)bytes : 1, bytes ? dir : ".", name) < 0)
		return NULL;
	path = absolute(joined);
	free(joined);
	return path;
}

static bool is_program(const struct mf_permit *view, const char *path)
{
	int fd = open_name(view, path);
	bool yes = fd >= 0 && !check_executable(path, fd, NULL);

	if (fd >= 0)
		close(fd);
	return yes;
}

/* NULL: not found. */
static char *find_program(const char *name, const char *search, const struct mf_permit *view)
{
	for (;;) {
		size_t bytes = strcspn(search, ":");
		char *path = candidate(search, bytes, name);

		if (!path || is_program(view, path))
			return path;
		free(path);
		if (!search[bytes])
			return NULL;
		search += bytes + 1;
	}
}

static int resolve(const char *name, const char *search, const struct mf_permit *view, char **path,
		   struct mf_error *err)
{
	*path = NULL;
	if (!*name)
		return mf_error_set(err, -ENOENT, "the program's name is empty");
	if (strchr(name, '/') || !search)
		*path = absolute(name);
	else if (!(*path = find_program(name, search, view)))
		return mf_error_set(err, -ENOENT,
				    "there is no program %s in PATH (%s); name it by its path, "
				    "./%s for instance",
				    name, search, name);
	return *path ? 0 : no_memory(err);
}

/* Put `text`, a string of its own, in front of the arguments. It becomes theirs, or is freed. */
static int prepend(struct mf_exec_files *files, char *text)
{
	size_t count = 0;
	char **grown;

	while (files->argv[count])
		count++;
	grown = text ? realloc(files->argv, (count + 2) * sizeof(*grown)) : NULL;
	if (!grown) {
		free(text);
		return -ENOMEM;
	}
	memmove(grown + 1, grown, (count + 1) * sizeof(*grown));
	grown[0] = text;
	files->argv = grown;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The first in [at, last] that is no blank, and the first that ends a word; NULL: none. */
static char *skip_blanks(char *at, const char *last)
{
	while (at <= last && is_blank(*at))
		at++;
	return at <= last ? at : NULL;
}

static char *word_end(char *at, const char *last)
{
	while (at <= last && *at && !is_blank(*at))
		at++;
	return at <= last ? at : NULL;
}

/* Where the line ends, blanks at its end left out; NULL: it may be cut off within the name. */
static char *line_end(char line[SCRIPT_LINE_MAX + 1])
{
	char *end = line + strcspn(line, "\n");
	char *name;

	if (end == line + SCRIPT_LINE_MAX || *end != '\n') {
		end = line + SCRIPT_LINE_MAX - 1;
		name = skip_blanks(line + 2, end);
		if (!name || !word_end(name, end))
			return NULL;
	}
	while (is_blank(end[-1]))
		end--;
	return end;
}

/*
 * The `#!` line as Linux reads it, within its first bytes: the interpreter, and all of the rest as
 * one argument, NULL when there is none. A last line without its newline keeps its blanks, so that
 * there is an argument of no bytes. -ENOEXEC.
 */
static int split_line(const struct mf_exec_file *file, char line[SCRIPT_LINE_MAX + 1],
		      char **interp, char **argument)
{
	char *end;
	char *separator;

	memset(line, 0, SCRIPT_LINE_MAX + 1);
	memcpy(line, file->bytes, file->size < SCRIPT_LINE_MAX ? file->size : SCRIPT_LINE_MAX);
	end = line_end(line);
	*interp = end ? skip_blanks(line + 2, end) : NULL;
	if (!*interp || *interp == end || !**interp)
		return -ENOEXEC;
	separator = word_end(*interp, end);
	*argument = separator && *separator ? skip_blanks(separator, end) : NULL;
	*end = 0;
	if (separator)
		*separator = 0;
	return 0;
}

static int bad_line(const struct mf_exec_files *files, struct mf_error *err)
{
	return mf_error_set(err, -ENOEXEC,
			    "the first line of %s names no interpreter; write #!/path/to/it, in "
			    "fewer than %u bytes",
			    files->program.path, SCRIPT_LINE_MAX);
}

/* argv[0] of a script gives way to: interpreter, its argument, the script's name. */
static int rewrite_arguments(struct mf_exec_files *files, const char *interp, const char *argument)
{
	char *script = strdup(files->program.path);

	if (!script)
		return -ENOMEM;
	if (files->argv[0]) {
		free(files->argv[0]);
		files->argv[0] = script;
	} else if (prepend(files, script)) {
		return -ENOMEM;
	}
	if (argument && prepend(files, strdup(argument)))
		return -ENOMEM;
	return prepend(files, strdup(interp));
}

/* The program that was found is a script: its interpreter is the program. */
static int step_into_script(struct mf_exec_files *files, const struct mf_permit *view,
			    struct mf_error *err)
{
	char line[SCRIPT_LINE_MAX + 1];
	char *interp;
	char *argument;

	if (files->script_count == MF_EXEC_SCRIPTS)
		return mf_error_set(err, -ELOOP,
				    "%s: more than %u scripts are each other's "
				    "interpreters",
				    files->name, MF_EXEC_SCRIPTS);
	if (split_line(&files->program, line, &interp, &argument))
		return bad_line(files, err);
	if (rewrite_arguments(files, interp, argument))
		return no_memory(err);
	files->scripts[files->script_count++] = files->program.path;
	files->program.path = NULL;
	return file_open(&files->program, view, absolute(interp), err);
}

static bool is_script(const struct mf_exec_file *file)
{
	return file->size >= 2 && !memcmp(file->bytes, "#!", 2);
}

/* What is wrong with the program is said when it is loaded. */
static int open_interp(struct mf_exec_files *files, const struct mf_permit *view,
		       struct mf_error *err)
{
	const struct mf_elf_limits limits = {.vaddr_end = 1ull << 47, .load_bytes_max = UINT64_MAX};
	const struct mf_exec_file *program = &files->program;
	char name[MF_ELF_INTERP_MAX + 1];
	struct mf_elf elf;
	int ret = mf_elf_parse(&elf, program->bytes, program->size, &limits, err);

	if (ret || !elf.interp_bytes)
		return ret;
	snprintf(name, sizeof(name), "%.*s", (int)elf.interp_bytes,
		 (const char *)program->bytes + elf.interp_offset);
	ret = file_open(&files->interp, view, absolute(name), err);
	return ret != -ENOENT
		       ? ret
		       : mf_error_set(err, ret, "there is no %s, which %s needs to be loaded",
				      files->interp.path, program->path);
}

static int copy_arguments(struct mf_exec_files *files, char *const *argv)
{
	size_t count = 0;
	size_t i;

	while (argv[count])
		count++;
	files->argv = calloc(count + 1, sizeof(*files->argv));
	for (i = 0; files->argv && i < count; i++) {
		files->argv[i] = strdup(argv[i]);
		if (!files->argv[i])
			return -ENOMEM;
	}
	return files->argv ? 0 : -ENOMEM;
}

static int open_all(struct mf_exec_files *files, const char *name, char *const *argv,
		    const char *search, const struct mf_permit *view, struct mf_error *err)
{
	int ret = resolve(name, search, view, &files->name, err);

	if (!ret && copy_arguments(files, argv))
		ret = no_memory(err);
	if (!ret)
		ret = file_open(&files->program, view, strdup(files->name), err);
	while (!ret && is_script(&files->program))
		ret = step_into_script(files, view, err);
	return ret ? ret : open_interp(files, view, err);
}

int mf_exec_open(struct mf_exec_files *files, const char *name, char *const *argv,
		 const char *search, const struct mf_permit *view, struct mf_error *err)
{
	int ret;

	*files = (struct mf_exec_files){0};
	ret = open_all(files, name, argv, search, view, err);
	if (ret)
		mf_exec_close(files);
	return ret;
}

void mf_exec_close(struct mf_exec_files *files)
{
	size_t i;

	file_close(&files->program);
	file_close(&files->interp);
	for (i = 0; i < files->script_count; i++)
		free(files->scripts[i]);
	for (i = 0; files->argv && files->argv[i]; i++)
		free(files->argv[i]);
	free(files->argv);
	free(files->name);
	*files = (struct mf_exec_files){0};
}

struct mf_exec mf_exec_of(const struct mf_exec_files *files)
{
	mf_exec_file_guard(&files->program);
	return (struct mf_exec){
		.elf = files->program.bytes,
		.elf_bytes = files->program.size,
		.elf_fd = files->program.fd,
		.interp = files->interp.bytes,
		.interp_bytes = files->interp.size,
		.exec_name = files->name,
		.exe = files->program.real,
		.argv = files->argv,
	};
}

int mf_exec_permit(const struct mf_exec_files *files, struct mf_permit **permit,
		   struct mf_error *err)
{
	static const struct mf_permit_settings nothing;
	const char *names[MF_EXEC_SCRIPTS + 2];
	bool dynamic = files->interp.path;
	size_t count = 0;
	int ret = 0;

	if (!dynamic && !files->script_count)
		return 0;
	for (; count < files->script_count; count++)
		names[count] = files->scripts[count];
	names[count++] = files->program.path;
	if (dynamic)
		names[count++] = files->interp.path;
	if (!*permit)
		ret = mf_permit_create_from(permit, &nothing, err);
	return ret ? ret : mf_permit_start(*permit, names, count, dynamic, err);
}
