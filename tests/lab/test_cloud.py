# SPDX-License-Identifier: BSD-2-Clause
"""Behind a cloud's 1:1 NAT: the machine has a private address, services and clients know another (faults 5)."""
import sys

import pytest

from lab import HERE, wait_for
from net import ROUTES

PRIVATE, PUBLIC = "10.5.0.4", "198.51.100.77"
NOTE = f"{PRIVATE} is a private address"


def serve(host, kind, address):
    process = host.popen(kind, [sys.executable, str(HERE / "cloud.py"), kind, address, PUBLIC])
    wait_for(f"{kind} ready", lambda: "ready" in process.output() or not process.alive())
    assert process.alive(), process.output()
    return process


def behind_nat(world, named=True):
    """The egress address is the private one; @named: the configuration names it, and not the interface alone."""
    host, gateway = world.net.gateway, world.gateway
    host.address("eth0", f"{PRIVATE}/24")
    if not named:       # what the kernel itself would send from
        host.run(f"ip route replace default via 198.51.100.254 dev eth0 src {PRIVATE}")
    gateway.config["routes"] = [ROUTES[0]]
    gateway.config["egress"] = {"interface": "eth0", **({"addresses": [PRIVATE]} if named else {})}
    alice = world.client("alice")
    gateway.admit(alice)
    gateway.write()
    return alice, str(gateway.folder / "gateway.yaml")


@pytest.mark.parametrize("named", (True, False), ids=("named", "of the interface"))
def test_fault_5_a_private_address_is_warned_of_everywhere(world, named):
    world = world()
    gateway = world.gateway
    _, file = behind_nat(world, named)
    where = "egress.addresses" if named else "egress.interface"

    def said():
        gateway.write()
        gateway.command("reload")
        return {
            "check": gateway.command("check", file, check=False).stderr,
            "host": gateway.command("check", "--host", file, check=False).stderr,
            "doctor": gateway.command("doctor", "-c", file, check=False).stdout,
            "status": " ".join(gateway.json("status")["notes"]),
            "client": gateway.command("client-config", "-c", file, "alice-laptop").stderr,
        }

    gateway.start()
    told = said()
    for place in ("host", "doctor", "status") + (("check", "client") if named else ()):
        assert PRIVATE in told[place] and "private address" in told[place], (place, told[place])
    for place in ("host", "doctor", "status"):
        assert f"{where}: {NOTE}" in told[place] and "egress.public" in told[place], told[place]
    assert gateway.json("status")["degraded"]
    gateway.stop()
    gateway.config["egress"]["public"] = [PUBLIC]
    gateway.start()
    told = said()
    assert not [place for place, text in told.items() if "private address" in text], told
    made = gateway.command("client-config", "-c", file, "alice-laptop").stdout
    assert f"Endpoint = {PUBLIC}:51820" in made


def test_fault_5_one_that_services_do_see_is_said_to_be(world):
    world = world()
    gateway = world.gateway
    _, file = behind_nat(world)
    gateway.config["egress"]["public"] = [PRIVATE]
    gateway.start()
    assert gateway.json("status")["notes"] == []
    assert "private" not in gateway.command("check", "--host", file).stderr


def test_fault_5_stun_finds_the_public_address(world):
    world = world()
    gateway = world.gateway
    serve(world.net.far, "stun", "203.0.113.9")
    _, file = behind_nat(world)
    gateway.config["stun"] = "203.0.113.9:3478"
    gateway.write()
    made = gateway.command("client-config", "-c", file, "alice-laptop")
    assert f"Endpoint = {PUBLIC}:51820" in made.stdout and "egress.public" in made.stderr
    made = gateway.command("client-config", "-c", file, "--endpoint", "gw.example.com:1", "alice-laptop")
    assert "private" not in made.stderr
    text = [entry["text"] for entry in gateway.doctor("outside")]
    assert text == [f"the world sees {PUBLIC}, says 203.0.113.9:3478, which the configuration does not name"]


@pytest.mark.parametrize("kind, name", (("aws", "AWS"), ("google", "Google Cloud"), ("azure", "Azure")))
def test_fault_5_the_cloud_is_asked_on_request(world, kind, name):
    world = world()
    gateway, host = world.gateway, world.net.gateway
    _, file = behind_nat(world, named=False)
    answer = gateway.command("doctor", "--cloud", "-c", file, check=False).stdout
    assert "no cloud's metadata service" in answer
    host.address("lo", "169.254.169.254/32")
    server = serve(host, kind, "169.254.169.254")
    answer = gateway.command("doctor", "--cloud", "-c", file, check=False).stdout
    assert f"the world sees {PUBLIC}, says {name}, which the configuration does not name" in answer
    gateway.config["egress"]["public"] = [PUBLIC]
    gateway.write()
    answer = gateway.command("doctor", "--cloud", "-c", file, check=False).stdout
    assert f"the world sees {PUBLIC}, says {name}\n" in answer
    asked = server.output().count("GET")
    gateway.command("doctor", "-c", file, check=False)
    assert server.output().count("GET") == asked, "only on request"
