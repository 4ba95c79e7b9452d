#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# forms.sh SLUICE: inside the virtual machine of run.sh, devices that other kernels have not got, as egress: a bond, a
# bridge, a VLAN and one within a VLAN, a macvlan, an ipvlan, a VRF, an address on a dummy device; and an ipip tunnel,
# which is refused. In each form a client of that kernel's WireGuard reaches the service by ping, UDP and TCP, both
# ways, by the address of the form's device, and an answer by another interface or tag dies.
#
#   client 192.0.2.44 ── router ── service 203.0.113.9
#   wg0 100.64.0.5        │    │
#                 tunnel eth0 up0, in the form's way: 198.51.100.1
#                       gateway
set -euo pipefail

sluice=$1
wanted=${2:-plain bond bridge vlan qinq macvlan ipvlan vrf dummy ipip}
dir=$(mktemp -d)
umask 077
address=198.51.100.1 hop=198.51.100.254 service=203.0.113.9
failed=0

in_ns() { local ns=$1; shift; nsenter --net="/run/netns/$ns" "$@"; }
gw() { ip -n gateway "$@"; }
rt() { ip -n router "$@"; }

host() { # host NAME ADDRESS/24 ROUTER/24: beside the router
	ip netns add "$1"
	ip -n "$1" link set lo up
	ip link add eth0 netns "$1" type veth peer name "$1" netns router
	ip -n "$1" addr add "$2" dev eth0
	ip -n "$1" link set eth0 up
	rt addr add "$3" dev "$1"
	rt link set "$1" up
	ip -n "$1" route add default via "${3%/*}"
}

topology() {
	ip netns add router
	rt link set lo up
	in_ns router sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	host client 192.0.2.44/24 192.0.2.254/24
	host service $service/24 203.0.113.254/24
	host gateway 10.9.0.1/24 10.9.0.254/24
	in_ns gateway mount -t sysfs sysfs /sys
	mount -t bpf bpf /sys/fs/bpf
	in_ns service socat -T5 UDP4-LISTEN:5001,fork,reuseaddr EXEC:cat > /dev/null 2>&1 & # holds our output open
	in_ns service socat TCP4-LISTEN:5000,fork,reuseaddr EXEC:cat > /dev/null 2>&1 &
}

# The cable of the form: up0 at the gateway, down0 at the router, and what stands on each.
form() {
	gw link del up0 2> /dev/null || true
	gw route flush table 7 2> /dev/null || true
	for device in bond0 br0 vrf0 dummy0 tunl7; do gw link del "$device" 2> /dev/null || true; done
	ip link add up0 netns gateway type veth peer name down0 netns router
	egress=up0 far=down0 own=up0
	case $1 in
	bond)
		gw link add bond0 type bond mode active-backup
		gw link set up0 master bond0
		egress=bond0 own=bond0
		;;
	bridge)
		gw link add br0 type bridge
		gw link set up0 master br0
		egress=br0 own=br0
		;;
	vlan | qinq)
		gw link add link up0 name up0.100 type vlan id 100
		rt link add link down0 name down0.100 type vlan id 100
		egress=up0.100 far=down0.100 own=up0.100
		;;&
	qinq)
		gw link set up0 up
		rt link set down0 up
		gw link set up0.100 up
		rt link set down0.100 up
		gw link add link up0.100 name up0.200 type vlan id 200
		rt link add link down0.100 name down0.200 type vlan id 200
		egress=up0.200 far=down0.200 own=up0.200
		;;
	macvlan)
		gw link add link up0 name mac0 type macvlan mode bridge
		egress=mac0 own=mac0
		;;
	ipvlan)
		gw link add link up0 name ipv0 type ipvlan mode l2
		egress=ipv0 own=ipv0
		;;
	vrf)
		gw link add vrf0 type vrf table 7
		gw link set up0 master vrf0
		;;
	dummy)
		gw link add dummy0 type dummy
		gw link set dummy0 up
		own=dummy0
		;;
	ipip)
		gw link add tunl7 type ipip local 10.9.0.1 remote 10.9.0.254
		egress=tunl7 own=tunl7
		;;
	esac
	gw link set up0 up
	rt link set down0 up
	gw link set "$egress" up
	[ ! -e /sys/class/net/vrf0 ] && [ "$1" != vrf ] || gw link set vrf0 up
	rt link set "$far" up
	rt addr add $hop/24 dev "$far"
	if [ "$1" = dummy ]; then
		gw addr add 198.51.100.2/24 dev up0
		gw addr add $address/32 dev dummy0
		rt route add $address/32 via 198.51.100.2 dev down0
	elif [ "$1" = ipip ]; then
		gw addr add $address/32 dev tunl7
	else
		gw addr add $address/24 dev "$own"
	fi
	case $1 in
	vrf) gw route add 203.0.113.0/24 via $hop dev up0 table 7 ;;
	ipip) gw route replace 203.0.113.0/24 dev tunl7 ;;
	*) gw route replace 203.0.113.0/24 via $hop dev "$egress" ;;
	esac
}

