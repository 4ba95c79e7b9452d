#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# demo.sh [SLUICE]: the main job on real traffic, in namespaces of its own, in half a minute. `make demo` runs it.
#
#   alice 192.0.2.44 ─┐
#                     ├─ internet ─── service 203.0.113.9 (HTTP; its firewall admits 198.51.100.1 only)
#   bob  192.0.2.145 ─┘      │
#                         gateway eth0 198.51.100.1: one NIC carries the tunnel and the translated traffic
#
# alice and bob run wireguard-go, as Debian packages it. Everything here lives in namespaces whose names start with
# "sluice-demo-" and this process's number; it is gone when the demo ends, however it ends.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
sluice=$(realpath "${1:-$root/build/sluice}")
prefix=sluice-demo-$$
megabytes=${DEMO_MEGABYTES:-300}
dir=
bold= plain=
[ ! -t 1 ] || [ -n "${NO_COLOR:-}" ] || { bold=$'\e[1m' plain=$'\e[0m'; }

die() { echo "demo: $*" >&2; exit 1; }
ns() { echo "$prefix-$1"; }
ip_of() { ip -n "$(ns "$1")" "${@:2}"; }
on() { nsenter --net="/run/netns/$(ns "$1")" -- "${@:2}"; }	# keeps our /run and bpffs: see private_mounts
background() { on "$@" >> "$dir/log" 2>&1 & }
step() { printf '\n%s%s  %s%s\n' "$bold" "$1" "$2" "$plain"; }
result() { printf '   %-32s %s\n' "$1" "$2"; }
show() { printf '   $ sluice %s\n' "$*"; "$sluice" "$@" | sed 's/^/   /'; }

# A mount namespace of our own, so that the gateway has its default paths to itself: /run/sluice, /sys/fs/bpf/sluice.
private_mounts() {
	[ -z "${SLUICE_DEMO:-}" ] || return 0
	[ "$(id -u)" = 0 ] || die "needs root: network namespaces, a TUN device, BPF"
	SLUICE_DEMO=1 exec unshare --mount --propagation private "$0" "$@"
}

cleanup() {
	local status=$? name pids
	trap - EXIT INT TERM
	disown -a
	for name in alice bob internet gateway service; do
		pids=$(ip netns pids "$(ns $name)" 2> /dev/null) && [ -n "$pids" ] && kill -9 $pids 2> /dev/null
		ip netns del "$(ns $name)" 2> /dev/null
	done
	[ "$status" = 0 ] || [ ! -s "$dir/log" ] || { echo "--- what the programs said:" >&2; tail -30 "$dir/log" >&2; }
	rm -rf "$dir"
	exit "$status"
}

host() { # host NAME ADDRESS/24 ROUTER: a machine on the internet
	ip netns add "$(ns "$1")"
	ip_of "$1" link set lo up
	ip link add eth0 netns "$(ns "$1")" type veth peer name "$1" netns "$(ns internet)"
	ip_of "$1" addr add "$2" dev eth0
	ip_of "$1" link set eth0 up
	ip_of internet addr add "$3" dev "$1"
	ip_of internet link set "$1" up
	ip_of "$1" route add default via "${3%/*}"
}

topology() {
	ip netns add "$(ns internet)"
	ip_of internet link set lo up
	on internet sysctl -qw net.ipv4.ip_forward=1
	host alice 192.0.2.44/28 192.0.2.46/28
	host bob 192.0.2.145/28 192.0.2.158/28
	host gateway 198.51.100.1/24 198.51.100.254/24
	host service 203.0.113.9/24 203.0.113.254/24
}

service() { # an HTTP server, and the firewall that makes all this necessary
	on service nft -f - <<-EOT
	table inet allowlist { chain input {
		type filter hook input priority 0; policy drop
		iif lo accept
		ip saddr 198.51.100.1 accept
	}; }
	EOT
	mkdir "$dir/www"
	echo "hello" > "$dir/www/index.html"
	truncate -s "${megabytes}M" "$dir/www/big"
	background service /usr/bin/python3 -u -m http.server --directory "$dir/www" 80
	until on service bash -c 'exec 3<> /dev/tcp/127.0.0.1/80' 2> /dev/null; do sleep 0.05; done
}

# The last client that the service's log names.
service_saw() { grep -o '^[0-9.]* - - .*"GET' "$dir/log" | tail -1 | cut -d' ' -f1; }

