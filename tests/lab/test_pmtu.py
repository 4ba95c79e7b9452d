# SPDX-License-Identifier: BSD-2-Clause
"""The path's MTU, found out through the gateway, and the path itself.

    alice ══ tunnel, 1420 ══ gateway ── 1500 ── router ── 1300 ── narrow ── 1500 ── service

What is larger than 1300 dies at the router or at narrow, which say so. The router's word is about a packet of the
gateway's: only translated back, quote and all, can alice's kernel believe it. It comes from the router's own address
(RFC 5508 REQ-5) where the gateway serves that too; else as from the service: a client's WireGuard takes nothing from
where it does not send to. A hop of traceroute is always the router's, unless nat.hide_routers says otherwise.
"""
import pytest

from net import ROUTES, SERVICE, STATIC, TUNNEL_SOURCES
from test_forward import url
from test_fragments import GATEWAY
from test_probe import NOWHERE, probe

NARROW = 1300
MEGABYTES = 4
ROUTERS = {4: ["198.51.100.254", "10.77.0.2"], 6: ["2001:db8:1::fe", "2001:db8:77::2"]}
TOO_BIG = "(icmp[icmptype] == icmp-unreach and icmp[icmpcode] == 4) or icmp6[icmp6type] == 2"


def narrow(world):
    """Put a router with a narrow link between the router and the service; returns its Host."""
    net = world.net
    host = net.lab.host("narrow")
    host.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    net.router.run("ip link del out")
    net.lab.cable(net.router, "out", host, "in0", NARROW)
    net.lab.cable(host, "out0", net.far, "eth0", 1500)
    net.router.address("out", "10.77.0.1/24", "2001:db8:77::1/64")
    host.address("in0", "10.77.0.2/24", "2001:db8:77::2/64")
    host.address("out0", "203.0.113.254/24", "2001:db8:3::fe/64")
    net.far.address("eth0", "203.0.113.9/24", "2001:db8:3::9/64")
    for prefix, via in (("203.0.113.0/24", "10.77.0.2"), ("2001:db8:3::/64", "2001:db8:77::2")):
        net.router.route(prefix, "via", via)
    for prefix, via in (("default", "10.77.0.1"), ("::/0", "2001:db8:77::1")):
        host.route(prefix, "via", via)
    for prefix, via in (("default", "203.0.113.254"), ("::/0", "2001:db8:3::fe")):
        net.far.route(prefix, "via", via)
    return host


def traveller(world):
    """A client that may send to the routers on the path as well, through a gateway that serves them."""
    routers = [f"{address}/{32 if version == 4 else 128}" for version in (4, 6) for address in ROUTERS[version]]
    if world.gateway.name == "sluice":
        world.gateway.config["routes"] = [*ROUTES, *routers]
    alice = world.joined("alice")
    return alice.join(world.gateway, routers)


def test_4787_13_usual_client(world):
    """One that sends nothing but the routes through the tunnel learns of the narrow link too."""
    world = world()
    narrow(world)
    alice = world.joined("alice")
    total = MEGABYTES << 20
    for version in (4, 6):
        up = alice.host.probe("put", url(version), total)
        assert up.get("error") is None and up["bytes"] == total and up["intact"]
        assert mtu_towards(alice, version) == NARROW
        out = alice.host.out(f"traceroute -{version} -n -q 2 -w 1 -m 6 -I {SERVICE[version]}")
        assert SERVICE[version] in out.splitlines()[-1], out


def mtu_towards(client, version):
    """What the client's kernel has learnt, None: nothing."""
    route = client.host.json(f"ip -j route get {SERVICE[version]}")[0]
    return next((metric["mtu"] for metric in route.get("metrics", []) if "mtu" in metric), None)


@pytest.mark.parametrize("kind", ("baseline", "sluice"))
@pytest.mark.parametrize("version", (4, 6))
def test_4787_13_path_mtu_discovery(world, version, kind):
    """TCP both ways over the narrow link. Up, the client must learn of it through the translation; down, the
    service does by itself."""
    world = world(kind)
    narrow(world)
    alice = traveller(world)
    assert mtu_towards(alice, version) is None
    total = MEGABYTES << 20
    with alice.host.capture("wg0", TOO_BIG) as learnt, world.net.router.capture("out", TUNNEL_SOURCES) as leaks:
        up = alice.host.probe("put", url(version), total)
        assert up.get("error") is None and up["bytes"] == total and up["intact"]
    assert mtu_towards(alice, version) == NARROW
    told = learnt.packets()
    assert told and leaks.count() == 0
    if kind == "sluice":
        for packet in told:
            check_error(packet, alice.tunnel_address(version), version)
    down = alice.host.probe("get", url(version, f"/bytes/{total}"))
    assert down.get("error") is None and down["bytes"] == total and down["intact"]
    assert world.service.clients() == {STATIC[version]}


