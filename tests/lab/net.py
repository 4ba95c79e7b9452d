# SPDX-License-Identifier: BSD-2-Clause
r"""The small internet that a gateway's tests happen on.

    alice 192.0.2.44  2001:db8:2::44 ─┐ lan                        out ┌─ service 203.0.113.9   2001:db8:3::9
    bob   192.0.2.45  2001:db8:2::45 ─┼─(bridge)─── router ────────────┤          203.0.113.10  2001:db8:3::a
    ...                               │             │    │             └─ its firewall admits 198.51.100.1 and
                                                 gw0│    │gw1             2001:db8:1::1 and nobody else
                                               eth0 │    │ eth1
                                                   gateway

    one-armed  eth0 198.51.100.1  2001:db8:1::1    the tunnel and the translated traffic share it
    two-armed  eth0 198.18.0.1    2001:db8:18::1   the tunnel arrives here
               eth1 198.51.100.1  2001:db8:1::1    the translated traffic leaves here
    cloud      eth0 10.0.0.5      2001:db8:1::1    one-armed; the router maps 198.51.100.1 to 10.0.0.5, 1:1

The tunnel's own addresses are 100.64.0.0/10 and fd7a:115c:a1e0::/48; no route outside leads to them, and the
router and the service would show them to a capture.
"""
import json
import sys

from lab import HERE, wait_for

STATIC = {4: "198.51.100.1", 6: "2001:db8:1::1"}          # what the world sees
SERVICE = {4: "203.0.113.9", 6: "2001:db8:3::9"}
OTHER = {4: "203.0.113.10", 6: "2001:db8:3::a"}           # a second service, that no rule names
ROUTES = ["203.0.113.0/24", "2001:db8:3::/64"]
TUNNEL_NETS = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"]
TUNNEL_SOURCES = " or ".join(f"src net {net}" for net in TUNNEL_NETS)

GATEWAY_NETS = {          # device -> the gateway's address, the router's; by form of topology
    "one-armed": {"eth0": [("198.51.100.1/24", "198.51.100.254"), ("2001:db8:1::1/64", "2001:db8:1::fe")]},
    "two-armed": {"eth0": [("198.18.0.1/24", "198.18.0.254"), ("2001:db8:18::1/64", "2001:db8:18::fe")],
                  "eth1": [("198.51.100.1/24", "198.51.100.254"), ("2001:db8:1::1/64", "2001:db8:1::fe")]},
    "cloud": {"eth0": [("10.0.0.5/24", "10.0.0.254"), ("2001:db8:1::1/64", "2001:db8:1::fe")]},
}

FIREWALL = """
table inet allowlist {
	chain input {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ip saddr 198.51.100.1 counter accept
		ip6 saddr 2001:db8:1::1 counter accept
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, packet-too-big } accept
		icmp type { destination-unreachable, time-exceeded } accept
	}
}
"""

ONE_TO_ONE = """
table ip cloud {
	chain in { type nat hook prerouting priority -100; ip daddr 198.51.100.1 dnat to 10.0.0.5; }
	chain out { type nat hook postrouting priority 100; ip saddr 10.0.0.5 snat to 198.51.100.1; }
}
"""


def bare(address):
    return str(address).partition("/")[0]


def family(address):
    return 6 if ":" in str(address) else 4


