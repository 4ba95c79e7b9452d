# SPDX-License-Identifier: BSD-2-Clause
"""Tailnets of a coordination server that is not headscale (crowd.py); the drawing is test_tailnet_branches'."""
import itertools
import json
import pathlib
import resource
import time

import pytest
from crowd import Crowd, require_crowd
from lab import say, wait_for
from tailnet import TailscaleClient
from test_tailnet_branches import FAR, MEGABYTE, NEAR, ROUTES, World

MANY = 5000
SOME = 200                      # of them change at once
CHANGES = ("add", "remove", "rekey", "move")


@pytest.fixture
def world(lab):
    require_crowd()
    return lambda peers: World(lab, tailnet=Crowd, peers=peers)


def keys(gateway):
    return {client["name"]: client["public_key"] for client in gateway.json("clients")["clients"]}


def memory(pid):
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def test_thousands_of_peers(world):
    """6: 5,000 in the netmap; hundreds come, go, change their keys and move at once, again and again: a download
    does not notice."""
    world = world(MANY)
    start = time.monotonic()
    gateway = world.gateway(1, [ROUTES[NEAR]])
    say(f"# ready after {time.monotonic() - start:.1f} s, MiB: {[round(memory(pid)) for pid in gateway.pids()]}")
    client = TailscaleClient(world.tailnet)
    world.await_seen(client, NEAR, "198.51.100.1", seconds=30)
    before = keys(gateway)
    assert len(before) == MANY + 1
    download = client.host.probing("download", "get", f"http://{NEAR}/slow/{24 * MEGABYTE}/{2 * MEGABYTE}",
                                   "--timeout", 60)
    wait_for("the flow", lambda: gateway.json("flows")["flows"])
    world.tailnet.tell("rekey", n=SOME)
    wait_for("new keys", lambda: len(before.items() - keys(gateway).items()) == SOME)
    for number, what in enumerate(itertools.cycle(CHANGES)):
        if download.popen.poll() is not None:
            break
        world.tailnet.tell(what, n=SOME)
    say(f"# {number} changes of {SOME} nodes")
    assert number >= len(CHANGES)
    result = json.loads(download.output().splitlines()[-1])
    assert result["bytes"] == 24 * MEGABYTE and result["intact"] and result["silence"] < 3
    left = world.tailnet.tell("remove", n=SOME)
    wait_for("those who are left", lambda: len(keys(gateway)) == left + 1, 20)
    world.await_seen(client, NEAR, "198.51.100.1")


def test_a_rule_that_nobody_understands(world):
    """T6: it is left out, and said; what the same message revokes is revoked, what it allows is allowed."""
    world = world(3)
    gateway = world.gateway(1, list(ROUTES.values()))
    alice, bob = TailscaleClient(world.tailnet, "alice"), TailscaleClient(world.tailnet, "bob", "10.9.1.3")
    for client in (alice, bob):
        world.await_seen(client, NEAR, "198.51.100.1", seconds=30)
    paths = {client["name"]: client["path"] for client in gateway.json("clients")["clients"]}
    assert paths["alice"] and paths["n01000"] is None   # who never came has none
    assert "tailscale up" in gateway.command("client-config", "alice", "-c", str(gateway.folder / "gateway.yaml"),
                                             check=False).stderr
    world.tailnet.tell("rule", text=json.dumps({"SrcIPs": ["everybody"], "DstPorts": [{"IP": "*", "Ports": {
        "First": 0, "Last": 65535}}]}))
    world.tailnet.tell("only", address=gateway.client_report(alice)["addresses"][0])
    wait_for("bob is refused", lambda: world.seen_from(bob, NEAR) is None)
    world.await_seen(alice, FAR, "198.51.100.1")
    left_out = gateway.json("status")["tailnet"]["left_out"]
    assert left_out["number"] == 1 and "SrcIPs" in left_out["why"]
    assert "1 of the server's rules are left out" in gateway.command("status").stdout
    assert gateway.process.output().count("are left out") == 1


def leave_descriptors(pid, free):
    """A process may open but so many descriptors more. Returns what undoes it."""
    used = {int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    limit = next(n for n in itertools.count() if n - sum(fd < n for fd in used) == free)
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_rules_that_cannot_be_laid_out(world):
    """T6: the kernel refuses the tables of a netmap. Who was removed is cut off all the same, nobody is added to rules
    that do not know him, the others go on; and all of it is made up for."""
    world = world(3)
    gateway = world.gateway(1, list(ROUTES.values()))
    alice = TailscaleClient(world.tailnet, "alice")
    world.await_seen(alice, NEAR, "198.51.100.1", seconds=30)
    before = {client["name"] for client in gateway.json("clients")["clients"]}
    release = leave_descriptors(gateway.process.pid, 2)  # a command takes one, four tables do not fit
    world.tailnet.tell("remove", n=1)
    wait_for("cut off", lambda: any(client["expired"] for client in gateway.json("clients")["clients"]))
    world.tailnet.tell("add", n=1)
    wait_for("a refusal", lambda: "it is not in force" in gateway.process.output())
    notes = gateway.json("status")["notes"]
    assert any("netmap is not in force" in note for note in notes), notes
    assert {client["name"] for client in gateway.json("clients")["clients"]} == before
    world.await_seen(alice, NEAR, "198.51.100.1")
    release()
    wait_for("in force", lambda: not gateway.json("status")["degraded"])
    clients = gateway.json("clients")["clients"]
    assert len(clients) == len(before) and not any(client["expired"] for client in clients)
    assert len({client["name"] for client in clients} - before) == 1
    world.await_seen(alice, NEAR, "198.51.100.1")
