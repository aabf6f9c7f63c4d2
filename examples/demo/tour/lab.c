/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "say.h"

#define GUEST_MEMORY (256ull << 20)
#define PATIENCE_NS  20000000000ull

bool lab_open(struct lab *lab, const char *program)
{
	struct mf_error err = {0};
	int rc;

	memset(lab, 0, sizeof(*lab));
	lab->argv[0] = (char *)program;
	lab->options = (struct mf_program_options){
		.argv = lab->argv,
		.env = lab->env,
		.memory_bytes = GUEST_MEMORY,
		.boot_deadline_ns = 6 * PATIENCE_NS,
	};
	rc = mf_program_open(&lab->program, &lab->options, &err);
	if (rc == 0)
		rc = mf_program_confine(&lab->program, NULL, NULL, NULL, &err);
	if (rc == 0)
		rc = mf_watchdog_create(&lab->watchdog, 1, &err);
	if (rc == 0) {
		lab->watch = mf_watchdog_worker(lab->watchdog, 0);
		rc = mf_program_build(&lab->program, lab->watch, &lab->image, &lab->ready, &err);
	}
	return rc == 0 || claim(false, "the engine says: %s", err.text);
}

void lab_close(struct lab *lab)
{
	mf_process_image_finish(&lab->image);
	mf_watchdog_destroy(lab->watchdog);
	mf_program_close(&lab->program);
}

bool lab_request(struct mf_http_message *message, const struct ask *ask)
{
	struct mf_http_parser parser;
	size_t length, used;
	char *text = ask_text(ask, &length);
	bool ready;

	*message = (struct mf_http_message){0};
	if (!text)
		return false;
	mf_http_parser_init(&parser, NULL);
	ready = mf_http_parser_feed(&parser, text, length, &used) == MF_HTTP_READY;
	if (ready)
		mf_http_parser_take(&parser, message);
	mf_http_parser_finish(&parser);
	free(text);
	return ready;
}

bool lab_stanza(struct mf_http_message *message, const struct stanza *stanza)
{
	struct ask ask = {"POST", "/stanza", NULL, stanza->text.data, stanza->text.length};

	return lab_request(message, &ask);
}

bool lab_serve(struct lab *lab, struct mf_process *vm, const struct mf_http_message *message,
	       struct mf_exit *exit)
{
	const struct mf_abi_request *request = message->request;

	if (!request || mf_function_deliver(vm, &lab->ready, request, request->size_bytes) < 0)
		return false;
	const struct mf_program_run run = {.watch = lab->watch,
					   .deadline_ns = mf_now_ns() + PATIENCE_NS};

	mf_program_drive(vm, &run, NULL, exit);
	return true;
}

bool lab_post(struct lab *lab, struct mf_process *vm, const struct mf_http_message *message,
	      const struct stanza *stanza)
{
	struct mf_function_response response;
	struct mf_exit exit;
	bool right = lab_serve(lab, vm, message, &exit) && exit.kind == MF_EXIT_READY &&
		     mf_function_response(vm, &exit, &response) == 0;

	if (right) {
		right = response.status == 200 && response.body_bytes == stanza->json_length &&
			memcmp(response.body, stanza->json, response.body_bytes) == 0;
		mf_function_response_finish(&response);
	}
	return mf_process_reset(vm) == 0 && right;
}
