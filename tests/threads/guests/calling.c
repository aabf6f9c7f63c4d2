/* SPDX-License-Identifier: MIT */
/* Calls the engine, at its port, until another thread has run. Only for a VM. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <mayfly/abi/call.h>

static atomic_int has_run;

static void *be_there(void *arg)
{
	atomic_store(&has_run, 1);
	return NULL;
}

int main(void)
{
	pthread_t other;

	if (pthread_create(&other, NULL, be_there, NULL))
		return 1;
	while (!atomic_load(&has_run)) {
		long result = MF_CALL_LOG;

		__asm__ volatile("out %%eax, %1"
				 : "+a"(result)
				 : "N"(MF_ABI_PORT), "D"("on and on"), "S"(9ul), "d"(1ul)
				 : "memory");
	}
	pthread_join(other, NULL);
	printf("the other ran\n");
	return 0;
}
