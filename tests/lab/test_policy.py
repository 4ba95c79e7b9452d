# SPDX-License-Identifier: BSD-2-Clause
"""Who may reach what, and what those hear who may not."""
import json
import time

import pytest

from gateways import settle
from lab import wait_for
from net import OTHER, SERVICE, STATIC

ERRNO = {4: "EHOSTUNREACH", 6: "EACCES"}          # how Linux reports "administratively prohibited"
PING = {4: "Packet filtered", 6: "Administratively prohibited"}


def refused_with_icmp(host, version, address, port=80):
    """The refusal answers the first SYN (the next one is a second later), not a timeout. A client whose session is new,
    or ended with its gateway, has one again before it is asked: an echo is answered, or refused."""
    wait_for("a session", seconds=30, every=0.1, condition=lambda: any(word in host.run(
        f"ping -c 1 -W 1 {address}", check=False).stdout for word in ("1 received", "errors")))
    result = host.probe("connect", address, port, "--timeout", 3)
    assert not result["connected"] and result["error"] == ERRNO[version] and result["seconds"] < 1, result


@pytest.mark.parametrize("version", (4, 6))
def test_a_second_user_is_refused_and_told(world, version):
    world = world()
    alice, bob = world.joined("alice", "bob")
    before = world.gateway.drops()["policy"]
    refused_with_icmp(bob.host, version, SERVICE[version])
    assert PING[version] in bob.host.run(f"ping -c 1 -W 1 {SERVICE[version]}", check=False).stdout
    udp = bob.host.probe("udp", SERVICE[version], 7, "--count", 3, "--interval", 0.3, "--timeout", 0.5)
    assert udp["received"] == 0 and ERRNO[version] in udp["errors"]
    assert world.gateway.drops()["policy"] >= before + 3
    assert alice.host.probe("connect", SERVICE[version], 80)["connected"]
    assert len(world.service.seen()) <= 1 and world.service.clients() <= {STATIC[version]}


def test_refusals_are_paced(world):
    """A flood of refused packets does not come back as a flood of ICMP."""
    world = world()
    alice, bob = world.joined("alice", "bob")
    with bob.host.capture("wg0", "icmp", "in") as capture:
        bob.host.probe("udp", SERVICE[4], 7, "--count", 5000, "--interval", 0.0002, "--timeout", 0.2)
    assert 1 <= capture.count() < 1000
    assert alice.host.probe("connect", SERVICE[4], 80)["connected"]


def test_only_the_ports_of_the_rule(world):
    world = world()
    world.gateway.policy["acls"][0]["dst"] = ["billing:443", "billing6:443"]
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    alice.join(world.gateway)
    settle(alice, world.gateway)                   # ICMP is allowed where any rule allows source to destination
    assert alice.host.probe("connect", SERVICE[4], 443)["connected"]
    refused_with_icmp(alice.host, 4, SERVICE[4], 80)


def test_an_empty_policy_denies_all(world):
    world = world()
    world.gateway.policy = {"acls": []}
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    alice.join(world.gateway)
    with alice.host.capture("wg0", "tcp", "in") as answers:
        for version in (4, 6):
            refused_with_icmp(alice.host, version, SERVICE[version])
            refused_with_icmp(alice.host, version, {4: "100.64.0.1", 6: "fd7a:115c:a1e0::1"}[version])
    assert world.service.seen() == []
    assert answers.count() == 0, "neither the service nor the gateway answered: whatever connect() says"


RESERVED = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "127.0.0.1", "224.0.0.1", "255.255.255.255",
            "169.254.1.1", STATIC[4], "fd00:ec2::254", "::1", "ff02::1", "fe80::1", STATIC[6],
            # other clouds' metadata (faults 25): EKS, GCP, OCI, Scaleway, Akamai, Alibaba
            "fd00:ec2::23", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "192.0.0.192", "fd00:42::42", "169.254.42.42",
            "fd00:a9fe:a9fe::1", "fd00:100::100:200"]


