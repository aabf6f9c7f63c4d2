/* SPDX-License-Identifier: MIT */
#include "config/option.h"
#include "config/take.h"

#include <limits.h>
#include <string.h>

#define FIELD(member) .field = offsetof(struct mf_values, member)

#define PROGRAM (MF_IN_RUN | MF_IN_SERVE | MF_IN_IMAGE | MF_IN_TENANT)
#define SERVE   (MF_IN_SERVE | MF_IN_TENANT)

#define DAY_NS 86400000000000ull

static const char *const reset_words[] = {
	[MF_END_RESET] = "request", [MF_END_KEEP] = "never", NULL};
static const char *const wait_words[] = {[MF_STORE_AUTO] = "auto",
					 [MF_STORE_POLL] = "poll",
					 [MF_STORE_HAND_OFF] = "hand-off",
					 [MF_STORE_WAKE] = "wake",
					 NULL};
static const char *const log_words[] = {"text", "json", NULL};

const struct mf_option mf_options[] = {
	/* mayfly run */
	{.name = "deadline",
	 .value = "TIME",
	 .help = "end it after this time (none)",
	 .places = MF_IN_RUN,
	 .take = mf_take_duration,
	 FIELD(run_deadline_ns)},
	/* mayfly image build */
	{.name = "output-file",
	 .letter = 'o',
	 .value = "FILE",
	 .help = "where the image goes; what is there is replaced",
	 .places = MF_IN_IMAGE,
	 .take = mf_take_text,
	 FIELD(image_path)},
	{.name = "warmup",
	 .value = "WHAT",
	 .help = "METHOD:PATH[*N], or a file of recorded HTTP/1 requests: answered before it is "
		 "frozen; may be repeated",
	 .places = MF_IN_IMAGE,
	 .take = mf_take_warmup,
	 .list = true},
	{.name = "boot-deadline",
	 .value = "TIME",
	 .initial = "60s",
	 .help = "for reaching its ready point",
	 .places = MF_IN_IMAGE,
	 .take = mf_take_duration,
	 FIELD(program.boot_deadline_ns)},
	{.name = "store",
	 .help = "it will be served with --store DIR, and only so",
	 .more = "Its program has a place for a channel then. While it is built and warmed up "
		 "there is no store.",
	 .places = MF_IN_IMAGE,
	 .take = mf_take_flag,
	 FIELD(program.stores)},
	/* mayfly serve, and what a tenant may say of it */
	{.name = "listen",
	 .value = "ADDR",
	 .help = "HOST:PORT or unix:PATH",
	 .more = "An IPv6 address stands in brackets. Port 0 takes a free one. A Unix socket is "
		 "best given a folder of its own. Required.",
	 .places = MF_IN_SERVE,
	 .take = mf_take_text,
	 FIELD(serve.listen)},
	{.name = "health",
	 .value = "ADDR",
	 .help = "answer /healthz and /readyz there",
	 .more = "/healthz is 200 while the process is alive; /readyz is 200, or 503 while it is "
		 "ending.",
	 .places = MF_IN_SERVE,
	 .take = mf_take_text,
	 FIELD(serve.health)},
	{.name = "control",
	 .value = "unix:PATH",
	 .help = "take commands there: see mayfly ctl",
	 .more = "The socket is its owner's alone (mode 0600): who can open it may end the engine.",
	 .places = MF_IN_SERVE,
	 .take = mf_take_socket,
	 FIELD(serve.control)},
	{.name = "vms",
	 .value = "N",
	 .initial = "16",
	 .help = "request VMs",
	 .more = "For all workers together.",
	 .places = SERVE,
	 .take = mf_take_uint,
	 FIELD(serve.pool.vms),
	 .max = 65536},
	{.name = "workers",
	 .value = "N",
	 .help = "threads that run them (one a core)",
	 .more = "Never more than VMs.",
	 .places = SERVE,
	 .take = mf_take_uint,
	 FIELD(serve.workers),
	 .max = 64},
	{.name = "queue",
	 .value = "N",
	 .help = "requests that may wait for a VM; more get 503 (4 a VM)",
	 .more = "For all workers together.",
	 .places = SERVE,
	 .take = mf_take_uint,
	 FIELD(serve.pool.queue),
	 .max = 1000000},
	{.name = "connections",
	 .value = "N",
	 .initial = "512",
	 .help = "clients at once, per worker",
	 .places = SERVE,
	 .take = mf_take_uint,
	 FIELD(serve.connections),
	 .max = 65536},
	{.name = "deadline",
	 .value = "TIME",
	 .initial = "10s",
	 .help = "a request's time, waiting included; then 504",
	 .places = SERVE,
	 .take = mf_take_duration,
	 FIELD(serve.pool.deadline_ns)},
	{.name = "request-memory",
	 .value = "SIZE",
	 .initial = "64M",
	 .help = "memory that one request may write to; then 502",
	 .places = SERVE,
	 .take = mf_take_pages,
	 FIELD(serve.pool.private_pages)},
	{.name = "reset",
	 .value = "request|never",
	 .initial = "request",
	 .help = "put the VM back after every request, or let state pile up",
	 .places = SERVE,
	 .take = mf_take_word,
	 .words = reset_words,
	 FIELD(serve.pool.end)},
	{.name = "audit",
	 .help = "compare every reset VM with its image; discard it on a difference",
	 .more = "Byte by byte.",
	 .places = SERVE,
	 .take = mf_take_flag,
	 FIELD(serve.pool.audit)},
	{.name = "boot-deadline",
	 .value = "TIME",
	 .initial = "30s",
	 .help = "time to get ready",
	 .places = SERVE,
	 .take = mf_take_duration,
	 .fixed = "its program was ready when it was built",
	 FIELD(program.boot_deadline_ns)},
	{.name = "store",
	 .value = "DIR",
	 .help = "keep what mf_store_put() of <mayfly/store.h> writes, in this folder",
	 .more = "A storage VM runs beside the request VMs for it. The folder is made if it is not "
		 "there, and belongs to one server at a time.",
	 .places = SERVE,
	 .take = mf_take_text,
	 FIELD(serve.store.folder)},
	{.name = "store-program",
	 .value = "PROG",
	 .help = "the storage program, run in the storage VM (Mayfly's own, a key-value store)",
	 .more = "See <mayfly/storage.h>.",
	 .places = SERVE,
	 .take = mf_take_text,
	 FIELD(serve.store.program)},
	{.name = "store-size",
	 .value = "SIZE",
	 .initial = "1G",
	 .help = "the store may grow to this",
	 .places = SERVE,
	 .take = mf_take_size,
	 FIELD(serve.store.size_bytes)},
	{.name = "store-memory",
	 .value = "SIZE",
	 .initial = "256M",
	 .help = "memory of the storage VM",
	 .places = SERVE,
	 .take = mf_take_size,
	 FIELD(serve.store.memory_bytes)},
	{.name = "store-wait",
	 .value = "HOW",
	 .initial = "auto",
	 .help = "how calls to the store wait: auto, poll, hand-off or wake",
	 .more = "hand-off: its worker runs the storage VM; poll: that looks for calls on a core "
		 "of its own; wake: a thread is woken for each call; auto: what was measured to be "
		 "faster.",
	 .places = SERVE,
	 .take = mf_take_word,
	 .words = wait_words,
	 FIELD(serve.store.wait)},
	{.name = "store-deadline",
	 .value = "TIME",
	 .initial = "10s",
	 .help = "a call that takes longer ends the storage VM, which is started again",
	 .places = SERVE,
	 .take = mf_take_duration,
	 FIELD(serve.store.call_limit_ns)},
	{.name = "drain",
	 .value = "TIME",
	 .initial = "10s",
	 .help = "patience with running requests at SIGTERM",
	 .places = SERVE,
	 .take = mf_take_duration,
	 FIELD(serve.drain_ns)},
	{.name = "quiet",
	 .help = "print nothing about start and end",
	 .places = SERVE,
	 .take = mf_take_flag,
	 FIELD(serve.quiet)},
	/* a tenant, beside that */
	{.name = "program",
	 .value = "PROG ARGS",
	 .help = "what is run: a program or an image file, and its arguments",
	 .more = "Required.",
	 .places = MF_IN_TENANT,
	 .take = mf_take_texts,
	 FIELD(tenant.program),
	 .list = true},
	{.name = "host",
	 .value = "NAMES",
	 .help = "host names on the shared addresses that are this tenant's",
	 .more = "Without their port. A tenant without a host has all those that no other has.",
	 .places = MF_IN_TENANT,
	 .take = mf_take_host,
	 FIELD(tenant.hosts),
	 .list = true},
	{.name = "path",
	 .value = "PREFIXES",
	 .help = "beginnings of paths on the shared addresses that are this tenant's (/)",
	 .more = "/shop has /shop, /shop/cart and /shop?a=b, not /shopping; the longest that fits "
		 "counts. Compared as they stand, byte by byte.",
	 .places = MF_IN_TENANT,
	 .take = mf_take_prefix,
	 FIELD(tenant.paths),
	 .list = true},
	{.name = "listen",
	 .value = "ADDRS",
	 .help = "addresses of its own: all that comes there is this tenant's",
	 .places = MF_IN_TENANT,
	 .take = mf_take_texts,
	 FIELD(tenant.listen),
	 .list = true},
	{.name = "cpu-share",
	 .value = "N",
	 .initial = "100",
	 .help = "its share of the processors when they are busy, beside the others' shares",
	 .more = "By its cgroup where there is one, else by its priority (nice).",
	 .places = MF_IN_TENANT,
	 .take = mf_take_count,
	 FIELD(tenant.cpu_share),
	 .min = 1,
	 .max = 10000},
	{.name = "memory-limit",
	 .value = "SIZE",
	 .help = "what all its VMs may have together, at the worst (no limit)",
	 .more = "Refused when memory, and vms times request-memory, can come to more. It is its "
		 "cgroup's limit, too, where there is one.",
	 .places = MF_IN_TENANT,
	 .take = mf_take_size,
	 FIELD(tenant.memory_limit_bytes)},
	/* limits and permissions of programs */
	{.name = "memory",
	 .value = "SIZE",
	 .initial = "256M",
	 .help = "memory the program may have",
	 .more = "1M to 64G.",
	 .places = PROGRAM,
	 .take = mf_take_size,
	 .fixed = "its memory has the size that it was built with",
	 FIELD(program.memory_bytes),
	 .min = 1ull << 20,
	 .max = 64ull << 30},
	{.name = "output",
	 .value = "SIZE",
	 .help = "what it may print (no limit)",
	 .more = "With serve: in one request.",
	 .places = PROGRAM,
	 .take = mf_take_size,
	 FIELD(program.output_bytes)},
	{.name = "cpu-time",
	 .value = "TIME",
	 .help = "CPU time it, or a request, may use; waiting is none (no limit)",
	 .more = "At its end the program is killed (status 137), as by RLIMIT_CPU; a request is "
		 "answered with 504.",
	 .places = PROGRAM,
	 .take = mf_take_duration,
	 FIELD(program.cpu_ns)},
	{.name = "files",
	 .value = "N",
	 .help = "descriptors it may have open (1024)",
	 .places = PROGRAM,
	 .take = mf_take_count,
	 FIELD(program.files),
	 .min = 3,
	 .max = 4096},
	{.name = "pids",
	 .value = "N",
	 .help = "threads it may have (1024)",
	 .more = "One more fails with EAGAIN.",
	 .places = PROGRAM,
	 .take = mf_take_count,
	 FIELD(program.threads),
	 .min = 1,
	 .max = MF_THREADS},
	{.name = "allow-read",
	 .value = "[=PATHS]",
	 .help = "files and folders it may read; alone: all",
	 .more = "Separated by commas. May be repeated.",
	 .places = PROGRAM,
	 .take = mf_take_paths,
	 FIELD(program.read),
	 .list = true},
	{.name = "allow-write",
	 .value = "[=PATHS]",
	 .help = "files and folders it may change; alone: all",
	 .more = "Writing does not include reading.",
	 .places = PROGRAM,
	 .take = mf_take_paths,
	 FIELD(program.write),
	 .list = true},
	{.name = "volume",
	 .value = "HOST:GUEST[:r|rw]",
	 .help = "show it the folder HOST as GUEST; may be repeated",
	 .more = "GUEST is an absolute path that need not exist; to be read (r, the default) or "
		 "also changed (rw). It hides what the host has at and beneath that name, also "
		 "from what follows links. Links in it are followed by the program's names and "
		 "lead to nothing that is not allowed. A volume at / is all that the program sees, "
		 "and where PROG, interpreters and libraries come from.",
	 .places = PROGRAM,
	 .take = mf_take_volume,
	 .list = true},
	{.name = "allow-env",
	 .value = "[=NAMES]",
	 .help = "variables of this environment it gets; alone: all",
	 .more = "Separated by commas, BEGIN* for all that begin so. Nothing is inherited "
		 "otherwise.",
	 .places = PROGRAM,
	 .take = mf_take_env_names,
	 .fixed = "its program has its environment already",
	 .list = true},
	{.name = "env",
	 .value = "NAME=VALUE",
	 .help = "a variable of its own; may be repeated",
	 .more = "It replaces an inherited one.",
	 .places = PROGRAM,
	 .take = mf_take_env,
	 .fixed = "its program has its environment already",
	 .list = true},
	{.name = "allow-net",
	 .value = "[=HOSTS]",
	 .help = "addresses it may connect to and listen on; alone: all",
	 .more = "Both allow-connect and allow-listen.",
	 .places = PROGRAM,
	 .take = mf_take_rules,
	 FIELD(program.net),
	 .list = true},
	{.name = "allow-connect",
	 .value = "[=HOSTS]",
	 .help = "addresses it may connect to; alone: all",
	 .more = "Separated by commas: HOST, HOST:PORT, a range HOST:LOW-HIGH, *:PORT, a network "
		 "like 10.0.0.0/8 or [fd00::]/8, unix:PATH (with a slash at its end: all beneath), "
		 "unix:@NAME for an abstract socket, unix:* for all Unix sockets. Without a value: "
		 "all of IPv4 and IPv6. Names are resolved once, at the start; a program that "
		 "resolves names itself needs its name server's address, too.",
	 .places = PROGRAM,
	 .take = mf_take_rules,
	 FIELD(program.connect),
	 .list = true},
	{.name = "allow-listen",
	 .value = "[=HOSTS]",
	 .help = "addresses it may listen on; alone: all",
	 .more = "Likewise; 0.0.0.0 and [::] have to be named, or * be.",
	 .places = PROGRAM,
	 .take = mf_take_rules,
	 FIELD(program.listen),
	 .list = true},
	{.name = "allow-all",
	 .help = "all of the above",
	 .more = "The files, the environment, the network and Unix sockets.",
	 .places = PROGRAM,
	 .take = mf_take_all},
	{.name = "explain",
	 .help = "say of each refused access which option would allow it",
	 .more = "What was told already is counted, and the counts are printed at the end.",
	 .places = PROGRAM,
	 .take = mf_take_flag,
	 FIELD(program.explain)},
	{.name = "cwd",
	 .value = "DIR",
	 .help = "its working directory (this one if it may be read, else /)",
	 .more = "An absolute path.",
	 .places = PROGRAM,
	 .take = mf_take_private,
	 .fixed = "its program stands in its working directory already",
	 FIELD(program.cwd)},
	{.name = "trust-image",
	 .help = "nobody writes to the image file PROG: map it, do not copy it",
	 .places = PROGRAM,
	 .take = mf_take_flag,
	 FIELD(program.trust_image)},
	{.name = "trace-syscalls",
	 .help = "print its system calls on stderr, as strace would",
	 .places = PROGRAM,
	 .take = mf_take_flag,
	 FIELD(program.trace)},
	/* mayfly ctl */
	{.name = "control",
	 .value = "unix:PATH",
	 .help = "the engine's control socket",
	 .more = "Required.",
	 .places = MF_IN_CTL,
	 .take = mf_take_socket,
	 FIELD(ctl.control)},
	{.name = "timeout",
	 .value = "TIME",
	 .initial = "5s",
	 .help = "how long to wait for its answer",
	 .places = MF_IN_CTL,
	 .take = mf_take_duration,
	 FIELD(ctl.timeout_ns),
	 .max = DAY_NS},
	{.name = "json",
	 .help = "print the answer as JSON",
	 .places = MF_IN_CTL,
	 .take = mf_take_flag,
	 FIELD(ctl.json)},
	/* mayfly stat */
	{.name = "pid",
	 .value = "N",
	 .help = "measure this process",
	 .more = "To its end or until SIGINT or SIGTERM.",
	 .places = MF_IN_STAT,
	 .take = mf_take_count,
	 FIELD(stat.pid),
	 .max = INT_MAX},
	{.name = "duration",
	 .value = "TIME",
	 .help = "for this long (with --pid; until its end)",
	 .places = MF_IN_STAT,
	 .take = mf_take_duration,
	 FIELD(stat.duration_ns)},
	{.name = "json",
	 .help = "print one JSON object",
	 .places = MF_IN_STAT,
	 .take = mf_take_flag,
	 FIELD(stat.json)},
	{.name = "output",
	 .value = "FILE",
	 .help = "print into this file (standard error)",
	 .places = MF_IN_STAT,
	 .take = mf_take_text,
	 FIELD(stat.output)},
	/* mayfly config */
	{.name = "json",
	 .help = "print one JSON object",
	 .places = MF_IN_CONFIG,
	 .take = mf_take_flag,
	 FIELD(config_json)},
	/* the top of the configuration file */
	{.name = "listen",
	 .value = "ADDRS",
	 .help = "addresses that tenants share, told apart by host and path",
	 .more = "HOST:PORT, [IPV6]:PORT or unix:PATH; or systemd, for all sockets that it gives.",
	 .places = MF_IN_FILE,
	 .take = mf_take_texts,
	 FIELD(daemon.listen),
	 .list = true},
	{.name = "control",
	 .value = "unix:PATH",
	 .help = "take commands there: see mayfly ctl",
	 .more = "The socket is its owner's alone (mode 0600). A second one beside it, "
		 "PATH.events, "
		 "tells what happens.",
	 .places = MF_IN_FILE,
	 .take = mf_take_socket,
	 FIELD(daemon.control)},
	{.name = "runtime",
	 .value = "DIR",
	 .help = "folder for sockets of its own (a new one in /run or /tmp)",
	 .more = "Made if it is not there, its owner's alone.",
	 .places = MF_IN_FILE,
	 .take = mf_take_private,
	 FIELD(daemon.runtime)},
	{.name = "engine",
	 .value = "PROG",
	 .help = "the program that serves a tenant (mayfly, beside mayflyd)",
	 .places = MF_IN_FILE,
	 .take = mf_take_text,
	 FIELD(daemon.engine)},
	{.name = "log",
	 .value = "text|json",
	 .initial = "text",
	 .help = "form of what it prints, a line an event",
	 .places = MF_IN_FILE,
	 .take = mf_take_second,
	 .words = log_words,
	 FIELD(daemon.log_json)},
	{.name = "cgroup",
	 .value = "DIRS",
	 .help = "cgroups that were delegated to it; each tenant gets one in them (none)",
	 .more = "Version 2: one folder; version 1: one of each controller. Without any, cpu-share "
		 "is a priority (nice), and memory-limit what the engines hold to by themselves.",
	 .places = MF_IN_FILE,
	 .take = mf_take_texts,
	 FIELD(daemon.cgroups),
	 .list = true},
	{.name = "head-timeout",
	 .value = "TIME",
	 .initial = "10s",
	 .help = "for the head of a connection's first request; then 408",
	 .places = MF_IN_FILE,
	 .take = mf_take_duration,
	 FIELD(daemon.head_timeout_ns),
	 .max = DAY_NS},
	{.name = "heads",
	 .value = "N",
	 .initial = "1024",
	 .help = "clients whose first head may be on its way; one more ends the slowest",
	 .places = MF_IN_FILE,
	 .take = mf_take_count,
	 FIELD(daemon.heads),
	 .min = 1,
	 .max = 65536},
	{.name = "restart-min",
	 .value = "TIME",
	 .initial = "100ms",
	 .help = "wait before an engine that died is started again; doubled each time",
	 .places = MF_IN_FILE,
	 .take = mf_take_duration,
	 FIELD(daemon.restart_min_ns),
	 .max = DAY_NS},
	{.name = "restart-max",
	 .value = "TIME",
	 .initial = "30s",
	 .help = "and never longer than this",
	 .more = "One that served for as long as this is waited for from the beginning.",
	 .places = MF_IN_FILE,
	 .take = mf_take_duration,
	 FIELD(daemon.restart_max_ns),
	 .max = DAY_NS},
	{.name = "help",
	 .letter = 'h',
	 .help = "say this",
	 .places = MF_IN_RUN | MF_IN_SERVE | MF_IN_IMAGE | MF_IN_CTL | MF_IN_STAT | MF_IN_CONFIG |
		   MF_IN_DAEMON,
	 .take = mf_take_flag,
	 FIELD(help)},
	{.name = NULL},
};

