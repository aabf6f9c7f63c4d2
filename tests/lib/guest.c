/* SPDX-License-Identifier: MIT */
/* The guest of the library's tests: functions to be called, and a loop that answers requests. */
#include <emmintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <mayfly/abi/call.h>
#include <mayfly/sdk.h>

static volatile uint64_t counter;
char note[64] = "from the image";

uint64_t six(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	return a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f;
}

uint64_t count_up(void)
{
	return ++counter;
}

uint64_t add_up(const uint8_t *bytes, uint64_t count)
{
	uint64_t sum = 0;

	while (count--)
		sum += *bytes++;
	return sum;
}

void reverse(uint8_t *bytes, uint64_t count)
{
	for (uint64_t i = 0; i < count / 2; i++) {
		uint8_t byte = bytes[i];

		bytes[i] = bytes[count - 1 - i];
		bytes[count - 1 - i] = byte;
	}
}

/* What the psABI promises a function at its entry: 0 when all of it holds. */
__attribute__((noinline)) uint64_t check_entry(void)
{
	uint64_t flags = __builtin_ia32_readeflags_u64();
	uint64_t frame = (uint64_t)__builtin_frame_address(0);
	volatile __m128d vector = _mm_set1_pd(1.5);

	return (flags >> 10 & 1) | (frame % 16) << 1 | (vector[0] != 1.5) << 8;
}

/* The privilege level that the function runs at. */
uint64_t ring(void)
{
	uint64_t cs;

	__asm__("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

void spin(void)
{
	for (;;)
		counter++;
}

void sleep_long(void)
{
	sleep(1000);
}

uint64_t sleep_short(void)
{
	struct timespec time = {.tv_nsec = 5000000};

	return (uint64_t)nanosleep(&time, NULL);
}

uint64_t spill(uint64_t bytes)
{
	volatile char stack[bytes];

	for (uint64_t i = 0; i < bytes; i += 4096)
		stack[i] = 1;
	return stack[0];
}

void crash(void)
{
	*(volatile int *)8 = 1;
}

void forbidden(void)
{
	__asm__ volatile("in $0x80, %%al" ::: "rax");
}

void leave(int status)
{
	exit(status);
}

uint64_t eat(uint64_t bytes)
{
	char *memory = malloc(bytes);

	if (!memory)
		abort();
	memset(memory, 1, bytes);
	return (uint64_t)memory[bytes - 1];
}

void ask(void)
{
	mf_wait();
}

void chat(void)
{
	mf_log(MF_LOG_INFO, "counter %d", (int)counter);
	printf("printed\n");
	fflush(stdout);
}

static void answer(const struct mf_request *request)
{
	struct mf_text target = mf_request_target(request);
	struct mf_text body = mf_request_body(request);

	if (strcmp(target.data, "/spin") == 0)
		spin();
	if (strcmp(target.data, "/crash") == 0)
		crash();
	if (strcmp(target.data, "/silent") == 0)
		return;
	if (strcmp(target.data, "/count") == 0) {
		static char text[24];

		mf_respond(200, NULL, text,
			   (size_t)snprintf(text, sizeof(text), "%d", (int)count_up()));
		return;
	}
	mf_respond(201, "text/plain", body.data, body.length);
	mf_response_header("X-Method", mf_request_method(request).data);
	mf_response_header("X-Mark", mf_request_header(request, "mark").data);
	if (strcmp(target.data, "/early") == 0) {
		mf_done();
		count_up();
	}
}

int main(int argc, char **argv)
{
	const struct mf_request *request;
	const char *mode = argc > 1 ? argv[1] : "";

	if (strcmp(mode, "spin") == 0)
		spin();
	if (strcmp(mode, "crash") == 0)
		crash();
	if (strcmp(mode, "fail") == 0)
		return 3;
	if (strcmp(mode, "exit") == 0)
		return 0;
	if (strcmp(mode, "environment") == 0)
		return getenv("NAME") && strcmp(getenv("NAME"), "value") == 0 && !getenv("PATH")
			       ? 0
			       : 4;
	/* A system call's way out of ring 3, with the ready call's number. */
	if (strcmp(mode, "sneak") == 0) {
		static uint8_t room[4096] __attribute__((aligned(16)));
		static struct mf_abi_ready ready = {.version = MF_ABI_VERSION,
						    .buffer_bytes = sizeof(room)};

		ready.buffer = (uint64_t)room;
		syscall(MF_CALL_READY, &ready);
		return 5;
	}
	while ((request = mf_wait()))
		answer(request);
	return 0;
}
