/* SPDX-License-Identifier: MIT */
/* The verbs of mayfly: argv[0] is the verb; each returns the process's exit status. */
#ifndef MF_CLI_VERBS_H
#define MF_CLI_VERBS_H

#include "tenant/run.h"

int mf_verb_run(int argc, char **argv);
int mf_verb_serve(int argc, char **argv);
int mf_verb_image(int argc, char **argv);
int mf_verb_ctl(int argc, char **argv);
int mf_verb_stat(int argc, char **argv);
int mf_verb_top(int argc, char **argv);
int mf_verb_config(int argc, char **argv);
int mf_verb_store(int argc, char **argv);
int mf_verb_doctor(int argc, char **argv);
int mf_verb_bench(int argc, char **argv);
int mf_verb_bench_host(int argc, char **argv); /* argv[0] is "host" */
int mf_verb_bench_compare(int argc, char **argv);

#endif
