#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# names.sh: a function's name stands once in the sources, so that a search for the name finds one definition. A static
# function carries the noun of its file. Implementations of one interface, of which a build links one, share names.
set -euo pipefail
cd "$(dirname "$0")/.."

same_interface='^user/wireguard/aead_[a-z]+\.c$'
git ls-files 'user/*.[ch]' 'policy/*.[ch]' 'bpf/*.[ch]' | grep -vE "$same_interface" |
	xargs ctags -x --c-kinds=f --_xformat='%N %F:%n' | sort | awk '
		$1 == name { print "defined twice: " name ": " place ", " $2; twice = 1 }
		{ name = $1; place = $2 }
		END { exit twice }'