def check_error(packet, client, version):
    """To the client, about a packet from the client to the service's port 80, with the narrow link's MTU."""
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
    whole = bytes(packet)
    outer = IP(whole) if version == 4 else IPv6(whole)
    assert outer.dst == client
    assert (outer[ICMP].nexthopmtu if version == 4 else outer[ICMPv6PacketTooBig].mtu) == NARROW
    quote = whole[28:] if version == 4 else whole[48:]
    inner = IP(quote) if version == 4 else IPv6(quote)
    assert (inner.src, inner.dst) == (client, SERVICE[version])
    transport = quote[20:] if version == 4 else quote[40:]
    assert int.from_bytes(transport[2:4], "big") == 80


@pytest.mark.parametrize("version", (4, 6))
def test_4787_13_datagrams_over_the_narrow_link(world, version):
    """Larger than the narrow link, larger than the tunnel: the client's kernel cuts them smaller when it is told,
    and the gateway, which joined them, cuts them as small again."""
    world = world()
    narrow(world)
    alice = traveller(world)
    for size in (1350, 3000):
        alice.host.probe("udp", SERVICE[version], 7, "--count", 3, "--size", size, "--timeout", 1)
        echoes = alice.host.probe("udp", SERVICE[version], 7, "--count", 20, "--size", size)
        assert echoes["received"] == 20 and echoes["intact"], size


@pytest.mark.parametrize("version", (4, 6))
def test_traceroute_shows_the_path(world, version):
    """Every router in its place: the gateway itself, then those whose errors are translated back, then the service."""
    world = world()
    narrow(world)
    alice = traveller(world)
    path = [GATEWAY[version], *ROUTERS[version], SERVICE[version]]
    for method in ("-U -p 33434", "-I", "-T -p 80"):
        out = alice.host.out(f"traceroute -{version} -n -q 2 -w 5 -m 6 {method} {SERVICE[version]}")
        hops = [line.split()[1] for line in out.splitlines()[1:]]
        assert hops == path, f"{method}:\n{out}"


def hops(host, version, method="-I"):
    out = host.out(f"traceroute -{version} -n -q 2 -w 1 -m 6 {method} {SERVICE[version]}")
    return [line.split()[1] for line in out.splitlines()[1:]]


@pytest.mark.parametrize("version", (4, 6))
def test_fault_9_a_hop_is_the_routers(world, version):
    """The gateway does not serve the routers. A client whose tunnel takes everything sees them, any other sees that
    somebody is there; nobody is told a wrong address, unless it is asked for."""
    world = world()
    narrow(world)
    alice = world.joined("alice")
    path = [GATEWAY[version], *ROUTERS[version], SERVICE[version]]
    assert hops(alice.host, version) == [path[0], "*", "*", path[-1]]
    alice.join(world.gateway, [f"{address}/{32 if version == 4 else 128}" for address in ROUTERS[version]])
    for method in ("-U -p 33434", "-I", "-T -p 80"):
        assert hops(alice.host, version, method) == path, method
    world.gateway.config["nat"] = {"hide_routers": True}
    world.gateway.reload()
    assert hops(alice.host, version)[:2] == [path[0], SERVICE[version]]


@pytest.mark.parametrize("version", (4, 6))
def test_fault_9_probe_prints_the_wires_source(world, version):
    """Who says that there is no way is a router that no route holds; a client hears it from the service."""
    world = world()
    narrow(world)
    alice = world.joined("alice")
    nobody = NOWHERE[version]
    answer = probe(world, nobody, 80, "--timeout", "10")[1]
    assert answer["outcome"] == "unreachable" and answer["answer"]["from"] == ROUTERS[version][1]
    world.gateway.allow(nobody)
    world.gateway.reload()
    told = f"host {nobody} and " + ("icmp[icmptype] == icmp-unreach" if version == 4 else "icmp6[icmp6type] == 1")
    with alice.host.capture("wg0", told) as capture:
        assert alice.host.probe("connect", nobody, 80, "--timeout", 9)["error"] in ("EHOSTUNREACH", "ENETUNREACH")
        assert capture.packets()
