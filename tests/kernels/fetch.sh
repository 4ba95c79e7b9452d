#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fetch.sh [SERIES]: a cloud kernel of Debian's, unpacked but not installed: 6.1 (Debian 12; the oldest that Sluice
# supports, and what is meant without a word) or 6.12 (Debian 13). Prints its folder: vmlinuz and lib/modules/VERSION
# within. Kept in ~/.cache/sluice-kernels (or $SLUICE_KERNELS) between runs. Package lists and the package are fetched
# beside those of this machine, whatever it runs.
set -euo pipefail

series=${1:-6.1}
cache=${SLUICE_KERNELS:-$HOME/.cache/sluice-kernels}
declare -A releases=([6.1]=bookworm [6.12]=trixie)

die() { echo "fetch.sh: $*" >&2; exit 1; }

# What an earlier run fetched will do; another version may have been published since, which is no reason to wait.
newest() { ls -d "$cache/linux-image-$series".*/vmlinuz 2> /dev/null | sort -V | tail -1; }

# In the folder $tmp: an apt of its own for the release.
beside() {
	local release=$1 mirror=${DEBIAN_MIRROR:-http://deb.debian.org}
	mkdir -p "$tmp"/{lists/partial,archives/partial}
	cat > "$tmp/sources.list" <<-EOT
	deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/debian $release main
	deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror/debian-security $release-security main
	EOT
	options=(-o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$tmp/sources.list"
		-o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$tmp/lists" -o "Dir::Cache=$tmp"
		-o Dir::State::status=/dev/null
		-o APT::Architecture=amd64 -o APT::Architectures=amd64 -o Acquire::Languages=none)
	apt-get -qq "${options[@]}" update
}

fetch() {
	local package version
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	chmod 755 "$tmp"
	beside "${releases[$series]:-}"
	package=$(apt-cache "${options[@]}" depends linux-image-cloud-amd64 |
		sed -n "s/.*Depends: \(linux-image-${series//./\\.}\.[^ ]*\)$/\1/p" | head -1)
	[ -n "$package" ] || die "no $series cloud kernel in ${releases[$series]}"
	(cd "$tmp" && apt-get -qq "${options[@]}" download "$package" && dpkg -x ./*.deb unpacked)
	version=${package#linux-image-}
	mkdir -p "$tmp/kernel"
	mv "$tmp/unpacked/lib" "$tmp/kernel/" 2> /dev/null || mv "$tmp/unpacked/usr/lib" "$tmp/kernel/"
	depmod -b "$tmp/kernel" "$version"
	mv "$tmp/unpacked/boot/vmlinuz-$version" "$tmp/kernel/vmlinuz"
	mkdir -p "$cache"
	mv -T "$tmp/kernel" "$cache/$package" 2> /dev/null || [ -n "$(newest)" ] # another run may have been first
}

[ -n "${releases[$series]:-}" ] || die "$series: expected one of ${!releases[*]}"
[ -n "$(newest)" ] || fetch >&2
dirname "$(newest)"
