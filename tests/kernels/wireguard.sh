#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# wireguard.sh [SLUICE]: inside the virtual machine of run.sh, the kernel's own WireGuard module is a client of Sluice,
# and 50 MB go each way, checked byte for byte; then the same over IPv6, outside and inside, with less.
#
#   client 192.0.2.44 ─────── router ─────── service 203.0.113.9
#   wg0 100.64.0.5              │            admits 198.51.100.1 only: it has no route to any other
#                      gateway 198.51.100.1 (one-armed)
#
# Without SLUICE the kernel's module is the gateway too, with routing instead of translation: that tests this script.
set -euo pipefail

sluice=${1:-}
megabytes=${MEGABYTES:-50}
dir=$(mktemp -d)
umask 077
declare -A service=([4]=203.0.113.9 [6]=2001:db8:3::9)

in_ns() { local ns=$1; shift; nsenter --net="/run/netns/$ns" "$@"; }
die() { echo "FAILED: $*"; [ ! -e "$dir/log" ] || cat "$dir/log"; exit 1; }

cable() { # cable NS ADDRESS ADDRESS6 ROUTER ROUTER6: a host beside the router
	ip netns add "$1"
	ip -n "$1" link set lo up
	in_ns "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.conf.default.rp_filter=0
	ip link add eth0 netns "$1" type veth peer name "$1" netns router
	ip -n "$1" link set eth0 up
	ip -n router link set "$1" up
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" addr add "$3/64" dev eth0 nodad
	ip -n router addr add "$4/24" dev "$1"
	ip -n router addr add "$5/64" dev "$1" nodad
}

topology() {
	ip netns add router
	in_ns router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0
	cable client 192.0.2.44 2001:db8:2::44 192.0.2.254 2001:db8:2::fe
	cable gateway 198.51.100.1 2001:db8:1::1 198.51.100.254 2001:db8:1::fe
	cable service 203.0.113.9 2001:db8:3::9 203.0.113.254 2001:db8:3::fe
	for ns in client:2:192.0.2.254 gateway:1:198.51.100.254; do
		ip -n "${ns%%:*}" route add default via "${ns##*:}"
		ns=${ns%:*}
		ip -n "${ns%:*}" -6 route add default via "2001:db8:${ns#*:}::fe"
	done
	ip -n service route add 198.51.100.1/32 via 203.0.113.254
	ip -n service -6 route add 2001:db8:1::1/128 via 2001:db8:3::fe
}

client() { # client ENDPOINT: its tunnel, by the kernel's module
	[ -e "/sys/module/wireguard" ] || die "no wireguard module in this kernel"
	ip -n client link del wg0 2> /dev/null || true
	ip -n client link add wg0 type wireguard
	in_ns client wg set wg0 private-key "$dir/client.key" peer "$(wg pubkey < "$dir/gateway.key")" \
		allowed-ips 203.0.113.0/24,2001:db8:3::/64 endpoint "$1"
	ip -n client addr add 100.64.0.5/32 dev wg0
	ip -n client addr add fd7a:115c:a1e0::5/128 dev wg0 nodad
	ip -n client link set wg0 mtu 1420 up
	ip -n client route add 203.0.113.0/24 dev wg0
	ip -n client -6 route add 2001:db8:3::/64 dev wg0
}

gateway_sluice() {
	cat > "$dir/gateway.yaml" <<-EOT
	version: 1
	name: gw-1
	state: $dir/state
	tunnel:
	  private_key_file: gateway.key
	  addresses: [100.64.0.1/10, "fd7a:115c:a1e0::1/48"]
	egress: {interface: eth0, addresses: [198.51.100.1, "2001:db8:1::1"]}
	routes: [203.0.113.0/24, "2001:db8:3::/64"]
	policy: policy.yaml
	clients:
	- name: alice-laptop
	  user: alice@example.com
	  public_key: $(wg pubkey < "$dir/client.key")
	  addresses: [100.64.0.5, "fd7a:115c:a1e0::5"]
	EOT
	cat > "$dir/policy.yaml" <<-EOT
	acls:
	- {action: accept, src: [alice@example.com], dst: ["203.0.113.9:*", "2001:db8:3::9:*"]}
	EOT
	in_ns gateway mount -t sysfs sysfs /sys		# shows the devices of the namespace that mounts it
	mount -t bpf bpf /sys/fs/bpf
	in_ns gateway "$sluice" run -c "$dir/gateway.yaml" > "$dir/log" 2>&1 &
	daemon=$!
	for _ in $(seq 200); do
		"$sluice" status > "$dir/status" 2>&1 && return
		kill -0 "$daemon" 2> /dev/null || die "sluice ended at once"
		sleep 0.1
	done
	die "sluice did not answer within 20 s: $(cat "$dir/status")"
}

