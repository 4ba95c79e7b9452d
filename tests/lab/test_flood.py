# SPDX-License-Identifier: BSD-2-Clause
"""Those who ask much: whoever else asks has an answer all the same.

What is asserted is what comes of it (gets in, goes on, is answered); how fast is measured by bench and told, for a
machine that all peers share promises no times.
"""
import time

import pytest

from gateways import SLUICE
from lab import HERE, say, wait_for

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
                                                "20", "client_counters"])
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
