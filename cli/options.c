/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/verbs.h"
#include "request-vm/output.h"

int mf_cli_fail(const char *verb, const struct mf_error *err)
{
	mf_output_say(MF_CLI_PATIENCE_MS, "mayfly %s: %s\n", verb,
		      err->text[0] ? err->text : "failed");
	return MF_STATUS_FAILED;
}

void mf_cli_json_text(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte == '"' || byte == '\\')
			fprintf(file, "\\%c", byte);
		else if (byte < 0x20 || byte > 0x7e)
			fprintf(file, "\\u%04x", byte);
		else
			fputc(byte, file);
	}
	fputc('"', file);
}
