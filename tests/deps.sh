#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# deps.sh            installs what building, running and the demo need, on Debian 12 and 13 (make deps)
# deps.sh --check    what the tests need, too: emulators, Go, Rust, another machine's libraries (make deps-check)
# deps.sh --release  to build and test in a chroot of a release (release.sh)
#
# Says how much it will be before it begins, and how far it is. Does nothing, and asks nobody, where all of it is there.
set -eu

BUILD="gcc make pkg-config git clang bpftool libbpf-dev libelf-dev zlib1g-dev libsodium-dev libyaml-dev libb2-dev
libjansson-dev libmnl-dev libcap-ng-dev libseccomp-dev libqrencode-dev libnghttp2-dev libgnutls28-dev libhttp-parser-dev
libmicrohttpd-dev android-libboringssl-dev ca-certificates"
DEMO="iproute2 nftables procps iputils-ping wireguard-tools wireguard-go curl python3 util-linux"
TEST="libcmocka-dev llvm python3-pytest python3-pytest-xdist python3-scapy python3-yaml traceroute ethtool iperf3
tcpdump openssl jq socat strace busybox-static qemu-system-x86 qemu-user kmod cpio xz-utils debootstrap golang-go
cargo-web coturn stun-client sip-tester nghttp2-client nghttp2-server dnsmasq-base bind9-dnsutils dropbear-bin
openssh-client python3-pyftpdlib python3-websockets python3-prometheus-client clang-format-19 universal-ctags"
# the unit tests on another machine: its compiler, and the libraries for it
CROSS="gcc-aarch64-linux-gnu"
for library in libc6-dev libbpf-dev libelf-dev zlib1g-dev libsodium-dev libyaml-dev libb2-dev libjansson-dev \
	libmnl-dev libcap-ng-dev libseccomp-dev libqrencode-dev libnghttp2-dev libgnutls28-dev libhttp-parser2.9 \
	libmicrohttpd-dev android-libboringssl libcmocka-dev; do
	CROSS="$CROSS $library:arm64"
done

# Of the release: its clangs, and the runtime of the first, which has a version in its name, for the fuzzers.
clangs_of_release() {
	local release
	release=$(. /etc/os-release && echo "${VERSION_ID:-}")
	case $release in
	12) echo "clang-14 clang-16 clang-19 libclang-rt-14-dev" ;;
	13) echo "clang-19 clang-17 clang-18 libclang-rt-19-dev" ;;
	*) echo "deps.sh: Debian '$release': the names of packages are those of 12 and 13" >&2; exit 1 ;;
	esac
}

case ${1:-} in
"") wanted="$BUILD $DEMO" target=deps ;;
--check) clangs=$(clangs_of_release) && wanted="$BUILD $DEMO $TEST $CROSS $clangs" target=deps-check ;;
--release)
	clangs=$(clangs_of_release) && wanted="$BUILD $DEMO libcmocka-dev ccache $clangs" target="deps.sh --release"
	;;
*) echo "usage: deps.sh [--check|--release]" >&2; exit 2 ;;
esac

missing=()
for package in $wanted; do
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) = installed* ]] && continue
	# a newer tool of the same name, from wherever, will do
	case $package in
	golang-go) command -v go ;;
	cargo-web) command -v cargo ;;
	*) false ;;
	esac > /dev/null 2>&1 && continue
	missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages: ${missing[*]}" >&2
	echo "install them with: sudo make $target" >&2
	exit 1
fi

install=(apt-get install --no-install-recommends "${missing[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed() { tail -20 "$log" >&2; exit 1; }

# "Need to get 152 MB of archives. After this operation, 687 MB of additional disk space will be used."
size() {
	LC_ALL=C "${install[@]}" --assume-no 2> /dev/null |
		sed -n -e 's/^Need to get \(.*\) of archives\.$/\1 to fetch/p' \
			-e 's/^After this operation, \(.*\) of additional disk.*/, \1 on disk/p' |
		tr -d '\n'
}

# Reads apt's status lines, and says every tenth part.
progress() {
	awk -F: '
		/^(dl|pm)status:/ {
			step = int($3 / 10) * 10
			if ($1 != kind || step > said)
				printf "  %s %3d%%\n", $1 == "dlstatus" ? "fetched  " : "installed", $3
			if ($1 != kind || step > said)
				said = step
			kind = $1
			fflush()
		}'
}

export DEBIAN_FRONTEND=noninteractive
echo "installing: ${missing[*]}"
[ "$target" != deps-check ] || dpkg --add-architecture arm64
apt-get update -qq > "$log" 2>&1 || failed
echo "  $(size)"
# coturn is a server for the lab, not for this machine: it is neither started nor enabled
turn=/etc/systemd/system/coturn.service
[[ " ${missing[*]} " = *" coturn "* && ! -e $turn && -d ${turn%/*} ]] && ln -s /dev/null "$turn" || turn=
"${install[@]}" -y -qq -o APT::Status-Fd=3 3> >(progress) > "$log" 2>&1 || failed
if [ -n "$turn" ]; then
	rm -f "$turn" "${turn%/*}/multi-user.target.wants/coturn.service"
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
