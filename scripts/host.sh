# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced by ./dev: whether /dev/kvm can be used here, and if not, why and how to mend it.

# Succeeds and prints the reason when there is no usable /dev/kvm, or when MAYFLY_LANE=emulated asks to do without.
no_kvm() {
	if [ "${MAYFLY_LANE:-}" = emulated ]; then
		echo "MAYFLY_LANE=emulated"
	elif [ ! -e /dev/kvm ]; then
		echo "there is no /dev/kvm"
	elif ! { : <>/dev/kvm; } 2>/dev/null; then
		if [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
			echo "/dev/kvm is there and does not open"
		else
			echo "$(id -un) may not open /dev/kvm"
		fi
	else
		return 1
	fi
}

say_no_kvm() {
	echo "KVM is not used: $1."
	case $1 in
	MAYFLY_LANE=*) return ;;
	*"may not open"*)
		[ "$(stat -c %G:%A /dev/kvm | cut -c1-10)" = kvm:crw-rw ] ||
			echo "  To mend it: sudo groupadd -f kvm; sudo chgrp kvm /dev/kvm; sudo chmod 660 /dev/kvm"
		echo "  To mend it: sudo usermod -aG kvm $(id -un), then log in again"
		return
		;;
	esac
	if grep -qwE 'vmx|svm' /proc/cpuinfo; then
		echo "  To mend it: sudo modprobe $(grep -qw vmx /proc/cpuinfo && echo kvm_intel || echo kvm_amd)"
	else
		cat <<-'END'
		  To mend it: switch on virtualisation in the firmware (Intel VT-x, AMD SVM); inside a virtual machine,
		  have its host allow nested virtualisation; then sudo modprobe kvm_intel or kvm_amd
		END
	fi
	echo "  Inside a container: start it with --device /dev/kvm"
}