configuration() {
	local name alice bob
	for name in gateway alice bob; do (umask 077; wg genkey > "$dir/$name.key"); done
	alice=$(wg pubkey < "$dir/alice.key")
	bob=$(wg pubkey < "$dir/bob.key")
	cat > "$dir/policy.yaml" <<-EOT
	groups:
	  group:eng: [alice@example.com]
	hosts:
	  billing-api: 203.0.113.9
	acls:
	- {action: accept, src: [group:eng], dst: ["billing-api:80"]}
	EOT
	cat > "$dir/gateway.yaml" <<-EOT
	version: 1
	name: gw-demo
	state: $dir/state
	tunnel:
	  private_key_file: gateway.key
	  addresses: [100.64.0.1/10]
	egress:
	  interface: eth0
	  addresses: [198.51.100.1]
	routes: [203.0.113.0/24]
	policy: policy.yaml
	clients:
	- {name: alice-laptop, user: alice@example.com, addresses: [100.64.0.5], public_key: $alice}
	- {name: bob-laptop, user: bob@example.com, addresses: [100.64.0.6], public_key: $bob}
	EOT
}

gateway() {
	nsenter --net="/run/netns/$(ns gateway)" -- "$sluice" run -c "$dir/gateway.yaml" >> "$dir/log" 2>&1 &
	daemon=$!
	for _ in $(seq 100); do
		"$sluice" status > /dev/null 2>&1 && return
		kill -0 "$daemon" 2> /dev/null || die "sluice ended at once"
		sleep 0.1
	done
	die "sluice does not answer"
}

tunnel() { # tunnel NAME ADDRESS: a laptop's WireGuard
	background "$1" env LOG_LEVEL=error wireguard-go -f "$1"
	until [ -S "/run/wireguard/$1.sock" ]; do sleep 0.05; done
	on "$1" wg set "$1" private-key "$dir/$1.key" peer "$(wg pubkey < "$dir/gateway.key")" \
		allowed-ips 203.0.113.0/24,100.64.0.1/32 endpoint 198.51.100.1:51820
	ip_of "$1" addr add "$2/32" dev "$1"
	ip_of "$1" link set "$1" mtu 1420 up
	ip_of "$1" route add 203.0.113.0/24 dev "$1"
}

ticks() { awk '{ print $14 + $15 }' "/proc/$daemon/stat"; }

download() {
	local before after seconds bytes rate
	before=$(ticks)
	read -r bytes seconds < <(
		on alice curl -sS -m 100 -o /dev/null -w '%{size_download} %{time_total}\n' http://203.0.113.9/big)
	after=$(ticks)
	[ "$bytes" = $((megabytes << 20)) ] || die "only $bytes bytes came"
	rate=$(awk -v b="$bytes" -v s="$seconds" -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" \
		'BEGIN { printf "%.1f Gbit/s, gateway process %.1f core", b * 8 / s / 1e9, t / hz / s }')
	result "$megabytes MiB in $(LC_ALL=C printf %.1f "$seconds") s" "$rate"
}

fetch() { on "$1" curl -sS -m "$2" -o /dev/null -w '%{http_code}' http://203.0.113.9/ 2>> "$dir/log"; }

private_mounts "$@"
for program in ip nft wg wireguard-go curl nsenter; do
	command -v "$program" > /dev/null || die "no $program: make deps"
done
[ -x "$sluice" ] || die "no $sluice: make"
dir=$(mktemp -d)
trap cleanup EXIT INT TERM
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/netns

step 1 "a service at 203.0.113.9 that admits only 198.51.100.1"
topology
on gateway mount -t sysfs sysfs /sys		# shows the devices of the namespace that mounts it
mount -t bpf bpf /sys/fs/bpf
service
result "from the service itself" "$(on service curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1/) OK"

step 2 "straight from alice's laptop"
if fetch alice 2 > /dev/null; then die "the firewall is open"; fi
result "curl http://203.0.113.9/" "refused (timed out after 2 s)"

step 3 "alice through Sluice"
configuration
gateway
tunnel alice 100.64.0.5
code=$(fetch alice 10) || die "alice is refused"
[ "$code" = 200 ] && [ "$(service_saw)" = 198.51.100.1 ] || die "HTTP $code, the service saw $(service_saw)"
result "curl http://203.0.113.9/" "$code OK, the service saw $(service_saw)"

step 4 "bob through Sluice: no rule for bob@example.com"
tunnel bob 100.64.0.6
answer=$(on bob ping -c 1 -W 3 203.0.113.9 || true)
grep -q 'Packet filtered' <<< "$answer" || die "bob was not told: $answer"
if fetch bob 5 > /dev/null; then die "bob got through"; fi
result "ping, curl" "refused: ICMP administratively prohibited"

step 5 "a download through Sluice"
download

step 6 "what the gateway knows of it"
show clients
show flows --user alice@example.com
show drops
show explain bob@example.com billing-api tcp 80 || true	# refused: exit status 1
show status

step 7 "sluice down removes everything"
"$sluice" down > /dev/null
wait "$daemon" || true
[ ! -e /sys/fs/bpf/sluice ] || die "pins are left"
! ip_of gateway link show sluice0 > /dev/null 2>&1 || die "the TAP is left"
result "links, rules, programs, maps" "gone"
