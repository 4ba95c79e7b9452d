#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# style.sh: what a reviewer should not have to say. Lists lines over 120 columns, trailing blanks, files that
# clang-format-19 would write otherwise, names that are defined twice, includes that cross rooms or make circles, files
# over 600 lines and functions over 60, and files without a licence line. Long files and functions are a question ("what
# is it really two of?"), not a mistake; everything else makes the exit status 1.
set -euo pipefail
export LC_ALL=C.UTF-8 # lengths are of characters
cd "$(dirname "$0")/.."

status=0
mapfile -t files < <(git ls-files '*.c' '*.h' '*.py' '*.sh' | grep -v '^vmlinux.h$')

while IFS= read -r line; do echo "too long: $line"; status=1; done < <(
	for f in "${files[@]}"; do expand -t8 "$f" | grep -nE '.{121}' | sed "s|:.*||; s|^|$f:|" || true; done)
while IFS= read -r line; do echo "trailing blank: $line"; status=1; done < <(
	grep -nE '[ 	]+$' "${files[@]}" | cut -d: -f1,2)
for f in "${files[@]}"; do
	head -3 "$f" | grep -q SPDX-License-Identifier || { echo "no licence line: $f"; status=1; }
	lines=$(wc -l < "$f")
	[ "$lines" -le 600 ] || echo "long file: $f: $lines lines"
done
for f in $(printf '%s\n' "${files[@]}" | grep -E '\.[ch]$'); do
	awk -v f="$f" '
		/^{/ { start = NR }
		/^}/ && start {
			if (NR - start > 60)
				print "long function: " f ":" start ": " NR - start " lines"
			start = 0
		}' "$f"
done
git ls-files '*.[ch]' | grep -v '^vmlinux.h$' | xargs clang-format-19 --dry-run --Werror || status=1
tests/names.sh || status=1
tests/rooms.sh || status=1
tests/circles.py || status=1
exit $status
