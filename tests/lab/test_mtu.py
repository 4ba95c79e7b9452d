# SPDX-License-Identifier: BSD-2-Clause
"""Tunnel MTUs: the smallest IPv6 allows, the usual one, jumbo frames; and what does not fit."""
import pytest

from net import SERVICE
from test_forward import check_all_traffic

MTUS = [(1500, 1280), (1500, 1420), (9000, 8920)]
HEADERS = {4: 28, 6: 48}          # IP and ICMP echo


@pytest.mark.parametrize("underlay, mtu", MTUS)
@pytest.mark.parametrize("kind", ("baseline", "sluice"))
def test_mtu(world, kind, underlay, mtu):
    """Bulk both ways, and single packets that fill the tunnel to the last byte."""
    world = world(kind, wire_mtu=underlay, mtu=mtu)
    alice = world.joined("alice", mtu=mtu)
    check_all_traffic(world, alice, 4)
    for version in (4, 6):
        alice.host.run(f"ping -c 3 -i 0.05 -W 2 -M do -s {mtu - HEADERS[version]} {SERVICE[version]}")


@pytest.mark.parametrize("version", (4, 6))
def test_what_does_not_fit_back_into_the_tunnel_is_answered(world, version):
    """The service, on 1500 bytes, sends datagrams that the tunnel cannot take: it learns the tunnel's MTU."""
    world = world(mtu=1280)
    alice = world.joined("alice", mtu=1420)       # lets large requests out, whose echoes are too large
    with world.net.far.capture("eth0", "icmp[icmptype] == icmp-unreach or icmp6[icmp6type] == 2") as capture:
        alice.host.probe("udp", SERVICE[version], 7, "--count", 5, "--size", 1360, "--timeout", 1)
    assert capture.count() > 0
    assert world.gateway.drops()["too_big"] > 0


def test_the_default_fits_the_underlay(world):
    world = world(wire_mtu=1400)
    alice = world.joined("alice", mtu=1320)
    assert world.gateway.json("status")["tunnel"]["mtu"] == 1320
    check_all_traffic(world, alice, 4)
