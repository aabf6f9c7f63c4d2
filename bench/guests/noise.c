/* SPDX-License-Identifier: MIT */
/* A tenant that is a nuisance: what a request does is its target's first letter. */
#include <string.h>
#include <sys/mman.h>

#include <mayfly/sdk.h>
#include <mayfly/store.h>

static char value[4096];

static void spin(void)
{
	volatile unsigned int turns = 1;

	while (turns)
		turns |= 1;
}

/* Memory until there is no more. */
static void eat(void)
{
	char *at;

	do {
		at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
		if (at != MAP_FAILED)
			memset(at, 1, 1 << 20);
	} while (at != MAP_FAILED);
}

static void print(void)
{
	for (;;)
		mf_log(MF_LOG_INFO,
		       "a line of no interest to anybody, which comes again and again");
}

static void put(struct mf_text target)
{
	mf_store_put("noise", (struct mf_bytes){target.data, target.length},
		     (struct mf_bytes){value, sizeof(value)});
}

/* A few milliseconds of computing. */
static void work(void)
{
	volatile unsigned int turns = 3000000;

	while (turns)
		turns--;
}

static void behave(struct mf_text target)
{
	switch (target.length > 1 ? target.data[1] : 0) {
	case 'w':
		work();
		break;
	case 's':
		spin();
		break;
	case 'e':
		eat();
		break;
	case 'l':
		print();
		break;
	case 'p':
		put(target);
		break;
	default:
		break;
	}
}

int main(void)
{
	const struct mf_request *request;

	while ((request = mf_wait())) {
		behave(mf_request_target(request));
		mf_respond(200, "text/plain", "done\n", 5);
	}
	return 0;
}
