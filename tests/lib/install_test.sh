#!/bin/bash
# SPDX-License-Identifier: MIT
# An embedder's way: install into an empty folder, build the example with what pkg-config says, run it.
# usage: MAYFLY_BUILD=FOLDER install_test.sh SOURCE_ROOT C_COMPILER
set -u
root=$1 cc=$2
passed=0 failed=0
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

# step NAME COMMAND...
step() {
	local name=$1 said
	shift
	if said=$("$@" 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAIL %s\n%s\n' "$name" "$said"
	fi
}

step "meson install" env DESTDIR="$tree" meson install -C "$MAYFLY_BUILD" --no-rebuild --quiet
pc=$(find "$tree" -name mayfly.pc)
library=$(find "$tree" -name libmayfly.so.0)
step "a mayfly.pc is installed" test -n "$pc"
step "a libmayfly.so.0 is installed" test -n "$library"
for header in mayfly.h error.h sdk.h abi/call.h; do
	step "mayfly/$header is installed" test -n "$(find "$tree" -path "*/include/mayfly/$header")"
done

export PKG_CONFIG_PATH=${pc%/*} PKG_CONFIG_SYSROOT_DIR=$tree
step "pkg-config knows the version" pkg-config --exact-version="$(sed -n 's/^Version: //p' "$pc")" mayfly
flags=$(pkg-config --cflags --libs mayfly)
# shellcheck disable=SC2086 # words
step "the guest builds" $cc -O2 -static -o "$tree/embed-guest" "$root/examples/embed-guest.c"
# shellcheck disable=SC2086
step "the example builds as C11" $cc -std=c11 -Wall -Wextra -Werror -o "$tree/embed" "$root/examples/embed.c" $flags
output=$(LD_LIBRARY_PATH=${library%/*} timeout 60 "$tree/embed" "$tree/embed-guest" 2>&1)
step "the example ends well" test $? = 0
step "it says what it should: $output" test "${output##*$'\n'}" = 'add_up("mayfly") = 658'
output=$(LD_LIBRARY_PATH=${library%/*} timeout 60 "$tree/embed" /nowhere 2>&1)
step "it says what is wrong: $output" test $? = 1 -a "${output#embed: *}" != "$output"
step "the example has at most 60 lines" test "$(wc -l <"$root/examples/embed.c")" -le 60

echo "$passed passed, $failed failed"
[ $failed = 0 ]
