# SPDX-License-Identifier: BSD-2-Clause
"""Fragments, both ways (RFC 4787 REQ-14): a client's, a service's, and the host's own, through `sluice run`."""
import sys

import pytest
from scapy.layers.inet import ICMP, IPerror
from scapy.layers.inet6 import ICMPv6TimeExceeded

from lab import HERE, say, wait_for
from net import SERVICE, STATIC
from test_forward import url

GATEWAY = {4: "100.64.0.1", 6: "fd7a:115c:a1e0::1"}
TABLE = 10 << 20          # bytes of a worker's packets in pieces, at most

# name, datagram's size, fragments of UDP header and data, whether it arrives, the reason of what died
SEQUENCES = [
    ("in_order", 3000, "0:1200+ 1200:1200+ 2400:608", True, None),
    ("backwards", 3000, "2400:608 1200:1200+ 0:1200+", True, None),
    ("first_last", 3000, "1200:1200+ 2400:608 0:1200+", True, None),
    ("repeated", 3000, "0:1200+ 1200:1200+ 1200:1200+ 2400:608", True, "fragment_repeated"),
    ("tiny", 400, " ".join(f"{at}:8+" for at in range(0, 400, 8)) + " 400:8", True, None),
    ("overlapping", 3000, "0:1200+ 1192:1208+ 2400:608", False, "fragment_overlap"),
    ("other_bytes", 3000, "0:1200+ 1200:1200+ 1200:1200+! 2400:608", False, "fragment_overlap"),
    ("incomplete", 3000, "0:1200+ 2400:608", False, None),
    ("uneven", 3000, "0:1204+ 1200:1200+ 2400:608", False, "fragment"),
]


class Ear:
    """A socket that counts the datagrams it gets: .sizes()."""

    def __init__(self, host, *words):
        self.host = host
        self.process = host.popen(f"hear-{words[1]}", [sys.executable, str(HERE / "pieces.py"), "hear",
                                                      *map(str, words)])
        wait_for("an open socket", lambda: "open" in self.process.output())

    def sizes(self):
        return self.process.output().split()[1:]

    def wait(self, sizes):
        wait_for(f"datagrams of {sizes}", lambda: self.sizes() == [str(size) for size in sizes])


def shoot(host, *words):
    host.run([sys.executable, str(HERE / "pieces.py"), "shoot", *map(str, words)])


def shoot_all(world, host, ear, ends):
    """Every sequence of the table; a datagram of another size ends each, so that what did not arrive will not."""
    arrived = []
    for number, (name, size, order, arrives, reason) in enumerate(SEQUENCES):
        before = world.gateway.drops()
        shoot(host, *ends, size, 1000 + number, *order.split())
        shoot(host, *ends, 1500 + number, 2000 + number, "0:800+", f"800:{708 + number}")
        arrived += [size] * arrives + [1500 + number]
        ear.wait(arrived)
        after = world.gateway.drops()
        died = {key for key in after if key.startswith("fragment") and after[key] > before[key]}
        assert died == ({reason} if reason else set()), name


@pytest.mark.parametrize("version", (4, 6))
def test_4787_14_a_client_sends_fragments(world, version):
    """They go out as one packet's, with one port; what is echoed comes back in the service's own fragments."""
    world = world()
    alice = world.joined("alice")
    ear = Ear(alice.host, alice.tunnel_address(version), 40000, SERVICE[version], 7)
    shoot_all(world, alice.host, ear, (alice.tunnel_address(version), 40000, SERVICE[version], 7))
    assert len({entry["port"] for entry in world.service.seen()}) == 1
    assert world.service.clients() == {STATIC[version]}


@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
@pytest.mark.parametrize("version", (4, 6))
def test_4787_14_a_service_sends_fragments(world, version, form):
    world = world(form=form)
    alice = world.joined("alice")
    ear = Ear(alice.host, alice.tunnel_address(version), 40000, SERVICE[version], 7)
    port = world.service.seen()[-1]["port"]
    shoot_all(world, world.net.far, ear, (SERVICE[version], 7, STATIC[version], port))


@pytest.mark.parametrize("version", (4, 6))
def test_4787_14_the_hosts_own_fragments_arrive(world, version):
    """The gateway's address is its clients', too: what no flow wants goes to its sockets, whole. Also when the
    daemon has gone, by a signal or without a word."""
    world = world()
    world.joined("alice")
    ear = Ear(world.gateway.host, STATIC[version], 9999)
    ends = (SERVICE[version], 7, STATIC[version], 9999)
    shoot_all(world, world.net.far, ear, ends)
    heard = [int(size) for size in ear.sizes()]
    world.gateway.stop()
    shoot(world.net.far, *ends, 3000, 1, "0:1400+", "1400:1000+", "2400:608")
    ear.wait(heard + [3000])
    world.gateway.start()
    world.gateway.kill9()
    number = 0

    def arrives():          # 5 s after it was heard of last
        nonlocal number
        number += 1
        shoot(world.net.far, *ends, 2000, number, "0:1400+", "1400:608")
        return ear.sizes()[-1] == "2000"

    wait_for("the host's fragments without the daemon", arrives, seconds=15, every=0.5)


