/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stanzas.h"

static int copy_file(FILE *to, const char *name)
{
	FILE *from = fopen(name, "r");
	char piece[65536];
	size_t bytes;

	if (!from)
		return -errno;
	while ((bytes = fread(piece, 1, sizeof(piece), from)) > 0)
		fwrite(piece, 1, bytes, to);
	fclose(from);
	return 0;
}

static int make_up(FILE *to)
{
	DIR *folder = opendir("/usr/bin");
	const struct dirent *entry;

	if (!folder)
		return -errno;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			fprintf(to,
				"Package: %s\nVersion: 1.0-%zu\nDepends: libc6 (>= 2.36), sh | "
				"bash\n"
				"Description: the program %s\n It is on this machine.\n\n",
				entry->d_name, strlen(entry->d_name), entry->d_name);
	closedir(folder);
	return 0;
}

/* The text of all stanzas, an empty line after each. */
static int read_all(struct stanzas *stanzas)
{
	size_t bytes;
	FILE *to = open_memstream(&stanzas->text, &bytes);
	int rc;

	if (!to)
		return -errno;
	stanzas->source = STANZAS_FILE;
	rc = copy_file(to, STANZAS_FILE);
	if (rc < 0) {
		stanzas->source = "made up, there is no " STANZAS_FILE;
		rc = make_up(to);
	}
	return fclose(to) ? -errno : rc;
}

/* A field's value as a string; the caller frees it. NULL: there is none, or no memory. */
static char *field_of(struct control_span text, const char *name)
{
	struct control_field field;

	if (control_find(text, name, &field) != 1)
		return NULL;
	while (field.value.length && *field.value.data == ' ') {
		field.value.data++;
		field.value.length--;
	}
	return strndup(field.value.data, field.value.length);
}

/* The same package may be there for several architectures: then dpkg says which. */
static char *name_of(struct control_span text)
{
	char *name = field_of(text, "Package");
	char *arch = field_of(text, "Architecture");
	char *multi = field_of(text, "Multi-Arch");
	char *whole = NULL;

	if (name && arch && multi && strcmp(multi, "same") == 0 &&
	    asprintf(&whole, "%s:%s", name, arch) > 0) {
		free(name);
		name = whole;
	}
	free(arch);
	free(multi);
	return name;
}

static void finish_one(struct stanza *stanza)
{
	free(stanza->name);
	free(stanza->json);
}

static int add(struct stanzas *stanzas, struct control_span text)
{
	struct stanza *list = realloc(stanzas->list, (stanzas->count + 1) * sizeof(*list));
	size_t room = control_json_bound(text.length);
	struct control_error error;
	struct stanza *new;
	long length;

	if (!list)
		return -ENOMEM;
	stanzas->list = list;
	new = &list[stanzas->count];
	*new = (struct stanza){.text = text, .name = name_of(text), .json = malloc(room)};
	if (!new->name) {
		finish_one(new);
		return 0;
	}
	length = new->json ? control_to_json(text, new->json, room, &error) : -ENOMEM;
	if (length < 0) {
		finish_one(new);
		return length == -EINVAL ? 0 : (int)length; /* not a stanza: left out */
	}
	new->json_length = (size_t)length;
	stanzas->bytes += text.length;
	stanzas->count++;
	return 0;
}

int stanzas_load(struct stanzas *stanzas)
{
	const char *at;
	int rc;

	*stanzas = (struct stanzas){0};
	rc = read_all(stanzas);
	at = stanzas->text;
	while (rc == 0 && *at) {
		const char *end = strstr(at, "\n\n");
		size_t length = end ? (size_t)(end + 1 - at) : strlen(at);

		rc = add(stanzas, (struct control_span){at, length});
		at += length + (end != NULL);
	}
	if (rc == 0 && stanzas->count == 0)
		rc = -ENOENT;
	if (rc < 0)
		stanzas_finish(stanzas);
	return rc;
}

void stanzas_finish(struct stanzas *stanzas)
{
	for (size_t i = 0; i < stanzas->count; i++)
		finish_one(&stanzas->list[i]);
	free(stanzas->list);
	free(stanzas->text);
	*stanzas = (struct stanzas){0};
}
