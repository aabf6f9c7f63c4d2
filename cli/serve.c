/* SPDX-License-Identifier: MIT */
#include "cli/options.h"
#include "cli/program_options.h"
#include "cli/verbs.h"
#include "tenant/serve.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"usage: mayfly serve --listen ADDR [OPTIONS] -- PROG [ARGS...]\n"
	"\n"
	"Start PROG once, freeze it where it first waits for a request (mf_wait() of "
	"<mayfly/sdk.h>), and\n"
	"give every HTTP request a virtual machine of its own that starts right there. After the "
	"answer\n"
	"the machine is put back; nothing of a request is left for the next.\n"
	"\n"
	"  --listen ADDR          HOST:PORT or unix:PATH\n"
	"  --health ADDR          answer /healthz and /readyz there\n"
	"  --control unix:PATH    take commands there: see mayfly ctl\n"
	"  --vms N                request VMs (16)\n"
	"  --workers N            threads that run them (one a core)\n"
	"  --queue N              requests that may wait for a VM; more get 503 (4 a VM)\n"
	"  --connections N        clients at once, per worker (512)\n"
	"  --deadline TIME        a request's time, waiting included; then 504 (10s)\n"
	"  --request-memory SIZE  memory that one request may write to; then 502 (64M)\n"
	"  --reset request|never  put the VM back after every request, or let state pile up "
	"(request)\n"
	"  --audit                compare every reset VM with its image; discard it on a "
	"difference\n"
	"  --boot-deadline TIME   time to get ready (30s)\n"
	"  --store DIR            keep what mf_store_put() of <mayfly/store.h> writes, in this "
	"folder\n"
	"  --store-program PROG   the storage program, run in the storage VM (Mayfly's own, a "
	"key-value store)\n"
	"  --store-size SIZE      the store may grow to this (1G)\n"
	"  --store-memory SIZE    memory of the storage VM (256M)\n"
	"  --store-wait HOW       how calls to the store wait: auto, poll, hand-off or wake "
	"(auto)\n"
	"  --store-deadline TIME  a call that takes longer ends the storage VM, which is started "
	"again (10s)\n"
	"  --drain TIME           patience with running requests at SIGTERM (10s)\n"
	"  --quiet                print nothing about start and end\n";

