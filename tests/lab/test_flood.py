# SPDX-License-Identifier: BSD-2-Clause
"""Those who ask much: whoever else asks has an answer all the same.

What is asserted is what comes of it (gets in, goes on, is answered); how fast is measured by bench and told, for a
machine that all peers share promises no times.
"""
import base64
import hashlib
import os
import struct
import subprocess
import time

import pytest

from gateways import SLUICE
from lab import HERE, say, wait_for
from net import SERVICE, STATIC

SOCKET = "/run/sluice/sluice.sock"
NOBODY = ["setpriv", "--reuid=65534", "--regid=0", "--clear-groups"]      # the socket's group, not root


def timed(what, do):
    start = time.monotonic()
    result = do()
    say(f"    {what}: {time.monotonic() - start:.3f} s")
    return result


def test_fault_21_a_member_who_asks_much_keeps_nobody_waiting(world):
    """67 connections of 20 dumps each held `status` for 26 s, and a new handshake for 10."""
    world = world()
    world.joined("alice")
    member = world.net.gateway.popen("member", [*NOBODY, "/usr/bin/python3", str(HERE / "member.py"), SOCKET, "67",
                                                "20", "client_use"])
    wait_for("the member", lambda: "asking" in member.output() or not member.alive(), seconds=30)
    assert member.alive(), member.output()
    for _ in range(3):
        assert timed("status", lambda: world.gateway.command("status", "--json", check=False)).returncode == 0
    bob = world.client("bob")
    world.gateway.admit(bob)
    timed("reload", world.gateway.reload)
    bob.join(world.gateway, keepalive=25)
    timed("a new client", lambda: wait_for("bob's handshake", lambda: bob.handshake(world.gateway.key.public), 20))
    assert member.alive(), member.output()


COUNTING = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(64)
print("ready", flush=True)
while True:
    connection, _ = server.accept()
    line = connection.makefile("rb").readline()
    connection.sendall(b'{"schema":1,"ok":true,"result":{}}' + bytes([10]))
    connection.close()
    print("asked", flush=True)
"""


@pytest.mark.parametrize("askers", (1, 8))
def test_fault_21_metrics_are_asked_once_a_second(lab, askers):
    """Whoever reaches the metrics' port costs the gateway no more than an answer of each kind a second."""
    host, at, path = lab.host("gateway"), "127.0.0.1:9586", "/run/count.sock"
    gateway = host.popen("counting", ["/usr/bin/python3", "-c", COUNTING, path])
    wait_for("a gateway", lambda: "ready" in gateway.output())
    start = time.monotonic()
    host.popen("metrics", [str(SLUICE), "metrics", "--clients", "--socket", path, "--listen", at])
    wait_for("metrics", lambda: host.run(["curl", "-s", f"http://{at}/metrics"], check=False).returncode == 0)
    jobs = [host.popen(f"asker{i}", ["curl", "-s", "-o", "/dev/null", f"http://{at}/metrics?[1-2000]"])
            for i in range(askers)]
    for job in jobs:
        assert job.popen.wait(60) == 0
    seconds = int(time.monotonic() - start) + 1
    asked = gateway.output().count("asked")
    say(f"    {askers * 2000} requests in {seconds} s: {asked} reached the gateway")
    assert 4 <= asked <= 4 * (seconds + 1)


def initiations(public, right, cookie, n=4096):
    """Messages with the mac1 that whoever knows the gateway's key can make, or a wrong one; nothing in them is true."""
    key = hashlib.blake2s(b"mac1----" + base64.b64decode(public)).digest()
    for _ in range(n):
        body = struct.pack("<I", 1) + os.urandom(112)
        yield body + (hashlib.blake2s(body, digest_size=16, key=key).digest() if right else os.urandom(16)) + (
            os.urandom(16) if cookie else bytes(16))


class Flood:
    """A stranger's initiations at a fixed rate, while a with block lasts."""

    def __init__(self, world, rate, seconds, right=True, cookie=False, source="10.0.0.0/8", wire=False):
        """wire: as frames on the gateway's own wire, where nothing is in between: as many as the machine can send."""
        self.host = world.net.router if wire else world.net.client(f"mallory{len(world.net.clients)}")
        program, messages = world.lab.file("flood"), world.lab.file("initiations")
        subprocess.run(["gcc", "-O2", "-o", program, HERE / "flood.c"], check=True)
        messages.write_bytes(b"".join(initiations(world.gateway.key.public, right, cookie)))
        self.command = [str(program), str(messages), "148", STATIC[4], "51820", source, str(rate), str(seconds)]
        if wire:
            self.command += ["gw0", world.net.gateway.json("ip -j link show eth0")[0]["address"]]

    def __enter__(self):
        self.process = self.host.popen("flood", self.command)
        time.sleep(0.5)
        return self

    def __exit__(self, *_):
        self.process.stop()

    def end(self):
        assert self.process.popen.wait(60) == 0
        return int(self.process.output().split()[0])


