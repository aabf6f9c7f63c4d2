/* SPDX-License-Identifier: MIT */
#include "engine/linux/trace.h"
#include "engine/linux/syscall.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define STRING_SHOWN 64u

/* Guest text, made harmless for a terminal. */
static void print_string(const struct mf_process *process, uint64_t va, uint64_t limit)
{
	FILE *out = process->policy->trace;
	size_t i;
	char c;

	if (!va) {
		fputs("NULL", out);
		return;
	}
	fputc('"', out);
	for (i = 0; i < STRING_SHOWN && i < limit; i++) {
		if (mf_pt_read(&process->vm.mem, MF_GVA(va + i), &c, 1) ||
		    (!c && limit == UINT64_MAX))
			break;
		if (c == '\n')
			fputs("\\n", out);
		else if (isprint((unsigned char)c) && c != '"' && c != '\\')
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)c);
	}
	fputs(i == STRING_SHOWN && i < limit ? "\"..." : "\"", out);
}

static void print_argument(const struct mf_process *process, char format, uint64_t value,
			   uint64_t next)
{
	FILE *out = process->policy->trace;

	switch (format) {
	case 's':
		print_string(process, value, UINT64_MAX);
		break;
	case 'b': /* a buffer whose length is the next argument */
		print_string(process, value, next);
		break;
	case 'd':
		fprintf(out, "%" PRId32, (int32_t)value);
		break;
	case 'u':
		fprintf(out, "%" PRIu64, value);
		break;
	case 'o':
		fprintf(out, "0%" PRIo64, value);
		break;
	default:
		if (format == 'p' && !value)
			fputs("NULL", out);
		else
			fprintf(out, "0x%" PRIx64, value);
	}
}

void mf_trace_call(const struct mf_process *process, uint64_t number, const uint64_t arg[6],
		   int64_t result)
{
	FILE *out = process->policy->trace;
	const struct mf_syscall *call = number < MF_SYSCALLS ? &mf_syscalls[number] : NULL;
	const char *format = call && call->format ? call->format : "xxxxxx";
	unsigned int i;

	if (mf_linux(process)->thread_count > 1)
		fprintf(out, "[%u] ", mf_thread(process)->tid);
	if (call && call->name)
		fprintf(out, "%s(", call->name);
	else
		fprintf(out, "syscall_%" PRIu64 "(", number);
	for (i = 0; i < 6 && format[i]; i++) {
		fputs(i ? ", " : "", out);
		print_argument(process, format[i], arg[i], i < 5 ? arg[i + 1] : 0);
	}
	if (result == MF_SYS_EXIT || result == MF_SYS_LOADED || result == MF_SYS_GONE)
		fputs(") = ?\n", out);
	else if (result == MF_SYS_WAIT)
		fputs(") = ? (waits)\n", out);
	else if (result < 0 && result > -4096)
		fprintf(out, ") = -1 %s (%s)\n", strerrorname_np((int)-result),
			strerror((int)-result));
	else if (result > 0xffff)
		fprintf(out, ") = 0x%" PRIx64 "\n", (uint64_t)result);
	else
		fprintf(out, ") = %" PRId64 "\n", result);
}

void mf_trace_signal(const struct mf_process *process, int signo, const struct mf_vm_exit *exit)
{
	fprintf(process->policy->trace,
		"--- SIG%s {vector %u, address 0x%" PRIx64 ", rip 0x%" PRIx64 "} ---\n",
		sigabbrev_np(signo), exit->vector, exit->address, exit->rip);
}

void mf_trace_delivery(const struct mf_process *process, const struct mf_siginfo *info)
{
	const char *name = sigabbrev_np(info->signo);

	fprintf(process->policy->trace,
		"--- %s%s {si_signo=%" PRId32 ", si_code=%" PRId32 "} ---\n",
		name ? "SIG" : "real-time signal", name ? name : "", info->signo, info->code);
}
