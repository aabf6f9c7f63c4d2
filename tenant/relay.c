/* SPDX-License-Identifier: MIT */
#include "tenant/relay.h"

#include "engine/image/watchdog.h"
#include "engine/linux/signal.h"
#include "engine/linux/syscall.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int relayed[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

static struct mf_process *target; /* handlers run on its own thread: all others block signals */
static uint64_t came;

static void on_signal(int signo)
{
	struct mf_process *process = __atomic_load_n(&target, __ATOMIC_RELAXED);

	__atomic_or_fetch(&came, MF_SIGBIT(signo), __ATOMIC_RELAXED);
	if (process)
		mf_vm_kick(&process->vm, MF_KICK_RELAY);
}

void mf_relay_open(void)
{
	struct sigaction action = {.sa_handler = on_signal};
	size_t i;

	sigemptyset(&action.sa_mask);
	for (i = 0; i < sizeof(relayed) / sizeof(relayed[0]); i++)
		sigaction(relayed[i], &action, NULL);
}

uint64_t mf_relay_ignored(void)
{
	struct sigaction action;
	uint64_t set = 0;
	int signo;

	for (signo = 1; signo < (int)MF_SIGNALS; signo++)
		if (!sigaction(signo, NULL, &action) && action.sa_handler == SIG_IGN)
			set |= MF_SIGBIT(signo);
	return set;
}

void mf_relay_set(struct mf_process *process)
{
	__atomic_store_n(&target, process, __ATOMIC_RELAXED);
	if (process && __atomic_load_n(&came, __ATOMIC_RELAXED))
		mf_vm_kick(&process->vm, MF_KICK_RELAY);
}

bool mf_relay_deliver(struct mf_process *process, struct mf_exit *exit)
{
	uint64_t set = __atomic_exchange_n(&came, 0, __ATOMIC_RELAXED);
	size_t i;

	for (i = 0; i < sizeof(relayed) / sizeof(relayed[0]); i++) {
		struct mf_siginfo info = {
			.signo = relayed[i], .code = SI_USER, .sent = {.uid = getuid()}};

		if (!(set & MF_SIGBIT(relayed[i])) ||
		    mf_signal_send(process, MF_TO_PROCESS, &info) != MF_SYS_EXIT)
			continue;
		*exit = (struct mf_exit){
			.kind = MF_EXIT_SIGNALED, .status = relayed[i], .wait_fd = -1};
		snprintf(exit->text, sizeof(exit->text), "%s", strsignal(relayed[i]));
		return true;
	}
	return false;
}

void mf_relay_block(sigset_t *before)
{
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(relayed) / sizeof(relayed[0]); i++)
		sigaddset(&set, relayed[i]);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

void mf_relay_unblock(const sigset_t *before)
{
	pthread_sigmask(SIG_SETMASK, before, NULL);
}