def test_reserved_destinations_are_refused_under_a_rule_for_everything(world):
    world = world()
    world.gateway.config["routes"] = ["0.0.0.0/0", "::/0"]
    world.gateway.policy["acls"] = [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]
    alice = world.client("alice")
    world.gateway.admit(alice)
    world.gateway.start()
    alice.join(world.gateway)
    alice.set("peer", world.gateway.key.public, "allowed-ips", "0.0.0.0/0,::/0")     # no routes: they would loop
    settle(alice, world.gateway)
    before = sum(world.gateway.drops()[reason] for reason in ("reserved", "multicast", "link_local"))
    # raw, for the client's own kernel would refuse most of these; a TUN device takes bare IP packets
    send = ("import sys\nfrom scapy.all import IP, IPv6, UDP, conf\nout = conf.L2socket(iface='wg0')\n"
            "for to in sys.argv[1:]:\n"
            "    ip = IPv6(src='fd7a:115c:a1e0::5', dst=to) if ':' in to else IP(src='100.64.0.5', dst=to)\n"
            "    out.send(ip / UDP(sport=999, dport=9))\n")
    with world.net.gateway.capture("eth0", "udp port 9", "out") as leaked:
        alice.host.run(["/usr/bin/python3", "-c", send, *RESERVED])
        wait_for("drops", lambda: sum(world.gateway.drops()[reason] for reason in
                                      ("reserved", "multicast", "link_local")) >= before + len(RESERVED))
    assert leaked.count() == 0


def test_w13_a_foreign_inner_source_is_dropped(world):
    """bob borrows alice's address inside his own tunnel."""
    world = world()
    alice, bob = world.joined("alice", "bob")
    bob.host.address("wg0", "100.64.0.5/32")
    before = world.gateway.drops()["inner_source"]
    bob.host.run(f"ping -c 3 -i 0.1 -W 1 -I 100.64.0.5 {SERVICE[4]}", check=False)
    wait_for("three drops", lambda: world.gateway.drops()["inner_source"] == before + 3)
    settle(alice, world.gateway)


def test_a_change_of_policy_ends_what_is_no_longer_allowed(world):
    world = world()
    alice, carol = world.joined("alice", "carol")
    jobs = {client: client.host.probing("get", "get", f"http://{SERVICE[4]}/slow/8000000/1000000", "--timeout", 2)
            for client in (alice, carol)}
    start = time.monotonic()
    world.gateway.await_download(alice, carol)
    world.gateway.policy["groups"]["group:eng"] = ["carol@example.com"]
    world.gateway.reload()
    in_time = (time.monotonic() - start) * 1000000     # bytes that she can have by then
    results = {}
    for client, job in jobs.items():
        job.popen.wait(30)
        results[client] = json.loads(job.output())
    assert results[carol].get("error") is None and results[carol]["bytes"] == 8000000, "still allowed: goes on"
    assert results[alice].get("error") and results[alice]["bytes"] <= in_time, "no longer allowed: ends"
    refused_with_icmp(alice.host, 4, SERVICE[4])


def test_a_change_of_policy_lets_a_user_in(world):
    world = world()
    alice, bob = world.joined("alice", "bob")
    refused_with_icmp(bob.host, 4, SERVICE[4])
    world.gateway.policy["groups"]["group:eng"].append("bob@example.com")
    world.gateway.reload()
    assert bob.host.probe("connect", SERVICE[4], 80)["connected"]


def test_flows_name_the_user_and_the_translated_port(world):
    world = world()
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", f"http://{SERVICE[4]}/slow/3000000/1000000")
    wait_for("its bytes", lambda: any(flow["bytes_in"] > 500000 for flow in world.gateway.flows_of(alice)))
    flows = [flow for flow in world.gateway.json("flows", "--user", "alice@example.com")["flows"]
             if flow["service"] == f"{SERVICE[4]}:80"]
    seen = wait_for("request", world.service.seen)
    assert len(flows) == 1
    assert flows[0]["client"] == alice.name and flows[0]["as"] == f"{STATIC[4]}:{seen[-1]['port']}"
    assert flows[0]["proto"] == "tcp" and flows[0]["bytes_in"] > 500000
    assert job.popen.wait(10) == 0


def test_kick_and_kill(world):
    world = world()
    alice = world.joined("alice")
    job = alice.host.probing("get", "get", f"http://{SERVICE[4]}/slow/8000000/1000000", "--timeout", 3)
    world.gateway.await_download(alice)
    assert world.gateway.json("flows", "kill", "--user", "alice@example.com")["killed"] >= 1
    job.popen.wait(20)
    assert json.loads(job.output()).get("error"), "a killed flow does not come back without a SYN"
    before = alice.handshake(world.gateway.key.public)
    time.sleep(1.1)
    world.gateway.command("clients", "kick", alice.name)
    settle(alice, world.gateway, seconds=30)
    assert alice.handshake(world.gateway.key.public) > before, "a kicked client needs a new session"
    assert world.gateway.command("clients", "kick", "nobody", check=False).returncode == 1


def test_an_unlisted_service_is_outside_every_rule(world):
    world = world()
    alice = world.joined("alice")
    for version in (4, 6):
        refused_with_icmp(alice.host, version, OTHER[version])
