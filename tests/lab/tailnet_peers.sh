#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# tailnet_peers.sh [DIR]: builds what a real tailnet is made of, each at one fixed version, beside the peers of
# peers.sh: headscale, tailscaled, tailscale. DIR defaults to ~/.cache/sluice-peers. About 5 minutes, once.
set -euo pipefail

TAILSCALE=v1.98.10
HEADSCALE=v0.28.0

dir=${1:-${SLUICE_PEERS:-$HOME/.cache/sluice-peers}}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 9> "$dir/.lock"
flock 9
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

# build MODULE VERSION PACKAGE...: each package becomes a program named after its last part
build() {
	local module=$1 version=$2 package
	shift 2
	mkdir -p "$tmp/$$" && cd "$tmp/$$" && rm -f go.mod go.sum
	go mod init peers 2> /dev/null
	go get "$module@$version"
	for package in "$@"; do
		go build -mod=mod -trimpath -o "$dir/.${package##*/}.new" "$package"
		mv "$dir/.${package##*/}.new" "$dir/${package##*/}"
	done
}

if [ ! -x "$dir/tailscaled" ] || [ ! -x "$dir/tailscale" ]; then
	build tailscale.com $TAILSCALE tailscale.com/cmd/tailscaled tailscale.com/cmd/tailscale
fi
if [ ! -x "$dir/headscale" ]; then
	# one of its requirements is missing from the checksum database
	export GONOSUMDB=github.com/tailscale/tailsql
	build github.com/juanfont/headscale $HEADSCALE github.com/juanfont/headscale/cmd/headscale
fi
echo "$dir"
