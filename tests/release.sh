#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# release.sh [RELEASE] [COMMAND...]: builds and tests in a chroot of another Debian release (the other one of bookworm
# and trixie without a word) what this folder's working tree is now: by its compilers and libraries, on this kernel.
# The chroot is made by debootstrap, once, in ~/.cache/sluice-releases (or $SLUICE_RELEASES); what it mounts is seen
# by this script alone and ends with it. With a COMMAND, that is run there instead of the tests. Needs root.
set -euo pipefail

here=$(cd "$(dirname "$0")/.." && pwd)
declare -A other=([12]=trixie [13]=bookworm)
release=${1:-${other[$(. /etc/os-release && echo "${VERSION_ID:-}")]:-trixie}}
shift $(($# > 0))
place=${SLUICE_RELEASES:-$HOME/.cache/sluice-releases}/$release
mirror=${DEBIAN_MIRROR:-http://deb.debian.org}

if [ -z "${SLUICE_RELEASE_ALONE:-}" ]; then
	SLUICE_RELEASE_ALONE=1 exec unshare --mount --propagation private "$0" "$release" "$@"
fi

make_chroot() {
	rm -rf "$place.part"
	mkdir -p "${place%/*}"
	debootstrap --variant=minbase "$release" "$place.part" "$mirror/debian" > "${place%/*}/$release.log" 2>&1 ||
		{ tail -5 "${place%/*}/$release.log" >&2; exit 1; }
	echo "deb $mirror/debian-security $release-security main" > "$place.part/etc/apt/sources.list.d/security.list"
	mv -T "$place.part" "$place"
}

inside() { chroot "$place" /usr/bin/env -i HOME=/root PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
	DEBIAN_FRONTEND=noninteractive "$@"; }

# What is tracked and what is new, without what was built; the version is told, for git is not asked there.
copy_tree() {
	mkdir -p "$place/root/sluice/build"
	find "$place/root/sluice" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	(cd "$here" && git ls-files -z --cached --others --exclude-standard |
		while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
		tar -c --null -T - -f -) | tar -xf - -C "$place/root/sluice"
	git -C "$here" describe --always --dirty > "$place/root/sluice/build/version"
}

[ -d "$place" ] || make_chroot
mount --rbind /dev "$place/dev"
mount --rbind /sys "$place/sys"
mount -t proc proc "$place/proc"
cp -L /etc/resolv.conf "$place/etc/resolv.conf"
copy_tree
if [ $# -gt 0 ]; then
	inside sh -c 'cd /root/sluice && "$@"' sh "$@"
	exit
fi
inside sh -ec '
	cd /root/sluice
	tests/deps.sh --release
	make -j2 all unit-programs bpf-programs build/tests/conformance
	tests/check.py unit conformance bpf clangs-here'