configuration() {
	cat > "$dir/gateway.yaml" <<-EOT
	version: 1
	name: gw-1
	state: $dir/state
	tunnel:
	  private_key_file: gateway.key
	  addresses: [100.64.0.1/10]
	  underlay: [eth0]
	egress: {interface: $egress, addresses: [$address]}
	routes: [203.0.113.0/24]
	policy: policy.yaml
	clients:
	- name: alice-laptop
	  user: alice@example.com
	  public_key: $(wg pubkey < "$dir/client.key")
	  addresses: [100.64.0.5]
	EOT
	cat > "$dir/policy.yaml" <<-EOT
	acls:
	- {action: accept, src: [alice@example.com], dst: ["$service:*"]}
	EOT
}

client() {
	ip -n client link del wg0 2> /dev/null || true
	ip -n client link add wg0 type wireguard
	in_ns client wg set wg0 private-key "$dir/client.key" peer "$(wg pubkey < "$dir/gateway.key")" \
		allowed-ips 203.0.113.0/24 endpoint 10.9.0.1:51820
	ip -n client addr add 100.64.0.5/32 dev wg0
	ip -n client link set wg0 mtu 1420 up
	ip -n client route add 203.0.113.0/24 dev wg0
}

start() {
	in_ns gateway "$sluice" run -c "$dir/gateway.yaml" > "$dir/log" 2>&1 &
	daemon=$!
	for _ in $(seq 300); do
		"$sluice" status > "$dir/status" 2>&1 && return
		kill -0 "$daemon" 2> /dev/null || return 1
		sleep 0.1
	done
	return 1
}

end() {
	"$sluice" down > /dev/null 2>&1 || true
	wait "$daemon" 2> /dev/null || true
}

# check WHAT COMMAND...: one test; what the gateway said where it fails
check() {
	local what=$1
	shift
	if "$@" > "$dir/out" 2>&1; then
		echo "ok   $what"
	else
		echo "FAILED: $what"
		cat "$dir/out"
		"$sluice" drops 2> /dev/null || true
		cat "$dir/log"
		failed=1
	fi
}

udp_echo() { # from one source port, so that the answer's way can be forged
	[ "$(echo hello | in_ns client timeout 10 socat -t3 - "UDP4:$service:5001,sourceport=4000")" = hello ]
}

tcp_echo() {
	head -c 200K /dev/urandom > "$dir/sent"
	in_ns client timeout 60 socat -t10 - "TCP4:$service:5000" < "$dir/sent" > "$dir/got"
	cmp "$dir/sent" "$dir/got"
}

# Of the flow of udp_echo: its external port, or what it carried.
udp_flow() {
	"$sluice" flows |
		awk -v want="$1" '$5 == "udp" { print want == "port" ? $4 : $(NF - 3) $(NF - 2) $(NF - 1) $NF; exit }'
}
arrived() { cat /sys/class/net/eth0/statistics/rx_packets; }

# An answer to the flow of udp_echo that comes by eth0, the tunnel's interface, is none: it arrives, and the flow
# does not count it.
wrong_way() {
	local port before count
	port=$(udp_flow port)
	before=$(udp_flow bytes)
	count=$(arrived)
	rt route replace $address/32 via 10.9.0.1 dev gateway
	echo forged | in_ns service socat -t1 - "UDP4-SENDTO:$address$port,bind=$service:5001,reuseaddr"
	rt route del $address/32 via 10.9.0.1 dev gateway
	[ -n "$port" ] && [ "$(arrived)" -gt "$count" ] || { echo "it did not arrive"; return 1; }
	[ "$(udp_flow bytes)" = "$before" ] || { echo "it was taken: $before, $(udp_flow bytes)"; return 1; }
}

refused() {
	! in_ns gateway "$sluice" check --host "$dir/gateway.yaml" > "$dir/said" 2>&1 &&
		grep -q "carries no Ethernet frames" "$dir/said" && ! start &&
		grep -q "carries no Ethernet frames" "$dir/log"
}

topology
wg genkey > "$dir/client.key"
wg genkey > "$dir/gateway.key"
for form in $wanted; do
	form "$form"
	configuration
	if [ "$form" = ipip ]; then
		check "ipip: refused by check --host and at the start" refused
		continue
	fi
	if ! start; then
		echo "FAILED: $form: the start"
		cat "$dir/log"
		failed=1
		continue
	fi
	client
	check "$form: ping" in_ns client ping -c 1 -W 20 $service
	check "$form: UDP" udp_echo
	check "$form: TCP" tcp_echo
	check "$form: an answer by another interface is none" wrong_way
	end
done
exit $failed
