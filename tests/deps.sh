#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs what building and testing need, on Debian 12. Does nothing, and asks
# nobody, where all of it is there.
set -eu

BUILD="gcc make pkg-config git clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libsodium-dev libyaml-dev libb2-dev
libjansson-dev libmnl-dev libcap-ng-dev libseccomp-dev libqrencode-dev libnghttp2-dev libgnutls28-dev
android-libboringssl-dev"
TEST="libcmocka-dev libclang-rt-14-dev python3 python3-pytest python3-scapy iproute2 nftables ethtool iperf3 tcpdump
iputils-ping wireguard-tools wireguard-go curl jq socat busybox-static qemu-system-x86 qemu-user kmod"
ARM64="gcc-aarch64-linux-gnu libc6-dev-arm64-cross"

missing=()
for package in $BUILD $TEST $ARM64; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" != 0 ]; then
	echo "missing packages: ${missing[*]}" >&2
	echo "install them with: sudo make deps" >&2
	exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" > /tmp/sluice-deps.log 2>&1 ||
	{ tail -20 /tmp/sluice-deps.log >&2; exit 1; }
