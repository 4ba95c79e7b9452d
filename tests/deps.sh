#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs what building and testing need, on Debian 12. Does nothing, and asks
# nobody, where all of it is there.
set -eu

BUILD="gcc make pkg-config git clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libsodium-dev libyaml-dev
libb2-dev libjansson-dev libmnl-dev libcap-ng-dev libseccomp-dev libqrencode-dev libnghttp2-dev libgnutls28-dev
libhttp-parser-dev libmicrohttpd-dev android-libboringssl-dev"
TEST="libcmocka-dev libclang-rt-14-dev python3 python3-pytest python3-pytest-xdist python3-scapy python3-yaml iproute2
traceroute nftables procps ethtool iperf3 tcpdump iputils-ping wireguard-tools wireguard-go curl openssl jq socat strace
busybox-static qemu-system-x86 qemu-user kmod cpio ca-certificates golang-go cargo-web coturn stun-client sip-tester
nghttp2-client nghttp2-server dnsmasq-base bind9-dnsutils dropbear-bin openssh-client python3-pyftpdlib
python3-websockets python3-prometheus-client clang-format-19 universal-ctags"
# the unit tests on another machine: its compiler, and the libraries for it
CROSS="gcc-aarch64-linux-gnu"
for library in libc6-dev libbpf-dev libelf-dev zlib1g-dev libsodium-dev libyaml-dev libb2-dev libjansson-dev \
	libmnl-dev libcap-ng-dev libseccomp-dev libqrencode-dev libnghttp2-dev libgnutls28-dev libhttp-parser2.9 \
	libmicrohttpd-dev android-libboringssl libcmocka-dev; do
	CROSS="$CROSS $library:arm64"
done

missing=()
for package in $BUILD $TEST $CROSS; do
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
	echo "install them with: sudo make deps" >&2
	exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
dpkg --add-architecture arm64
# coturn is a server for the lab, not for this machine: it is neither started nor enabled
turn=/etc/systemd/system/coturn.service
[[ " ${missing[*]} " = *" coturn "* && ! -e $turn && -d ${turn%/*} ]] && ln -s /dev/null "$turn" || turn=
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
	tail -20 "$log" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
if [ -n "$turn" ]; then
	rm -f "$turn" "${turn%/*}/multi-user.target.wants/coturn.service"
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
fi
