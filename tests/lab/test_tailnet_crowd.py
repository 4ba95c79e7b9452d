# SPDX-License-Identifier: BSD-2-Clause
"""Tailnets of a coordination server that is not headscale (crowd.py); the drawing is test_tailnet_branches'."""
import itertools
import json
import pathlib
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
    download = client.host.probing("download", "get", f"http://{NEAR}/slow/{12 * MEGABYTE}/{2 * MEGABYTE}", "--timeout", 60)
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
    assert result["bytes"] == 12 * MEGABYTE and result["intact"] and result["silence"] < 3
    left = world.tailnet.tell("remove", n=SOME)
    wait_for("those who are left", lambda: len(keys(gateway)) == left + 1, 20)
    assert world.seen_from(client, NEAR) == "198.51.100.1"


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
    assert world.seen_from(alice, FAR) == "198.51.100.1"
    left_out = gateway.json("status")["tailnet"]["left_out"]
    assert left_out["number"] == 1 and "SrcIPs" in left_out["why"]
    assert "1 of the server's rules are left out" in gateway.command("status").stdout
    assert gateway.process.output().count("are left out") == 1
