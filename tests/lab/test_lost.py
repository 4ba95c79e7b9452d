# SPDX-License-Identifier: BSD-2-Clause
"""Item 38 of the second faults: who has lost a flow hears of it, with real connections whose both ends talk."""
import json
import sys

import pytest

from lab import HERE, wait_for
from net import SERVICE, STATIC
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from test_hostile import send
from test_policy_live import without

PORT = 8080
SOON = 1.0          # s
EACH = 200          # forged segments of a kind


class Talk:
    """A connection of a client to the service, in whose both ends an application waits for the other."""

    def __init__(self, world, client, version, pause=0):
        talk = [sys.executable, str(HERE / "talk.py")]
        self.ends = [world.net.far.popen("serve", [*talk, "serve", str(PORT), str(pause)])]
        wait_for("the service", lambda: "{}" in self.ends[0].output())
        self.ends.append(client.host.popen("call", [*talk, "call", SERVICE[version], str(PORT), str(pause)]))
        wait_for("both ends", lambda: self.at("talks"))

    def events(self, end):
        return {event["event"]: event for event in map(json.loads, end.output().splitlines()) if event}

    def at(self, name):
        """When it happened last, once both ends say so."""
        found = [self.events(end).get(name) for end in self.ends]
        return max(event["at"] for event in found) if all(found) else None

    def assert_hears(self, since):
        wait_for("the end at both ends", lambda: self.at("ends"), seconds=20)
        for end in self.ends:
            event = self.events(end)["ends"]
            assert event["error"] in ("ECONNRESET", "EPIPE") and event["at"] < since + SOON, event


def clock(world):
    return float(world.net.gateway.out([sys.executable, "-c", "import time; print(time.monotonic())"]))


def started(world, exclusive, **nat):
    world = world()
    world.gateway.config["egress"]["exclusive"] = exclusive
    world.gateway.config["nat"] = nat
    return world, world.joined("alice")


@pytest.mark.parametrize("exclusive", (False, True), ids=("shared", "exclusive"))
@pytest.mark.parametrize("version", (4, 6))
def test_fault_38_flows_kill(world, version, exclusive):
    world, alice = started(world, exclusive)
    talk = Talk(world, alice, version)
    before = clock(world)
    assert world.gateway.json("flows", "kill", "--client", alice.name)["killed"]
    talk.assert_hears(before + 0.5)
    totals = world.gateway.json("status")["totals"]
    assert totals["resets_out"] >= 1 and (totals["resets_in"] >= 1) == exclusive, totals
    assert alice.host.probe("connect", SERVICE[version], 80)["connected"]


@pytest.mark.parametrize("exclusive", (False, True), ids=("shared", "exclusive"))
@pytest.mark.parametrize("version", (4, 6))
def test_fault_38_a_policy_that_takes_it_back(world, version, exclusive):
    world, alice = started(world, exclusive)
    talk = Talk(world, alice, version)
    world.gateway.policy = without(world.gateway.policy, "alice@example.com")
    before = clock(world)
    world.gateway.reload()
    talk.assert_hears(max(before, clock(world)))


@pytest.mark.parametrize("exclusive", (False, True), ids=("shared", "exclusive"))
@pytest.mark.parametrize("version", (4, 6))
def test_fault_38_idle_too_long(world, version, exclusive):
    world, alice = started(world, exclusive, unsafe=True, tcp_established="1s", tcp_transitory="1s")
    talk = Talk(world, alice, version, pause=4)
    wait_for("their second word", lambda: talk.at("again"))
    talk.assert_hears(talk.at("again"))


def test_fault_38_off_by_an_option(world):
    """As before there were any: who sent hears nothing."""
    world, alice = started(world, True, resets=False)
    talk = Talk(world, alice, 4)
    assert world.gateway.json("flows", "kill", "--client", alice.name)["killed"]
    wait_for("dropped segments", lambda: world.gateway.drops()["no_flow"] > 3)
    assert not talk.at("ends")
    world.gateway.config["nat"]["resets"] = True
    before = clock(world)
    world.gateway.reload()
    talk.assert_hears(before + 5)          # their next repetitions come seconds later


@pytest.mark.parametrize("version", (4, 6))
def test_fault_38_nobody_outside_gains_by_it(world, version):
    """Forged segments of every kind: no answer is larger than what asked for it, none answers a RST or a SYN, and none
    of it touches a client's connection."""
    world, alice = started(world, True)
    talk = Talk(world, alice, version)
    port = int(world.gateway.json("flows")["flows"][0]["as"].rpartition(":")[2])
    ip = (IP if version == 4 else IPv6)(src={4: "203.0.113.77", 6: "2001:db8:3::77"}[version], dst=STATIC[version])
    with world.net.router.capture("gw0", f"src host {STATIC[version]} and dst host {ip.src}") as capture:
        for flags in ("R", "S", "RA", "A"):
            tcps = [TCP(sport=443, dport=port if n % 2 else 2000 + n, flags=flags, seq=n, ack=1000 + n)
                    for n in range(EACH)]
            send(world.net.router, *(ip / tcp for tcp in tcps))
        wait_for("resets", lambda: capture.count() >= EACH)
        packets = capture.packets()
    assert len(packets) == EACH
    for packet in packets:
        assert packet[TCP].flags == "R" and 1000 <= packet[TCP].seq < 1000 + EACH, packet.summary()
        assert len(bytes(packet[type(ip)])) <= len(bytes(ip / TCP()))
    assert not talk.at("ends")
