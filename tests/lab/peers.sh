#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# peers.sh [DIR]: builds the real peers that the lab talks to, each at one fixed version.
#
#   wireguard-go   the Go implementation: a client, the far end, and the engine of the bench's baseline
#   boringtun-cli  the Rust implementation
#   quic-server, quic-client   quic-go's examples, HTTP/3: traffic for the tunnel (Debian 12 has no QUIC)
#
# DIR defaults to ~/.cache/sluice-peers, outside the tree, so that a clean checkout does not build them again.
# A peer that is there already at its version is left alone; two runs at once wait for each other.
#
# Needs a Go of any age (toolchain.sh) and a Rust of 1.85 or younger than that (cargo-web on Debian 12: its plain
# cargo is 0.66, too old for the peers' crates).
set -euo pipefail

WIREGUARD_GO=v0.0.0-20250521234502-f333402bd9cb
BORINGTUN=0.7.0
QUIC_GO=v0.48.2

dir=${1:-${SLUICE_PEERS:-$HOME/.cache/sluice-peers}}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# Nobody waits for the lock where all is there.
versions="$WIREGUARD_GO $BORINGTUN $QUIC_GO"
[ "$(cat "$dir/.peers" 2> /dev/null)" = "$versions" ] && echo "$dir" && exit 0
exec 9> "$dir/.lock"
flock 9
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

# shellcheck source=tests/lab/toolchain.sh
. "$(dirname "$0")/toolchain.sh"

# built NAME VERSION: the peer is there, and is the one this script would build
built() { [ -x "$dir/$1" ] && [ "$(cat "$dir/.$1.version" 2>/dev/null)" = "$2" ]; }

# keep NAME VERSION FILE: the finished program appears under its name in one step
keep() {
	install -m 755 "$3" "$dir/.$1.new"
	mv "$dir/.$1.new" "$dir/$1"
	echo "$2" > "$dir/.$1.version"
}

# go_build NAME VERSION PACKAGE
go_build() {
	local go
	built "$1" "$2" && return
	go=$(go_command)
	mkdir "$tmp/$1"
	(
		cd "$tmp/$1"
		export GOTOOLCHAIN=local GOFLAGS=-mod=mod
		"$go" mod init peers 2> /dev/null
		"$go" get "$3@$2"
		"$go" build -trimpath -o program "$3"
	)
	keep "$1" "$2" "$tmp/$1/program"
}

# cargo_build NAME VERSION: the program has its crate's name. By the crate's own lock file: newer versions of what it
# uses, and the lock file of boringtun-cli 0.7.1, ask for a younger Rust than Debian's.
cargo_build() {
	built "$1" "$2" && return
	command -v cargo > /dev/null || die "no cargo: apt-get install cargo-web"
	cargo install --locked --quiet "$1" --version "$2" --root "$tmp/$1"
	keep "$1" "$2" "$tmp/$1/bin/$1"
}

go_build wireguard-go "$WIREGUARD_GO" golang.zx2c4.com/wireguard
go_build quic-server "$QUIC_GO" github.com/quic-go/quic-go/example
go_build quic-client "$QUIC_GO" github.com/quic-go/quic-go/example/client
cargo_build boringtun-cli "$BORINGTUN"
echo "$versions" > "$dir/.peers"
echo "$dir"
