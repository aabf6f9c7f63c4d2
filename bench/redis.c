/* SPDX-License-Identifier: MIT */
#include "bench/redis.h"
#include "bench/harness.h"
#include "bench/socket.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define VALUE "0123456789012345678901234567890123456789012345678901234567890123"

/* Debian has the server in two names of one program; the one in redis-tools brings no service. */
static void become(const char *socket, int cpu)
{
	static const char *const places[] = {"/usr/bin/redis-server", "/usr/bin/redis-check-rdb"};
	int nothing = open("/dev/null", O_RDWR);
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < 3; i++)
		dup2(nothing, (int)i);
	bench_pin(cpu);
	for (i = 0; i < 2; i++)
		execl(places[i], "redis-server", "--port", "0", "--unixsocket", socket, "--save",
		      "", "--appendonly", "no", NULL);
	_exit(127);
}

static bool exchange(int fd, const char *ask, const char *answer)
{
	char buffer[256];
	size_t want = strlen(answer);
	size_t have = 0;

	if (write(fd, ask, strlen(ask)) != (ssize_t)strlen(ask))
		return false;
	while (have < want) {
		ssize_t got = read(fd, buffer + have, sizeof(buffer) - have);

		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return !memcmp(buffer, answer, want);
}

bool bench_redis_open(struct bench_redis *redis, int cpu)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	char address[128];
	int i;

	snprintf(redis->socket, sizeof(redis->socket), "/tmp/bench-redis-%d.sock", (int)getpid());
	snprintf(address, sizeof(address), "unix:%s", redis->socket);
	redis->fd = -1;
	redis->pid = fork();
	if (!redis->pid)
		become(redis->socket, cpu);
	for (i = 0; i < 200 && redis->fd < 0; i++) {
		nanosleep(&pause, NULL);
		redis->fd = bench_connect(address);
	}
	if (redis->fd >= 0 &&
	    exchange(redis->fd, "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$64\r\n" VALUE "\r\n", "+OK\r\n"))
		return true;
	bench_redis_close(redis);
	return false;
}

void bench_redis_close(struct bench_redis *redis)
{
	if (redis->fd >= 0)
		close(redis->fd);
	if (redis->pid > 0) {
		kill(redis->pid, SIGKILL);
		waitpid(redis->pid, NULL, 0);
	}
	unlink(redis->socket);
	redis->pid = 0;
	redis->fd = -1;
}

double bench_redis_get(struct bench_redis *redis)
{
	uint64_t start = bench_now_ns();

	if (!exchange(redis->fd, "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "$64\r\n" VALUE "\r\n"))
		return 0;
	return (double)(bench_now_ns() - start);
}
