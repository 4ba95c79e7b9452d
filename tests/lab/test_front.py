# SPDX-License-Identifier: BSD-2-Clause
"""What is sent to the WireGuard port and is no WireGuard message of ours: counted, never answered (W10).

The same checks stand in XDP, and behind the socket where XDP is off: the reasons are the same in both.
"""
import os
import struct

import pytest

from lab import wait_for
from net import SERVICE, STATIC

SEND = """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
for line in sys.stdin:
    s.sendto(bytes.fromhex(line), (host, port))
"""


def message(kind, length, reserved=0):
    return struct.pack("<BBH", kind, reserved, 0) + os.urandom(length - 4)


JUNK = [  # reason, datagram
    ("wg_type", message(0, 64)),
    ("wg_type", message(5, 64)),
    ("wg_type", message(255, 1400)),
    ("wg_type", b""),
    ("wg_length", b"\1"),
    ("wg_length", message(1, 147)),
    ("wg_length", message(1, 149)),
    ("wg_length", message(2, 91)),
    ("wg_length", message(3, 65)),
    ("wg_length", message(4, 31)),
    ("wg_reserved", message(1, 148, reserved=1)),
    ("wg_reserved", message(4, 64, reserved=255)),
    ("wg_index", message(2, 92)),
    ("wg_index", message(4, 32)),
    ("wg_index", message(4, 33)),               # padding is the sender's affair
    ("wg_index", message(4, 1452)),
    ("wg_mac1", message(1, 148)),
]
REASONS = sorted({reason for reason, _ in JUNK})


def counters(world):
    drops = world.gateway.drops()
    return {reason: drops[reason] for reason in REASONS}


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("mode", ("native", "generic", "off"))
def test_w10_junk_is_counted_by_reason_and_never_answered(world, mode, version):
    world = world(xdp=mode)
    alice = world.joined("alice")
    mallory = world.net.client("mallory")
    before = counters(world)
    expected = {reason: before[reason] + sum(of == reason for of, _ in JUNK) for reason in REASONS}
    with mallory.capture("eth0", "udp or icmp or icmp6[icmp6type] == 1", "in") as answers:
        mallory.run(["/usr/bin/python3", "-c", SEND, STATIC[version], "51820"],
                    input="".join(data.hex() + "\n" for _, data in JUNK))
        wait_for("drops", lambda: counters(world) == expected)
    assert answers.count() == 0
    assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200


@pytest.mark.parametrize("mode", ("native", "off"))
def test_what_is_not_for_the_port_passes_the_front(world, mode):
    """Other ports, other protocols, fragments: the host's."""
    world = world(xdp=mode)
    world.joined("alice")
    mallory = world.net.client("mallory")
    before = counters(world)
    with world.net.gateway.capture("eth0", "udp port 51821 or (ip[6:2] & 0x3fff != 0)", "in") as arrived:
        mallory.run(["/usr/bin/python3", "-c", SEND, STATIC[4], "51821"], input=f"{message(0, 64).hex()}\n")
        mallory.run(f"ping -c 3 -i 0.1 -s 4000 -W 1 {STATIC[4]}")
        mallory.run(f"ping -c 3 -i 0.1 -s 4000 -W 1 {STATIC[6]}")
    assert arrived.count() >= 1 + 3 * 3
    assert counters(world) == before
