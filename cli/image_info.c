/* SPDX-License-Identifier: MIT */
#include "cli/image_info.h"
#include "cli/options.h"
#include "measure/record.h"

#include <stdlib.h>
#include <string.h>

/* One fact a line, for people; or a member of an object. */
struct printer {
	FILE *out;
	bool json;
	bool begun; /* a member was printed already */
};

static void name_it(struct printer *printer, const char *name)
{
	if (!printer->json) {
		fprintf(printer->out, "%-20s ", name);
		return;
	}
	fputs(printer->begun ? ",\n  " : "{\n  ", printer->out);
	mf_json_text(printer->out, name);
	fputs(": ", printer->out);
	printer->begun = true;
}

static void say_text(struct printer *printer, const char *name, const char *text)
{
	name_it(printer, name);
	if (printer->json)
		mf_json_text(printer->out, text);
	else
		fprintf(printer->out, "%s\n", text);
}

static void say_number(struct printer *printer, const char *name, uint64_t number)
{
	name_it(printer, name);
	fprintf(printer->out, printer->json ? "%llu" : "%llu\n", (unsigned long long)number);
}

static void say_fit(struct printer *printer, const char *why_not)
{
	name_it(printer, "runs_here");
	if (printer->json)
		fputs(why_not[0] ? "false" : "true", printer->out);
	else
		fprintf(printer->out, "%s\n", why_not[0] ? "no" : "yes");
	if (why_not[0])
		say_text(printer, "why_not", why_not);
}

static void say_header(struct printer *printer, const struct mf_image_file *file)
{
	const struct mf_image_header *header = &file->header;
	const struct mf_image_section *memory = mf_image_file_section(file, MF_SECTION_MEMORY);
	char digest[2 * MF_IMAGE_DIGEST_BYTES + 1];
	size_t i;

	for (i = 0; i < MF_IMAGE_DIGEST_BYTES; i++)
		snprintf(digest + 2 * i, 3, "%02x", header->digest[i]);
	say_text(printer, "digest", digest);
	say_number(printer, "format", header->version);
	say_text(printer, "engine", header->engine);
	say_text(printer, "kvm", mf_family_name((enum mf_family)header->family));
	say_text(printer, "cpu", header->cpu);
	say_number(printer, "memory_bytes", memory->bytes - header->arena_bytes);
	say_number(printer, "memory_limit_bytes", header->limit_bytes);
}

/* Lines of `name: value`; arguments come one a line, so as JSON they are numbered. */
static void say_info(struct printer *printer, char *text)
{
	unsigned int arguments = 0;
	char *save = NULL;
	char *line;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strstr(line, ": ");
		char numbered[32];

		if (!value)
			continue;
		*value = 0;
		if (printer->json && !strcmp(line, "argument")) {
			snprintf(numbered, sizeof(numbered), "argument %u", ++arguments);
			line = numbered;
		}
		say_text(printer, line, value + 2);
	}
}

int mf_image_info_print(const struct mf_image_file *file, bool json, FILE *out,
			struct mf_error *err)
{
	struct printer printer = {.out = out, .json = json};
	struct mf_error why = {.text = ""};
	struct mf_kvm kvm;
	void *text;
	size_t size;
	int ret = mf_image_file_read(file, MF_SECTION_INFO, &text, &size, err);
	int fits;

	if (ret)
		return ret;
	fits = mf_kvm_open(&kvm, NULL, &why);
	if (!fits) {
		fits = mf_image_file_fits(file, &kvm, &why);
		mf_kvm_close(&kvm);
	}
	say_header(&printer, file);
	say_fit(&printer, why.text);
	if (text) {
		((char *)text)[size] = 0;
		say_info(&printer, text);
	}
	if (json)
		fputs("\n}\n", out);
	free(text);
	return fits ? 1 : 0;
}