const struct mf_option *mf_option_find(const char *name, unsigned int place)
{
	const struct mf_option *option;

	for (option = mf_options; option->name; option++)
		if ((option->places & place) && !strcmp(option->name, name))
			return option;
	return NULL;
}

bool mf_option_may_miss(const struct mf_option *option)
{
	return option->value && *option->value == '[';
}

#define NAME_MAX_COMPARED 32u

static unsigned int least(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Letters to insert, delete or replace (Levenshtein's distance). */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_COMPARED + 1];
	size_t rows = strlen(a);
	size_t columns = strlen(b);
	size_t i;
	size_t j;

	if (rows > NAME_MAX_COMPARED || columns > NAME_MAX_COMPARED)
		return UINT_MAX;
	for (j = 0; j <= columns; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= rows; i++) {
		unsigned int corner = row[0];

		row[0] = (unsigned int)i;
		for (j = 1; j <= columns; j++) {
			unsigned int above = row[j];

			row[j] = least(row[j - 1] + 1, above + 1, corner + (a[i - 1] != b[j - 1]));
			corner = above;
		}
	}
	return row[columns];
}

const char *mf_option_suggest(const char *name, unsigned int place)
{
	const struct mf_option *option;
	const char *best = NULL;
	unsigned int least_so_far = 4;

	for (option = mf_options; option->name; option++) {
		unsigned int far;

		if (!(option->places & place) || (option->places & MF_UNLISTED))
			continue;
		far = distance(name, option->name);
		if (far < least_so_far && far < strlen(name)) {
			least_so_far = far;
			best = option->name;
		}
	}
	return best;
}
