# SPDX-License-Identifier: BSD-2-Clause
"""What a coordination server may say beside who there is: Tailscale's own one, for tests (crowd.py), for headscale does
not say it. The drawing is test_tailnet_branches'."""
import base64
import datetime
import json
import re
import struct

import pytest
from crowd import Crowd, require_crowd
from gateways import SLUICE
from lab import HERE, say, wait_for
from tables import PINS, raw
from tailnet import SERVER, TailscaleClient
from test_tailnet_branches import FAR, NEAR, ROUTES, World

STAFF = "lab.test/cap/staff"
DAY = 86400


@pytest.fixture
def world(lab):
    require_crowd()
    return World(lab, tailnet=Crowd, peers=3)


def tell(world, **message):
    world.tailnet.tell("say", text=json.dumps(message))


def clients(gateway):
    return {client["name"]: client for client in gateway.json("clients")["clients"]}


def test_a_rule_by_capability(world):
    """T6: who holds it is in, from the moment on that he does and as long; the others do not notice."""
    gateway = world.gateway(1, list(ROUTES.values()))
    alice, bob = TailscaleClient(world.tailnet, "alice"), TailscaleClient(world.tailnet, "bob", "10.9.1.3")
    for client in (alice, bob):
        world.await_seen(client, NEAR, "198.51.100.1", seconds=30)
    world.tailnet.tell("rule", text=json.dumps({"SrcIPs": [f"cap:{STAFF}"], "DstPorts": [
        {"IP": ROUTES[FAR], "Ports": {"First": 0, "Last": 65535}}]}))
    world.tailnet.tell("only", address=gateway.client_report(alice)["addresses"][0])
    wait_for("bob is refused", lambda: world.seen_from(bob, NEAR) is None)
    for _ in range(2):
        world.tailnet.tell("hold", node="bob", cap=STAFF)
        wait_for("bob is in", lambda: world.seen_from(bob, FAR) == "198.51.100.1")
        assert world.seen_from(bob, NEAR) is None       # the rule is about the other one
        assert any(rule.startswith(f"cap:{STAFF} -> ") for rule in gateway.json("netmap")["rules"])
        world.tailnet.tell("hold", node="bob", cap="")
        wait_for("bob is out", lambda: world.seen_from(bob, FAR) is None)
        world.await_seen(alice, NEAR, "198.51.100.1")
    assert gateway.json("status")["tailnet"]["left_out"] is None


def owners(gateway):
    """{address, as the kernel has it: id of the client}"""
    entries = json.loads(gateway.host.out(["bpftool", "-j", "map", "dump", "pinned", f"{PINS}/clients"], quiet=True))
    return {raw(entry["key"]): raw(entry["value"])[:4] for entry in entries}


def test_addresses_that_change_hands(world):
    """T13: two nodes get each other's address: each is let in by the new one, and nobody by that of the other."""
    gateway = world.gateway(1, [ROUTES[NEAR]])
    wait_for("nodes", lambda: len(clients(gateway)) == 3)
    before, names = owners(gateway), sorted(clients(gateway))[:2]
    first, second = (clients(gateway)[name] for name in names)

    def node(client, addresses):
        prefixes = [f"{a}/{128 if ':' in a else 32}" for a in addresses]
        return {"ID": int(client["name"][1:]), "Name": client["name"], "Addresses": prefixes, "AllowedIPs": prefixes,
                "Key": "nodekey:" + base64.b64decode(client["public_key"]).hex()}

    for one, other in ((second, first), (first, second)):     # whoever of them comes first
        tell(world, PeersChanged=[node(first, one["addresses"]), node(second, other["addresses"])])
        wait_for("a swap", lambda one=one, other=other: [clients(gateway)[name]["addresses"] for name in names] == [
            one["addresses"], other["addresses"]])
        now = owners(gateway)
        assert now.keys() == before.keys()
        assert (now == before) is (one is first)


def test_a_server_that_would_use_us(world):
    """T11: it may ask for requests to itself; others hear nothing of us."""
    gateway = world.gateway(1, [ROUTES[NEAR]])
    for number, url in enumerate((f"http://{NEAR}/secret", f"https://{NEAR}/secret", "http://localhost:9000/add?n=1")):
        tell(world, PingRequest={"URL": url})
        tell(world, KeepAlive=True, PingRequest={"URL": f"{SERVER}/answer/{number}"})
        wait_for("an answer", lambda number=number: f"HEAD /answer/{number}" in world.tailnet.server.output())
    assert gateway.process.output().count("which is not its own: refused") == 3
    assert not [entry for entry in world.service.seen() if "secret" in json.dumps(entry)]


