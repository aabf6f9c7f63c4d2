#!/bin/bash
# SPDX-License-Identifier: MIT
# What the shared library exports: all of lib/mayfly.map, nothing more; every function that the public header
# declares, nothing more; and it is called libmayfly.so.0.
# usage: symbols_test.sh SOURCE_ROOT LIBRARY
set -u
root=$1 library=$2
passed=0 failed=0

# same NAME: stdin 3 and 4 hold the same lines
same() {
	local difference
	if difference=$(diff <(sort -u <&3) <(sort -u <&4)); then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'FAIL %s\n%s\n' "$1" "$difference"
	fi
}

exported() { nm -D --defined-only --format=posix "$library" | awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }'; }
mapped() { sed -n '/^global:/,/^local:/s/^\t\(mf_[a-z_]*\);$/\1/p' "$root/lib/mayfly.map"; }
declared() {
	cat "$root"/include/mayfly/*.h | cc -fpreprocessed -dD -E -P - 2>/dev/null |
		grep -o '\bmf_[a-z_]*(' | tr -d '('
}

same "the library exports what mayfly.map lists" 3< <(mapped) 4< <(exported)
same "mayfly.map lists what the headers declare" 3< <(declared) 4< <(mapped)
same "its name is libmayfly.so.0" 3< <(echo libmayfly.so.0) \
	4< <(readelf -d "$library" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
count=$(mapped | wc -l)
[ "$count" -ge 10 ] || { echo "FAIL mayfly.map was not understood"; failed=$((failed + 1)); }
echo "$passed passed, $failed failed"
[ $failed = 0 ]
