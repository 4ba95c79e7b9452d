# SPDX-License-Identifier: BSD-2-Clause
"""The same traffic with the NICs' offloads off, one by one and all together, and with XDP where it is asked for.

On veth a wrong checksum is not noticed while the sender's offload stands: nobody computes it. With tx off every
checksum on the wire is a real one.
"""
import pathlib
import sys

import pytest

from net import SERVICE
from test_forward import check_all_traffic

HERE = pathlib.Path(__file__).parent
FEATURES = {
    "checksums": dict(tx="off"),
    "segmentation": dict(tso="off", gso="off"),
    "udp-segmentation": dict(tx_udp_segmentation="off"),
    "gro": dict(gro="off"),
    "gro-list": dict(gro="on", rx_gro_list="on"),
    "udp-gro-forwarding": dict(rx_udp_gro_forwarding="on"),
    "vlan-and-sg": dict(sg="off"),
}


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("form", ("one-armed", "two-armed"))
@pytest.mark.parametrize("kind", ("baseline", "sluice"))
def test_everything_off_everywhere(world, kind, form, version):
    world = world(kind, form=form, offloads=False)
    check_all_traffic(world, world.joined("alice"), version)


@pytest.mark.parametrize("feature", FEATURES)
def test_one_feature_of_the_gateways_nic(world, feature):
    world = world()
    world.net.gateway.offloads("eth0", **FEATURES[feature])
    check_all_traffic(world, world.joined("alice"), 4)


@pytest.mark.parametrize("feature", ("segmentation", "udp-segmentation", "checksums"))
def test_a_feature_goes_away_while_traffic_flows(world, feature):
    """EIO from UDP_SEGMENT, a NIC that no longer checksums: sent again the other way, nothing is lost for good."""
    world = world()
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", f"http://{SERVICE[4]}/bytes/200000000")
    world.net.gateway.offloads("eth0", **FEATURES[feature])
    assert job.popen.wait(60) == 0
    assert '"bytes": 200000000' in job.output() and '"intact": true' in job.output()
    world.service.log.write_text("")  # of the first download
    check_all_traffic(world, alice, 6)


@pytest.mark.parametrize("version", (4, 6))
def test_super_packets_beyond_64_kib(world, version):
    """BIG TCP, where somebody raised gro_max_size: their headers name no length. The TAP takes them in pieces."""
    world = world()
    net = world.net
    for host, device in ((net.far, "eth0"), (net.router, "out"), (net.router, "gw0"), (net.gateway, "eth0")):
        host.run([sys.executable, str(HERE / "big_tcp.py"), device, "185000"])
    with net.gateway.capture("eth0", "greater 65600") as capture:
        check_all_traffic(world, world.joined("alice"), version)
    assert capture.count() > 0


@pytest.mark.parametrize("mode", ("native", "generic"))
@pytest.mark.parametrize("offloads", (True, False))
def test_with_the_front_in_xdp(world, mode, offloads):
    world = world(offloads=offloads, xdp=mode)
    alice = world.joined("alice")
    assert world.gateway.json("status")["front"]["mode"] == mode
    check_all_traffic(world, alice, 4)
