# SPDX-License-Identifier: BSD-2-Clause
"""Small policies that would take minutes or gigabytes: they are refused, and the gateway goes on (faults 40, 53)."""
import json
import os
from pathlib import Path

import pytest

from net import SERVICE


def alternating_ports_over_many_hosts():
    """30,000 odd ports on 10/8, which 20,000 addresses inside of it would each have again."""
    ports = ",".join(str(port) for port in range(1, 60001, 2))
    hosts = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}/32:80" for n in range(20000)]
    return {"acls": [{"action": "accept", "src": ["*"], "dst": [f"10.0.0.0/8:{ports}"]},
                     {"action": "accept", "src": ["*"], "dst": hosts}]}


def accepts_and_denies_over_a_set():
    """Each pair of them was compared address by address."""
    words = [f"add 10.0.{2 * n >> 8}.{2 * n & 255}/32" for n in range(1500)]
    return {"ipsets": {"ipset:a": words},
            "acls": [{"action": "accept", "src": ["*"], "dst": [f"ipset:a:{1 + n}"]} for n in range(1500)],
            "deny": [{"src": ["*"], "dst": [f"ipset:a:{60001 + n}"]} for n in range(1500)]}


def removals_from_a_set():
    words = [f"remove 10.{n >> 8}.{n & 255}.{n % 250}/32" for n in range(20000)]
    return {"ipsets": {"ipset:big": ["add 10.0.0.0/8", *words]},
            "acls": [{"action": "accept", "src": ["*"], "dst": ["ipset:big:*"]}]}


def processor_seconds(pid):
    """Of the process and its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


BOMBS = (alternating_ports_over_many_hosts, accepts_and_denies_over_a_set, removals_from_a_set)


@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.__name__)
def test_fault_40_a_bomb_ends_or_holds_no_gateway(world, bomb):
    """It may be applied where it is cheap; else it is refused. A revocation behind it is applied all the same."""
    world = world()
    world.gateway.config["routes"] = [*world.gateway.config["routes"], "10.0.0.0/8"]
    world.net.gateway.route("10.0.0.0/8", "via", "198.51.100.254")
    alice, bob = world.joined("alice", "bob")
    path = world.lab.file("bomb.json")
    path.write_text(json.dumps(bomb()))
    before = processor_seconds(world.gateway.process.popen.pid)
    applied = world.gateway.command("policy", "apply", str(path), check=False, timeout=120)
    assert processor_seconds(world.gateway.process.popen.pid) - before < 25, "the budget is 20"
    assert applied.returncode in (0, 1, 2) and world.gateway.process.alive(), applied.stderr
    if applied.returncode:
        assert bomb.__name__ and applied.stderr.strip(), "it says why"
        assert alice.host.probe("get", f"http://{SERVICE[4]}/")["status"] == 200
    world.gateway.clients = [entry for entry in world.gateway.clients if entry["name"] != bob.name]
    world.gateway.reload(check=False)
    assert bob.name not in {entry["name"] for entry in world.gateway.json("clients")["clients"]}
    assert "out of memory" not in world.gateway.process.output()
