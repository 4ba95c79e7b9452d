# SPDX-License-Identifier: BSD-2-Clause
"""Quotas: one client is held to its own, another one beside it notices nothing.

    alice (greedy, has a quota) ─┐
                                 ├─ gateway ─── service
    carol (has none)            ─┘

Alice asks for far more than she may have, carol for a steady little; of what carol asks for nothing may be missing.
"""
import copy
import json

import pytest

from lab import wait_for
from net import SERVICE
from test_policy_live import applied

GREED = 20          # times the quota


def with_quota(gateway, **limits):
    policy = copy.deepcopy(gateway.policy)
    if limits:
        policy["quotas"] = [{"src": ["alice@example.com"], **limits}]
    return applied(gateway, policy)


def steady(carol, version):
    """Carol's own traffic: 10 s of echoes, and a connection every now and then."""
    return carol.host.probing("steady", "udp", SERVICE[version], 7, "--count", 500, "--interval", 0.02)


def finished(job):
    assert job.popen.wait(60) == 0
    return json.loads(job.output())


def unharmed(carol, job, version):
    """She has lost nothing, and what she opens comes about."""
    assert carol.host.probe("connect", SERVICE[version], 80)["connected"]
    echoes = finished(job)
    assert echoes["received"] == echoes["sent"] == 500 and echoes["intact"] and not echoes["errors"], echoes


def held(gateway, client):
    report = gateway.client_report(client)
    return report["held"], report["flows"]


@pytest.fixture
def both(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    return world.gateway, alice, carol


@pytest.mark.parametrize("version", (4, 6))
def test_flows(both, version):
    gateway, alice, carol = both
    with_quota(gateway, flows=50)
    job = steady(carol, version)
    greedy = alice.host.probe("many", SERVICE[version], 7, "--flows", 50 * GREED, "--count", 2, "--interval", 1)
    assert 80 <= greedy["received"] <= 100, "two echoes each on fifty flows, of which settling has some"
    dropped, flows = held(gateway, alice)
    assert flows == 50 and dropped >= 50 * (GREED - 1)
    assert gateway.drops()["quota_flows"] >= 50 * (GREED - 1)
    unharmed(carol, job, version)
    assert held(gateway, carol)[0] == 0
    with_quota(gateway)
    assert alice.host.probe("connect", SERVICE[version], 80)["connected"], "lifted by a policy without it"


@pytest.mark.parametrize("version", (4, 6))
def test_new_flows_a_second(both, version):
    gateway, alice, carol = both
    with_quota(gateway, new_flows="10/s")
    job = steady(carol, version)
    greedy = alice.host.probe("many", SERVICE[version], 7, "--flows", 1000, "--count", 1, "--interval", 2)
    spent = greedy["seconds"]
    assert 5 <= greedy["received"] <= 10 * (spent + 1) + 1, greedy
    assert gateway.drops()["quota_new_flows"] >= 1000 - 10 * (spent + 1) - 1
    unharmed(carol, job, version)


@pytest.mark.parametrize("version", (4, 6))
def test_packets_a_second(both, version):
    gateway, alice, carol = both
    with_quota(gateway, packets="100/s")
    job = steady(carol, version)
    greedy = alice.host.probe("udp", SERVICE[version], 7, "--count", 100 * GREED, "--interval", 1 / (100 * GREED))
    assert 90 <= greedy["received"] <= 100 * (greedy["seconds"] + 1), greedy
    assert gateway.drops()["quota_packets"] > 0 and held(gateway, alice)[0] > 0
    unharmed(carol, job, version)


@pytest.mark.parametrize("direction", ("up", "down"))
def test_bytes_a_second(both, direction):
    """A real TCP transfer finds its pace; the quota is that of bytes of IP packets."""
    gateway, alice, carol = both
    with_quota(gateway, bytes="2M/s")
    job = steady(carol, 4)
    total = 12_000_000
    if direction == "down":
        greedy = alice.host.probe("get", f"http://{SERVICE[4]}/bytes/{total}", "--timeout", 30, timeout=90)
    else:
        greedy = alice.host.probe("put", f"http://{SERVICE[4]}/", total, "--timeout", 30, timeout=90)
    assert greedy.get("error") is None and greedy["bytes"] == total, greedy
    assert total <= 2_000_000 * (greedy["seconds"] + 1), greedy
    assert gateway.drops()["quota_bytes"] > 0
    unharmed(carol, job, 4)


def test_told_once_and_explained(both):
    gateway, alice, carol = both
    with_quota(gateway, flows=5)
    alice.host.probe("many", SERVICE[4], 7, "--flows", 500, "--count", 1, "--interval", 1)
    wait_for("the event", lambda: "quota_flows: alice" in gateway.process.output())
    assert gateway.process.output().count("quota_flows: alice") == 1
    answer = gateway.json("explain", "alice@example.com", "billing", "80")["answers"][0]
    assert answer["allowed"] and answer["quota"]["flows"] == 5 and answer["quota"]["line"] == 1
    assert gateway.json("explain", "carol@example.com", "billing", "80")["answers"][0]["quota"] is None
    table = gateway.command("clients").stdout.splitlines()
    assert table[0].split()[-2:] == ["FLOWS", "HELD"]


def test_the_share_of_everybody(world):
    """Without a policy's word: a client takes at most its share of the table, where a datagram from a port of its own
    takes two slots, and leaves its share of the ports."""
    world = world()
    gateway = world.gateway
    gateway.config["nat"] = {"flows": 4096, "client_share": "25%"}
    alice, carol = world.joined("alice", "carol")
    job = steady(carol, 4)
    alice.host.probe("many", SERVICE[4], 7, "--flows", 1500, "--count", 1, "--interval", 1)
    flows = held(gateway, alice)[1]
    pings = len(gateway.json("flows", "--client", alice.name, "--proto", "icmp")["flows"])  # of settling: a slot each
    assert flows == pings + (1024 - pings + 1) // 2
    assert gateway.drops()["quota_flows"] >= 1500 - flows
    unharmed(carol, job, 4)
    gateway.config["nat"]["client_share"] = "100%"
    gateway.reload()
    alice.host.probe("many", SERVICE[4], 7, "--flows", 500, "--count", 1, "--interval", 1)
    assert held(gateway, alice)[1] > flows
