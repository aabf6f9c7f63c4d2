/* SPDX-License-Identifier: MIT */
#include "state.h"

#include <asm/prctl.h>
#include <mayfly/sdk.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char answer[4096];
static size_t answered;

uint64_t thread_base;

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	answered += (size_t)vsnprintf(answer + answered, sizeof(answer) - answered, format, args);
	va_end(args);
}

static const struct state *find(const struct state *table, const char *name)
{
	for (; table->name; table++)
		if (!strcmp(table->name, name))
			return table;
	return NULL;
}

static void serve(const char *target)
{
	const char *name = strrchr(target, '/') + 1;
	const struct state *state = find(state_registers, name);

	if (!state)
		state = find(state_memory, name);
	if (!state)
		state = find(state_linux, name);
	if (!state) {
		say("no such state");
	} else if (target[1] == 'd') {
		state->dirty();
		say("done");
	} else {
		state->look();
	}
}

int main(void)
{
	const struct mf_request *request;

	prepare_memory();
	prepare_linux();
	syscall(SYS_arch_prctl, ARCH_GET_FS, &thread_base);
	mf_request_capacity(4096);
	while ((request = mf_wait())) {
		answered = 0;
		scribble = 0;
		serve(mf_request_target(request).data);
		mf_respond(200, NULL, answer, answered);
	}
	return 1;
}
