#!/bin/bash
# SPDX-License-Identifier: MIT
# The rings' code in a program without a C library: it compiles without a warning, and asks the linker for
# memcpy alone. usage: freestanding_test.sh SOURCE_ROOT C_COMPILER
set -u
root=$1 cc=$2
object=$(mktemp) || exit 1
trap 'rm -f "$object"' EXIT

# shellcheck disable=SC2086 # the compiler may be two words
if $cc -x c - -c -o "$object" -std=gnu11 -O2 -ffreestanding -fno-stack-protector -U_FORTIFY_SOURCE -I "$root/include" \
	-Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Werror <<'END'; then
#include <mayfly/abi/ring_ops.h>
int echo(void *window, size_t bytes);
int echo(void *window, size_t bytes)
{
	static unsigned char payload[MF_RING_BYTES_MIN];
	struct mf_ring requests, replies;
	struct mf_abi_message message;
	struct mf_piece piece = {payload, 0};

	if (mf_channel_open(window, bytes, &requests, &replies) || mf_ring_peek(&requests, &message) != 1 ||
	    message.size_bytes > sizeof(message) + sizeof(payload))
		return 1;
	piece.bytes = message.size_bytes - (uint32_t)sizeof(message);
	mf_ring_read(&requests, 0, payload, piece.bytes);
	mf_ring_next(&requests, message.size_bytes);
	return mf_ring_put(&replies, message.function, message.id, 0, &piece, 1);
}
END
	wanted=$(nm -u "$object" | awk '{print $2}' | sort | tr '\n' ' ')
	[ "$wanted" != 'memcpy ' ] || { echo "1 passed, 0 failed"; exit 0; }
	echo "FAIL it needs: $wanted"
fi
echo "0 passed, 1 failed"
exit 1