class Service:
    """The allow-listed service: HTTP on 80 and 443, UDP echo on 7 and 53, iperf3 where asked for."""

    def __init__(self, host, http=(80, 443), udp=(7, 53), name="service"):
        self.host, self.log = host, host.lab.file(f"{name}.jsonl")
        ports = [word for port in http for word in ("--http", str(port))]
        ports += [word for port in udp for word in ("--udp", str(port))]
        self.process = host.popen(name, [sys.executable, str(HERE / "server.py"), str(self.log), *ports])
        wait_for(name, lambda: "ready" in self.process.output() or not self.process.alive())

    def seen(self):
        """The requests so far, oldest first: {"proto", "client", "port", "service_port", ...}."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def clients(self):
        return {entry["client"] for entry in self.seen()}

    def iperf(self, port=5201):
        process = self.host.popen(f"iperf3-{port}", ["iperf3", "-s", "-p", str(port), "--forceflush"])
        wait_for("iperf3", lambda: "listening" in process.output())
        return process


class Internet:
    """The drawing above, without tunnels: form is a key of GATEWAY_NETS."""

    def __init__(self, lab, form="one-armed", mtu=1500, offloads=True):
        self.lab, self.form, self.mtu, self.offloads = lab, form, mtu, offloads
        self.clients = {}
        self.router, self.gateway, self.far = (lab.host(name) for name in ("router", "gateway", "service"))
        self.router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        # A bridge without an address of its own has its ports' lowest: it would change with a client that comes later,
        # and those who were there would send to the old one for as long as they remember it.
        self.router.run("ip link add lan address 02:00:00:00:02:fe type bridge")
        self.router.run(f"ip link set lan mtu {mtu} up")
        self.router.address("lan", "192.0.2.254/24", "2001:db8:2::fe/64")
        self.attach_gateway()
        self.cable(self.far, "eth0", "out")
        self.far.address("eth0", *(f"{hosts[v]}/{24 if v == 4 else 64}" for hosts in (SERVICE, OTHER) for v in (4, 6)))
        self.router.address("out", "203.0.113.254/24", "2001:db8:3::fe/64")
        self.far.route("default", "via", "203.0.113.254")
        self.far.run("ip -6 route add default via 2001:db8:3::fe")
        self.far.nft(FIREWALL)
        self.service = Service(self.far)

    def cable(self, host, device, at_router):
        self.lab.cable(host, device, self.router, at_router, self.mtu)
        if not self.offloads:
            host.offloads(device, tx="off", tso="off", gso="off")
            self.router.offloads(at_router, tx="off", tso="off", gso="off")

    def attach_gateway(self):
        for device, nets in GATEWAY_NETS[self.form].items():
            at_router = device.replace("eth", "gw")
            self.cable(self.gateway, device, at_router)
            for address, gateway in nets:
                length = address.partition("/")[2]
                self.gateway.address(device, address)
                self.router.address(at_router, f"{gateway}/{length}")
                if device == self.egress:
                    self.gateway.run(["ip", f"-{family(address)}", "route", "add", "default", "via", gateway])
        if self.form == "two-armed":
            self.gateway.route("192.0.2.0/24", "via", "198.18.0.254")
            self.gateway.route("2001:db8:2::/64", "via", "2001:db8:18::fe")
        if self.form == "cloud":
            self.router.nft(ONE_TO_ONE)

    @property
    def underlay(self):
        return "eth0"

    @property
    def egress(self):
        return "eth1" if self.form == "two-armed" else "eth0"

    def endpoint(self, version=4, port=51820):
        """Where clients find the tunnel."""
        if self.form == "two-armed":
            return {4: f"198.18.0.1:{port}", 6: f"[2001:db8:18::1]:{port}"}[version]
        return {4: f"{STATIC[4]}:{port}", 6: f"[{STATIC[6]}]:{port}"}[version]

    def egress_addresses(self):
        return [bare(address) for address, _ in GATEWAY_NETS[self.form][self.egress]]

    def public_addresses(self):
        """What the world sees instead of egress_addresses(), where a cloud translates them."""
        return [*STATIC.values()] if self.form == "cloud" else []

    def client(self, name):
        """A new machine on the clients' network; the first is 192.0.2.44."""
        number = 44 + len(self.clients)
        host = self.lab.host(name)
        self.cable(host, "eth0", f"lan{number}")
        self.router.run(f"ip link set lan{number} master lan")
        host.address("eth0", f"192.0.2.{number}/24", f"2001:db8:2::{number}/64")
        host.route("default", "via", "192.0.2.254")
        host.run("ip -6 route add default via 2001:db8:2::fe")
        self.clients[name] = host
        return host

    def second_router(self):
        """Another router on the gateway's wire, 198.51.100.253, which becomes a switch; returns its Host (up0)."""
        second, router = self.lab.host("router2"), self.router
        addresses = [entry["local"] + f"/{entry['prefixlen']}"
                     for entry in router.json("ip -j addr show gw0")[0]["addr_info"] if entry["scope"] == "global"]
        mac = router.json("ip -j link show gw0")[0]["address"]
        router.run(f"ip link add switch address {mac} type bridge")
        self.lab.cable(second, "up0", router, "port2", self.mtu)
        for port in ("gw0", "port2"):
            router.run(f"ip link set {port} master switch")
        router.run("ip addr flush dev gw0 scope global")
        router.run("ip link set switch up")
        router.address("switch", *addresses)
        second.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__send_redirects=0,
                      net__ipv4__conf__up0__send_redirects=0)
        second.address("up0", "198.51.100.253/24")
        second.route("default", "via", "198.51.100.254")
        return second
