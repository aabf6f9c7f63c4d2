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
