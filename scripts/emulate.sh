#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs a command in an emulated machine that has AMD SVM and so a real /dev/kvm (family: hardware).
# It sees this machine's files; what it writes stays in the emulated machine's memory and is lost.
# Counts taken there are exact, times mean nothing.
set -euo pipefail

usage() {
	cat <<-'END'
	usage: scripts/emulate.sh [--cpus N] [--memory MIB] [--timeout SECONDS] [--write DIR] -- COMMAND [ARGS...]

	  --cpus N           processors of the emulated machine (1)
	  --memory MIB       its memory (2048)
	  --timeout SECONDS  the whole run, boot included (300)
	  --write DIR        what is written in this folder stays

	The command runs as root in the caller's folder with PATH, HOME, LANG and every MAYFLY_* variable.
	Exit status: the command's; 124 after the timeout; 125 when the machine did not come up.
	END
}

die() { echo "emulate: $*" >&2; exit 125; }

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kernel_dir=${MAYFLY_KERNEL:-$here/../.cache/kernel}/
cpus=1 memory=2048 timeout=300 write=
while [ $# -gt 0 ]; do
	case $1 in
	--cpus) cpus=$2; shift 2 ;;
	--memory) memory=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	--write) write=$(cd "$2" && pwd -P) || exit 125; shift 2 ;;
	--help | -h) usage; exit 0 ;;
	--) shift; break ;;
	*) break ;;
	esac
done
[ $# -gt 0 ] || { usage >&2; exit 125; }

for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio; do
	command -v "${tool%%:*}" >/dev/null || die "${tool%%:*} is missing: install ${tool##*:} (./dev test does it)"
done
vmlinuz=$(find "${kernel_dir}boot" -name 'vmlinuz-*' 2>/dev/null | sort -V | tail -n 1) || true
[ -n "$vmlinuz" ] || die "no kernel in $kernel_dir: run ./dev emulate -- true, which fetches it"
modules=$(find "$kernel_dir" -type d -path "*/modules/${vmlinuz##*/vmlinuz-}" -print -quit)
[ -n "$modules" ] || die "no modules for $vmlinuz in $kernel_dir: remove that folder and try again"

work=$(mktemp -d -t mayfly-emulate.XXXXXX)
machine=
# shellcheck disable=SC2317 # called by the trap
cleanup() {
	trap '' INT TERM HUP
	if [ -n "$machine" ]; then kill -TERM "$machine" 2>/dev/null || true; wait "$machine" 2>/dev/null || true; fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The file of a module, and before it the files of those it names as needed.
declare -A seen
with_needed() {
	local name=${1//-/_} file need
	[ -z "${seen[$name]:-}" ] || return 0
	seen[$name]=1
	file=$(find "$modules" -name "${name//_/[-_]}.ko*" -print -quit)
	[ -n "$file" ] || return 0 # built in
	case $file in
	*.xz) xz -dc "$file" >"$work/rd/modules/$name.ko" ;;
	*.zst) zstd -qdc "$file" >"$work/rd/modules/$name.ko" ;;
	*) cp "$file" "$work/rd/modules/$name.ko" ;;
	esac
	for need in $(grep -ao '^depends=[^[:cntrl:]]*\|[[:cntrl:]]depends=[^[:cntrl:]]*' "$work/rd/modules/$name.ko" |
		tr -d '\000' | sed 's/depends=//; y/,/ /'); do
		with_needed "$need"
	done
	echo "$name" >>"$work/rd/modules/order"
}

initrd() {
	mkdir -p "$work"/rd/{bin,modules,host,ram,proc,sys,dev}
	cp "$(command -v busybox)" "$work/rd/bin/busybox"
	for module in virtio_pci 9pnet_virtio 9p overlay irqbypass ccp kvm kvm_amd; do with_needed "$module"; done
	cp "$here/emulate-init.sh" "$work/rd/init"
	chmod +x "$work/rd/init"
	{
		declare -px PATH HOME LANG "${!MAYFLY_@}" 2>/dev/null || true
		echo 'export MAYFLY_EMULATED=1'
		printf 'cd %q || exit 125\n' "$PWD"
		printf '%q ' exec "$@"
	} >"$work/rd/command"
	printf '%s\n' "$PWD" >"$work/rd/folder"
	printf '%s\n' "$write" >"$work/rd/write"
	(cd "$work/rd" && find . | cpio --quiet -o -H newc >"$work/initrd")
}

# setpriv: a killed parent takes the machine with it.
boot() {
	local share=()
	[ -z "$write" ] || share=(-virtfs "local,path=$write,mount_tag=kept-files,security_model=none,multidevs=remap")
	setpriv --pdeathsig KILL timeout -k 5 "$timeout" setpriv --pdeathsig KILL \
		qemu-system-x86_64 -accel tcg,thread=multi,tb-size=512 -cpu max,+svm -smp "$cpus" -m "$memory" \
		-nodefaults -no-reboot -display none -vga none -monitor none \
		-serial stdio -serial "file:$work/status" \
		-virtfs local,path=/,mount_tag=host-files,security_model=none,readonly=on,multidevs=remap "${share[@]}" \
		-kernel "$vmlinuz" -initrd "$work/initrd" \
		-append "console=ttyS0 quiet loglevel=2 mitigations=off nokaslr panic=-1 random.trust_cpu=on" \
		</dev/null &
	machine=$!
	wait "$machine" && code=0 || code=$?
	machine=
}

initrd "$@"
boot
case $code in
124 | 137) echo "emulate: stopped after $timeout s" >&2; exit 124 ;;
esac
status=$(tr -cd '0-9' <"$work/status" 2>/dev/null || true)
[ -n "$status" ] || die "the machine ended without a result (qemu: $code)"
exit "$status"
