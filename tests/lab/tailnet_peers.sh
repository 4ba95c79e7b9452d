#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# tailnet_peers.sh [DIR]: builds what a real tailnet is made of, each at one fixed version, beside the peers of
# peers.sh: headscale, tailscaled, tailscale, derper, in DIR/older and DIR/newer an older client and a newer server,
# and two programs of ours: crowd (crowd_server) around Tailscale's coordination server for tests, and hostile_node,
# with Tailscale's client of the control protocol. DIR defaults to ~/.cache/sluice-peers. About 10 minutes, once.
set -euo pipefail

TAILSCALE=v1.98.10
OLDER_TAILSCALE=v1.80.3
HEADSCALE=v0.28.0
NEWER_HEADSCALE=v0.29.2

here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-${SLUICE_PEERS:-$HOME/.cache/sluice-peers}}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
exec 9> "$dir/.lock"
flock 9
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

# shellcheck source=tests/lab/toolchain.sh
. "$here/toolchain.sh"
export GOTOOLCHAIN=local
go=

# build WHERE MODULE VERSION PACKAGE...: each package becomes a program in WHERE, named after its last part
build() {
	local where=$1 module=$2 version=$3 package
	shift 3
	for package in "$@"; do
		[ -x "$where/${package##*/}" ] || break
		[ "$package" != "${!#}" ] || return 0
	done
	mkdir -p "$where" "$tmp/$$" && cd "$tmp/$$" && rm -f go.mod go.sum
	go=${go:-$(go_command)}
	"$go" mod init peers 2> /dev/null
	"$go" get "$module@$version"
	for package in "$@"; do
		"$go" build -mod=mod -trimpath -o "$where/.${package##*/}.new" "$package"
		mv "$where/.${package##*/}.new" "$where/${package##*/}"
	done
}

tailscale() {
	build "$1" tailscale.com "$2" tailscale.com/cmd/tailscaled tailscale.com/cmd/tailscale
}

headscale() {
	# one of its requirements is missing from the checksum database
	GONOSUMDB=github.com/tailscale/tailsql \
		build "$1" github.com/juanfont/headscale "$2" github.com/juanfont/headscale/cmd/headscale
}

# ours NAME FOLDER: as our source is now
ours() {
	local name=$1 source=$here/$2/main.go version
	version="$TAILSCALE $(sha256sum < "$source")"
	[ -x "$dir/$name" ] && [ "$(cat "$dir/.$name.version" 2> /dev/null)" = "$version" ] && return
	rm -f "$dir/$name"
	mkdir "$tmp/$name" && cd "$tmp/$name"
	cp "$source" .
	go=${go:-$(go_command)}
	"$go" mod init "$name" 2> /dev/null
	"$go" get "tailscale.com@$TAILSCALE"
	"$go" build -mod=mod -trimpath -o "$dir/$name"
	echo "$version" > "$dir/.$name.version"
}

tailscale "$dir" $TAILSCALE
build "$dir" tailscale.com $TAILSCALE tailscale.com/cmd/derper
headscale "$dir" $HEADSCALE
tailscale "$dir/older" $OLDER_TAILSCALE
headscale "$dir/newer" $NEWER_HEADSCALE
ours crowd crowd_server
ours hostile_node hostile_node
echo "$dir"
