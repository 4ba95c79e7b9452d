#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check.sh [BUILD]: what `make check-kernels` runs on the oldest supported kernel, from a build folder (build/): every
# program of BUILD/tests/bpf, and 50 MB each way between that kernel's own WireGuard module and BUILD/sluice.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${1:-$here/../../build}" && pwd)
PROGRAMS="ip tc wg nsenter ping sysctl md5sum seq sleep head mktemp stat date grep socat cat mount"

tests=("$build"/tests/bpf/test_*)
programs=()
for file in "${tests[@]}"; do
	[[ $file = *.d ]] || programs+=("$file")
done
[ -x "${programs[0]:-}" ] || { echo "check.sh: no tests in $build/tests/bpf: run make check-bpf first" >&2; exit 1; }
[ -x "$build/sluice" ] || { echo "check.sh: no $build/sluice: run make first" >&2; exit 1; }

options=()
for file in "${programs[@]}"; do options+=(-f "$file"); done
"$here/run.sh" -t 1500 "${options[@]}" busybox sh -c '
	failed=0
	for test; do
		echo "== ${test##*/} on $(uname -r)"
		CMOCKA_MESSAGE_OUTPUT=TAP "$test" || failed=1
	done
	exit $failed' sh "${programs[@]}"

options=()
for name in $PROGRAMS; do options+=(-f "$name"); done
exec "$here/run.sh" -t 900 "${options[@]}" -f "$build/sluice" "$here/wireguard.sh" "$build/sluice"
