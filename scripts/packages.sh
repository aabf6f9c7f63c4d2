# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by ./dev: which packages a command needs, and how they come here.
# Reads $root (the checkout) and $yes (1: do not ask).

packages_build=(build-essential meson ninja-build pkg-config musl-tools libuv1-dev libseccomp-dev libssl-dev liblmdb-dev
	libcurl4-openssl-dev libnng-dev libjansson-dev libconfig-dev clang bpftool libbpf-dev systemtap-sdt-dev)
packages_demo=(curl)
packages_bench=(redis-tools)
packages_test=(libcriterion-dev curl
	python3 libpython3.11-testsuite nodejs lua5.4 luajit perl ruby php-cli sqlite3 golang-go rustc openssl busybox-static redis-tools python3-redis node-redis libhiredis-dev nginx-light haproxy node-react node-react-dom chromium)
packages_long=(debootstrap)
packages_format=(clang-format)
packages_emulated=(qemu-system-x86 busybox-static cpio)

is_debian() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

# need PURPOSE...: install what is missing of the packages_PURPOSE lists.
need() {
	local purpose missing=() package list
	if ! is_debian; then
		need_elsewhere "$@"
		return
	fi
	for purpose in "$@"; do
		declare -n list="packages_$purpose"
		for package in "${list[@]}"; do
			[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
		done
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "Missing packages: ${missing[*]}"
	confirm "Install them now?" || die "nothing was installed. By hand: apt-get install ${missing[*]}"
	update_empty_lists
	# Lists that are too old name files that are gone: then renew them and try again.
	install "${missing[@]}" || { as_root apt-get update && install "${missing[@]}"; } ||
		die "could not install: ${missing[*]}. Is the package mirror reachable?"
}

# Another distribution names its packages differently: look for what they bring, and say what is missing.
need_elsewhere() {
	local purpose missing=() tool module
	for purpose in "$@"; do
		case $purpose in
		build)
			for tool in cc meson ninja pkg-config musl-gcc clang; do command -v "$tool" >/dev/null || missing+=("$tool"); done
			PATH=$PATH:/usr/sbin:/sbin command -v bpftool >/dev/null || missing+=(bpftool)
			echo '#include <sys/sdt.h>' | cc -E -x c - >/dev/null 2>&1 || missing+=("sys/sdt.h (of SystemTap)")
			for module in libuv libseccomp libcrypto libcurl jansson libconfig libbpf; do
				pkg-config --exists "$module" 2>/dev/null || missing+=("$module (development files)")
			done
			# nng 1.5 has no pkg-config file
			printf '#include <nng/nng.h>\n' | cc -E - >/dev/null 2>&1 || missing+=("nng (development files)")
			;;
		test) pkg-config --exists criterion 2>/dev/null || missing+=("criterion (development files)") ;;
		esac
		case $purpose in
		demo | test) tools=(curl) ;;
		long) tools=(debootstrap) ;;
		format) tools=(clang-format) ;;
		emulated) tools=(qemu-system-x86_64 busybox cpio) ;;
		*) tools=() ;;
		esac
		for tool in "${tools[@]}"; do command -v "$tool" >/dev/null || missing+=("$tool"); done
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	echo "This is not a Debian system: please install by its own means" >&2
	printf '  %s\n' "${missing[@]}" >&2
	exit 1
}

confirm() {
	local answer
	[ -z "$yes" ] && [ -t 0 ] || return 0
	read -r -p "$1 [Y/n] " answer
	[[ $answer =~ ^([yY].*)?$ ]]
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		DEBIAN_FRONTEND=noninteractive "$@"
	elif command -v sudo >/dev/null; then
		sudo DEBIAN_FRONTEND=noninteractive "$@"
	else
		die "this needs root and sudo is not installed. As root: $*"
	fi
}

install() { as_root apt-get install -qq -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@"; }

update_empty_lists() {
	[ -n "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ] || as_root apt-get update
}

download() {
	local options=(-q)
	[ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
	apt-get "${options[@]}" download "$1" || { as_root apt-get update && apt-get "${options[@]}" download "$1"; }
}

# fetch PACKAGE FOLDER PATTERN...: unpack those files of a package into .cache without installing it.
fetch() {
	local package=$1 folder=$root/.cache/$2 part=$root/.cache/$2.part
	shift 2
	echo "Fetching $package into .cache/${folder##*/} (unpacked there, not installed)"
	rm -rf "$part"
	mkdir -p "$part"
	(cd "$part" && download "$package" && dpkg --fsys-tarfile ./*.deb >package.tar) || return 1
	# Not every kernel has every folder that is asked for.
	tar -C "$part" -xf "$part/package.tar" --wildcards "$@" 2>/dev/null || true
	rm "$part"/*.deb "$part/package.tar"
	[ -n "$(find "$part" -type f -print -quit)" ] || return 1
	rm -rf "$folder"
	mv "$part" "$folder"
}

# Prints the folder of the llhttp sources.
need_llhttp() {
	local folder=/usr/share/llhttp
	if [ ! -f $folder/llhttp.c ]; then
		folder=$root/.cache/llhttp/usr/share/llhttp
		if [ ! -f "$folder/llhttp.c" ]; then
			is_debian || die "llhttp is missing: unpack its C sources into $folder, llhttp.h into $folder/../include/llhttp"
			fetch node-llhttp llhttp './usr/share/llhttp/*' './usr/share/include/*' >&2 ||
				die "could not fetch node-llhttp. Is the package mirror reachable?"
		fi
	fi
	echo "$folder"
}

# The kernel of the emulated machine: the boot file and the few modules that it loads.
need_kernel() {
	local package dirs=(arch/x86/kvm virt/lib drivers/virtio drivers/crypto/ccp drivers/char/hw_random
		net/9p fs/9p fs/netfs fs/fscache fs/overlayfs)
	[ -z "$(find "$root/.cache/kernel/boot" -name 'vmlinuz-*' 2>/dev/null)" ] || return 0
	is_debian || die "put a kernel into $root/.cache/kernel: boot/vmlinuz-VERSION and lib/modules/VERSION/"
	update_empty_lists
	package=$(apt-cache depends linux-image-amd64 | awk '/Depends/ { print $2; exit }')
	fetch "${package:-linux-image-amd64}" kernel './boot/vmlinuz-*' "${dirs[@]/#/*/kernel/}"
}
