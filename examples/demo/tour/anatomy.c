/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "anatomy.h"
#include "engine/image/delta.h"
#include "lab.h"
#include "say.h"

#define CASES   6
#define WARM_UP 8

/* One request and what it did to its VM. */
struct anatomy {
	const char *name;
	struct mf_http_message request;
	bool served;
	struct mf_exit exit;
	size_t bytes_before,
		bytes_after; /* that differ from the image, before and after the reset */
	size_t pages_before, pages_after;
	unsigned int cpu_before, cpu_after; /* kinds of registers that do */
	size_t secrets_before, secrets_after;
	size_t copied;
};

static size_t count_in(const struct mf_delta *delta, const char *secret)
{
	size_t length = strlen(secret);
	const uint8_t *end = delta->bytes + delta->page_count * MF_PAGE;
	size_t count = 0;

	for (const uint8_t *at = delta->bytes; at && at < end; at += length, count++) {
		at = memmem(at, (size_t)(end - at), secret, length);
		if (!at)
			break;
	}
	return count;
}

static bool look(struct mf_vm *vm, const char *secret, size_t *pages, size_t *bytes,
		 unsigned int *cpu, size_t *secrets)
{
	struct mf_delta delta;

	if (mf_delta_take(vm, &delta) < 0)
		return false;
	*pages = delta.page_count;
	*bytes = delta.bytes_differing;
	*cpu = delta.cpu;
	*secrets = count_in(&delta, secret);
	mf_delta_finish(&delta);
	return true;
}

static void examine(struct lab *lab, struct mf_process *vm, const char *secret, struct anatomy *a)
{
	a->served = lab_serve(lab, vm, &a->request, &a->exit) &&
		    look(&vm->vm, secret, &a->pages_before, &a->bytes_before, &a->cpu_before,
			 &a->secrets_before);
	a->served &= mf_process_reset(vm) == 0;
	a->copied = vm->vm.mem.ws.run_pages;
	a->served &= look(&vm->vm, secret, &a->pages_after, &a->bytes_after, &a->cpu_after,
			  &a->secrets_after);
	a->served &= mf_vm_audit(&vm->vm, NULL, NULL, NULL) == 0;
}

static const char *end_name(const struct mf_exit *exit)
{
	return exit->kind == MF_EXIT_READY      ? "an answer"
	       : exit->kind == MF_EXIT_SIGNALED ? "a fault"
						: "a crash";
}

static const char *registers(unsigned int cpu, char *text)
{
	snprintf(text, 40, "%s%s%s", cpu & MF_DELTA_REGS ? "general " : "",
		 cpu & MF_DELTA_SREGS ? "segment " : "", cpu & MF_DELTA_XSAVE ? "vector" : "");
	return text;
}

static void show(const struct anatomy *a)
{
	char text[40];

	say("  %-20s %-9s %9s %6zu  %-22s %6zu %8zu", a->name, end_name(&a->exit),
	    with_commas(a->bytes_before), a->pages_before, registers(a->cpu_before, text),
	    a->copied, a->bytes_after);
}

static bool prepare(struct anatomy *cases, const struct tour *tour, const char *secret)
{
	static const char *const targets[] = {"/hostile/scribble", "/hostile/registers",
					      "/hostile/crash"};
	static const char *const names[] = {"overwrite all", "fill all registers", "crash"};
	const struct stanza *stanza = &tour->stanzas.list[0];
	struct ask honest = {"POST", "/", NULL, stanza->text.data, stanza->text.length};
	struct ask steal = {.method = "POST", .target = "/"};
	struct ask plant = steal;
	char *bodies[2] = {NULL, NULL};
	char header[128];
	bool good;

	snprintf(header, sizeof(header), "Authorization: %s\r\n", secret);
	honest.headers = header;
	good = attack_body(tour, ATTACK_STEAL, &bodies[0], &steal.length) &&
	       attack_body(tour, ATTACK_PLANT, &bodies[1], &plant.length);
	steal.body = bodies[0];
	plant.body = bodies[1];
	cases[0].name = "honest, with secret";
	cases[1].name = "steal";
	cases[2].name = "plant";
	good = good && lab_request(&cases[0].request, &honest) &&
	       lab_request(&cases[1].request, &steal) && lab_request(&cases[2].request, &plant);
	for (int i = 0; i < 3 && good; i++) {
		struct ask ask = {.method = "GET", .target = targets[i]};

		cases[3 + i].name = names[i];
		good = lab_request(&cases[3 + i].request, &ask);
	}
	free(bodies[0]);
	free(bodies[1]);
	return good;
}

/* A VM that has served for a while: its working set is known. */
static bool warm_up(struct lab *lab, struct mf_process *vm, const struct tour *tour)
{
	bool right = true;

	for (size_t i = 0; i < WARM_UP && i < tour->stanzas.count; i++) {
		struct mf_http_message message;

		right = lab_stanza(&message, &tour->stanzas.list[i]) &&
			lab_post(lab, vm, &message, &tour->stanzas.list[i]) && right;
		mf_http_message_finish(&message);
	}
	return right;
}

static void judge(const struct anatomy *cases)
{
	size_t bytes = 0, pages = 0, secrets = 0;
	unsigned int cpu = 0;
	bool served = true;

	for (int i = 0; i < CASES; i++) {
		served &= cases[i].served && cases[i].bytes_before > 0;
		bytes += cases[i].bytes_after;
		pages += cases[i].pages_after;
		cpu |= cases[i].cpu_after;
		secrets += cases[i].secrets_after;
	}
	claim(served && bytes == 0 && pages == 0 && cpu == 0,
	      "after every reset: %zu bytes in %zu pages differ from the image, and %s", bytes,
	      pages, cpu ? "some registers" : "no register");
	claim(cases[0].secrets_before > 0 && secrets == 0,
	      "the secret stood in %zu places of the VM's memory; after the reset in %zu",
	      cases[0].secrets_before, secrets);
}

void anatomy_show(const struct tour *tour, const char *secret)
{
	struct anatomy cases[CASES] = {0};
	struct mf_error err = {0};
	struct mf_process vm;
	struct lab lab;
	bool ready = prepare(cases, tour, secret);

	if (!ready) {
		claim(false, "the requests cannot be built");
		return;
	}
	if (!lab_open(&lab, tour->stanza))
		return;
	if (mf_process_fork(&vm, &lab.image, &lab.program.policy, &err) == 0) {
		claim(warm_up(&lab, &vm, tour),
		      "the engine in this process serves as the server does");
		say_blank();
		say("  One VM, in the engine          |------- changed by the request -------|  "
		    "copied    left");
		say("  %-20s %-9s %9s %6s  %-22s %6s %8s", "request", "ends with", "bytes", "pages",
		    "registers", "pages", "bytes");
		for (int i = 0; i < CASES; i++) {
			examine(&lab, &vm, secret, &cases[i]);
			show(&cases[i]);
		}
		say_blank();
		judge(cases);
		mf_process_finish(&vm);
	} else {
		claim(false, "fork: %s", err.text);
	}
	for (int i = 0; i < CASES; i++)
		mf_http_message_finish(&cases[i].request);
	lab_close(&lab);
}
