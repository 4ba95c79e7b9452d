# SPDX-License-Identifier: BSD-2-Clause
"""`sluice probe`: what became of a connection from the egress address, for every end that it can have."""
import json

import pytest

from lab import wait_for
from net import OTHER, SERVICE, STATIC

NOWHERE = {4: "203.0.113.77", 6: "2001:db8:3::77"}          # on the service's network, and nobody's

REFUSALS = """
table inet refusals {
	chain input {
		type filter hook input priority -1
		tcp dport 444 reject with icmpx type admin-prohibited
		tcp dport 445 drop
	}
}
"""


def ends(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def probe(world, address, port, *options):
    """Exit status and answer."""
    done = world.gateway.command("probe", *options, ends(address, port), "--json", check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def started(world):
    world = world()
    world.gateway.start()
    return world


@pytest.mark.parametrize("version", (4, 6))
def test_connects_from_the_egress_address(started, version):
    """The service sees a SYN and a reset from the static address; nothing of it stays in the table."""
    with started.net.far.capture("eth0", "tcp port 80", direction="in") as capture:
        status, answer = probe(started, SERVICE[version], 80)
    assert (status, answer["outcome"], answer["sent"]) == (0, "connected", 1)
    assert answer["route"] in ("203.0.113.0/24", "2001:db8:3::/64")
    assert answer["egress"]["address"] == STATIC[version] and answer["egress"]["interface"] == "eth0"
    assert answer["as"].startswith(STATIC[version] if version == 4 else f"[{STATIC[version]}]")
    assert answer["answer"]["from"] == SERVICE[version] and 0 < answer["answer"]["ms"] < 5000
    flags = [str(packet["TCP"].flags) for packet in capture.packets()]
    assert flags == ["S", "R"]
    assert {str(packet["TCP"].sport) for packet in capture.packets()} == {answer["as"].rpartition(":")[2]}
    wait_for("no flow left", lambda: started.gateway.json("flows")["flows"] == [])


@pytest.mark.parametrize("version", (4, 6))
def test_what_may_come_back_instead(started, version):
    """A reset, an ICMP error, nothing at all: each is told, and is exit status 1. No policy asks."""
    assert probe(started, OTHER[version], 81)[1]["outcome"] == "reset"
    started.net.far.nft(REFUSALS)
    status, answer = probe(started, SERVICE[version], 444)
    assert (status, answer["outcome"]) == (1, "unreachable")
    assert answer["answer"]["icmp"] == "administratively prohibited" and answer["answer"]["from"] == SERVICE[version]
    status, answer = probe(started, SERVICE[version], 445, "--timeout", "2")
    assert (status, answer["outcome"], answer["answer"]) == (1, "silent", None)
    assert answer["sent"] >= 2, "SYNs are repeated"
    status, answer = probe(started, NOWHERE[version], 80, "--timeout", "10")
    assert (status, answer["outcome"]) == (1, "unreachable")
    wait_for("no flow left", lambda: started.gateway.json("flows")["flows"] == [])


def test_no_route_of_the_configuration(started):
    status, answer = probe(started, "192.0.2.254", 80)
    assert (status, answer["outcome"], answer["route"]) == (1, "reset", None)
    shown = started.gateway.command("probe", "192.0.2.254:80", check=False)
    assert "route     none of the configuration's" in shown.stdout and shown.returncode == 1


def test_no_egress_address(started):
    """The address is taken from its interface: no port is given out, and the reason is the programs' own."""
    started.gateway.host.run("ip -6 addr flush dev eth0 scope global")
    status, answer = probe(started, SERVICE[6], 80)
    assert (status, answer["outcome"], answer["reason"]) == (1, "dropped", "no_egress")


def test_as_people_read_it(started):
    names = started.lab.file("hosts")  # over the machine's own, for this host alone
    names.write_text("127.0.0.1 localhost\n203.0.113.9 billing.example.com\n")
    started.gateway.host.run(["mount", "--bind", str(names), "/etc/hosts"])
    shown = started.gateway.command("probe", "billing.example.com:80")
    lines = shown.stdout.splitlines()
    assert lines[0] == "name      billing.example.com is 203.0.113.9"
    assert lines[1] == "route     203.0.113.0/24"
    assert lines[2] == "egress    198.51.100.1 on eth0, next hop 198.51.100.254 (pool default)"
    assert lines[3].startswith("flow      198.51.100.1:") and lines[3].endswith(" -> 203.0.113.9:80")
    assert lines[-1] == "connected"


@pytest.mark.parametrize("words, status, said", [
    (["203.0.113.9"], 2, "expected HOST:PORT"),
    (["203.0.113.9:0"], 2, "expected HOST:PORT"),
    (["203.0.113.9:65536"], 2, "expected HOST:PORT"),
    (["203.0.113.9:80x"], 2, "expected HOST:PORT"),
    (["2001:db8::1:80"], 2, "expected HOST:PORT"),
    ([":80"], 2, "expected HOST:PORT"),
    (["198.51.100.1:80"], 2, "the gateway's own"),
    (["--timeout", "61", "203.0.113.9:80"], 2, "expected 1 to 60 seconds"),
    (["--timeout", "0", "203.0.113.9:80"], 2, "timeout"),
    (["no-such-name.invalid:80"], 1, "no-such-name.invalid"),
    (["--ipv6", "203.0.113.9:80"], 1, "203.0.113.9"),
    (["-4", "-6", "203.0.113.9:80"], 2, "not both"),
    (["--socket", "/nowhere", "203.0.113.9:80"], 3, "sluice"),
])
def test_mistakes_are_named(started, words, status, said):
    done = started.gateway.command("probe", *words, check=False)
    assert done.returncode == status and said in done.stderr and not done.stdout
