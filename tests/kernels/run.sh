#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# run.sh [-k SERIES] [-t SECONDS] [-m MODULE]... [-f FILE]... COMMAND [ARGUMENT]...
#
# Runs a command in a virtual machine with a cloud kernel of Debian's (fetch.sh; 6.1 without a word): its output is
# this script's, and so is its exit status (124: the machine did not end in time, 125: it died). The machine is a
# kernel and an initramfs: busybox, the modules of MODULES and each MODULE, COMMAND and each FILE, at their own
# absolute paths, with the libraries that ldd names. A script brings its interpreter, but not the programs in it: they
# are FILEs, by name or path. There is no disk, and no network but what the command makes itself. QEMU emulates, with
# no need of KVM: it starts in 4 s and computes slowly. What the kernel has to say (warnings, crashes) is shown on
# stderr at the end.
set -euo pipefail

MODULES="wireguard tun veth sch_ingress cls_bpf nf_tables nft_chain_nat"
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
timeout=300
series=
files=()

die() { echo "run.sh: $*" >&2; exit 125; }

while getopts k:t:m:f: option; do
	case $option in
	k) series=$OPTARG ;;
	t) timeout=$OPTARG ;;
	m) MODULES+=" $OPTARG" ;;
	f) files+=("$OPTARG") ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || die "no command"
command -v qemu-system-x86_64 > /dev/null || die "no qemu-system-x86_64: apt-get install qemu-system-x86"
busybox=$(command -v busybox) || die "no busybox: apt-get install busybox-static"

kernel=$("$here/fetch.sh" ${series:+"$series"})
version=$(ls "$kernel/lib/modules")
tmp=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kernel-XXXXXX")
trap 'rm -rf "$tmp"' EXIT
tree=$tmp/tree

# put FILE: into the tree at its own path, once, with its libraries
put() {
	local from=$1 library interpreter
	[ -e "$tree$from" ] && return
	mkdir -p "$tree${from%/*}"
	cp -L "$from" "$tree$from"
	interpreter=$(head -c 200 "$from" | LC_ALL=C sed -n '1s/^#! *\(\/[^ ]*\).*/\1/p' 2> /dev/null | tr -d '\0')
	[ -z "$interpreter" ] || put "$interpreter"
	for library in $(ldd "$from" 2> /dev/null | grep -o '/[^ ]*'); do
		put "$library"
	done
}

# full NAME: the absolute path of a program or a file
full() {
	local path
	path=$(command -v "$1") || path=$1
	[ -e "$path" ] || die "$1: not found"
	(cd "$(dirname "$path")" && echo "$PWD/$(basename "$path")")
}

make_tree() {
	local name module
	mkdir -p "$tree"/{bin,sbin,usr/bin,usr/sbin,dev,proc,sys,run,tmp,root,modules,etc,var}
	ln -s /run "$tree/var/run"
	cp "$busybox" "$tree/bin/busybox"
	echo "root:x:0:0::/root:/bin/sh" > "$tree/etc/passwd"
	echo "root:x:0:" > "$tree/etc/group"
	# in the order in which they load, each after what it needs
	for name in $MODULES; do
		modprobe -d "$kernel" -S "$version" --show-depends "$name" || die "no module $name"
	done | sed -n 's/^insmod //p' | awk '!seen[$1]++ { print $1 }' > "$tmp/modules"
	while read -r module; do
		name=${module##*/}
		case $module in
		*.xz) xz -dc "$module" > "$tree/modules/${name%.xz}" ;;
		*) cp "$module" "$tree/modules/" ;;
		esac
		echo "insmod /modules/${name%.xz}"
	done < "$tmp/modules" > "$tree/modules/load"
	for name in "${files[@]}"; do
		put "$(full "$name")"
	done
}

# The command's words, quoted for the guest's shell, and its folder if that is in the tree.
make_init() {
	local program=$1
	shift
	cat > "$tree/init" <<-EOT
	#!/bin/busybox sh
	/bin/busybox --install -s /bin 2> /dev/null
	export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
	mount -t proc proc /proc
	mount -t sysfs sysfs /sys
	mount -t devtmpfs dev /dev
	mount -t bpf bpf /sys/fs/bpf
	mkdir -p /dev/pts '$root'
	mount -t devpts devpts /dev/pts
	. /modules/load
	ip link set lo up
	dmesg -n 5
	stty -F /dev/ttyS1 -opost
	cd '$root'
	{ $(printf '%q ' "$program" "$@"); echo \$? > /dev/ttyS2; } < /dev/null 2>&1 | cat > /dev/ttyS1
	poweroff -f
	EOT
	chmod 755 "$tree/init"
}

program=$(full "$1")
shift
make_tree
put "$program"
make_init "$program" "$@"
(cd "$tree" && find . | cpio --quiet -o -H newc | gzip -1) > "$tmp/initramfs"
rm -rf "$tree"

# no_timer_check: on a busy machine the emulated timer is late, which the kernel takes for a broken one
status=0
timeout --foreground "$timeout" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
	-accel tcg,thread=multi -cpu max -smp 2 -m 1G -kernel "$kernel/vmlinuz" -initrd "$tmp/initramfs" \
	-append "console=ttyS0 no_timer_check quiet loglevel=3 panic=-1" \
	-serial "file:$tmp/kernel" -serial stdio -serial "file:$tmp/status" < /dev/null || status=$?
sed -e '/reboot: Power down/d' -e '/^[[:space:]]*$/d' "$tmp/kernel" >&2
[ "$status" != 124 ] || { echo "run.sh: not done after $timeout s" >&2; exit 124; }
answer=$(tr -cd 0-9 < "$tmp/status")
[ -n "$answer" ] || die "the machine died (qemu: $status)"
exit "$answer"
