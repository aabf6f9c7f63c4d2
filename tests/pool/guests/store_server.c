/* SPDX-License-Identifier: MIT */
/* A server of its own that uses the store: it tells what it has counted itself, and what the store
 * has. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mayfly/store.h>

int main(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(80)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), served = 0, early;
	char request[4096], body[96], answer[256];
	int64_t sum = -1;

	early = mf_store_add("t", MF_STRING("n"), 1, &sum); /* no request: no store yet */
	bind(listener, (struct sockaddr *)&any, sizeof(any));
	listen(listener, 16);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (read(fd, request, sizeof(request)) > 0) {
			int first = mf_store_add("t", MF_STRING("n"), 1, &sum);
			int second = mf_store_add("t", MF_STRING("n"), 1, &sum);

			snprintf(body, sizeof(body), "%d %d %d %lld %d", ++served, first, second,
				 (long long)sum, early);
			snprintf(answer, sizeof(answer),
				 "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
				 body);
			if (write(fd, answer, strlen(answer)) < 0)
				break;
		}
		close(fd);
	}
}
