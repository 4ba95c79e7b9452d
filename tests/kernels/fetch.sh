#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# fetch.sh: Debian's 6.1 cloud kernel, the oldest that Sluice supports, unpacked but not installed. Prints its folder:
# vmlinuz and lib/modules/VERSION within. Kept in ~/.cache/sluice-kernels (or $SLUICE_KERNELS) between runs.
set -euo pipefail

cache=${SLUICE_KERNELS:-$HOME/.cache/sluice-kernels}
package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null |
	sed -n 's/.*Depends: \(linux-image-6\.1\.[^ ]*\)$/\1/p' | head -1)
if [ -z "$package" ]; then		# another release, or no package lists: what an earlier run fetched will do
	package=$(cd "$cache" 2> /dev/null && ls -d linux-image-6.1.* | tail -1) ||
		{ echo "fetch.sh: no 6.1 cloud kernel: apt-get update on Debian 12" >&2; exit 1; }
fi
dir=$cache/$package
if [ ! -e "$dir/vmlinuz" ]; then
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	chmod 755 "$tmp"
	(cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download "$package" && dpkg -x ./*.deb unpacked)
	version=${package#linux-image-}
	mkdir -p "$tmp/kernel"
	mv "$tmp/unpacked/lib" "$tmp/kernel/"
	depmod -b "$tmp/kernel" "$version"
	mv "$tmp/unpacked/boot/vmlinuz-$version" "$tmp/kernel/vmlinuz"
	mkdir -p "$cache"
	mv -T "$tmp/kernel" "$dir" 2> /dev/null || [ -e "$dir/vmlinuz" ]	# another run may have been first
fi
echo "$dir"
