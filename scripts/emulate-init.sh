#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# First process of the emulated machine: the host's files below, memory above, then the command.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b stty -F /dev/ttyS0 -onlcr

finish() {
	echo "$1" >/dev/ttyS1
	echo 0 >/proc/sys/kernel/printk # not even the power-off message
	$b poweroff -f
}
trap 'finish 125' EXIT

while read -r module; do
	$b insmod "/modules/$module.ko" || echo "emulate: module $module does not load"
done </modules/order

$b mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,access=any,msize=512000 host-files /host || exit
$b mount -t tmpfs -o size=90% ram /ram || exit
$b mkdir /ram/upper /ram/work /ram/root
$b mount -t overlay -o lowerdir=/host,upperdir=/ram/upper,workdir=/ram/work overlay /ram/root || exit

root=/ram/root
for fs in proc sys dev; do $b mount -o bind /$fs $root/$fs; done
$b mkdir -p /dev/pts /dev/shm
$b ln -s /proc/self/fd /dev/fd
$b ln -s fd/0 /dev/stdin
$b ln -s fd/1 /dev/stdout
$b ln -s fd/2 /dev/stderr
$b mount -t devpts pts $root/dev/pts
$b mount -t tmpfs shm $root/dev/shm
$b mount -t cgroup2 cgroup $root/sys/fs/cgroup
$b mount -t bpf bpf $root/sys/fs/bpf
$b mount -t tracefs tracing $root/sys/kernel/tracing
for dir in tmp run; do $b mount -t tmpfs -o mode=1777 $dir $root/$dir; done
# A caller who stands in a folder that was just hidden keeps it.
read -r folder </folder
case $folder in
/tmp/* | /run/*)
	$b mkdir -p "$root$folder" "/ram/upper2" "/ram/work2"
	$b mount -t overlay -o "lowerdir=/host$folder,upperdir=/ram/upper2,workdir=/ram/work2" overlay "$root$folder" || exit
	;;
esac
read -r write </write
if [ -n "$write" ]; then
	$b mkdir -p "$root$write"
	$b mount -t 9p -o trans=virtio,version=9p2000.L,access=any,msize=512000 kept-files "$root$write" || exit
fi
$b cp /command $root/run/command
$b ifconfig lo 127.0.0.1 up
$b hostname emulated
[ -c /dev/kvm ] || echo "emulate: no /dev/kvm in the emulated machine"

$b chroot $root /bin/bash /run/command </dev/null >/dev/ttyS0 2>&1
status=$?
trap - EXIT
finish $status