enum {
	OPT_LISTEN = MF_OPT_VERB,
	OPT_HEALTH,
	OPT_CONTROL,
	OPT_VMS,
	OPT_WORKERS,
	OPT_QUEUE,
	OPT_CONNECTIONS,
	OPT_DEADLINE,
	OPT_REQUEST_MEMORY,
	OPT_RESET,
	OPT_AUDIT,
	OPT_BOOT_DEADLINE,
	OPT_DRAIN,
	OPT_QUIET,
	OPT_STORE,
	OPT_STORE_PROGRAM,
	OPT_STORE_SIZE,
	OPT_STORE_MEMORY,
	OPT_STORE_WAIT,
	OPT_STORE_DEADLINE,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"listen", required_argument, NULL, OPT_LISTEN},
	{"health", required_argument, NULL, OPT_HEALTH},
	{"control", required_argument, NULL, OPT_CONTROL},
	{"vms", required_argument, NULL, OPT_VMS},
	{"workers", required_argument, NULL, OPT_WORKERS},
	{"queue", required_argument, NULL, OPT_QUEUE},
	{"connections", required_argument, NULL, OPT_CONNECTIONS},
	{"deadline", required_argument, NULL, OPT_DEADLINE},
	{"request-memory", required_argument, NULL, OPT_REQUEST_MEMORY},
	{"reset", required_argument, NULL, OPT_RESET},
	{"audit", no_argument, NULL, OPT_AUDIT},
	{"boot-deadline", required_argument, NULL, OPT_BOOT_DEADLINE},
	{"drain", required_argument, NULL, OPT_DRAIN},
	{"quiet", no_argument, NULL, OPT_QUIET},
	{"store", required_argument, NULL, OPT_STORE},
	{"store-program", required_argument, NULL, OPT_STORE_PROGRAM},
	{"store-size", required_argument, NULL, OPT_STORE_SIZE},
	{"store-memory", required_argument, NULL, OPT_STORE_MEMORY},
	{"store-wait", required_argument, NULL, OPT_STORE_WAIT},
	{"store-deadline", required_argument, NULL, OPT_STORE_DEADLINE},
	{"help", no_argument, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

static int parse_uint(const char *option, uint64_t max, unsigned int *value, struct mf_error *err)
{
	uint64_t number;
	int ret = mf_parse_count(option, optarg, max, &number, err);

	if (!ret)
		*value = (unsigned int)number;
	return ret;
}

static int parse_request_memory(struct mf_serve_options *options, struct mf_error *err)
{
	uint64_t bytes;
	int ret = mf_parse_size("request-memory", optarg, &bytes, err);

	if (!ret)
		options->pool.private_pages = (bytes + MF_PAGE - 1) / MF_PAGE;
	return ret;
}

static int parse_reset(struct mf_serve_options *options, struct mf_error *err)
{
	if (!strcmp(optarg, "request"))
		options->pool.end = MF_END_RESET;
	else if (!strcmp(optarg, "never"))
		options->pool.end = MF_END_KEEP;
	else
		return mf_error_set(err, -1, "--reset %s is neither request nor never", optarg);
	return 0;
}

static int parse_store(int option, struct mf_tenant_store_options *store, struct mf_error *err)
{
	switch (option) {
	case OPT_STORE:
		store->folder = optarg;
		return 0;
	case OPT_STORE_PROGRAM:
		store->program = optarg;
		return 0;
	case OPT_STORE_SIZE:
		return mf_parse_size("store-size", optarg, &store->size_bytes, err);
	case OPT_STORE_MEMORY:
		return mf_parse_size("store-memory", optarg, &store->memory_bytes, err);
	case OPT_STORE_WAIT:
		if (mf_store_wait_parse(optarg, &store->wait))
			return 0;
		return mf_error_set(err, -1,
				    "--store-wait %s is none of auto, poll, hand-off and wake",
				    optarg);
	case OPT_STORE_DEADLINE:
		return mf_parse_duration("store-deadline", optarg, &store->call_limit_ns, err);
	default:
		return 1;
	}
}

static int parse_own(int option, struct mf_serve_options *options, struct mf_error *err)
{
	switch (option) {
	case OPT_LISTEN:
		options->listen = optarg;
		return 0;
	case OPT_HEALTH:
		options->health = optarg;
		return 0;
	case OPT_CONTROL:
		return mf_parse_control(optarg, &options->control, err);
	case OPT_VMS:
		return parse_uint("vms", 65536, &options->pool.vms, err);
	case OPT_WORKERS:
		return parse_uint("workers", 64, &options->workers, err);
	case OPT_QUEUE:
		return parse_uint("queue", 1000000, &options->pool.queue, err);
	case OPT_CONNECTIONS:
		return parse_uint("connections", 65536, &options->connections, err);
	case OPT_DEADLINE:
		return mf_parse_duration("deadline", optarg, &options->pool.deadline_ns, err);
	case OPT_REQUEST_MEMORY:
		return parse_request_memory(options, err);
	case OPT_RESET:
		return parse_reset(options, err);
	case OPT_AUDIT:
		options->pool.audit = true;
		return 0;
	case OPT_DRAIN:
		return mf_parse_duration("drain", optarg, &options->drain_ns, err);
	case OPT_QUIET:
		options->quiet = true;
		return 0;
	default:
		return parse_store(option, &options->store, err);
	}
}

static int parse(int argc, char **argv, struct mf_cli_program *program,
		 struct mf_serve_options *options, bool *help_wanted, struct mf_error *err)
{
	struct option list[MF_OPTIONS_MAX];
	int option;
	int ret = 0;

	mf_cli_program_list(long_options, list);
	while (!ret && (option = getopt_long(argc, argv, "+:h", list, NULL)) != -1) {
		if (option == OPT_HELP || option == 'h') {
			*help_wanted = true;
			return 0;
		}
		if (option == ':' || option == '?')
			return mf_cli_bad_option("serve", option, argv, err);
		if (option == OPT_BOOT_DEADLINE)
			ret = mf_parse_duration("boot-deadline", optarg,
						&program->options.boot_deadline_ns, err);
		else
			ret = parse_own(option, options, err);
		if (ret == 1)
			ret = mf_cli_program_option(program, option, optarg, err);
	}
	if (!ret && !options->listen)
		ret = mf_error_set(
			err, -1, "no address; write mayfly serve --listen 127.0.0.1:8080 -- PROG");
	if (!ret && optind >= argc)
		ret = mf_error_set(err, -1,
				   "no program given; write mayfly serve --listen ADDR -- PROG");
	if (!ret && options->store.program && !options->store.folder)
		ret = mf_error_set(err, -1, "--store-program needs a folder: --store DIR");
	program->options.argv = argv + optind;
	return ret ? ret : mf_cli_program_complete(program, environ, err);
}

int mf_verb_serve(int argc, char **argv)
{
	struct mf_cli_program program;
	struct mf_serve_options options = {
		.pool = {.vms = 16,
			 .deadline_ns = 10000000000ull,
			 .private_pages = (64u << 20) / MF_PAGE},
		.store = {.size_bytes = 1ull << 30,
			  .memory_bytes = 256ull << 20,
			  .call_limit_ns = 10000000000ull},
		.connections = 512,
		.version = MF_VERSION,
		.drain_ns = 10000000000ull,
	};
	struct mf_error err = {0};
	bool help_wanted = false;
	int status = MF_STATUS_FAILED;

	mf_cli_program_init(&program);
	if (parse(argc, argv, &program, &options, &help_wanted, &err)) {
		mf_cli_fail("serve", &err);
	} else if (help_wanted) {
		fputs(help, stdout);
		mf_cli_program_help(stdout);
		status = 0;
	} else {
		options.program = program.options;
		options.store.boot_limit_ns = program.options.boot_deadline_ns;
		options.store.quiet = options.quiet;
		if (!options.pool.queue)
			options.pool.queue = 4 * options.pool.vms;
		status = mf_serve(&options, &err);
		if (err.text[0])
			mf_cli_fail("serve", &err);
	}
	mf_cli_program_finish(&program);
	return status;
}