FLOODS = {      # what it is of: its initiations
    "wrong mac1": {"right": False},
    "spoofed": {},
    "spoofed, with false cookies": {"cookie": True},
    "one source": {"source": "192.0.2.200"},
}


@pytest.mark.parametrize("kind", FLOODS)
def test_fault_22_a_flood_of_initiations(world, kind):
    """Initiations from a stranger, 55,000 a second if the machine can: a download goes on, and a new client, who is
    asked for a cookie, gets in meanwhile. (One source and a right mac1 kept it out for as long as it lasted.)"""
    world = world()
    alice, bob = world.client("alice"), world.client("bob")
    for client in (alice, bob):
        world.gateway.admit(client)
    world.gateway.start()
    alice.join(world.gateway)
    wait_for("alice", lambda: alice.host.probe("get", f"http://{SERVICE[4]}/").get("status") == 200)
    before, flood = world.gateway.drops(), Flood(world, 55000, 300, **FLOODS[kind])
    with flood:
        result = timed("20 MB", lambda: alice.host.probe("get", f"http://{SERVICE[4]}/bytes/20000000"))
        assert result["bytes"] == 20000000 and result["intact"]
        bob.join(world.gateway, keepalive=25)
        timed("a new client", lambda: wait_for("bob", lambda: bob.handshake(world.gateway.key.public), 55))
        assert flood.process.alive()
    drops = world.gateway.drops()
    say(f"    dropped: { {k: drops[k] - before[k] for k in ('wg_mac1', 'wg_rate', 'wg_handshake', 'wg_busy')} }")
    reason = "wg_mac1" if kind == "wrong mac1" else "wg_rate"
    assert drops[reason] > before[reason]
    assert world.gateway.command("status", check=False).returncode == 0


@pytest.mark.parametrize("kind", FLOODS)
def test_fault_22_the_most_that_the_machine_can_send(world, kind):
    """300,000 a second are asked for, and what the gateway's NIC counts is told: a download goes on. Who floods from an
    address of its own does not keep a newcomer out, who is in after one retry with a cookie."""
    world = world()
    alice, bob = world.client("alice"), world.client("bob")
    for client in (alice, bob):
        world.gateway.admit(client)
    world.gateway.start()
    alice.join(world.gateway)
    wait_for("alice", lambda: alice.host.probe("get", f"http://{SERVICE[4]}/").get("status") == 200)
    counter = ["cat", "/sys/class/net/eth0/statistics/rx_packets"]
    with Flood(world, 300000, 60, wire=True, **FLOODS[kind]) as flood:
        start, before = time.monotonic(), int(world.net.gateway.out(counter))
        result = timed("5 MB", lambda: alice.host.probe("get", f"http://{SERVICE[4]}/bytes/5000000"))
        rate = (int(world.net.gateway.out(counter)) - before) / (time.monotonic() - start)
        say(f"    {rate:.0f} packets a second at the gateway's NIC")
        assert result["bytes"] == 5000000 and result["intact"]
        if kind == "one source":
            bob.join(world.gateway, keepalive=1)
            timed("a new client", lambda: wait_for("bob", lambda: bob.handshake(world.gateway.key.public), 40))
        assert flood.process.alive()


@pytest.mark.long
def test_fault_22_the_gateway_renews_sessions_under_load(world):
    """A client's initiations compete with the flood's; the gateway's own, before the client's turn at 120 s, do not."""
    world = world()
    alice = world.joined("alice")
    first = alice.handshake(world.gateway.key.public)
    with Flood(world, 55000, 150) as flood, alice.host.capture("eth0", "udp port 51820 and udp[8] = 1", "in") as began:
        end = time.monotonic() + 112
        while time.monotonic() < end:
            assert alice.host.probe("get", f"http://{SERVICE[4]}/").get("status") == 200
            time.sleep(2)
        assert flood.process.alive()
    assert began.count() >= 1
    assert alice.handshake(world.gateway.key.public) > first
