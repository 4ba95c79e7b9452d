#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# others.sh [DIR]: the programs that Sluice must live beside, as Debian has them: Docker, firewalld, ufw, networkd.
# Their packages are downloaded and unpacked under DIR/others, with what they need and this machine has not; nothing
# is installed, for installing them starts them. A lab's host lays the folder over its own /usr and /etc.
# DIR defaults to ~/.cache/sluice-peers. Prints the folder.
set -euo pipefail

PACKAGES="docker.io iptables firewalld ufw dbus systemd"

dir=${1:-${SLUICE_PEERS:-$HOME/.cache/sluice-peers}}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 9> "$dir/.lock"
flock 9
others=$dir/others
[ "$(cat "$others/.packages" 2> /dev/null)" = "$PACKAGES" ] && echo "$others" && exit 0

rm -rf "$others"
mkdir -p "$others"/{debs/partial,root/etc,root/usr/{bin,sbin,lib,lib64}}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$others/root/$folder"; done
[ "$(id -u)" != 0 ] || chown _apt "$others/debs/partial" 2> /dev/null || true
# shellcheck disable=SC2086
apt-get install --download-only --no-install-recommends -y -qq -o Dir::Cache::archives="$others/debs" \
	-o Debug::NoLocking=1 -o APT::Sandbox::User=root $PACKAGES > "$others/log" 2>&1 ||
	{ cat "$others/log" >&2; exit 1; }
for deb in "$others"/debs/*.deb; do
	dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$others/root" --keep-directory-symlink
done
rm -rf "$others/debs"
for tool in {ip,ip6}tables{,-save,-restore}; do # what the packages' scripts would have chosen
	ln -sf xtables-nft-multi "$others/root/usr/sbin/$tool"
done
echo "$PACKAGES" > "$others/.packages"
echo "$others"
