/* SPDX-License-Identifier: MIT */
/* The smallest program that Mayfly serves: mayfly serve --listen 127.0.0.1:8080 --
 * build/examples/hello */
#include <mayfly/sdk.h>

int main(void)
{
	while (mf_wait())
		mf_respond(200, "text/plain", "hello\n", 6);
	return 0;
}
