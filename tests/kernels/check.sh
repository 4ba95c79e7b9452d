#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check.sh [-k SERIES] [-f] [BUILD]: what `make check-kernels` runs on another kernel (fetch.sh; the oldest supported
# without a word), from a build folder (build/): every program of BUILD/tests/bpf, and 50 MB each way between that
# kernel's own WireGuard module and BUILD/sluice. -f: then that one by each form of egress device that the kernel has.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
PROGRAMS="ip tc wg nsenter ping sysctl md5sum seq sleep head mktemp stat date grep socat cat mount"
FORMS="8021q bonding bridge macvlan ipvlan vrf dummy ipip"
kernel=() forms=
while getopts k:f option; do
	case $option in
	f) forms=1 ;;
	k) kernel=(-k "$OPTARG") ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
build=$(cd "${1:-$here/../../build}" && pwd)

tests=("$build"/tests/bpf/test_*)
programs=()
for file in "${tests[@]}"; do
	[[ $file = *.d ]] || programs+=("$file")
done
[ -x "${programs[0]:-}" ] || { echo "check.sh: no tests in $build/tests/bpf: run make check-bpf first" >&2; exit 1; }
[ -x "$build/sluice" ] || { echo "check.sh: no $build/sluice: run make first" >&2; exit 1; }

options=()
for file in "${programs[@]}"; do options+=(-f "$file"); done
"$here/run.sh" "${kernel[@]}" -t 1500 "${options[@]}" busybox sh -c '
	failed=0
	for test; do
		echo "== ${test##*/} on $(uname -r)"
		CMOCKA_MESSAGE_OUTPUT=TAP "$test" || failed=1
	done
	exit $failed' sh "${programs[@]}"

options=()
for name in $PROGRAMS; do options+=(-f "$name"); done
"$here/run.sh" "${kernel[@]}" -t 900 "${options[@]}" -f "$build/sluice" "$here/wireguard.sh" "$build/sluice"

[ -n "$forms" ] || exit 0
for name in cmp tr timeout; do options+=(-f "$name"); done
for module in $FORMS; do options+=(-m "$module"); done
exec "$here/run.sh" "${kernel[@]}" -t 1200 "${options[@]}" -f "$build/sluice" "$here/forms.sh" "$build/sluice"
