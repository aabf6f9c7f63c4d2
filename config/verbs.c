/* SPDX-License-Identifier: MIT */
#include "config/parse.h"

#include <string.h>

const struct mf_verb mf_verb_texts[] = {
	{.name = "run",
	 .place = MF_IN_RUN,
	 .usage = "mayfly run [OPTIONS] -- PROG [ARGS...]",
	 .intro = "Run a Linux program in a virtual machine of its own, with this terminal's "
		  "standard\n"
		  "streams. It reaches no file, no network and no environment but what is allowed "
		  "here,\n"
		  "and what it needs to start. PROG is a path, or a name that is looked for in "
		  "PATH.\n"
		  "One that waits for requests (mf_wait() of <mayfly/sdk.h>) gets one: standard "
		  "input.\n",
	 .outro = "Exit status: the program's; 128+N when it died of signal N; 124 at the "
		  "deadline; 125\n"
		  "when Mayfly itself failed.\n"},
	{.name = "serve",
	 .place = MF_IN_SERVE,
	 .usage = "mayfly serve --listen ADDR [OPTIONS] -- PROG [ARGS...]",
	 .intro = "Start PROG once, freeze it where it first waits for a request (mf_wait() of "
		  "<mayfly/sdk.h>), and\n"
		  "give every HTTP request a virtual machine of its own that starts right there. "
		  "After the answer\n"
		  "the machine is put back; nothing of a request is left for the next.\n"},
	{.name = "image build",
	 .place = MF_IN_IMAGE,
	 .usage = "mayfly image build -o FILE [OPTIONS] -- PROG [ARGS...]\n"
		  "       mayfly image info FILE [--json]\n"
		  "       mayfly image verify FILE",
	 .intro = "build   run a program to the point where it waits for a request, warm it up, "
		  "and\n"
		  "        write it down; `mayfly serve` and `run` take the file in PROG's place\n"
		  "info    say what is in a file, and whether this machine can run it\n"
		  "verify  read all of it and compare it with its digest\n",
	 .outro = "Exit status: 0; 1 when a file is not fit to run here; 125 when something "
		  "failed.\n",
	 .words = "build info verify"},
	{.name = "ctl",
	 .place = MF_IN_CTL,
	 .anywhere = true,
	 .usage = "mayfly ctl --control unix:PATH [OPTIONS] status|drain|stop\n"
		  "       mayfly ctl --control unix:PATH [OPTIONS] list|events|stop\n"
		  "       mayfly ctl --control unix:PATH [OPTIONS] status|drain|reload|remove "
		  "TENANT\n"
		  "       mayfly ctl --control unix:PATH [OPTIONS] add FILE | reload | limits "
		  "TENANT "
		  "KEY=VALUE...",
	 .intro =
		 "Talk to an engine that was started with mayfly serve --control unix:PATH, or to "
		 "a mayflyd whose\n"
		 "configuration says control = \"unix:PATH\".\n"
		 "\n"
		 "  status [TENANT]        say how an engine is: VMs, queue, requests by outcome, "
		 "connections\n"
		 "  drain [TENANT]         finish what runs, take nothing new, then end\n"
		 "  stop                   end now; what runs is dropped (mayflyd: ends in order)\n"
		 "  list                   say how the tenants are\n"
		 "  add FILE               more tenants, until they are removed or mayflyd ends\n"
		 "  remove TENANT          finish what runs, and forget it\n"
		 "  reload [TENANT]        read the configuration again; of a tenant: replace its "
		 "engine\n"
		 "  limits TENANT KEY=...  other values, until its part of the file is changed\n"
		 "  events                 say what happens, as it happens\n",
	 .outro = "Exit status: 0; 1 when it was refused; 125 when there is none, or it does "
		  "not answer.\n",
	 .words = "status drain stop list add remove reload limits events"},
	{.name = "mayflyd",
	 .place = MF_IN_DAEMON,
	 .usage = "mayflyd --config FILE [--check]",
	 .intro = "Serve many tenants: one confined engine process each, behind one router. SIGHUP "
		  "reads the\n"
		  "configuration again; SIGTERM ends it in order, a second one at once.\n",
	 .outro = "Exit status: 0; 1 when the configuration is not good; 125 when something "
		  "failed.\n"},
	{.name = "stat",
	 .place = MF_IN_STAT,
	 .usage = "mayfly stat [OPTIONS] -- COMMAND [ARGS...]\n"
		  "       mayfly stat [OPTIONS] --pid N",
	 .intro = "Measure how long KVM_RUN takes, by the reason why it returns, and how long "
		  "resets take: of a command\n"
		  "and all processes that it makes, to its end; or of a process that runs, to its "
		  "end or ^C. Any process\n"
		  "that uses KVM can be measured, resets only of Mayfly's. What cannot be measured "
		  "here is said.\n",
	 .outro = "Times need BPF: root, or CAP_BPF and CAP_PERFMON. Without it, what engine "
		  "processes of this user count\n"
		  "by themselves is shown.\n"
		  "\n"
		  "Exit status: the command's; 128+N when it died of signal N; 127 when it is not "
		  "found, 126 when it cannot\n"
		  "be run; 125 when Mayfly itself failed. With --pid: 0.\n"},
	{.name = "top",
	 .place = MF_IN_TOP,
	 .usage = "mayfly top [OPTIONS] --control unix:PATH",
	 .intro = "Show live what tenants do, how long their requests take, and why: of a mayflyd, "
		  "or "
		  "of one mayfly serve.\n"
		  "? shows the keys, and what the columns are. Nothing but the engines' own "
		  "counters "
		  "is needed.\n",
	 .outro = "Exit status: 0; 125 when nobody answered.\n"},
	{.name = "config",
	 .place = MF_IN_CONFIG,
	 .anywhere = true,
	 .usage = "mayfly config check FILE\n"
		  "       mayfly config show [--json] [FILE]",
	 .intro = "check   read a configuration file of mayflyd, and say what is wrong with it\n"
		  "show    say what holds: each value, and where it comes from; without FILE, the "
		  "defaults\n",
	 .outro = "Exit status: 0; 1 when the file is not good; 125 when it cannot be read.\n",
	 .words = "check show"},
	{.name = "store",
	 .place = MF_IN_STORE,
	 .anywhere = true,
	 .usage = "mayfly store stat|check|compact|shell DIR [OPTIONS]\n"
		  "       mayfly store backup DIR FILE|- [OPTIONS]\n"
		  "       mayfly store restore FILE|- DIR [OPTIONS]\n"
		  "       mayfly store dump|load DIR [FILE|-] [OPTIONS]",
	 .intro =
		 "Look after a store, the folder of mayfly serve --store: through the engine that "
		 "serves it, when there is\n"
		 "one, else by itself.\n"
		 "\n"
		 "  stat     its limits, its tables, and figures\n"
		 "  check    read every page and every record, and say what is wrong\n"
		 "  backup   write down what is in it at this moment, while it is written\n"
		 "  restore  make a store from that: all of it or nothing\n"
		 "  compact  give free pages back to the disk; its storage program begins anew for "
		 "that\n"
		 "  dump     write its records as text, one a line\n"
		 "  load     put records of such lines\n"
		 "  shell    get, put, delete, scan, incr, expire: a command a line; help lists "
		 "them\n",
	 .outro = "Exit status: 0; of check: 1 when something is wrong with the store, 2 when that "
		  "could not be seen; of shell:\n"
		  "1 when a key is not there; 125 when something failed.\n",
	 .words = "stat check backup restore compact dump load shell"},
	{.name = "doctor",
	 .place = MF_IN_DOCTOR,
	 .usage = "mayfly doctor [--json]",
	 .intro = "Say what this host's KVM, kernel and limits can do, and how to mend what they "
		  "cannot.\n",
	 .outro = "Exit status: 0; 125 when KVM cannot be used.\n"},
	{.name = "bench host",
	 .place = MF_IN_BENCH_HOST,
	 .usage = "mayfly bench host [OPTIONS]",
	 .intro = "Measure in about a minute what this machine takes for what an engine does: a "
		  "user exit, a system call\n"
		  "inside of a VM, a page fault, a fork, a reset, a call to a storage VM in each "
		  "way of waiting, and beside\n"
		  "them what its kernel, memory and disk take (of the folder TMPDIR, or /tmp). ^C "
		  "ends it with what there is.\n",
	 .outro = "Exit status: 0; 1 when a case could not be measured; 130 after ^C; 125 when "
		  "nothing could be.\n",
	 .words = "host compare"},
	{.name = "bench compare",
	 .place = MF_IN_BENCH_COMPARE,
	 .anywhere = true,
	 .usage = "mayfly bench compare A B [OPTIONS]",
	 .intro = "Is B better than A? Both are files of mayfly bench host --json, or of ./dev "
		  "bench --json, of the same\n"
		  "machine. Medians and p99 are compared with 95 % intervals by the bootstrap; "
		  "what varies from run to run\n"
		  "they do not know: repeat a run before you believe a small difference.\n",
	 .outro = "Exit status: 0; 1 when something is worse; 125 when they are not comparable, "
		  "or a file is not good.\n"},
	{.name = NULL},
};

const struct mf_verb *mf_verb_find(const char *name)
{
	const struct mf_verb *verb = mf_verb_texts;

	while (verb->name && strcmp(verb->name, name))
		verb++;
	return verb->name ? verb : NULL;
}
