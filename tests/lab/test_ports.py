# SPDX-License-Identifier: BSD-2-Clause
"""External addresses and their ports on a real host: whose is a port, who answers, what happens when none is left."""
import json

import pytest

from lab import wait_for
from net import SERVICE, STATIC

RANGE = 100         # ports from 1024 on that the host leaves to translation, where a test wants few


def listening(world, port):
    host = world.net.gateway
    host.popen(f"listener-{port}", ["socat", f"TCP6-LISTEN:{port},fork,reuseaddr,ipv6only=0", "SYSTEM:true"])
    wait_for("listener", lambda: f":{port}" in host.out("ss -Hltn", quiet=True))


def outcome(world, version, port, seconds=1):
    """Of a connection from the service to the gateway: True, or the name of the error. Silence is waited for briefly,
    an answer may take a while."""
    result = world.net.far.probe("connect", STATIC[version], port, "--timeout", seconds)
    return result["connected"] or result["error"]


def pings(world, version):
    return world.net.far.run(f"ping -c 1 -W 1 {STATIC[version]}", check=False).returncode == 0


def hear_answers(world):
    """The service's firewall lets in what the gateway's host answers, whatever it is."""
    world.net.far.nft("add rule inet allowlist input icmp type echo-reply accept\n"
                      "add rule inet allowlist input icmpv6 type echo-reply accept\n")


def ranges(world):
    """Ports of each external address."""
    texts = [entry["value"] for entry in world.gateway.json("map", "dump", "egresses")["entries"]]
    return {text.split()[0]: int(text.split("ports ")[1].split()[0]) for text in texts}


@pytest.mark.parametrize("version", (4, 6))
def test_a_shared_address(world, version):
    """The host answers for itself, and is silent where nobody listens on a port of translation's."""
    world = world()
    alice = world.joined("alice")
    hear_answers(world)
    listening(world, 22)
    listening(world, 2222)
    assert outcome(world, version, 22, 10) is True and outcome(world, version, 2222, 10) is True
    assert outcome(world, version, 23, 10) == "ECONNREFUSED", "the host's own, and closed"
    before = world.gateway.drops()["unsolicited"]
    assert outcome(world, version, 3333) == "timeout", "translation's: neither a reset nor ICMP"
    assert world.gateway.drops()["unsolicited"] > before
    wait_for("an echo", lambda: pings(world, version))
    assert alice.host.probe("connect", SERVICE[version], 80)["connected"]


@pytest.mark.parametrize("version", (4, 6))
def test_an_exclusive_address(world, version):
    """The host does not answer on it at all; the tunnel that ends there, and its neighbours, go on."""
    world = world()
    world.gateway.config["egress"]["exclusive"] = True
    alice = world.joined("alice", outer=version)
    hear_answers(world)
    listening(world, 22)
    before = world.gateway.drops()["exclusive"]
    for port in (22, 23, 3333, 40000):
        assert outcome(world, version, port) == "timeout"
    assert not pings(world, version)
    assert world.gateway.drops()["exclusive"] >= before + 5
    assert ranges(world)[STATIC[version]] == 65536 - 1024
    world.net.router.run("ip neigh flush dev gw0")
    echoes = alice.host.probe("udp", SERVICE[version], 7, "--count", 50)
    assert echoes["received"] == echoes["sent"] == 50
    world.gateway.stop()
    assert outcome(world, version, 22) == "timeout", "with the daemon gone, too"


def test_no_port_left(world):
    """New flows are refused with ICMP, one event names the pair, live ones go on; other remotes are not concerned."""
    world = world()
    world.net.gateway.sysctl(net__ipv4__ip_local_port_range=f"{1024 + RANGE} 65535")
    alice = world.joined("alice")
    gateway = world.gateway
    assert ranges(world)[STATIC[4]] == RANGE
    live = alice.host.probing("live", "many", SERVICE[4], 7, "--flows", RANGE, "--count", 8, "--interval", 1)
    wait_for("a full range", lambda: (gateway.json("status")["busiest"] or {}).get("used") == RANGE)
    more = alice.host.probe("many", SERVICE[4], 7, "--flows", 3 * RANGE, "--count", 1, "--interval", 1)
    assert more["received"] == 0
    assert alice.host.probe("udp", SERVICE[4], 7, "--count", 2)["errors"].get("EHOSTUNREACH"), "ICMP 3/13"
    assert gateway.drops()["ports_full"] >= 3 * RANGE
    line = f"ports_full: {STATIC[4]} has no port left for udp"
    wait_for("the event", lambda: line in gateway.process.output())
    assert gateway.process.output().count("ports_full:") == 1
    assert alice.host.probe("connect", SERVICE[4], 80)["connected"], "TCP has ports of its own"
    assert live.popen.wait(60) == 0
    result = json.loads(live.output())
    assert result["received"] == result["sent"] == 8 * RANGE and result["intact"] and not result["errors"], result


PUBLISHED = """
table ip publish {
	chain ports { tcp dport 8080 redirect to :2222; }
	chain in { type nat hook prerouting priority -100; fib daddr type local jump ports; }
}
"""


def test_fault_29_published_ports(world):
    """A port that the ruleset leads elsewhere has no socket, so it is translation's. The doctor says so, and what it
    advises gives the port to the host."""
    world = world()
    host = world.net.gateway
    world.joined("alice")
    listening(world, 2222)
    assert not world.gateway.doctor("ports") or "DNAT" not in str(world.gateway.doctor("ports"))
    host.nft(PUBLISHED)
    said = [entry for entry in world.gateway.doctor("ports") if "DNAT" in entry["text"]]
    assert len(said) == 1 and said[0]["result"] == "warn" and "chain ports of table ip publish" in said[0]["text"]
    assert "net.ipv4.ip_local_reserved_ports" in said[0]["advice"]
    assert outcome(world, 4, 8080) == "timeout"
    host.run("sysctl -qw net.ipv4.ip_local_reserved_ports=8080")
    world.gateway.reload()
    assert wait_for("the port", lambda: outcome(world, 4, 8080) is True)


def test_fault_29_masquerading_publishes_nothing(world):
    world = world()
    world.joined("alice")
    world.net.gateway.nft("table ip m { chain out { type nat hook postrouting priority 100; masquerade; }; }\n")
    assert "DNAT" not in str(world.gateway.doctor("ports"))
