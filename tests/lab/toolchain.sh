# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Sourced by what builds peers; expects a folder $tmp. A Go older than GO_NEEDED (Debian 12 has 1.19) fetches that
# toolchain as a module from the Go module proxy, checked against the checksum database like any other module.
GO_NEEDED=1.26.5

die() { echo "${0##*/}: $*" >&2; exit 1; }

# Prints a go that is at least GO_NEEDED.
go_command() {
	local have
	command -v go > /dev/null || die "no go: apt-get install golang-go"
	have=$(go env GOVERSION); have=${have#go}
	if [ "$(printf '%s\n' "$GO_NEEDED" "${have%% *}" | sort -V | head -1)" = "$GO_NEEDED" ]; then
		command -v go
		return
	fi
	# A toolchain is a module whose files lost their execute bits on the way.
	local root
	root=$(cd "$tmp" && GOFLAGS=-mod=mod go mod download -json \
		"golang.org/toolchain@v0.0.1-go$GO_NEEDED.linux-$(go env GOARCH)" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
	[ -x "$root/bin/go" ] || find "$root/bin" "$root/pkg/tool" -type f -exec chmod a+x {} +
	echo "$root/bin/go"
}