def test_4787_14_time_exceeded_reaches_the_client(world):
    """A first fragment whose rest never comes is answered, as the service would; what was no first one is not."""
    world = world()
    alice = world.joined("alice")
    with alice.host.capture("wg0", "icmp or icmp6", direction="in") as capture:
        for version in (4, 6):
            ends = alice.tunnel_address(version), 40000, SERVICE[version], 7
            shoot(alice.host, *ends, 3000, 77, "1200:1200+", "2400:608")
            shoot(alice.host, *ends, 3000, 78, "0:1200+", "1200:1200+")
        wait_for("the end of all four", lambda: world.gateway.drops()["fragment_timeout"] >= 8, seconds=60, every=1)
        wait_for("two errors", lambda: capture.count() >= 2)
    four, six = sorted(capture.packets(), key=lambda packet: packet[0].version)
    assert (four[ICMP].type, four[ICMP].code) == (11, 1) and (six[ICMPv6TimeExceeded].code) == 1
    for packet, version in ((four, 4), (six, 6)):
        assert (packet[0].src, packet[0].dst) == (GATEWAY[version], alice.tunnel_address(version))
    assert four[IPerror].id == 78 and (four[IPerror].src, four[IPerror].dst) == (alice.tunnel_address(4), SERVICE[4])
    quote = bytes(six[ICMPv6TimeExceeded])[8:]
    assert quote[6] == 44 and int.from_bytes(quote[44:48], "big") == 78


@pytest.mark.parametrize("mtu", (1280, 1420))
@pytest.mark.parametrize("version", (4, 6))
def test_4787_14_large_datagrams(world, version, mtu):
    """As programs send them: the kernels at both ends cut and join. The last is the longest there is."""
    world = world(mtu=mtu)
    alice = world.joined("alice", mtu=mtu)
    for size in (1473, 3000, 8192):
        echoes = alice.host.probe("udp", SERVICE[version], 7, "--count", 20, "--size", size, "--interval", 0.01)
        assert echoes["received"] == 20 and echoes["intact"], size
    longest = 65507 if version == 4 else 65480          # 50 fragments each way: one that is lost loses it
    echoes = alice.host.probe("udp", SERVICE[version], 7, "--count", 10, "--size", longest, "--interval", 0.1)
    assert echoes["received"] >= 5 and echoes["intact"]
    for size in (1500, 3000, 20000):
        alice.host.run(f"ping -c 3 -i 0.05 -W 2 -s {size} {SERVICE[version]}")
        alice.host.run(f"ping -c 3 -i 0.05 -W 2 -s {size} {GATEWAY[version]}")
    assert world.service.clients() == {STATIC[version]}


def resident(gateway):
    """Bytes of memory that the daemon holds."""
    status = gateway.host.path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) << 10


@pytest.mark.parametrize("source", ("service", "client"))
def test_4787_14_a_flood_of_fragments_harms_nobody_else(world, source):
    """First fragments that nothing follows, as fast as they go: others' downloads and others' fragments pass."""
    world = world(workers=1)
    alice, carol = world.joined("alice", "carol")
    before = resident(world.gateway)
    if source == "service":
        host, ends = world.net.far, (SERVICE[4], 7, STATIC[4], 40000)
    else:
        host, ends = alice.host, (alice.tunnel_address(4), 40000, SERVICE[4], 7)
    flood = host.popen("flood", [sys.executable, str(HERE / "pieces.py"), "flood", *map(str, ends), "60"])
    wait_for("the flood", lambda: world.gateway.drops()["fragment_full"] > 1000)
    down = carol.host.probe("get", url(4, "/bytes/8000000"))
    assert down.get("error") is None and down["bytes"] == 8000000 and down["intact"]
    echoes = carol.host.probe("udp", SERVICE[6], 7, "--count", 20, "--size", 3000, "--interval", 0.01)
    assert echoes["received"] >= 15 and echoes["intact"]          # the wire is full, too
    assert flood.alive(), "the flood was over before the others were"
    flood.stop()
    drops = world.gateway.drops()
    say(f"# {drops}")
    assert resident(world.gateway) - before < TABLE
    if source == "service":
        assert drops["fragment_rate"] > 0
