# SPDX-License-Identifier: BSD-2-Clause
"""What the data path must not do: allocate, and depend on which worker has whom."""
import json
import struct
import time

import pytest

from gateways import SLUICE, settle
from lab import HERE
from net import SERVICE
from test_forward import check_all_traffic


def blast(client, packets, size=64):
    """UDP through the tunnel at full speed until so many packets were sent; how many the client counted out."""
    done = client.host.json(f"iperf3 -c {SERVICE[4]} -u -b 0 -l {size} -k {packets} -J", timeout=120)
    return done["end"]["sum"]["packets"]


@pytest.mark.skipif("san" in str(SLUICE), reason="the sanitizers bring their own allocator; the plain build counts")
def test_one_million_packets_without_malloc(world):
    """Calls before and after 1M packets are equal. What the daemon does once a second or two (its history, its timers)
    must not allocate either. A handshake may, and within 5 s its way into the state folder: packets beside them do not
    count, for a slow machine takes longer than a session lives."""
    world = world()
    library, counter = world.lab.library(HERE / "mallocs.c"), world.lab.file("mallocs")
    world.gateway.env = {"LD_PRELOAD": str(library), "MALLOC_COUNT": str(counter)}
    alice = world.joined("alice")
    world.service.iperf()
    blast(alice, 20000)
    time.sleep(7)

    def calls():
        return struct.unpack("=Q", counter.read_bytes())[0]

    assert calls() > 0, "the shim counts"
    received = world.gateway.client_report(alice)["received"]
    sent = 0
    while sent < 1000000:
        session = alice.handshake(world.gateway.key.public)
        early, before = time.time() - session < 7, calls()
        packets = blast(alice, 100000)
        after = calls()
        if not early and alice.handshake(world.gateway.key.public) == session:
            assert after == before
            sent += packets
    assert world.gateway.client_report(alice)["received"] - received > 10000 * 64


@pytest.mark.parametrize("workers", (1, 2))
def test_workers(world, workers):
    """Handshakes, timers and roaming belong to the worker that owns the client, wherever its packets arrive."""
    world = world(workers=workers)
    clients = world.joined("alice", "carol")
    assert world.gateway.json("status")["tunnel"]["workers"] == workers
    assert {world.gateway.client_report(client)["worker"] for client in clients} <= set(range(workers))
    for client in clients:
        check_all_traffic(world, client, 4)
        for port in (45001, 45002, 45003, 45004):          # another port hashes to another socket
            client.set("listen-port", str(port))
            settle(client, world.gateway, seconds=2)
    jobs = [client.host.probing("udp", "udp", SERVICE[4], 7, "--count", 1000, "--interval", 0.002)
            for client in clients]
    for job in jobs:
        assert job.popen.wait(20) == 0
        assert json.loads(job.output())["received"] == 1000


def test_bulk_uses_super_packets(world):
    """GSO in both directions: far fewer system calls than packets. The daemon's own counters would not prove it."""
    world = world()
    alice = world.joined("alice")
    status = world.gateway.json("status")["tunnel"]
    assert status["gso_in"] == "on" and status["gso_out"] == "on"
    with world.net.gateway.capture("sluice0", f"tcp and dst host {SERVICE[4]}") as out:
        assert alice.host.probe("put", f"http://{SERVICE[4]}/", 20000000)["intact"]
    with world.net.gateway.capture("sluice0", f"tcp and src host {SERVICE[4]}") as back:
        assert alice.host.probe("get", f"http://{SERVICE[4]}/bytes/20000000")["intact"]
    for capture in (out, back):
        sizes = sorted(packet.wirelen for packet in capture.packets())
        assert sizes[-1] > 10000, "frames on the TAP are super-packets"