def test_what_the_server_wants_people_to_know(world):
    """T6: in the log once, in status as long as it is so."""
    gateway = world.gateway(1, [ROUTES[NEAR]])
    said = "the coordination server says: Update: 1.2 has a hole (https://lab.test/hole)"
    for _ in range(2):
        tell(world, DisplayMessages={
            "hole": {"Title": "Update", "Text": "1.2 has a hole", "Severity": "high",
                     "PrimaryAction": {"URL": "https://lab.test/hole", "Label": "Read"}},
            "talk": {"Title": "Hello", "Severity": "low"}})
        wait_for("a remark", lambda: gateway.json("status")["tailnet"]["health"] == [
            {"severity": "high", "text": said.partition("says: ")[2]}, {"severity": "low", "text": "Hello"}])
    status = gateway.json("status")
    assert status["degraded"] and [note for note in status["notes"] if "says" in note] == [f"tailnet: {said}"]
    assert said in gateway.command("status").stdout
    tell(world, DisplayMessages={"hole": None})
    wait_for("an end of it", lambda: not gateway.json("status")["degraded"])
    assert gateway.process.output().count(said) == 1
    tell(world, DisplayMessages={"talk": {"Title": "Bye", "Severity": "high"}})
    wait_for("a last one", lambda: [said["text"] for said in gateway.json("status")["tailnet"]["health"]] == ["Bye"])
    gateway.command("logout")
    assert gateway.json("status")["tailnet"]["health"] == []     # of a node that is none any more


def test_a_name_that_is_gone(world):
    """Robust: the server said where it can be reached, too; the gateway finds it again when nobody knows its name."""
    gateway = world.gateway(1, [ROUTES[NEAR]])
    tell(world, ControlDialPlan={"Candidates": [{"IP": world.tailnet.wire.servers["headscale"]}]}, Health=["moving"])
    wait_for("it was heard", lambda: gateway.json("status")["tailnet"]["health"])
    (world.tailnet.dir / "machine-1.hosts").write_text("127.0.0.1 localhost\n")
    connected = gateway.process.output().count("tailnet: connected")
    world.tailnet.tell("leave")
    wait_for("the server", lambda: gateway.process.output().count("tailnet: connected") > connected, 60)


def in_seconds(seconds):
    return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)).isoformat()


def set_ahead(file, seconds):
    """In place: the gateway has the file mapped, and one that is empty for a moment would be its end (SIGBUS)."""
    with open(file, "r+b", buffering=0) as f:
        f.write(struct.pack("=q", seconds))


@pytest.mark.skipif("san" in str(SLUICE), reason="the sanitizers want to be loaded first; the plain build shows it")
def test_a_clock_that_is_wrong(world):
    """T13: keys expire by the server's clock, whatever ours says."""
    gateway = world.gateway(1, [ROUTES[NEAR]])
    alice = TailscaleClient(world.tailnet, "alice")
    world.await_seen(alice, NEAR, "198.51.100.1", seconds=30)
    library, ahead = world.lab.library(HERE / "clock.c"), world.lab.file("ahead")
    gateway.env = {"LD_PRELOAD": str(library), "CLOCK_AHEAD": str(ahead)}
    gateway.restart()
    for round_number, off in enumerate((400 * DAY, -2 * DAY, 0)):
        set_ahead(ahead, off)
        ends = 1000 + round_number  # whose key has expired an hour ago; the next one's is good for long
        tell(world, ControlTime=in_seconds(0), PeersChangedPatch=[
            {"NodeID": ends, "KeyExpiry": in_seconds(-3600)}, {"NodeID": ends + 1, "KeyExpiry": in_seconds(200 * DAY)}])
        wait_for(f"n0{ends} has expired", lambda ends=ends: clients(gateway)[f"n0{ends}"]["expired"])
        expired = {name for name, client in clients(gateway).items() if client["expired"]}
        assert expired == {f"n0{number}" for number in range(1000, ends + 1)}
        status = gateway.json("status")
        say(f"# {off} s ahead: {status['tailnet']['clock_ahead']}")
        assert abs(status["tailnet"]["clock_ahead"] - off) < 60
        assert any("clock is" in note for note in status["notes"]) is bool(off)
        metric = re.search(r"^sluice_tailnet_clock_ahead_seconds (\S+)$", gateway.command("metrics").stdout, re.M)
        assert abs(float(metric[1]) - off) < 60         # it moves between the two
        world.await_seen(alice, NEAR, "198.51.100.1")
    assert gateway.process.output().count("the coordination server's, by which keys expire") == 1
    assert "agrees with the coordination server's again" in gateway.process.output()
    # Nobody says any more what time it is: what was said is remembered.
    set_ahead(ahead, 400 * DAY)
    world.tailnet.server.stop()
    gateway.restart()
    assert {name for name, client in clients(gateway).items() if client["expired"]} == expired
    assert gateway.json("status")["tailnet"]["clock_ahead"] > 399 * DAY
