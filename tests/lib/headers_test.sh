#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header alone compiles as C11, as GNU C11 and as C++, without a warning.
# usage: headers_test.sh SOURCE_ROOT C_COMPILER CXX_COMPILER
set -u
root=$1 cc=$2 cxx=$3
passed=0 failed=0

# try NAME COMMAND...: compiles what stands on stdin
try() {
	local name=$1 said
	shift
	if said=$("$@" -x "$language" - -fsyntax-only -Wall -Wextra -Werror -pedantic 2>&1); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAIL %s\n%s\n' "$name" "$said"
	fi
}

# all HEADER FOLDER
all() {
	local header=$1 folder=$2 standard
	for standard in c11 gnu11; do
		# shellcheck disable=SC2086 # the compiler may be two words
		language=c try "<$header> as $standard" $cc -std=$standard -I "$folder" -I "$root/include" \
			<<<"#include <$header>"
	done
	[ -n "$cxx" ] || return 0
	language=c++ try "<$header> as C++" "$cxx" -std=c++11 -I "$folder" -I "$root/include" <<<"#include <$header>"
}

while read -r header; do
	all "$header" "$root/include"
done < <(cd "$root/include" && find mayfly -name '*.h' | sort)
all mayfly/sdk.h "$root/guest/sdk"

[ -n "$cxx" ] || echo "SKIP headers as C++: there is no C++ compiler here"
[ $passed -ge 8 ] || { echo "FAIL only $passed headers were found"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed"
[ $failed = 0 ]