gateway_kernel() {
	in_ns gateway sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	ip -n gateway link add wg0 type wireguard
	in_ns gateway wg set wg0 listen-port 51820 private-key "$dir/gateway.key" \
		peer "$(wg pubkey < "$dir/client.key")" allowed-ips 100.64.0.5/32,fd7a:115c:a1e0::5/128
	ip -n gateway link set wg0 up
	ip -n gateway route add 100.64.0.0/10 dev wg0
	ip -n gateway -6 route add fd7a:115c:a1e0::/48 dev wg0
	for ns in router:198.51.100.1:2001:db8:1::1 service:203.0.113.254:2001:db8:3::fe; do
		local name=${ns%%:*} via=${ns#*:}
		ip -n "$name" route add 100.64.0.0/10 via "${via%%:*}"
		ip -n "$name" -6 route add fd7a:115c:a1e0::/48 via "${via#*:}"
	done
}

# transfer FAMILY MEGABYTES up|down: a file crosses by TCP between client and service, and arrives as it was
transfer() {
	local to=${service[$1]} listener began sum
	[ "$1" = 4 ] || to="[$to]"
	head -c "${2}M" "$dir/data" > "$dir/part"
	sum=$(md5sum < "$dir/part")
	began=$(date +%s%N)
	case $3 in
	up)
		in_ns service socat -u TCP6-LISTEN:5000,ipv6only=0,reuseaddr "CREATE:$dir/got" & listener=$!
		in_ns client socat -u "OPEN:$dir/part" "TCP:$to:5000,retry=50,interval=0.1" ||
			die "IPv$1 up: no connection"
		;;
	down)
		in_ns service socat -u "OPEN:$dir/part" TCP6-LISTEN:5000,ipv6only=0,reuseaddr & listener=$!
		in_ns client socat -u "TCP:$to:5000,retry=50,interval=0.1" "CREATE:$dir/got" ||
			die "IPv$1 down: no connection"
		;;
	esac
	wait "$listener" || die "IPv$1 $3: the service's end failed"
	[ "$(md5sum < "$dir/got")" = "$sum" ] || die "IPv$1 $3: $(stat -c %s "$dir/got") bytes arrived, or damaged"
	echo "ok   IPv$1 $3: $2 MB in $((($(date +%s%N) - began) / 1000000)) ms"
}

wg genkey > "$dir/client.key"
wg genkey > "$dir/gateway.key"
chmod 600 "$dir"/*.key
head -c "${megabytes}M" /dev/urandom > "$dir/data"
topology
echo "kernel $(uname -r), gateway: ${sluice:-its own module}"
if [ -n "$sluice" ]; then gateway_sluice; else gateway_kernel; fi

client 198.51.100.1:51820
in_ns client ping -c 1 -W 15 203.0.113.9 > /dev/null || die "no ping through the tunnel"
transfer 4 "$megabytes" up
transfer 4 "$megabytes" down
client "[2001:db8:1::1]:51820"
in_ns client ping -c 1 -W 15 2001:db8:3::9 > /dev/null || die "no ping through the tunnel over IPv6"
transfer 6 5 up
transfer 6 5 down
if [ -n "$sluice" ]; then
	"$sluice" status
	"$sluice" drops
	"$sluice" down
	[ ! -e /sys/fs/bpf/sluice ] || die "down left pins"
	! in_ns gateway tc qdisc show | grep clsact || die "down left clsact"
	! ip -n gateway link show sluice0 2> /dev/null || die "down left the TAP"
fi
echo PASSED
