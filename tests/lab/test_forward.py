# SPDX-License-Identifier: BSD-2-Clause
"""Real clients reach the service from the one static address: every protocol, family, form and peer.

Each case that needs no policy runs through the baseline too. There it tests the lab: what fails in both columns
is the lab's fault.
"""
import json

import pytest

from net import OTHER, SERVICE, STATIC

KINDS = ("baseline", "sluice")
FORMS = ("one-armed", "two-armed", "cloud")
PEERS = ("wireguard-go", "boringtun-cli")
MEGABYTES = 20


def url(version, path="/"):
    host = SERVICE[version] if version == 4 else f"[{SERVICE[version]}]"
    return f"http://{host}{path}"


def check_all_traffic(world, client, version):
    """TCP up and down, UDP of two sizes and ping, and the service saw nobody but the static address."""
    total = MEGABYTES << 20
    down = client.host.probe("get", url(version, f"/bytes/{total}"))
    assert down.get("error") is None and down["bytes"] == total and down["intact"]
    up = client.host.probe("put", url(version), total)
    assert up.get("error") is None and up["bytes"] == total and up["intact"]
    for size in (8, 64, client.mtu - 48):
        echoes = client.host.probe("udp", SERVICE[version], 7, "--count", 50, "--size", size, "--interval", 0.002)
        assert echoes["sent"] == echoes["received"] == 50 and echoes["intact"] and not echoes["errors"]
    client.host.run(f"ping -c 5 -i 0.05 -W 2 {SERVICE[version]}")
    client.host.run(f"ping -c 3 -i 0.05 -W 2 -s 1200 {SERVICE[version]}")
    assert world.service.clients() == {STATIC[version]}


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("outer", (4, 6))
@pytest.mark.parametrize("kind", KINDS)
def test_both_families_inside_and_outside(world, kind, outer, peer):
    world = world(kind)
    alice = world.joined("alice", implementation=peer, outer=outer)
    check_all_traffic(world, alice, 4)
    world.service.log.write_text("")
    check_all_traffic(world, alice, 6)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_forms(world, kind, form):
    world = world(kind, form=form)
    alice = world.joined("alice")
    check_all_traffic(world, alice, 4)
    if kind == "sluice":
        assert world.gateway.json("status")["notes"] == [], "all is as it should be"


@pytest.mark.parametrize("form", FORMS)
def test_without_the_tunnel_the_service_is_closed(world, form):
    """The premise of everything else: it is the firewall's list that decides."""
    world = world("baseline", form=form)
    host = world.net.client("alice")
    assert host.probe("connect", SERVICE[4], 80, "--timeout", 1)["error"] == "timeout"
    assert host.probe("connect", SERVICE[6], 80, "--timeout", 1)["error"] == "timeout"
    assert world.service.seen() == []


@pytest.mark.parametrize("kind", KINDS)
def test_two_clients_at_once(world, kind):
    """Both use the same source port towards the same service: only the translation keeps them apart."""
    world = world(kind)
    alice, carol = world.joined("alice", "carol")
    jobs = [client.host.popen("curl", f"curl -sS --local-port 40000 -m 20 -o /dev/null -w %{{size_download}} "
                                      f"{url(4, '/slow/2000000/1000000')}") for client in (alice, carol)]
    assert [job.popen.wait(30) for job in jobs] == [0, 0]
    assert [job.output() for job in jobs] == ["2000000", "2000000"]
    ports = [entry["port"] for entry in world.service.seen()]
    assert len(ports) == len(set(ports)) == 2
    assert world.service.clients() == {STATIC[4]}


@pytest.mark.parametrize("kind", KINDS)
def test_parallel_streams(world, kind):
    """Several flows interleave in one batch and must not be glued together."""
    world = world(kind)
    alice = world.joined("alice")
    jobs = [alice.host.probing(f"get{n}", "get", url(4, "/bytes/8000000")) for n in range(4)]
    jobs += [alice.host.probing(f"put{n}", "put", url(6), 8000000) for n in range(4)]
    assert [job.popen.wait(60) for job in jobs] == [0] * 8
    for job in jobs:
        result = json.loads(job.output())
        assert result.get("error") is None and result["bytes"] == 8000000 and result["intact"]


def test_traceroute_shows_the_gateway(world):
    """The TTL is ours to decrement; a packet that dies here is answered."""
    world = world("sluice")
    alice = world.joined("alice")
    first = alice.host.run(f"ping -c 1 -W 2 -t 1 {SERVICE[4]}", check=False)
    assert "Time to live exceeded" in first.stdout
    assert alice.host.run(f"ping -c 1 -W 2 -t 3 {SERVICE[4]}", check=False).returncode == 0


def test_other_service_is_refused(world):
    world = world("sluice")
    alice = world.joined("alice")
    refused = alice.host.probe("connect", OTHER[4], 80, "--timeout", 2)
    assert not refused["connected"]
    assert not [entry for entry in world.service.seen() if entry["service"] == OTHER[4]]
