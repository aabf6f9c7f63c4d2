/* SPDX-License-Identifier: MIT */
#include "measure/forker.h"

#include "engine/image/watchdog.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void serve(int in, int out, size_t bytes)
{
	uint8_t *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char byte;

	if (memory == MAP_FAILED)
		_exit(1);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	while (read(in, &byte, 1) == 1) {
		uint64_t start = mf_now_ns();
		uint64_t took;
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		waitpid(pid, NULL, 0);
		took = pid < 0 ? 0 : mf_now_ns() - start;
		if (write(out, &took, sizeof(took)) != sizeof(took))
			break;
	}
	_exit(0);
}

bool mf_forker_open(struct mf_forker *forker, unsigned int mib)
{
	int there[2];
	int back[2];

	if (pipe2(there, O_CLOEXEC))
		return false;
	if (pipe2(back, O_CLOEXEC)) {
		close(there[0]);
		close(there[1]);
		return false;
	}
	forker->pid = fork();
	if (!forker->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(there[1]);
		close(back[0]);
		serve(there[0], back[1], (size_t)mib << 20);
	}
	close(there[0]);
	close(back[1]);
	forker->to = there[1];
	forker->from = back[0];
	if (forker->pid > 0)
		return true;
	close(forker->to);
	close(forker->from);
	return false;
}

double mf_forker_time(const struct mf_forker *forker)
{
	uint64_t took = 0;

	if (write(forker->to, "", 1) != 1 ||
	    read(forker->from, &took, sizeof(took)) != sizeof(took))
		return 0;
	return (double)took;
}

void mf_forker_close(struct mf_forker *forker)
{
	close(forker->to);
	close(forker->from);
	waitpid(forker->pid, NULL, 0);
}
