#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# rooms.sh: which folder of user/ (a room) may include which. A line: a room, then what it may include besides itself: a
# folder, or one header of it; a long list goes on in a second line. Every source but user/main.c is in a room of the
# table, and every room of the table exists.
#
# The table keeps two promises. What a room does not name it cannot break, so a change stays where it belongs. And the
# code that speaks with the network (tailnet/transport, tailnet/coord, tailnet/relay) is used in the network process
# only: one header of tailnet/network is all that the gateway's side sees of it.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"

rooms='
base               policy/addr.h policy/alloc.h
wireguard          base/key.h base/clock.h policy/addr.h
kernel             base policy/addr.h policy/alloc.h bpf/contract.h bpf/blake2s.h gateway.skel.h
control            base
process            base policy/alloc.h
datapath           base wireguard kernel/tap_link.h policy/addr.h bpf/contract.h
config             base policy bpf/contract.h
ruleset            base config kernel policy
answers            base config kernel ruleset policy bpf/contract.h tailnet/types
print              base answers policy
gateway            base wireguard kernel control process datapath config ruleset answers policy bpf/contract.h
tailnet_gateway    base wireguard datapath config ruleset answers gateway policy tailnet/tailnet.h tailnet/types
tailnet_gateway    tailnet/netmap tailnet/ipc tailnet/disco
handlers           base wireguard datapath kernel control config ruleset answers gateway tailnet_gateway policy
handlers           tailnet/tailnet.h tailnet/types
doctor             base kernel config print policy tailnet/disco/stun.h
cli                base wireguard datapath kernel control config ruleset answers print gateway tailnet_gateway
cli                handlers doctor policy bpf/contract.h
system
tailnet/types      base policy
tailnet/netmap     base policy tailnet/types
tailnet/ipc        base policy wireguard/crypto.h tailnet/types tailnet/netmap
tailnet/disco      base policy wireguard/crypto.h wireguard/endpoint.h tailnet/types wireguard/secret_pool.h
tailnet/transport  base policy wireguard/crypto.h tailnet/types
tailnet/relay      base policy wireguard/crypto.h tailnet/types tailnet/ipc tailnet/transport
tailnet/coord      base policy wireguard/crypto.h tailnet/types tailnet/netmap tailnet/ipc tailnet/transport
tailnet/network    base policy wireguard/crypto.h process tailnet/types tailnet/ipc tailnet/transport tailnet/relay
tailnet/network    tailnet/coord
tailnet            base policy wireguard/crypto.h tailnet/types tailnet/netmap tailnet/ipc tailnet/network/process.h
'

# Known crossings, each with what mends it; none of them may be unneeded.
exceptions='
'

status=0
fail() { echo "$*"; status=1; }

sources=$(find user -name '*.[ch]' | LC_ALL=C sort)
declare -A allowed exception
while read -r room may; do [ -z "$room" ] || allowed[$room]+=" $may"; done <<< "$rooms"
while read -r room header; do [ -z "$room" ] || exception["$room $header"]=unused; done <<< "$exceptions"

for room in "${!allowed[@]}"; do
	[ -d "user/$room" ] || fail "user/$room is in the table of tests/rooms.sh, but there is no such folder"
done
for file in $sources; do
	room=${file#user/}; room=${room%/*}
	[ "$file" = user/main.c ] || [ -n "${allowed[$room]+is}" ] ||
		fail "$file is in no room: user/$room is not in the table of tests/rooms.sh"
done

may_include() { # room, header
	local header=${2#user/} entry
	[ "${header%/*}" != "$1" ] || return 0
	for entry in ${allowed[$1]}; do
		[ "$header" != "$entry" ] && [ "${header%/*}" != "$entry" ] || return 0
	done
	[ -n "${exception[$1 $2]+is}" ] && exception[$1 $2]=used
}

while IFS=: read -r file line include; do
	room=${file#user/}; room=${room%/*}
	header=${include#*\"}; header=${header%%\"*}
	[ "$file" != user/main.c ] && [ -n "${allowed[$room]+is}" ] || continue
	if [ ! -e "$header" ] && [ "$header" != gateway.skel.h ]; then
		case $header in
		*/*) fail "$file:$line: $header: a header of another room is named from the top: user/ROOM/NAME.h" ;;
		esac
		continue # beside it
	fi
	may_include "$room" "$header" || fail "$file:$line: user/$room may not include $header (tests/rooms.sh)"
done < <(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' $sources)

for known in "${!exception[@]}"; do
	[ "${exception[$known]}" = used ] || fail "an exception of tests/rooms.sh is not needed any more: $known"
done
exit $status
